"""The filter language of ``?where=`` (3.1), parsed to a test on one record.

Grammar: ``==`` or ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``AND``/``&&``, ``OR``/``||``,
brackets, ``guid("…")``, ``DateTime(2026, 01, 31)``, ``DateTime.Parse("2026-01-31")``, numbers,
``null``, strings in double quotes compared without letter case, and ``Field.Contains("…")``,
``.StartsWith``, ``.EndsWith`` (which fail on an empty field unless guarded by ``Field != null``).
Anything else is a ``QueryError``.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

Getter = Callable[[Any], Any]
Test = Callable[[Any], bool]
LEXEME = r"""\s*(?:
      (?P<string>{string})
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<op>==|=|!=|<>|<=|>=|<|>|&&|\|\||\(|\)|,)
    | (?P<name>[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*)
    )"""
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a is not None and b is not None and a < b,
    "<=": lambda a, b: a is not None and b is not None and a <= b,
    ">": lambda a, b: a is not None and b is not None and a > b,
    ">=": lambda a, b: a is not None and b is not None and a >= b,
}
STRING_TESTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda a, b: b in a,
    "startswith": lambda a, b: a.startswith(b),
    "endswith": lambda a, b: a.endswith(b),
}


class QueryError(Exception):
    """The filter or order cannot be understood; becomes a 400 QueryParseException."""


QUOTES = {
    "backslash": r'"(?:[^"\\]|\\.)*"',
    "doubled": r'"(?:[^"]|"")*"',
    "refused": r'"[^"\\]*"',
}
"""A text, by how a quote inside it is written: an open question (3.1)."""


def compile_where(text: str, fields: Mapping[str, Getter], quotes: str = "backslash") -> Test:
    """Parse a filter over the given fields (names in lower case, such as ``contact.name``)."""
    parser = _Parser(_tokens(text, quotes), fields)
    test = parser.either()
    if parser.peek() != ("end", ""):
        raise QueryError(f"Syntax error in '{text}'")
    return test


@cache
def _pattern(quotes: str) -> re.Pattern[str]:
    return re.compile(LEXEME.format(string=QUOTES[quotes]), re.VERBOSE)


def _tokens(text: str, quotes: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, pattern = 0, _pattern(quotes)
    text = text.strip()
    while position < len(text):
        match = pattern.match(text, position)
        if match is None or match.lastgroup is None:
            raise QueryError(f"Syntax error at position {position}")
        found = match.group(match.lastgroup)
        if match.lastgroup == "string":
            found = _unquote(found, quotes)
        tokens.append((match.lastgroup, found))
        position = match.end()
    return [*tokens, ("end", "")]


class _Parser:
    """Recursive descent: either > both > one comparison."""

    def __init__(self, tokens: list[tuple[str, str]], fields: Mapping[str, Getter]) -> None:
        self.tokens = tokens
        self.fields = fields
        self.depth = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[0]

    def take(self, kind: str, value: str | None = None) -> str:
        found_kind, found = self.tokens[0]
        if found_kind != kind or (value is not None and found != value):
            raise QueryError(f"Syntax error near '{found}'")
        self.tokens.pop(0)
        return found

    def either(self) -> Test:
        tests = [self.both()]
        while self.peek()[1].lower() in ("||", "or") and self.peek()[0] != "string":
            self.tokens.pop(0)
            tests.append(self.both())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.peek()[1].lower() in ("&&", "and") and self.peek()[0] != "string":
            self.tokens.pop(0)
            tests.append(self.one())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def one(self) -> Test:
        if self.peek() == ("op", "("):
            return self.bracket()
        name = self.take("name")
        field, _, method = name.rpartition(".")
        if method.lower() in STRING_TESTS:
            return self.string_test(self.field(field), method.lower())
        return self.comparison(self.field(name))

    def bracket(self) -> Test:
        self.depth += 1
        if self.depth > 50:
            raise QueryError("The filter is nested too deeply")
        self.take("op", "(")
        test = self.either()
        self.take("op", ")")
        return test

    def field(self, name: str) -> Getter:
        getter = self.fields.get(name.lower())
        if getter is None:
            raise QueryError(f"No property or field '{name}' exists")
        return getter

    def string_test(self, getter: Getter, method: str) -> Test:
        self.take("op", "(")
        wanted = self.take("string").casefold()
        self.take("op", ")")
        holds = STRING_TESTS[method]

        def test(row: Any) -> bool:
            value = getter(row)
            if value is None:
                raise QueryError("Object reference not set to an instance of an object")
            return holds(str(value).casefold(), wanted)

        return test

    def comparison(self, getter: Getter) -> Test:
        operator = self.take("op")
        if operator not in COMPARE:
            raise QueryError(f"Syntax error near '{operator}'")
        compare, wanted = COMPARE[operator], self.value()

        def test(row: Any) -> bool:
            return compare(*_alike(getter(row), wanted))

        return test

    def value(self) -> Any:
        kind, text = self.tokens.pop(0)
        if kind == "string":
            return text
        if kind == "number":
            return Decimal(text)
        if kind == "name":
            return self.named_value(text.lower())
        raise QueryError(f"Syntax error near '{text}'")

    def named_value(self, name: str) -> Any:
        if name in ("null", "true", "false"):
            return {"null": None, "true": True, "false": False}[name]
        self.take("op", "(")
        if name in ("guid", "datetime.parse"):
            text = self.take("string")
            value: Any = text if name == "guid" else _day(text)
        elif name == "datetime":
            value = self.date_parts()
        else:
            raise QueryError(f"No function '{name}' exists")
        self.take("op", ")")
        return value

    def date_parts(self) -> date:
        numbers = [int(Decimal(self.take("number")))]
        while self.peek() == ("op", ","):
            self.take("op", ",")
            numbers.append(int(Decimal(self.take("number"))))
        try:
            return date(*numbers[:3])
        except (OverflowError, TypeError, ValueError) as error:
            raise QueryError("DateTime(…) is not a date") from error


def _unquote(text: str, quotes: str) -> str:
    if quotes == "doubled":
        return text[1:-1].replace('""', '"')
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise QueryError(f"'{text}' is not a date") from error


def _alike(value: Any, wanted: Any) -> tuple[Any, Any]:
    """Make both sides comparable: text without letter case, otherwise the same type."""
    if isinstance(value, str) and isinstance(wanted, str):
        return value.casefold(), wanted.casefold()
    if value is None or wanted is None or isinstance(wanted, type(value)):
        return value, wanted
    raise QueryError(f"Operator incompatible with operand types for '{wanted}'")
