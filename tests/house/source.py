"""Our own source, parsed once: which file imports what."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.generated import ROOT

SRC = ROOT / "src"
STDLIB = sys.stdlib_module_names


@cache
def trees() -> dict[str, ast.Module]:
    """Module name -> syntax tree, for every file under src/."""
    files = sorted(SRC.rglob("*.py"))
    return {_name(f): ast.parse(f.read_text(encoding="utf-8"), str(f)) for f in files}


def _name(file: Path) -> str:
    return ".".join(file.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


@cache
def nodes(module: str) -> tuple[ast.AST, ...]:
    """Everything in a module's tree."""
    return tuple(ast.walk(trees()[module]))


@cache
def imports(module: str) -> tuple[tuple[int, str], ...]:
    """(line, module or module.name) of every import, also those inside functions."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[tuple[int, str]]:
    for node in nodes(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = module if _is_package(module) else module.rpartition(".")[0]
            for _ in range(node.level - 1):
                start = start.rpartition(".")[0]
            base = ".".join(filter(None, (start if node.level else "", node.module)))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def ours(imported: str) -> str | None:
    """The module of ours that this import names, if it is one."""
    while imported:
        if imported in trees():
            return imported
        imported = imported.rpartition(".")[0]
    return None


@cache
def edges() -> tuple[tuple[str, int, str], ...]:
    """(importing module, line, imported module) among our own files."""
    return tuple(_edges())


def _edges() -> Iterator[tuple[str, int, str]]:
    for module in trees():
        for line, imported in imports(module):
            target = ours(imported)
            if target and target != module:
                yield module, line, target


def _is_package(module: str) -> bool:
    return (SRC.joinpath(*module.split(".")) / "__init__.py").exists()


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module."""
    for node in nodes(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node
