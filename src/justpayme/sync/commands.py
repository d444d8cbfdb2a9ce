"""`justpayme sync`, `verify` and `explain`, for people at a terminal and for machines."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from justpayme.api.terminal import (
    add_reading,
    confirm,
    find_bill,
    find_business,
    harmless,
    say,
    sentences,
)
from justpayme.bills.queries import open_books
from justpayme.core import schedule
from justpayme.core.drift import WHY
from justpayme.core.errors import Problem
from justpayme.core.explain import Told, key_dies
from justpayme.core.zones import zone
from justpayme.runtime.command import FAILED, OK, Command, CommandError
from justpayme.runtime.parts import serving_config
from justpayme.sync import explaining, restored, runs
from justpayme.sync.clock import RealClock
from justpayme.sync.explaining import Explained, Travelling
from justpayme.sync.mend import mend, unusually_many
from justpayme.sync.models import IN_USE, Connection, Run
from justpayme.sync.verify import Report, verify
from justpayme.web.format import exact, money

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
        wait = _seconds_to_wait(connection, clock.now())
        too_long = time.monotonic() + wait > deadline
        if run is not None or too_long or not connection.is_live:
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


def _seconds_to_wait(connection: Connection, now: datetime) -> float:
    """How long Xero still makes us wait."""
    until = connection.blocked_until
    if until is None or not schedule.waits(until, now):
        return 0.0
    return (until - now).total_seconds()


def _why_not(connection: Connection) -> str:
    until = connection.blocked_until
    if until is not None and _seconds_to_wait(connection, RealClock().now()):
        return f"Xero allows no more calls before {exact(until, zone(connection.time_zone))}."
    if connection.error_text:
        return connection.error_text
    if not connection.is_live:
        return f"It is not syncing: {connection.get_state_display()}."
    return "Another sync of it did not end in time."


def _verify_arguments(parser: ArgumentParser) -> None:
    _arguments(parser)
    parser.add_argument("--fix", action="store_true", help="heal what differs, then look again")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")
    parser.add_argument(
        "--untie", action="store_true", help="do not ask before untying unusually many bills either"
    )


def check(args: Namespace) -> int:
    """Compare every bill with Xero, and heal what differs if asked to; exit 1 if any still does."""
    code = OK
    for connection in chosen(args.organisation):
        try:
            report = verify(connection, RealClock())
            if not (args.fix and args.json):
                _say_report(report, as_json=args.json)
            if args.fix:
                report = _fix(connection, report, args)
        except Problem as problem:
            print(f"{connection.name}: {problem.sentence} {problem.detail}", file=sys.stderr)  # noqa: T201
            code = FAILED
            continue
        code = FAILED if report.drift else code
    return code


def _fix(connection: Connection, found: Report, args: Namespace) -> Report:
    """Heal what was found, if a person says so; what differs still."""
    run, left = None, found
    if found.drift:
        confirm(f"Heal {found.drift} differences of {connection.name}.", yes=args.yes)
        many = unusually_many(connection, found)
        if many:
            question = f"Untie {many} open bills of {connection.name} that Xero does not have."
            confirm(question, yes=args.untie, option="--untie")
        run, left = mend(connection, found, RealClock(), accepted=many > 0)
    still = {(one.invoice_id, one.field) for one in left.differences}
    healed = sum((one.invoice_id, one.field) not in still for one in found.differences)
    error = (run.error_text if run else _why_not(connection)) if found.drift else ""
    if args.json:
        done = {"healed": healed, "run": run.pk if run else None, "error": error}
        print(json.dumps(left.plain() | done | {"found": found.plain()["differences"]}))  # noqa: T201
    elif found.drift:
        _say_fixed(found, left, healed, error)
    return left


def _say_fixed(found: Report, left: Report, healed: int, error: str) -> None:
    if error:
        print(harmless(f"{found.organisation}: {error}"), file=sys.stderr)  # noqa: T201
    print(harmless(f"{found.organisation}: healed {healed} of {found.drift} differences"))  # noqa: T201
    if left.drift:
        _say_report(left, as_json=False)


def _say_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.plain()))  # noqa: T201
        return
    verdict = "all equal" if not report.drift else f"{report.drift} differences"
    print(harmless(f"{report.organisation}: checked {report.compared} bills, {verdict}"))  # noqa: T201
    for d in report.differences[:SHOWN]:
        values = f"{_short(d.ours)} here, {_short(d.xero)} in Xero"
        print(harmless(f"  {d.number or d.invoice_id} {d.field}: {values}"))  # noqa: T201
        print(f"    {WHY[d.cause]}; --fix {report.fix_of(d)}")  # noqa: T201
    if report.drift > SHOWN:
        print(f"  and {report.drift - SHOWN} more (--json lists them all)")  # noqa: T201


# --- explain -----------------------------------------------------------------------------------

LONGEST_VALUE = 90


def _explain_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("bill", metavar="BILL", help="its number, or its id")
    parser.add_argument("--fresh", action="store_true", help="ask Xero for its invoice now")
    add_reading(parser, "explain INV-0042 --fresh")


def explain(args: Namespace) -> int:
    """Tell what each book says of one bill, which rule applied, and what happens next."""
    if args.fresh:
        serving_config()
    clock = RealClock()
    books = open_books(find_business(args.business), clock.now())
    bill = find_bill(books, args.bill)
    with sentences():
        found = explaining.explain_bill(bill, clock, fresh=args.fresh)
    say(args, explaining.plain(found), "\n".join(_words(found, books.business.time_zone)))
    return OK


def _words(found: Explained, zone_name: str) -> Iterator[str]:
    bill, tz = found.bill, zone(zone_name)

    def when(at: datetime) -> str:
        return exact(at, tz)

    yield (
        f"Bill {bill.number or bill.pk} for {bill.client.name}: {bill.status}, "
        f"{money(bill.outstanding, bill.currency)} outstanding of "
        f"{money(bill.total, bill.currency)}"
    )
    yield from _where(found, when)
    yield from _units(found.told)
    if found.travelling:
        yield "On its way to Xero:"
    for one in found.travelling:
        yield from _way(one, bill.currency, when)
    if found.conflicts:
        yield "Overridden by Xero, ours is kept:"
    for conflict in found.conflicts:
        who = conflict.typed_by.shown_name if conflict.typed_by else "somebody"
        typed = f", typed by {who} at {when(conflict.typed_at)}" if conflict.typed_at else ""
        yield f"  conflict {conflict.pk}, {conflict.unit}{typed}"
        yield f"    ours {_short(conflict.ours)}"
        yield f"    Xero {_short(conflict.theirs)}"


def _where(found: Explained, when: Any) -> Iterator[str]:
    connection, link = found.connection, found.link
    if connection is None:
        yield "It exists only here: no invoice, and none on its way."
        return
    about = f"{connection.name} ({connection.get_direction_display()}, "
    about += f"{connection.get_state_display()})"
    if link is None:
        yield f"It is not an invoice of {about} yet."
        return
    asked = "asked now" if found.fresh else f"as read at {when(link.read_at)}"
    yield f"Xero invoice {link.invoice_id} of {about}, {asked}"
    if connection.is_live and connection.next_due_at:
        yield f"Next sync: {when(connection.next_due_at)}"


def _units(told: tuple[Told, ...]) -> Iterator[str]:
    for one in told:
        if not one.quiet:
            yield f"  {one.unit}: {one.words}"
            for name in one.base:
                values = (one.base[name], one.ours[name], one.xero[name])
                if len({json.dumps(value, sort_keys=True) for value in values}) > 1:
                    base, ours, xero = map(_short, values)
                    yield f"    {name}: base {base} · here {ours} · Xero {xero}"
    quiet = [one.unit for one in told if one.quiet]
    if quiet:
        yield f"  {', '.join(quiet)}: row 1: nobody changed them: they stay"


def _way(one: Travelling, currency: str, when: Any) -> Iterator[str]:
    item, sent = one.item, one.sent
    about = f" of {money(one.amount, currency)}" if one.amount is not None else ""
    units = f" ({', '.join(item.sent_units)})" if item.sent_units else ""
    yield (
        f"  item {item.pk}, {item.get_kind_display()}{about}{units}: "
        f"{item.get_state_display()}, since {when(item.created_at)}"
    )
    if sent is not None:
        yield (
            f"    request {item.shipment_id}: sent {sent.attempts}×, first {when(sent.first_at)}, "
            f"last {when(sent.last_at)}; Xero knows its key until {when(key_dies(sent))}"
        )
    if one.entry is not None:
        yield f"    {one.entry.code}: {one.entry.sentence} {one.entry.remedy}"
    if item.error_text:
        yield f"    Xero said: {_short(item.error_text)}"
    at = f", at {when(one.next.at)}" if one.next.at else ""
    yield f"    next: {one.next.words}{at}"


def _short(value: Any) -> str:
    """A value in one line; what is cut off stands in `--json`."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split()) or "nothing"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… (all with --json)"


# --- restored ----------------------------------------------------------------------------------


def _restored_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")


def tell_restored(options: Namespace) -> int:
    """Say that the database was put back to an earlier time; how many payments are looked for."""
    payments = restored.mark(datetime.now(UTC))
    those = "1 waiting payment is" if payments == 1 else f"{payments} waiting payments are"
    words = f"{those} looked for in Xero before anything of it is sent."
    say(options, {"payments": payments}, words)
    return OK


COMMANDS = [
    Command("sync", "sync connected organisations now", _arguments, sync),
    Command(
        "verify",
        "compare every bill with Xero, field by field, and heal what differs",
        _verify_arguments,
        check,
    ),
    Command(
        "explain",
        "tell why a bill says what it says, and what happens next",
        _explain_arguments,
        explain,
    ),
    Command(
        "restored",
        "say that the database is an older one: look in Xero for what waits, before sending it",
        _restored_arguments,
        tell_restored,
    ),
]
