"""The frame around every page: navigation, pulse, banner, theme, headers, error pages."""

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import connection as database
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from justpayme import urls as real
from justpayme.accounts.models import Business, User
from justpayme.sync.models import Connection
from justpayme.web import views
from justpayme.web.context import Frame
from justpayme.web.middleware import content_security_policy

pytestmark = pytest.mark.django_db
SECRET = "postgresql://user:hunter2@db"


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(SECRET)


def refused(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("Only <b>owners</b> may.")


def unclear(request: HttpRequest) -> HttpResponse:
    raise BadRequest("Field ‘due’: give a day, like 3 Dec 2026.")


urlpatterns = [
    path("broken/", broken),
    path("api/v1/broken/", broken),
    path("refused/", refused),
    path("unclear/", unclear),
    *real.urlpatterns,
]
handler400, handler403 = real.handler400, real.handler403
handler404, handler500 = real.handler404, real.handler500


def connect(business: Business, name: str = "Hollins & <i>Daughter</i>", **more: Any) -> Connection:
    now = timezone.now()
    values = {"state": "live", "imported_at": now, "checked_at": now} | more
    return Connection.objects.create(business=business, tenant_id=uuid.uuid4(), name=name, **values)


def frame_of(user: User, now: datetime | None = None) -> Frame:
    membership = user.memberships.select_related("business").get()
    request: Any = RequestFactory().get("/settings/")
    request.user, request.business, request.membership = user, membership.business, membership
    return Frame(request, now or timezone.now())


def pulse_state(user: User) -> str:
    pulse = frame_of(user).pulse
    assert pulse is not None
    return pulse.state


def test_pulse_says_not_connected(alice: User, business: Business) -> None:
    assert pulse_state(alice) == "none"
    connect(business, state="offered")
    connect(business, state="disconnected")
    assert pulse_state(alice) == "none"


def test_pulse_says_importing_until_the_first_complete_check(
    alice: User, business: Business
) -> None:
    connect(business, imported_at=None, checked_at=None)
    assert pulse_state(alice) == "importing"


def test_pulse_tells_the_oldest_check_of_all_organisations(alice: User, business: Business) -> None:
    now = timezone.now()
    connect(business, "A", checked_at=now - timedelta(minutes=1))
    connect(business, "B", checked_at=now - timedelta(minutes=9))
    pulse = frame_of(alice, now).pulse
    assert pulse is not None
    assert pulse.moment is not None
    assert pulse.moment.text == "9 minutes ago"
    assert pulse.icon == "equal"


def test_pulse_drops_the_double_rule_when_the_check_is_late(
    alice: User, business: Business
) -> None:
    connect(business, checked_at=timezone.now() - timedelta(minutes=31))
    pulse = frame_of(alice).pulse
    assert pulse is not None
    assert pulse.icon == "clock"


@pytest.mark.parametrize("state", ["lost", "halted"])
def test_pulse_says_paused_when_one_organisation_is(
    alice: User, business: Business, state: str
) -> None:
    connect(business, "A")
    connect(business, "B", state=state)
    assert pulse_state(alice) == "paused"


def test_pulse_of_another_business_is_never_shown(alice: User, other_business: Business) -> None:
    connect(other_business, state="lost")
    assert pulse_state(alice) == "none"
    assert frame_of(alice).banner is None


def test_owner_gets_reconnect_in_the_banner_of_a_lost_connection(
    client: Client, alice: User, business: Business
) -> None:
    lost = connect(business, state="lost", error_at=timezone.now() - timedelta(hours=1))
    client.force_login(alice)
    page = client.get("/settings/").content.decode()
    assert "Xero has stopped letting us in. Nothing is lost." in page
    assert f'action="/settings/integrations/xero/{lost.pk}/reconnect/"' in page
    assert "Hollins &amp; &lt;i&gt;Daughter" in page
    assert page.count('class="note tone-warn banner"') == 1


@pytest.mark.parametrize("who", ["bob", "vera"])
def test_others_are_told_who_can_reconnect(
    client: Client, business: Business, who: str, request: pytest.FixtureRequest
) -> None:
    connect(business, state="lost")
    client.force_login(request.getfixturevalue(who))
    page = client.get("/settings/").content.decode()
    assert "An owner of the business can reconnect." in page
    assert "/reconnect/" not in page


def test_only_the_most_severe_banner_is_shown(alice: User, business: Business) -> None:
    connect(business, "A", state="halted")
    connect(business, "B", blocked_until=timezone.now() + timedelta(hours=6))
    halted = frame_of(alice).banner
    connect(business, "C", state="lost")
    lost = frame_of(alice).banner
    assert halted is not None
    assert lost is not None
    assert (halted.key, lost.key) == ("halted", "lost")


def test_day_limit_has_a_banner_and_a_short_pause_has_none(alice: User, business: Business) -> None:
    now = timezone.now()
    one = connect(business, blocked_until=now + timedelta(minutes=1))
    assert frame_of(alice, now).banner is None
    one.blocked_until = now + timedelta(hours=6)
    one.save()
    banner = frame_of(alice, now).banner
    assert banner is not None
    assert banner.key == "limit"


def test_banner_leaves_when_the_connection_is_well(
    client: Client, alice: User, business: Business
) -> None:
    connect(business)
    client.force_login(alice)
    assert "Nothing is lost" not in client.get("/settings/").content.decode()


def test_frame_costs_one_query(alice: User, business: Business) -> None:
    for number in range(5):
        connect(business, str(number))
    frame = frame_of(alice)
    with CaptureQueriesContext(
        database,
    ) as queries:
        assert frame.pulse
        assert frame.nav
        assert frame.banner is None
    assert len(queries) == 1


def test_current_place_is_marked(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/settings/members/").content.decode()
    current = re.findall(r'<a href="([^"]+)" aria-current="page"', page)
    assert current == ["/settings/"]


def test_theme_of_a_person_is_saved_and_used(client: Client, alice: User) -> None:
    client.force_login(alice)
    answer = client.post("/theme/", {"theme": "dark", "next": "/settings/?a=1"})
    assert (answer.status_code, answer["Location"]) == (303, "/settings/?a=1")
    alice.refresh_from_db()
    assert alice.theme == "dark"
    assert '<html lang="en-GB" data-theme="dark">' in client.get("/settings/").content.decode()
    client.post("/theme/", {"theme": "system"})
    assert '<html lang="en-GB">' in client.get("/settings/").content.decode()


def test_theme_of_a_visitor_is_kept_in_a_cookie(client: Client) -> None:
    client.post("/theme/", {"theme": "light", "next": "/account/login/"})
    page = client.get("/account/login/").content.decode()
    assert 'data-theme="light"' in page
    assert '<button name="theme" value="light" aria-pressed="true">' in page


@pytest.mark.parametrize("theme", ["", "pink", "<script>", "\0"])
def test_unknown_theme_is_a_bad_request(client: Client, theme: str) -> None:
    answer = client.post("/theme/", {"theme": theme})
    assert answer.status_code == 400
    assert "System, Light or Dark" in answer.content.decode()


def test_forged_theme_cookie_does_nothing(client: Client) -> None:
    client.cookies["theme"] = '"><script>alert(1)</script>'
    page = client.get("/account/login/").content.decode()
    assert "<script>" not in page
    assert '<html lang="en-GB">' in page


@pytest.mark.parametrize(
    "away",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "https:///evil.example",
        "/\t/evil.example",
        " //evil.example",
    ],
)
def test_theme_never_leads_to_another_site(client: Client, away: str) -> None:
    answer = client.post("/theme/", {"theme": "dark", "next": away})
    assert answer["Location"] == "/"


def test_get_does_not_change_the_theme(client: Client) -> None:
    assert client.get("/theme/?theme=dark").status_code == 405


HEADERS = {
    "Content-Security-Policy": content_security_policy(settings.XERO_LOGIN_URL),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    "address", ["/settings/", "/account/login/", "/nowhere/", "/broken/", "/refused/", "/unclear/"]
)
def test_every_answer_carries_the_security_headers(
    client: Client, alice: User, address: str
) -> None:
    client.force_login(alice)
    client.raise_request_exception = False
    answer = client.get(address, follow=False)
    for name, value in HEADERS.items():
        assert value in answer[name], name


def test_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    policy = content_security_policy("https://login.xero.com/identity/connect/authorize?x=1")
    assert "unsafe" not in policy
    assert "data:" not in policy
    assert "form-action 'self' https://login.xero.com;" in policy
    assert policy.count("https://") == 1


@pytest.mark.urls(__name__)
def test_500_page_says_what_is_safe_and_nothing_from_inside(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.raise_request_exception = False
    answer = client.get("/broken/")
    page = answer.content.decode()
    assert answer.status_code == 500
    assert re.search(r"[2-9A-Z]{4}-[2-9A-Z]{4}", page)
    assert "Your bills are safe" in page
    assert "hunter2" not in page
    assert "RuntimeError" not in page


def test_500_page_needs_no_database() -> None:
    with CaptureQueriesContext(database) as queries:
        answer = views.server_error(RequestFactory().get("/bills/"))
    assert answer.status_code == 500
    assert len(queries) == 0


@pytest.mark.urls(__name__)
def test_programs_get_their_errors_as_json(client: Client) -> None:
    client.raise_request_exception = False
    answer = client.get("/api/v1/broken/")
    assert answer.status_code == 500
    told = answer.json()["error"]
    assert (told["code"], told["fields"]) == ("server_error", {})
    assert re.search(r"[2-9A-Z]{4}-[2-9A-Z]{4}", told["message"])
    assert "hunter2" not in answer.content.decode()
    missing = client.get("/api/nowhere/")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.urls(__name__)
def test_403_page_gives_our_reason_escaped(client: Client, alice: User) -> None:
    client.force_login(alice)
    answer = client.get("/refused/")
    assert answer.status_code == 403
    assert "Only &lt;b&gt;owners&lt;/b&gt; may." in answer.content.decode()


@pytest.mark.urls(__name__)
def test_400_page_gives_our_sentence(client: Client, alice: User) -> None:
    client.force_login(alice)
    answer = client.get("/unclear/")
    assert answer.status_code == 400
    assert "give a day, like 3 Dec 2026" in answer.content.decode()


def test_404_page_works_for_visitors_too(client: Client) -> None:
    answer = client.get("/nowhere/<script>alert(1)</script>/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
    assert "<script>alert" not in answer.content.decode()


def test_forms_without_our_token_are_refused(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post("/settings/account/", {"name": "Mallory"})
    assert answer.status_code == 403
    assert "Please send that form again" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.name == "Alice"
