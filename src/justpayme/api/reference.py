"""The schema as a list of operations, from which the docs page and docs/api.md are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, or one field of a body or an answer. `name` shows nesting with dots."""

    name: str
    kind: str
    needed: bool
    about: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `answers` are (status, what it means); `parameters` come in the address."""

    name: str
    tag: str
    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    answer: tuple[Field, ...]
    answers: tuple[tuple[str, str], ...]


def operations(schema: Node) -> list[Operation]:
    """Every operation, in the order of the schema."""
    return [
        _operation(schema, path, method.upper(), details)
        for path, methods in schema["paths"].items()
        for method, details in methods.items()
    ]


def _operation(schema: Node, path: str, method: str, details: Node) -> Operation:
    body = _content(details.get("requestBody", {}))
    success = next(_content(a) for status, a in details["responses"].items() if status < "300")
    return Operation(
        name=details["operationId"],
        tag=details["tags"][0],
        method=method,
        path=path,
        summary=details["summary"],
        about=" ".join(details.get("description", "").split()),
        parameters=tuple(_parameter(schema, one) for one in details["parameters"]),
        body=tuple(_fields(schema, body)) if body else (),
        answer=tuple(_fields(schema, success)) if success else (),
        answers=tuple((s, a["description"]) for s, a in details["responses"].items()),
    )


def _content(part: Node) -> Node | None:
    found: Node | None = part.get("content", {}).get("application/json", {}).get("schema")
    return found


def _parameter(schema: Node, one: Node) -> Field:
    kind = _kind(schema, one["schema"])
    where = " (header)" if one["in"] == "header" else ""
    name = one["name"].replace("_", "-") if where else one["name"]
    return Field(name + where, kind, one["required"], one.get("description", ""))


def _fields(schema: Node, node: Node, before: str = "") -> Iterator[Field]:
    """The fields of an object, those inside its lists and objects after it."""
    node = _resolved(schema, node)
    needed = node.get("required", [])
    for name, inner in node.get("properties", {}).items():
        about = inner.get("description", "")
        yield Field(before + name, _kind(schema, inner), name in needed, about)
        target, is_list = _object_in(schema, inner)
        if target is not None:
            yield from _fields(schema, target, f"{before}{name}{'[]' if is_list else ''}.")


def _object_in(schema: Node, node: Node) -> tuple[Node | None, bool]:
    for option in node.get("anyOf", [node]):
        found = _resolved(schema, option)
        if found.get("type") == "array":
            return _object_in(schema, found["items"])[0], True
        if "properties" in found:
            return found, False
    return None, False


def _resolved(schema: Node, node: Node) -> Node:
    if "$ref" not in node:
        return node
    found: Node = schema["components"]["schemas"][node["$ref"].rsplit("/", 1)[-1]]
    return found


def _kind(schema: Node, node: Node) -> str:
    """A few words: "text", "id or null", "one of draft, active"."""
    if "anyOf" in node:
        return " or ".join(_kind(schema, option) for option in node["anyOf"])
    node = _resolved(schema, node)
    if "enum" in node:
        return "one of " + ", ".join(str(value) for value in node["enum"])
    if node.get("format") in ("date", "date-time"):
        return {"date": "day", "date-time": "time"}[node["format"]]
    if "pattern" in node and "." in node["pattern"]:
        return "decimal as text"
    if node.get("type") == "array":
        return f"list of {_kind(schema, node['items'])}"
    return _KINDS.get(node.get("type", ""), "any")


_KINDS = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
}


def markdown(schema: Node) -> str:
    """docs/api.md."""
    parts = [
        "# The JSON API",
        "Generated from the schema (CONTRIBUTING.md, “Generated pages”): do not edit. "
        "A running server shows the same at `/api/v1/docs`, and the schema itself at "
        "`/api/v1/openapi.json`.",
        schema["info"]["description"].strip(),
        _ERRORS,
    ]
    tag = ""
    for one in operations(schema):
        if one.tag != tag:
            tag = one.tag
            parts.append(f"## {tag.capitalize()}")
        parts += _markdown_of(one)
    return "\n\n".join(parts) + "\n"


_ERRORS = """\
Every refusal has one shape; `fields` names what cannot be used:

```json
{"error": {"code": "invalid", "message": "Some fields cannot be used; see `fields`.",
           "fields": {"lines.0.quantity": "Send a decimal number as text, such as \\"120.00\\"."}}}
```"""


def _markdown_of(one: Operation) -> list[str]:
    parts = [f"### {one.summary}", f"`{one.method} {one.path}`"]
    if one.about:
        parts.append(one.about)
    tables = (("Parameter", one.parameters), ("Field sent", one.body), ("Answer", one.answer))
    for title, fields in tables:
        if fields:
            parts.append(_table(title, fields))
    parts.append("Answers: " + " · ".join(f"{status} {text}" for status, text in one.answers))
    return parts


def _table(title: str, fields: tuple[Field, ...]) -> str:
    rows = [f"| {title} | Kind | Needed | |", "| --- | --- | --- | --- |"]
    is_answer = title == "Answer"
    for field in fields:
        needed = "" if is_answer or not field.needed else "yes"
        rows.append(f"| `{field.name}` | {field.kind} | {needed} | {field.about} |")
    return "\n".join(rows)
