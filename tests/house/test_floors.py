"""The house rules: which way imports point, and what no file may contain."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase

import pytest
from tests.generated import ROOT
from tests.house.floors import CORE, ROOMS, floor, is_tables
from tests.house.source import STDLIB, edges, functions, imports, nodes, ours, trees

LONGEST_FUNCTION = 60

PRINTERS = ("justpayme.cli", "justpayme.runtime.*", "justpayme.*.commands", "xero_sandbox.*")
MONEY = ("justpayme.core.bill", "justpayme.core.totals", "justpayme.core.entry")
MONEY += ("justpayme.core.merge", "justpayme.xero.translate", "justpayme.xero.wire")
MONEY += ("justpayme.bills.*", "justpayme.sync.apply", "justpayme.sync.bulk")
MONEY += ("justpayme.sync.clients", "justpayme.sync.verify", "justpayme.web.format")
MONEY += ("justpayme.core.settle", "justpayme.core.timeline", "justpayme.core.explain")
MONEY += ("justpayme.xero.outgoing", "justpayme.sync.parcels", "justpayme.sync.intentions")
MONEY += ("justpayme.sync.conflicts", "justpayme.sync.revert", "justpayme.sync.outbox")
MONEY += ("justpayme.integrations.plan", "justpayme.integrations.candidates")
MONEY += ("justpayme.integrations.shown_plan", "justpayme.integrations.shown_lists")
MONEY += ("justpayme.api.present", "justpayme.api.present_plan", "justpayme.api.shapes")

FORMATTED_SQL = {
    ("justpayme.sync.bulk", "table"): "a constant of that module: the name of a table of ours",
    ("justpayme.sync.bulk", "names"): "constants of that module: column names",
    ("justpayme.sync.bulk", "assignments"): "constants of that module: column names",
    ("justpayme.runtime.postgres", "NAME"): "the constant name of the embedded database",
}
"""(module, what is formatted in) -> why no input can reach it."""


def matches(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def test_imports_point_downwards() -> None:
    upwards = [
        f"{module}:{line} (floor {floor(module)}) imports {target} (floor {floor(target)})"
        for module, line, target in edges()
        if module.startswith("justpayme") and target.startswith("justpayme")
        if floor(target) > floor(module)
    ]
    assert upwards == []


def test_the_core_knows_only_the_standard_library() -> None:
    foreign = [
        f"{module}:{line} imports {name}"
        for module in trees()
        if floor_is_core(module)
        for line, name in imports(module)
        if name.partition(".")[0] not in STDLIB and not name.startswith("justpayme.core")
    ]
    assert foreign == []


def floor_is_core(module: str) -> bool:
    return module.startswith("justpayme.core") and floor(module) == CORE


def test_core_and_xero_know_no_framework() -> None:
    found = [
        f"{module}:{line} imports {name}"
        for module in trees()
        if module.startswith(("justpayme.core", "justpayme.xero"))
        for line, name in imports(module)
        if name.partition(".")[0] in {"django", "procrastinate", "ninja", "psycopg", "structlog"}
    ]
    assert found == []


def test_xero_and_tables_never_import_each_other() -> None:
    crossing = [
        f"{module}:{line} imports {target}"
        for module, line, target in edges()
        if (module.startswith("justpayme.xero") and not below_xero(target))
        or (is_tables(module) and target.startswith("justpayme.xero"))
    ]
    assert crossing == []


def below_xero(target: str) -> bool:
    return target == "justpayme" or target.startswith(("justpayme.xero", "justpayme.core"))


def test_the_sandbox_and_the_product_never_import_each_other() -> None:
    """A fake that shares our code shares our mistakes."""
    assert any(module.startswith("xero_sandbox") for module in trees())
    crossing = [
        f"{module}:{line} imports {target}"
        for module, line, target in edges()
        if module.partition(".")[0] != target.partition(".")[0]
    ]
    assert crossing == []


def test_models_import_models_downwards_only() -> None:
    upwards = [
        f"{module}:{line} imports {target}"
        for module, line, target in edges()
        if module.endswith(".models") and target.startswith(ROOMS) and module.startswith(ROOMS)
        if ROOMS.index(room(target)) > ROOMS.index(room(module))
    ]
    assert upwards == []


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_no_signal_carries_our_own_flow() -> None:
    found = [
        f"{module}:{line} imports {name}"
        for module in trees()
        for line, name in imports(module)
        if name.startswith("django.dispatch") or "signals" in name.split(".")
    ]
    assert found == []


def test_no_float_where_money_is() -> None:
    """I-26: neither the type nor a literal."""
    found = [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for module in trees()
        if matches(module, MONEY) and ".migrations" not in module
        for node in nodes(module)
        if (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]
    assert found == []


def formatted_sql(module: str) -> list[tuple[int, str]]:
    """(line, what is formatted in) of every statement that is not a constant."""
    found = []
    for node in nodes(module):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in {"execute", "executemany", "raw", "RawSQL", "copy"} and node.args:
            found += [(node.lineno, part) for part in parts(node.args[0])]
    return found


def parts(statement: ast.expr) -> list[str]:
    """What a statement is made of besides constants."""
    if isinstance(statement, ast.JoinedStr):
        return [ast.unparse(v.value) for v in statement.values if isinstance(v, ast.FormattedValue)]
    if isinstance(statement, (ast.BinOp, ast.Call)):
        return [ast.unparse(statement)]
    return []


def test_no_statement_is_put_together_from_input() -> None:
    """S19: values travel as parameters; the few names put in are constants, with the reason."""
    found = {(m, part) for m in trees() for _, part in formatted_sql(m)}
    mine = {pair for pair in found if pair[0].startswith("justpayme")}
    assert mine - FORMATTED_SQL.keys() == set()
    assert FORMATTED_SQL.keys() - mine == set(), "no longer needed"


def test_nothing_prints_but_commands() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module in trees()
        if not matches(module, PRINTERS)
        for node in nodes(module)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert found == []


def test_functions_are_short() -> None:
    long = [
        f"{module}.{node.name}: {length} lines"
        for module in trees()
        for node in functions(module)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


def public(module: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top = [n for n in trees()[module].body if isinstance(n, kinds)]
    inner = [n for c in top if isinstance(c, ast.ClassDef) for n in c.body if isinstance(n, kinds)]
    return [n for n in (*top, *inner) if not n.name.startswith("_")]


def test_everything_public_in_core_and_xero_says_what_it_means() -> None:
    silent = [
        f"{module}.{node.name}"
        for module in trees()
        if module.startswith(("justpayme.core", "justpayme.xero"))
        for node in public(module)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        module
        for module, tree in trees().items()
        if tree.body and not ast.get_docstring(tree)
        if ".migrations" not in module and not module.endswith(".apps")
    ]
    assert silent == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_pinned_dependencies_have_hashes_and_name_no_mirror(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9].*==", line)]
    assert len(pins) > 10
    assert all(line.endswith("\\") for line in pins), "a pin without a hash"
    assert text.count("--hash=sha256:") >= len(pins)
    assert not re.search(r"index-url|find-links|trusted-host|https?://|@ file:", text)


def test_the_rules_see_our_imports() -> None:
    """A parser that found nothing would pass everything."""
    found = set(edges())
    assert len(found) > 150
    assert ours("justpayme.core.bill.BillFields") == "justpayme.core.bill"
    assert any(m == "justpayme.sync.pull" and t == "justpayme.xero.wire" for m, _, t in found)
