"""The defaults of an organisation: only what Xero takes, all or nothing (product decision 5)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser
from tests.integrations.conftest import browser_of
from tests.integrations.two_way import (
    HOSTILE,
    address,
    allow_changes,
    good_defaults,
    held_up,
    local_bill,
    save_defaults,
    text_of,
)
from tests.integrations.world import World

from justpayme.accounts.models import Business, User
from justpayme.bills.models import Bill
from justpayme.integrations import defaults
from justpayme.sync.models import Connection, OutboxItem, ReceivingAccount, Record

pytestmark = pytest.mark.django_db


def labels(options: Any) -> list[str]:
    return [option.label for option in options]


def account_id(row: Connection, code: str) -> str:
    return Record.objects.get(connection=row, kind="account", data__code=code).remote_id


def stored(row: Connection) -> list[Any]:
    names = ("revenue_account", "tax_type", "branding_theme", "create_as", "write_back")
    row.refresh_from_db()
    receivers = ReceivingAccount.objects.order_by("currency").values_list("currency", "name")
    return [*(getattr(row, name) for name in names), row.defaults_set_at, list(receivers)]


# --- what is offered ---------------------------------------------------------------------------


def test_only_active_accounts_that_earn_and_rates_for_sales_are_offered(
    browser: Browser, world: World, imported: Connection
) -> None:
    allow_changes(browser, world, imported, "GB")
    found = defaults.choices_of(imported)
    assert labels(found.accounts) == ["200 Sales", "260 Other Revenue"]
    assert "20% (VAT on Income)" in labels(found.tax_types)
    assert not any("Expenses" in label or label == "Old rate" for label in labels(found.tax_types))
    assert "Standard" in labels(found.themes)


def test_payments_go_to_a_bank_account_in_their_currency_or_one_that_takes_payments(
    world: World, imported: Connection, business: Business
) -> None:
    local_bill(business, "E-1", currency="EUR")
    found = defaults.choices_of(imported).receivers
    assert next(iter(found)) == "GBP"
    assert labels(found["GBP"]) == ["090 Business Bank Account", "881 Owner Funds"]
    assert labels(found["EUR"]) == ["091 Euro Account", "881 Owner Funds"]


def test_a_system_account_is_never_offered(world: World, imported: Connection) -> None:
    record = Record.objects.get(connection=imported, kind="account", data__code="260")
    record.data["system"] = "REALISEDCURRENCYGAIN"
    record.save()
    assert labels(defaults.choices_of(imported).accounts) == ["200 Sales"]


# --- saving ------------------------------------------------------------------------------------


def test_the_choices_are_stored_and_shown(
    browser: Browser, world: World, imported: Connection
) -> None:
    allow_changes(browser, world, imported, "GB")
    bank = account_id(imported, "090")
    theme = defaults.choices_of(imported).themes[1].value
    save_defaults(
        browser,
        imported,
        create_as="DRAFT",
        branding_theme=theme,
        write_back="on",
        receiver_GBP=bank,
    )
    *values, at, receivers = stored(imported)
    assert values == ["200", imported.tax_type, theme, "DRAFT", True]
    assert at is not None
    assert receivers == [("GBP", "090 Business Bank Account")]
    told = text_of(browser.get(address("organisation", imported.pk)))
    for words in ("200 Sales", "Very orange invoice!", "Draft", "090 Business Bank Account"):
        assert words in told
    form = text_of(browser.get(address("defaults", imported.pk)))
    assert f'value="{bank}" selected' in form


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("revenue_account", "", "Choose the account that sales are booked to."),
        ("revenue_account", "400", "Xero no longer offers this account."),
        ("revenue_account", "480", "Xero no longer offers this account."),
        ("revenue_account", HOSTILE, "Xero no longer offers this account."),
        ("tax_type", "", "Choose the tax rate of lines that name none."),
        ("tax_type", "INPUT2", "Xero no longer offers this tax rate."),
        ("tax_type", "TAX001", "Xero no longer offers this tax rate."),
        ("branding_theme", "x" * 1000, "Xero no longer offers this branding theme."),
        ("create_as", "PAID", "Choose Authorised or Draft."),
        ("create_as", "", "Choose Authorised or Draft."),
        ("receiver_GBP", "no-such-account", "Xero takes no GBP payments into this account now."),
        ("write_back", "on", "Choose an account for payments first, or leave this off."),
    ],
)
def test_a_bad_value_is_422_with_its_field_and_a_sentence_and_stores_nothing(
    browser: Browser, world: World, imported: Connection, field: str, value: str, sentence: str
) -> None:
    before = stored(imported)
    form = good_defaults(imported, **{field: value})
    answer = browser.post(address("defaults", imported.pk), form)
    assert answer.status_code == 422
    told = text_of(answer)
    assert sentence in told
    assert f'href="#id_{field}"' in told
    assert "<script>alert(1)" not in answer.content.decode()
    assert stored(imported) == before


def test_a_bank_account_of_another_currency_takes_no_payments(
    browser: Browser, world: World, imported: Connection
) -> None:
    form = good_defaults(imported, receiver_GBP=account_id(imported, "091"), write_back="on")
    answer = browser.post(address("defaults", imported.pk), form)
    assert answer.status_code == 422
    assert not ReceivingAccount.objects.exists()


def test_saving_lets_go_on_what_waited_for_it(
    browser: Browser, world: World, imported: Connection
) -> None:
    bill = Bill.objects.filter(link__connection=imported)[0]
    mine = held_up(imported, "parked", bill=bill, error_code="defaults_missing")
    money = held_up(
        imported, "parked", bill=bill, kind="pay", error_code="receiving_account_missing"
    )
    other = held_up(imported, "parked", kind="contact", error_code="contact_like_this")
    save_defaults(browser, imported)
    states = dict(OutboxItem.objects.values_list("pk", "state"))
    assert states == {mine.pk: "waiting", money.pk: "waiting", other.pk: "parked"}


# --- what became of a choice -------------------------------------------------------------------


def test_a_choice_that_was_archived_in_xero_is_shown_as_a_problem(
    browser: Browser, world: World, imported: Connection
) -> None:
    save_defaults(browser, imported, write_back="on", receiver_GBP=account_id(imported, "090"))
    for code in ("200", "090"):
        record = Record.objects.get(connection=imported, kind="account", data__code=code)
        record.data["status"] = "ARCHIVED"
        record.save()
    for name in ("organisation", "defaults"):
        told = text_of(browser.get(address(name, imported.pk)))
        assert "Xero no longer offers this account. Choose another." in told
        assert "Xero takes no GBP payments into this account now. Choose another." in told
    assert "(not offered any more)" in text_of(browser.get(address("defaults", imported.pk)))


def test_refreshing_asks_xero_anew(browser: Browser, world: World, imported: Connection) -> None:
    Record.objects.filter(connection=imported, kind__in=("account", "theme")).delete()
    told = text_of(browser.get(address("defaults", imported.pk)))
    assert "Xero’s lists are not here yet" in told
    before = len(world.wire.sent)
    answer = browser.post(address("refresh_lists", imported.pk), follow=True)
    assert "The lists are as they are in Xero now." in text_of(answer)
    assert "200 Sales" in text_of(answer)
    assert {method for method, _ in world.wire.sent[before:]} == {"GET"}


def test_a_xero_that_does_not_answer_keeps_the_lists(
    browser: Browser, world: World, imported: Connection
) -> None:
    before = Record.objects.count()
    world.wire.answers["/api.xro/2.0/Currencies"] = (403, {"Detail": "AuthenticationUnsuccessful"})
    answer = browser.post(address("refresh_lists", imported.pk), follow=True)
    assert answer.status_code == 200
    assert "The lists are as they are" not in text_of(answer)
    assert Record.objects.count() == before


def test_only_an_owner_sees_and_changes_the_defaults(
    bob: User, charlie: User, world: World, imported: Connection
) -> None:
    form = good_defaults(imported)
    for person, status in ((bob, 403), (charlie, 404)):
        browser = browser_of(person)
        for name in ("defaults", "refresh_lists"):
            answer = browser.post(address(name, imported.pk), form)
            assert answer.status_code == status
    assert stored(imported)[0] == ""


def test_a_disconnected_organisation_has_no_defaults_to_choose(
    browser: Browser, world: World, imported: Connection
) -> None:
    form = good_defaults(imported)
    browser.post(address("disconnect", imported.pk))
    answer = browser.post(address("defaults", imported.pk), form, follow=True)
    assert "is not connected" in text_of(answer)
    assert stored(imported)[0] == ""
