"""Xero's tokens: sealed at rest, and refreshed by one at a time.

                 ask, > 60 s left
             ┌───────────────────┐
    LIVE ────┴── refresh, stored ┴──▶ LIVE      any transient trouble: stays LIVE
      └───────── invalid_grant ─────▶ LOST ──── a person's consent ───▶ LIVE

A refresh makes Xero forget the old pair (after 30 minutes' grace), so two at once would end
the connection. Hence: one session lock per token set, on a database connection of its own;
the row is read again once the lock is held; the new pair is committed before it is used;
and no transaction is open while we talk to Xero (I-33, I-34, I-35). That a pair was asked for
is committed first: until one is stored the old refresh token has half an hour left to live, so
the tick soon lets somebody ask again (`jobs.start_due`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx2
import msgspec
import psycopg
import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from justpayme.accounts import sealing
from justpayme.accounts.models import Business
from justpayme.core.errors import Problem
from justpayme.runtime.config import CALLBACK_PATH
from justpayme.sync import lost, sessions
from justpayme.sync.models import Connection, TokenSet
from justpayme.xero import oauth

log = structlog.get_logger(__name__)

SPARE = timedelta(seconds=60)
"""A token with less life than this is refreshed before it is used."""

LOCK_WAIT_SECONDS = 45
"""Longest wait for another process's refresh; longer than its call may take."""


class _Pair(msgspec.Struct, frozen=True):
    """What is sealed. Its repr shows nothing."""

    access: str
    refresh: str

    def __repr__(self) -> str:
        return "_Pair(…)"


class _Given(msgspec.Struct, frozen=True):
    """An access token that may be used until then (UTC). Its repr shows nothing."""

    access: str
    expires_at: datetime

    def __repr__(self) -> str:
        return "_Given(…)"


# --- how we reach Xero's login servers ---------------------------------------------------------


def app() -> oauth.App:
    """This installation as Xero knows it, from the settings."""
    return oauth.App(
        client_id=settings.XERO_CLIENT_ID,
        client_secret=settings.XERO_CLIENT_SECRET,
        redirect_uri=settings.JUSTPAYME_BASE_URL + CALLBACK_PATH,
        login_url=settings.XERO_LOGIN_URL,
        identity_url=settings.XERO_IDENTITY_URL,
        api_url=settings.XERO_API_URL,
    )


def open_client() -> httpx2.Client:
    """A client for the login servers. `settings.XERO_TRANSPORT` replaces the network in tests."""
    return oauth.open_client(getattr(settings, "XERO_TRANSPORT", None))


# --- sealing -----------------------------------------------------------------------------------


def _seal(pair: _Pair, *, owner: bytes) -> tuple[str, bytes]:
    """Key id and sealed pair. `owner` is bound in, so a row cannot be moved to another."""
    return sealing.seal(msgspec.json.encode(pair), bound_to=owner)


def _owner(business_id: int, xero_user_id: str) -> bytes:
    return f"justpayme token set {business_id} {xero_user_id}".encode()


def _open(token_set: TokenSet) -> _Pair:
    """The pair again. Problem key_missing if this installation lacks the key that sealed it,
    consent_lost if it was tampered with."""
    owner = _owner(token_set.business_id, token_set.xero_user_id)
    key_id = token_set.key_id
    try:
        plain = sealing.unseal(bytes(token_set.sealed), key_id=key_id, bound_to=owner)
    except sealing.KeyGone:
        raise Problem("key_missing", f"no key {key_id} for the stored tokens") from None
    except sealing.Tampered:
        raise Problem("consent_lost", "the stored tokens do not open") from None
    return msgspec.json.decode(plain, type=_Pair)


def _columns(
    business_id: int, xero_user_id: str, tokens: oauth.Tokens, now: datetime
) -> dict[str, Any]:
    """The columns of a token set for a fresh pair."""
    owner = _owner(business_id, xero_user_id)
    key_id, sealed = _seal(_Pair(tokens.access, tokens.refresh), owner=owner)
    return {
        "sealed": sealed,
        "key_id": key_id,
        "scopes": tokens.scopes,
        "expires_at": tokens.expires_at,
        "refreshed_at": now,
        "asked_at": None,
        "state": TokenSet.State.LIVE,
    }


def store(
    *, business: Business, xero_user_id: str, tokens: oauth.Tokens, now: datetime
) -> TokenSet:
    """Keep the pair of a new consent; one row per business and Xero user.

    The lock is the weaker one (`no_key`, which `update_or_create` cannot take): a transaction
    that holds a connection checks at its commit that the row it points at is still there, and
    would wait for us while we wait for that connection.
    """
    columns = _columns(business.pk, xero_user_id, tokens, now)
    with transaction.atomic():
        token_set, created = TokenSet.objects.select_for_update(no_key=True).get_or_create(
            business=business, xero_user_id=xero_user_id, defaults=columns
        )
        if not created:
            TokenSet.objects.filter(pk=token_set.pk).update(**columns)
            token_set.refresh_from_db()
    return token_set


def rotate_keys() -> int:
    """Seal every row again that an older key sealed; how many. Run it after a key change.

    A row that no key opens any more is left as it is: its next use finds the consent lost. One
    that is being refreshed is waited for, or the refresh would take us for a new consent.
    """
    older = TokenSet.objects.exclude(key_id=sealing.current_key_id()).values_list("pk", flat=True)
    return sum(_seal_again(pk) for pk in list(older))


def _seal_again(pk: int) -> bool:
    try:
        with _one_at_a_time(pk), transaction.atomic():
            row = TokenSet.objects.select_for_update().filter(pk=pk).first()
            if row is None:
                return False
            owner = _owner(row.business_id, row.xero_user_id)
            row.key_id, row.sealed = _seal(_open(row), owner=owner)
            row.save(update_fields=["key_id", "sealed"])
    except Problem as problem:
        log.warning("tokens_not_rotated", token_set=pk, reason=problem.detail)
        return False
    return True


# --- the access token --------------------------------------------------------------------------


def access_token(token_set: TokenSet, now: datetime, *, rejected: str = "") -> str:
    """A token with a minute or more of life left.

    `rejected` is a token that Xero just called expired: it is never given again, so this
    refreshes unless somebody else has done so already. Problem consent_lost when only a
    person can help; any other Problem is transient and leaves everything as it was.
    """
    return _given(token_set.pk, now, rejected).access


def _given(pk: int, now: datetime, rejected: str) -> _Given:
    """A token with a minute or more of life left, and until when it may be used."""
    usable = _usable(_reread(pk), now, rejected)
    if usable:
        return usable
    with _one_at_a_time(pk):
        row = _reread(pk)
        return _usable(row, now, rejected) or _refresh(row, now)


def refresh_token(token_set: TokenSet) -> str:
    """The refresh token as it is stored now, for giving the consent back."""
    return _open(_reread(token_set.pk)).refresh


def source(token_set: int, now: Callable[[], datetime]) -> Callable[[bool], str]:
    """`XeroClient.token` of a row of TokenSet by its id: a valid token, or with True a newer one
    than it gave last.

    What it gave is given again while it lasts, without a look at the row: another process's
    refresh does not end it, and a disconnect stops the calls themselves (`XeroClient.guard`).
    """
    given: _Given | None = None

    def give(force: bool) -> str:
        nonlocal given
        if given is None or force or given.expires_at - now() <= SPARE:
            rejected = given.access if given and force else ""
            given = _given(token_set, now(), rejected)
        return given.access

    return give


def _reread(pk: int) -> TokenSet:
    row = TokenSet.objects.filter(pk=pk).first()
    if row is None:
        raise Problem("consent_lost", "the tokens were wiped by a disconnect")
    if row.state == TokenSet.State.LOST:
        raise Problem("consent_lost", "already known")
    return row


def _usable(row: TokenSet, now: datetime, rejected: str) -> _Given | None:
    """The row's access token, or nothing if it has to be refreshed: also when the answer to a
    refresh is missing, for the next one must come within the grace."""
    if row.asked_at is not None or row.expires_at - now <= SPARE:
        return None
    given = _of(row)
    return None if given.access == rejected else given


def _of(row: TokenSet) -> _Given:
    return _Given(_open(row).access, row.expires_at)


def _refresh(row: TokenSet, now: datetime) -> _Given:
    """One refresh; the caller holds the lock. The old pair stays until the new is committed,
    so a lost answer is healed by asking again with the old refresh token (30 minutes' grace)."""
    TokenSet.objects.filter(pk=row.pk).update(asked_at=now)
    try:
        with open_client() as http:
            fresh = oauth.refresh(
                http, app(), refresh_token=_open(row).refresh, scopes=row.scopes, now=now
            )
    except Problem as problem:
        if problem.code == "consent_lost":
            return _after_invalid_grant(row, now)
        raise
    columns = _columns(row.business_id, row.xero_user_id, fresh, now)
    with transaction.atomic(durable=True):
        stored = _unchanged(row).update(**columns)
    log.info("tokens_refreshed", token_set=row.pk, stored=bool(stored))
    # Not stored: a person consented anew while we asked. Her pair is the one to use.
    return _Given(fresh.access, fresh.expires_at) if stored else _of(_reread(row.pk))


def _unchanged(row: TokenSet) -> QuerySet[TokenSet]:
    """The row, if nobody wrote to it since we read it (`sealed` has a fresh nonce each time)."""
    return TokenSet.objects.filter(pk=row.pk, sealed=bytes(row.sealed))


def _after_invalid_grant(row: TokenSet, now: datetime) -> _Given:
    """Xero will never accept this pair again: say so once, unless a new consent came meanwhile."""
    with transaction.atomic(durable=True):
        known = _unchanged(row).update(state=TokenSet.State.LOST)
        if known:
            users = Connection.objects.filter(tokens=row)
            lost.mark(users.values_list("pk", flat=True), code="consent_lost", now=now)
    if not known:
        return _of(_reread(row.pk))
    log.warning("consent_lost", token_set=row.pk)
    lost.send_notices(now)
    raise Problem("consent_lost", "invalid_grant")


@contextmanager
def _one_at_a_time(token_set_id: int) -> Iterator[None]:
    """Hold the token set's lock across processes. Problem xero_unreachable after a long wait."""
    with sessions.alone() as own:
        _take_lock(own, f"justpayme token set {token_set_id}")
        yield


def _take_lock(own: BaseDatabaseWrapper, name: str) -> None:
    """Wait for the session lock `name` on the connection `own`."""
    try:
        with own.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, false), "
                "set_config('statement_timeout', '0', false)",
                [f"{LOCK_WAIT_SECONDS}s"],
            )
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise Problem("xero_unreachable", "another refresh does not end") from None
        raise
