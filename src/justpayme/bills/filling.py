"""What a person entered becomes the columns of a bill: judged first, then written.

    entry ─▶ resolved: each line has its tax type and account ─▶ judged ─▶ totals ─▶ rows

Of a bill that came from Xero nothing is recomputed that nobody changed: a line whose numbers
are as they were keeps its amounts, and if that is true of all, the bill keeps its totals (I-12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from justpayme.accounts.models import Business
from justpayme.bills import currencies
from justpayme.bills.acting import Act, refuse
from justpayme.bills.codes import Codes, codes_of
from justpayme.bills.held import Held
from justpayme.bills.models import Bill, Client, Line
from justpayme.core.bill import ZERO, Status, TaxMode
from justpayme.core.editable import in_locked_period, period_sentence
from justpayme.core.entry import TOTAL_BELOW, BillEntry, LineEntry, Problems, bill_problems
from justpayme.core.totals import PricedLine, Totals, add_up, rate_of, rate_text
from justpayme.sync.models import ClientLink, Connection
from justpayme.xero.outgoing import NEVER_EMPTY

_HEAD_TEXTS = ("number", "reference", "branding_theme", "url")
_HEAD = (
    "number",
    "reference",
    "client_id",
    "issued_on",
    "due_on",
    "expected_on",
    "branding_theme",
    "url",
    "sent",
    "currency",
    "tax_mode",
)


def entry_of(bill: Bill) -> BillEntry:
    """A stored bill as a person would have entered it; what an edit form starts from."""
    mode, digits = TaxMode(bill.tax_mode), currencies.digits(bill.currency)
    return BillEntry(
        client_id=bill.client_id,
        currency=bill.currency,
        number=bill.number,
        reference=bill.reference,
        issued_on=bill.issued_on,
        due_on=bill.due_on,
        tax_mode=mode,
        lines=tuple(_line_entry(line, mode, digits) for line in bill.lines.all()),
        expected_on=bill.expected_on,
        branding_theme=bill.branding_theme,
        url=bill.url,
        sent=bill.sent,
    )


def _line_entry(line: Line, mode: TaxMode, digits: int) -> LineEntry:
    return LineEntry(
        description=line.description,
        quantity=Decimal(1) if line.quantity is None else line.quantity,
        unit_amount=line.unit_amount or ZERO,
        discount_rate=line.discount_rate or ZERO,
        tax_rate=rate_of(line.tax_type, line.line_amount, line.tax_amount, mode, digits),
        line_id=line.pk,
        tax_type=line.tax_type,
        account_code=line.account_code,
    )


def numbers_of(line: LineEntry) -> tuple[object, ...]:
    """What a line's amounts follow from."""
    return line.quantity, line.unit_amount, line.discount_rate, line.tax_rate, line.tax_type


def priced(entry: BillEntry) -> tuple[object, ...]:
    """What a bill's totals follow from."""
    lines = tuple((line.line_id, numbers_of(line)) for line in entry.lines)
    return lines, entry.tax_mode, entry.currency


# --- what each line is taxed as and booked to --------------------------------------------------


def resolved(
    entry: BillEntry, stored: BillEntry | None, codes: Codes | None, *, goes_out: bool
) -> BillEntry:
    """The entry with a tax type and an account for each line. Raises Refused.

    `goes_out`: the bill is, or becomes, an invoice: then a percentage typed here becomes one of
    the organisation's tax types, or is refused where only a person can say which.
    """
    old = {line.line_id: line for line in stored.lines} if stored else {}
    same_terms = stored is not None and priced(stored)[1:] == priced(entry)[1:]
    found: list[LineEntry] = []
    problems: Problems = {}
    for index, given in enumerate(entry.lines):
        kept = old.get(given.line_id) if given.line_id else None
        taxed = _taxed(given, kept, codes, same_terms=same_terms)
        line = _booked(taxed, kept, codes, goes_out=goes_out)
        if goes_out and codes is not None:
            line = _in_xeros_words(line, kept, entry.tax_mode, codes)
        line = replace(
            line, description=_as_kept(line.description, kept.description if kept else None)
        )
        found.append(line)
        for name, text in _line_problems(given, line, kept, codes, goes_out=goes_out).items():
            problems[f"lines-{index}-{name}"] = text
    refuse(problems)
    texts: dict[str, Any] = {
        name: _as_kept(getattr(entry, name), getattr(stored, name, None)) for name in _HEAD_TEXTS
    }
    return replace(entry, lines=tuple(found), **texts)


def _as_kept(text: str, kept: str | None) -> str:
    """A text without the spaces around it. What a form sends back of Xero's text, spaces around
    and line ends apart, is no change of it."""
    plain = _tidy(text)
    return kept if kept is not None and _tidy(kept) == plain else plain


def _tidy(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _taxed(
    line: LineEntry, kept: LineEntry | None, codes: Codes | None, *, same_terms: bool
) -> LineEntry:
    """A chosen tax type says the rate; a rate that did not change keeps its type.

    What rate a kept line has was worked out from its amounts, so that they stay (I-12). Where
    they don't, the organisation's own rate counts: of small amounts many rates give the same tax.
    """
    rates = codes.rates if codes else {}
    if kept is not None and _same_tax(line, kept):
        line = replace(line, tax_type=kept.tax_type, tax_rate=kept.tax_rate)
        if same_terms and numbers_of(line) == numbers_of(kept):
            return line
    elif not line.tax_type:
        return replace(line, tax_type=rate_text(line.tax_rate))
    rate = rates.get(line.tax_type)
    return replace(line, tax_rate=rate.percent) if rate else line


def _same_tax(line: LineEntry, kept: LineEntry) -> bool:
    if line.tax_type:
        return line.tax_type == kept.tax_type
    return line.tax_rate == kept.tax_rate


def _booked(
    line: LineEntry, kept: LineEntry | None, codes: Codes | None, *, goes_out: bool
) -> LineEntry:
    """Without a choice the line's own account, else the organisation's for sales."""
    if line.account_code:
        return line
    usual = codes.account if codes and goes_out and kept is None else ""
    return replace(line, account_code=kept.account_code if kept else usual)


def _in_xeros_words(
    line: LineEntry, kept: LineEntry | None, mode: TaxMode, codes: Codes
) -> LineEntry:
    """ "20%" as the organisation's own tax type. A line of words alone has none in Xero."""
    if line.tax_type and not line.tax_type.endswith("%"):
        return line
    if kept is not None and numbers_of(kept) == numbers_of(line) and not line.tax_type:
        return line
    if mode is TaxMode.NONE:
        return replace(line, tax_type="")
    return replace(line, tax_type=codes.type_for(line.tax_rate))


def _line_problems(
    given: LineEntry,
    line: LineEntry,
    kept: LineEntry | None,
    codes: Codes | None,
    *,
    goes_out: bool,
) -> Problems:
    found: Problems = {}
    if given.line_id and kept is None:
        found["line_id"] = "The bill has no such line any more. Open it again."
    rates, accounts = (codes.rates, codes.accounts) if codes else ({}, {})
    own_type, own_account = (kept.tax_type, kept.account_code) if kept else ("", "")
    if given.tax_type and given.tax_type not in {*rates, own_type}:
        found["tax_type"] = "Choose a tax rate from the list; Xero does not offer this one."
    elif goes_out and codes and not line.tax_type and (line.tax_rate or (not kept and rates)):
        found["tax_rate"] = _no_type(line.tax_rate, codes)
    if given.account_code and given.account_code not in {*accounts, own_account}:
        found["account_code"] = "Choose an account from the list; Xero does not offer this one."
    return found


def _no_type(percent: Decimal, codes: Codes) -> str:
    fits = [rate.name for rate in codes.rates.values() if rate.percent == percent]
    said = rate_text(percent) or "0%"
    if fits:
        return f"Xero has several tax rates of {said}: {', '.join(fits)}. Choose one of them."
    return f"Xero has no tax rate of {said} for sales. Choose one of its rates."


# --- what is wrong with it ---------------------------------------------------------------------


def judged(held: Held, entry: BillEntry, act: Act, stored: BillEntry | None) -> Totals:
    """Judge an entry against the rules, the books and the locks; answers what it adds up to."""
    bill = held.bill
    known = dict(currencies.digits_by_code())
    if stored is not None:
        known.setdefault(stored.currency, currencies.digits(stored.currency))
        refuse(lock_problems(entry, stored, held.locks()))
    refuse(_news(bill_problems(entry, known), entry, stored))
    refuse(_client_problem(act, entry, held) | _number_problem(act, entry, held))
    if held.connection is not None:
        refuse(_xero_problems(held, entry, stored))
    old = {line.pk: line for line in bill.lines.all()} if bill.pk else {}
    totals = add_up(_pricing(entry, stored, old), entry.tax_mode, known[entry.currency])
    if stored is None or priced(stored) != priced(entry):
        refuse(_total_problem(totals, bill.paid + bill.credited, entry.currency))
    return totals


def lock_problems(entry: BillEntry, stored: BillEntry, locks: Mapping[str, str]) -> Problems:
    """Locked fields that were changed all the same, each with its reason."""
    found = {}
    for name in _HEAD:
        field = "client" if name == "client_id" else name
        if field in locks and getattr(entry, name) != getattr(stored, name):
            found[field] = locks[field]
    if "lines" in locks and priced(entry)[0] != priced(stored)[0]:
        found["lines"] = locks["lines"]
    for lock, name in (("line_description", "description"), ("line_account", "account_code")):
        told = [[getattr(line, name).strip() for line in one.lines] for one in (entry, stored)]
        if lock in locks and told[0] != told[1]:
            found.setdefault("lines", locks[lock])
    return found


def _news(problems: Problems, entry: BillEntry, stored: BillEntry | None) -> Problems:
    """Only changes are judged: Xero knows bills that we would not, and some of ours were there."""
    if stored is None:
        return problems
    old = {line.line_id: line for line in stored.lines}
    same_days = (entry.issued_on, entry.due_on) == (stored.issued_on, stored.due_on)
    found = {}
    for key, text in problems.items():
        if key.startswith("lines-"):
            line = entry.lines[int(key.split("-")[1])]
            is_old = line == old.get(line.line_id)
        elif key == "lines":
            is_old = entry.lines == stored.lines
        elif key in ("issued_on", "due_on"):
            is_old = same_days
        else:
            is_old = getattr(entry, key) == getattr(stored, key)
        if not is_old:
            found[key] = text
    return found


def _total_problem(totals: Totals, already: Decimal, currency: str) -> Problems:
    amounts = [totals.total, totals.sub_total, totals.tax_total, totals.discount_total]
    amounts += [part for line in totals.lines for part in (line.amount, line.tax, line.discount)]
    if totals.total < ZERO or max(map(abs, amounts)) >= TOTAL_BELOW:
        return {"lines": "The total must be zero or more, and below 100,000,000,000,000."}
    if totals.total < already:
        came = currencies.text(already, currency)
        return {"lines": f"The total can't be below the {came} that came off this bill already."}
    return {}


def _client_problem(act: Act, entry: BillEntry, held: Held) -> Problems:
    clients = Client.objects.filter(business_id=act.business_id, pk=entry.client_id)
    client = clients.first()
    if client is None or (client.archived and client.pk != held.bill.client_id):
        return {"client": "Choose a client from the list."}
    unchanged = held.is_linked and client.pk == held.bill.client_id
    if held.connection is None or unchanged:
        return {}
    return foreign_client(client, held.connection)


def foreign_client(client: Client, connection: Connection) -> Problems:
    """A client is a contact of one organisation at most; its bills can't go to another."""
    link = ClientLink.objects.select_related("connection").filter(client=client).first()
    if link is None or link.connection_id == connection.pk:
        return {}
    return {
        "client": f"{client.name} is a contact of {link.connection.name}. "
        f"Choose a client of {connection.name}, or a new one."
    }


def _number_problem(act: Act, entry: BillEntry, held: Held) -> Problems:
    """Two bills never share a number. The business's row is held, so two at once can't either.

    A void invoice may still hold its number in Xero (xero-facts 3.4)."""
    number = entry.number.strip()
    if not number or number == held.bill.number:
        return {}
    Business.objects.select_for_update(no_key=True).get(pk=act.business_id)
    same = Bill.objects.filter(business_id=act.business_id, number__iexact=number)
    others = same.exclude(pk=held.bill.pk)
    if others.exclude(status=Status.VOID).exists():
        return {"number": f"Another bill has the number {number}. Choose a different one."}
    if held.connection and others.filter(link__connection=held.connection).exists():
        return {"number": f"A void invoice in Xero has the number {number}. Choose another."}
    return {}


def _xero_problems(held: Held, entry: BillEntry, stored: BillEntry | None) -> Problems:
    """What Xero would refuse, said before it is asked (I-25)."""
    connection = held.connection
    if connection is None:
        return {}
    found: Problems = {}
    if stored is not None:
        for name in sorted(NEVER_EMPTY):
            if getattr(stored, name) and not getattr(entry, name):
                found[name] = "Xero can't make this empty from outside. Enter a value."
    if "xero" in entry.url.lower() and (stored is None or entry.url != stored.url):
        found["url"] = "Xero does not take an address with its own name in it."
    is_in_books = held.bill.status not in (Status.DRAFT, Status.VOID)
    moved = stored is None or stored.issued_on != entry.issued_on
    if is_in_books and moved and in_locked_period(entry.issued_on, connection.lock_date):
        found["issued_on"] = period_sentence_of(connection)
    codes = codes_of(connection)
    changed_theme = stored is None or stored.branding_theme != entry.branding_theme
    if changed_theme and entry.branding_theme and entry.branding_theme not in codes.themes:
        found["branding_theme"] = "Choose a branding theme from the list."
    if stored is None or stored.currency != entry.currency:
        found |= currency_problem(entry.currency, connection, codes)
    return found


def period_sentence_of(connection: Connection) -> str:
    """Why a day in a locked period can't be used."""
    day = connection.lock_date
    return period_sentence(day, connection.name) if day else ""


def currency_problem(currency: str, connection: Connection, codes: Codes) -> Problems:
    """Does the organisation use this currency? Not judged while its currencies are not known."""
    if not codes.currencies or currency in codes.currencies | {connection.currency}:
        return {}
    return {
        "currency": f"{connection.name} does not use {currency}. Choose another currency, or add "
        "it in Xero and refresh the lists."
    }


def unfit_for_xero(bill: Bill, connection: Connection) -> Problems:
    """Why a bill can't become an invoice of this organisation as it is."""
    found: Problems = {}
    if not bill.number:
        found["number"] = "Xero needs the bill's number. Enter one."
    is_draft = bill.status == Status.DRAFT
    if not is_draft and in_locked_period(bill.issued_on, connection.lock_date):
        found["issued_on"] = period_sentence_of(connection)
    return found


# --- writing -----------------------------------------------------------------------------------


def take(bill: Bill, entry: BillEntry) -> None:
    """The head of a bill as entered. An exchange rate belongs to its currency."""
    if bill.currency != entry.currency:
        bill.rate = None
    bill.client_id, bill.currency, bill.tax_mode = entry.client_id, entry.currency, entry.tax_mode
    bill.number, bill.reference = entry.number, entry.reference
    bill.issued_on, bill.due_on = entry.issued_on, entry.due_on
    bill.expected_on, bill.sent = entry.expected_on, entry.sent
    bill.branding_theme, bill.url = entry.branding_theme, entry.url


def take_totals(bill: Bill, totals: Totals) -> None:
    """The sums of a bill, and what is owed of them."""
    bill.sub_total, bill.tax_total = totals.sub_total, totals.tax_total
    bill.total, bill.discount_total = totals.total, totals.discount_total
    bill.outstanding = bill.total - bill.paid - bill.credited


def _pricing(
    entry: BillEntry, stored: BillEntry | None, old: Mapping[int, Line]
) -> list[PricedLine]:
    return [
        PricedLine(
            quantity=line.quantity,
            unit_amount=line.unit_amount,
            discount_rate=line.discount_rate,
            discount_amount=_kept_discount(line, old) or ZERO,
            tax_rate=line.tax_rate,
            known=(kept.line_amount, kept.tax_amount)
            if (kept := _untouched(line, entry, stored, old))
            else None,
        )
        for line in entry.lines
    ]


def _untouched(
    line: LineEntry, entry: BillEntry, stored: BillEntry | None, old: Mapping[int, Line]
) -> Line | None:
    """The stored line, if its amounts can't have changed."""
    if stored is None or priced(stored)[1:] != priced(entry)[1:]:
        return None
    before = next((one for one in stored.lines if one.line_id == line.line_id), None)
    same = before is not None and numbers_of(before) == numbers_of(line)
    return old.get(line.line_id or 0) if same else None


def _kept_discount(line: LineEntry, old: Mapping[int, Line]) -> Decimal | None:
    """A flat discount that Xero gave stays, unless a percentage takes its place."""
    kept = old.get(line.line_id or 0)
    return kept.discount_amount if kept and not line.discount_rate else None


def replace_lines(
    bill: Bill, entry: BillEntry, totals: Totals, stored: BillEntry | None = None
) -> None:
    """Write all lines anew; what only Xero knows about a line stays with it, and so does its key:
    other forms that are open name it."""
    old = {line.pk: line for line in bill.lines.all()}
    rows = []
    for position, (line, worked) in enumerate(zip(entry.lines, totals.lines, strict=True)):
        bare = _untouched(line, entry, stored, old) is not None
        discount = _kept_discount(line, old)
        kept = old.pop(line.line_id or 0, None) or Line()  # two lines never share one of Xero's
        rows.append(
            Line(
                pk=kept.pk,
                bill=bill,
                position=position,
                description=line.description,
                quantity=kept.quantity if bare else line.quantity,
                unit_amount=kept.unit_amount if bare else line.unit_amount,
                discount_rate=kept.discount_rate if bare else line.discount_rate or None,
                discount_amount=discount,
                line_amount=worked.amount,
                tax_type=line.tax_type,
                tax_amount=worked.tax,
                remote_id=kept.remote_id,
                account_code=line.account_code,
                item_code=kept.item_code,
                tracking=kept.tracking,
            )
        )
    bill.lines.all().delete()
    Line.objects.bulk_create(rows)
