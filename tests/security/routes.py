"""Every address of the product: who may do what there, and what its ids name.

A new address without a row here fails `test_every_address_has_a_row`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from django.urls import URLPattern, URLResolver, get_resolver

EVERYBODY = "everybody"
SIGNED_IN = "signed in"
MEMBERS = "members"
CHANGERS = "changers"
OWNERS = "owners"

MAY: dict[str, tuple[str, ...]] = {
    EVERYBODY: ("anonymous", "charlie", "vera", "bob", "alice"),
    SIGNED_IN: ("charlie", "vera", "bob", "alice"),
    MEMBERS: ("charlie", "vera", "bob", "alice"),
    CHANGERS: ("charlie", "bob", "alice"),
    OWNERS: ("charlie", "alice"),
}
"""Charlie owns the other business: what he may not do follows from the ids, not from his role."""


@dataclass(frozen=True)
class Row:
    """Methods with who may use them; `ids` maps the address's parameters to kinds of rows.

    `fixed` are parameters that name nothing of a business. `library`: a page of allauth, whose
    own rules decide; we check that it never breaks and that reading it changes nothing.
    `forged` is the answer to a form from elsewhere.
    """

    methods: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    library: bool = False
    forged: int = 403


def _page(get: str = "", post: str = "", **ids: str) -> Row:
    return Row({m: who for m, who in (("GET", get), ("POST", post)) if who}, ids)


def _library(**fixed: str) -> Row:
    return Row({"GET": EVERYBODY, "POST": EVERYBODY}, fixed=fixed, library=True)


def _api(ids: dict[str, str] | None = None, **methods: str) -> Row:
    return Row(methods, ids or {})


XERO = "settings/integrations/xero/"
BILL = {"bill_id": "bill"}
CLIENT = {"client_id": "client"}
ORGANISATION = {"organisation_id": "connection"}

ROWS: dict[str, Row] = {
    "theme/": _page(post=EVERYBODY),
    "webhooks/xero": Row({"POST": EVERYBODY}, library=True, forged=401),
    # --- pages: bills and clients
    "": _page(MEMBERS),
    "bills/": _page(MEMBERS),
    "bills/new/": _page(CHANGERS, CHANGERS),
    "bills/<int:pk>/": _page(MEMBERS, pk="bill"),
    "bills/<int:pk>/at/": _page(MEMBERS, pk="bill"),
    "bills/<int:pk>/at/<int:entry_pk>/": _page(MEMBERS, pk="bill", entry_pk="entry"),
    "bills/<int:pk>/edit/": _page(CHANGERS, CHANGERS, pk="bill"),
    "bills/<int:pk>/approve/": _page(post=CHANGERS, pk="bill"),
    "bills/<int:pk>/void/": _page(CHANGERS, CHANGERS, pk="bill"),
    "bills/<int:pk>/send/": _page(post=CHANGERS, pk="bill"),
    "bills/<int:pk>/discard/": _page(CHANGERS, CHANGERS, pk="bill"),
    "bills/<int:pk>/conflicts/": _page(post=CHANGERS, pk="bill"),
    "bills/<int:pk>/retry/": _page(post=CHANGERS, pk="bill"),
    "bills/<int:pk>/contact/": _page(post=CHANGERS, pk="bill"),
    "bills/<int:pk>/payments/new/": _page(CHANGERS, CHANGERS, pk="bill"),
    "bills/<int:pk>/payments/<int:payment_pk>/remove/": _page(
        CHANGERS, CHANGERS, pk="bill", payment_pk="payment"
    ),
    "clients/": _page(MEMBERS),
    "clients/new/": _page(CHANGERS, CHANGERS),
    "clients/<int:pk>/": _page(MEMBERS, pk="client"),
    "clients/<int:pk>/edit/": _page(CHANGERS, CHANGERS, pk="client"),
    # --- pages: settings
    "settings/": _page(MEMBERS),
    "settings/account/": _page(SIGNED_IN, SIGNED_IN),
    "settings/business/": _page(MEMBERS, OWNERS),
    "settings/business/new/": _page(SIGNED_IN, SIGNED_IN),
    "settings/business/<int:pk>/switch/": _page(post=SIGNED_IN, pk="business"),
    "settings/members/": _page(MEMBERS),
    "settings/members/invite/": _page(OWNERS, OWNERS),
    "settings/members/invitations/<int:pk>/withdraw/": _page(post=OWNERS, pk="invitation"),
    "settings/members/<int:pk>/": _page(OWNERS, OWNERS, pk="membership"),
    "settings/members/<int:pk>/remove/": _page(OWNERS, OWNERS, pk="membership"),
    "settings/tokens/": _page(OWNERS),
    "settings/tokens/new/": _page(OWNERS, OWNERS),
    "settings/tokens/<int:pk>/revoke/": _page(OWNERS, OWNERS, pk="token"),
    "account/invitation/<str:key>/": Row(
        {"GET": EVERYBODY, "POST": EVERYBODY}, fixed={"key": "no-such-key"}, library=True
    ),
    # --- pages: integrations
    "settings/integrations/": _page(MEMBERS),
    XERO: _page(MEMBERS),
    "settings/integrations/conflicts/": _page(MEMBERS),
    "settings/integrations/conflicts/resolve/": _page(post=CHANGERS),
    "settings/integrations/outbox/": _page(MEMBERS),
    "settings/integrations/outbox/retry/": _page(post=CHANGERS),
    "settings/integrations/outbox/<int:pk>/contact/": _page(post=CHANGERS, pk="item"),
    f"{XERO}connect/": _page(post=OWNERS),
    f"{XERO}callback/": Row({"GET": EVERYBODY}, library=True),
    f"{XERO}outcome/<slug:code>/": Row({"GET": MEMBERS}, fixed={"code": "consent_refused"}),
    f"{XERO}choose/": _page(OWNERS, OWNERS),
    f"{XERO}<int:pk>/": _page(MEMBERS, pk="connection"),
    f"{XERO}<int:pk>/progress/": _page(MEMBERS, pk="connection"),
    f"{XERO}<int:pk>/sync/": _page(post=CHANGERS, pk="connection"),
    f"{XERO}<int:pk>/settings/": _page(post=OWNERS, pk="connection"),
    f"{XERO}<int:pk>/direction/": _page(post=OWNERS, pk="connection"),
    f"{XERO}<int:pk>/stayed/<slug:code>/": Row(
        {"GET": MEMBERS}, {"pk": "connection"}, fixed={"code": "other_user"}
    ),
    f"{XERO}<int:pk>/preview/": _page(OWNERS, OWNERS, pk="connection"),
    f"{XERO}<int:pk>/one-way/": _page(OWNERS, OWNERS, pk="connection"),
    f"{XERO}<int:pk>/defaults/": _page(OWNERS, OWNERS, pk="connection"),
    f"{XERO}<int:pk>/lists/": _page(post=OWNERS, pk="connection"),
    f"{XERO}<int:pk>/resume/": _page(post=OWNERS, pk="connection"),
    f"{XERO}<int:pk>/reconnect/": _page(post=OWNERS, pk="connection"),
    f"{XERO}<int:pk>/disconnect/": _page(OWNERS, OWNERS, pk="connection"),
    f"{XERO}<int:pk>/runs/": _page(MEMBERS, pk="connection"),
    f"{XERO}<int:pk>/runs/<int:run_pk>/": _page(MEMBERS, pk="connection", run_pk="run"),
    # --- pages: sign-in, by the library
    "account/login/": _library(),
    "account/logout/": _library(),
    "account/signup/": _library(),
    "account/inactive/": _library(),
    "account/reauthenticate/": _library(),
    "account/email/": _library(),
    "account/confirm-email/": _library(),
    r"account/^confirm-email/(?P<key>[-:\w]+)/$": _library(key="no-such-key"),
    "account/password/change/": _library(),
    "account/password/set/": _library(),
    "account/password/reset/": _library(),
    "account/password/reset/done/": _library(),
    r"account/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": _library(
        uidb36="1", key="no-such-key"
    ),
    "account/password/reset/key/done/": _library(),
    "account/2fa/": _library(),
    "account/2fa/authenticate/": _library(),
    "account/2fa/reauthenticate/": _library(),
    "account/2fa/totp/activate/": _library(),
    "account/2fa/totp/deactivate/": _library(),
    "account/2fa/recovery-codes/": _library(),
    "account/2fa/recovery-codes/generate/": _library(),
    "account/2fa/recovery-codes/download/": _library(),
    # --- the API
    "api/v1/openapi.json": _page(EVERYBODY),
    "api/v1/docs": _page(EVERYBODY),
    "api/v1/^(?P<rest>.*)$": Row({}, fixed={"rest": "nothing"}),
    "api/v1/bills": _api(GET=MEMBERS, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>": _api(BILL, GET=MEMBERS, PATCH=CHANGERS),
    "api/v1/bills/<int:bill_id>/at": _api(BILL, GET=MEMBERS),
    "api/v1/bills/<int:bill_id>/history": _api(BILL, GET=MEMBERS),
    "api/v1/bills/<int:bill_id>/approve": _api(BILL, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>/void": _api(BILL, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>/send-to-xero": _api(BILL, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>/discard": _api(BILL, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>/retry": _api(BILL, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>/resolve": _api(BILL, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>/payments": _api(BILL, POST=CHANGERS),
    "api/v1/bills/<int:bill_id>/payments/<int:payment_id>": _api(
        BILL | {"payment_id": "payment"}, DELETE=CHANGERS
    ),
    "api/v1/clients": _api(GET=MEMBERS, POST=CHANGERS),
    "api/v1/clients/<int:client_id>": _api(CLIENT, GET=MEMBERS, PATCH=CHANGERS),
    "api/v1/payments": _api(GET=MEMBERS),
    "api/v1/outbox": _api(GET=MEMBERS),
    "api/v1/outbox/retry": _api(POST=CHANGERS),
    "api/v1/outbox/<int:item_id>/contact": _api({"item_id": "item"}, POST=CHANGERS),
    "api/v1/conflicts": _api(GET=MEMBERS),
    "api/v1/conflicts/resolve": _api(POST=CHANGERS),
    "api/v1/organisations": _api(GET=MEMBERS),
    "api/v1/organisations/<int:organisation_id>": _api(ORGANISATION, GET=MEMBERS, PATCH=OWNERS),
    "api/v1/organisations/<int:organisation_id>/sync": _api(ORGANISATION, POST=CHANGERS),
    "api/v1/organisations/<int:organisation_id>/disconnect": _api(ORGANISATION, POST=OWNERS),
    "api/v1/organisations/<int:organisation_id>/preview": _api(ORGANISATION, POST=OWNERS),
    "api/v1/organisations/<int:organisation_id>/direction": _api(ORGANISATION, POST=OWNERS),
    "api/v1/organisations/<int:organisation_id>/defaults": _api(
        ORGANISATION, GET=MEMBERS, PUT=OWNERS
    ),
    "api/v1/organisations/<int:organisation_id>/refresh-lists": _api(ORGANISATION, POST=OWNERS),
    "api/v1/organisations/<int:organisation_id>/retry": _api(ORGANISATION, POST=CHANGERS),
    "api/v1/runs": _api(GET=MEMBERS),
    "api/v1/runs/<int:run_id>": _api({"run_id": "run"}, GET=MEMBERS),
}


@cache
def addresses() -> dict[str, str]:
    """Route -> a name that reverses to it, of every address that Django knows."""
    return dict(_walk(get_resolver(), "", ()))


def _walk(resolver: URLResolver, before: str, spaces: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for found in resolver.url_patterns:
        route = before + str(found.pattern)
        if isinstance(found, URLPattern):
            yield route, ":".join([*spaces, found.name or ""])
        else:
            inner = (*spaces, found.namespace) if found.namespace else spaces
            yield from _walk(found, route, inner)
