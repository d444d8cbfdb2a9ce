"""What is written survives: the SQLite file behind the store."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace
from tests.sandbox.client import NOW, REDIRECT, WRITE_SCOPES, Xero

from xero_sandbox import FrozenClock, Store, create_app
from xero_sandbox.model import Contact, sql_guid_key
from xero_sandbox.oauth import App
from xero_sandbox.seed import big_organisation, seed
from xero_sandbox.store import Table


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "xero.sqlite3"


def open_xero(store: Store, clock: FrozenClock) -> Xero:
    app = App(client_id="cid", client_secret="secret", redirect_uris=(REDIRECT,))
    return Xero(create_app(store, clock=clock, app=app))


def test_books_and_access_survive_a_restart(file: Path, clock: FrozenClock) -> None:
    first = Store(file)
    seed(first, 1, NOW)
    xero = open_xero(first, clock)
    xero.connect()
    xero.act("edit-invoice", tenant="Demo Company (UK)", invoice="INV-0001", reference="kept")
    access, refresh = xero.access, xero.refresh
    first.close()

    second = Store(file)
    again = open_xero(second, clock)
    again.access, again.refresh = access, refresh
    assert again.get("Invoices/INV-0001").json()["Invoices"][0]["Reference"] == "kept"
    assert again.refreshed().status_code == 200
    for tenant, ledger in first.ledgers.items():
        other = second.ledgers[tenant]
        assert other.organisation == ledger.organisation
        assert other.invoices.rows == ledger.invoices.rows
        assert other.payments.rows == ledger.payments.rows
        assert other.invoices.by_updated == ledger.invoices.by_updated
        assert other.payments_of == ledger.payments_of
    second.close()


def test_money_ahead_and_settings_survive_a_restart(file: Path, clock: FrozenClock) -> None:
    first = Store(file)
    seed(first, 1, NOW)
    xero, uk = open_xero(first, clock), {"tenant": "Demo Company (UK)"}
    for action in ("receive-overpayment", "receive-prepayment"):
        given = {"contact": "C004", "amount": "10", **uk}
        assert xero.act(action, **given).status_code == 200
    assert xero.act("lock", period_lock_date="2025-01-31", **uk).status_code == 200
    assert xero.act("refuse-payments", account="881", **uk).status_code == 200
    first.close()
    second = Store(file)
    old, new = (store.ledgers[xero.tenant()] for store in (first, second))
    assert (new.overpayments.rows, new.prepayments.rows) == (
        old.overpayments.rows,
        old.prepayments.rows,
    )
    assert len(new.overpayments.rows) == len(new.prepayments.rows) == 1
    assert new.organisation == old.organisation
    second.close()


def test_what_is_answered_is_already_in_the_file(file: Path, clock: FrozenClock) -> None:
    """A process killed right after an answer has lost nothing: no close is needed."""
    first = Store(file)
    seed(first, 1, NOW)
    xero = open_xero(first, clock)
    xero.connect()
    xero.act("disconnect", tenant="Demo Company (UK)")
    second = Store(file)
    assert [c.tenant_id for c in second.connections.values()] == [xero.tenant("NZ")]
    assert xero.refresh in second.refresh_tokens
    second.close()
    first.close()


def test_a_demo_reset_survives_too(file: Path, clock: FrozenClock) -> None:
    store = Store(file)
    seed(store, 1, NOW)
    xero = open_xero(store, clock)
    old = xero.tenant()
    xero.http.post("/sandbox/faults", json={"kind": "reset_demo", "parameters": {"tenant": old}})
    again = Store(file)
    assert set(again.ledgers) == set(store.ledgers)
    assert old not in again.ledgers
    assert len(again.ledgers[xero.tenant()].invoices.rows) == 68
    again.close()
    store.close()


def test_a_table_stays_in_order_through_changes(clock: FrozenClock) -> None:
    table: Table[Contact] = Table()
    ids = [str(uuid4()) for _ in range(50)]
    for index, contact_id in enumerate(ids):
        moment = NOW + timedelta(seconds=index % 7)
        table.put(Contact(id=contact_id, name="x", updated=moment))
    for contact_id in ids[::3]:
        table.put(Contact(id=contact_id, name="y", updated=NOW + timedelta(seconds=99)))
    assert len(table.by_id) == len(table.by_updated) == 50
    assert [i for _, i in table.by_id] == sorted(ids, key=sql_guid_key)
    stamps = [(table.rows[i].updated, sql_guid_key(i)) for _, _, i in table.since(None)]
    assert stamps == sorted(stamps)
    late = table.since(NOW + timedelta(seconds=50))
    assert {table.rows[i].name for _, _, i in late} == {"y"}


@pytest.mark.parametrize("order", ["", "InvoiceID", "InvoiceID DESC", "InvoiceNumber DESC"])
@pytest.mark.parametrize("since", [None, (NOW - timedelta(days=30)).isoformat()])
def test_what_a_question_found_is_forgotten_when_the_books_change(
    connected: Xero, order: str, since: str | None
) -> None:
    connected.http.post("/sandbox/limits", json={"minute": None})
    headers = {"If-Modified-Since": since} if since else {}
    args = {"page": "1", "pageSize": "1000", "where": 'Type=="ACCREC" AND Status!="VOIDED"'}

    def asked() -> dict[str, str]:
        rows = connected.get("Invoices", headers=headers, **args, order=order).json()["Invoices"]
        return {row["InvoiceID"]: row["Reference"] for row in rows}

    ledger = connected.sandbox.store.ledgers[connected.tenant()]
    before = asked()
    wanted = next(i for i, r in ledger.invoices.rows.items() if r.status == "AUTHORISED")
    gone = next(i for i in before if i != wanted and ledger.invoices.rows[i].status == "DRAFT")
    connected.act("edit-invoice", tenant=ledger.organisation.id, invoice=wanted, reference="new")
    connected.sandbox.store.save(
        ledger.organisation.id, replace(ledger.invoices.rows[gone], status="VOIDED")
    )
    after = asked()
    assert after[wanted] == "new"
    assert gone in before
    assert gone not in after
    ledger.selections.clear()
    assert list(asked()) == list(after)


def test_a_rendered_row_is_forgotten_when_anything_in_it_changes(connected: Xero) -> None:
    uk = "Demo Company (UK)"

    def row() -> dict:
        rows = connected.get("Invoices", InvoiceNumbers="INV-0061", page="1").json()["Invoices"]
        return rows[0]

    ledger = connected.sandbox.store.ledgers[connected.tenant()]
    contact = next(c for c in ledger.contacts.rows.values() if c.name == "City Agency")
    connected.act(
        "create-invoice", tenant=uk, contact=contact.id, description="x", unit_amount="10"
    )
    assert row()["Payments"] == []
    paid = connected.act("record-payment", tenant=uk, invoice="INV-0061", amount="1").json()
    assert len(row()["Payments"]) == 1
    connected.act("remove-payment", tenant=uk, payment=paid["PaymentID"])
    assert row()["Payments"] == []
    connected.act("rename-contact", tenant=uk, contact=contact.id, name="Town Agency")
    assert row()["Contact"]["Name"] == "Town Agency"


def test_a_big_organisation_is_read_in_pages_of_a_thousand(clock: FrozenClock) -> None:
    store = Store()
    tenant = big_organisation(store, 3, NOW, 2_500)
    xero = open_xero(store, clock)
    xero.connect("GB")
    assert xero.tenant() == tenant
    sizes = [
        len(
            xero.get("Invoices", page=str(p), pageSize="1000", order="InvoiceID").json()["Invoices"]
        )
        for p in (1, 2, 3)
    ]
    assert sizes == [1000, 1000, 500]


def test_writes_notes_and_kept_answers_survive_and_refused_ones_do_not(
    file: Path, clock: FrozenClock
) -> None:
    """3.5, 3.6: a refused call leaves nothing, in the file neither."""
    first = Store(file)
    seed(first, 1, NOW)
    xero = open_xero(first, clock)
    xero.connect(scope=WRITE_SCOPES)
    key = {"Idempotency-Key": "kept"}
    made = xero.write("PUT", "Contacts", {"Name": "Kept"}, headers=key)
    xero.write("PUT", "Invoices/INV-0001/History", {"Details": "a note"})
    rows = [{"Name": "Taken back"}, {"Name": ""}]
    assert xero.write("PUT", "Contacts", {"Contacts": rows}).status_code == 400
    assert xero.write("POST", "Contacts", {"Name": "Kept", "FirstName": "Ann"}).status_code == 200
    first.close()

    second = Store(file)
    again = open_xero(second, clock)
    again.access = xero.access
    assert again.write("PUT", "Contacts", {"Name": "Kept"}, headers=key).content == made.content
    notes = again.get("Invoices/INV-0001/History").json()["HistoryRecords"]
    assert [note["Details"] for note in notes] == ["a note"]
    tenant = xero.tenant()
    for store in (first, second):
        contacts = store.ledgers[tenant].contacts
        assert "Taken back" not in {c.name for c in contacts.rows.values()}
        assert len(contacts.by_id) == len(contacts.by_updated) == len(contacts.rows)
    assert first.ledgers[tenant].contacts.rows == second.ledgers[tenant].contacts.rows
    second.close()


def fail_inside(store: Store, tenant: str, contact: Contact) -> None:
    with store.together(tenant):
        store.save(tenant, contact)
        raise ZeroDivisionError


def test_an_inner_failure_keeps_what_the_outer_has_saved(clock: FrozenClock) -> None:
    store = Store()
    seed(store, 1, NOW)
    tenant, ledger = next(iter(store.ledgers.items()))
    old = next(iter(ledger.contacts.rows.values()))
    with store.together(tenant):
        store.save(tenant, replace(old, first_name="outer"))
        with pytest.raises(ZeroDivisionError):
            fail_inside(store, tenant, replace(old, first_name="inner", updated=clock.now()))
        assert ledger.contacts.rows[old.id].first_name == "outer"
    assert ledger.contacts.rows[old.id] == replace(old, first_name="outer")
