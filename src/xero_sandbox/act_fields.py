"""Which fields each action takes (README.md, "Actions"); another one is refused by name."""

from xero_sandbox.act_settings import DETAILS
from xero_sandbox.model import Switches

HEADER = (
    "number",
    "reference",
    "contact",
    "date",
    "due_date",
    "expected_date",
    "currency",
    "line_amount_types",
    "theme",
    "url",
)
NEW_LINE = ("description", "unit_amount", "quantity", "account", "tax_type")
LINE = (*NEW_LINE, "discount_rate", "discount_amount")
CONTACT = ("name", *DETAILS, "number")
RECEIVED = ("contact", "invoice", "amount", "account", "date", "reference", "currency", "allocate")

FIELDS: dict[str, tuple[str, ...]] = {
    "edit-invoice": ("invoice", *HEADER, "sent"),
    "edit-line": ("invoice", "line", *LINE),
    "add-line": ("invoice", *NEW_LINE),
    "remove-line": ("invoice", "line"),
    "edit-silently": ("invoice", "line", *HEADER, "sent", *LINE),
    "submit-invoice": ("invoice",),
    "reopen-invoice": ("invoice",),
    "approve-invoice": ("invoice",),
    "void-invoice": ("invoice",),
    "delete-invoice": ("invoice",),
    "email-invoice": ("invoice",),
    "add-note": ("invoice", "details"),
    "deduct-cis": ("invoice", "amount"),
    "create-invoice": (*HEADER, "status", *NEW_LINE),
    "record-payment": ("invoice", "amount", "account", "date", "reference", "reconciled"),
    "remove-payment": ("payment",),
    "redo-payment": ("payment", "amount", "account", "date", "reference"),
    "receive-overpayment": RECEIVED,
    "receive-prepayment": RECEIVED,
    "give-credit": (
        "contact",
        "amount",
        "description",
        "account",
        "tax_type",
        "date",
        "reference",
        "currency",
    ),
    "allocate-credit": ("credit", "invoice", "amount"),
    "remove-allocation": ("credit", "invoice", "allocation"),
    "create-contact": CONTACT,
    "edit-contact": ("contact", *CONTACT),
    "rename-contact": ("contact", "name"),
    "archive-contact": ("contact",),
    "restore-contact": ("contact",),
    "merge-contact": ("contact", "into"),
    "switch": Switches.__struct_fields__,
    "lock": ("period_lock_date", "end_of_year_lock_date"),
    "archive-account": ("account",),
    "restore-account": ("account",),
    "allow-payments": ("account",),
    "refuse-payments": ("account",),
    "add-currency": ("currency",),
    "remove-currency": ("currency",),
    "delete-tax-rate": ("tax_type",),
    "restore-tax-rate": ("tax_type",),
    "disconnect": (),
    "revoke": (),
}
"""Beside `tenant`, which all but the last one need."""
