"""Call limits and their headers: xero-facts 2.1."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from tests.sandbox.client import Xero

from xero_sandbox import FrozenClock
from xero_sandbox.limits import Allowance, Limits, seconds_left


def test_tenant_calls_carry_all_three_and_connections_only_the_apps(connected: Xero) -> None:
    headers = connected.get("Organisation").headers
    assert headers["X-DayLimit-Remaining"] == "999"
    assert headers["X-MinLimit-Remaining"] == "59"
    assert int(headers["X-AppMinLimit-Remaining"]) <= 9_999
    bearer = {"Authorization": f"Bearer {connected.access}"}
    headers = connected.http.get("/connections", headers=bearer).headers
    assert "X-AppMinLimit-Remaining" in headers
    assert "X-MinLimit-Remaining" not in headers
    assert headers["Xero-Correlation-Id"]


def test_sixty_a_minute_per_organisation(connected: Xero, clock: FrozenClock) -> None:
    clock.advance(seconds_left(connected.tenant(), 60, clock.now()))
    answers = [connected.get("Organisation") for _ in range(61)]
    assert [a.status_code for a in answers] == [200] * 60 + [429]
    refused = answers[-1]
    assert refused.content == b""
    assert "Content-Type" not in refused.headers
    assert refused.headers["X-Rate-Limit-Problem"] == "minute"
    assert refused.headers["X-MinLimit-Remaining"] == "0"
    assert connected.get("Organisation", "NZ").status_code == 200
    clock.advance(int(refused.headers["Retry-After"]) - 1)
    assert connected.get("Organisation").status_code == 429
    clock.advance(1)
    assert connected.get("Organisation").status_code == 200


def test_the_day_is_limited_too(connected: Xero, clock: FrozenClock) -> None:
    connected.http.post("/sandbox/limits", json={"day": 3})
    assert [connected.get("Organisation").status_code for _ in range(4)] == [200] * 3 + [429]
    refused = connected.get("Organisation")
    assert refused.headers["X-Rate-Limit-Problem"] == "day"
    clock.advance(int(refused.headers["Retry-After"]))
    connected.refreshed()
    connected.connect()
    assert connected.get("Organisation").status_code == 200


def test_the_whole_app_is_limited(connected: Xero) -> None:
    connected.http.post("/sandbox/limits", json={"app_minute": 2})
    connected.sandbox.limits.reset()
    assert connected.get("Organisation").status_code == 200
    assert connected.get("Organisation", "NZ").status_code == 200
    refused = connected.get("Organisation")
    assert (refused.status_code, refused.headers["X-AppMinLimit-Remaining"]) == (429, "0")
    assert "Retry-After" not in refused.headers


def test_five_at_once(connected: Xero) -> None:
    """A sixth call while five are being answered is refused without Retry-After."""
    gate, waiting = Event(), []

    def hold(seconds: float) -> None:
        waiting.append(seconds)
        gate.wait(20)

    connected.sandbox.sleep, connected.sandbox.latency = hold, 1.0
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(connected.get, "Organisation") for _ in range(5)]
        for _ in range(2_000):
            if len(waiting) == 5:
                break
            Event().wait(0.005)
        refused = connected.get("Organisation")
        gate.set()
        assert [c.result().status_code for c in calls] == [200] * 5
    assert refused.status_code == 429
    assert refused.headers["X-Rate-Limit-Problem"] == "concurrent"
    assert "Retry-After" not in refused.headers
    assert connected.get("Organisation").status_code == 200


def test_refused_calls_cost_nothing(clock: FrozenClock) -> None:
    limits = Limits(Allowance(minute=1, day=10))
    assert limits.enter("t", clock.now()).problem is None
    limits.leave("t")
    for _ in range(5):
        assert limits.enter("t", clock.now()).problem == "minute"
    assert limits.enter("t", clock.now()).headers["X-DayLimit-Remaining"] == "9"


def test_a_lifted_limit_never_refuses(connected: Xero) -> None:
    answer = connected.http.post("/sandbox/limits", json={"minute": None})
    assert answer.json()["minute"] is None
    codes = {connected.get("Organisation").status_code for _ in range(70)}
    assert codes == {200}


@pytest.mark.parametrize("body", ['{"minute": "many"}', "[]", "{", '{"minute": 1.5}'])
def test_wrong_limits_are_refused(xero: Xero, body: str) -> None:
    answer = xero.http.post("/sandbox/limits", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
