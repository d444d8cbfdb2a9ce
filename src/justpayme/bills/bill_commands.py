"""`justpayme bill …`: what the buttons of a bill's page do, at a terminal."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from justpayme.accounts.models import Membership
from justpayme.api import held_up, present, shapes
from justpayme.api.entries import NOTHING, bill_entry
from justpayme.api.terminal import (
    add_acting,
    add_reading,
    add_yes,
    as_id,
    checked,
    confirm,
    find_bill,
    find_business,
    find_organisation,
    member_of,
    read_body,
    say,
    sentences,
)
from justpayme.bills import actions
from justpayme.bills.actions import Act
from justpayme.bills.models import Bill, Client
from justpayme.bills.queries import open_books
from justpayme.core.entry import PaymentEntry
from justpayme.core.outbox import without_marker
from justpayme.runtime.command import OK, USAGE, Command, CommandError
from justpayme.web.format import long_day, money

HEAD = {
    "number": "",
    "reference": "",
    "issued_on": "YYYY-MM-DD",
    "due_on": "YYYY-MM-DD; empty for none",
    "expected_on": "YYYY-MM-DD; empty for none",
    "currency": "such as GBP",
    "tax_mode": "exclusive, inclusive or none",
    "branding_theme": "a Xero branding theme's id",
    "url": "a web address",
}
"""Field -> what to type, for the arguments of `bill create` and `bill edit`."""
DAYS = ("issued_on", "due_on", "expected_on")


# --- arguments ---------------------------------------------------------------------------------


def _of_bill(parser: ArgumentParser, example: str) -> None:
    parser.add_argument("bill", metavar="BILL", help="its number, or its id")
    add_acting(parser, f"bill {example}")


def _seen(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--seen", metavar="TIME", help="the updated_at that you read; refused if it has changed"
    )


def _fields(parser: ArgumentParser) -> None:
    for name, text in HEAD.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="TEXT", help=text or None)
    parser.add_argument("--client", metavar="NAME|ID", help="whose bill it is")
    parser.add_argument("--sent", choices=["yes", "no"], help="whether it was sent to the client")
    parser.add_argument(
        "--line",
        dest="lines",
        action="append",
        nargs=4,
        metavar=("TEXT", "QUANTITY", "PRICE", "TAX"),
        help="one line, TAX in per cent; repeat it for more",
    )
    parser.add_argument("--body", metavar="FILE", help="JSON as the API takes it; - for stdin")


def _show_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("bill", metavar="BILL", help="its number, or its id")
    add_reading(parser, "bill show INV-0042 --json")


def _create_arguments(parser: ArgumentParser) -> None:
    _fields(parser)
    parser.add_argument("--approve", action="store_true", help="owed at once, not a draft")
    parser.add_argument(
        "--also-in-xero", metavar="NAME|ID", help="the organisation where it becomes an invoice"
    )
    add_acting(
        parser,
        'bill create --as ann@example.com --client "Acme Ltd" --currency GBP --number A-7 '
        '--issued-on 2026-11-22 --due-on 2026-12-22 --line "Hull paint" 2 120.00 20',
    )


def _edit_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "edit INV-0042 --as ann@example.com --due-on 2026-12-24")
    _fields(parser)
    _seen(parser)


def _approve_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "approve A-7 --as ann@example.com")
    _seen(parser)


def _void_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "void A-7 --as ann@example.com --yes")
    _seen(parser)
    add_yes(parser)


def _discard_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "discard INV-0042 --as ann@example.com --yes")
    add_yes(parser)


def _send_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "send-to-xero A-7 --as ann@example.com")
    parser.add_argument("--organisation", metavar="NAME|ID", help="needed if there are several")


def _pay_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "pay INV-0042 --as ann@example.com --amount 120.00 --on 2026-11-22")
    parser.add_argument("--amount", required=True, help="in the bill's currency")
    parser.add_argument("--on", metavar="DAY", help="YYYY-MM-DD; today if left out")
    parser.add_argument("--reference", default="")
    _seen(parser)


def _unpay_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "unpay INV-0042 --payment 17 --as ann@example.com --yes")
    parser.add_argument("--payment", metavar="ID", required=True, help="see `bill show`")
    _seen(parser)
    add_yes(parser)


def _resolve_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("choice", choices=["mine", "xero"], help="which value counts")
    _of_bill(parser, "resolve mine INV-0042 --as ann@example.com")
    parser.add_argument(
        "--unit", action="append", default=[], help="only this group of fields; may be repeated"
    )


def _retry_arguments(parser: ArgumentParser) -> None:
    _of_bill(parser, "retry INV-0042 --as ann@example.com")


# --- verbs -------------------------------------------------------------------------------------


def _show(options: Namespace) -> int:
    books = open_books(find_business(options.business), timezone.now())
    return _tell(options, find_bill(books, options.bill))


def _create(options: Namespace) -> int:
    member = member_of(options)
    given = _given(options, member)
    if options.approve:
        given["status"] = "active"
    if options.also_in_xero:
        given["also_in_xero"] = find_organisation(member.business, options.also_in_xero).pk
    body = checked(shapes.NewBill, given)
    with sentences():
        bill = actions.bill_create(
            act=_act(member),
            entry=bill_entry(NOTHING, body.model_dump(exclude={"status", "also_in_xero"})),
            approve=body.status == "active",
            also_in_xero=body.also_in_xero,
        )
    return _tell(options, bill)


def _edit(options: Namespace) -> int:
    member, bill = _found(options)
    given = _given(options, member) | _seen_of(options)
    body = checked(shapes.BillChange, given)
    if not body.given():
        raise CommandError("Say what to change, such as --due-on 2026-12-24.", USAGE)
    with sentences():
        actions.bill_edit(
            act=_act(member),
            bill_id=bill.pk,
            entry=lambda stored: bill_entry(stored, body.given()),
            seen=body.seen,
        )
    return _tell(options, bill)


def _approve(options: Namespace) -> int:
    member, bill = _found(options)
    seen = _moment(options)
    with sentences():
        actions.bill_approve(act=_act(member), bill_id=bill.pk, seen=seen)
    return _tell(options, bill)


def _void(options: Namespace) -> int:
    member, bill = _found(options)
    seen = _moment(options)
    confirm(f"Void {_name(bill)}? A void bill stays void, here and in Xero.", yes=options.yes)
    with sentences():
        actions.bill_void(act=_act(member), bill_id=bill.pk, seen=seen)
    return _tell(options, bill)


def _discard(options: Namespace) -> int:
    member, bill = _found(options)
    confirm(f"Undo what was changed here on {_name(bill)} and not sent?", yes=options.yes)
    with sentences():
        actions.bill_discard(act=_act(member), bill_id=bill.pk)
    return _tell(options, bill)


def _send(options: Namespace) -> int:
    member, bill = _found(options)
    connection = find_organisation(member.business, options.organisation)
    with sentences():
        actions.bill_send_to_xero(act=_act(member), bill_id=bill.pk, connection_id=connection.pk)
    return _tell(options, bill)


def _pay(options: Namespace) -> int:
    member, bill = _found(options)
    act = _act(member)
    given = {"amount": options.amount, "reference": options.reference} | _seen_of(options)
    body = checked(shapes.NewPayment, given | {"on": options.on or act.today.isoformat()})
    entry = PaymentEntry(body.amount, body.on, body.reference)
    with sentences():
        actions.payment_record(act=act, bill_id=bill.pk, entry=entry, seen=body.seen)
    return _tell(options, bill)


def _unpay(options: Namespace) -> int:
    member, bill = _found(options)
    pk, seen = as_id(options.payment), _moment(options)
    payment = bill.payments.filter(pk=pk).first() if pk else None
    if payment is None:
        ids = ", ".join(str(one.pk) for one in bill.payments.all()) or "none"
        raise CommandError(f"{_name(bill)} has no payment {options.payment!r}. There are: {ids}.")
    amount = money(payment.amount, bill.currency)
    confirm(f"Take back the payment of {amount} on {_name(bill)}?", yes=options.yes)
    with sentences():
        actions.payment_remove(act=_act(member), bill_id=bill.pk, payment_id=payment.pk, seen=seen)
    return _tell(options, bill)


def _resolve(options: Namespace) -> int:
    member, bill = _found(options)
    with sentences():
        ids = held_up.undecided(member, bill, options.unit)
        actions.conflict_resolve(act=_act(member), conflict_ids=ids, choice=options.choice)
    return _tell(options, bill)


def _retry(options: Namespace) -> int:
    member, bill = _found(options)
    with sentences():
        actions.item_retry(act=_act(member), item_ids=held_up.retriable(member, bill))
    return _tell(options, bill)


# --- what they share ---------------------------------------------------------------------------


def _found(options: Namespace) -> tuple[Membership, Bill]:
    member = member_of(options)
    return member, find_bill(open_books(member.business, timezone.now()), options.bill)


def _act(member: Membership) -> Act:
    return Act(member, timezone.now())


def _name(bill: Bill) -> str:
    return f"bill {bill.number or bill.pk} for {bill.client.name}"


def _seen_of(options: Namespace) -> dict[str, Any]:
    return {"seen": options.seen} if options.seen else {}


def _moment(options: Namespace) -> Any:
    """`--seen` as a moment, by the API's rules."""
    return checked(shapes.SeenQuery, _seen_of(options)).seen


def _given(options: Namespace, member: Membership) -> dict[str, Any]:
    """The fields that were typed, over those of `--body`."""
    given = read_body(options.body) if options.body else {}
    for name in HEAD:
        typed = getattr(options, name)
        if typed is not None:
            given[name] = None if name in DAYS and not typed else typed
    if options.client is not None:
        given["client_id"] = _client(member, options.client).pk
    if options.sent is not None:
        given["sent"] = options.sent == "yes"
    if options.lines:
        names = ("description", "quantity", "unit_amount", "tax_rate")
        given["lines"] = [dict(zip(names, line, strict=True)) for line in options.lines]
    return given


def _client(member: Membership, text: str) -> Client:
    """The client of this id or name."""
    rows = Client.objects.filter(business=member.business).order_by("id")
    found = list(rows.filter(name=text)[:6])
    if not found and (number := as_id(text)):
        found = list(rows.filter(pk=number))
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(one.pk) for one in found)
        raise CommandError(f"Several clients are called {text!r}. Give an id: {ids}.")
    raise CommandError(f"{member.business.name} has no client {text!r}.")


def _tell(options: Namespace, bill: Bill) -> int:
    """The bill as it is now."""
    books = open_books(bill.business, timezone.now())
    row = present.with_everything(books.bills()).get(pk=bill.pk)
    (told,) = present.bill_outs([row], books)
    say(options, told, "\n".join(_words(row, told)))
    return OK


def _words(bill: Bill, told: shapes.BillOut) -> Iterator[str]:
    owed, total = money(bill.outstanding, bill.currency), money(bill.total, bill.currency)
    due = f", due {long_day(bill.due_on)}" if bill.due_on else ""
    number = f"{bill.number} (id {bill.pk})" if bill.number else f"id {bill.pk}"
    yield (
        f"Bill {number} for {bill.client.name}: {told.shown_status}{due}, "
        f"{owed} outstanding of {total}"
    )
    for payment in bill.payments.all():
        on = f" on {long_day(payment.on)}" if payment.on else ""
        reference = f", {without_marker(payment.reference)}" if payment.reference else ""
        amount = money(payment.amount, bill.currency)
        yield f"  {payment.kind} {payment.pk}: {amount}{on}{reference}"
    yield f"  {told.sync.label}: {told.sync.sentence}"
    yield from item_words(told.sync.items)
    for conflict in told.sync.conflicts:
        yield f"  overridden: {conflict.unit}: ours {conflict.ours}, Xero {conflict.xero}"


def item_words(items: list[shapes.ItemOut]) -> Iterator[str]:
    """What is on its way, a line each, with what keeps it."""
    for item in items:
        amount = f" of {item.amount} {item.currency}" if item.amount else ""
        why = f": {item.error} {item.remedy}" if item.error else ""
        yield f"  item {item.id}, {item.kind}{amount}: {item.label}{why}"
        if item.xero_text and item.error and item.xero_text not in item.error:
            yield f"    Xero said: {item.xero_text}"
        for contact in item.contacts:
            archived = ", archived" if contact.archived else ""
            yield f"    contact {contact.id}: {contact.name} {contact.email}{archived}"


COMMANDS = (
    Command("bill show", "show a bill and how far its changes have come", _show_arguments, _show),
    Command("bill create", "add a bill, also in Xero if wanted", _create_arguments, _create),
    Command("bill edit", "change a bill; what is not named stays", _edit_arguments, _edit),
    Command("bill approve", "make a draft active", _approve_arguments, _approve),
    Command("bill void", "take a bill out of every total", _void_arguments, _void),
    Command("bill discard", "undo what has not reached Xero", _discard_arguments, _discard),
    Command("bill send-to-xero", "make a bill an invoice in Xero", _send_arguments, _send),
    Command("bill pay", "record a payment", _pay_arguments, _pay),
    Command("bill unpay", "take a payment back", _unpay_arguments, _unpay),
    Command("bill resolve", "decide what Xero overrode", _resolve_arguments, _resolve),
    Command("bill retry", "try again what was refused", _retry_arguments, _retry),
)
