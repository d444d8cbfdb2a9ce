"""Webhooks: one address for the app, told what has changed in every organisation (5).

    subscribe -> intent to receive -> ok -> failing (at once, then every 15 minutes) -> disabled
                        |              ^________|  a 2xx                    (after 24 hours)
                        +-> refused

Events wait for 31 days and are sent in their order once the address answers again. Nothing here
survives the process.
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import msgspec

from xero_sandbox.clock import Clock
from xero_sandbox.given import BadInput
from xero_sandbox.model import Contact, Credit, CreditNote, Invoice
from xero_sandbox.open_questions import Open
from xero_sandbox.store import Saved

Post = Callable[[str, bytes, str], int]
"""Sends (address, body, signature) and returns the status; 0 when no answer came in time."""
Change = tuple[Saved | None, Saved]
LONGEST_ANSWER = 5
RETRY_EVERY, GIVE_UP = timedelta(minutes=15), timedelta(hours=24)
KEPT = timedelta(days=31)
MOST_EVENTS = 100
"""Events of one delivery; not documented by Xero."""
API = "https://api.xero.com/api.xro/2.0"


class Event(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One change, as it is sent; it says nothing of what has changed."""

    resource_url: str
    resource_id: str
    tenant_id: str
    event_category: str
    event_type: str
    event_date_utc: str
    data: dict[str, str] | None = None


class Delivery(msgspec.Struct, kw_only=True):
    """One POST and the status it got; 0 stands for none."""

    time: datetime
    first: int
    last: int
    events: int
    good_signature: bool
    status: int


class Hook(msgspec.Struct, kw_only=True):
    """The subscription. ``twice`` sends each delivery two times, ``backwards`` turns it round."""

    url: str
    key: str
    twice: bool = False
    backwards: bool = False
    state: str = "new"
    failing_since: datetime | None = None
    next_try: datetime | None = None


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What a subscriber gives."""

    url: str
    key: str
    twice: bool = False
    backwards: bool = False


class Webhooks:
    """The app's subscription and the events that wait for it."""

    def __init__(self, clock: Clock, post: Post | None = None) -> None:
        self.clock = clock
        self.post = post or post_it
        self.hook: Hook | None = None
        self.open = Open()
        self.deliveries: deque[Delivery] = deque(maxlen=500)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: list[tuple[int, datetime, Event]] = []
        self._sequence = 0

    def subscribe(self, body: object) -> Hook:
        """Take an address and a key, and see whether it knows good signatures from bad ones."""
        try:
            wanted = msgspec.convert(body, Wanted)
        except (msgspec.ValidationError, UnicodeError) as error:
            raise BadInput(str(error)) from error
        check_address(wanted.url)
        if not wanted.key or not is_text(wanted.key):
            raise BadInput("key: this is needed, as text")
        hook = Hook(**msgspec.structs.asdict(wanted))
        with self._sending:
            self.hook = hook
            answers = [self._send([], good) == (200 if good else 401) for good in (True, False) * 2]
            hook.state = "ok" if all(answers) else "refused"
        return hook

    def drop(self) -> None:
        """Forget the subscription and all that waits."""
        with self._lock:
            self.hook = None
            self._waiting.clear()

    def start_over(self) -> None:
        """Forget what waits and what was sent; the address stays, and whether it was refused."""
        with self._sending, self._lock:
            self._waiting.clear()
            self.deliveries.clear()
            if self.hook:
                state = "refused" if self.hook.state == "refused" else "ok"
                self.hook = Hook(url=self.hook.url, key=self.hook.key, state=state)

    def shown(self) -> dict[str, Any]:
        """The subscription, how many events wait, and the last deliveries, newest first."""
        return {
            "subscription": self.hook,
            "waiting": len(self._waiting),
            "deliveries": list(self.deliveries)[::-1],
        }

    def changed(self, tenant_id: str, changes: Sequence[Change]) -> None:
        """Remember what was saved in a connected organisation: one event for each document."""
        if self.hook is None:
            return
        now = self.clock.now()
        seen: dict[str, Change] = {}
        for old, new in changes:
            seen[new.id] = (seen[new.id][0] if new.id in seen else old, new)
        for old, new in seen.values():
            event = event_of(tenant_id, old, new, now, self.open.allocation_webhook == "fires")
            if event:
                with self._lock:
                    self._sequence += 1
                    self._waiting.append((self._sequence, now, event))

    def deliver(self) -> None:
        """Send what is due; called again and again by whoever has the time.

        Saving goes on meanwhile: the queue is not locked while an answer is waited for.
        """
        with self._sending:
            now, hook = self.clock.now(), self.hook
            with self._lock:
                self._waiting = [row for row in self._waiting if now - row[1] < KEPT]
            if hook is None or hook.state not in ("ok", "failing"):
                return
            if hook.next_try and now < hook.next_try:
                return
            while self._waiting and self._batch(hook, now):
                continue

    def _batch(self, hook: Hook, now: datetime) -> bool:
        """One delivery, at once a second try; whether there may be another."""
        rows = self._waiting[: 1 if self.open.webhook_grouping == "one_by_one" else MOST_EVENTS]
        tries = 2 if hook.state == "ok" else 1
        taken = any(200 <= self._send(rows, True) < 300 for _ in range(tries))
        if taken:
            with self._lock:
                del self._waiting[: len(rows)]
            hook.state, hook.failing_since, hook.next_try = "ok", None, None
            if hook.twice:
                self._send(rows, True)
            return True
        hook.failing_since = hook.failing_since or now
        over = now - hook.failing_since >= GIVE_UP
        hook.state, hook.next_try = ("disabled" if over else "failing"), now + RETRY_EVERY
        return False

    def _send(self, rows: Sequence[tuple[int, datetime, Event]], good: bool) -> int:
        """POST one signed body; returns the status."""
        hook = self.hook
        if hook is None:
            return 0
        numbers = [number for number, _, _ in rows] or [0]
        backwards = hook.backwards or self.open.webhook_order == "backwards"
        events = [event for _, _, event in (rows[::-1] if backwards else rows)]
        body = body_of(events, min(numbers), max(numbers))
        status = self.post(hook.url, body, signature(hook.key if good else "no" + hook.key, body))
        self.deliveries.append(
            Delivery(
                time=self.clock.now(),
                first=min(numbers),
                last=max(numbers),
                events=len(events),
                good_signature=good,
                status=status,
            )
        )
        return status


def body_of(events: Sequence[Event], first: int, last: int) -> bytes:
    """The payload; intent to receive has no events and zeros (5)."""
    whole: dict[str, Any] = {
        "events": [
            {**msgspec.to_builtins(event), "tenantType": "ORGANISATION"} for event in events
        ],
        "lastEventSequence": last,
        "firstEventSequence": first,
        "entropy": secrets.token_hex(10).upper(),
    }
    return json.dumps(whole).encode()


def signature(key: str, body: bytes) -> str:
    """``x-xero-signature``: base64 of HMAC-SHA256 over the raw body (5)."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()


def event_of(
    tenant_id: str, old: Saved | None, new: Saved, now: datetime, allocations: bool = True
) -> Event | None:
    """The event of one saved record; payments, settings and silent changes have none (5).

    ``allocations`` says whether a credit set against an invoice is told of (11.7).
    """
    if not isinstance(new, Contact | Invoice | Credit):
        return None
    if _is_allocation(old, new):
        if not allocations:
            return None
    elif old is not None and getattr(old, "updated", None) == new.updated:
        return None
    category, path = type(new).__name__.upper(), f"{type(new).__name__}s"
    data = {"Type": new.type, "Status": new.status} if isinstance(new, CreditNote) else None
    return Event(
        resource_url=f"{API}/{path}/{new.id}",
        resource_id=new.id,
        tenant_id=tenant_id,
        event_category=category,
        event_type="UPDATE" if old else "CREATE",
        event_date_utc=f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}",
        data=data,
    )


def _is_allocation(old: Saved | None, new: Saved) -> bool:
    if not isinstance(old, Invoice) or not isinstance(new, Invoice):
        return False
    return old.amount_credited != new.amount_credited


def is_text(text: str) -> bool:
    """Whether it can be encoded: half of a pair of surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_address(url: str) -> None:
    """The sandbox talks to this machine only; real Xero insists on https."""
    try:
        parts = urlsplit(url)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
        near = ipaddress.ip_address(host).is_loopback and parts.scheme in ("http", "https")
        near = near and url.isascii() and parts.port != 0  # a port that is none is a ValueError
    except ValueError:
        near = False
    if not near:
        raise BadInput("url: an http address on this machine, such as http://127.0.0.1:8000/hook")


class Stay(HTTPRedirectHandler):
    """Follows no redirect: the sandbox talks to this machine only."""

    def redirect_request(self, *_: object) -> None:
        """Nowhere else."""
        return


def post_it(url: str, body: bytes, signed: str) -> int:
    """Really send it; an answer counts within five seconds (5)."""
    headers = {"Content-Type": "application/json; charset=utf-8", "x-xero-signature": signed}
    request = Request(url, body, headers, method="POST")  # noqa: S310 - checked by check_address
    try:
        with build_opener(ProxyHandler({}), Stay).open(request, timeout=LONGEST_ANSWER) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code
    except (OSError, HTTPException):
        return 0
