"""The real product in real processes, and a real browser in front of it.

`product` runs `justpayme serve` with its embedded PostgreSQL against a local Xero, in a home of
its own that is removed afterwards. The browser is the system's Chromium.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Page

ARTEFACTS = Path(__file__).parents[2] / "artifacts"
SIZES = ("30", "40", "50")
"""Invoices of three organisations of their own, so that no story uses up another's calls."""

PASSWORD = "a long pass phrase for tests"


@dataclass
class Product:
    """Where things are, and the hands of an operator."""

    url: str
    xero: str
    environment: dict[str, str]

    def command(self, *words: str, given: str = "", seconds: float = 60) -> str:
        """Run one of our own commands; what it printed."""
        done = self.attempt(*words, given=given, seconds=seconds)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(
        self, *words: str, given: str = "", seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it."""
        return subprocess.run(
            [sys.executable, "-m", "justpayme.cli", *words],
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def person(self, email: str, business: str, role: str = "owner") -> None:
        """Add somebody who can sign in with PASSWORD."""
        self.command(
            "user", "create", email, "--business", business, "--role", role,
            "--name", email.split("@")[0].title(), "--password-stdin", given=PASSWORD,
        )  # fmt: skip

    def act(self, action: str, **body: object) -> dict[str, object]:
        """Do something as the Xero user."""
        answer = httpx2.post(f"{self.xero}/sandbox/act/{action}", json=body, trust_env=False)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx2.get(url, timeout=5, trust_env=False).status_code < 500:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    pytest.fail(f"{url} did not come up:\n{log.read_text()[-3000:]}")


@contextmanager
def running(*sizes: str, more: Sequence[str] = ()) -> Iterator[tuple[Product, int]]:
    """`serve` and a local Xero with organisations of these sizes; with the pid of `serve`.
    `more`: options of the sandbox."""
    home = Path(tempfile.mkdtemp(prefix="justpayme-e2e-"))
    home.chmod(0o755)
    port, xero_port = free_port(), free_port()
    url, xero = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{xero_port}"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUSTPAYME_", "XERO_", "PYTEST_", "DJANGO_"))
    } | {
        "JUSTPAYME_HOME": str(home),
        "JUSTPAYME_BASE_URL": url,
        "JUSTPAYME_SECRET_KEY": "only-for-browser-tests-" + "x" * 40,
        "XERO_CLIENT_ID": "e2e",
        "XERO_CLIENT_SECRET": "e2e-secret",
        "XERO_WEBHOOK_KEY": "e2e-webhook-key",
        "XERO_LOGIN_URL": xero,
        "XERO_IDENTITY_URL": xero,
        "XERO_API_URL": xero,
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
    }
    callback = f"{url}/settings/integrations/xero/callback/"
    sandbox_log, log = home / "sandbox.log", home / "serve.log"
    with sandbox_log.open("wb") as xero_out, log.open("wb") as out:
        sandbox = subprocess.Popen(
            [
                sys.executable, "-m", "xero_sandbox", "--port", str(xero_port),
                "--client-id", "e2e", "--client-secret", "e2e-secret",
                "--redirect-uri", callback, "--tier", "core",
                *(f"--invoices={size}" for size in sizes), *more,
            ],
            env=environment, stdout=xero_out, stderr=xero_out,
        )  # fmt: skip
        serve = subprocess.Popen(
            [sys.executable, "-m", "justpayme.cli", "serve"],
            env=environment, stdout=out, stderr=out,
        )  # fmt: skip
        try:
            wait_for(f"{xero}/sandbox/counts", sandbox, sandbox_log)
            wait_for(f"{url}/livez", serve, log)
            yield Product(url, xero, environment), serve.pid
        finally:
            for process in (serve, sandbox):
                process.send_signal(signal.SIGTERM)
            for process in (serve, sandbox):
                process.wait(30)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """One for all stories."""
    with running(*SIZES) as (made, _):
        yield made


@pytest.fixture(autouse=True)
def healed(product: Product) -> Iterator[None]:
    """What went wrong at Xero in one story is over in the next."""
    yield
    httpx2.delete(f"{product.xero}/sandbox/faults", trust_env=False)


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page 390 px wide, as on a phone."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    yield context.new_page()
    context.close()


def sign_in(page: Page, product: Product, email: str) -> None:
    page.goto(f"{product.url}/account/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/login/" not in url)


def picture(page: Page, path: Path) -> None:
    """The whole page in one window, so that the bar at the bottom covers nothing."""
    page.wait_for_load_state()
    usual = page.viewport_size
    assert usual is not None
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": usual["width"], "height": max(tall, usual["height"])})
    page.screenshot(path=path)
    page.set_viewport_size(usual)


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds on the page as it is now; with `rules` only these are asked."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [
        json.dumps([v["id"], v["help"], [n["html"][:200] for n in v["nodes"]][:3]]) for v in found
    ]


__all__ = ["ARTEFACTS", "BrowserContext", "Product", "picture", "sign_in", "violations"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed browser test says what its page said."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    page = getattr(item, "funcargs", {}).get("phone")
    if report.failed and page is not None and not page.is_closed():
        report.sections.append(("page", f"{page.url}\n{page.inner_text('body')[:2000]}"))
