"""The open questions as parameters: listed, answered by three doors, wrong answers refused."""

import json

import pytest
from tests.sandbox.client import Start, Xero

from xero_sandbox import Store, create_app
from xero_sandbox.open_questions import Open, changed, parse, questions


def test_every_question_says_where_it_stands_and_what_may_be_said() -> None:
    for question in questions():
        assert question.sections, question.name
        assert question.asks, question.name
        assert len(question.values) >= 2, question.name
        assert question.default == question.values[0], question.name


def test_questions_are_listed_and_answered_by_http(xero: Xero) -> None:
    before = xero.http.get("/sandbox/open-questions").json()
    assert {q["name"] for q in before["questions"]} == set(Open.__struct_fields__)
    assert before["answers"]["since"] == "at"
    after = xero.http.post("/sandbox/open-questions", json={"since": "after"}).json()
    assert after["answers"] == {**before["answers"], "since": "after"}
    ledgers = xero.sandbox.store.ledgers.values()
    assert {ledger.open.since for ledger in ledgers} == {"after"}


@pytest.mark.parametrize(
    "body",
    [
        {"since": "sometimes"},
        {"since": None},
        {"since": ["at"]},
        {"weather": "fine"},
        {"<b>\ud800": "x"},
    ],
)
def test_wrong_answers_are_refused_and_change_nothing(xero: Xero, body: dict) -> None:
    answer = xero.http.post("/sandbox/open-questions", content=json.dumps(body))
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert xero.sandbox.store.open == Open()


def test_answers_can_be_handed_in() -> None:
    sandbox = create_app(Store(), open_questions=Open(halves="even"))
    assert sandbox.limits.open == sandbox.webhooks.open == sandbox.store.open
    assert sandbox.store.open.halves == "even"


def test_answers_from_a_command_line(start: Start) -> None:
    assert parse(["since=after", "halves=even"]) == Open(since="after", halves="even")
    assert changed(Open(since="after"), {"since": "at"}) == Open()
    for wrong in ("since", "since=", "since=at=once", "=at"):
        with pytest.raises(ValueError, match=r"since|question"):
            parse([wrong])
    process, address = start("--open", "since=after", "--open", "most_ids=50")
    assert address.startswith("http://127.0.0.1:")
    process.terminate()
    assert process.wait(timeout=20) == 0
