"""What an API client sees of each answer to an open question about Xero (xero-facts 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.sandbox.client import REDIRECT, WRITE_SCOPES, Xero
from tests.sandbox.test_sandbox_webhooks import Ear, deliver, subscribe
from tests.sandbox.test_sandbox_write_invoices import (
    LINE,
    UK,
    body,
    contact,
    pay,
    post,
    put,
    read,
    refusal,
)

from xero_sandbox import FrozenClock, checks, credits, listing, rules
from xero_sandbox.limits import seconds_left
from xero_sandbox.model import sql_guid_key
from xero_sandbox.open_questions import questions

pytestmark = [pytest.mark.layer("conformance"), pytest.mark.usefixtures("stated")]
Probe = Callable[[Xero, FrozenClock], object]
SEEN: dict[str, tuple[Probe, dict[str, object]]] = {}
"""By question: how to look, and what is to be seen with each answer."""


def seen(**wanted: object) -> Callable[[Probe], Probe]:
    """What a look at a question's name shows, by answer (a leading `_` is not part of it)."""

    def register(probe: Probe) -> Probe:
        SEEN[probe.__name__] = (probe, {key.lstrip("_"): value for key, value in wanted.items()})
        return probe

    return register


def status(answer: Any) -> int:
    code: int = answer.status_code
    return code


def since(clock: FrozenClock, seconds: float = 0) -> dict[str, str]:
    clock.advance(seconds)
    return {"If-Modified-Since": clock.now().strftime("%Y-%m-%dT%H:%M:%S")}


# --- signing in and limits ---------------------------------------------------------------------


@seen(absent=False, present=True)
def oauth_description(xero: Xero, clock: FrozenClock) -> object:
    return "error_description" in xero.refreshed("used").json()


@seen(
    access_denied={"state", "error=access_denied"},
    described={"state", "error=access_denied", "error_description"},
    login_cancelled={"state", "error=login_cancelled"},
    silent={"state"},
)
def cancel(xero: Xero, clock: FrozenClock) -> object:
    form = {**xero.authorize_args(), "decision": "cancel"}
    back = xero.http.post("/identity/connect/authorize", data=form).headers["Location"]
    assert back.startswith(REDIRECT)
    told = parse_qs(urlsplit(back).query)
    return {f"error={told[k][0]}" if k == "error" else k for k in told}


@seen(new=(False, True), same=(True, True), always_new=(False, False))
def reconnect_id(xero: Xero, clock: FrozenClock) -> object:
    def current() -> str:
        rows = xero.http.get("/connections", headers={"Authorization": f"Bearer {xero.access}"})
        return next(r["id"] for r in rows.json() if r["tenantId"] == xero.tenant())

    first = current()
    xero.act("disconnect", tenant=UK)
    xero.connect("GB", scope=WRITE_SCOPES)
    second = current()
    xero.connect("GB", scope=WRITE_SCOPES)
    return second == first, current() == second


@seen(_401=401, _403=403)
def missing_scope(xero: Xero, clock: FrozenClock) -> object:
    rule = {"kind": "remove_scope", "parameters": {"scope": "accounting.payments"}}
    xero.http.post("/sandbox/faults", json=rule)
    return status(xero.get("Payments"))


@seen(Title="Detail", title="detail")
def problem_keys(xero: Xero, clock: FrozenClock) -> object:
    told = xero.get("Organisation", headers={"xero-tenant-id": ""}).json()
    return next(key for key in told if key.lower() == "detail")


@seen(fixed=200, rolling=429)
def minute_window(xero: Xero, clock: FrozenClock) -> object:
    clock.advance(seconds_left(xero.tenant(), 60, clock.now()) - 1)
    xero.http.post("/sandbox/limits", json={"minute": 1})
    assert status(xero.get("Organisation")) == 200
    clock.advance(1)
    return status(xero.get("Organisation"))


@seen(appminute="appminute", app="app", absent=None)
def app_limit(xero: Xero, clock: FrozenClock) -> object:
    xero.http.post("/sandbox/limits", json={"app_minute": 0})
    refused = xero.get("Organisation")
    assert (status(refused), refused.headers["X-AppMinLimit-Remaining"]) == (429, "0")
    return refused.headers.get("X-Rate-Limit-Problem")


@seen(absent=None, present="1")
def concurrent_wait(xero: Xero, clock: FrozenClock) -> object:
    xero.http.post("/sandbox/limits", json={"concurrent": 0})
    refused = xero.get("Organisation")
    assert refused.headers["X-Rate-Limit-Problem"] == "concurrent"
    return refused.headers.get("Retry-After")


@seen(free=0, counted=1)
def refused_calls(xero: Xero, clock: FrozenClock) -> object:
    xero.sandbox.limits.reset()
    xero.http.post("/sandbox/limits", json={"minute": 1, "day": 10})
    left = [int(xero.get("Organisation").headers["X-DayLimit-Remaining"]) for _ in range(2)]
    return left[0] - left[1]


# --- lists -------------------------------------------------------------------------------------


@seen(empty=(200, 0, 99), last=(200, 8, 3), not_found=(404, 0, 0))
def page_past_end(xero: Xero, clock: FrozenClock) -> object:
    answer = xero.get("Invoices", page="99", pageSize="30")
    whole = answer.json() if answer.status_code == 200 else {}
    rows, figures = whole.get("Invoices", []), whole.get("pagination", {"page": 0})
    return status(answer), len(rows), figures["page"]


@seen(guid=(True, False), text=(False, True))
def tie_order(xero: Xero, clock: FrozenClock) -> object:
    clock.advance(60)
    made = xero.write("PUT", "Invoices", {"Invoices": [body(xero) for _ in range(12)]}).json()
    rows = xero.get("Invoices", page="1", headers=since(clock)).json()["Invoices"]
    ids = [row["InvoiceID"] for row in rows]
    assert set(ids) == {row["InvoiceID"] for row in made["Invoices"]}
    return ids == sorted(ids, key=sql_guid_key), ids == sorted(ids)


@seen(backslash=(1, None), doubled=(None, 1), refused=(None, None))
def where_quote(xero: Xero, clock: FrozenClock) -> object:
    put(xero, Reference='say "cheese"')

    def found(text: str) -> int | None:
        answer = xero.get("Invoices", page="1", where=f'Reference=="{text}"')
        return len(answer.json()["Invoices"]) if answer.status_code == 200 else None

    return found('say \\"cheese\\"'), found('say ""cheese""')


@seen(_16=16, _10=10)
def query_error(xero: Xero, clock: FrozenClock) -> object:
    return xero.get("Invoices", page="1", where="nothing").json()["ErrorNumber"]


@seen(json=(400, "application/json"), text=(400, "text/plain"))
def high_volume(xero: Xero, clock: FrozenClock) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "HIGH_VOLUME", 10)
        answer = xero.get("Invoices", page="1")
    assert "high volume" in answer.text
    return status(answer), answer.headers["Content-Type"].partition(";")[0]


@seen(empty=200, not_modified=304)
def unmodified(xero: Xero, clock: FrozenClock) -> object:
    return status(xero.get("Invoices", page="1", headers=since(clock, 60)))


@seen(at=1, after=0)
def since_equal(xero: Xero, clock: FrozenClock) -> object:
    clock.advance(60.75)
    assert clock.now().microsecond == 0
    put(xero)
    return len(xero.get("Invoices", page="1", headers=since(clock)).json()["Invoices"])


SEEN["since"] = SEEN.pop("since_equal")


@seen(
    at_once=("new", "new", "mine"),
    after_two_seconds=("", "new", "mine"),
    own_writes_too=("", "new", "new"),
)
def readable(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    clock.advance(2)
    xero.act("edit-invoice", tenant=UK, invoice=made["InvoiceID"], reference="new")
    first = read(xero, made)["Reference"]
    clock.advance(2)
    second = read(xero, made)["Reference"]
    post(xero, made, Reference="mine")
    return first, second, read(xero, made)["Reference"]


@seen(any=200, _50=400)
def most_ids(xero: Xero, clock: FrozenClock) -> object:
    rows = xero.get("Invoices", page="1").json()["Invoices"][:51]
    ids = [row["InvoiceID"] for row in rows]
    assert status(xero.get("Invoices", page="1", IDs=",".join(ids[:50]))) == 200
    return status(xero.get("Invoices", page="1", IDs=",".join(ids)))


# --- shapes ------------------------------------------------------------------------------------


@seen(always=True, sometimes=False)
def currency_rate(xero: Xero, clock: FrozenClock) -> object:
    rows = xero.get("Invoices", page="1").json()["Invoices"]
    assert any("CurrencyRate" in row for row in rows)
    assert all("CurrencyRate" in row for row in rows if row["CurrencyCode"] != "GBP")
    return all("CurrencyRate" in row for row in rows)


@seen(as_recorded=(2, 4), empty=(4, 4), omitted=(0, 0))
def empty_arrays(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    keys = {"Payments", "CreditNotes", "Prepayments", "Overpayments"}
    row = xero.get("Invoices", page="1", IDs=made["InvoiceID"]).json()["Invoices"][0]
    return len(keys & set(read(xero, made))), len(keys & set(row))


@seen(zero=0, total=120)
def void_amount_due(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    post(xero, made, Status="VOIDED")
    return read(xero, made)["AmountDue"]


@seen(_204=204, _200=200)
def empty_answers(xero: Xero, clock: FrozenClock) -> object:
    answer = xero.write("POST", f"Invoices/{put(xero)['InvoiceID']}/Email")
    assert answer.content == b""
    return status(answer)


# --- writing -----------------------------------------------------------------------------------


@seen(refused=0, saved=1)
def good_siblings(xero: Xero, clock: FrozenClock) -> object:
    both = [body(xero, Reference="good sibling"), body(xero, CurrencyCode="JPY")]
    assert status(xero.write("PUT", "Invoices", {"Invoices": both})) == 400
    found = xero.get("Invoices", page="1", where='Reference=="good sibling"').json()
    return len(found["Invoices"])


@seen(app=True, organisation=False)
def key_scope(xero: Xero, clock: FrozenClock) -> object:
    answers = [
        xero.write("PUT", "Contacts", {"Name": "Vera"}, country, {"Idempotency-Key": "k"})
        for country in ("GB", "NZ")
    ]
    first, second = (answer.json()["Contacts"][0]["ContactID"] for answer in answers)
    return first == second


@seen(fixed=400, free=200)
def expected_date_with_money(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    pay(xero, made, "10")
    change = {"ExpectedPaymentDate": "2027-01-31"}
    return status(xero.write("POST", f"Invoices/{made['InvoiceID']}", change))


@seen(stamped=True, unstamped=False)
def merged_documents(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    clock.advance(60)
    xero.act("merge-contact", tenant=UK, contact=contact(xero).id, into="Ridgeway University")
    after = read(xero, made)
    assert after["Contact"]["Name"] == "Ridgeway University"
    return after["UpdatedDateUTC"] != made["UpdatedDateUTC"]


@seen(away=5.01, even=5.00)
def halves(xero: Xero, clock: FrozenClock) -> object:
    line = {**LINE, "Quantity": "0.5", "UnitAmount": "10.01"}
    return put(xero, LineItems=[line])["LineItems"][0]["LineAmount"]


@seen(free=200, capped=400)
def tax_override(xero: Xero, clock: FrozenClock) -> object:
    given = body(xero, LineItems=[{**LINE, "TaxAmount": "100.01"}])
    return status(xero.write("PUT", "Invoices", given))


@seen(deducted=100, not_deducted=120)
def cis_in_due(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    xero.act("deduct-cis", tenant=UK, invoice=made["InvoiceID"], amount="20")
    after = read(xero, made)
    assert after["CISDeduction"] == 20
    return after["AmountDue"]


@seen(
    not_valid=checks.UNPAYABLE["not_valid"].format("200"),
    not_enabled=checks.UNPAYABLE["not_enabled"].format("200"),
    unheard=checks.UNPAYABLE["unheard"].format("200"),
)
def account_text(xero: Xero, clock: FrozenClock) -> object:
    target = {"InvoiceID": put(xero)["InvoiceID"]}
    given = {"Invoice": target, "Account": {"Code": "200"}, "Amount": 1}
    (text,) = refusal(xero.write("PUT", "Payments", given))
    return text


def allocate(xero: Xero, invoice: dict, amount: str) -> Any:
    note = xero.act("give-credit", tenant=UK, contact=contact(xero).id, amount="50").json()
    given = {"Amount": amount, "Invoice": {"InvoiceID": invoice["InvoiceID"]}}
    return xero.write("PUT", f"CreditNotes/{note['CreditNoteID']}/Allocations", given)


@seen(payment_text=checks.TOO_MUCH, credit_text=credits.OVER_ALLOCATED["credit_text"])
def over_allocation(xero: Xero, clock: FrozenClock) -> object:
    (text,) = refusal(allocate(xero, put(xero), "110"))
    return text


@seen(wrapped={"Allocations"}, bare={"AllocationID", "IsDeleted"})
def deleted_allocation(xero: Xero, clock: FrozenClock) -> object:
    note = xero.act("give-credit", tenant=UK, contact=contact(xero).id, amount="50").json()
    credit = f"CreditNotes/{note['CreditNoteID']}/Allocations"
    given = {"Amount": 10, "Invoice": {"InvoiceID": put(xero)["InvoiceID"]}}
    made = xero.write("PUT", credit, given).json()["Allocations"][0]["AllocationID"]
    answer = xero.write("DELETE", f"{credit}/{made}", None).json()
    return {"Allocations", "AllocationID", "IsDeleted"} & set(answer)


@seen(
    removable=200,
    refused=rules.RECONCILED["refused"],
    refused_unheard=rules.RECONCILED["refused_unheard"],
)
def reconciled(xero: Xero, clock: FrozenClock) -> object:
    given = {"invoice": put(xero)["InvoiceID"], "amount": "10", "reconciled": "yes"}
    paid = xero.act("record-payment", tenant=UK, **given).json()
    answer = xero.write("POST", f"Payments/{paid['PaymentID']}", {"Status": "DELETED"})
    return 200 if answer.status_code == 200 else refusal(answer)[0]


@seen(moves=True, stays=False)
def allocation_stamp(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    before = read(xero, made)["UpdatedDateUTC"]
    clock.advance(60)
    assert status(allocate(xero, made, "10")) == 200
    return read(xero, made)["UpdatedDateUTC"] != before


@seen(locked=400, free=200)
def lock_day(xero: Xero, clock: FrozenClock) -> object:
    made = put(xero)
    xero.act("lock", tenant=UK, period_lock_date="2026-11-22")
    return status(xero.write("POST", f"Invoices/{made['InvoiceID']}", {"Reference": "x"}))


@seen(blocked=400, free=200)
def dead_numbers(xero: Xero, clock: FrozenClock) -> object:
    post(xero, put(xero, InvoiceNumber="Dead-1"), Status="VOIDED")
    return status(xero.write("PUT", "Invoices", body(xero, InvoiceNumber="Dead-1")))


# --- webhooks ----------------------------------------------------------------------------------


def listening(xero: Xero) -> Ear:
    ear = Ear()
    xero.sandbox.webhooks.post = ear
    subscribe(xero)
    return ear


@seen(fires=1, silent=0)
def allocation_webhook(xero: Xero, clock: FrozenClock) -> object:
    made, ear = put(xero), listening(xero)
    clock.advance(60)
    assert status(allocate(xero, made, "10")) == 200
    deliver(xero)
    return [event["resourceId"] for event in ear.events()].count(made["InvoiceID"])


@seen(in_order=(True, False), backwards=(False, True))
def webhook_order(xero: Xero, clock: FrozenClock) -> object:
    ear = listening(xero)
    made = [put(xero)["InvoiceID"] for _ in range(3)]
    deliver(xero)
    told = [event["resourceId"] for event in ear.events()]
    return told == made, told == made[::-1]


@seen(together=1, one_by_one=3)
def webhook_grouping(xero: Xero, clock: FrozenClock) -> object:
    ear = listening(xero)
    for _ in range(3):
        put(xero)
    deliver(xero)
    return len([whole for whole, _ in ear.heard if whole["events"]])


# --- the table ---------------------------------------------------------------------------------

EITHER = [(question.name, value) for question in questions() for value in question.values]


@pytest.mark.parametrize(("name", "value"), EITHER)
def test_each_answer_is_seen_from_outside(
    writer: Xero, clock: FrozenClock, name: str, value: str
) -> None:
    """11.1, 11.2, 11.3, 11.4, 11.5, 11.6, 11.7, 11.8, 11.9, 11.10, 11.11, 11.13: an API client
    sees which answer was given to each open question (below)."""
    look, wanted = SEEN[name]
    writer.assume(**{name: value})
    assert look(writer, clock) == wanted[value]


def test_no_two_answers_look_the_same() -> None:
    """An answer that nobody can see would prove nothing."""
    assert SEEN.keys() == {question.name for question in questions()}
    for question in questions():
        _, wanted = SEEN[question.name]
        assert list(wanted) == question.values
        assert len({repr(value) for value in wanted.values()}) == len(wanted)
