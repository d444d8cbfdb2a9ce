"""Calls made from the schema and bent out of shape: never a 500, nothing stored on a refusal.

The everyday run makes up to 20 calls of each operation, the full run up to 40; always the same.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.extent import FULL
from tests.security.world import MISSING, World, fingerprint

from justpayme.api.models import TokenUse
from justpayme.api.v1 import schema

OPERATIONS = [
    (path.removeprefix("/api/v1"), method.upper(), details)
    for path, methods in schema()["paths"].items()
    for method, details in methods.items()
]
KINDS = {
    "bill_id": "bill",
    "client_id": "client",
    "organisation_id": "connection",
    "run_id": "run",
    "item_id": "item",
    "payment_id": "payment",
}
SHARED = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HOSTILE_TEXT = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "\ud800",
        "' OR 1=1 --",
        "%s%n",
        "x" * 5000,
        "../../etc/passwd",
        "=1+1",
        "9" * 400,
        "1e400",
        "NaN",
        "-0",
        "\u202e\u0000",
        "٣",
        "2026-02-30",
        "2026-11-22T25:00:00Z",
        "0000-00-00",
    ]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 10**18, -1, 0, 1.5, 1e308])
    | st.text(max_size=20)
    | HOSTILE_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        found: dict[str, Any] = schema()["components"]["schemas"][node["$ref"].rsplit("/", 1)[-1]]
        return found
    return node


def valid(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the schema allows, as far as it can say."""
    node = resolved(node)
    if "anyOf" in node:
        return st.one_of(*(valid(option) for option in node["anyOf"]))
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if "examples" in node:
        return st.sampled_from(node["examples"])
    if "pattern" in node:
        return st.from_regex(node["pattern"], fullmatch=True)
    return _plain(node)


def _plain(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    kind = node.get("type")
    if kind == "object":
        properties = node.get("properties", {})
        needed = set(node.get("required", []))
        fields = {name: valid(inner) for name, inner in properties.items()}
        return st.fixed_dictionaries(
            {name: fields[name] for name in fields if name in needed},
            optional={name: fields[name] for name in fields if name not in needed},
        )
    if kind == "array":
        return st.lists(valid(node["items"]), min_size=node.get("minItems", 0), max_size=2)
    return {
        "string": st.text(max_size=12),
        "integer": st.integers(min_value=node.get("minimum", 0), max_value=10),
        "boolean": st.booleans(),
        "null": st.none(),
    }[str(kind)]


def bent(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Mostly what the schema allows, with one thing in it replaced, added or left out."""
    good = valid(node)

    def bend(parts: tuple[Any, str, Any, int]) -> Any:
        body, name, value, how = parts
        if not isinstance(body, dict):
            return value
        names = sorted(body)
        chosen = names[how % len(names)] if names and how < 40 else name
        return {**body, chosen: value}

    return good | st.tuples(good, st.text(max_size=8), ANYTHING, st.integers(0, 50)).map(bend)


def body_of(details: dict[str, Any]) -> st.SearchStrategy[str] | None:
    content = details.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    return bent(content["schema"]).map(json.dumps) | ANYTHING.map(json.dumps)


def path_with_ids(path: str, world: World, whose: str) -> str:
    for name, kind in KINDS.items():
        ids = {"own": world.own.ids[kind], "foreign": world.foreign.ids[kind], "missing": MISSING}
        path = path.replace(f"{{{name}}}", str(ids[whose]))
    return path


@pytest.mark.parametrize(
    ("path", "method", "details"), OPERATIONS, ids=[f"{m} {p}" for p, m, _ in OPERATIONS]
)
def test_no_call_breaks_and_a_refused_one_stores_nothing(
    world: World, path: str, method: str, details: dict[str, Any]
) -> None:
    body = body_of(details)
    names = [one["name"] for one in details["parameters"] if one["in"] == "query"]
    schemas = {one["name"]: one["schema"] for one in details["parameters"]}
    queries = st.fixed_dictionaries(
        {}, optional={name: valid(schemas[name]) | HOSTILE_TEXT for name in names}
    )

    @settings(SHARED, max_examples=(40 if body is not None else 12) // (1 if FULL else 4))
    @given(
        sent=st.just("") if body is None else body,
        query=queries,
        whose=st.sampled_from(["own", "own", "foreign", "missing"]),
    )
    def check(sent: str, query: dict[str, Any], whose: str) -> None:
        before = fingerprint()
        answer = ask(world, method, path_with_ids(path, world, whose), sent, query)
        assert answer.status_code < 500, answer.content
        declared = {int(status) for status in details["responses"]}
        assert answer.status_code in declared, (answer.status_code, answer.content)
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) == {"code", "message", "fields"}
            assert fingerprint() == before

    check()


def ask(world: World, method: str, path: str, sent: str, query: dict[str, Any]) -> Any:
    TokenUse.objects.update(calls=0)
    caller = world.callers["alice"]
    if method == "GET":
        plain = {name: text(value) for name, value in query.items() if value is not None}
        return caller.get(path, **plain)
    return caller.raw(method, path, sent)


def text(value: Any) -> str:
    """As an address can carry it: half a surrogate pair cannot be sent at all."""
    return str(value).encode("utf-8", "replace").decode()
