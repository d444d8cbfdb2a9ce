"""Tokens: sealed at rest, one refresh at a time, lost once and told once (I-33 to I-35, I-54)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any
from unittest import mock

import pytest
from django.core import mail
from django.db import connection as database
from django.db import connections
from tests.integrations.world import NOW, World, make_world

from justpayme.accounts.models import Business, Membership, User
from justpayme.core.errors import Problem
from justpayme.sync import jobs, lost, runs, tokens
from justpayme.sync.models import Connection, TokenSet
from justpayme.xero import oauth

SOON = NOW + timedelta(minutes=29, seconds=30)
"""Less than a minute of life is left in a token of NOW."""


@pytest.fixture
def world(settings: Any) -> World:
    made = make_world()
    settings.XERO_TRANSPORT = made.wire
    return made


def sign_in(world: World, *countries: str) -> oauth.Tokens:
    url = oauth.authorise_url(tokens.app(), state="s")
    code = world.agree(url, *(countries or ("GB",)))["code"]
    with tokens.open_client() as http:
        return oauth.exchange(http, tokens.app(), code=code, now=NOW)


def stored(business: Business, fresh: oauth.Tokens) -> TokenSet:
    return tokens.store(business=business, xero_user_id="xero-user", tokens=fresh, now=NOW)


def connected(business: Business, token_set: TokenSet, world: World, country: str) -> Connection:
    tenant = world.tenant(country)
    rows = world.sandbox.identity.visible()
    return Connection.objects.create(
        business=business,
        tokens=token_set,
        tenant_id=tenant,
        connection_id=next(row.id for row in rows if row.tenant_id == tenant),
        name=f"<b>Organisation</b> in {country}",
        state=Connection.State.LIVE,
        next_due_at=NOW,
    )


def at_once(work: Callable[[], str], times: int) -> list[str | Problem]:
    """Run the same work in threads that start together; what each returned or raised."""
    barrier = threading.Barrier(times)
    results: list[str | Problem] = []

    def one() -> None:
        barrier.wait()
        try:
            results.append(work())
        except Problem as problem:
            results.append(problem)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


# --- sealing -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_no_token_is_readable_in_the_database(world: World, business: Business) -> None:
    fresh = oauth.Tokens("canary-access", "canary-refresh", NOW + timedelta(minutes=30), "openid")
    token_set = stored(business, fresh)
    with database.cursor() as cursor:
        cursor.execute("SELECT t::text, encode(sealed, 'escape') FROM sync_tokenset t")
        [row] = cursor.fetchall()
    assert "canary" not in "".join(row)
    assert b"canary" not in bytes(token_set.sealed)
    assert "canary" not in repr(token_set) + str(token_set) + repr(vars(token_set))
    assert tokens.access_token(token_set, NOW) == "canary-access"


@pytest.mark.django_db
@pytest.mark.parametrize("place", [0, 5, 11, 12, 20, -1])
def test_a_flipped_bit_is_refused(world: World, business: Business, place: int) -> None:
    token_set = stored(business, sign_in(world))
    sealed = bytearray(token_set.sealed)
    sealed[place] ^= 1
    TokenSet.objects.update(sealed=bytes(sealed))
    with pytest.raises(Problem) as refused:
        tokens.access_token(token_set, NOW)
    assert refused.value.code == "consent_lost"


@pytest.mark.django_db
@pytest.mark.parametrize("sealed", [b"", b"short", b"\x00" * 28])
def test_damaged_tokens_are_refused(world: World, business: Business, sealed: bytes) -> None:
    token_set = stored(business, sign_in(world))
    TokenSet.objects.update(sealed=sealed)
    with pytest.raises(Problem):
        tokens.access_token(token_set, NOW)


@pytest.mark.django_db
def test_tokens_moved_to_another_business_do_not_open(
    world: World, business: Business, other_business: Business
) -> None:
    ours = stored(business, sign_in(world))
    theirs = stored(other_business, sign_in(world))
    TokenSet.objects.filter(pk=theirs.pk).update(sealed=bytes(ours.sealed))
    with pytest.raises(Problem) as refused:
        tokens.access_token(theirs, NOW)
    assert refused.value.code == "consent_lost"


@pytest.mark.django_db
def test_the_same_pair_is_sealed_differently_each_time(world: World, business: Business) -> None:
    fresh = sign_in(world)
    assert bytes(stored(business, fresh).sealed) != bytes(stored(business, fresh).sealed)
    assert TokenSet.objects.count() == 1


@pytest.mark.django_db
def test_rotation_seals_every_row_with_the_first_key(
    world: World, business: Business, other_business: Business, settings: Any
) -> None:
    old = {"old-key": b"o" * 32}
    settings.TOKEN_KEYS = old
    first = stored(business, sign_in(world))
    second = stored(other_business, sign_in(world))
    access = tokens.access_token(first, NOW)
    settings.TOKEN_KEYS = {"new-key": b"n" * 32, **old}
    assert tokens.rotate_keys() == 2
    assert tokens.rotate_keys() == 0
    settings.TOKEN_KEYS = {"new-key": b"n" * 32}
    assert set(TokenSet.objects.values_list("key_id", flat=True)) == {"new-key"}
    assert tokens.access_token(first, NOW) == access
    assert tokens.access_token(second, NOW)


@pytest.mark.django_db(transaction=True)
def test_rotation_during_a_refresh_loses_no_pair(
    world: World, business: Business, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-34: Xero has forgotten the old pair by then."""
    settings.TOKEN_KEYS = {"old": b"o" * 32}
    token_set = stored(business, sign_in(world))
    settings.TOKEN_KEYS = {"new": b"n" * 32, "old": b"o" * 32}

    def rotate() -> None:
        tokens.rotate_keys()
        connections.close_all()

    rotation = threading.Thread(target=rotate)
    handle = world.wire.handle_request

    def meanwhile(request: Any) -> Any:
        rotation.start()
        rotation.join(0.2)
        return handle(request)

    with monkeypatch.context() as patched:
        patched.setattr(world.wire, "handle_request", meanwhile)
        new = tokens.access_token(token_set, SOON)
    rotation.join()
    assert tokens.access_token(token_set, SOON) == new
    assert TokenSet.objects.get().key_id == "new"


@pytest.mark.django_db
def test_rotation_passes_over_a_row_that_no_key_opens(
    world: World, business: Business, other_business: Business, settings: Any
) -> None:
    settings.TOKEN_KEYS = {"gone": b"g" * 32}
    stored(business, sign_in(world))
    settings.TOKEN_KEYS = {"old": b"o" * 32}
    kept = stored(other_business, sign_in(world))
    settings.TOKEN_KEYS = {"new": b"n" * 32, "old": b"o" * 32}
    assert tokens.rotate_keys() == 1
    assert tokens.access_token(kept, NOW)


@pytest.mark.django_db
def test_rotating_a_thousand_rows_keeps_every_pair(
    world: World, business: Business, settings: Any
) -> None:
    """S7."""
    settings.TOKEN_KEYS = {"old": b"o" * 32}
    rows = []
    for number in range(1000):
        pair = oauth.Tokens(f"access-{number}", f"refresh-{number}", SOON, "openid")
        columns = tokens._columns(business.pk, f"user-{number}", pair, NOW)
        rows.append(TokenSet(business=business, xero_user_id=f"user-{number}", **columns))
    TokenSet.objects.bulk_create(rows)
    settings.TOKEN_KEYS = {"new": b"n" * 32, "old": b"o" * 32}
    assert tokens.rotate_keys() == 1000
    settings.TOKEN_KEYS = {"new": b"n" * 32}
    for row in TokenSet.objects.order_by("pk")[:1000:100]:
        own = row.xero_user_id.removeprefix("user-")
        assert tokens.access_token(row, NOW) == f"access-{own}"
        assert tokens.refresh_token(row) == f"refresh-{own}"


@pytest.mark.django_db
def test_without_its_key_a_row_does_not_open_and_nothing_is_lost(
    world: World, business: Business, settings: Any
) -> None:
    """A command run with another secret key must not end the service's connection."""
    token_set = stored(business, sign_in(world))
    connection = connected(business, token_set, world, "GB")
    settings.TOKEN_KEYS = {"other": b"x" * 32}
    with pytest.raises(Problem) as refused:
        tokens.access_token(token_set, NOW)
    assert refused.value.code == "key_missing"
    token_set.refresh_from_db()
    connection.refresh_from_db()
    assert (token_set.state, connection.state) == (TokenSet.State.LIVE, Connection.State.LIVE)


# --- refreshing --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_token_with_life_left_costs_no_call(world: World, business: Business) -> None:
    token_set = stored(business, sign_in(world))
    before = world.wire.calls("/connect/token")
    tokens.access_token(token_set, NOW + timedelta(minutes=28, seconds=59))
    assert world.wire.calls("/connect/token") == before


@pytest.mark.django_db
def test_a_token_about_to_expire_is_refreshed_and_kept(world: World, business: Business) -> None:
    token_set = stored(business, sign_in(world))
    old = tokens.access_token(token_set, NOW)
    before = world.wire.calls("/connect/token")
    new = tokens.access_token(token_set, SOON)
    assert new != old
    assert tokens.access_token(token_set, SOON) == new
    assert world.wire.calls("/connect/token") == before + 1
    token_set.refresh_from_db()
    assert token_set.refreshed_at == SOON
    assert token_set.expires_at == SOON + timedelta(minutes=30)


@pytest.mark.django_db
def test_a_rejected_token_is_never_given_again(world: World, business: Business) -> None:
    token_set = stored(business, sign_in(world))
    old = tokens.access_token(token_set, NOW)
    new = tokens.access_token(token_set, NOW, rejected=old)
    assert new != old
    before = world.wire.calls("/connect/token")
    # A second worker reports the same old token: the first one's refresh serves it too.
    assert tokens.access_token(token_set, NOW, rejected=old) == new
    assert world.wire.calls("/connect/token") == before


@pytest.mark.django_db
def test_the_source_of_a_client_refreshes_only_when_forced(
    world: World, business: Business
) -> None:
    give = tokens.source(stored(business, sign_in(world)).pk, lambda: NOW)
    first = give(False)
    assert give(False) == first
    assert give(True) != first


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_number", range(3))
def test_many_at_once_make_one_refresh_and_all_get_the_new_token(
    world: World, business: Business, round_number: int
) -> None:
    """I-33."""
    token_set = stored(business, sign_in(world))
    before = world.wire.calls("/connect/token")
    results = at_once(lambda: tokens.access_token(token_set, SOON), 6)
    assert world.wire.calls("/connect/token") == before + 1
    assert len(results) == 6
    assert len(set(results)) == 1
    assert results[0] == tokens.access_token(token_set, SOON)


@pytest.mark.django_db(transaction=True)
def test_the_new_pair_is_committed_before_it_is_used(
    world: World, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-34: at the moment we learn the new token, another session already reads the new pair,
    and while Xero is asked no transaction is open."""
    token_set = stored(business, sign_in(world))
    seen: list[bool] = []
    handle = world.wire.handle_request

    def watching(request: Any) -> Any:
        seen.append(database.in_atomic_block)
        return handle(request)

    monkeypatch.setattr(world.wire, "handle_request", watching)
    new = tokens.access_token(token_set, SOON)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT sealed FROM sync_tokenset WHERE id = %s", [token_set.pk])
            [(sealed,)] = cursor.fetchall()
    finally:
        other.close()
    assert seen == [False]
    row = TokenSet.objects.get()
    assert bytes(sealed) == bytes(row.sealed)
    assert tokens.access_token(row, SOON) == new


@pytest.mark.django_db
def test_a_lost_answer_is_healed_with_the_old_refresh_token(
    world: World, business: Business
) -> None:
    """I-34: Xero rotated, we never heard of it; the old token still works for half an hour."""
    token_set = stored(business, sign_in(world))
    world.wire.lost = 1
    with pytest.raises(Problem) as refused:
        tokens.access_token(token_set, SOON)
    assert refused.value.code == "xero_unreachable"
    token_set.refresh_from_db()
    assert token_set.state == TokenSet.State.LIVE
    world.clock.advance(29 * 60)
    assert tokens.access_token(token_set, SOON)


@pytest.mark.django_db
@pytest.mark.parametrize("ends", ["the answer is lost", "the process is killed"])
def test_a_refresh_without_an_answer_is_repeated_within_the_grace_whoever_asked(
    world: World, business: Business, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """I-34. Here nobody syncs: a page, or a disconnect of another organisation. Once a day is
    too seldom."""
    token_set = stored(business, sign_in(world))
    row = connected(business, token_set, world, "GB")
    Connection.objects.filter(pk=row.pk).update(
        interval_minutes=1440, next_due_at=SOON + timedelta(hours=20)
    )
    with monkeypatch.context() as patched:
        if ends == "the process is killed":
            patched.setattr(oauth, "refresh", mock.Mock(side_effect=KeyboardInterrupt))
        else:
            world.wire.lost = 1
        with pytest.raises((Problem, KeyboardInterrupt)):
            tokens.access_token(token_set, SOON)
    later = SOON + timedelta(minutes=11)
    assert (jobs.start_due(SOON), jobs.start_due(later)) == (0, 1)
    assert jobs.start_due(SOON - timedelta(days=1)) == 1  # the clock was set back (I-43)
    before = world.wire.calls("/connect/token")
    new = tokens.access_token(token_set, later)
    assert world.wire.calls("/connect/token") == before + 1
    assert (jobs.start_due(later), tokens.access_token(token_set, later)) == (0, new)


@pytest.mark.django_db
def test_a_pair_in_doubt_is_asked_for_again_though_the_old_one_has_life_left(
    world: World, business: Business
) -> None:
    """I-34: Xero refused it early, and the answer to the refresh was lost."""
    token_set = stored(business, sign_in(world))
    old = tokens.access_token(token_set, NOW)
    world.wire.lost = 1
    with pytest.raises(Problem):
        tokens.access_token(token_set, NOW, rejected=old)
    assert tokens.access_token(token_set, NOW) != old


# --- lost --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_invalid_grant_loses_the_connections_once_and_tells_the_owners_once(
    world: World, business: Business, alice: User, bob: User, vera: User, charlie: User
) -> None:
    """I-35."""
    token_set = stored(business, sign_in(world, "GB", "NZ"))
    rows = [connected(business, token_set, world, country) for country in ("GB", "NZ")]
    world.sandbox.identity.revoke_all()
    for _ in range(3):
        with pytest.raises(Problem) as refused:
            tokens.access_token(token_set, SOON)
        assert refused.value.code == "consent_lost"
    lost.send_notices(SOON)
    assert world.wire.calls("/connect/token") == 2  # the sign-in, and one refresh
    token_set.refresh_from_db()
    assert token_set.state == TokenSet.State.LOST
    for row in rows:
        row.refresh_from_db()
        assert (row.state, row.error_code) == (Connection.State.LOST, "consent_lost")
        assert row.next_due_at is None
        assert row.notified_at == SOON
    [message] = mail.outbox
    assert message.to == ["alice@example.com"]
    assert "Nothing is lost" in message.body
    assert "<b>Organisation</b> in GB" in message.body
    assert "<b>Organisation</b> in NZ" in message.body
    assert "http://localhost:8000/settings/integrations/" in message.body


@pytest.mark.django_db
def test_every_owner_is_told_and_nobody_sees_the_others_address(
    world: World, business: Business, alice: User
) -> None:
    second = User.objects.create_user("olive@example.com", None)
    Membership.objects.create(user=second, business=business, role=Membership.Role.OWNER)
    gone = User.objects.create_user("gone@example.com", None, is_active=False)
    Membership.objects.create(user=gone, business=business, role=Membership.Role.OWNER)
    token_set = stored(business, sign_in(world))
    row = connected(business, token_set, world, "GB")
    assert lost.mark([row.pk], code="removed_in_xero", now=NOW) == 1
    assert lost.send_notices(NOW) == 1
    assert sorted(m.to for m in mail.outbox) == [["alice@example.com"], ["olive@example.com"]]


@pytest.mark.django_db
def test_when_one_owner_cannot_be_written_to_the_other_is_told_once(
    world: World, business: Business, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = User.objects.create_user("olive@example.com", None)
    Membership.objects.create(user=second, business=business, role=Membership.Role.OWNER)
    row = connected(business, stored(business, sign_in(world)), world, "GB")
    lost.mark([row.pk], code="consent_lost", now=NOW)
    send = mail.EmailMessage.send

    def refuse_olive(message: mail.EmailMessage, *args: Any, **kwargs: Any) -> int:
        if message.to == ["olive@example.com"]:
            raise SMTPRecipientsRefused({})
        return send(message, *args, **kwargs)

    monkeypatch.setattr(mail.EmailMessage, "send", refuse_olive)
    assert [lost.send_notices(NOW) for _ in range(3)] == [1, 0, 0]
    assert [m.to for m in mail.outbox] == [["alice@example.com"]]


@pytest.mark.django_db
def test_a_teller_that_dies_is_replaced(
    world: World, business: Business, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-35: nobody would ever have been told."""
    row = connected(business, stored(business, sign_in(world)), world, "GB")
    lost.mark([row.pk], code="consent_lost", now=NOW)
    with monkeypatch.context() as patched:
        patched.setattr(lost, "deliver", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lost.send_notices(NOW)
    assert lost.send_notices(NOW + lost.LEASE) == 0  # it may be at it still
    assert mail.outbox == []
    later = NOW + lost.LEASE + timedelta(seconds=1)
    assert [lost.send_notices(later) for _ in range(2)] == [1, 0]
    [message] = mail.outbox
    assert message.to == ["alice@example.com"]


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["by a refresh", "in a run"])
def test_a_second_loss_while_the_first_is_being_told_is_told_too(
    world: World, business: Business, alice: User, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """I-35. A person reconnected meanwhile; a mail server may be slow."""
    row = connected(business, stored(business, sign_in(world)), world, "GB")
    lost.mark([row.pk], code="consent_lost", now=NOW)
    deliver = lost.deliver

    def meanwhile(message: mail.EmailMessage) -> bool:
        Connection.objects.update(state=Connection.State.LIVE)
        if how == "by a refresh":
            lost.mark([row.pk], code="consent_lost", now=NOW)
        else:
            problem = Problem("removed_in_xero")
            Connection.objects.update(**runs._after_problem(row, problem, NOW, 0.0))
        return deliver(message)

    with monkeypatch.context() as patched:
        patched.setattr(lost, "deliver", meanwhile)
        assert lost.send_notices(NOW) == 1
    later = NOW + timedelta(minutes=1)
    assert [lost.send_notices(later) for _ in range(2)] == [1, 0]
    assert len(mail.outbox) == 2


@pytest.mark.django_db
def test_a_mail_server_that_is_down_is_tried_again(
    world: World, business: Business, alice: User, settings: Any
) -> None:
    token_set = stored(business, sign_in(world))
    row = connected(business, token_set, world, "GB")
    lost.mark([row.pk], code="consent_lost", now=NOW)
    real = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert lost.send_notices(NOW) == 0
    settings.EMAIL_BACKEND = real
    assert lost.send_notices(NOW) == 1
    assert lost.send_notices(NOW) == 0
    assert len(mail.outbox) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "answer",
    [
        (500, {}),
        (503, {"error": "invalid_grant"}),
        (429, {"error": "invalid_grant"}),
        (400, {"error": "invalid_client"}),
        (400, {"error": "invalid_request"}),
        (200, {"access_token": "only"}),
        (404, "<html>"),
    ],
)
def test_a_transient_failure_changes_nothing_and_tells_nobody(
    world: World, business: Business, alice: User, answer: tuple[int, Any]
) -> None:
    token_set = stored(business, sign_in(world))
    row = connected(business, token_set, world, "GB")
    world.wire.answers = {"/connect/token": answer}
    with pytest.raises(Problem) as raised:
        tokens.access_token(token_set, SOON)
    assert raised.value.code != "consent_lost"
    row.refresh_from_db()
    token_set.refresh_from_db()
    assert (row.state, token_set.state) == (Connection.State.LIVE, TokenSet.State.LIVE)
    lost.send_notices(SOON)
    assert mail.outbox == []
    world.wire.answers = {}
    assert tokens.access_token(token_set, SOON)


@pytest.mark.django_db(transaction=True)
def test_a_consent_given_during_a_refused_refresh_wins(
    world: World, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-35: invalid_grant for a pair that was replaced meanwhile loses nothing."""
    token_set = stored(business, sign_in(world))
    row = connected(business, token_set, world, "GB")
    world.sandbox.identity.revoke_all()
    newer = sign_in(world)
    handle = world.wire.handle_request

    def meanwhile(request: Any) -> Any:
        stored(business, newer)
        return handle(request)

    monkeypatch.setattr(world.wire, "handle_request", meanwhile)
    assert tokens.access_token(token_set, SOON) == newer.access
    row.refresh_from_db()
    assert row.state == Connection.State.LIVE


@pytest.mark.django_db(transaction=True)
def test_many_at_once_lose_it_once(world: World, business: Business, alice: User) -> None:
    token_set = stored(business, sign_in(world))
    connected(business, token_set, world, "GB")
    world.sandbox.identity.revoke_all()
    before = world.wire.calls("/connect/token")
    results = at_once(lambda: tokens.access_token(token_set, SOON), 5)
    assert [getattr(r, "code", r) for r in results] == ["consent_lost"] * 5
    assert world.wire.calls("/connect/token") == before + 1
    assert len(mail.outbox) == 1


@pytest.mark.django_db
def test_no_secret_is_in_logs_or_exceptions(
    world: World, business: Business, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    """I-54."""
    caplog.set_level(logging.DEBUG)
    fresh = oauth.Tokens("canary-access", "canary-refresh", NOW, "openid")
    token_set = stored(business, fresh)
    connected_row = Connection.objects.create(
        business=business, tokens=token_set, tenant_id=world.tenant("GB"), name="x", state="live"
    )
    problems: list[Problem] = []
    world.wire.answers = {"/connect/token": (500, {"echo": "canary-refresh"})}
    for moment in (SOON, SOON):
        with pytest.raises(Problem) as raised:
            tokens.access_token(token_set, moment)
        problems.append(raised.value)
        world.wire.answers = {"/connect/token": (400, {"error": "invalid_grant"})}
    told = "".join(f"{p!r} {p} {p.detail} {p.__context__!r}" for p in problems)
    told += caplog.text + "".join(capsys.readouterr()) + repr(vars(connected_row))
    assert "canary" not in told
    assert [p.code for p in problems] == ["xero_unavailable", "consent_lost"]


@pytest.mark.django_db
def test_wiped_tokens_are_a_lost_consent(world: World, business: Business) -> None:
    token_set = stored(business, sign_in(world))
    TokenSet.objects.all().delete()
    with pytest.raises(Problem) as raised:
        tokens.access_token(token_set, datetime.now(NOW.tzinfo))
    assert raised.value.code == "consent_lost"
