"""Sign-up, sign-in, passwords, e-mail address and two-step sign-in."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.conf import settings
from django.core import mail
from django.test import Client
from tests.fixtures.cast import PASSWORD

from justpayme.accounts.models import Business, Membership, SecurityEvent, User
from justpayme.runtime.logs import redact

pytestmark = pytest.mark.django_db
NEW = "quite another long phrase"


def sign_in(client: Client, email: str, password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/account/login/", {"login": email, "password": password, **more})


def sign_in_twice(client: Client, user: User) -> None:
    """Sign in, and show once more who it is, as is asked before what matters."""
    sign_in(client, user.email)
    client.post("/account/reauthenticate/", {"password": PASSWORD})


def sign_up(client: Client, **more: str) -> Any:
    values = {
        "name": "Maeve Hollins",
        "business": "Hollins & Daughter <Joinery>",
        "email": "Maeve@Example.com",
        "password1": NEW,
    }
    return client.post("/account/signup/", values | more)


def code_for(secret: str) -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return format_hotp_value(hotp_value(secret, counter))


def last_link() -> str:
    found = re.search(r"https?://[^/\s]+(/\S+)", str(mail.outbox[-1].body))
    assert found
    return found.group(1)


def is_in(client: Client) -> bool:
    return client.get("/settings/account/").status_code == 200


def test_sign_up_makes_a_person_with_a_business_and_signs_her_in(client: Client) -> None:
    answer = sign_up(client)
    assert answer.status_code == 302
    user = User.objects.get()
    membership = user.memberships.get()
    assert (user.email, user.name) == ("maeve@example.com", "Maeve Hollins")
    assert membership.role == Membership.Role.OWNER
    assert membership.business.name == "Hollins & Daughter <Joinery>"
    assert "Hollins &amp; Daughter &lt;Joinery&gt;" in client.get("/settings/").content.decode()
    assert mail.outbox[-1].subject == "Confirm your e-mail address"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 151),
        ("name", "Maeve\nBcc: all@example.com"),
        ("name", "Maeve\0"),
        ("name", "evil\u202egnp.exe"),
        ("business", ""),
        ("business", "x" * 201),
        ("email", ""),
        ("email", "no address"),
        ("email", "x" * 300 + "@example.com"),
        ("email", "a@example.com\nBcc: b@example.com"),
        ("password1", ""),
        ("password1", "short"),
        ("password1", "1234567890"),
        ("password1", "password12"),
        ("password1", "maeve@example.com"),
    ],
)
def test_sign_up_refuses_bad_input_with_a_sentence(client: Client, field: str, value: str) -> None:
    answer = sign_up(client, **{field: value})
    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {field}
    assert f'id="id_{field}-error"' in answer.content.decode()
    assert not User.objects.exists()
    assert not Business.objects.exists()


def test_sign_up_with_an_address_in_use_changes_nothing(client: Client, alice: User) -> None:
    answer = sign_up(client, email="ALICE@example.com")
    assert answer.status_code == 200
    assert "There is an account with this address already" in answer.content.decode()
    assert User.objects.count() == 1
    assert Business.objects.count() == 1


def test_sign_in_and_out_leave_lines_in_the_security_log(client: Client, alice: User) -> None:
    sign_in(client, "Alice@Example.com")
    assert is_in(client)
    client.post("/account/logout/")
    assert not is_in(client)
    told = list(SecurityEvent.objects.order_by("pk").values_list("action", "result", "user"))
    assert told == [("signed_in", "ok", alice.pk), ("signed_out", "ok", alice.pk)]


def test_sign_in_starts_a_new_session(client: Client, alice: User) -> None:
    client.post("/theme/", {"theme": "dark"})
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    sign_in(client, alice.email)
    assert client.session.session_key != before


def test_session_ends_with_the_browser_unless_asked(client: Client, alice: User) -> None:
    answer = sign_in(client, alice.email)
    assert not answer.cookies[settings.SESSION_COOKIE_NAME]["max-age"]
    other = Client()
    answer = sign_in(other, alice.email, remember="on")
    assert answer.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == 14 * 24 * 3600


def test_session_cookie_is_out_of_reach_of_scripts(client: Client, alice: User) -> None:
    cookie = sign_in(client, alice.email).cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_unknown_address_and_wrong_password_look_the_same(client: Client, alice: User) -> None:
    wrong = sign_in(client, alice.email, "not her password")
    unknown = sign_in(client, "nobody@example.com", "not her password")
    assert wrong.status_code == unknown.status_code == 200
    pages = [
        re.sub(r"[\w-]{32,}|alice@example.com|nobody@example.com", "", page.content.decode())
        for page in (wrong, unknown)
    ]
    assert pages[0] == pages[1]
    assert "don’t belong together" in pages[0]


def test_refused_sign_in_is_written_on_one_line(client: Client, alice: User) -> None:
    sign_in(client, alice.email, "wrong\nsigned_in ok")
    event = SecurityEvent.objects.get()
    assert (event.action, event.result, event.user) == ("signed_in", "refused", alice)
    assert "\n" not in str(event.detail)
    assert "wrong" not in str(event.detail)


def test_guessing_a_password_is_stopped_even_with_the_right_one(
    client: Client, alice: User
) -> None:
    for attempt in range(10):
        forged = {"HTTP_X_FORWARDED_FOR": f"10.0.0.{attempt}"}
        client.post("/account/login/", {"login": alice.email, "password": "no"}, **forged)
    answer = sign_in(client, alice.email)
    assert "too many attempts" in answer.content.decode()
    assert not is_in(client)


@pytest.mark.parametrize(
    ("proxies", "passed", "address"),
    [
        (0, "6.6.6.6", "127.0.0.1"),
        (0, "", "127.0.0.1"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "", "127.0.0.1"),
    ],
)
def test_address_in_the_log_can_not_be_forged(
    client: Client, alice: User, settings: Any, proxies: int, passed: str, address: str
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    values = {"login": alice.email, "password": PASSWORD}
    client.post("/account/login/", values, headers={"X-Forwarded-For": passed})
    assert SecurityEvent.objects.get(action="signed_in").address == address


def test_many_requests_to_sign_in_get_429(client: Client, alice: User) -> None:
    codes = [sign_in(client, f"a{n}@example.com").status_code for n in range(40)]
    assert codes[-1] == 429
    assert "Too many tries" in sign_in(client, alice.email).content.decode()


@pytest.mark.parametrize(
    "away", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_sign_in_never_leads_to_another_site(client: Client, alice: User, away: str) -> None:
    answer = sign_in(client, alice.email, next=away)
    assert answer["Location"] == "/"


def test_sign_in_leads_back_to_the_page_that_was_wanted(client: Client, alice: User) -> None:
    asked = client.get("/settings/members/")
    assert asked.status_code == 302
    assert asked["Location"] == "/account/login/?next=/settings/members/"
    assert sign_in(client, alice.email, next="/settings/members/")["Location"] == (
        "/settings/members/"
    )


def test_get_does_not_sign_out(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.get("/account/logout/")
    assert is_in(client)


def test_closed_account_can_not_sign_in(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    sign_in(client, alice.email)
    assert not is_in(client)


def test_a_mail_server_that_is_down_does_not_stop_a_sign_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: mail.EmailMessage) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr(mail.EmailMessage, "send", down)
    assert sign_up(client).status_code == 302
    assert "We could not send you an e-mail" in client.get("/settings/").content.decode()


def test_closing_an_account_ends_its_sessions(client: Client, alice: User) -> None:
    sign_in(client, alice.email)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not is_in(client)


def test_reset_looks_the_same_for_every_address(client: Client, alice: User) -> None:
    known = client.post("/account/password/reset/", {"email": alice.email})
    unknown = client.post("/account/password/reset/", {"email": "nobody@example.com"})
    assert known.status_code == unknown.status_code == 302
    assert known["Location"] == unknown["Location"] == "/account/password/reset/done/"


def test_reset_by_e_mail_sets_a_new_password_once(client: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(alice)
    client.post("/account/password/reset/", {"email": "alice@EXAMPLE.com"})
    assert mail.outbox[-1].subject == "Set a new password"
    link = last_link()
    page = client.get(link, follow=True)
    client.post(page.redirect_chain[-1][0], {"password1": NEW, "password2": NEW})
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert not is_in(elsewhere)
    assert "This link no longer works" in Client().get(link, follow=True).content.decode()
    assert SecurityEvent.objects.filter(action="password_reset", user=alice).exists()


@pytest.mark.parametrize("key", ["1-abc", "zzzzzzzzzzzzzzzz-abc", "1-set-password", "1-%00"])
def test_forged_reset_links_lead_nowhere(client: Client, alice: User, key: str) -> None:
    page = client.get(f"/account/password/reset/key/{key}/", follow=True)
    assert page.status_code == 200
    assert "This link no longer works" in page.content.decode()


def test_changing_the_password_signs_out_elsewhere(client: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(alice)
    sign_in(client, alice.email)
    values = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert client.post("/account/password/change/", values).status_code == 302
    assert is_in(client)
    assert not is_in(elsewhere)
    assert mail.outbox[-1].subject == "Your password was changed"


def test_password_is_not_changed_without_the_old_one(client: Client, alice: User) -> None:
    client.force_login(alice)
    values = {"oldpassword": "no", "password1": NEW, "password2": NEW}
    answer = client.post("/account/password/change/", values)
    assert "That is not your current password" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def link_sent_to(address: str) -> str:
    for message in mail.outbox:
        found = re.search(r"https?://[^/\s]+(/account/confirm-email/\S+)", str(message.body))
        if found and message.to == [address]:
            return found.group(1)
    raise AssertionError(f"nothing was sent to {address}")


@pytest.mark.parametrize("confirmed", [True, False])
def test_new_address_counts_once_it_is_confirmed(
    client: Client, alice: User, confirmed: bool
) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=confirmed)
    sign_in_twice(client, alice)
    client.post("/account/email/", {"email": "alice@new.example", "action_add": ""})
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    page = client.get("/account/email/").content.decode()
    assert "Waiting for you to confirm alice@new.example" in page
    client.post(link_sent_to("alice@new.example"))
    alice.refresh_from_db()
    assert alice.email == "alice@new.example"
    assert list(EmailAddress.objects.values_list("email", flat=True)) == ["alice@new.example"]
    assert SecurityEvent.objects.filter(action="email_changed", user=alice).exists()


def test_change_of_address_can_be_dropped(client: Client, alice: User) -> None:
    sign_in_twice(client, alice)
    client.post("/account/email/", {"email": "alice@new.example", "action_add": ""})
    client.post("/account/email/", {"email": "alice@new.example", "action_remove": ""})
    assert not EmailAddress.objects.filter(email="alice@new.example").exists()
    client.post("/account/email/", {"email": "alice@example.com", "action_remove": ""})
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"


def test_unconfirmed_address_can_not_be_made_the_one_to_sign_in_with(
    client: Client, alice: User
) -> None:
    sign_in_twice(client, alice)
    client.post("/account/email/", {"email": "alice@new.example", "action_add": ""})
    answer = client.post("/account/email/", {"email": "alice@new.example", "action_primary": ""})
    assert answer.status_code == 400
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"


def test_address_of_another_person_is_neither_told_nor_taken(
    client: Client, alice: User, charlie: User
) -> None:
    sign_in_twice(client, alice)
    answers = []
    for address in (charlie.email, "free@example.com"):
        answers.append(client.post("/account/email/", {"email": address, "action_add": ""}))
    assert {(a.status_code, a["Location"]) for a in answers} == {(302, "/account/email/")}
    charlie.refresh_from_db()
    alice.refresh_from_db()
    assert (alice.email, charlie.email) == ("alice@example.com", "charlie@example.com")


def test_link_for_an_address_that_got_an_account_meanwhile_changes_nothing(
    client: Client, alice: User
) -> None:
    sign_in_twice(client, alice)
    client.post("/account/email/", {"email": "late@example.com", "action_add": ""})
    User.objects.create_user("late@example.com", PASSWORD)
    answer = client.post(link_sent_to("late@example.com"))
    assert answer.status_code == 302
    page = client.get("/settings/").content.decode()
    assert "was confirmed for another account already" in page
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"


def turn_on_two_step(client: Client, user: User) -> str:
    sign_in_twice(client, user)
    page = client.get("/account/2fa/totp/activate/")
    secret = str(page.context["form"].secret)
    client.post("/account/2fa/totp/activate/", {"code": code_for(secret)})
    return secret


@pytest.mark.django_db(transaction=True)
def test_two_step_asks_for_a_code_and_lets_nobody_in_without(client: Client, alice: User) -> None:
    secret = turn_on_two_step(client, alice)
    assert [m.subject for m in mail.outbox] == ["Two-step sign-in is on"]
    other = Client()
    answer = sign_in(other, alice.email)
    assert answer["Location"].startswith("/account/2fa/authenticate/")
    assert not is_in(other)
    refused = other.post("/account/2fa/authenticate/", {"code": "000000"})
    assert "That code is not right" in refused.content.decode()
    assert not is_in(other)
    assert SecurityEvent.objects.filter(action="code_refused", user=alice).exists()
    codes = Authenticator.objects.get(user=alice, type="recovery_codes").wrap()
    other.post("/account/2fa/authenticate/", {"code": codes.get_unused_codes()[0]})
    assert is_in(other)
    assert len(codes.get_unused_codes()) == 10
    assert secret


def test_two_step_key_is_sealed_at_rest(client: Client, alice: User) -> None:
    secret = turn_on_two_step(client, alice)
    stored = Authenticator.objects.get(user=alice, type="totp").data
    assert secret not in str(stored)
    assert stored["secret"].split(":")[0] in settings.TOKEN_KEYS


def test_two_step_page_has_a_code_to_scan_without_inline_images(
    client: Client, alice: User
) -> None:
    sign_in_twice(client, alice)
    page = client.get("/account/2fa/totp/activate/").content.decode()
    assert '<svg class="qr" role="img"' in page
    assert "data:" not in page


def test_two_step_can_be_turned_off(client: Client, alice: User) -> None:
    turn_on_two_step(client, alice)
    assert "Turn off two-step sign-in?" in (
        client.get("/account/2fa/totp/deactivate/").content.decode()
    )
    client.post("/account/2fa/totp/deactivate/")
    assert not Authenticator.objects.filter(user=alice, type="totp").exists()
    assert SecurityEvent.objects.filter(action="totp_deactivated", user=alice).exists()


def test_two_step_asks_again_who_you_are(client: Client, alice: User) -> None:
    client.force_login(alice)
    answer = client.get("/account/2fa/totp/activate/")
    assert answer["Location"].startswith("/account/reauthenticate/")
    answer = client.post("/account/reauthenticate/", {"password": PASSWORD})
    assert client.get("/account/2fa/totp/activate/").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/account/login/code/",
        "/account/login/code/confirm/",
        "/account/phone/verify/",
        "/account/signup/passkey/",
        "/account/2fa/webauthn/",
        "/account/2fa/trust/",
        "/account/3rdparty/",
        "/account/sessions/",
        "/admin/",
    ],
)
def test_what_is_not_offered_does_not_exist(client: Client, alice: User, address: str) -> None:
    assert client.get(address).status_code == 404
    client.force_login(alice)
    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/account/login/",
        "/account/signup/",
        "/account/inactive/",
        "/account/confirm-email/",
        "/account/confirm-email/abc/",
        "/account/password/reset/",
        "/account/password/reset/done/",
        "/account/password/reset/key/done/",
        "/account/password/reset/key/1-abc/",
    ],
)
def test_signed_out_pages_are_in_our_look(client: Client, address: str) -> None:
    page = client.get(address, follow=True)
    assert page.status_code == 200
    assert '<div class="entry">' in page.content.decode()


@pytest.mark.parametrize(
    "address",
    [
        "/account/email/",
        "/account/password/change/",
        "/account/2fa/",
        "/account/2fa/totp/activate/",
        "/account/2fa/recovery-codes/generate/",
    ],
)
def test_signed_in_pages_are_in_our_look(client: Client, alice: User, address: str) -> None:
    sign_in_twice(client, alice)
    page = client.get(address, follow=True).content.decode()
    assert '<header class="bar">' in page
    assert "<nav" in page


def test_recovery_codes_can_be_seen_kept_and_made_anew(client: Client, alice: User) -> None:
    turn_on_two_step(client, alice)
    shown = client.get("/account/2fa/recovery-codes/")
    codes = shown.context["unused_codes"]
    assert len(codes) == 10
    assert codes[0] in client.get("/account/2fa/recovery-codes/download/").content.decode()
    client.post("/account/2fa/recovery-codes/generate/")
    assert codes[0] not in client.get("/account/2fa/recovery-codes/").content.decode()


def test_e_mails_are_plain_and_in_our_voice(client: Client, alice: User) -> None:
    sign_up(client)
    client.post("/account/logout/")
    client.post("/account/password/reset/", {"email": alice.email})
    client.post("/account/password/reset/", {"email": "nobody@example.com"})
    assert len(mail.outbox) == 3
    for message in mail.outbox:
        assert "JustPayMe" in message.body
        assert "!" not in message.body + message.subject
        assert "Hello from" not in message.body
        assert "&#x27;" not in message.body
        assert not getattr(message, "alternatives", [])


@pytest.mark.parametrize(
    "address",
    ["invitation/WzEsMl0:1tX:abc/", "confirm-email/MQ:1tX:abc/", "password/reset/key/1-abc-def/"],
)
def test_links_from_e_mails_are_hidden_in_logs(address: str) -> None:
    event = {"request": f"GET /account/{address}", "event": f"Not Found: /account/{address}"}
    written = str(redact(None, "info", event))
    assert "abc" not in written
    assert written.count("[hidden]") == 2
