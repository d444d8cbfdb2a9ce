"""What we send and what stands in Xero afterwards: the real client against the local Xero.

I-20 (each element by itself), I-21 (only what was changed), I-36 (nothing without permission).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from tests.xero.books import Books, line, no_writing

from justpayme.core.bill import BillFields, Status, TaxMode, TrackingFields
from justpayme.core.errors import Problem
from justpayme.core.outbox import Outcome
from justpayme.xero import oauth, outgoing, translate, wire
from justpayme.xero.outgoing import Change, New, NewContact, NewPayment

ALICE_WANTS: dict[str, dict[str, Any]] = {
    "number": {"number": "JPM-<2026>/7"},
    "reference": {"reference": "Order “9” \\ <script>'\""},
    "issued_on": {"issued_on": date(2026, 10, 31)},
    "due_on": {"due_on": date(2027, 2, 28)},
    "expected_on": {"expected_on": date(2026, 12, 24)},
    "sent": {"sent": True},
    "url": {"url": "https://example.org/bill?id=1&x=<y>"},
    "money": {"currency": "EUR", "rate": Decimal("1.171")},
    "lines": {"lines": (line(description="Another <b>", unit_amount=Decimal("0.0001")),)},
}
"""Unit -> what the bill says then."""

SHOWS = {
    "number": {"InvoiceNumber"},
    "reference": {"Reference"},
    "client": {"Contact"},
    "issued_on": {"Date", "DateString"},
    "due_on": {"DueDate", "DueDateString"},
    "expected_on": {"ExpectedPaymentDate", "ExpectedPaymentDateString"},
    "sent": {"SentToContact"},
    "url": {"Url"},
    "branding_theme": {"BrandingThemeID"},
    "money": {"CurrencyCode", "CurrencyRate"},
    "lines": {"LineItems", "SubTotal", "TotalTax", "Total", "AmountDue"},
    "status": {"Status"},
}
"""Unit -> the keys of an invoice that it may move; its stamp always moves."""


@pytest.fixture
def books() -> Books:
    return Books()


def contacts(books: Books) -> dict[str, wire.Contact]:
    """All contacts, word for word, by id."""
    return {c.contact_id: c for c in books.client.contacts(1, None, True).rows}


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Keys whose values differ, but for the stamps."""
    keys = before.keys() | after.keys()
    stamps = {"UpdatedDateUTC", "UpdatedDateUTCString"}
    return {k for k in keys - stamps if before.get(k) != after.get(k)}


@pytest.mark.parametrize("unit", [*ALICE_WANTS, "client", "branding_theme"])
def test_a_change_of_one_thing_leaves_all_else_and_the_contact_as_they_were(
    books: Books, unit: str
) -> None:
    """I-21, for every unit: all other keys of the invoice, and every contact, are compared."""
    wanted = ALICE_WANTS.get(unit, {})
    if unit == "client":
        wanted = {"client": books.contact(1)}
    if unit == "branding_theme":
        wanted = {"branding_theme": books.ledger.organisation.themes[1].id}
    invoice = books.made()
    before, people = books.raw(invoice), contacts(books)
    answer = books.change(invoice, unit, bill=replace(books.bill(invoice), **wanted))
    assert [e.messages for e in answer.elements if not e.ok] == []
    after = books.raw(invoice)
    changed = differing(before, after)
    assert changed
    assert changed <= SHOWS[unit]
    assert contacts(books) == people
    now = books.bill(invoice)
    for field, value in wanted.items():
        if field != "lines":
            assert getattr(now, field) == value


def test_lines_keep_their_ids_and_those_taken_out_go(books: Books) -> None:
    invoice = books.made(lines=tuple(line(description=f"Line {n}") for n in range(3)))
    first, second, third = books.bill(invoice).lines
    edited = replace(third, unit_amount=Decimal("12.3456"))
    new = line(description="New – “quoted”")
    bill = replace(books.bill(invoice), lines=(edited, new, first))
    assert books.change(invoice, "lines", bill=bill).outcome is Outcome.DONE
    after = books.bill(invoice).lines
    assert [x.remote_id for x in (after[0], after[2])] == [third.remote_id, first.remote_id]
    assert after[1].remote_id not in {first.remote_id, second.remote_id, third.remote_id, ""}
    assert after[0].unit_amount == Decimal("12.3456")
    assert after[2] == first


def test_a_tax_amount_typed_in_xero_stays_when_other_things_of_the_line_change(
    books: Books,
) -> None:
    """I-21: somebody there made it 19.99 instead of 20.00."""
    invoice = books.made(lines=(line(), line()))
    before = books.bill(invoice)
    typed = [
        {"LineItemID": x.remote_id, **({"TaxAmount": 19.99} if n else {})}
        for n, x in enumerate(before.lines)
    ]
    body = msgspec.json.encode({"Invoices": [{"InvoiceID": invoice, "LineItems": typed}]})
    books.send(outgoing.Request("POST", "Invoices", outgoing.FOUR_PLACES, body))
    now = books.bill(invoice)
    assert now.lines[1].tax_amount == Decimal("19.99")
    lines = tuple(replace(x, description="Said better") for x in now.lines)
    assert books.change(invoice, "lines", bill=replace(now, lines=lines)).outcome is Outcome.DONE
    assert books.bill(invoice) == replace(now, lines=lines)


def test_what_is_taken_off_a_line_is_gone_in_xero(books: Books) -> None:
    """A discount, an item and a tracking category; and numbers, by making the line anew."""
    full = line(
        discount_rate=Decimal("12.5"),
        item_code="PAINT",
        tracking=(TrackingFields("Region", "North"),),
    )
    invoice = books.made(lines=(full, line(discount_amount=Decimal("1.50")), line()))
    one, two, three = books.bill(invoice).lines
    assert (one.discount_rate, two.discount_amount) == (Decimal("12.5"), Decimal("1.5"))
    plain = replace(one, discount_rate=None, item_code="", tracking=())
    words = replace(three, quantity=None, unit_amount=None, account_code="", tax_type="")
    wanted = (plain, replace(two, discount_amount=None), words)
    books.change(invoice, "lines", bill=replace(books.bill(invoice), lines=wanted))
    found = books.bill(invoice).lines
    assert (found[0].discount_rate, found[0].item_code, found[0].tracking) == (None, "", ())
    assert found[0].remote_id == one.remote_id
    assert found[1].discount_amount is None
    assert (found[2].quantity, found[2].line_amount) == (None, Decimal(0))


@pytest.mark.parametrize(("begin", "stored"), [("DRAFT", "DELETED"), ("AUTHORISED", "VOIDED")])
def test_void_here_is_void_or_deleted_there_and_nothing_else(
    books: Books, begin: str, stored: str
) -> None:
    invoice = books.made(begin)
    before = books.raw(invoice)
    bill = replace(books.bill(invoice), status=Status.VOID, reference="not to be sent")
    answer = books.change(invoice, "reference", "status", bill=bill)
    assert answer.outcome is Outcome.DONE
    after = books.raw(invoice)
    assert after["Status"] == stored
    assert differing(before, after) <= {"Status", "AmountDue"}
    assert books.bill(invoice).status is Status.VOID


def test_a_draft_is_approved_with_its_last_edit_in_one_request(books: Books) -> None:
    invoice = books.made("DRAFT")
    bill = replace(books.bill(invoice), status=Status.ACTIVE, reference="Final")
    assert books.change(invoice, "reference", "status", bill=bill).outcome is Outcome.DONE
    assert books.bill(invoice) == replace(bill, status=Status.ACTIVE)


@pytest.mark.parametrize("status", ["AUTHORISED", "DRAFT"])
def test_a_new_bill_is_in_xero_as_it_is_here(books: Books, status: str) -> None:
    theme = books.ledger.organisation.themes[1].id
    bill = books.new_bill(
        number="JPM-77",
        url="https://example.org/b/77",
        expected_on=date(2026, 12, 2),
        tax_mode=TaxMode.INCLUSIVE,
        sent=status == "AUTHORISED",
    )
    (element,) = books.send(outgoing.create_invoices([New(bill, status, theme)])).elements
    now = books.bill(element.id)
    names = ("number", "reference", "client", "issued_on", "due_on", "expected_on", "sent", "url")
    assert [getattr(now, n) for n in names] == [getattr(bill, n) for n in names]
    assert (now.branding_theme, now.tax_mode) == (theme, TaxMode.INCLUSIVE)
    assert now.status is (Status.ACTIVE if status == "AUTHORISED" else Status.DRAFT)
    assert [x.unit_amount for x in now.lines] == [Decimal("99.9999")] * 2


def test_a_number_in_use_is_refused_and_the_other_invoice_untouched(books: Books) -> None:
    """PUT, because POST would overwrite it (xero-facts 3.4)."""
    held = books.made(number="JPM-1")
    before = books.raw(held)
    answer = books.send(outgoing.create_invoices([New(books.new_bill(number="jpm-1"))]))
    assert (answer.outcome, answer.elements[0].code()) == (Outcome.REFUSED, "number_in_use")
    assert answer.elements[0].messages == ("Invoice # must be unique.",)
    assert answer.elements[0].id == ""
    assert books.raw(held) == before


def test_a_payment_is_recorded_and_removed(books: Books) -> None:
    invoice = books.made()
    paid = books.pay(invoice, "120.01", "Thanks “ł” (JPM-0123456789)")
    (payment,) = books.bill(invoice).payments
    assert (payment.remote_id, payment.amount) == (paid, Decimal("120.01"))
    assert payment.on == date(2026, 11, 20)
    assert payment.reference == "Thanks “ł” (JPM-0123456789)"
    (whole,) = books.client.payments_by_invoice([invoice])
    facts = translate.to_payment(whole)
    assert facts.account_id == books.account()
    assert (facts.on, facts.reference) == (payment.on, payment.reference)
    answer = books.send(outgoing.delete_payment(paid))
    assert (answer.outcome, answer.elements[0].id) == (Outcome.DONE, paid)
    assert books.bill(invoice).payments == ()
    assert not translate.to_payment(books.client.payments_by_invoice([invoice])[0]).live


def test_two_equal_payments_are_two(books: Books) -> None:
    """I-15."""
    invoice = books.made()
    one = NewPayment(invoice, books.account(), date(2026, 11, 20), Decimal("10.00"), "same")
    answer = books.send(outgoing.create_payments([one, one]))
    assert len({e.id for e in answer.elements}) == 2
    assert books.bill(invoice).paid == Decimal(20)


def test_a_bill_in_euro_is_paid_into_the_euro_account(books: Books) -> None:
    invoice = books.made(currency="EUR")
    new = NewPayment(invoice, books.account("091"), date(2026, 11, 20), Decimal("1.23"), "")
    assert books.send(outgoing.create_payments([new])).outcome is Outcome.DONE
    assert books.bill(invoice).paid == Decimal("1.23")


def test_a_payment_of_a_part_paid_bill_leaves_what_may_change_open(books: Books) -> None:
    """Description and account of a line may be sent with money on the bill (xero-facts 3.10)."""
    invoice = books.made()
    books.pay(invoice, "1.00")
    bill = books.bill(invoice)
    lines = (replace(bill.lines[0], description="Said better", account_code="260"), bill.lines[1])
    assert books.change(invoice, "lines", bill=replace(bill, lines=lines)).outcome is Outcome.DONE
    assert books.bill(invoice).lines == lines
    dearer = (replace(bill.lines[0], quantity=Decimal(7)), bill.lines[1])
    answer = books.change(invoice, "lines", bill=replace(bill, lines=dearer))
    assert answer.elements[0].code() == "paid_invoice_edit"


def test_a_client_becomes_a_contact_and_nobody_is_changed(books: Books) -> None:
    before = contacts(books)
    new = NewContact(
        "jpm:client:1",
        "  Zoë  O'Neill & “Sons” ",
        "zoe@example.org",
        "+44 20 7946 0000",
        "1 Quay\nHarbour\nStrand\nCork\nIreland",
    )
    taken = NewContact("jpm:client:2", next(iter(before.values())).name)
    answer = books.send(outgoing.create_contacts([new, taken]))
    assert [e.ok for e in answer.elements] == [True, False]
    assert answer.elements[1].code() == "contact_exists"
    after = contacts(books)
    made = after.pop(answer.elements[0].id)
    assert after == before
    assert (made.name, made.contact_number) == ("Zoë O'Neill & “Sons”", "jpm:client:1")
    client = translate.to_client(made)
    assert (client.email, client.phone) == ("zoe@example.org", "+44 20 7946 0000")
    again = books.send(outgoing.create_contacts([replace(new, name="Another")]))
    assert again.elements[0].code() == "contact_number_taken"


def test_each_element_of_a_batch_is_judged_by_itself(books: Books) -> None:
    """I-20: one call, 200, four fates; good ones are saved."""
    fine, paid, void, gone = books.made(), books.made(), books.made(), str(uuid4())
    books.pay(paid, "1.00")
    books.act("void-invoice", invoice=void)
    changes = [
        Change(i, replace(books.new_bill(), issued_on=date(2026, 11, 2)), ("issued_on",), s)
        for i, s in [
            (fine, Status.ACTIVE),
            (paid, Status.ACTIVE),
            (void, Status.ACTIVE),
            (gone, Status.ACTIVE),
        ]
    ]
    answer = books.send(outgoing.update_invoices(changes))
    assert answer.outcome is Outcome.DONE
    assert [e.ok for e in answer.elements] == [True, False, False, False]
    assert [e.code() for e in answer.elements[1:]] == [
        "paid_invoice_edit",
        "status_not_valid",
        "not_found_in_xero",
    ]
    assert books.bill(fine).issued_on == date(2026, 11, 2)
    assert books.bill(paid).issued_on == date(2026, 11, 1)


def test_the_same_request_again_with_its_key_does_nothing_twice(books: Books) -> None:
    """I-18: within Xero's six minutes the first answer comes again, word for word."""
    request = outgoing.create_invoices([New(books.new_bill(number="JPM-2"))])
    first = books.send(request, "jpm:t:1")
    again = books.send(request, "jpm:t:1")
    assert again == first
    assert first.outcome is Outcome.DONE
    assert len(books.client.invoices_by_number(["JPM-2"])) == 1


def test_a_key_of_another_request_is_unclear(books: Books) -> None:
    books.send(outgoing.create_invoices([New(books.new_bill())]), "jpm:t:2")
    answer = books.send(outgoing.create_invoices([New(books.new_bill(number="X"))]), "jpm:t:2")
    assert answer.outcome is Outcome.UNCLEAR
    assert answer.problem is not None
    assert answer.problem.code == "send_clash"


def test_what_xero_cannot_read_is_refused_as_a_whole(books: Books) -> None:
    request = replace(
        outgoing.create_invoices([New(books.new_bill())]),
        body=b'{"Invoices":[{"Type":"ACCREC","Date":"soon"}]}',
    )
    answer = books.send(request)
    assert (answer.outcome, answer.elements) == (Outcome.REFUSED, ())
    assert answer.problem is not None
    assert answer.problem.code == "unreadable_request"


def test_removing_a_payment_that_is_not_there_is_refused(books: Books) -> None:
    answer = books.send(outgoing.delete_payment(str(uuid4())))
    assert answer.outcome is Outcome.REFUSED
    assert answer.problem is not None
    assert answer.problem.code == "not_found_in_xero"
    paid = books.pay(books.made(), "1.00")
    books.send(outgoing.delete_payment(paid))
    (element,) = books.send(outgoing.delete_payment(paid)).elements
    assert (element.ok, element.code()) == (False, "not_found_in_xero")


REQUESTS = {
    "update": lambda b: outgoing.update_invoices(
        [Change(str(uuid4()), b, ("reference",), Status.ACTIVE)]
    ),
    "create": lambda b: outgoing.create_invoices([New(b)]),
    "pay": lambda b: outgoing.create_payments(
        [NewPayment(str(uuid4()), str(uuid4()), date(2026, 1, 1), Decimal(1), "")]
    ),
    "unpay": lambda b: outgoing.delete_payment(str(uuid4())),
    "contact": lambda b: outgoing.create_contacts([NewContact("1", "Bob")]),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_nothing_is_sent_without_permission(books: Books, kind: str) -> None:
    """I-36: the log of the local Xero has no call at all, and no token was asked for."""
    asked: list[bool] = []

    def token(force: bool) -> str:
        asked.append(force)
        return books.token(force)

    client = books.make_client(may_write=no_writing)
    client.token = token
    with pytest.raises(Problem) as caught:
        client.send(REQUESTS[kind](books.new_bill()), key="k")
    assert caught.value.code == "read_only"
    assert (asked, books.xero.counts().get("total", 0)) == ([], 0)


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_consent_to_read_cannot_write_even_if_we_try(kind: str) -> None:
    books = Books(scopes=oauth.READ_SCOPES)
    answer = books.send(REQUESTS[kind](BillFields(number="7", client=str(uuid4()), reference="x")))
    assert answer.outcome is Outcome.LIMITED
    assert answer.problem is not None
    assert answer.problem.code == "write_permission_missing"


FAULTS = {
    "error_500": Outcome.UNCLEAR,
    "error_502": Outcome.UNCLEAR,
    "error_503": Outcome.UNCLEAR,
    "timeout_before": Outcome.UNCLEAR,
    "timeout_after": Outcome.UNCLEAR,
    "keys_down": Outcome.UNCLEAR,
    "write_500": Outcome.UNCLEAR,
    "limit_minute": Outcome.LIMITED,
    "limit_day": Outcome.LIMITED,
    "limit_app": Outcome.LIMITED,
    "limit_concurrent": Outcome.LIMITED,
    "forbidden": Outcome.LIMITED,
    "expire_tokens": Outcome.DONE,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_write_is_tried_once_whatever_happens(books: Books, kind: str) -> None:
    """F2, F4, F5, F11: no repeat of our own; an expired token alone is renewed."""
    books.xero.clock.advance(61)
    request = outgoing.create_invoices([New(books.new_bill(number="JPM-3"))])
    books.xero.fault(kind, method="PUT", **({} if kind == "expire_tokens" else {"count": None}))
    answer = books.client.send(request, key="k")
    assert answer.outcome is FAULTS[kind]
    assert books.xero.counts()["mutating"] == (2 if kind == "expire_tokens" else 1)
    assert (answer.problem is None) == (kind == "expire_tokens")
    books.xero.heal()
    books.xero.clock.advance(61)
    done = kind in ("timeout_after", "expire_tokens")
    assert len(books.make_client().invoices_by_number(["JPM-3"])) == done
