"""The reading client: asks exactly, believes little, changes nothing (I-9, I-36, I-37)."""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import httpx2
import pytest
from tests.generated import ROOT
from tests.xero.pages import CONTACT_ID, INVOICE_ID, encoded, invoice, page

from justpayme.core.cursor import Slice
from justpayme.core.errors import Problem
from justpayme.xero import client as client_module
from justpayme.xero import limits
from justpayme.xero.client import LARGEST_ANSWER, PAGE_SIZE, Page, XeroClient, http_client

NOW = datetime(2026, 11, 22, 10, 30, 15, 987654, tzinfo=UTC)
TENANT = "9f1e0b2c-0000-4000-8000-000000000001"
EXPIRED = encoded({"Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired: at …"})


class Clock:
    """Sleeping moves it; nothing else does."""

    def __init__(self) -> None:
        self.moment = 1_000.0
        self.naps: list[float] = []

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.naps.append(seconds)
            self.moment += seconds

    def jitter(self) -> float:
        return 0.0


class Xero:
    """Answers in turn, the last one again and again; keeps what was asked."""

    def __init__(self, *replies: httpx2.Response | Exception) -> None:
        self.replies = list(replies)
        self.asked: list[httpx2.Request] = []
        self.forced: list[bool] = []
        self.metered: list[tuple[int, int]] = []
        self.clock = Clock()

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        # A Response can be streamed once only.
        return httpx2.Response(reply.status_code, headers=reply.headers, content=reply.content)

    def token(self, force: bool) -> str:
        self.forced.append(force)
        return "canary-token"

    def client(self, **more: Any) -> XeroClient:
        return XeroClient(
            http=http_client(httpx2.MockTransport(self.answer)),
            api_url="https://api.xero.com",
            tenant_id=TENANT,
            token=self.token,
            clock=self.clock,
            metered=lambda calls, size: self.metered.append((calls, size)),
            **more,
        )


def ok(said: object, **headers: str) -> httpx2.Response:
    return httpx2.Response(200, json=said, headers=headers)


def figures(page_: int, size: int, pages: int, items: int) -> dict[str, int]:
    return {"page": page_, "pageSize": size, "pageCount": pages, "itemCount": items}


def refused(xero: Xero, call: Callable[[XeroClient], object] | None = None) -> Problem:
    """The Problem that asking for invoices is."""
    with pytest.raises(Problem) as caught:
        (call or (lambda c: c.invoices(1, None, True)))(xero.client())
    return caught.value


SINCE = datetime(2026, 11, 22, 23, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=13)))


def test_an_increment_of_invoices_is_asked_for_exactly() -> None:
    xero = Xero(ok(page([invoice()])))
    xero.client().invoices(1, SINCE, by_id=False)
    (asked,) = xero.asked
    assert asked.method == "GET"
    assert str(asked.url.copy_with(query=None)) == "https://api.xero.com/api.xro/2.0/Invoices"
    assert dict(asked.url.params) == {
        "where": 'Type=="ACCREC"',
        "unitdp": "4",
        "order": "UpdatedDateUTC ASC",
        "page": "1",
        "pageSize": str(PAGE_SIZE),
    }
    assert asked.headers["xero-tenant-id"] == TENANT
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["authorization"] == "Bearer canary-token"
    # UTC, to the second, without fraction or offset.
    assert asked.headers["if-modified-since"] == "2026-11-22T10:30:15"


def test_an_import_asks_in_the_order_of_ids_and_without_a_time() -> None:
    xero = Xero(ok(page([])))
    xero.client().invoices(1, None, by_id=True)
    assert xero.asked[0].url.params["order"] == "InvoiceID ASC"
    assert "if-modified-since" not in xero.asked[0].headers


@pytest.mark.parametrize(
    ("call", "name", "wanted"),
    [
        (lambda c: c.contacts(1, None, True), "Contacts", {"includeArchived": "true"}),
        (
            lambda c: c.payments(1, None, True),
            "Payments",
            {"where": 'PaymentType=="ACCRECPAYMENT"', "order": "PaymentID ASC"},
        ),
        (
            lambda c: c.credit_notes(1, None, False),
            "CreditNotes",
            {"where": 'Type=="ACCRECCREDIT"', "order": "UpdatedDateUTC ASC"},
        ),
        (
            lambda c: c.payments(1, None, True, Slice(None, date(2024, 1, 1))),
            "Payments",
            {"where": 'PaymentType=="ACCRECPAYMENT" AND Date < DateTime(2024, 01, 01)'},
        ),
        (
            lambda c: c.credit_notes(1, None, True, Slice(date(2026, 11, 22), None), 2),
            "CreditNotes",
            {
                "where": 'Type=="ACCRECCREDIT" AND Date >= DateTime(2026, 11, 22)',
                "pageSize": str(PAGE_SIZE - 2),
            },
        ),
        (
            lambda c: c.invoices(1, None, True, Slice(date(2024, 1, 1), date(2025, 1, 1))),
            "Invoices",
            {
                "where": 'Type=="ACCREC" AND Date >= DateTime(2024, 01, 01)'
                " AND Date < DateTime(2025, 01, 01)",
                "order": "InvoiceID ASC",
                "unitdp": "4",
            },
        ),
        (
            lambda c: c.invoices_by_id([INVOICE_ID, CONTACT_ID]),
            "Invoices",
            {"IDs": f"{INVOICE_ID},{CONTACT_ID}", "unitdp": "4"},
        ),
    ],
    ids=[
        "contacts",
        "payments",
        "credit notes",
        "payments before a day",
        "credit notes from a day on, on overlapping pages",
        "invoices of a year",
        "invoices by id",
    ],
)
def test_other_lists_ask_for_what_is_ours(
    call: Callable[[XeroClient], Page[Any]], name: str, wanted: dict[str, str]
) -> None:
    xero = Xero(ok(page([], name)))
    assert call(xero.client()).rows == ()
    assert wanted.items() <= dict(xero.asked[0].url.params).items()
    assert xero.asked[0].url.path == f"/api.xro/2.0/{name}"


def test_a_page_comes_with_its_figures_and_xeros_time() -> None:
    xero = Xero(ok(page([invoice()] * 2, pagination=figures(1, 2, 3, 6))))
    found = xero.client().invoices(1, None, True)
    assert (len(found.rows), found.number, found.pages, found.items) == (2, 1, 3, 6)
    assert found.said_at == datetime(2025, 11, 22, 10, 30, 15, 987000, UTC)


@pytest.mark.parametrize(
    ("number", "rows", "said"),
    [
        (1, 0, figures(1, 1000, 0, 0)),
        (1, 0, figures(1, 1000, 1, 0)),
        (1, 2, figures(1, 1000, 1, 2)),
        (3, 1, figures(3, 2, 3, 5)),
        (2, 2, figures(2, 2, 2, 4)),
        (4, 0, figures(4, 2, 3, 5)),
    ],
    ids=["empty", "empty, one page", "one page", "short last", "full last", "past the end"],
)
def test_a_page_that_agrees_with_its_figures_is_believed_at_once(
    number: int, rows: int, said: dict[str, int]
) -> None:
    xero = Xero(ok(page([invoice()] * rows, pagination=said)))
    assert len(xero.client().invoices(number, None, True).rows) == rows
    assert len(xero.asked) == 1


DISAGREEING = {
    "rows promised, none given": (0, figures(1, 1000, 1, 60)),
    "a row short": (1, figures(1, 1000, 1, 2)),
    "a row too many": (3, figures(1, 1000, 1, 2)),
    "more rows than a page": (3, figures(1, 2, 2, 4)),
    "another page": (2, figures(2, 2, 2, 4)),
    "too few pages": (2, figures(1, 2, 1, 4)),
    "too many pages": (2, figures(1, 2, 9, 4)),
    "a page of nothing": (0, figures(1, 0, 0, 0)),
    "rows, but no items": (1, figures(1, 1000, 0, 0)),
    "no figures": (1, None),
}


@pytest.mark.parametrize(("rows", "said"), DISAGREEING.values(), ids=DISAGREEING)
def test_a_page_that_disagrees_with_its_figures_is_never_believed(
    rows: int, said: dict[str, int] | None
) -> None:
    """I-9: read once more, because a set may move; then refused."""
    xero = Xero(ok(page([invoice()] * rows, pagination=said)))
    assert refused(xero).code == "wrong_shape"
    assert len(xero.asked) == 2


def test_a_set_that_moved_while_it_was_read_is_read_again() -> None:
    moved = page([invoice()], pagination=figures(1, 1000, 1, 2))
    xero = Xero(ok(moved), ok(page([invoice(), invoice()])))
    assert len(xero.client().invoices(1, None, True).rows) == 2
    assert xero.asked[0].url == xero.asked[1].url


@pytest.mark.parametrize("where", ["https://evil.example/", "/api.xro/2.0/Invoices?page=2"])
def test_a_redirect_is_refused_and_not_followed(where: str) -> None:
    """S18: our token goes to nobody else."""
    xero = Xero(httpx2.Response(302, headers={"location": where}))
    assert refused(xero).code == "refused_request"
    assert [r.url.host for r in xero.asked] == ["api.xero.com"]


def bomb() -> bytes:
    """More than the largest answer in a few kilobytes."""
    return gzip.compress(b"[" + b" " * (LARGEST_ANSWER + 1))


def test_a_gzip_bomb_is_refused() -> None:
    """S30."""
    body = bomb()
    assert len(body) < 200_000
    headers = {"content-encoding": "gzip", "content-type": "application/json"}

    def explode(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(body))

    with pytest.raises(Problem, match="larger than any page"):
        sent_by(explode).invoices(1, None, True)


class Endless(httpx2.SyncByteStream):
    """An answer without an end."""

    given = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 1
            yield b" " * 1_048_576


def sent_by(handler: Callable[[httpx2.Request], httpx2.Response]) -> XeroClient:
    """A client of this handler."""
    return XeroClient(
        http=http_client(httpx2.MockTransport(handler)),
        api_url="https://api.xero.com",
        tenant_id=TENANT,
        token=lambda force: "t",
        clock=Clock(),
    )


def test_an_endless_answer_is_cut_off() -> None:
    stream = Endless()
    client = sent_by(lambda request: httpx2.Response(200, stream=stream))
    with pytest.raises(Problem, match="larger than any page"):
        client.invoices(1, None, True)
    assert stream.given <= LARGEST_ANSWER / 1_048_576 + 1


JSON = {"content-type": "application/json"}
WHOLE = encoded(page([invoice()]))


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, headers=JSON, content=b""),
        httpx2.Response(200, headers=JSON, content=WHOLE[:-20]),
        httpx2.Response(200, headers=JSON, content=b"null"),
        httpx2.Response(200, headers={"content-type": "text/html"}, content=b"<html>hello</html>"),
        httpx2.Response(200, headers=JSON, content=encoded({"Status": "OK"})),
        httpx2.Response(200, headers=JSON, content=encoded(page([invoice()], Invoices=None))),
    ],
    ids=["empty", "truncated", "null", "HTML", "no array", "array missing"],
)
def test_a_200_with_a_wrong_shape_is_never_no_invoices(answer: httpx2.Response) -> None:
    """I-9."""
    assert refused(Xero(answer)).code == "wrong_shape"


def test_a_truncated_gzip_is_refused() -> None:
    cut = gzip.compress(WHOLE)[:-30]
    headers = {**JSON, "content-encoding": "gzip"}
    client = sent_by(
        lambda request: httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(cut))
    )
    with pytest.raises(Problem) as caught:
        client.invoices(1, None, True)
    assert caught.value.code == "wrong_shape"


def test_an_expired_token_is_refreshed_once_and_the_question_asked_again() -> None:
    xero = Xero(httpx2.Response(401, content=EXPIRED), ok(page([invoice()])))
    xero.client().invoices(1, None, True)
    assert xero.forced == [False, True]


def test_a_fresh_token_that_is_refused_too_means_that_consent_is_lost() -> None:
    xero = Xero(httpx2.Response(401, content=EXPIRED))
    assert refused(xero).code == "consent_lost"
    assert xero.forced == [False, True]


def test_passing_trouble_is_waited_out() -> None:
    xero = Xero(
        httpx2.ConnectError("refused"),
        httpx2.Response(503, content=b"The Xero API is temporarily unavailable"),
        ok(page([invoice()])),
    )
    assert len(xero.client().invoices(1, None, True).rows) == 1
    assert xero.clock.naps == [1.0, 2.0]


def test_trouble_that_lasts_ends_the_run() -> None:
    xero = Xero(httpx2.ReadTimeout("slow"))
    assert refused(xero).code == "xero_unreachable"
    assert len(xero.asked) == 4


def test_retry_after_of_the_minute_limit_is_slept_through() -> None:
    limit = {"retry-after": "26", "x-rate-limit-problem": "minute"}
    xero = Xero(httpx2.Response(429, headers=limit), ok(page([])))
    xero.client().invoices(1, None, True)
    assert xero.clock.naps == [26.0]


def test_a_day_limit_is_not_slept_through() -> None:
    limit = {"retry-after": "66975", "x-rate-limit-problem": "day"}
    xero = Xero(httpx2.Response(429, headers=limit))
    problem = refused(xero)
    assert (problem.code, problem.retry_after) == ("day_limit", 66_975.0)
    assert xero.clock.naps == []


def test_no_call_is_made_once_the_day_is_used_up() -> None:
    xero = Xero(ok(page([]), **{"x-daylimit-remaining": "0"}))
    client = xero.client()
    client.invoices(1, None, True)
    with pytest.raises(Problem) as caught:
        client.invoices(1, None, True)
    assert caught.value.code == "day_limit"
    assert len(xero.asked) == 1


def test_the_61st_call_waits_for_the_minute_to_pass() -> None:
    xero = Xero(ok(page([])))
    client = xero.client()
    for _ in range(limits.PER_MINUTE + 1):
        client.invoices(1, None, True)
    assert len(xero.clock.naps) == 1
    assert 60 < xero.clock.naps[0] < 61


def test_no_call_is_made_after_a_disconnect() -> None:
    """I-37: the guard is asked before every single call, retries too."""
    xero = Xero(httpx2.Response(503), httpx2.Response(503))
    allowed = [True, False]

    def guard() -> None:
        if not allowed.pop(0):
            raise Problem("stopped")

    with pytest.raises(Problem) as caught:
        xero.client(guard=guard).invoices(1, None, True)
    assert caught.value.code == "stopped"
    assert len(xero.asked) == 1


def test_every_call_is_metered_failed_ones_too() -> None:
    xero = Xero(httpx2.ConnectError("no"), httpx2.Response(503, content=b"12345"), ok(page([])))
    client = xero.client()
    client.invoices(1, None, True)
    sizes = [0, 5, len(json.dumps(page([]), separators=(",", ":"), ensure_ascii=False))]
    assert xero.metered == [(1, size) for size in sizes]
    assert (client.usage.calls, client.usage.bytes) == (3, sum(sizes))


@pytest.mark.parametrize("count", [0, 2])
def test_a_tenant_is_exactly_one_organisation(count: int) -> None:
    one = {"OrganisationID": TENANT, "Name": "Demo", "BaseCurrency": "GBP"}
    xero = Xero(ok(page([one] * count, "Organisations")))
    assert refused(xero, lambda c: c.organisation()).code == "wrong_shape"


def test_the_token_is_in_no_error() -> None:
    """I-54."""
    for answer in (httpx2.Response(500, content=b"oops"), httpx2.ConnectError("no")):
        problem = refused(Xero(answer))
        assert "canary-token" not in f"{problem!r}{problem}{problem.detail}"


SENDERS = {"request", "send", "stream", "get", "options", "head", "post", "put", "patch", "delete"}


def senders() -> dict[str, tuple[str, ast.FunctionDef]]:
    """Function of the client -> (the method it sends, the function), wherever it uses HTTP."""
    source = ROOT / "src" / "justpayme" / "xero" / "client.py"
    functions = [
        n for n in ast.walk(ast.parse(source.read_text())) if isinstance(n, ast.FunctionDef)
    ]
    return {
        function.name: (ast.unparse(call.args[0]), function)
        for function in functions
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in SENDERS | {"build_request"}
        and ast.unparse(call.func.value).endswith("http")
    }


def first_statement(function: ast.FunctionDef) -> str:
    """The first thing it does, after its docstring."""
    return ast.unparse(function.body[1])


def test_only_one_place_changes_xero_and_it_asks_first() -> None:
    """I-36: all else that sends, sends the constant GET."""
    found = senders()
    assert {name: method for name, (method, _) in found.items()} == {
        "_attempt": "'GET'",
        "_transmit": "request.method",
    }
    assert first_statement(found["_transmit"][1]) == "self.may_write()"


def test_http_is_spoken_in_three_modules_only() -> None:
    """The client, the sign-in, which reaches no organisation's books, and the line of both."""
    speaking = {
        file.name
        for file in (ROOT / "src" / "justpayme" / "xero").glob("*.py")
        if re.search(r"^import httpx2|^from httpx2", file.read_text(), re.MULTILINE)
    }
    assert speaking == {"client.py", "line.py", "oauth.py"}


def test_the_client_reads_no_proxy_from_the_environment() -> None:
    assert not http_client().trust_env
    assert not http_client().follow_redirects
    assert client_module.PAGE_SIZE == 1000
