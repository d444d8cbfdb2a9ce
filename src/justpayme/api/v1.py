"""The JSON API, version 1: one object that knows every operation, and its schema."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.utils.functional import Promise
from ninja import NinjaAPI

from justpayme.api import errors
from justpayme.api.auth import BearerToken
from justpayme.api.body import JsonParser
from justpayme.api.operations import (
    bills,
    clients,
    direction,
    organisations,
    outbox,
    past,
    payments,
    runs,
)

DESCRIPTION = """\
Bills, clients, payments, Xero organisations and sync runs of one business.

Send `Authorization: Bearer jpm_…` with every call; the token acts as the person it was made for, \
in the business it was made for. Objects of any other business do not exist for it (404).
Money and other decimals travel as text, days as `2026-11-22`, times in UTC as \
`2026-11-22T09:30:00Z`. Unknown fields and parameters are refused by name.
While an organisation is one-directional, Xero owns its bills (409): change them in Xero. Once it \
is bidirectional, what you change here goes to Xero too; a bill's `sync` says how far it is, what \
Xero refused and why, and what to do.
A token may make 600 calls a minute; after that the answer is 429 with `Retry-After`.
"""

api = NinjaAPI(
    title="JustPayMe",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    openapi_url="",
    docs_url=None,
    auth=BearerToken(),
    parser=JsonParser(),
)
errors.install(api)
for module in (bills, past, clients, payments, outbox, organisations, direction, runs):
    api.add_router("", module.router)


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI description as plain data; the same for everybody."""
    plain: dict[str, Any] = _plain(api.get_openapi_schema(path_prefix="/api/v1/"))
    return plain


def _plain(value: Any) -> Any:
    """Without the library's own types; keys as JSON has them."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Promise) else value
