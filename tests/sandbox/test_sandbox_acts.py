"""What the Xero user does by hand, and what Xero allows: xero-facts 3.2, 3.10, 3.11, 4.1, 4.2."""

import json
from decimal import Decimal

import pytest
from tests.sandbox.client import Xero

from xero_sandbox import FrozenClock
from xero_sandbox.act import ACTIONS
from xero_sandbox.act_fields import FIELDS
from xero_sandbox.model import Invoice
from xero_sandbox.rules import HAS_MONEY, NOT_AUTHORISED, NOT_MODIFIABLE, TOO_MUCH, VOID_WITH_MONEY

UK = "Demo Company (UK)"


@pytest.fixture
def open_invoice(xero: Xero) -> Invoice:
    """An authorised sale in pounds with nothing paid and one plain line."""
    made = xero.act(
        "create-invoice",
        tenant=UK,
        contact=next(
            c.id
            for c in xero.sandbox.store.ledgers[xero.tenant()].contacts.rows.values()
            if c.name == "Café Zoë – Ñandú S.L."
        ),
        description="Lesson",
        quantity=2,
        unit_amount="50.00",
        due_date="2026-12-06",
    ).json()
    return stored(xero, made["InvoiceID"])


def stored(xero: Xero, invoice_id: str) -> Invoice:
    return xero.sandbox.store.ledgers[xero.tenant()].invoices.rows[invoice_id]


def refusal(xero: Xero, action: str, **body: object) -> str:
    answer = xero.act(action, tenant=UK, **body)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


def pay(xero: Xero, invoice: Invoice, amount: str) -> dict:
    answer = xero.act("record-payment", tenant=UK, invoice=invoice.id, amount=amount)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_new_invoice_takes_the_next_number_and_is_priced(open_invoice: Invoice) -> None:
    assert open_invoice.number == "INV-0061"
    assert (open_invoice.sub_total, open_invoice.total_tax) == (Decimal(100), Decimal(20))
    assert open_invoice.total == open_invoice.amount_due == Decimal(120)


def test_changing_a_line_reprices_and_stamps(
    xero: Xero, clock: FrozenClock, open_invoice: Invoice
) -> None:
    clock.advance(5)
    answer = xero.act(
        "edit-line", tenant=UK, invoice=open_invoice.number, line=0, unit_amount="60.555"
    )
    assert answer.json()["Total"] == 145.33
    assert stored(xero, open_invoice.id).updated == clock.now()


def test_paying_in_parts_and_taking_a_payment_back(
    xero: Xero, clock: FrozenClock, open_invoice: Invoice
) -> None:
    pay(xero, open_invoice, "20")
    assert stored(xero, open_invoice.id).status == "AUTHORISED"
    clock.advance(1)
    last = pay(xero, open_invoice, "100.00")
    paid = stored(xero, open_invoice.id)
    assert (paid.status, paid.amount_due) == ("PAID", Decimal(0))
    assert paid.fully_paid_on == clock.now().date()
    assert paid.updated == clock.now()
    clock.advance(1)
    gone = xero.act("remove-payment", tenant=UK, payment=last["PaymentID"]).json()
    assert gone["Status"] == "DELETED"
    owed = stored(xero, open_invoice.id)
    assert (owed.status, owed.amount_due, owed.fully_paid_on) == ("AUTHORISED", 100, None)
    assert owed.updated == clock.now()
    assert "not found" in refusal(xero, "remove-payment", payment=last["PaymentID"])


def test_more_than_is_owed_is_refused(xero: Xero, open_invoice: Invoice) -> None:
    assert refusal(xero, "record-payment", invoice=open_invoice.id, amount="120.01") == TOO_MUCH
    assert stored(xero, open_invoice.id) == open_invoice


def test_payment_on_a_paid_invoice_gives_both_messages(xero: Xero, open_invoice: Invoice) -> None:
    pay(xero, open_invoice, "120")
    text = refusal(xero, "record-payment", invoice=open_invoice.id, amount="1")
    assert text == f"{TOO_MUCH} {NOT_AUTHORISED}"


@pytest.mark.parametrize("account", ["200", "999"])
def test_money_goes_only_to_accounts_that_take_payments(
    xero: Xero, open_invoice: Invoice, account: str
) -> None:
    text = refusal(xero, "record-payment", invoice=open_invoice.id, amount="1", account=account)
    assert "ccount" in text
    ok = xero.act("record-payment", tenant=UK, invoice=open_invoice.id, amount="1", account="881")
    assert ok.status_code == 200


def test_voiding_with_money_is_refused_in_xeros_words(xero: Xero, open_invoice: Invoice) -> None:
    payment = pay(xero, open_invoice, "1")
    assert refusal(xero, "void-invoice", invoice=open_invoice.id) == VOID_WITH_MONEY
    xero.act("remove-payment", tenant=UK, payment=payment["PaymentID"])
    voided = xero.act("void-invoice", tenant=UK, invoice=open_invoice.id).json()
    assert (voided["Status"], voided["AmountDue"]) == ("VOIDED", 0.0)
    assert refusal(xero, "void-invoice", invoice=open_invoice.id) == NOT_MODIFIABLE
    assert refusal(xero, "edit-invoice", invoice=open_invoice.id, reference="x") == NOT_MODIFIABLE


def test_an_authorised_invoice_cannot_be_deleted(xero: Xero, open_invoice: Invoice) -> None:
    assert refusal(xero, "delete-invoice", invoice=open_invoice.id) == NOT_MODIFIABLE


def test_a_draft_can_be_approved_or_deleted(xero: Xero) -> None:
    ledger = xero.sandbox.store.ledgers[xero.tenant()]
    first, second, *_ = [i for i in ledger.invoices.rows.values() if i.status == "DRAFT"]
    approved = xero.act("approve-invoice", tenant=UK, invoice=first.id).json()
    deleted = xero.act("delete-invoice", tenant=UK, invoice=second.id).json()
    assert (approved["Status"], deleted["Status"]) == ("AUTHORISED", "DELETED")


def test_with_money_applied_only_some_fields_may_change(xero: Xero, open_invoice: Invoice) -> None:
    pay(xero, open_invoice, "20")
    invoice = open_invoice.id
    assert refusal(xero, "edit-line", invoice=invoice, unit_amount="1") == HAS_MONEY
    assert refusal(xero, "edit-invoice", invoice=invoice, date="2026-01-01") == HAS_MONEY
    assert xero.act("edit-invoice", tenant=UK, invoice=invoice, reference="y").is_success
    assert xero.act("edit-line", tenant=UK, invoice=invoice, description="z").is_success
    assert stored(xero, invoice).total == open_invoice.total


def test_a_due_date_on_a_part_paid_invoice_moves_no_stamp(
    xero: Xero, clock: FrozenClock, open_invoice: Invoice
) -> None:
    pay(xero, open_invoice, "20")
    before = stored(xero, open_invoice.id).updated
    clock.advance(60)
    xero.act("edit-invoice", tenant=UK, invoice=open_invoice.id, due_date="2027-01-31")
    after = stored(xero, open_invoice.id)
    assert (after.due_date.isoformat(), after.updated) == ("2027-01-31", before)  # type: ignore[union-attr]


def test_a_silent_edit_changes_the_amount_without_a_stamp(
    xero: Xero, clock: FrozenClock, open_invoice: Invoice
) -> None:
    clock.advance(60)
    xero.act("edit-silently", tenant=UK, invoice=open_invoice.id, unit_amount="1", reference="s")
    after = stored(xero, open_invoice.id)
    assert (after.total, after.reference) == (Decimal("2.40"), "s")
    assert after.updated == open_invoice.updated


def test_an_edit_that_changes_nothing_moves_no_stamp(
    xero: Xero, clock: FrozenClock, open_invoice: Invoice
) -> None:
    clock.advance(60)
    xero.act("edit-invoice", tenant=UK, invoice=open_invoice.id, due_date="2026-12-06")
    assert stored(xero, open_invoice.id) == open_invoice


def test_allocating_a_credit_lowers_what_is_owed(
    xero: Xero, clock: FrozenClock, open_invoice: Invoice
) -> None:
    ledger = xero.sandbox.store.ledgers[xero.tenant()]
    note = next(n for n in ledger.credit_notes.rows.values() if not n.allocations)
    mine = xero.act(
        "create-invoice", tenant=UK, contact=note.contact_id, description="x", unit_amount="60"
    ).json()
    body = {"credit": note.number, "invoice": mine["InvoiceID"]}
    assert refusal(xero, "allocate-credit", **body, amount="9999") == TOO_MUCH
    clock.advance(3)
    answer = xero.act("allocate-credit", tenant=UK, **body, amount="72.00").json()
    assert answer["RemainingCredit"] == 24.0
    after = stored(xero, mine["InvoiceID"])
    assert (after.status, after.amount_paid, after.amount_credited) == ("PAID", 0, 72)
    assert after.updated == clock.now()
    other = {"credit": note.number, "invoice": open_invoice.id, "amount": "1"}
    assert "not found" in refusal(xero, "allocate-credit", **other)


def test_a_contact_keeps_its_own_name(connected: Xero, clock: FrozenClock) -> None:
    rows = connected.get("Contacts").json()["Contacts"]
    contact = next(c for c in rows if c["Name"] == "Rex Media Group")["ContactID"]
    clock.advance(9)
    taken = refusal(connected, "rename-contact", contact=contact, name="MARINE SYSTEMS")
    assert "is already assigned to another contact" in taken
    assert "255" in refusal(connected, "rename-contact", contact=contact, name="x" * 256)
    assert refusal(connected, "rename-contact", contact=contact, name=" ")
    new = connected.act("rename-contact", tenant=UK, contact=contact, name="Rex 🦖 & Søn").json()
    assert new["Name"] == "Rex 🦖 & Søn"
    where = f'Contact.ContactID==guid("{contact}")'
    inside = connected.get("Invoices", page="1", where=where).json()["Invoices"]
    assert {i["Contact"]["Name"] for i in inside} == {"Rex 🦖 & Søn"}


def test_an_archived_contact_gets_no_new_invoice(xero: Xero, open_invoice: Invoice) -> None:
    archived = xero.act("archive-contact", tenant=UK, contact=open_invoice.contact_id).json()
    assert archived["ContactStatus"] == "ARCHIVED"
    text = refusal(
        xero, "create-invoice", contact=open_invoice.contact_id, description="x", unit_amount="1"
    )
    assert "has been archived" in text
    assert stored(xero, open_invoice.id).amount_due == 120


def test_numbers_are_unique(xero: Xero, open_invoice: Invoice) -> None:
    text = refusal(
        xero,
        "create-invoice",
        contact=open_invoice.contact_id,
        description="x",
        unit_amount="1",
        number="inv-0061",
    )
    assert text == "Invoice # must be unique."
    assert (
        refusal(xero, "edit-invoice", invoice=open_invoice.id, number="INV-0001")
        == "Invoice # must be unique."
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"unit_amount": "a lot"}, "unit_amount"),
        ({"unit_amount": "1e400"}, "unit_amount"),
        ({"unit_amount": "NaN"}, "unit_amount"),
        ({"unit_amount": ["1"]}, "unit_amount"),
        ({"unit_amount": True}, "unit_amount"),
        ({"quantity": {"a": 1}}, "quantity"),
        ({"description": "\x00"}, "description"),
        ({"description": "x" * 4_001}, "description"),
    ],
)
def test_bad_values_name_their_field(
    xero: Xero, open_invoice: Invoice, body: dict, field: str
) -> None:
    assert refusal(xero, "edit-line", invoice=open_invoice.id, **body).startswith(f"{field}:")
    assert stored(xero, open_invoice.id) == open_invoice


def test_negative_quantities_and_totals_are_refused(xero: Xero, open_invoice: Invoice) -> None:
    text = refusal(xero, "edit-line", invoice=open_invoice.id, quantity="-1")
    assert text.startswith("The quantity value '-1.0000' is invalid.")
    text = refusal(xero, "edit-line", invoice=open_invoice.id, unit_amount="-1")
    assert "greater than or equal to zero" in text


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("dance", {"tenant": UK}),
        ("void-invoice", {}),
        ("void-invoice", {"tenant": "nobody", "invoice": "INV-0001"}),
        ("void-invoice", {"tenant": UK}),
        ("void-invoice", {"tenant": UK, "invoice": "INV-9999"}),
        ("edit-invoice", {"tenant": UK, "invoice": "INV-0001", "due_date": "soon"}),
        ("edit-line", {"tenant": UK, "invoice": "INV-0001", "line": "77", "quantity": 1}),
        ("rename-contact", {"tenant": UK, "contact": "nobody", "name": "x"}),
    ],
)
def test_impossible_actions_say_why(xero: Xero, action: str, body: dict) -> None:
    answer = xero.http.post(f"/sandbox/act/{action}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_field_that_an_action_does_not_take_is_refused_by_name(
    connected: Xero, open_invoice: Invoice
) -> None:
    """A misspelt one would look as if it had been set."""
    for action in FIELDS:
        answer = connected.act(action, refernce="x")
        assert answer.status_code == 400, action
        assert answer.json()["error"].startswith("refernce: there is no such field here")
    assert stored(connected, open_invoice.id) == open_invoice


def test_every_action_says_which_fields_it_takes() -> None:
    assert FIELDS.keys() == ACTIONS.keys() | {"revoke"}


def test_revoke_everything(connected: Xero) -> None:
    assert connected.act("revoke").json() == {"revoked": True}
    assert connected.get("Invoices").status_code == 403
    rows = connected.http.get("/sandbox/organisations").json()
    assert [r["connected"] for r in rows] == [False, False]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("act/switch", {"tenant": "Demo Company (UK)", "period_lock_date": "\ud800"}),
        ("faults", {"kind": "\ud800"}),
        ("limits", {"minute": "\ud800"}),
        ("webhooks", {"url": "\ud800", "key": "k"}),
    ],
)
def test_half_characters_are_bad_input(xero: Xero, path: str, body: dict[str, str]) -> None:
    answer = xero.http.post(f"/sandbox/{path}", content=json.dumps(body))
    assert answer.status_code == 400
    assert answer.json()["error"]
