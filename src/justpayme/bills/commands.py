"""`justpayme history at` and `justpayme history check`: a bill's past, and whether it is whole."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Any

from django.utils import timezone

from justpayme.api.terminal import find_bill, find_business
from justpayme.bills import asof
from justpayme.bills.asof import AsOf, NotYet
from justpayme.bills.queries import Books, open_books
from justpayme.core.bill import to_plain
from justpayme.runtime.command import FAILED, OK, USAGE, Command, CommandError
from justpayme.web.format import exact, long_day, money, quantity
from justpayme.web.snapshot import snapshot

AT_ONCE = 500
SHOWN = 20
"""Gaps that `check` prints in words; --json has them all."""


def _business(parser: ArgumentParser) -> None:
    parser.add_argument("--business", help="name or id; needed if there are several")
    parser.add_argument("--json", action="store_true", help="print one JSON line")


def _at_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("bill", metavar="BILL", help="its number, or its id")
    parser.add_argument(
        "moment", metavar="MOMENT", help="such as 2026-11-22T14:30, where its organisation is"
    )
    _business(parser)


def _at(options: Namespace) -> int:
    books = open_books(find_business(options.business), timezone.now())
    bill = find_bill(books, options.bill)
    tz = books.zone_for(getattr(bill, "link", None) and bill.link.connection_id)
    try:
        moment = asof.read_moment(options.moment, tz)
        with snapshot():
            past = asof.bill_at(books, bill.pk, moment)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    except NotYet as error:
        begins = f" Its history begins at {_time(error.first)}." if error.first else ""
        raise CommandError(f"This bill was not here then.{begins}") from error
    if options.json:
        _write_json(past)
    else:
        _write_words(past, tz)
    return OK


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _write_json(past: AsOf) -> None:
    following = past.following
    plain: dict[str, Any] = to_plain(past.fields)
    plain["client"] = past.bill.client.mark()
    facts = {
        "bill": past.bill.pk,
        "since": _time(past.entry["at"]),
        "until": _time(following["at"]) if following else None,
        "entry": past.entry["id"],
        "doubtful": past.doubtful,
    }
    sys.stdout.write(json.dumps(facts | plain, ensure_ascii=False) + "\n")


def _write_words(past: AsOf, tz: tzinfo) -> None:
    bill, following = past.bill, past.following
    until = f"until {exact(following['at'], tz)}" if following else "and still today"
    days = [("issued", bill.issued_on), ("due", bill.due_on)]
    lines = [
        f"Bill {bill.number or bill.pk} for {bill.client.name}: {bill.status}",
        f"From {exact(past.entry['at'], tz)} {until}",
        *(f"  {name} {long_day(day)}" for name, day in days if day),
        *(f"  {_line(line, bill.currency)}" for line in past.lines),
        f"  total {money(bill.total, bill.currency)}, paid {money(bill.paid, bill.currency)}, "
        f"credited {money(bill.credited, bill.currency)}, "
        f"outstanding {money(bill.outstanding, bill.currency)}",
    ]
    if past.doubtful:
        lines.append(f"Changed without an entry, so uncertain: {', '.join(past.doubtful)}")
    sys.stdout.write("\n".join(lines) + "\n")


def _line(line: Any, currency: str) -> str:
    count = "" if line.quantity is None else f"{quantity(line.quantity)} × "
    return f"{count}{line.description or 'Line'}, {money(line.line_amount, currency)}"


def _check(options: Namespace) -> int:
    """Go through every bill's history; exit 1 if one of them does not tell everything."""
    books = open_books(find_business(options.business), timezone.now())
    found: list[dict[str, Any]] = []
    bills = 0
    every = books.bills().order_by("id").values_list("pk", flat=True).iterator(AT_ONCE)
    while some := list(islice(every, AT_ONCE)):
        bills += len(some)
        with snapshot():
            gaps = asof.gaps_among(books, some)
        found += [{"bill": pk, "entry": entry, "field": name} for pk, entry, name in gaps]
    _say(options, books, bills, found)
    return FAILED if found else OK


def _say(options: Namespace, books: Books, bills: int, found: list[dict[str, Any]]) -> None:
    if options.json:
        facts = {"business": books.business.name, "bills": bills, "gaps": found}
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
        return
    verdict = f"{len(found):,} gaps" if found else "every change is told"
    sys.stdout.write(f"{books.business.name}: {bills:,} bills, {verdict}\n")
    for gap in found[:SHOWN]:
        sys.stdout.write(
            f"  bill {gap['bill']}: {gap['field']} changed after entry {gap['entry']} "
            "without an entry\n"
        )
    if len(found) > SHOWN:
        sys.stdout.write(f"  and {len(found) - SHOWN:,} more (--json lists them all)\n")


COMMANDS = (
    Command("history at", "show a bill as it was at a moment", _at_arguments, _at),
    Command("history check", "find changes that no history tells", _business, _check),
)
