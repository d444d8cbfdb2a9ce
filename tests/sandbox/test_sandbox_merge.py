"""Contacts merged by a person: facts 4.4."""

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.test_sandbox_write_invoices import UK, contact, put, read, refusal

from xero_sandbox import FrozenClock

STAYS = "Ridgeway University"


def test_the_survivor_takes_over_everything(writer: Xero, clock: FrozenClock) -> None:
    """4.4: the other is archived, names the survivor, and gets no new documents."""
    made, gone, stays = put(writer), contact(writer), contact(writer, STAYS)
    note = writer.act("give-credit", tenant=UK, contact=gone.id, amount="10").json()
    clock.advance(60)
    merged = writer.act("merge-contact", tenant=UK, contact=gone.id, into=STAYS).json()
    assert (merged["ContactStatus"], merged["MergedToContactID"]) == ("ARCHIVED", stays.id)
    assert read(writer, made)["Contact"]["ContactID"] == stays.id
    (credit,) = writer.get(f"CreditNotes/{note['CreditNoteID']}").json()["CreditNotes"]
    assert credit["Contact"]["ContactID"] == stays.id
    given = {"Type": "ACCREC", "Contact": {"ContactID": gone.id}}
    assert refusal(writer.write("PUT", "Invoices", given))
    ledger = writer.sandbox.store.ledgers[writer.tenant()]
    assert gone.id not in {invoice.contact_id for invoice in ledger.invoices.rows.values()}


@pytest.mark.parametrize(
    "into", ["", "nobody's", "Café Zoë – Ñandú S.L.", "Closed Shop (archived)"]
)
def test_what_cannot_be_merged_says_why(writer: Xero, into: str) -> None:
    gone = contact(writer)
    answer = writer.act("merge-contact", tenant=UK, contact=gone.id, into=into)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert contact(writer) == gone


def test_contacts_are_merged_on_the_page(writer: Xero) -> None:
    gone = contact(writer)
    back = f"/org/{writer.tenant()}/contacts"
    assert f"Merge {gone.name} into" in writer.http.get(back).text
    form = {"tenant": writer.tenant(), "back": back, "contact": gone.id, "into": STAYS}
    answer = writer.http.post("/do/merge-contact", data=form)
    assert answer.status_code == 303
    assert contact(writer, gone.name).merged_to == contact(writer, STAYS).id
