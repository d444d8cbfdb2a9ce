"""Absurd input is refused by name; nothing it leaves behind keeps others from working."""

import pytest
from tests.sandbox.client import Xero

from xero_sandbox import checks
from xero_sandbox.__main__ import arguments
from xero_sandbox.oauth import OAuthError


@pytest.mark.parametrize(
    "where", ["Date>=DateTime(99999999999999999999999,1,1)", "Date>=DateTime(2026,13,1)"]
)
def test_a_date_that_is_none_is_refused(writer: Xero, where: str) -> None:
    assert writer.get("Invoices", where=where).status_code == 400


@pytest.mark.parametrize(
    "since",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "Fri, 31 Dec 9999 23:59:59 -1400",
    ],
)
def test_a_moment_outside_the_calendar_is_refused(writer: Xero, since: str) -> None:
    answer = writer.get("Invoices", headers={"If-Modified-Since": since})
    assert answer.status_code == 412


@pytest.mark.parametrize("given", ["Basic é", "Basic /zr/", "Basic ="])
def test_client_credentials_that_are_none_are_refused(writer: Xero, given: str) -> None:
    with pytest.raises(OAuthError, match="invalid_client"):
        writer.sandbox.identity.check_client(given, {})


@pytest.mark.parametrize(
    "move", [{"to": "9999-12-31T23:59:59Z"}, {"advance": "9999999999"}, {"advance": "1e29"}]
)
def test_the_clock_goes_no_further_than_it_can_be_reckoned(
    writer: Xero, move: dict[str, object]
) -> None:
    answer = writer.http.post("/sandbox/clock", json=move)
    assert answer.status_code == 400
    assert writer.get("Organisation").status_code == 200


@pytest.mark.parametrize(
    "hook",
    [
        {"url": "http://127.0.0.1:9/", "key": "\ud800"},
        {"url": "http://127.0.0.1:9/é", "key": "k"},
        {"url": "http://127.0.0.1:99999/", "key": "k"},
        {"url": "http://127.0.0.1:abc/", "key": "k"},
    ],
)
def test_a_subscription_that_could_not_be_sent_is_refused(
    writer: Xero, hook: dict[str, str]
) -> None:
    body = repr(hook).replace("'", '"').encode("ascii", "backslashreplace")
    assert writer.http.post("/sandbox/webhooks", content=body).status_code == 400
    assert writer.http.get("/sandbox/webhooks").json()["subscription"] is None


def test_many_new_names_hold_nobody_up(writer: Xero) -> None:
    """Each name is folded once, however many are compared with it."""
    rows = [{"Name": f"Client {number}"} for number in range(400)]
    assert writer.write("PUT", "Contacts", {"Contacts": rows}).status_code == 200
    assert checks.folded.cache_info().misses < 3 * len(rows)


def test_a_token_of_before_a_reset_opens_nothing(writer: Xero) -> None:
    assert writer.get("Invoices").status_code == 200
    writer.http.post("/sandbox/reset")
    assert writer.get("Invoices").status_code == 401


@pytest.mark.parametrize(
    ("door", "body", "name"),
    [
        ("reset", {"keep": True}, "keep"),
        ("limits", {"minut": 3}, "minut"),
        ("limits", {"minute": -1}, "minute"),
        ("clock", {"advanc": 60}, "advanc"),
    ],
)
def test_a_control_call_that_is_misspelt_changes_nothing(
    writer: Xero, door: str, body: dict[str, object], name: str
) -> None:
    before = writer.http.post("/sandbox/limits", json={}).json()
    answer = writer.http.post(f"/sandbox/{door}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(name)
    assert writer.get("Invoices").status_code == 200
    assert writer.http.post("/sandbox/limits", json={}).json() == before


@pytest.mark.parametrize(
    "words",
    [
        ("--port", "99999"),
        ("--port", "-1"),
        ("--invoices", "-5"),
        ("--latency", "-1"),
        ("--latency", "nan"),
    ],
)
def test_an_absurd_command_line_is_refused(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments().parse_args(words)
    assert ended.value.code == 2
    assert f"argument {words[0]}: {words[1]}" in capsys.readouterr().err


def test_a_bill_is_fully_paid_on_the_day_of_its_last_payment(writer: Xero) -> None:
    ledger = writer.sandbox.store.ledgers[writer.tenant()]
    paid = [i for i in ledger.invoices.rows.values() if i.fully_paid_on and i.amount_paid]
    assert len(paid) > 3
    for invoice in paid:
        rows = [p for p in ledger.payments.rows.values() if p.invoice_id == invoice.id]
        days = [p.date for p in rows if p.status == "AUTHORISED"]
        assert invoice.fully_paid_on == max(days), invoice.number
