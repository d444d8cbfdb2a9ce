"""What differs between demo companies of six countries: settings only, the books are alike."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from xero_sandbox.model import Account, Organisation, TaxRate, Theme


@dataclass(frozen=True)
class Country:
    """One demo company's country.

    ``sales`` and ``purchases`` are its usual tax types, ``zero`` its kinds of no tax (4.5);
    ``second`` is the currency of its foreign documents. It was made ``age`` days ago and its
    settings last ``touched`` so many.
    """

    code: str
    name: str
    full_name: str
    city: str
    version: str
    currency: tuple[str, str]
    timezone: str
    tax: str
    rate: Decimal
    tax_number: str
    short_code: str
    zero: dict[str, str]
    sales: str = "OUTPUT2"
    purchases: str = "INPUT2"
    tax_period: str = "TWOMONTHS"
    second: tuple[str, str] = ("EUR", "Euro")
    age: int = 300
    touched: int = 80


COUNTRIES = {
    country.code: country
    for country in (
        Country(
            code="GB", name="UK", full_name="United Kingdom", city="London",
            version="UK", currency=("GBP", "British Pound"),
            timezone="GMTSTANDARDTIME", tax="VAT", rate=Decimal(20), tax_number="101-2-303",
            short_code="!uKd3m", tax_period="QUARTERLY", age=400, touched=90,
            zero={"ZERORATEDOUTPUT": "Zero Rated Income", "EXEMPTOUTPUT": "Exempt Income"},
        ),
        Country(
            code="NZ", name="NZ", full_name="New Zealand", city="Wellington",
            version="NZ", currency=("NZD", "New Zealand Dollar"),
            timezone="NEWZEALANDSTANDARDTIME", tax="GST", rate=Decimal(15),
            tax_number="49-091-850", short_code="!nZ7Qx", zero={"ZERORATED": "Zero Rated"},
        ),
        Country(
            code="AU", name="AU", full_name="Australia", city="Sydney",
            version="AU", currency=("AUD", "Australian Dollar"),
            timezone="AUSEASTERNSTANDARDTIME", tax="GST", rate=Decimal(10),
            tax_number="11 111 111 138", short_code="!aU5yd", tax_period="QUARTERLY1",
            sales="OUTPUT", purchases="INPUT", zero={"EXEMPTOUTPUT": "GST Free Income"},
        ),
        Country(
            code="US", name="US", full_name="United States", city="New York",
            version="US", currency=("USD", "US Dollar"),
            timezone="EASTERNSTANDARDTIME", tax="Tax", rate=Decimal("8.875"),
            tax_number="", short_code="!uS4ny", tax_period="3MONTHLY",
            sales="OUTPUT", purchases="INPUT", zero={},
        ),
        Country(
            code="IE", name="Global", full_name="Ireland", city="Dublin",
            version="GLOBAL", currency=("EUR", "Euro"),
            timezone="GMTSTANDARDTIME", tax="VAT", rate=Decimal(23), tax_number="1234567FA",
            short_code="!gL0b1", second=("GBP", "British Pound"), zero={},
            sales="OUTPUT", purchases="INPUT",
        ),
        Country(
            code="SG", name="SG", full_name="Singapore", city="Singapore",
            version="GLOBAL", currency=("SGD", "Singapore Dollar"),
            timezone="SINGAPORESTANDARDTIME", tax="GST", rate=Decimal(9),
            tax_number="201912345K", short_code="!sG9qr", tax_period="QUARTERLY",
            zero={"ZERORATEDOUTPUT": "Zero-Rated Supplies"}, sales="OUTPUT", purchases="INPUT",
        ),
    )
}  # fmt: skip
"""By ISO code."""


def organisation(random: Random, now: datetime, country: Country) -> Organisation:
    """The settings of a country's demo company; its ids are random, its accounts the same."""
    return Organisation(
        id=guid(random),
        organisation_id=guid(random),
        name=f"Demo Company ({country.name})",
        legal_name=f"Demo Company ({country.name})",
        short_code=country.short_code,
        country=country.code,
        version=country.version,
        currency=country.currency[0],
        timezone=country.timezone,
        created=now - timedelta(days=country.age),
        updated=now - timedelta(days=country.touched),
        tax_number=country.tax_number,
        accounts=accounts(random, country),
        tax_rates=tax_rates(country),
        themes=themes(random),
        currencies=dict([country.currency, country.second]),
        default_tax=country.sales,
    )


def accounts(random: Random, country: Country) -> list[Account]:
    """A short chart of accounts: banks, sales, expenses, system and archived ones (4.3)."""
    rows: tuple[tuple[str, str, str, str, str, dict[str, Any]], ...] = (
        ("090", "Business Bank Account", "BANK", "NONE", "ASSET",
         {"currency": country.currency[0]}),
        ("091", f"{country.second[1]} Account", "BANK", "NONE", "ASSET",
         {"currency": country.second[0]}),
        ("200", "Sales", "REVENUE", country.sales, "REVENUE", {}),
        ("260", "Other Revenue", "REVENUE", country.sales, "REVENUE", {}),
        ("400", "Advertising", "EXPENSE", country.purchases, "EXPENSE", {}),
        ("480", "Old Stationery", "EXPENSE", country.purchases, "EXPENSE", {"status": "ARCHIVED"}),
        ("610", "Accounts Receivable", "CURRENT", "NONE", "ASSET", {"system_account": "DEBTORS"}),
        ("800", "Accounts Payable", "CURRLIAB", "NONE", "LIABILITY",
         {"system_account": "CREDITORS"}),
        ("820", "Sales Tax", "CURRLIAB", "NONE", "LIABILITY", {"system_account": "GST"}),
        ("860", "Rounding", "CURRLIAB", "NONE", "LIABILITY", {"system_account": "ROUNDING"}),
        ("881", "Owner Funds", "EQUITY", "NONE", "EQUITY", {"payments": True}),
    )  # fmt: skip
    return [
        Account(
            id=guid(random), code=code, name=name, type=kind, tax_type=tax, account_class=group,
            **more,
        )
        for code, name, kind, tax, group, more in rows
    ]  # fmt: skip


def tax_rates(country: Country) -> list[TaxRate]:
    """Standard, the country's kinds of zero, none, and one that is no longer used (4.5)."""
    standard, word = country.rate, country.tax
    return [
        TaxRate(
            tax_type=country.sales,
            name=f"{standard}% ({word} on Income)",
            rate=standard,
            revenue=True,
        ),
        TaxRate(
            tax_type=country.purchases,
            name=f"{standard}% ({word} on Expenses)",
            rate=standard,
            revenue=False,
            report_type="INPUT",
        ),
        *(
            TaxRate(tax_type=tax_type, name=name, rate=Decimal(0), revenue=True)
            for tax_type, name in country.zero.items()
        ),
        TaxRate(
            tax_type="NONE", name=f"No {word}", rate=Decimal(0), revenue=True, report_type="NONE"
        ),
        TaxRate(
            tax_type="TAX001",
            name="Old rate",
            rate=Decimal("17.5"),
            revenue=True,
            status="DELETED",
        ),
    ]


def themes(random: Random) -> list[Theme]:
    """Two branding themes."""
    return [
        Theme(id=guid(random), name="Standard", sort_order=0),
        Theme(id=guid(random), name="Very orange invoice!", sort_order=1),
    ]


def guid(random: Random) -> str:
    """A version 4 GUID made from the seed."""
    text = f"{random.getrandbits(128):032x}"
    variant = "89ab"[int(text[16], 16) % 4]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
