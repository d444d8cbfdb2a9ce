"""Two businesses full of hostile text, and a fingerprint of every row."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.db import connection as database
from django.test import Client as Browser
from django.utils import timezone
from tests.api.given import (
    Caller,
    make_bill,
    make_client,
    make_connection,
    make_history,
    make_link,
    make_payment,
    make_run,
)
from tests.fixtures.cast import join

from justpayme.accounts.actions import add_token
from justpayme.accounts.models import Business, Invitation, Membership, User
from justpayme.bills.models import Bill, Client
from justpayme.sync.models import Conflict, Connection, OutboxItem

EVIL = (
    "\"'><x-evil onevil=evil()>javascript:evil()</x-evil><script>evil()</script>"
    "<img src=x onerror=evil()>{{ 7|add:35 }}{% evil %}&lt;b&gt;\u202eLIVE"
)
MISSING = 10**15
UNWATCHED = {"accounts_securityevent", "api_tokenuse", "django_session"}
"""Refusals may be logged, calls are counted, and a session belongs to whoever asks."""


@dataclass(frozen=True)
class Side:
    """One business: for each kind of id, the row of it that may be tried."""

    business: Business
    ids: dict[str, int]


@dataclass(frozen=True)
class World:
    """Alice's side and Charlie's, and a way in for each of the cast."""

    own: Side
    foreign: Side
    people: dict[str, User]
    browsers: dict[str, Browser]
    callers: dict[str, Caller]


def build() -> World:
    """Both businesses with one row of every kind, and everybody signed in."""
    ours, theirs = (_business(name) for name in ("ours", "theirs"))
    roles = Membership.Role
    with database.cursor() as cursor:  # a worker that was heard just now
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    people = {
        "alice": join(ours, "Alice", roles.OWNER),
        "bob": join(ours, "Bob", roles.MEMBER),
        "vera": join(ours, "Vera", roles.VIEWER),
        "charlie": join(theirs, "Charlie", roles.OWNER),
    }
    User.objects.update(name=EVIL[:150])
    spare = join(ours, "Dora", roles.MEMBER), join(theirs, "Erik", roles.MEMBER)
    own, foreign = (
        _fill(business, person) for business, person in zip((ours, theirs), spare, strict=True)
    )
    callers = {name: _caller(user) for name, user in people.items()}
    browsers = {name: _browser(user) for name, user in people.items()}
    anonymous = Caller("jpm_nobody")
    return World(
        own,
        foreign,
        people,
        {"anonymous": Browser(raise_request_exception=False)} | browsers,
        {"anonymous": anonymous} | callers,
    )


def _business(name: str) -> Business:
    return Business.objects.create(name=(name + EVIL)[:200], currency="GBP")


def _browser(user: User) -> Browser:
    browser = Browser(raise_request_exception=False)
    browser.force_login(user)
    browser.get("/account/email/")  # its first visit writes the address into the library's table
    return browser


def fresh(browser: Browser) -> Browser:
    """The same person in a browser of her own: signing out must not reach another test."""
    own = Browser(raise_request_exception=False)
    own.cookies = copy.deepcopy(browser.cookies)
    return own


def _caller(user: User) -> Caller:
    _, secret = add_token(membership=user.memberships.get(), name=EVIL[:100])
    caller = Caller(secret)
    caller.browser.raise_request_exception = False
    caller.get("/organisations")  # stamps the first use
    return caller


def _fill(business: Business, person: User) -> Side:
    """A draft that may be changed, a linked bill, and everything around them."""
    now = timezone.now()
    texts = dict.fromkeys(("email", "phone", "tax_number"), EVIL[:100])
    client = make_client(business, name=EVIL, address=EVIL, **texts)
    local: dict[str, Any] = {"number": EVIL, "reference": EVIL, "url": "javascript:evil()"}
    bill = make_bill(client, status="draft", **local)
    payment = make_payment(bill, reference=EVIL, number=EVIL, account=EVIL[:150])
    owned = make_client(business, name=EVIL)
    linked = make_bill(owned, due_on=now.date() - timedelta(days=9), **local)
    make_payment(linked, kind="credit", reference=EVIL, number=EVIL)
    connection = make_connection(
        business, name=EVIL, short_code='"><b>', error_code="xero_unreachable", error_text=EVIL
    )
    make_link(linked, connection)
    for one in (bill, linked):
        one.lines.update(
            description=EVIL, tax_type=EVIL[:50], account_code="<b>", item_code=EVIL[:50]
        )
        changes = [{"field": "reference", "old": EVIL, "new": EVIL}]
        make_history(one, note=EVIL, action="edited", changes=changes, by=person)
    run = make_run(connection, state="failed", error_code="xero_unreachable", error_text=EVIL)
    item = _fill_lists(business, client, linked, connection, person)
    invitation = Invitation.objects.create(
        business=business, email=f"new{business.pk}@example.com", sent_at=now
    )
    token, _ = add_token(membership=person.memberships.get(), name=EVIL[:100])
    rows = {
        "bill": bill,
        "entry": bill.history.get(),
        "payment": payment,
        "client": client,
        "connection": connection,
        "run": run,
        "item": item,
        "conflict": Conflict.objects.get(business=business),
        "invitation": invitation,
        "token": token,
        "business": business,
        "membership": person.memberships.get(),
    }
    return Side(business, {kind: row.pk for kind, row in rows.items()})


def _fill_lists(
    business: Business, client: Client, bill: Bill, connection: Connection, person: User
) -> OutboxItem:
    """A value that Xero overrode, a refused change, and a contact to decide about."""
    now = timezone.now()
    about: dict[str, Any] = {"business": business, "connection": connection}
    Conflict.objects.create(
        **about,
        bill=bill,
        unit="reference",
        ours={"reference": EVIL},
        theirs={"reference": f"Xero {EVIL}"},
        typed_by=person,
        typed_at=now,
        at=now,
    )
    said: dict[str, Any] = {"error_text": EVIL, "error_at": now, "by": person, "created_at": now}
    OutboxItem.objects.create(
        **about, **said, bill=bill, kind="update", state="refused", error_code="refused_by_xero"
    )
    contact = {"id": str(uuid4()), "name": EVIL, "email": EVIL, "archived": False}
    return OutboxItem.objects.create(
        **about,
        **said,
        client=client,
        kind="contact",
        state="parked",
        error_code="contact_like_this",
        detail={"contacts": [contact]},
    )


def fingerprint() -> dict[str, str]:
    """Table -> a digest of all its rows, of every table of ours."""
    ours = [model._meta.db_table for model in apps.get_models() if _is_ours(model)]
    tables = sorted({*ours, "procrastinate_jobs"} - UNWATCHED)
    parts = [
        f"SELECT '{name}', md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {name} t"  # noqa: S608
        for name in tables
    ]
    with database.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return dict(cursor.fetchall())


def _is_ours(model: Any) -> bool:
    return model.__module__.startswith(("justpayme.", "allauth."))


def linked_bill(side: Side) -> Bill:
    """The bill that Xero owns."""
    return Bill.objects.get(business=side.business, link__isnull=False)


def local_client(side: Side) -> Client:
    """The client that may be changed."""
    return Client.objects.get(pk=side.ids["client"])
