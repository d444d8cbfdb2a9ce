"""What the commands share that act for a person: who acts, which bill is meant, how it is told.

A command does what a button does, through the same verbs, as a member of a business (`--as`).
"""

from __future__ import annotations

import json
import sys
import unicodedata
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db.models import QuerySet
from ninja import Schema
from pydantic import ValidationError as ShapeError

from justpayme.accounts.models import Business, Membership
from justpayme.api.body import check_text, parse
from justpayme.api.errors import Refusal, sentence_of, translated
from justpayme.bills.models import Bill
from justpayme.bills.queries import Books
from justpayme.core.errors import Problem
from justpayme.runtime.command import FAILED, USAGE, CommandError
from justpayme.sync.models import Connection
from justpayme.web.format import money

HERE = "command line"
"""Where the security log says that it happened."""
Body = TypeVar("Body", bound=Schema)
FEW = 5
NOT_THERE = "There is nothing of that id in this business."
BIGGEST_ID = 2**63 - 1


# --- arguments ---------------------------------------------------------------------------------


def add_reading(parser: ArgumentParser, example: str) -> None:
    """Arguments of a command that only reads."""
    parser.add_argument("--business", help="name or id; needed if there are several")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = f"Example: justpayme {example}"


def add_acting(parser: ArgumentParser, example: str) -> None:
    """Arguments of a command that acts for a person."""
    parser.add_argument(
        "--as",
        dest="actor",
        metavar="EMAIL",
        required=True,
        help="the member who does this; her role decides whether she may",
    )
    add_reading(parser, example)


def add_yes(parser: ArgumentParser) -> None:
    """The argument of a command that can't be undone."""
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")


# --- who and what ------------------------------------------------------------------------------


def find_business(wanted: str | None) -> Business:
    """The business of this name or id; without one, the only business there is."""
    found = Business.objects.order_by("id")
    if wanted is not None:
        by_id = found.filter(pk=number) if (number := as_id(wanted)) else found.none()
        found = by_id or found.filter(name=wanted)
    matches = list(found[: FEW + 1])
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise CommandError(
            f"There is no business {wanted!r}."
            if wanted
            else "There is no business yet. Sign up first, or run `justpayme user create`."
        )
    told = ", ".join(f"{business.pk} ({business.name})" for business in matches[:FEW])
    more = " and more" if matches[FEW:] else ""
    raise CommandError(f"Several businesses: {told}{more}. Say which with --business and its id.")


def find_member(business: Business, email: str) -> Membership:
    """The member of this business with this address."""
    members = Membership.objects.select_related("user", "business")
    found = members.filter(
        business=business, user__email=email.strip().lower(), user__is_active=True
    ).first()
    if found is None:
        raise CommandError(f"{email} is not a member of {business.name}.")
    return found


def member_of(options: Namespace) -> Membership:
    """Whoever `--as` names, in the business that is meant."""
    return find_member(find_business(options.business), options.actor)


def find_bill(books: Books, text: str) -> Bill:
    """The bill of this number, or of this id. Several alike: the sentence says which there are."""
    rows = books.bills().select_related("client").order_by("id")
    found = list(rows.filter(number=text)[: FEW + 1]) if text else []
    if not found and (number := as_id(text)):
        found = list(rows.filter(pk=number))
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"Several bills have the number {text!r}. Give an id: {_which(found)}.")
    raise CommandError(f"{books.business.name} has no bill {text!r}.")


def _which(found: list[Bill]) -> str:
    told = [
        f"{b.pk} ({b.client.name}, {b.status}, {money(b.total, b.currency)})" for b in found[:FEW]
    ]
    return ", ".join(told) + (" and others" if len(found) > FEW else "")


def find_organisation(business: Business, text: str | None) -> Connection:
    """The organisation of this name or id; without one, the only one in use or ever chosen."""
    offered = Connection.State.OFFERED
    rows = Connection.objects.filter(business=business).exclude(state=offered).order_by("id")
    found = _organisations(rows, text)
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{row.name} ({row.pk})" for row in rows) or "none"
    if not found:
        wanted = f" called {text!r}" if text else ""
        raise CommandError(f"{business.name} has no organisation{wanted}. There are: {names}.")
    raise CommandError(f"Say which organisation, by its id: {names}.")


def _organisations(rows: QuerySet[Connection], text: str | None) -> list[Connection]:
    if text is None:
        return list(rows.filter(state__in=("live", "lost", "halted"))) or list(rows)
    by_id = list(rows.filter(pk=number)) if (number := as_id(text)) else []
    return by_id or list(rows.filter(name__iexact=text))


def as_id(text: str) -> int | None:
    """The id that was typed; None for anything else."""
    plain = text.isascii() and text.isdigit() and len(text) < 20
    return int(text) if plain and 0 < int(text) <= BIGGEST_ID else None


# --- doing it and telling it -------------------------------------------------------------------


def checked(shape: type[Body], given: Mapping[str, Any]) -> Body:
    """What was typed as a body of the API, by its rules; a CommandError names what is wrong."""
    try:
        check_text(dict(given))
        return shape(**given)
    except Refusal as refusal:
        raise _command_error(refusal) from refusal
    except ShapeError as error:
        lines = [
            f"{'.'.join(map(str, item['loc']))}: {sentence_of(item)}" for item in error.errors()
        ]
        raise CommandError("\n  ".join(lines), USAGE) from error


def read_body(path: str) -> dict[str, Any]:
    """A file with a JSON object, as the API takes it; "-" is standard input."""
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        found = parse(raw)
    except OSError as error:
        raise CommandError(f"Cannot read {path}: {error.strerror}.", USAGE) from error
    except Refusal as refusal:
        raise CommandError(f"{path}: {_command_error(refusal)}", USAGE) from refusal
    if not isinstance(found, dict):
        raise CommandError(f"{path}: give one JSON object.", USAGE)
    return found


@contextmanager
def sentences() -> Iterator[None]:
    """Every refusal of a verb as a sentence on stderr and exit code 1; bad values are code 2."""
    try:
        yield
    except Problem as problem:
        raise CommandError(_told(problem)) from problem
    except (ObjectDoesNotExist, PermissionDenied, ValidationError) as error:
        raise _command_error(error) from error
    except Exception as error:
        if translated(error) is None:
            raise
        raise _command_error(error) from error


def _command_error(error: Exception) -> CommandError:
    refusal = translated(error) or Refusal(409)
    fields = [f"{name}: {text}" for name, text in refusal.fields.items()]
    code = USAGE if refusal.status == 422 else FAILED
    missing = isinstance(error, ObjectDoesNotExist)
    lines = fields or [NOT_THERE if missing else refusal.message or str(error)]
    if fields and refusal.message:
        lines = [refusal.message, *fields]
    return CommandError("\n  ".join(lines), code)


def _told(problem: Problem) -> str:
    entry = problem.entry
    return " ".join(filter(None, (entry.sentence, problem.detail, entry.means, entry.remedy)))


def confirm(question: str, *, yes: bool, option: str = "--yes") -> None:
    """Ask before what can't be undone. Without a terminal only the `option` is an answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{harmless(question)} Say {option} to do it.", USAGE)
    sys.stderr.write(f"{harmless(question)} Type yes to do it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise CommandError("Nothing was done.")


def say(options: Namespace, facts: Mapping[str, Any] | Schema, words: str) -> None:
    """The result on stdout: one line of JSON, or words that can't steer the terminal."""
    plain = facts.model_dump() if isinstance(facts, Schema) else facts
    text = json.dumps(plain, ensure_ascii=False) if options.json else harmless(words)
    sys.stdout.write(text + "\n")


def harmless(words: str) -> str:
    """Without characters that move the cursor, change colours or turn the writing round."""
    return "".join(_VISIBLE if _steers(c) else c for c in words)


_VISIBLE = "\ufffd"


def _steers(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in ("Cc", "Cf")
