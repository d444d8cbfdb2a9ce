"""JustPayMe: bills for sole traders and small businesses, kept equal to their Xero invoices."""

__version__ = "0.1.0"
