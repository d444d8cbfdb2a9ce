"""`justpayme sync` and `justpayme verify`, for people at a terminal and for machines."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from uuid import UUID

from django.db.models import Q

from justpayme.core.errors import Problem
from justpayme.runtime.command import FAILED, OK, Command, CommandError
from justpayme.sync import runs
from justpayme.sync.clock import RealClock
from justpayme.sync.models import IN_USE, Connection, Run
from justpayme.sync.verify import Report, verify

PATIENCE_SECONDS = 600
"""How long `sync` waits for a run that is under way already."""

SHOWN = 20
"""Differences that `verify` prints in words; --json has them all."""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--organisation", metavar="NAME|ID", help="only this organisation")
    parser.add_argument("--json", action="store_true", help="one JSON line per organisation")


def chosen(text: str | None) -> list[Connection]:
    """The connected organisations meant by `text`: a name, our id or Xero's tenant id."""
    everything = Connection.objects.filter(state__in=IN_USE).order_by("pk")
    if not text:
        return list(everything) or _none_connected()
    wanted = Q(name__iexact=text)
    if text.isascii() and text.isdigit():
        wanted |= Q(pk=int(text[:18]))
    with contextlib.suppress(ValueError):
        wanted |= Q(tenant_id=UUID(text))
    found = list(everything.filter(wanted))
    if not found:
        names = ", ".join(sorted({c.name for c in everything})) or "none"
        raise CommandError(f"No connected organisation is called {text!r}. Connected: {names}.")
    return found


def _none_connected() -> list[Connection]:
    """Say why nothing follows: silence would look like a success."""
    print(  # noqa: T201
        "No Xero organisation is connected here. Every JUSTPAYME_HOME has its own database.",
        file=sys.stderr,
    )
    return []


def sync(args: Namespace) -> int:
    """Sync now, here, and wait for the end."""
    code = OK
    for connection in chosen(args.organisation):
        run = _run(connection)
        failed = run is None or run.state != Run.State.DONE
        code = FAILED if failed else code
        _say_run(connection, run, as_json=args.json)
    return code


def _run(connection: Connection) -> Run | None:
    """One run; waits for one that is under way, so that what came before the call is read."""
    clock = RealClock()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        run = runs.run_sync(connection.pk, cause=Run.Cause.COMMAND, clock=clock)
        connection.refresh_from_db()
        blocked = connection.blocked_until is not None and connection.blocked_until > clock.now()
        if run is not None or blocked or not connection.is_live:
            return run
        clock.sleep(0.5)
    return None


def _say_run(connection: Connection, run: Run | None, *, as_json: bool) -> None:
    names = ("state", "kind", "read", "created", "changed", "unchanged", "calls", "bytes")
    facts = {name: getattr(run, name) if run else None for name in names}
    error = run.error_text if run else _why_not(connection)
    if as_json:
        print(json.dumps({"organisation": connection.name, **facts, "error": error}))  # noqa: T201
    elif run is None or error:
        print(f"{connection.name}: {error}", file=sys.stderr)  # noqa: T201
    else:
        print(  # noqa: T201
            f"{connection.name}: {run.read} read, {run.created} new, {run.changed} changed, "
            f"{run.unchanged} unchanged, {run.calls} calls"
        )


def _why_not(connection: Connection) -> str:
    if connection.error_text:
        return connection.error_text
    if not connection.is_live:
        return f"It is not syncing: {connection.get_state_display()}."
    return "Another sync of it did not end in time."


def check(args: Namespace) -> int:
    """Compare every bill with Xero; exit 1 on any difference."""
    code = OK
    for connection in chosen(args.organisation):
        try:
            report = verify(connection, RealClock())
        except Problem as problem:
            print(f"{connection.name}: {problem.sentence} {problem.detail}", file=sys.stderr)  # noqa: T201
            code = FAILED
            continue
        _say_report(report, as_json=args.json)
        code = FAILED if report.drift else code
    return code


def _say_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**asdict(report), "drift": report.drift}))  # noqa: T201
        return
    verdict = "all equal" if not report.drift else f"{report.drift} differences"
    print(f"{report.organisation}: checked {report.compared} bills, {verdict}")  # noqa: T201
    for d in report.differences[:SHOWN]:
        print(f"  {d.number or d.invoice_id} {d.field}: {d.ours!r} here, {d.xero!r} in Xero")  # noqa: T201
    if report.drift > SHOWN:
        print(f"  and {report.drift - SHOWN} more (--json lists them all)")  # noqa: T201


COMMANDS = [
    Command("sync", "sync connected organisations now", _arguments, sync),
    Command("verify", "compare every bill with Xero, field by field", _arguments, check),
]
