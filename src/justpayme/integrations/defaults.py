"""What a new invoice needs and a bill doesn't say: chosen once per organisation by an owner.

The lists come from Xero as it last told them (accounts, tax rates, currencies, themes); only
what Xero would take is offered (xero-facts 4.1, 4.3, 4.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from justpayme.accounts.access import check_may_manage
from justpayme.accounts.models import Membership
from justpayme.bills.codes import codes_of
from justpayme.bills.models import Bill
from justpayme.core.bill import Status
from justpayme.integrations.actions import NotPossible, locked, noted
from justpayme.sync import outbox
from justpayme.sync.calls import client_of
from justpayme.sync.doorbell import request_push
from justpayme.sync.models import Connection, ReceivingAccount, Record
from justpayme.sync.pull import reload_lists
from justpayme.xero.client import Clock

NEEDED = {
    "revenue_account": "Choose the account that sales are booked to.",
    "tax_type": "Choose the tax rate of lines that name none.",
}
"""Field -> what is said when nothing is chosen."""

PARKED_FOR = ("defaults_missing", "receiving_account_missing")


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to choose: what is stored, and what a person reads."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What an organisation offers. `receivers`: currency -> accounts that take payments in it."""

    accounts: tuple[Option, ...]
    tax_types: tuple[Option, ...]
    themes: tuple[Option, ...]
    receivers: Mapping[str, tuple[Option, ...]]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an owner chose. `receivers`: currency -> AccountID, empty for none."""

    revenue_account: str
    tax_type: str
    branding_theme: str = ""
    create_as: str = "AUTHORISED"
    write_back: bool = False
    receivers: Mapping[str, str] = field(default_factory=dict)


class BadDefaults(Exception):
    """They can't be stored. `problems`: field -> sentence; receivers are `receiver_GBP`."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


def receiver_field(currency: str) -> str:
    """The name of the field for the account that receives this currency."""
    return f"receiver_{currency}"


# --- what there is to choose -------------------------------------------------------------------


def choices_of(connection: Connection) -> Choices:
    """What may be chosen now: active, and fit for a sales invoice or a payment on one."""
    codes = codes_of(connection)
    accounts = Record.objects.filter(connection=connection, kind=Record.Kind.ACCOUNT)
    active = list(accounts.filter(data__status="ACTIVE").values_list("remote_id", "data"))
    return Choices(
        accounts=tuple(Option(code, label) for code, label in codes.accounts.items()),
        tax_types=tuple(Option(rate.tax_type, rate.name) for rate in codes.rates.values()),
        themes=tuple(Option(pk, name) for pk, name in codes.themes.items()),
        receivers={
            currency: _sorted(
                Option(pk, f"{a['code']} {a['name']}".strip())
                for pk, a in active
                if _receives(a, currency, connection.currency)
            )
            for currency in currencies_of(connection)
        },
    )


def currencies_of(connection: Connection) -> list[str]:
    """The organisation's own currency first, then those of its bills and of bills only here."""
    bills = Bill.objects.filter(business_id=connection.business_id).exclude(status=Status.VOID)
    ours = bills.filter(link__connection=connection) | bills.filter(link=None)
    used = set(ours.order_by().values_list("currency", flat=True).distinct())
    used |= set(connection.receiving_accounts.values_list("currency", flat=True))
    others = sorted(used - {connection.currency, ""})
    return [connection.currency, *others] if connection.currency else others


def _sorted(options: Iterable[Option]) -> tuple[Option, ...]:
    return tuple(sorted(options, key=lambda option: option.label.casefold()))


def _receives(account: Mapping[str, Any], currency: str, home: str) -> bool:
    """Does it take payments on invoices in this currency? A bank account has its own currency."""
    if not account["takes_payments"]:
        return False
    return account["type"] != "BANK" or (account["currency"] or home) == currency


# --- what was chosen ---------------------------------------------------------------------------


def stored(connection: Connection) -> Defaults:
    """What is chosen now."""
    rows = connection.receiving_accounts.values_list("currency", "account_id")
    return Defaults(
        revenue_account=connection.revenue_account,
        tax_type=connection.tax_type,
        branding_theme=connection.branding_theme,
        create_as=connection.create_as,
        write_back=connection.write_back,
        receivers=dict(rows),
    )


def trouble(connection: Connection, choices: Choices) -> dict[str, str]:
    """Field -> what is wrong with a choice made earlier: it was archived or deleted in Xero."""
    if connection.defaults_set_at is None:
        return {}
    return _gone(stored(connection), choices)


def _gone(chosen: Defaults, choices: Choices) -> dict[str, str]:
    found = {}
    for name, word, options in (
        ("revenue_account", "account", choices.accounts),
        ("tax_type", "tax rate", choices.tax_types),
        ("branding_theme", "branding theme", choices.themes),
    ):
        value = getattr(chosen, name)
        if value and not _offers(options, value):
            found[name] = f"Xero no longer offers this {word}. Choose another."
    for currency, value in chosen.receivers.items():
        if value and not _offers(choices.receivers.get(currency, ()), value):
            found[receiver_field(currency)] = (
                f"Xero takes no {currency} payments into this account now. Choose another."
            )
    return found


def _offers(options: Iterable[Option], value: str) -> bool:
    return any(option.value == value for option in options)


def problems_of(chosen: Defaults, choices: Choices) -> dict[str, str]:
    """Field -> why it can't be stored; empty when everything can."""
    found = _gone(chosen, choices)
    found |= {name: text for name, text in NEEDED.items() if not getattr(chosen, name)}
    if chosen.create_as not in Connection.CreateAs.values:
        found["create_as"] = "Choose Authorised or Draft."
    if chosen.write_back and not any(chosen.receivers.values()):
        found["write_back"] = "Choose an account for payments first, or leave this off."
    return found


def save_defaults(
    *, by: Membership, connection: Connection, chosen: Defaults, address: str, now: datetime
) -> Connection:
    """Store the choices, and let go on what waited for one of them. BadDefaults stores nothing."""
    check_may_manage(by)
    with transaction.atomic():
        row = locked(by, connection)
        if not row.is_in_use:
            raise NotPossible(f"{row.name} is not connected.")
        choices = choices_of(row)
        if problems := problems_of(chosen, choices):
            raise BadDefaults(problems)
        _store(row, chosen, choices, now)
        if outbox.unpark(row, PARKED_FOR):
            request_push(connection=row, by=by.user)
        noted(by, row, "defaults_changed", address, write_back=chosen.write_back)
    return row


def _store(row: Connection, chosen: Defaults, choices: Choices, now: datetime) -> None:
    row.revenue_account = chosen.revenue_account
    row.tax_type = chosen.tax_type
    row.branding_theme = chosen.branding_theme
    row.create_as = chosen.create_as
    row.write_back = chosen.write_back
    row.defaults_set_at = now
    row.save()
    row.receiving_accounts.all().delete()
    ReceivingAccount.objects.bulk_create(
        ReceivingAccount(connection=row, currency=currency, account_id=option.value, name=name)
        for currency, value in chosen.receivers.items()
        for option in choices.receivers[currency]
        if value and option.value == value
        for name in [option.label[:150]]
    )


def refresh_lists(*, by: Membership, connection: Connection, clock: Clock) -> None:
    """Ask Xero for accounts, tax rates, currencies and themes anew. Problem if it can't tell."""
    check_may_manage(by)
    if not connection.is_live:
        raise NotPossible(f"{connection.name} is not connected.")
    with client_of(connection, clock) as client:
        reload_lists(connection, client)
