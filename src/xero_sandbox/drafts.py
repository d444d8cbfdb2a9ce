"""An invoice as an app writes it, turned into changes of the books (3.4, 3.7, 3.11)."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import uuid4

from msgspec.structs import replace

from xero_sandbox import checks, people, rules, shapes
from xero_sandbox.bodies import Fields
from xero_sandbox.calls import Call, Json
from xero_sandbox.checks import Refused
from xero_sandbox.model import Invoice, Line

STATUSES = ("DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED")
AMOUNT_TYPES = ("Exclusive", "Inclusive", "NoTax")
ONLY_SALES = "This local Xero writes sales invoices (Type ACCREC) only."
TEXTS = {
    "InvoiceNumber": "number",
    "Reference": "reference",
    "BrandingThemeID": "theme_id",
    "Url": "url",
    "CurrencyCode": "currency",
}
DAYS = {"Date": "date", "DueDate": "due_date", "ExpectedPaymentDate": "expected_on"}


def save(call: Call, given: Fields) -> Json:
    """Create or update one invoice; returns it as written."""
    if given.choice("Type", ("ACCREC", "ACCPAY")) == "ACCPAY":
        raise Refused(ONLY_SALES)
    old = target(call, given)
    if old and old.type != "ACCREC":
        raise Refused(ONLY_SALES)
    new = _update(call, given, old) if old else _create(call, given)
    return shapes.invoice_json(call.ledger, new, "written", call.places)


def shown(call: Call, given: Fields) -> Json | None:
    """The invoice that an element means, as it is now."""
    try:
        old = target(call, given)
    except Refused:
        return None
    return shapes.invoice_json(call.ledger, old, "written", call.places) if old else None


def target(call: Call, given: Fields) -> Invoice | None:
    """The invoice that a POST updates: by InvoiceID, else by InvoiceNumber (3.4)."""
    wanted = given.guid("InvoiceID")
    if wanted:
        found = None if call.create_only else call.ledger.invoices.get(wanted)
        if found is None:
            raise Refused(checks.NOT_FOUND)
        return found
    number = given.text("InvoiceNumber")
    if call.create_only or not number:
        return None
    return checks.sale_numbered(call.ledger, number)


def _create(call: Call, given: Fields) -> Invoice:
    if "Type" not in given:
        raise Refused("The invoice Type must be specified")
    fields = header(call, given)
    types = str(fields.get("line_amount_types", "Exclusive"))
    lines = [line_of(call, row, None, types) for row in given.rows("LineItems")]
    contact_id = people.of_document(call, given.child("Contact"))
    if fields.get("status", "DRAFT") != "AUTHORISED":
        fields.pop("sent", None)
    return rules.create_invoice(
        call.store,
        call.ledger,
        call.now,
        **{"date": call.today, **fields},  # type: ignore[arg-type]
        contact_id=contact_id,
        lines=lines,
    )


def _update(call: Call, given: Fields, old: Invoice) -> Invoice:
    changes = header(call, given)
    if not changes.get("number", "x"):
        del changes["number"]
    types = str(changes.get("line_amount_types", old.line_amount_types))
    if "LineItems" in given:
        changes["lines"] = _lines(call, given.rows("LineItems"), old, types)
    if "Contact" in given:
        changes["contact_id"] = people.of_document(call, given.child("Contact"), old.contact_id)
    if str(changes.get("status", old.status)) not in ("AUTHORISED", "PAID"):
        changes.pop("sent", None)
    return rules.edit_invoice(call.store, call.ledger, old.id, call.now, **changes)


def header(call: Call, given: Fields) -> dict[str, object]:
    """The fields of the header that are given."""
    found: dict[str, object] = {
        field: given.text(name).strip() for name, field in TEXTS.items() if name in given
    }
    if "theme_id" in found:
        found["theme_id"] = str(found["theme_id"]).lower()
    for name, field in DAYS.items():
        if name in given:
            found[field] = given.day(name)
    if "Status" in given:
        found["status"] = given.choice("Status", STATUSES)
    if "LineAmountTypes" in given:
        found["line_amount_types"] = given.choice("LineAmountTypes", AMOUNT_TYPES)
    if "CurrencyRate" in given:
        found["rate"] = rate_of(given)
    if "SentToContact" in given:
        found["sent"] = given.flag("SentToContact")
    return found


def rate_of(given: Fields) -> Decimal:
    """CurrencyRate, of six decimal places and more than nothing (3.7)."""
    rate = given.number("CurrencyRate").quantize(Decimal("0.000001"))
    if rate <= 0:
        raise Refused("The CurrencyRate must be greater than zero.")
    return rate


def _lines(call: Call, rows: Sequence[Fields], old: Invoice, types: str) -> list[Line]:
    """Lines with an id change, those without are new, those not mentioned go (3.4)."""
    known = {line.id: line for line in old.lines}
    lines = []
    for row in rows:
        wanted = row.guid("LineItemID")
        if wanted and wanted not in known:
            raise Refused(f"The LineItemID {wanted} could not be found on this invoice.")
        lines.append(line_of(call, row, known.pop(wanted, None), types))
    return lines


def line_of(call: Call, row: Fields, old: Line | None, types: str) -> Line:
    """One line from what is given and what was there."""
    line = old or Line(id=str(uuid4()), description="")
    changes: dict[str, object] = {}
    for name, field in (("Description", "description"), ("ItemCode", "item_code")):
        if name in row:
            changes[field] = row.text(name)
    changes |= _numbers(call, row, line)
    changes |= _codes(call, row, line, types)
    if "Tracking" in row:
        changes["tracking"] = _tracking(row)
    new = replace(line, **changes)
    new = replace(new, own_tax=_own_tax(call, row, old, new))
    _check_amount(call, row, new)
    return new


def _numbers(call: Call, row: Fields, line: Line) -> dict[str, object]:
    """Quantity (1 unless said), unit amount to 2 or 4 places, discounts (3.11)."""
    changes: dict[str, object] = {}
    if "Quantity" in row:
        changes["quantity"] = shapes.rounded(row.number("Quantity"), 4)
        changes["unit_amount"] = line.unit_amount or Decimal(0)
    if "UnitAmount" in row:
        changes["unit_amount"] = shapes.rounded(row.number("UnitAmount"), call.places)
        changes.setdefault("quantity", Decimal(1) if line.quantity is None else line.quantity)
    if "DiscountRate" in row and "DiscountAmount" in row:
        raise Refused("Only one of DiscountRate and DiscountAmount can be specified.")
    if "DiscountRate" in row:
        rate = row.number("DiscountRate")
        if not 0 <= rate <= 100:
            raise Refused("The DiscountRate must be between 0 and 100.")
        changes |= {"discount_rate": rate, "discount_amount": None}
    if "DiscountAmount" in row:
        amount = shapes.rounded(row.number("DiscountAmount"), 2)
        changes |= {"discount_amount": amount, "discount_rate": None}
    return changes


def _codes(call: Call, row: Fields, line: Line, types: str) -> dict[str, object]:
    """Account by code or id; without a tax type the account's own one applies (3.11)."""
    changes: dict[str, object] = {}
    code = row.text("AccountCode").strip() or row.guid("AccountID")
    account = call.ledger.organisation.account(code) if code else None
    if code:
        changes["account_code"] = (account.code if account else "") or code
    if row.text("TaxType"):
        changes["tax_type"] = row.text("TaxType")
    elif types == "NoTax":
        changes["tax_type"] = "NONE"
    elif account and not line.tax_type:
        changes["tax_type"] = account.tax_type
    return changes


def _tracking(row: Fields) -> list[tuple[str, str]]:
    options = [(one.text("Name"), one.text("Option")) for one in row.rows("Tracking")]
    if len(options) > 2:
        raise Refused("A line can have at most two tracking categories.")
    return options


def _own_tax(call: Call, row: Fields, old: Line | None, new: Line) -> Decimal | None:
    """A TaxAmount that is written wins over the computed one; echoing it changes nothing."""
    same = old is not None and rules.line_total(old) == rules.line_total(new)
    if "TaxAmount" not in row:
        return old.own_tax if old and same else None
    amount = shapes.rounded(row.number("TaxAmount"), 2)
    if call.ledger.open.tax_override == "capped" and abs(amount) > abs(rules.line_total(new)):
        raise Refused("The TaxAmount must be no more than the line's amount.")
    return old.own_tax if old and same and amount == old.tax_amount else amount


def _check_amount(call: Call, row: Fields, line: Line) -> None:
    """A LineAmount that is sent must agree with quantity, price and discount (3.11)."""
    if "LineAmount" not in row:
        return
    sent = shapes.rounded(row.number("LineAmount"), 2)
    expected = rules.line_total(line, call.ledger.open.halves)
    if sent != expected:
        raise Refused(f"The line total {sent} does not match the expected line total {expected}")
