"""Settings: account, business, members, invitations, tokens, and who may do what."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils import timezone
from tests.fixtures.cast import PASSWORD, join

from justpayme.accounts import actions
from justpayme.accounts.fields import time_zones
from justpayme.accounts.models import (
    ApiToken,
    Business,
    Invitation,
    Membership,
    SecurityEvent,
    User,
)
from justpayme.accounts.tokens import digest

pytestmark = pytest.mark.django_db
HOSTILE = "<img src=x onerror=alert(1)> \"'&{{7*7}}"


def as_user(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def membership(user: User) -> Membership:
    return user.memberships.select_related("business", "user").get()


@pytest.fixture
def invite(alice: User) -> Any:
    def send(email: str = "dana@example.com", role: str = "viewer") -> str:
        as_user(alice).post("/settings/members/invite/", {"email": email, "role": role})
        found = re.search(r"https?://[^/\s]+(/\S+)", str(mail.outbox[-1].body))
        assert found
        return found.group(1)

    return send


# --- who gets in ---------------------------------------------------------------------------------

PAGES = [
    "/settings/",
    "/settings/account/",
    "/settings/business/",
    "/settings/business/new/",
    "/settings/members/",
]
OWNER_PAGES = ["/settings/members/invite/", "/settings/tokens/", "/settings/tokens/new/"]


@pytest.mark.parametrize("address", PAGES + OWNER_PAGES)
def test_visitors_are_sent_to_sign_in(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/?next=/settings/")


@pytest.mark.parametrize("address", PAGES)
def test_every_role_sees_the_ordinary_pages(
    alice: User, bob: User, vera: User, address: str
) -> None:
    for user in (alice, bob, vera):
        assert as_user(user).get(address).status_code == 200


@pytest.mark.parametrize("address", OWNER_PAGES)
def test_only_owners_see_what_only_owners_may_do(
    alice: User, bob: User, vera: User, address: str
) -> None:
    assert as_user(alice).get(address).status_code == 200
    for user in (bob, vera):
        answer = as_user(user).get(address)
        assert answer.status_code == 403
        assert "Only an owner of the business can do this" in answer.content.decode()


def test_roles_are_checked_beneath_the_pages_too(alice: User, bob: User, vera: User) -> None:
    target = membership(alice).pk
    now = timezone.now()
    for user in (bob, vera):
        who = membership(user)
        calls: list[Any] = [
            lambda who=who: actions.update_business(
                membership=who, name="Mine", currency="GBP", time_zone="UTC"
            ),
            lambda who=who: actions.invite(
                membership=who, email="x@example.com", role="owner", now=now
            ),
            lambda who=who: actions.withdraw_invitation(membership=who, pk=1),
            lambda who=who: actions.change_role(membership=who, pk=target, role="viewer"),
            lambda who=who: actions.remove_member(membership=who, pk=target, now=now),
            lambda who=who: actions.create_token(membership=who, name="x"),
            lambda who=who: actions.revoke_token(membership=who, pk=1, now=now),
        ]
        for call in calls:
            with pytest.raises(PermissionDenied):
                call()
    assert not Invitation.objects.exists()
    assert not ApiToken.objects.exists()
    assert membership(alice).role == "owner"


def test_ids_of_another_business_do_not_exist(alice: User, charlie: User) -> None:
    theirs = membership(charlie)
    token, _ = actions.create_token(membership=theirs, name="Charlie's")
    open_one = actions.invite(
        membership=theirs, email="x@example.com", role="viewer", now=timezone.now()
    )
    client = as_user(alice)
    for address in (
        f"/settings/members/{theirs.pk}/",
        f"/settings/members/{theirs.pk}/remove/",
        f"/settings/tokens/{token.pk}/revoke/",
        f"/settings/members/invitations/{open_one.pk}/withdraw/",
        f"/settings/business/{theirs.business_id}/switch/",
    ):
        assert client.post(address, {"role": "viewer"}).status_code == 404, address
        if "withdraw" not in address and "switch" not in address:
            assert client.get(address).status_code == 404, address
    token.refresh_from_db()
    assert token.revoked_at is None
    assert membership(charlie).role == "owner"
    assert Invitation.objects.filter(pk=open_one.pk).exists()


def test_nothing_of_another_business_is_shown(alice: User, charlie: User) -> None:
    actions.create_token(membership=membership(charlie), name="Charlie's till")
    client = as_user(alice)
    for address in (*PAGES, *OWNER_PAGES):
        assert "Charlie" not in page(client, address)
        assert "Angling" not in page(client, address)


def test_looking_changes_nothing(alice: User, bob: User, invite: Any) -> None:
    invite()
    token, _ = actions.create_token(membership=membership(alice), name="Till")
    before = SecurityEvent.objects.count()
    client = as_user(alice)
    for address in (
        *PAGES,
        *OWNER_PAGES,
        f"/settings/members/{membership(bob).pk}/remove/",
        f"/settings/tokens/{token.pk}/revoke/",
        f"/settings/members/invitations/{Invitation.objects.get().pk}/withdraw/",
        f"/settings/business/{membership(alice).business_id}/switch/",
    ):
        client.get(address)
    assert SecurityEvent.objects.count() == before
    token.refresh_from_db()
    assert token.revoked_at is None
    assert Invitation.objects.exists()


# --- your account and the business ---------------------------------------------------------------


def test_name_is_saved_and_shown_escaped(alice: User) -> None:
    client = as_user(alice)
    client.post("/settings/account/", {"name": HOSTILE})
    shown = page(client, "/settings/members/")
    assert "<img src=x" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "{{7*7}}" in shown


@pytest.mark.parametrize("name", ["", " ", "x" * 151, "a\nb", "a\0b", "\u202ereversed"])
def test_bad_names_are_refused_with_a_sentence(alice: User, name: str) -> None:
    answer = as_user(alice).post("/settings/account/", {"name": name})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    assert 'id="id_name-error"' in answer.content.decode()
    alice.refresh_from_db()
    assert alice.name == "Alice"


def test_time_zones_are_offered_by_their_present_names() -> None:
    offered = dict(time_zones())
    assert {"Europe/London", "Asia/Kolkata", "America/New_York", "UTC"} <= offered.keys()
    assert not offered.keys() & {"US/Arizona", "Asia/Calcutta", "Australia/ACT", "Etc/GMT+5"}
    assert len(offered) > 300


def test_a_business_keeps_a_time_zone_that_is_no_longer_offered(
    alice: User, business: Business
) -> None:
    business.time_zone = "US/Arizona"
    business.save()
    assert '<option value="US/Arizona" selected>' in (
        as_user(alice).get("/settings/business/").content.decode()
    )
    values = {"name": "Moved", "currency": "GBP", "time_zone": "US/Arizona"}
    assert as_user(alice).post("/settings/business/", values).status_code == 302
    business.refresh_from_db()
    assert (business.name, business.time_zone) == ("Moved", "US/Arizona")


def test_owner_changes_the_business(alice: User, business: Business) -> None:
    values = {"name": "Łódź & Daughters", "currency": "EUR", "time_zone": "Europe/Warsaw"}
    assert as_user(alice).post("/settings/business/", values).status_code == 302
    business.refresh_from_db()
    assert (business.name, business.currency) == ("Łódź & Daughters", "EUR")
    assert SecurityEvent.objects.filter(action="business_changed", user=alice).exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("currency", ""),
        ("currency", "gbp"),
        ("currency", "XXX"),
        ("currency", HOSTILE),
        ("time_zone", ""),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
    ],
)
def test_bad_business_values_are_refused(
    alice: User, business: Business, field: str, value: str
) -> None:
    values = {"name": "Fine", "currency": "GBP", "time_zone": "Europe/London"}
    answer = as_user(alice).post("/settings/business/", values | {field: value})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    business.refresh_from_db()
    assert business.name == "O'Hara & <b>Sons</b> Łódź"


@pytest.mark.parametrize("who", ["bob", "vera"])
def test_others_read_the_business_but_can_not_change_it(
    business: Business, who: str, request: pytest.FixtureRequest
) -> None:
    client = as_user(request.getfixturevalue(who))
    shown = page(client, "/settings/business/")
    assert "Only an owner can change these" in shown
    assert "O&#x27;Hara &amp; &lt;b&gt;Sons&lt;/b&gt; Łódź" in shown
    values = {"name": "Mine", "currency": "GBP", "time_zone": "Europe/London"}
    assert client.post("/settings/business/", values).status_code == 403
    business.refresh_from_db()
    assert business.name != "Mine"


def test_a_person_without_a_business_is_asked_to_name_one(client: Client, db: None) -> None:
    user = User.objects.create_user("solo@example.com", PASSWORD)
    client.force_login(user)
    assert client.get("/settings/members/")["Location"] == "/settings/business/new/"
    values = {"name": "Solo", "currency": "GBP", "time_zone": "Europe/London"}
    client.post("/settings/business/new/", values)
    assert membership(user).role == "owner"
    assert client.get("/settings/members/").status_code == 200


def test_switching_shows_the_other_business(
    alice: User, business: Business, other_business: Business
) -> None:
    Membership.objects.create(user=alice, business=other_business, role="viewer")
    client = as_user(alice)
    assert "Charlie" not in page(client, "/settings/members/")
    client.post(f"/settings/business/{other_business.pk}/switch/")
    assert "Charlie&#x27;s Angling" in page(client, "/settings/members/")
    assert client.get("/settings/tokens/").status_code == 403
    client.post(f"/settings/business/{business.pk}/switch/")
    assert client.get("/settings/tokens/").status_code == 200


def test_a_business_chosen_earlier_is_left_when_membership_ends(
    alice: User, business: Business, other_business: Business
) -> None:
    extra = Membership.objects.create(user=alice, business=other_business, role="owner")
    client = as_user(alice)
    client.post(f"/settings/business/{other_business.pk}/switch/")
    assert "Angling" in page(client, "/settings/members/")
    extra.delete()
    assert "Angling" not in page(client, "/settings/members/")


# --- members -------------------------------------------------------------------------------------


def test_invited_stranger_joins_with_a_link(invite: Any, business: Business) -> None:
    link = invite("Dana@Example.com", "viewer")
    message = mail.outbox[-1]
    assert message.to == ["dana@example.com"]
    assert "O'Hara & <b>Sons</b> Łódź" in message.body
    client = Client()
    assert "Join O&#x27;Hara" in page(client, link)
    answer = client.post(link, {"name": "Dana", "password": "a rather long phrase"})
    assert answer.status_code == 302
    dana = User.objects.get(email="dana@example.com")
    assert (membership(dana).business, membership(dana).role) == (business, "viewer")
    assert client.get("/settings/account/").status_code == 200
    assert Client().get(link).status_code == 404


def test_invitation_tells_the_owner_nothing_about_the_address(
    alice: User, charlie: User, invite: Any
) -> None:
    invite(charlie.email)
    invite("nobody@example.com")
    shown = page(as_user(alice), "/settings/members/")
    assert "Charlie" not in shown
    assert shown.count("Withdraw") == 2


def test_invited_person_with_an_account_signs_in_to_accept(
    charlie: User, business: Business, invite: Any
) -> None:
    link = invite(charlie.email, "member")
    assert "Sign in to accept" in page(Client(), link)
    client = as_user(charlie)
    assert "Join O&#x27;Hara" in page(client, link)
    assert charlie.memberships.count() == 1
    client.post(link)
    assert charlie.memberships.get(business=business).role == "member"
    assert "O&#x27;Hara" in page(client, "/settings/members/")


def test_invitation_of_another_person_can_not_be_taken(
    charlie: User, business: Business, invite: Any
) -> None:
    link = invite("dana@example.com")
    answer = as_user(charlie).post(link)
    assert answer.status_code == 422
    assert "This invitation is for dana@example.com" in answer.content.decode()
    assert not charlie.memberships.filter(business=business).exists()


def test_invitation_withdrawn_sent_anew_or_old_is_closed(alice: User, invite: Any) -> None:
    first = invite()
    Invitation.objects.update(sent_at=timezone.now() - timedelta(days=8))
    old = Invitation.objects.get()
    assert Client().get(first).status_code == 404
    second = invite()
    assert Client().get(second).status_code == 200
    as_user(alice).post(f"/settings/members/invitations/{old.pk}/withdraw/")
    assert Client().get(second).status_code == 404
    assert "no longer open" in Client().get(second).content.decode()


@pytest.mark.parametrize("key", ["x", "a:b:c", "W10:1tX:abc", "%00", "é" * 50])
def test_forged_invitations_lead_nowhere(client: Client, db: None, key: str) -> None:
    assert client.get(f"/account/invitation/{key}/").status_code == 404


def test_invitation_keys_can_not_be_tried_without_end(client: Client, db: None) -> None:
    codes = {client.post(f"/account/invitation/k{n}/").status_code for n in range(30)}
    assert codes == {404, 429}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ""),
        ("email", "nobody"),
        ("email", "x" * 250 + "@example.com"),
        ("email", "a@example.com\nBcc: b@example.com"),
        ("email", "a@example.com, b@example.com"),
        ("role", ""),
        ("role", "admin"),
    ],
)
def test_bad_invitations_are_refused(alice: User, field: str, value: str) -> None:
    values = {"email": "dana@example.com", "role": "viewer"} | {field: value}
    answer = as_user(alice).post("/settings/members/invite/", values)
    assert answer.status_code == 422
    assert not Invitation.objects.exists()
    assert not mail.outbox


def test_a_mail_server_that_is_down_is_told(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(self: mail.EmailMessage) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr(mail.EmailMessage, "send", down)
    client = as_user(alice)
    answer = client.post(
        "/settings/members/invite/", {"email": "dana@example.com", "role": "viewer"}
    )
    assert answer.status_code == 302
    assert "the e-mail did not leave" in page(client, "/settings/members/")
    assert Invitation.objects.filter(email="dana@example.com").exists()


def test_invitations_are_limited(alice: User) -> None:
    client = as_user(alice)
    for number in range(31):
        answer = client.post(
            "/settings/members/invite/",
            {"email": f"dana{number}@example.com", "role": "viewer"},
        )
    assert answer.status_code == 422
    assert "Too many invitations" in answer.content.decode()
    assert len(mail.outbox) == Invitation.objects.count() == 30


def test_members_are_not_invited_twice(alice: User, bob: User) -> None:
    answer = as_user(alice).post(
        "/settings/members/invite/", {"email": "BOB@example.com", "role": "owner"}
    )
    assert answer.status_code == 422
    assert "bob@example.com is a member already" in answer.content.decode()


@pytest.mark.parametrize("password", ["", "short", "1234567890", "password12", "dana@example.com"])
def test_weak_passwords_do_not_join(invite: Any, password: str) -> None:
    link = invite()
    answer = Client().post(link, {"name": "Dana", "password": password})
    assert answer.status_code == 422
    assert not User.objects.filter(email="dana@example.com").exists()


def test_owner_changes_a_role_and_it_counts_at_once(alice: User, bob: User) -> None:
    bobs = as_user(bob)
    assert bobs.get("/settings/tokens/").status_code == 403
    as_user(alice).post(f"/settings/members/{membership(bob).pk}/", {"role": "owner"})
    assert bobs.get("/settings/tokens/").status_code == 200
    event = SecurityEvent.objects.get(action="role_changed")
    assert (event.user, event.detail["was"], event.detail["role"]) == (alice, "member", "owner")


@pytest.mark.parametrize("role", ["", "admin", "OWNER", HOSTILE])
def test_unknown_roles_are_refused(alice: User, bob: User, role: str) -> None:
    answer = as_user(alice).post(f"/settings/members/{membership(bob).pk}/", {"role": role})
    assert answer.status_code == 422
    assert membership(bob).role == "member"


def test_the_last_owner_can_neither_step_down_nor_leave(alice: User, bob: User) -> None:
    client, own = as_user(alice), membership(alice)
    for address in (f"/settings/members/{own.pk}/", f"/settings/members/{own.pk}/remove/"):
        answer = client.post(address, {"role": "viewer"})
        assert answer.status_code == 422
        assert "Alice is the only owner" in answer.content.decode()
    assert membership(alice).role == "owner"


def test_removed_member_is_out_with_her_next_click(
    alice: User, bob: User, business: Business
) -> None:
    second = join(business, "Olga", "owner")
    token, _ = actions.create_token(membership=membership(second), name="Olga's")
    olgas = as_user(second)
    assert olgas.get("/settings/tokens/").status_code == 200
    as_user(alice).post(f"/settings/members/{membership(second).pk}/remove/")
    assert olgas.get("/settings/tokens/")["Location"] == "/settings/business/new/"
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert User.objects.filter(pk=second.pk).exists()


# --- tokens --------------------------------------------------------------------------------------


def test_token_is_shown_once_and_kept_as_a_digest(alice: User) -> None:
    client = as_user(alice)
    answer = client.post("/settings/tokens/new/", {"name": HOSTILE})
    shown = answer.content.decode()
    secret = re.search(r'value="(jpm_[\w-]{43})"', shown)
    assert secret
    token = ApiToken.objects.get()
    assert token.digest == digest(secret.group(1))
    assert "no-store" in answer["Cache-Control"]
    again = page(client, "/settings/tokens/")
    assert secret.group(1) not in again
    assert secret.group(1)[:12] in again
    assert "<img src=x" not in shown + again
    events = SecurityEvent.objects.filter(action="token_created")
    assert secret.group(1) not in str(list(events.values("detail")))


def test_token_can_be_revoked_once(alice: User) -> None:
    token, _ = actions.create_token(membership=membership(alice), name="Till")
    client = as_user(alice)
    assert "Revoke Till?" in page(client, f"/settings/tokens/{token.pk}/revoke/")
    client.post(f"/settings/tokens/{token.pk}/revoke/")
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert client.post(f"/settings/tokens/{token.pk}/revoke/").status_code == 404
    assert "No tokens yet" in page(client, "/settings/tokens/")


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb"])
def test_bad_token_names_are_refused(alice: User, name: str) -> None:
    answer = as_user(alice).post("/settings/tokens/new/", {"name": name})
    assert answer.status_code == 422
    assert not ApiToken.objects.exists()


def test_tokens_have_an_end(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MAX_TOKENS", 1)
    client = as_user(alice)
    client.post("/settings/tokens/new/", {"name": "one"})
    answer = client.post("/settings/tokens/new/", {"name": "two"})
    assert answer.status_code == 422
    assert "Revoke one first" in answer.content.decode()


def test_log_entries_are_one_line_and_can_not_be_rewritten(alice: User) -> None:
    from django.db import DatabaseError, transaction

    from justpayme.accounts.security_log import record

    event = record(action="x\ny", business=None, user=alice, address="1\r2", name="a\u2028b\x00c")
    assert (event.action, event.address) == ("x y", "1 2")
    assert event.detail == {"name": "a b c"}
    with pytest.raises(DatabaseError), transaction.atomic():
        SecurityEvent.objects.filter(pk=event.pk).update(action="nothing")
    with pytest.raises(DatabaseError), transaction.atomic():
        SecurityEvent.objects.filter(pk=event.pk).delete()
