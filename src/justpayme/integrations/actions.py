"""Verbs about connections: connect, choose, sync now, change settings, resume, disconnect.

Each checks the role, does its work in one transaction and writes the security log. No
transaction is open while we talk to Xero. `by` is the membership of whoever asks.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from django.db import connection as database
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac

from justpayme.accounts.access import check_may_change, check_may_manage
from justpayme.accounts.models import Business, Membership
from justpayme.accounts.security_log import record
from justpayme.bills.models import HistoryEntry
from justpayme.core import schedule
from justpayme.core.errors import Next, Problem
from justpayme.core.schedule import INTERVALS
from justpayme.integrations.describe import describe
from justpayme.sync import ending, outbox, runs, tokens
from justpayme.sync.doorbell import request_push, request_sync
from justpayme.sync.models import (
    IN_USE,
    NOT_ALLOWED,
    Connection,
    OAuthState,
    Run,
    TokenSet,
    running,
)
from justpayme.xero import oauth
from justpayme.xero.translate import OrganisationFields

log = structlog.get_logger(__name__)

STATE_LIFE = timedelta(minutes=10)

SYNC_NOW_PAUSE = timedelta(seconds=10)
RUN_ENDS_WITHIN = 15.0
"""Seconds that a disconnect waits for the call under way of a running sync."""

State = Connection.State


class StateRefused(Exception):
    """The callback does not belong to a sign-in that this person began here."""


class NotPossible(Exception):
    """The verb makes no sense in the state that the connection is in; the text says why."""


class WrongConsent(Exception):
    """The consent is good, but not the one that was asked for; `code` is one of `WRONG`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


WRONG = ("other_user", "wrong_organisation")


# --- connect -----------------------------------------------------------------------------------


class Purpose(StrEnum):
    """What a sign-in at Xero is for."""

    CONNECT = "connect"
    RECONNECT = "reconnect"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Errand:
    """A sign-in at Xero: what it is for, which organisation it is about, what it asks for.

    It travels in the `state` itself. Of that we keep a digest, so nobody can alter it.
    """

    purpose: Purpose = Purpose.CONNECT
    pk: int = 0
    may_write: bool = False

    @property
    def scopes(self) -> str:
        """The permissions to ask Xero for."""
        return oauth.WRITE_SCOPES if self.may_write else oauth.READ_SCOPES

    def state(self) -> str:
        """A fresh one-use state that says this."""
        rights = "w" if self.may_write else "r"
        return f"{self.purpose}.{rights}.{self.pk}.{secrets.token_urlsafe(32)}"

    @staticmethod
    def of(state: str) -> Errand:
        """The errand of a state that we made; call it only once its digest was found. One that an
        older release made says nothing: it was for connecting."""
        parts = state.split(".")
        if len(parts) != 4:
            return Errand()
        return Errand(Purpose(parts[0]), int(parts[2]), parts[1] == "w")


def errand_of(connection: Connection, purpose: Purpose) -> Errand:
    """A lost connection is healed with the permissions that it had; only going bidirectional
    asks for more."""
    wider = purpose is Purpose.WRITE or _has_written(connection.business)
    return Errand(purpose, connection.pk, wider)


def errand_to_connect(business: Business) -> Errand:
    """One more organisation, with no fewer permissions than those in use have."""
    return Errand(may_write=_has_written(business))


def _has_written(business: Business) -> bool:
    """Is an organisation in use bidirectional, or could it be? One consent serves and heals all
    that it covers, so no sign-in of this business may ask for less."""
    rows = business.connections.filter(state__in=IN_USE).select_related("tokens")
    return any(row.direction == Connection.Direction.TWO or may_write(row) for row in rows)


def may_write(connection: Connection) -> bool:
    """Did Xero's consent include changing things?"""
    held = connection.tokens
    return held is not None and not oauth.missing(held.scopes, oauth.WRITE_SCOPES)


def begin_connect(
    *,
    by: Membership,
    session_key: str,
    address: str,
    now: datetime,
    errand: Errand = Errand(),
) -> str:
    """Start a sign-in at Xero; the address to send the person to.

    Only a digest of the one-use `state` is stored, bound to session, business and person.
    """
    check_may_manage(by)
    state = errand.state()
    with transaction.atomic():
        OAuthState.objects.create(
            digest=_digest(state),
            session_digest=_digest(session_key),
            business=by.business,
            user=by.user,
            created_at=now,
        )
        record(
            action="connect_begun",
            business=by.business,
            user=by.user,
            address=address,
            purpose=errand.purpose.value,
        )
    return oauth.authorise_url(
        tokens.app(), state=state, verifier=_verifier(state), scopes=errand.scopes
    )


@dataclass(frozen=True, slots=True)
class Consent:
    """What a consent led to. `choosable` are not synced yet; `healed` were lost and are live."""

    errand: Errand
    choosable: tuple[Connection, ...]
    healed: tuple[Connection, ...]


def complete_connect(
    *,
    by: Membership,
    session_key: str,
    state: str,
    code: str,
    error: str,
    address: str,
    now: datetime,
) -> Consent:
    """Finish a sign-in at Xero. Nothing syncs yet, except lost connections that it heals.

    StateRefused (before any call) for a state that is missing, foreign, used or expired;
    Problem or WrongConsent for everything else, and then nothing of this consent is kept.
    """
    check_may_manage(by)
    _claim_state(by, session_key, state, now)
    try:
        if error:
            raise Problem("consent_refused" if error == "access_denied" else "sign_in_expired")
        if not code:
            raise Problem("sign_in_expired", "no code came back")
        return _complete(by, state, code, address, now)
    except (Problem, WrongConsent) as failed:
        record(
            action="connect",
            business=by.business,
            user=by.user,
            address=address,
            result="failed",
            code=failed.code,
        )
        raise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _verifier(state: str) -> str:
    """The PKCE verifier, made from the state by our secret key, so that it is stored nowhere."""
    return salted_hmac("justpayme.integrations.pkce", state, algorithm="sha256").hexdigest()


def _claim_state(by: Membership, session_key: str, state: str, now: datetime) -> None:
    """Use up the state; the conditional update lets exactly one callback through."""
    used = OAuthState.objects.filter(
        digest=_digest(state),
        session_digest=_digest(session_key),
        business=by.business,
        user=by.user,
        used_at=None,
        created_at__gt=now - STATE_LIFE,
    ).update(used_at=now)
    if not used:
        raise StateRefused


@dataclass(frozen=True, slots=True)
class _Given:
    """One organisation that the consent gives access to; `fields` if Xero told them."""

    tenant: oauth.Tenant
    fields: OrganisationFields | None

    @property
    def name(self) -> str:
        told = self.fields.name if self.fields else ""
        return told or (self.tenant.tenant_name or "").strip()[:255] or "Unnamed organisation"


def _complete(by: Membership, state: str, code: str, address: str, now: datetime) -> Consent:
    errand, verifier = Errand.of(state), _verifier(state)
    with tokens.open_client() as http:
        fresh = oauth.exchange(
            http, tokens.app(), code=code, verifier=verifier, now=now, scopes=errand.scopes
        )
        try:
            claims = oauth.claims(fresh.access)
            if not claims.xero_user_id:
                raise Problem("wrong_shape", "the access token names no user")
            _check_scopes(fresh, errand)
            tenants = oauth.connections(http, tokens.app(), access_token=fresh.access)
            if errand.purpose is Purpose.WRITE:
                _check_same(by, errand, claims, tenants)
            given = _organisations(by, fresh.access, tenants)
        except (Problem, WrongConsent):
            _let_go(fresh)
            raise
    return _keep(by, errand, claims, fresh, given, address, now)


def _check_scopes(fresh: oauth.Tokens, errand: Errand) -> None:
    """Everything that was asked for was given, or nothing of this is kept."""
    if missing := fresh.missing():
        raise Problem("permission_missing", " ".join(sorted(missing)))
    if missing := fresh.missing(errand.scopes):
        raise Problem("write_permission_missing", " ".join(sorted(missing)))


def _check_same(
    by: Membership, errand: Errand, claims: oauth.Claims, tenants: Iterable[oauth.Tenant]
) -> None:
    """Going bidirectional needs the consent of the same Xero user to the same organisation: the
    sync goes on with the pair that is stored for her."""
    row = by.business.connections.select_related("tokens").get(pk=errand.pk)
    if row.tokens is None or row.tokens.xero_user_id != claims.xero_user_id:
        raise WrongConsent("other_user")
    if row.tenant_id not in _of_this_consent(claims, tenants):
        raise WrongConsent("wrong_organisation")


def _of_this_consent(claims: oauth.Claims, tenants: Iterable[oauth.Tenant]) -> set[UUID]:
    """Xero lists all that she ever gave. Those of this consent carry its event; where none does
    (she clicked through, xero-facts 1.1), being in the list is enough."""
    event = claims.authentication_event_id
    all_given = list(tenants)
    of_this = [t for t in all_given if event and t.auth_event_id == event]
    return {tenant.tenant_id for tenant in of_this or all_given}


def _organisations(by: Membership, access: str, tenants: Iterable[oauth.Tenant]) -> list[_Given]:
    """The organisations among the tenants, described. Practices hold no invoices."""
    wanted = [tenant for tenant in tenants if tenant.is_organisation]
    if not wanted:
        raise Problem("no_organisation", "only practices, or nothing at all")
    in_use = set(
        by.business.connections.filter(state__in=IN_USE).values_list("tenant_id", flat=True)
    )
    given = []
    for tenant in wanted:
        if tenant.tenant_id in in_use:
            given.append(_Given(tenant, None))
            continue
        try:
            given.append(_Given(tenant, describe(str(tenant.tenant_id), access)))
        except Problem as problem:
            if problem.code == "permission_missing":
                raise
            log.warning("organisation_not_described", code=problem.code)
            if problem.entry.next is not Next.RECONNECT:
                given.append(_Given(tenant, None))
    if not given:
        raise Problem("no_organisation", "none can be read")
    return given


def _let_go(fresh: oauth.Tokens) -> None:
    """End what a failed sign-in connected at Xero, as far as nobody here uses it. At best."""
    try:
        event = oauth.claims(fresh.access).authentication_event_id
        with tokens.open_client() as http:
            mine = oauth.connections(
                http, tokens.app(), access_token=fresh.access, auth_event_id=event
            )
            for tenant in mine if event else ():
                if not Connection.objects.filter(connection_id=str(tenant.id)).exists():
                    oauth.end_connection(
                        http,
                        tokens.app(),
                        access_token=fresh.access,
                        connection_id=str(tenant.id),
                    )
    except Problem as problem:
        log.warning("consent_not_undone", code=problem.code)


@transaction.atomic
def _keep(
    by: Membership,
    errand: Errand,
    claims: oauth.Claims,
    fresh: oauth.Tokens,
    given: list[_Given],
    address: str,
    now: datetime,
) -> Consent:
    """Store the tokens and every organisation that they open."""
    token_set = tokens.store(
        business=by.business, xero_user_id=claims.xero_user_id, tokens=fresh, now=now
    )
    meant = _of_this_consent(claims, [one.tenant for one in given])
    rows = [
        _row(by, errand, token_set, one, now, meant=one.tenant.tenant_id in meant) for one in given
    ]
    tenant_ids = [row.tenant_id for row in rows]
    # Offered once, and no longer given: nothing was ever synced from it.
    token_set.connections.filter(state=State.OFFERED).exclude(tenant_id__in=tenant_ids).delete()
    healed = [row for row in rows if row.state == State.LOST]
    for row in healed:
        _heal(row, token_set, now)
        request_sync(connection=row, cause=Run.Cause.CONNECT, by=by.user)
    TokenSet.objects.filter(business=by.business, connections=None).delete()
    for row in rows:
        if row.tokens_id == token_set.pk and row.is_two_way and may_write(row):
            outbox.unpark(row, (NOT_ALLOWED,))
            request_push(connection=row, by=by.user)
    record(
        action="connect",
        business=by.business,
        user=by.user,
        address=address,
        organisations=len(rows),
        healed=len(healed),
    )
    parted = [row for row in rows if row.state in (State.OFFERED, State.DISCONNECTED)]
    choosable = [row for row in parted if row.next_due_at is None]
    return Consent(errand, tuple(choosable), tuple(healed))


def _row(
    by: Membership,
    errand: Errand,
    token_set: TokenSet,
    one: _Given,
    now: datetime,
    *,
    meant: bool,
) -> Connection:
    """The row of an organisation, new or known. One in use keeps its tokens while they live,
    unless this errand is about it: its run under way ends with the tokens that it knows. One
    whose end Xero must still be told comes back only if this consent meant it."""
    row, created = Connection.objects.select_for_update().get_or_create(
        business=by.business,
        tenant_id=one.tenant.tenant_id,
        defaults={"name": one.name, "tokens": token_set},
    )
    in_use = not created and row.state in (State.LIVE, State.HALTED)
    lives = row.tokens is not None and row.tokens.state == TokenSet.State.LIVE
    if in_use and lives and row.pk != errand.pk:
        return row
    if row.state == State.DISCONNECTED and row.next_due_at is not None and not meant:
        # Not before she has chosen: where nothing is in use the whole consent ends with it.
        row.next_due_at = now + ending.RETRY
        row.save(update_fields=["next_due_at"])
        return row
    replaced = in_use and row.tokens_id != token_set.pk
    row.tokens = token_set
    row.connection_id = str(one.tenant.id)
    if row.state in (State.OFFERED, State.DISCONNECTED):
        row.next_due_at = None  # an ending that Xero was not told of yet is off
        _describe_row(row, one)
    row.save()
    if replaced:
        runs.end_stale(row.pk, now)
    return row


def _describe_row(row: Connection, one: _Given) -> None:
    row.name = one.name
    if one.fields is None:
        return
    row.organisation_id = row.organisation_id or one.fields.organisation_id
    row.short_code = one.fields.short_code
    row.country = one.fields.country
    row.currency = one.fields.currency
    row.time_zone = one.fields.time_zone


def _heal(row: Connection, token_set: TokenSet, now: datetime) -> None:
    """A lost connection lives again, with every setting as it was."""
    row.tokens = token_set
    row.state = State.LIVE
    _clear_trouble(row)
    row.next_due_at = now
    row.save()
    runs.end_stale(row.pk, now)  # one that slept since before the loss


def _clear_trouble(row: Connection) -> None:
    row.failures = 0
    row.error_code = row.error_text = ""
    row.error_at = row.notified_at = None


# --- choose ------------------------------------------------------------------------------------


@transaction.atomic
def choose(
    *,
    by: Membership,
    connection: Connection,
    import_drafts: bool = False,
    address: str,
    now: datetime,
) -> Connection:
    """Start to sync an organisation. One that was synced before keeps its settings and links, but
    starts one-directional: what was changed here meanwhile goes nowhere unseen.

    Its cursors go, so that the import reads everything and puts right what was edited here
    or changed there in between; bills are found again by their InvoiceID (I-38).
    """
    check_may_manage(by)
    row = locked(by, connection)
    if row.state not in (State.OFFERED, State.DISCONNECTED) or row.tokens is None:
        raise NotPossible(f"{row.name} can’t be chosen now. Connect Xero again first.")
    again = row.state == State.DISCONNECTED
    row.state = State.LIVE
    row.direction = Connection.Direction.ONE
    row.connected_at, row.disconnected_at = now, None
    row.imported_at = row.audited_at = row.checked_at = None
    row.import_drafts = row.import_drafts or import_drafts
    row.accepted_risk = False
    row.next_due_at = now
    _clear_trouble(row)
    row.save()
    runs.end_stale(row.pk, now)  # one that slept through the disconnect would write its cursors
    row.cursors.all().delete()
    if again:
        _add_history(row, by, now, action="reconnected", note=f"Synced with {row.name} again")
    request_sync(connection=row, cause=Run.Cause.CONNECT, by=by.user)
    noted(by, row, "organisation_chosen", address, again=again)
    return row


# --- everyday ----------------------------------------------------------------------------------


def sync_now(*, by: Membership, connection: Connection, now: datetime) -> str:
    """Ask for a sync at once. Answers `asked`; `running` or `soon` when it starts as soon as the
    one under way has ended, or ten seconds after the last; `blocked` while Xero makes us wait,
    as soon as that is over.

    A press is never lost: what somebody just changed in Xero is what she wants to see.
    """
    check_may_change(by)
    with transaction.atomic():
        row = locked(by, connection)
        if row.state != State.LIVE:
            raise NotPossible(f"{row.name} is not connected, so there is nothing to sync with.")
        under_way = running(row) is not None
        until = row.blocked_until
        if not under_way and until is not None and schedule.waits(until, now):
            due = min(row.next_due_at or until, until)
            Connection.objects.filter(pk=row.pk).update(next_due_at=due)
            return "blocked"
        last = row.runs.order_by("-started_at").first()
        due = now if last is None else max(now, last.started_at + SYNC_NOW_PAUSE)
        if not under_way and due <= now:
            request_sync(connection=row, cause=Run.Cause.PERSON, by=by.user)
            return "asked"
        Connection.objects.filter(pk=row.pk).update(next_due_at=due)
        return "running" if under_way else "soon"


@transaction.atomic
def change_settings(
    *,
    by: Membership,
    connection: Connection,
    interval_minutes: int,
    import_drafts: bool,
    address: str,
    now: datetime,
) -> Connection:
    """Set how often to sync and whether drafts come along.

    Drafts that Xero has not changed since are found only by reading everything, so switching
    them on asks for a full audit at once.
    """
    check_may_manage(by)
    if interval_minutes not in INTERVALS:
        raise NotPossible("Sync every: choose one of the times in the list.")
    row = locked(by, connection)
    wants_drafts = import_drafts and not row.import_drafts
    row.interval_minutes = interval_minutes
    row.import_drafts = import_drafts
    if row.is_live and row.next_due_at is not None and row.checked_at is not None:
        row.next_due_at = max(now, row.checked_at + timedelta(minutes=interval_minutes))
    if wants_drafts:
        row.audited_at = None
    row.save()
    if wants_drafts:
        _read_from_the_beginning(row, now)
    if wants_drafts and row.is_live:
        request_sync(connection=row, cause=Run.Cause.PERSON, by=by.user)
    noted(by, row, "settings_changed", address, minutes=interval_minutes, drafts=import_drafts)
    return row


def _read_from_the_beginning(row: Connection, now: datetime) -> None:
    """Pages that were read without drafts don't count: a full reading under way ends, and none
    goes on from where an earlier one came to."""
    under_way = running(row)
    if under_way is not None and under_way.kind in (Run.Kind.IMPORT, Run.Kind.AUDIT):
        runs.end_stale(row.pk, now)
    full = Q(endpoint__startswith="audit-")
    if row.wants_import:
        full |= Q(endpoint="invoices")
    row.cursors.filter(full).delete()


@transaction.atomic
def resume(*, by: Membership, connection: Connection, address: str, now: datetime) -> Connection:
    """Go on after a safety stop: a person looked at it and says that Xero is right."""
    check_may_manage(by)
    row = locked(by, connection)
    if row.state != State.HALTED:
        raise NotPossible(f"{row.name} is not stopped.")
    if row.error_code == "organisation_changed":
        raise NotPossible("This is another organisation now. Disconnect it instead.")
    stopped_by = row.error_code
    row.state = State.LIVE
    row.accepted_risk = True
    row.next_due_at = now
    _clear_trouble(row)
    row.save()
    request_sync(connection=row, cause=Run.Cause.PERSON, by=by.user)
    noted(by, row, "safety_stop_overruled", address, code=stopped_by)
    return row


# --- disconnect --------------------------------------------------------------------------------


def disconnect(
    *, by: Membership, connection: Connection, address: str, now: datetime
) -> Problem | None:
    """End the sync of an organisation; every bill stays. The Problem if Xero is told later.

    First our own rows say so and are committed, with whatever waited to be sent given up: from
    then on no call starts (I-37, I-38). Then a run under way stops at its next call, the
    connection ends at Xero and its tokens go.
    """
    check_may_manage(by)
    with transaction.atomic():
        row = locked(by, connection)
        if not row.is_in_use:
            raise NotPossible(f"{row.name} is not connected.")
        row.state = State.DISCONNECTED
        row.disconnected_at = row.next_due_at = now
        _clear_trouble(row)
        row.save()
        given_up = outbox.cancel_all(row, now, code="cancelled_by_disconnect")
        _add_history(row, by, now, action="disconnected", note=f"No longer synced with {row.name}")
        noted(by, row, "disconnect", address, given_up=given_up)
    ending.wait_for_run(row, seconds=RUN_ENDS_WITHIN)
    return ending.at_xero(row, now)


def locked(by: Membership, connection: Connection) -> Connection:
    """The row, locked, and only within the business of whoever asks."""
    rows = Connection.objects.select_for_update(of=("self",)).select_related("tokens")
    row = rows.filter(pk=connection.pk, business=by.business).first()
    if row is None:  # only offered, and a later sign-in at Xero did not give it
        raise NotPossible(f"Xero gives no access to {connection.name} now. Connect Xero again.")
    return row


def _add_history(row: Connection, by: Membership, now: datetime, *, action: str, note: str) -> None:
    """One entry for every linked bill, in one statement: there may be 100,000."""
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bills_historyentry "
            "(business_id, bill_id, at, source, action, by_id, run, changes, note) "
            "SELECT %s, bill_id, %s, %s, %s, %s, NULL, '[]', %s "
            "FROM sync_link WHERE connection_id = %s",
            [
                row.business_id,
                now,
                HistoryEntry.Source.CONNECTION.value,
                action,
                by.user_id,
                note,
                row.pk,
            ],
        )


def noted(by: Membership, row: Connection, action: str, address: str, **detail: Any) -> None:
    """Write what was done to an organisation into the security log."""
    record(
        action=action,
        business=by.business,
        user=by.user,
        address=address,
        connection=row.pk,
        organisation=row.name,
        **detail,
    )
