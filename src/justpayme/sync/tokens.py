"""Xero's tokens: sealed at rest, refreshed by one at a time, ended on disconnect.

                 ask, > 60 s left
             ┌───────────────────┐
    LIVE ────┴── refresh, stored ┴──▶ LIVE      any transient trouble: stays LIVE
      └───────── invalid_grant ─────▶ LOST ──── a person's consent ───▶ LIVE

A refresh makes Xero forget the old pair (after 30 minutes' grace), so two at once would end
the connection. Hence: one session lock per token set, on a database connection of its own;
the row is read again once the lock is held; the new pair is committed before it is used;
and no transaction is open while we talk to Xero (I-33, I-34, I-35).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx2
import msgspec
import psycopg
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.mail import send_mail
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.template.loader import render_to_string

from justpayme.accounts.models import Business, Membership
from justpayme.core.errors import CATALOGUE, Problem
from justpayme.runtime.config import CALLBACK_PATH
from justpayme.sync.models import Connection, TokenSet, running
from justpayme.xero import oauth

log = structlog.get_logger(__name__)

SPARE = timedelta(seconds=60)
"""A token with less life than this is refreshed before it is used."""

LOCK_WAIT_SECONDS = 45
"""Longest wait for another process's refresh; longer than its call may take."""

ENDING_RETRY = timedelta(minutes=15)
ENDING_PATIENCE = timedelta(hours=24)
"""How often, and for how long, we try to tell Xero of a disconnect before we only forget."""

IN_USE = (Connection.State.LIVE, Connection.State.LOST, Connection.State.HALTED)


class _Pair(msgspec.Struct, frozen=True):
    """What is sealed. Its repr shows nothing."""

    access: str
    refresh: str

    def __repr__(self) -> str:
        return "_Pair(…)"


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


def seal(pair: _Pair, *, owner: bytes) -> tuple[str, bytes]:
    """Key id and nonce + ciphertext. `owner` is bound in, so a row cannot be moved to another."""
    key_id, key = next(iter(settings.TOKEN_KEYS.items()))
    nonce = os.urandom(12)
    return key_id, nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(pair), owner)


def unseal(sealed: bytes, *, key_id: str, owner: bytes) -> _Pair:
    """The pair again. Problem consent_lost if the key is gone or a bit was flipped."""
    key = settings.TOKEN_KEYS.get(key_id)
    if key is None:
        raise Problem("consent_lost", f"no key {key_id} for the stored tokens")
    try:
        plain = AESGCM(key).decrypt(sealed[:12], sealed[12:], owner)
    except (InvalidTag, ValueError):
        raise Problem("consent_lost", "the stored tokens do not open") from None
    return msgspec.json.decode(plain, type=_Pair)


def _owner(business_id: int, xero_user_id: str) -> bytes:
    return f"justpayme token set {business_id} {xero_user_id}".encode()


def _open(token_set: TokenSet) -> _Pair:
    owner = _owner(token_set.business_id, token_set.xero_user_id)
    return unseal(bytes(token_set.sealed), key_id=token_set.key_id, owner=owner)


def _columns(business_id: int, xero_user_id: str, tokens: oauth.Tokens, now: datetime) -> dict:
    """The columns of a token set for a fresh pair."""
    owner = _owner(business_id, xero_user_id)
    key_id, sealed = seal(_Pair(tokens.access, tokens.refresh), owner=owner)
    return {
        "sealed": sealed,
        "key_id": key_id,
        "scopes": tokens.scopes,
        "expires_at": tokens.expires_at,
        "refreshed_at": now,
        "state": TokenSet.State.LIVE,
    }


def store(
    *, business: Business, xero_user_id: str, tokens: oauth.Tokens, now: datetime
) -> TokenSet:
    """Keep the pair of a new consent; one row per business and Xero user."""
    columns = _columns(business.pk, xero_user_id, tokens, now)
    token_set, _ = TokenSet.objects.update_or_create(
        business=business, xero_user_id=xero_user_id, defaults=columns
    )
    return token_set


def rotate_keys() -> int:
    """Seal every row again that an older key sealed; how many. Run it after a key change."""
    current = next(iter(settings.TOKEN_KEYS))
    done = 0
    for pk in TokenSet.objects.exclude(key_id=current).values_list("pk", flat=True):
        with transaction.atomic():
            row = TokenSet.objects.select_for_update().get(pk=pk)
            owner = _owner(row.business_id, row.xero_user_id)
            row.key_id, row.sealed = seal(_open(row), owner=owner)
            row.save(update_fields=["key_id", "sealed"])
        done += 1
    return done


# --- the access token --------------------------------------------------------------------------


def access_token(token_set: TokenSet, now: datetime, *, rejected: str = "") -> str:
    """A token with a minute or more of life left.

    `rejected` is a token that Xero just called expired: it is never given again, so this
    refreshes unless somebody else has done so already. Problem consent_lost when only a
    person can help; any other Problem is transient and leaves everything as it was.
    """
    usable = _usable(_reread(token_set.pk), now, rejected)
    if usable:
        return usable
    with _one_at_a_time(token_set.pk):
        row = _reread(token_set.pk)
        return _usable(row, now, rejected) or _refresh(row, now)


def source(token_set: TokenSet, now: Callable[[], datetime]) -> Callable[[bool], str]:
    """`XeroClient.token`: a valid token, or with True a newer one than it gave last."""
    given = ""

    def give(force: bool) -> str:
        nonlocal given
        given = access_token(token_set, now(), rejected=given if force else "")
        return given

    return give


def _reread(pk: int) -> TokenSet:
    row = TokenSet.objects.filter(pk=pk).first()
    if row is None:
        raise Problem("consent_lost", "the tokens were wiped by a disconnect")
    if row.state == TokenSet.State.LOST:
        raise Problem("consent_lost", "already known")
    return row


def _usable(row: TokenSet, now: datetime, rejected: str) -> str:
    """The row's access token, or nothing if it has to be refreshed."""
    if row.expires_at - now <= SPARE:
        return ""
    access = _open(row).access
    return "" if access == rejected else access


def _refresh(row: TokenSet, now: datetime) -> str:
    """One refresh; the caller holds the lock. The old pair stays until the new is committed,
    so a lost answer is healed by asking again with the old refresh token (30 minutes' grace)."""
    try:
        with open_client() as http:
            fresh = oauth.refresh(http, app(), refresh_token=_open(row).refresh, now=now)
    except Problem as problem:
        if problem.code == "consent_lost":
            return _after_invalid_grant(row, now)
        raise
    columns = _columns(row.business_id, row.xero_user_id, fresh, now)
    with transaction.atomic(durable=True):
        stored = _unchanged(row).update(**columns)
    log.info("tokens_refreshed", token_set=row.pk, stored=bool(stored))
    # Not stored: a person consented anew while we asked. Her pair is the one to use.
    return fresh.access if stored else _open(_reread(row.pk)).access


def _unchanged(row: TokenSet) -> QuerySet[TokenSet]:
    """The row, if nobody wrote to it since we read it (`sealed` has a fresh nonce each time)."""
    return TokenSet.objects.filter(pk=row.pk, sealed=bytes(row.sealed))


def _after_invalid_grant(row: TokenSet, now: datetime) -> str:
    """Xero will never accept this pair again: say so once, unless a new consent came meanwhile."""
    with transaction.atomic(durable=True):
        lost = _unchanged(row).update(state=TokenSet.State.LOST)
        if lost:
            users = Connection.objects.filter(tokens=row)
            mark_lost(users.values_list("pk", flat=True), code="consent_lost", now=now)
    if not lost:
        return _open(_reread(row.pk)).access
    log.warning("consent_lost", token_set=row.pk)
    send_notices(now)
    raise Problem("consent_lost", "invalid_grant")


@contextmanager
def _one_at_a_time(token_set_id: int) -> Iterator[None]:
    """Hold the token set's lock across processes. Problem xero_unreachable after a long wait.

    A session lock on a connection of its own: it survives commits, needs no open
    transaction, and PostgreSQL frees it by itself when our process dies.
    """
    own = connections.create_connection("default")
    # Never from a pool: closing it must end the session, and with it the lock.
    options = {**own.settings_dict["OPTIONS"], "pool": False}
    own.settings_dict = own.settings_dict | {"OPTIONS": options}
    try:
        _take_lock(own, f"justpayme token set {token_set_id}")
        yield
    finally:
        own.close()


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


# --- lost connections --------------------------------------------------------------------------


def mark_lost(connection_ids: Iterable[int], *, code: str, now: datetime) -> int:
    """LIVE and HALTED connections become LOST for the reason `code`; how many. No call is made."""
    return Connection.objects.filter(
        pk__in=list(connection_ids),
        state__in=(Connection.State.LIVE, Connection.State.HALTED),
    ).update(
        state=Connection.State.LOST,
        error_code=code,
        error_text=CATALOGUE[code].sentence,
        error_at=now,
        next_due_at=None,
        notified_at=None,
    )


def send_notices(now: datetime) -> int:
    """One e-mail per business whose connections were lost and that was not told yet; how many.

    The claim is a conditional update, so of many processes one sends. A mail server that
    refuses gives the claim back and the next tick tries again.
    """
    waiting = Connection.objects.filter(state=Connection.State.LOST, notified_at=None)
    business_ids = list(waiting.order_by().values_list("business", flat=True).distinct())
    return sum(_notify(business_id, now) for business_id in business_ids)


def _notify(business_id: int, now: datetime) -> bool:
    claim = Connection.objects.filter(
        business_id=business_id, state=Connection.State.LOST, notified_at=None
    )
    with transaction.atomic():
        ids = list(claim.select_for_update().values_list("pk", flat=True))
        Connection.objects.filter(pk__in=ids).update(notified_at=now)
    if not ids:
        return False
    try:
        _send_notice(business_id, Connection.objects.filter(pk__in=ids))
    except OSError:
        # Connection errors and SMTP errors are both OSErrors.
        Connection.objects.filter(pk__in=ids).update(notified_at=None)
        log.exception("notice_not_sent", business=business_id)
        return False
    return True


def _send_notice(business_id: int, lost: Iterable[Connection]) -> None:
    """Tell the owners, who alone can reconnect. Names go into the body, never into a header."""
    owners = Membership.objects.filter(
        business_id=business_id, role=Membership.Role.OWNER, user__is_active=True
    ).select_related("user")
    addresses = [owner.user.email for owner in owners]
    link = f"{settings.JUSTPAYME_BASE_URL}/settings/integrations/"
    body = render_to_string("sync/connection_lost.txt", {"connections": lost, "link": link})
    for address in addresses:
        send_mail("Xero has stopped letting us in. Nothing is lost.", body, None, [address])


# --- the end of a connection -------------------------------------------------------------------


def wait_for_run(connection: Connection, *, seconds: float) -> bool:
    """Wait until no run of this connection is under way; whether that came about."""
    deadline = time.monotonic() + seconds
    while running(connection) is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def finish_endings(now: datetime) -> int:
    """Tell Xero of the disconnects it has not heard of yet; how many are done. For the tick.

    A disconnected connection whose `next_due_at` is set is one that Xero must still be told.
    """
    due = Connection.objects.filter(
        state=Connection.State.DISCONNECTED, next_due_at__isnull=False, next_due_at__lte=now
    )
    return sum(end_at_xero(connection, now) is None for connection in list(due))


def end_at_xero(connection: Connection, now: datetime) -> Problem | None:
    """End a disconnected connection at Xero, then wipe its tokens; the Problem if not yet.

    A run still under way, or a Xero that does not answer, is tried again later. When the
    consent is gone already, or after a day, we forget our side and are done.
    """
    if running(connection) is not None:
        return _later(connection, now, Problem("stopped", "a run is still ending"))
    token_set = connection.tokens
    try:
        if token_set is not None:
            _tell_xero(connection, token_set, now)
    except Problem as problem:
        tired = now - (connection.disconnected_at or now) > ENDING_PATIENCE
        if problem.code not in ("consent_lost", "permission_missing") and not tired:
            return _later(connection, now, problem)
    _forget(connection)
    return None


def _later(connection: Connection, now: datetime, problem: Problem) -> Problem:
    _ending(connection).update(next_due_at=now + ENDING_RETRY)
    log.warning("ending_put_off", connection=connection.pk, code=problem.code)
    return problem


def _ending(connection: Connection) -> QuerySet[Connection]:
    """The row, unless a person connected it again meanwhile."""
    return Connection.objects.filter(
        pk=connection.pk, state=Connection.State.DISCONNECTED, next_due_at__isnull=False
    )


def _tell_xero(connection: Connection, token_set: TokenSet, now: datetime) -> None:
    """End the connection at Xero; take back the whole consent if nothing else lives on it."""
    access = access_token(token_set, now)
    shared = Connection.objects.filter(
        connection_id=connection.connection_id, state__in=IN_USE
    ).exists()
    with open_client() as http:
        # The same connection id may serve another business of the same Xero user (I-48).
        if connection.connection_id and not shared:
            oauth.end_connection(
                http, app(), access_token=access, connection_id=connection.connection_id
            )
        if not _still_needed(token_set):
            oauth.revoke(http, app(), refresh_token=_open(_reread(token_set.pk)).refresh)


def _still_needed(token_set: TokenSet) -> bool:
    """Does any organisation of this Xero user sync? Revoking ends them all, in every business."""
    users = Connection.objects.filter(tokens__xero_user_id=token_set.xero_user_id)
    return users.filter(state__in=IN_USE).exists()


@transaction.atomic
def _forget(connection: Connection) -> None:
    """Wipe what opens this connection. A token set that serves nothing else is deleted, and
    organisations that were only offered by it go with it."""
    token_set = connection.tokens
    if not _ending(connection).update(next_due_at=None, tokens=None, connection_id=""):
        return
    if token_set is None or token_set.connections.filter(state__in=IN_USE).exists():
        return
    if _others_ending(token_set):
        return
    token_set.connections.filter(state=Connection.State.OFFERED).delete()
    token_set.delete()


def _others_ending(token_set: TokenSet) -> bool:
    """Does another disconnect still need these tokens to tell Xero?"""
    return token_set.connections.filter(
        state=Connection.State.DISCONNECTED, next_due_at__isnull=False
    ).exists()
