"""I-9 and F6: a 200 that is not what it should be fails the run by name and changes no bill."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.fixtures.xero import Xero
from tests.sync.hands import books, done, drift, failed, plain_open, undone

from justpayme.accounts.models import Business
from justpayme.sync.models import Connection, Link, Run
from xero_sandbox.faults import HARMLESS, MANGLES

pytestmark = pytest.mark.django_db

MEANS_NOTHING_THERE = {
    "Invoices": {
        "organisation_id_changed",  # spoils only the organisation
        "numbers_as_strings",  # Xero's own examples have them (xero-facts 3.8)
        # Xero's way to say "no date" (xero-facts 3.9); a date is read as none, not refused.
        "date_zero",
        "date_negative",
    },
    "Contacts": {
        "organisation_id_changed", "numbers_as_strings", "date_zero", "date_negative",
        # Contacts have no amounts, lines, contacts or currency: there it is an unknown field.
        "number_words", "number_huge", "number_null", "amount_negative", "total_disagrees",
        "line_items_wrong_type", "contact_missing", "currency_unknown",
    },
    "Payments": {
        "organisation_id_changed", "numbers_as_strings", "date_zero", "date_negative",
        "line_items_wrong_type", "contact_missing", "currency_unknown",
        # What came off a bill is told by its invoice; of a payment less is read.
        "unknown_enum", "total_disagrees",
    },
    "Organisation": {
        "numbers_as_strings", "date_zero", "date_negative", "date_far_future", "date_offset",
        "date_garbage", "stamp_missing", "unknown_status", "unknown_enum", "item_count_wrong",
        "page_wrong", "pagination_missing", "number_words", "number_huge", "number_null",
        "number_nan_word", "amount_negative", "total_disagrees", "line_items_wrong_type",
        "contact_missing", "currency_unknown",
    },
}  # fmt: skip
"""Mangles that spoil nothing which that endpoint's answer has, or that we read."""


def harmless(path: str) -> set[str]:
    return HARMLESS | MEANS_NOTHING_THERE[path]


@pytest.mark.layer("bad inputs")
@pytest.mark.parametrize("path", ["Contacts", "Invoices", "Payments", "Organisation"])
def test_an_answer_mangled_in_any_way_changes_no_bill(
    xero: Xero, imported: Connection, path: str, cases: Callable[[int], None]
) -> None:
    """I-9, each kind on its own: in an increment that reads everything of this endpoint."""
    before = books()
    for mangle in MANGLES:
        with undone():
            read_all_again(imported, path)
            xero.fault(mangle, path=path, count=None)
            run = xero.sync(imported, kind=Run.Kind.INCREMENT)
            check(mangle, path, run, before)
        xero.heal()
        xero.reset_log()
        cases(1)
    imported.refresh_from_db()
    done(xero.sync(imported))
    assert drift(xero, imported) == []


def read_all_again(connection: Connection, path: str) -> None:
    """Forget how far this endpoint was read and what was in it. The organisation is asked for
    once anything is new, so there it is the contacts."""
    endpoint = "contacts" if path == "Organisation" else path.lower()
    connection.refresh_from_db()
    assert connection.cursors.filter(endpoint=endpoint).delete()[0] == 1
    connection.records.filter(kind=endpoint.removesuffix("s")).delete()
    if path == "Invoices":
        Link.objects.update(digest=b"\0" * 16)


def check(mangle: str, path: str, run: Run, before: dict[str, str]) -> None:
    if mangle in harmless(path):
        assert run.state == Run.State.DONE, (mangle, run.error_text)
        return
    code = "organisation_changed" if mangle == "organisation_id_changed" else "wrong_shape"
    assert (mangle, run.state, run.error_code) == (mangle, Run.State.FAILED, code)
    assert run.error_text
    assert books() == before, mangle


@pytest.mark.layer("bad inputs")
def test_a_first_import_fed_with_a_mangled_answer_imports_nothing_wrong(
    xero: Xero, business: Business, cases: Callable[[int], None]
) -> None:
    """I-9 during the import: no bill at all, then everything once the answer is good again."""
    connection = xero.connect(business, "NZ")
    before = books()
    for mangle in MANGLES:
        with undone():
            xero.fault(mangle, path="Invoices", count=None)
            check(mangle, "Invoices", xero.sync(connection), before)
        xero.heal()
        xero.reset_log()
        cases(1)
    done(xero.sync(connection))
    assert drift(xero, connection) == []


@pytest.mark.parametrize("path", ["Accounts", "TaxRates", "Currencies"])
def test_a_list_that_lost_its_rows_is_not_an_empty_list(
    xero: Xero, imported: Connection, path: str
) -> None:
    """I-9 for the lists without pages: an organisation always has accounts."""
    held = imported.records.count()
    for mangle in ("rows_missing", "array_null", "array_missing", "html_page", "null_row"):
        xero.fault(mangle, path=path)
        failed(xero.sync(imported, kind=Run.Kind.AUDIT), "wrong_shape")
        assert imported.records.count() == held


@pytest.mark.parametrize("mangle", ["nul_character", "lone_surrogate", "string_5mb", "id_missing"])
def test_an_account_that_cannot_be_stored_is_refused(
    xero: Xero, imported: Connection, mangle: str
) -> None:
    """I-9: a named failure, not an error of the database."""
    xero.fault(mangle, path="Accounts")
    failed(xero.sync(imported, kind=Run.Kind.AUDIT), "wrong_shape")


def test_one_bad_invoice_on_a_page_keeps_the_whole_page_out(
    xero: Xero, imported: Connection
) -> None:
    """I-1, I-7: neither rows nor cursor move; the next good answer brings everything."""
    for invoice in plain_open(xero)[:3]:
        xero.act("edit-invoice", invoice=invoice.id, reference="all or nothing")
    before = books()
    cursor = imported.cursors.get(endpoint="invoices").state
    xero.fault("unknown_status", path="Invoices")
    assert xero.sync(imported).error_code == "wrong_shape"
    assert books() == before
    assert imported.cursors.get(endpoint="invoices").state == cursor
    assert done(xero.sync(imported)).changed == 3


def test_a_set_that_moves_while_it_is_read_is_read_again_not_failed(
    xero: Xero, imported: Connection
) -> None:
    """I-9: one wrong count may be Xero changing under us; the same question again is right."""
    xero.fault("item_count_wrong", path="Invoices", count=1)
    run = done(xero.sync(imported))
    assert run.calls == 4
