"""One short method per call to Xero's Accounting API, and `send`, the one door that changes it.

The client parses at the door: it returns typed values of `wire` or raises a
`core.errors.Problem`. It keeps to Xero's limits, refreshes an expired token once, and asks
`guard` before every single call whether calls are still allowed (I-37).

Reads that failed in passing are repeated here. A write is tried **once**: whether and when it
may be tried again is for `core.outbox` to say. Only `_transmit` sends anything but GET, and
the first thing it does is to ask `may_write`, which refuses unless told otherwise (I-36).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import httpx2
import msgspec

from justpayme.core.cursor import Slice
from justpayme.core.errors import Problem
from justpayme.xero import limits, retry, wire
from justpayme.xero.answer import Answer, limited, unclear
from justpayme.xero.answer import read as read_answer
from justpayme.xero.errors import TokenExpired, classify
from justpayme.xero.line import LONGEST, Line
from justpayme.xero.outgoing import Request

ACCREC = 'Type=="ACCREC"'
"""A sales invoice, in Xero's filter language; supplier bills may have the same numbers."""

PAGE_SIZE = 1000
MOST_PAGES = 10
"""Pages of a question by number or reference: more is not what was meant."""

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes after decompression; a full page is about 4 MB. More is not an answer but a bomb."""

LONGEST_CALL = 120.0
"""Seconds for one call and its whole answer, however steadily it drips."""

LEAVES_WITHIN = 15.0
"""Seconds from the start of `send` in which a request must have left, or it stays here:
`core.outbox` counts from when the try was recorded (its MARGIN is 20)."""

LONGEST_WRITE = 30.0
"""Seconds after which `send` gives up (the QUARANTINE of `core.outbox` reckons with it)."""

_WRITE_TIMEOUT = httpx2.Timeout(LONGEST_WRITE - LEAVES_WITHIN, connect=5.0, write=5.0, pool=5.0)

_FEW = httpx2.Limits(max_connections=5, max_keepalive_connections=2)

IDS_PER_CALL = 40
LONGEST_LIST = 1_800
"""Ids, and characters of them: the length of the address is the limit (xero-facts 11.10)."""

_UNQUOTABLE = re.compile(r'["\\]')

T = TypeVar("T")


class Clock(Protocol):
    """Time and chance, handed in."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def jitter(self) -> float:
        """A number in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page as Xero gave it. `said_at`: Xero's own time. `pages` and `items`: of the whole
    question, which `dates` may have made smaller."""

    rows: tuple[T, ...]
    number: int
    pages: int
    items: int
    said_at: datetime
    dates: Slice | None = None


@dataclass
class Usage:
    """What a client has used: calls sent, bytes received (decompressed), allowance left."""

    calls: int = 0
    bytes: int = 0
    day_remaining: int | None = None


def http_client(transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """An HTTP client that talks to nobody it was not told to: no redirects, no proxies from
    the environment, TLS verified."""
    return httpx2.Client(
        transport=transport or Line(LONGEST_CALL, _FEW),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(30.0, connect=10.0, read=60.0),
    )


def no_writing() -> None:
    """What `may_write` is unless somebody says otherwise."""
    raise Problem("read_only")


@dataclass
class XeroClient:
    """One organisation in Xero. `token(force)` gives a valid access token, refreshed if forced;
    `guard()` raises Problem("stopped") once no more calls may be made; `may_write()` raises
    Problem("read_only") while nothing may be changed; `metered(calls, bytes)` is told of every
    call; `told_to_wait(seconds)` of every Retry-After, before it is waited out."""

    http: httpx2.Client
    api_url: str
    tenant_id: str
    token: Callable[[bool], str]
    clock: Clock
    guard: Callable[[], None] = lambda: None
    may_write: Callable[[], None] = no_writing
    metered: Callable[[int, int], None] = lambda calls, size: None
    told_to_wait: Callable[[float], None] = lambda seconds: None
    window: limits.Window = field(default_factory=limits.Window)
    usage: Usage = field(default_factory=Usage)

    # https://developer.xero.com/documentation/api/accounting/organisation
    def organisation(self) -> wire.Organisation:
        """The organisation behind this tenant."""
        answer = self._get(wire.Organisations, "Organisation")
        if len(answer.items) != 1:
            raise Problem("wrong_shape", f"{len(answer.items)} organisations for one tenant")
        return answer.items[0]

    # https://developer.xero.com/documentation/api/accounting/accounts
    def accounts(self) -> tuple[wire.Account, ...]:
        """The chart of accounts."""
        return _some("Accounts", self._get(wire.Accounts, "Accounts").items)

    # https://developer.xero.com/documentation/api/accounting/taxrates
    def tax_rates(self) -> tuple[wire.TaxRate, ...]:
        """All tax rates."""
        return _some("TaxRates", self._get(wire.TaxRates, "TaxRates").items)

    # https://developer.xero.com/documentation/api/accounting/currencies
    def currencies(self) -> tuple[wire.Currency, ...]:
        """The currencies that the organisation uses."""
        return _some("Currencies", self._get(wire.Currencies, "Currencies").items)

    # https://developer.xero.com/documentation/api/accounting/brandingthemes
    def branding_themes(self) -> tuple[wire.BrandingTheme, ...]:
        """How invoices can look."""
        return self._get(wire.BrandingThemes, "BrandingThemes").items

    # https://developer.xero.com/documentation/api/accounting/invoices
    def invoices(
        self,
        page: int,
        since: datetime | None,
        by_id: bool,
        dates: Slice | None = None,
        shorter: int = 0,
    ) -> Page[msgspec.Raw]:
        """A page of sales invoices, each as raw JSON for `wire.Invoice`. Never supplier bills.

        unitdp=4, or unit prices would come rounded to two decimals (xero-facts 3.11). `Type` is
        an optimised filter (3.1) and never changes, so no row can leave the set by it; ranges
        of `Date` are optimised too.
        """
        params = {"where": ACCREC, "unitdp": "4", "order": _order("InvoiceID", by_id)}
        return self._page(wire.Invoices, "Invoices", page, since, params, dates, shorter)

    def invoices_by_id(self, ids: list[str]) -> Page[msgspec.Raw]:
        """At most `IDS_PER_CALL` invoices by InvoiceID, in one page."""
        params = {"IDs": ",".join(ids), "unitdp": "4", "order": "InvoiceID ASC"}
        return self._page(wire.Invoices, "Invoices", 1, None, params)

    def invoices_by_number(self, numbers: Iterable[str]) -> tuple[msgspec.Raw, ...]:
        """Sales invoices that have these numbers, in any letter case; void and deleted ones too,
        since they may still hold theirs (xero-facts 11.8)."""
        wanted = dict.fromkeys(numbers)
        listed = [n for n in wanted if n and "," not in n and n == n.strip()]
        found: list[msgspec.Raw] = []
        for some in _lists(listed):
            found += self._numbered(ACCREC, {"InvoiceNumbers": ",".join(some)})
        for number in wanted.keys() - set(listed) - {""}:
            rows = self._numbered(f"{ACCREC} AND {like('InvoiceNumber', number)}", {})
            found += (row for row in rows if _same(_Numbered.of(row), number))
        return tuple(found)

    def _numbered(self, where: str, numbers: Mapping[str, str]) -> tuple[msgspec.Raw, ...]:
        params = {"where": where, "unitdp": "4", "order": "InvoiceID ASC", **numbers}
        return self._every(wire.Invoices, "Invoices", params)

    # https://developer.xero.com/documentation/api/accounting/contacts
    def contacts(self, page: int, since: datetime | None, by_id: bool) -> Page[wire.Contact]:
        """A page of contacts, archived ones too (xero-facts 4.4)."""
        params = {"includeArchived": "true", "order": _order("ContactID", by_id)}
        return self._page(wire.Contacts, "Contacts", page, since, params)

    def contacts_by_number(self, numbers: Iterable[str]) -> tuple[wire.Contact, ...]:
        """Contacts that have these ContactNumbers, archived ones too. One call for each."""
        found: list[wire.Contact] = []
        for number in dict.fromkeys(n for n in numbers if n):
            params = {
                "where": like("ContactNumber", number),
                "includeArchived": "true",
                "order": "ContactID ASC",
            }
            rows: tuple[wire.Contact, ...] = self._every(wire.Contacts, "Contacts", params)
            found += (row for row in rows if _same(row.contact_number, number))
        return tuple(found)

    # https://developer.xero.com/documentation/api/accounting/payments
    def payments(
        self,
        page: int,
        since: datetime | None,
        by_id: bool,
        dates: Slice | None = None,
        shorter: int = 0,
    ) -> Page[wire.Payment]:
        """A page of payments on sales invoices, deleted ones too (xero-facts 4.1)."""
        params = {
            "where": 'PaymentType=="ACCRECPAYMENT"',
            "order": _order("PaymentID", by_id),
        }
        return self._page(wire.Payments, "Payments", page, since, params, dates, shorter)

    def payments_by_invoice(self, ids: Iterable[str]) -> tuple[wire.Payment, ...]:
        """All payments of these invoices, deleted ones too; one call for each invoice.

        The way to look for a marker: nothing that anybody typed is part of the question.
        """
        found: list[wire.Payment] = []
        for one in dict.fromkeys(ids):
            params = {
                "where": f'PaymentType=="ACCRECPAYMENT" AND Invoice.InvoiceID=={guid(one)}',
                "order": "PaymentID ASC",
            }
            found += self._every(wire.Payments, "Payments", params)
        return tuple(found)

    # https://developer.xero.com/documentation/api/accounting/creditnotes
    def credit_notes(
        self,
        page: int,
        since: datetime | None,
        by_id: bool,
        dates: Slice | None = None,
        shorter: int = 0,
    ) -> Page[wire.CreditNote]:
        """A page of credit notes given to clients (xero-facts 4.2)."""
        params = {"where": 'Type=="ACCRECCREDIT"', "order": _order("CreditNoteID", by_id)}
        return self._page(wire.CreditNotes, "CreditNotes", page, since, params, dates, shorter)

    def send(self, request: Request, *, key: str) -> Answer:
        """Send what is to change Xero, in one try; with a new token once more if the first was
        refused as expired (which did nothing). `key` is the Idempotency-Key.

        Raises Problem only where nothing was sent: read_only, stopped, consent_lost and so on.
        What Xero says about limits and permissions is in the answer.
        """
        self.may_write()
        started = self.clock.monotonic()
        for force in (False, True):
            if problem := self._not_now():
                return limited(problem)
            bearer = self.token(force)
            if self.clock.monotonic() - started > LEAVES_WITHIN:
                return limited(Problem("xero_unavailable", "a token took too long to come"))
            found = self._transmit(request, key, bearer, started)
            if isinstance(found, Answer):
                return found
        return limited(Problem("consent_lost", str(found)))

    def _transmit(
        self, request: Request, key: str, bearer: str, started: float
    ) -> Answer | TokenExpired:
        """The one place from which anything but a read leaves."""
        self.may_write()
        self.guard()
        url = f"{self.api_url}/api.xro/2.0/{request.path}"
        headers = self._headers() | {
            "authorization": f"Bearer {bearer}",
            "content-type": "application/json",
            "idempotency-key": key,
        }
        try:
            with self.http.stream(
                request.method,
                url,
                params=request.params,
                headers=headers,
                content=request.body,
                timeout=_WRITE_TIMEOUT,
                extensions={LONGEST: started + LONGEST_WRITE - self.clock.monotonic()},
            ) as answer:
                body = self._body(answer, started + LONGEST_WRITE)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            self._count(0, {})
            return limited(Problem("xero_unreachable", type(error).__name__))
        except (Problem, httpx2.DecodingError, httpx2.TransportError) as error:
            self._count(0, {})
            return unclear(_lost(error))
        self._count(len(body), answer.headers)
        found = read_answer(request, answer.status_code, answer.headers, body, self.clock.now())
        self._heed(found.problem if isinstance(found, Answer) else found)
        return found

    def _not_now(self) -> Problem | None:
        """Why a write must wait: it is not slept through, for its clock is running."""
        if self.usage.day_remaining == 0:
            return Problem("day_limit", retry_after=3600.0)
        wait = limits.wait(self.window, self.clock.monotonic())
        return Problem("minute_limit", retry_after=wait) if wait > 0 else None

    def _every(self, kind: type[Any], path: str, params: dict[str, str]) -> tuple[Any, ...]:
        """All rows of a question that has few, page after page."""
        rows: list[Any] = []
        for number in range(1, MOST_PAGES + 1):
            page = self._page(kind, path, number, None, params)
            rows += page.rows
            if number >= page.pages:
                return tuple(rows)
        raise Problem("too_many_records", f"{path}: {page.pages} pages of {params}")

    def _page(
        self,
        kind: type[Any],
        path: str,
        number: int,
        since: datetime | None,
        params: dict[str, str],
        dates: Slice | None = None,
        shorter: int = 0,
    ) -> Page[Any]:
        """One page whose figures agree with its rows; a set that moved is read once more (I-9)."""
        if 2 * shorter >= PAGE_SIZE:  # the overlap leaves nothing of the page
            raise Problem("too_many_records", f"{path}: {number} pages of {dates}")
        query = {**params, "page": str(number), "pageSize": str(PAGE_SIZE - shorter)}
        if dates:
            query["where"] = " AND ".join((params["where"], *_between(dates)))
        answer = self._get(kind, path, query, since)
        if not _consistent(answer, number):
            answer = self._get(kind, path, query, since)
        if not _consistent(answer, number):
            figures = answer.pagination
            raise Problem("wrong_shape", f"{path}: {len(answer.items)} rows, but {figures}")
        figures = answer.pagination
        pages, items = figures.page_count, figures.item_count
        return Page(answer.items, number, pages, items, answer.said_at, dates)

    def _get(
        self,
        kind: type[T],
        path: str,
        params: Mapping[str, str] | None = None,
        since: datetime | None = None,
    ) -> T:
        headers = self._headers()
        if since is not None:
            # Accurate to the second, UTC (xero-facts 3.2).
            headers["if-modified-since"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        body = self._read(f"{self.api_url}/api.xro/2.0/{path}", params or {}, headers)
        return wire.decode(kind, body)

    def _headers(self) -> dict[str, str]:
        return {"xero-tenant-id": self.tenant_id, "accept": "application/json"}

    def _read(self, url: str, params: Mapping[str, str], headers: dict[str, str]) -> bytes:
        """The body of a 200, after as many tries as `retry` allows."""
        refreshed = force = False
        attempt = 1
        while True:
            found = self._attempt(url, params, headers, force)
            force = False
            if isinstance(found, bytes):
                return found
            if isinstance(found, TokenExpired):
                if refreshed:
                    raise Problem("consent_lost", str(found))
                refreshed = force = True
                continue
            wait = retry.nap(found, attempt, self.clock.jitter())
            if wait is None:
                raise found
            attempt += 1
            self.clock.sleep(wait)

    def _attempt(
        self, url: str, params: Mapping[str, str], headers: dict[str, str], force: bool
    ) -> bytes | Problem | TokenExpired:
        self._keep_to_the_limit()
        bearer = {"authorization": f"Bearer {self.token(force)}"}
        self.guard()
        try:
            with self.http.stream("GET", url, params=params, headers=headers | bearer) as answer:
                body = self._body(answer, self.clock.monotonic() + LONGEST_CALL)
        except Problem:
            self._count(LARGEST_ANSWER, {})
            raise
        except httpx2.DecodingError as error:
            self._count(0, {})
            return Problem("wrong_shape", f"undecodable answer: {error}")
        except httpx2.TransportError as error:
            self._count(0, {})
            return Problem("xero_unreachable", type(error).__name__)
        self._count(len(body), answer.headers)
        if answer.status_code == 200:
            return body if wire.is_json(answer.headers, body) else Problem("wrong_shape", "no JSON")
        found = classify(answer.status_code, answer.headers, body, self.clock.now())
        self._heed(found)
        return found

    def _body(self, answer: httpx2.Response, deadline: float) -> bytes:
        """The whole answer, if it is neither too large nor drips in for ever (`deadline`: a
        monotonic time)."""
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise Problem("wrong_shape", "the answer is larger than any page can be")
            if self.clock.monotonic() > deadline:
                raise httpx2.ReadTimeout("the answer took too long")
        return bytes(body)

    def make_room(self, calls: int) -> None:
        """Wait until so many calls may follow one another without a pause between them."""
        self.clock.sleep(limits.wait(self.window, self.clock.monotonic(), calls))

    def _keep_to_the_limit(self) -> None:
        if self.usage.day_remaining == 0:
            raise Problem("day_limit", retry_after=3600.0)
        self.clock.sleep(limits.wait(self.window, self.clock.monotonic()))

    def _heed(self, found: object) -> None:
        """What Xero asks for holds for whoever calls next, should this process die (I-40)."""
        if isinstance(found, Problem) and found.retry_after is not None:
            self.told_to_wait(found.retry_after)

    def _count(self, size: int, headers: Mapping[str, str]) -> None:
        self.usage.calls += 1
        self.usage.bytes += size
        self.usage.day_remaining = limits.remaining(headers, "x-daylimit-remaining")
        left = limits.remaining(headers, "x-minlimit-remaining")
        self.window = limits.called(self.window, self.clock.monotonic(), left)
        self.metered(1, size)


def like(column: str, text: str) -> str:
    """A condition in Xero's filter language that holds for a column with this text, and with
    quotes or backslashes in it for a few others: whoever asks compares.

    How Xero wants those two inside a text is not documented (xero-facts 3.1), so none is sent:
    what stands between them must be in the column.
    """
    if not _UNQUOTABLE.search(text):
        return f'{column}=="{text}"'
    parts = [part for part in _UNQUOTABLE.split(text) if part]
    return " AND ".join((f"{column}!=null", *(f'{column}.Contains("{p}")' for p in parts)))


def _same(found: str | None, wanted: str) -> bool:
    """Xero compares without letter case, and trims."""
    return (found or "").strip().casefold() == wanted.strip().casefold()


class _Numbered(wire.Struct, frozen=True, kw_only=True):
    """An invoice, as far as its number."""

    invoice_number: str | None = None

    @classmethod
    def of(cls, row: msgspec.Raw) -> str | None:
        """The number of a row."""
        return wire.decode(cls, row).invoice_number


def guid(text: str) -> str:
    """An id in Xero's filter language; raises ValueError for anything else."""
    return f'guid("{UUID(text)}")'


def _lists(values: Iterable[str]) -> Iterator[list[str]]:
    """The values in lists that an address can hold."""
    some: list[str] = []
    for value in values:
        if some and (len(some) == IDS_PER_CALL or len(",".join([*some, value])) > LONGEST_LIST):
            yield some
            some = []
        some.append(value)
    if some:
        yield some


def _lost(error: Exception) -> Problem:
    """Why an answer did not come, or can't be read."""
    if isinstance(error, Problem):
        return error
    code = "wrong_shape" if isinstance(error, httpx2.DecodingError) else "xero_unreachable"
    return Problem(code, type(error).__name__)


def _order(column: str, by_id: bool) -> str:
    return f"{column} ASC" if by_id else "UpdatedDateUTC ASC"


def _between(dates: Slice) -> Iterator[str]:
    """The conditions of a slice in Xero's filter language (xero-facts 3.1)."""
    for sign, day in ((">=", dates.start), ("<", dates.end)):
        if day:
            yield f"Date {sign} DateTime({day:%Y, %m, %d})"


def _some(path: str, items: tuple[T, ...]) -> tuple[T, ...]:
    """The items of a list that no organisation has empty: none at all is no answer (I-9)."""
    if not items:
        raise Problem("wrong_shape", f"{path}: an empty list")
    return items


def _consistent(answer: Any, number: int) -> bool:
    """Do the rows agree with the figures? An empty page must be one that may be empty."""
    figures: wire.Pagination | None = answer.pagination
    if figures is None or figures.page != number or figures.page_size < 1:
        return False
    if figures.item_count < 0 or figures.page_count != -(-figures.item_count // figures.page_size):
        return figures.item_count == 0 and not answer.items
    expected = figures.item_count - (number - 1) * figures.page_size
    return len(answer.items) == max(min(expected, figures.page_size), 0)
