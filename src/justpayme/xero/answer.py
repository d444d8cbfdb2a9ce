"""What Xero's answer to one of our requests means, element by element. Pure.

Four outcomes (`core.outbox.Outcome`), and the first rule is that only a plain word counts:

    200, one element for each that was sent          DONE, or REFUSED if none was taken
    400 with the refused element, or a reason        REFUSED
    404 on the address of one thing                  REFUSED, not_found_in_xero
    429; 401 and 403, which concern the connection   LIMITED: nothing was done
    anything else: 5xx, no JSON, too few elements    UNCLEAR: it may or may not have been done

A 200 does not mean saved: each element is judged by its own four signs (xero-facts 3.5), and
one with errors echoes what was asked, so it is never kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from justpayme.core.errors import Problem
from justpayme.core.outbox import Outcome
from justpayme.xero.errors import TokenExpired, classify
from justpayme.xero.outgoing import Request
from justpayme.xero.refusals import refusal
from justpayme.xero.wire import Struct, is_json

NOTHING = "00000000-0000-0000-0000-000000000000"
"""The id of a thing that was not made (xero-facts 3.5)."""

CLASH = "is used with a different request"
"""How Xero ends its refusal of a key that it knows from another request (xero-facts 3.6)."""

_IDS = {"Invoices": "InvoiceID", "Payments": "PaymentID", "Contacts": "ContactID"}
_SIGNS = ("InvoiceID", "PaymentID", "InvoiceNumber", "ContactNumber", "Reference")
"""What tells which of ours an element is about, the surest first."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_ANY = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Element:
    """What became of one thing that was sent. `messages`: Xero's words, errors or warnings.

    Only the id is taken from what Xero shows after writing: it is a short form, without payments,
    credits or tracking, and a void invoice still shows its debt (xero-facts 3.8).
    """

    ok: bool
    id: str
    messages: tuple[str, ...] = ()

    def code(self, *, payment: bool = False) -> str:
        """The catalogue's code for a refusal."""
        return refusal(self.messages, payment=payment)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one try came to. `elements`: one for each thing sent, in the same order; none where
    Xero said nothing of them.

    `problem` is what stands in the way of more than this request (limits, permissions, an
    outage) or why a whole request was refused.
    """

    outcome: Outcome
    elements: tuple[Element, ...] = ()
    problem: Problem | None = None


def unclear(problem: Problem) -> Answer:
    """We don't know whether it was done."""
    return Answer(Outcome.UNCLEAR, (), problem)


def limited(problem: Problem) -> Answer:
    """Nothing was done; the same bytes may go later."""
    return Answer(Outcome.LIMITED, (), problem)


def read(
    request: Request, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> Answer | TokenExpired:
    """The answer to `request`. TokenExpired: nothing was done, ask again with a new token."""
    if status == 200:
        no_json = unclear(Problem("wrong_shape", f"{request.path}: no JSON"))
        return _accepted(request, body) if is_json(headers, body) else no_json
    if status == 400:
        return _refused(request, body)
    if status == 404 and "/" in request.path:
        return Answer(Outcome.REFUSED, (), Problem("not_found_in_xero", request.path))
    found = classify(status, headers, body, now)
    if isinstance(found, TokenExpired):
        return found
    if status in (401, 403, 429):
        return limited(_for_writing(found))
    return unclear(found)


def _for_writing(problem: Problem) -> Problem:
    """A scope that is missing for a write may be there for reading."""
    if problem.code == "permission_missing":
        return Problem("write_permission_missing", problem.detail)
    return problem


class _Said(Struct, frozen=True, kw_only=True):
    """One of Xero's messages."""

    message: str = ""


class _Signs(Struct, frozen=True, kw_only=True):
    """How an element says whether it was taken (xero-facts 3.5)."""

    has_errors: bool | None = None
    has_validation_errors: bool | None = None
    status_attribute_string: str | None = None
    validation_errors: tuple[_Said, ...] | None = None
    warnings: tuple[_Said, ...] | None = None

    @property
    def good(self) -> bool:
        """All four agree that it was taken."""
        marked = self.has_errors or self.has_validation_errors or self.validation_errors
        return not marked and (self.status_attribute_string or "OK").upper() in ("OK", "WARNING")


class _Refusal(Struct, frozen=True, kw_only=True):
    """The body of a 400."""

    error_number: int
    type: str = ""
    message: str = ""
    elements: tuple[msgspec.Raw, ...] = ()


_signs = msgspec.json.Decoder(_Signs)
_refusal = msgspec.json.Decoder(_Refusal)
_rows = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_UNREADABLE = (msgspec.MsgspecError, ValueError, UnicodeError, RecursionError)


def _accepted(request: Request, body: bytes) -> Answer:
    plural, sent = _sent(request)
    try:
        rows = _list.decode(_rows.decode(body)[plural])
        elements = tuple(_element(plural, row) for row in rows)
        fits = len(rows) == len(sent) and all(map(_same, sent, rows, elements))
    except (*_UNREADABLE, KeyError) as error:
        return unclear(Problem("wrong_shape", f"{request.path}: {str(error)[:300]}"))
    if not fits or any(e.ok and not _names_something(e.id) for e in elements):
        return unclear(Problem("wrong_shape", f"{request.path}: not the {len(sent)} we sent"))
    taken = any(element.ok for element in elements)
    return Answer(Outcome.DONE if taken else Outcome.REFUSED, elements)


def _names_something(found: str) -> bool:
    """Is this the id of a thing that was made? Without one we could not speak of it again."""
    return _GUID.fullmatch(found) is not None and found != NOTHING


def _refused(request: Request, body: bytes) -> Answer:
    """A 400 that says why. With fewer elements than were sent it does not say of the others."""
    try:
        said = _refusal.decode(body)
        elements = tuple(_element(_sent(request)[0], row) for row in said.elements)
    except _UNREADABLE:
        return unclear(Problem("refused_request", f"HTTP 400: {body[:200]!r}"))
    if CLASH in said.message:
        return unclear(Problem("send_clash", said.message[:300]))
    if not elements:
        code = "unreadable_request" if said.error_number == 14 else refusal([said.message])
        return Answer(Outcome.REFUSED, (), Problem(code, said.message[:1_000]))
    if len(elements) != len(_sent(request)[1]) or any(element.ok for element in elements):
        return unclear(Problem("refused_request", f"{request.path}: {said.message[:300]}"))
    return Answer(Outcome.REFUSED, elements)


def _sent(request: Request) -> tuple[str, list[dict[str, object]]]:
    """Xero's name for what was sent, and each thing; the id in an address belongs to it."""
    plural, _, one = request.path.partition("/")
    body = _ANY.decode(request.body)
    return plural, [{_IDS[plural]: one, **body}] if one else body[plural]


def _element(plural: str, row: msgspec.Raw) -> Element:
    signs = _signs.decode(row)
    said = signs.warnings if signs.good else signs.validation_errors
    messages = tuple(_clean(one.message) for one in said or ())
    if not signs.good:
        return Element(False, "", messages)
    found = _ANY.decode(row).get(_IDS[plural])
    return Element(True, str(found or "").lower(), messages)


def _clean(message: str) -> str:
    """Xero's words as we can keep and show them."""
    return "".join(c for c in message if c.isprintable() or c in "\n\t")[:2_000]


def _same(sent: dict[str, object], row: msgspec.Raw, element: Element) -> bool:
    """Is this element about what was sent? Told by the surest sign that both have; a refused
    element that has none is believed by its place."""
    got = _ANY.decode(row)
    for name in _SIGNS:
        ours, theirs = sent.get(name), got.get(name)
        if ours and theirs and theirs != NOTHING:
            return str(ours).casefold().split() == str(theirs).casefold().split()
    return True
