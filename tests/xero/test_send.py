"""The one door that changes Xero: one try, every answer read, nothing sent that may not be.

I-20 (unclear is never "not done"), I-36, I-37, I-39, I-40; F2 to F6.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from tests.xero.test_client import EXPIRED, TENANT, Xero, bomb, ok

from justpayme.core.bill import BillFields, Status
from justpayme.core.errors import Problem
from justpayme.core.outbox import Outcome
from justpayme.xero import limits, outgoing
from justpayme.xero.answer import Answer
from justpayme.xero.client import LEAVES_WITHIN, LONGEST_WRITE, XeroClient
from justpayme.xero.outgoing import Change, NewContact, NewPayment

INVOICE = "243216c5-369e-4056-ac67-05388f86dc81"
OTHER = "025867f1-d741-4d6b-b1af-9ac774b59ba7"
ZERO = "00000000-0000-0000-0000-000000000000"
KEY = f"jpm:{TENANT}:1"

UPDATE = outgoing.update_invoices(
    [
        Change(one, BillFields(reference='Łódź "7" \\ <b>'), ("reference",), Status.ACTIVE)
        for one in (INVOICE, OTHER)
    ]
)
UNPAY = outgoing.delete_payment(OTHER)
JSON = {"content-type": "application/json"}


def row(invoice: str, **said: Any) -> dict[str, Any]:
    return {"InvoiceID": invoice, "HasErrors": False, "StatusAttributeString": "OK", **said}


def both(**second: Any) -> dict[str, Any]:
    """An answer for the two that were sent; the second says more."""
    return {"Status": "OK", "Invoices": [row(INVOICE), row(OTHER, **second)]}


def client(xero: Xero, **more: Any) -> XeroClient:
    return xero.client(**{"may_write": lambda: None, **more})


def sent(*replies: httpx2.Response | Exception, request: outgoing.Request = UPDATE) -> Answer:
    """What one send comes to, which was one call."""
    xero = Xero(*replies)
    answer = client(xero).send(request, key=KEY)
    assert len(xero.asked) == 1
    return answer


def test_what_leaves_is_exactly_what_was_written_down() -> None:
    xero = Xero(ok(both()))
    client(xero).send(UPDATE, key=KEY)
    (asked,) = xero.asked
    assert asked.method == "POST"
    assert str(asked.url) == (
        "https://api.xero.com/api.xro/2.0/Invoices?summarizeErrors=false&unitdp=4"
    )
    assert asked.content == UPDATE.body
    assert asked.headers["idempotency-key"] == KEY
    assert asked.headers["xero-tenant-id"] == TENANT
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["authorization"] == "Bearer canary-token"


def test_all_taken_is_done_and_each_has_its_id() -> None:
    answer = sent(ok(both()))
    assert answer.outcome is Outcome.DONE
    assert [e.id for e in answer.elements] == [INVOICE, OTHER]
    assert answer.problem is None


@pytest.mark.parametrize(
    "said",
    [
        {"HasErrors": True},
        {"HasValidationErrors": True},
        {"StatusAttributeString": "ERROR"},
        {"StatusAttributeString": "error"},
        {"StatusAttributeString": "SOMETHING NEW"},
        {"ValidationErrors": [{"Message": "No."}]},
        {"ValidationErrors": [{}], "InvoiceID": ZERO},
    ],
)
def test_any_one_sign_of_an_error_is_enough(said: dict[str, Any]) -> None:
    """xero-facts 3.5: HTTP 200, and the published example of a payment says OK with an error."""
    answer = sent(ok(both(**said)))
    assert answer.outcome is Outcome.DONE
    assert [e.ok for e in answer.elements] == [True, False]
    assert answer.elements[1].id == ""


def test_a_warning_is_kept_and_is_no_refusal() -> None:
    warned = {"StatusAttributeString": "WARNING", "Warnings": [{"Message": "Odd <rate>\x00"}]}
    answer = sent(ok(both(**warned)))
    assert [e.ok for e in answer.elements] == [True, True]
    assert answer.elements[1].messages == ("Odd <rate>",)


def test_none_taken_is_refused() -> None:
    bad = {"HasErrors": True, "ValidationErrors": [{"Message": "A"}, {"Message": "B"}]}
    said = {"Invoices": [row(INVOICE, **bad), row(OTHER, **bad)]}
    answer = sent(ok(said))
    assert answer.outcome is Outcome.REFUSED
    assert [e.messages for e in answer.elements] == [("A", "B")] * 2


UNREADABLE = {
    "an element short": ok({"Invoices": [row(INVOICE)]}),
    "an element too many": ok({"Invoices": [row(INVOICE), row(OTHER), row(OTHER)]}),
    "another order": ok({"Invoices": [row(OTHER), row(INVOICE)]}),
    "somebody else's": ok({"Invoices": [row(INVOICE), row(TENANT)]}),
    "taken, but of no id": ok({"Invoices": [row(INVOICE), row(ZERO)]}),
    "another list": ok({"Payments": []}),
    "a list of nothing": ok({"Invoices": [None, None]}),
    "no list": ok({"Invoices": 7}),
    "an array": ok([]),
    "signs of a wrong kind": ok(both(HasErrors="no")),
    "empty": httpx2.Response(200, headers=JSON, content=b""),
    "cut": httpx2.Response(200, headers=JSON, content=json.dumps(both()).encode()[:-9]),
    "HTML": httpx2.Response(200, headers={"content-type": "text/html"}, content=b"<html>"),
    "JSON that calls itself text": httpx2.Response(
        200, headers={"content-type": "text/plain"}, content=json.dumps(both()).encode()
    ),
    "no UTF-8": httpx2.Response(
        200, headers=JSON, content=json.dumps(both()).encode().replace(b"OK", b"\xff\xfe")
    ),
    "no content": httpx2.Response(204),
    "created": httpx2.Response(201, json=both()),
    "elsewhere": httpx2.Response(302, headers={"location": "https://evil.example/"}),
    "400 of nothing": httpx2.Response(400, content=b""),
    "400 in HTML": httpx2.Response(400, content=b"<html>Bad Request</html>"),
    "400 without a number": httpx2.Response(400, json={"Message": "?"}),
    "404 of a list": httpx2.Response(404, content=b"<html>"),
    "409": httpx2.Response(409, json={}),
    "412": httpx2.Response(412, content=b"Precondition failed"),
    "500": httpx2.Response(500, content=b"Internal Server Error"),
    "503": httpx2.Response(503, content=b"The Organisation is offline"),
    "timeout": httpx2.ReadTimeout("slow"),
    "timeout while sending": httpx2.WriteTimeout("slow"),
    "reset": httpx2.ReadError("reset"),
    "hung up": httpx2.RemoteProtocolError("no answer"),
}


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE)
def test_whatever_is_no_plain_word_is_unclear_and_not_tried_again(
    reply: httpx2.Response | Exception,
) -> None:
    """I-20, F2, F3, F5, F6."""
    answer = sent(reply)
    assert (answer.outcome, answer.elements) == (Outcome.UNCLEAR, ())
    assert answer.problem is not None
    assert "canary-token" not in f"{answer!r}{answer.problem!r}{answer.problem.detail}"


def refusal_body(**said: Any) -> httpx2.Response:
    body = {"ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation …", **said}
    return httpx2.Response(400, json=body)


def test_a_summarised_refusal_of_the_one_thing_sent_is_its_refusal() -> None:
    """xero-facts 3.5, as recorded: 400 with the element's echo inside."""
    element = {"PaymentID": OTHER, "ValidationErrors": [{"Message": "Nope <b>"}]}
    answer = sent(refusal_body(Elements=[element]), request=UNPAY)
    assert answer.outcome is Outcome.REFUSED
    assert [(e.ok, e.messages) for e in answer.elements] == [(False, ("Nope <b>",))]


def test_a_summarised_refusal_that_names_fewer_than_were_sent_is_unclear() -> None:
    """Whether the others were saved is not known (xero-facts 3.5)."""
    element = {"InvoiceID": OTHER, "ValidationErrors": [{"Message": "Nope"}]}
    assert sent(refusal_body(Elements=[element])).outcome is Outcome.UNCLEAR


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"ErrorNumber": 14, "Message": "Error converting value \"x\" to type 'y'."},
         "unreadable_request"),
        ({"Message": "The document date cannot be before the period lock date"}, "lock_date"),
        ({"Message": "Something quite new"}, "refused_by_xero"),
    ],
)  # fmt: skip
def test_a_refusal_of_the_whole_request_says_why(said: dict[str, Any], code: str) -> None:
    answer = sent(refusal_body(**said))
    assert (answer.outcome, answer.elements) == (Outcome.REFUSED, ())
    assert answer.problem is not None
    assert (answer.problem.code, answer.problem.detail) == (code, said["Message"])


def test_a_key_that_xero_knows_from_another_request_is_unclear() -> None:
    """xero-facts 3.6: that other request may have been ours."""
    text = f"The Idempotency-Key '{KEY}' is used with a different request"
    answer = sent(refusal_body(Message=text))
    assert answer.outcome is Outcome.UNCLEAR
    assert answer.problem is not None
    assert answer.problem.code == "send_clash"


def test_what_is_gone_by_its_address_is_refused() -> None:
    answer = sent(httpx2.Response(404, content=b"<html>"), request=UNPAY)
    assert answer.outcome is Outcome.REFUSED
    assert answer.problem is not None
    assert answer.problem.code == "not_found_in_xero"


DENIED = {
    "no scope": (401, "AuthorizationUnsuccessful", "write_permission_missing"),
    "401 without a word": (401, "", "write_permission_missing"),
    "not ours any more": (403, "AuthenticationUnsuccessful", "removed_in_xero"),
}


@pytest.mark.parametrize(("status", "detail", "code"), DENIED.values(), ids=DENIED)
def test_a_denial_is_about_the_connection_and_did_nothing(
    status: int, detail: str, code: str
) -> None:
    answer = sent(httpx2.Response(status, json={"Detail": detail}))
    assert (answer.outcome, answer.elements) == (Outcome.LIMITED, ())
    assert answer.problem is not None
    assert answer.problem.code == code


def test_an_expired_token_is_renewed_once_and_the_same_bytes_sent_again() -> None:
    xero = Xero(httpx2.Response(401, content=EXPIRED), ok(both()))
    assert client(xero).send(UPDATE, key=KEY).outcome is Outcome.DONE
    assert xero.forced == [False, True]
    one, two = xero.asked
    assert (one.content, one.url, one.headers) == (two.content, two.url, two.headers)


def test_a_fresh_token_that_is_refused_too_means_that_consent_is_lost() -> None:
    xero = Xero(httpx2.Response(401, content=EXPIRED))
    answer = client(xero).send(UPDATE, key=KEY)
    assert answer.outcome is Outcome.LIMITED
    assert answer.problem is not None
    assert answer.problem.code == "consent_lost"
    assert len(xero.asked) == 2


LIMITS = {
    "minute": ({"x-rate-limit-problem": "minute", "retry-after": "26"}, "minute_limit", 26.0),
    "day": ({"x-rate-limit-problem": "day", "retry-after": "66975"}, "day_limit", 66_975.0),
    "app": ({"x-appminlimit-remaining": "0", "retry-after": "9"}, "app_limit", 9.0),
    "at once": ({"x-rate-limit-problem": "concurrent"}, "concurrent_limit", None),
}


@pytest.mark.parametrize(("headers", "code", "wait"), LIMITS.values(), ids=LIMITS)
def test_a_limit_did_nothing_and_says_when_to_come_back(
    headers: dict[str, str], code: str, wait: float | None
) -> None:
    """I-40, F4: and no time is slept away here."""
    xero = Xero(httpx2.Response(429, headers=headers))
    answer = client(xero).send(UPDATE, key=KEY)
    assert answer.problem is not None
    assert (answer.outcome, answer.problem.code) == (Outcome.LIMITED, code)
    assert (answer.problem.retry_after, len(xero.asked), xero.clock.naps) == (wait, 1, [])


def test_nothing_is_sent_once_the_day_is_used_up() -> None:
    xero = Xero(ok(both(), **{"x-daylimit-remaining": "0"}))
    one = client(xero)
    one.send(UPDATE, key=KEY)
    answer = one.send(UPDATE, key=KEY)
    assert answer.problem is not None
    assert (answer.outcome, answer.problem.retry_after) == (Outcome.LIMITED, 3600.0)
    assert len(xero.asked) == 1


def test_the_61st_write_of_a_minute_stays_here_and_says_for_how_long() -> None:
    """I-39: not slept through, since its clock is running."""
    xero = Xero(ok(both()))
    one = client(xero)
    for _ in range(limits.PER_MINUTE):
        assert one.send(UPDATE, key=KEY).outcome is Outcome.DONE
    answer = one.send(UPDATE, key=KEY)
    assert answer.outcome is Outcome.LIMITED
    assert answer.problem is not None
    assert 60 <= (answer.problem.retry_after or 0) < 61
    assert (len(xero.asked), xero.clock.naps) == (limits.PER_MINUTE, [])


@pytest.mark.parametrize("error", [httpx2.ConnectError("no"), httpx2.ConnectTimeout("no")])
def test_where_no_line_was_had_nothing_was_sent(error: Exception) -> None:
    answer = sent(error)
    assert answer.outcome is Outcome.LIMITED
    assert answer.problem is not None
    assert answer.problem.code == "xero_unreachable"


def test_a_request_that_could_not_leave_in_time_stays_here() -> None:
    """`core.outbox` counts on it: the time of a try was written down before."""
    xero = Xero(ok(both()))

    def slow(force: bool) -> str:
        xero.clock.moment += LEAVES_WITHIN + 0.1
        return "t"

    one = client(xero)
    one.token = slow
    answer = one.send(UPDATE, key=KEY)
    assert (answer.outcome, xero.asked) == (Outcome.LIMITED, [])


class Dripping(httpx2.SyncByteStream):
    """A byte every three seconds, for ever."""

    def __init__(self, xero: Xero) -> None:
        self.xero = xero
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 1
            self.xero.clock.moment += 3
            yield b" "


def from_stream(xero: Xero, **answer: Any) -> XeroClient:
    one = client(xero)

    def handler(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, **answer)

    one.http = httpx2.Client(transport=httpx2.MockTransport(handler))
    return one


def test_a_dripping_answer_is_given_up_after_half_a_minute_and_unclear() -> None:
    xero = Xero(ok({}))
    stream = Dripping(xero)
    answer = from_stream(xero, stream=stream).send(UPDATE, key=KEY)
    assert answer.outcome is Outcome.UNCLEAR
    assert stream.given <= LONGEST_WRITE / 3 + 1


def test_a_gigantic_answer_is_unclear() -> None:
    """S30."""
    headers = {**JSON, "content-encoding": "gzip"}
    one = from_stream(Xero(ok({})), headers=headers, stream=httpx2.ByteStream(bomb()))
    assert one.send(UPDATE, key=KEY).outcome is Outcome.UNCLEAR


def test_a_truncated_gzip_is_unclear() -> None:
    cut = gzip.compress(json.dumps(both()).encode())[:-20]
    headers = {**JSON, "content-encoding": "gzip"}
    one = from_stream(Xero(ok({})), headers=headers, stream=httpx2.ByteStream(cut))
    assert one.send(UPDATE, key=KEY).outcome is Outcome.UNCLEAR


def test_permission_and_guard_are_asked_again_before_a_second_try() -> None:
    """I-36, I-37: an organisation made one-directional, or disconnected, in between."""
    for name, code in (("may_write", "read_only"), ("guard", "stopped")):
        xero = Xero(httpx2.Response(401, content=EXPIRED), ok(both()))
        asked: list[str] = []

        def once(name: str = name, code: str = code, asked: list[str] = asked) -> None:
            asked.append(name)
            if len(asked) > {"may_write": 2, "guard": 1}[name]:
                raise Problem(code)

        with pytest.raises(Problem) as caught:
            client(xero, **{name: once}).send(UPDATE, key=KEY)
        assert caught.value.code == code
        assert len(xero.asked) == 1


def test_every_write_is_metered_whatever_came_of_it() -> None:
    for reply in (ok(both()), httpx2.ReadTimeout("slow"), httpx2.Response(500, content=b"12345")):
        xero = Xero(reply)
        client(xero).send(UPDATE, key=KEY)
        assert [calls for calls, _ in xero.metered] == [1]


def test_payments_are_told_apart_by_their_references() -> None:
    """An answer whose references are not ours, in our order, is about something else."""
    new = [
        NewPayment(INVOICE, OTHER, date(2026, 1, 1), Decimal(1), f"x (JPM-{n * 10})") for n in "AB"
    ]
    request = outgoing.create_payments(new)
    rows = [{"PaymentID": INVOICE, "Reference": one.reference} for one in new]
    assert sent(ok({"Payments": rows}), request=request).outcome is Outcome.DONE
    assert sent(ok({"Payments": rows[::-1]}), request=request).outcome is Outcome.UNCLEAR


@pytest.mark.parametrize("said", ["../../etc/passwd", "7", f"{INVOICE} ", {"a": 1}])
def test_an_id_that_is_none_is_unclear(said: object) -> None:
    """What was made is there, but we could never speak of it by that."""
    request = outgoing.create_contacts([NewContact("JPM-A", "Zoë & Söhne “Ω”")])
    answer = sent(
        ok({"Contacts": [{"ContactID": said, "ContactNumber": "JPM-A"}]}), request=request
    )
    assert (answer.outcome, answer.elements) == (Outcome.UNCLEAR, ())
