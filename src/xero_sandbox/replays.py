"""Idempotency-Keys: the first answer to a key is given again for six minutes (3.6).

Keys are the app's, not an organisation's; whether another organisation makes a request a
different one is an open question.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from werkzeug.wrappers import Request, Response

from xero_sandbox.answers import error_answer
from xero_sandbox.model import KeptAnswer
from xero_sandbox.store import Store

LIFE = timedelta(minutes=6)
LONGEST = 128
KEYS_DOWN, FAILS = "xero_sandbox.keys_down", "xero_sandbox.fails"
"""Where a fault says, in the WSGI environment, that the keys or the write itself fail."""
KEYED = {"PUT", "POST", "PATCH"}


def once(store: Store, request: Request, now: datetime, answer: Callable[[], Response]) -> Response:
    """Answer a write, or give the kept answer of its key again, errors included."""
    key = request.headers.get("Idempotency-Key", "")
    if not key or request.method not in KEYED:
        return _tried(request, answer)
    if len(key) > LONGEST:
        text = f"The Idempotency-Key must be no more than {LONGEST} characters"
        return error_answer(10, "ValidationException", text)
    if request.environ.get(KEYS_DOWN):
        return server_error()
    kept = store.answers.get(_kept_as(store, request))
    if kept and now - kept.first < LIFE:
        return _again(kept, key, fingerprint(request))
    response = _tried(request, answer)
    store.drop(*(a for a in store.answers.values() if now - a.first >= LIFE))
    store.keep(
        KeptAnswer(
            id=_kept_as(store, request),
            request=fingerprint(request),
            first=now,
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
            body=response.get_data(),
        )
    )
    return response


def known(store: Store, request: Request, now: datetime) -> bool:
    """Whether a request's key already has an answer that is still kept."""
    kept = store.answers.get(_kept_as(store, request))
    return kept is not None and now - kept.first < LIFE


def _kept_as(store: Store, request: Request) -> str:
    """What an answer is kept under: the key, with the organisation if it is part of it."""
    key = request.headers.get("Idempotency-Key", "")
    tenant = request.headers.get("xero-tenant-id", "").lower()
    return f"{tenant} {key}" if store.open.key_scope == "organisation" else key


def fingerprint(request: Request) -> str:
    """Method, address with its query, and body, as one hash."""
    parts = (request.method.encode(), request.full_path.lower().encode(), request.get_data())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def server_error() -> Response:
    """An unhandled error of Xero (2.2)."""
    return Response("Internal Server Error", 500, content_type="text/plain; charset=utf-8")


def _tried(request: Request, answer: Callable[[], Response]) -> Response:
    return server_error() if request.environ.get(FAILS) else answer()


def _again(kept: KeptAnswer, key: str, wanted: str) -> Response:
    if kept.request != wanted:
        text = f"The Idempotency-Key '{key}' is used with a different request"
        return error_answer(10, "ValidationException", text)
    response = Response(kept.body, kept.status, content_type=kept.content_type)
    if not kept.content_type:
        del response.headers["Content-Type"]
    return response
