"""The program itself: ready line, loopback only, five at once, broken connections, kill -9."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
from tests.sandbox.client import SCOPES, SERVED_REDIRECT, Start


def connect(http: httpx2.Client, scope: str = SCOPES) -> dict[str, str]:
    """Go through consent; returns the headers of an accounting call."""
    tenant = http.get("/sandbox/organisations").json()[0]["tenant"]
    form = {
        "response_type": "code", "client_id": "SANDBOXCLIENT", "redirect_uri": SERVED_REDIRECT,
        "scope": scope, "state": "x", "tenant": tenant, "decision": "allow",
    }  # fmt: skip
    answer = http.post("/identity/connect/authorize", data=form)
    code = httpx2.URL(answer.headers["Location"]).params["code"]
    body = {"grant_type": "authorization_code", "code": code, "redirect_uri": SERVED_REDIRECT}
    tokens = http.post("/connect/token", data=body, auth=("SANDBOXCLIENT", "sandbox-secret")).json()
    return {"Authorization": f"Bearer {tokens['access_token']}", "xero-tenant-id": tenant}


def test_it_says_when_it_is_ready_and_stops_cleanly(start: Start, tmp_path: Path) -> None:
    process, address = start("--ready-file", str(tmp_path / "ready"))
    assert (tmp_path / "ready").read_text() == address
    assert httpx2.get(f"{address}/").status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_it_says_all_that_an_app_needs(tmp_path: Path) -> None:
    more = ("--country", "AU", "--invoices", "30", "--tier", "core", "--redirect-uri", "http://a/b")
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "xero_sandbox", "--ready-file", str(ready), *more]
    source = str(Path(__file__).parents[2] / "src")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source}
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(13)]
            address = ready.read_text()
            rows = httpx2.get(f"{address}/sandbox/organisations").json()
            reset = httpx2.post(f"{address}/sandbox/reset").json()
        finally:
            process.terminate()
    text = "".join(lines)
    for word in (
        f"{address}/connect/token", f"{address}/api.xro/2.0", "SANDBOXCLIENT", "sandbox-secret",
        "http://a/b", "5000", "Demo Company (AU): 29 invoices", ": 30 invoices",
    ):  # fmt: skip
        assert word in text
    assert all(row["tenant"] in text for row in rows)
    assert rows == reset
    assert len(rows) == 4


def test_killed_with_minus_nine_it_comes_back_as_it_was(start: Start, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "xero.sqlite3"))
    process, address = start(*data)
    with httpx2.Client(base_url=address) as http:
        headers = connect(http)
        http.post(
            "/sandbox/act/edit-invoice",
            json={"tenant": headers["xero-tenant-id"], "invoice": "INV-0001", "reference": "me"},
        )
    process.kill()
    process.wait()
    _, address = start(*data)
    answer = httpx2.get(f"{address}/api.xro/2.0/Invoices/INV-0001", headers=headers)
    assert answer.json()["Invoices"][0]["Reference"] == "me"


def test_five_calls_are_answered_at_the_same_time(start: Start) -> None:
    _, address = start("--latency", "0.5")
    with httpx2.Client(base_url=address) as http:
        headers = connect(http)
    codes: list[int] = []

    def call() -> None:
        url = f"{address}/api.xro/2.0/Organisation"
        codes.append(httpx2.get(url, headers=headers).status_code)

    threads = [threading.Thread(target=call) for _ in range(5)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 5
    assert time.monotonic() - began < 2.4


@pytest.mark.parametrize("kind", ["reset_before", "lose_answer", "reset_mid_body"])
def test_connections_are_really_broken(start: Start, kind: str) -> None:
    _, address = start()
    with httpx2.Client(base_url=address) as http:
        headers = connect(http)
        http.post("/sandbox/faults", json={"kind": kind, "path": "/invoices"})
        with pytest.raises((httpx2.NetworkError, httpx2.ProtocolError)):
            http.get("/api.xro/2.0/Invoices", headers=headers)
        assert http.get("/api.xro/2.0/Invoices", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com", ""])  # noqa: S104
def test_only_the_loopback_interface_is_served(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from xero_sandbox.__main__ import main

    with pytest.raises(SystemExit) as stop:
        main(["--host", host])
    assert stop.value.code == 2
    assert "loopback" in capsys.readouterr().err


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    from xero_sandbox.__main__ import main

    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for option in ("--port", "--data", "--seed", "--invoices", "--tier", "--redirect-uri"):
        assert option in text
