"""`justpayme organisation`, `outbox`, `conflicts` and `contact`: the sync's settings and lists."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.utils import timezone

from justpayme.accounts.models import Membership
from justpayme.api import held_up, present, present_plan, shapes
from justpayme.api.terminal import (
    HERE,
    add_acting,
    add_reading,
    add_yes,
    as_id,
    checked,
    confirm,
    find_business,
    find_organisation,
    member_of,
    say,
    sentences,
)
from justpayme.bills import actions as bill_actions
from justpayme.bills.actions import Act
from justpayme.bills.bill_commands import item_words
from justpayme.integrations import defaults, direction, queries
from justpayme.runtime.command import FAILED, OK, USAGE, Command, CommandError
from justpayme.runtime.parts import serving_config
from justpayme.sync.clock import RealClock
from justpayme.sync.models import Connection

AT_MOST = 200
"""Rows of a list; --before goes on."""


# --- arguments ---------------------------------------------------------------------------------


def _organisation(parser: ArgumentParser) -> None:
    parser.add_argument(
        "organisation",
        metavar="ORGANISATION",
        nargs="?",
        help="name or id; needed if there are several",
    )


def _ticks(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--choose", nargs="+", default=[], metavar="KEY", help="items to tick, by their keys"
    )
    parser.add_argument("--everything", action="store_true", help="tick all that can be ticked")


def _preview_arguments(parser: ArgumentParser) -> None:
    _organisation(parser)
    _ticks(parser)
    add_acting(parser, 'organisation preview "Acme Ltd" --everything --as ann@example.com')


def _direction_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("direction", choices=["two", "one"], help="two: bidirectional")
    _organisation(parser)
    _ticks(parser)
    parser.add_argument("--digest", default="", help="of the preview; needed for two")
    add_yes(parser)
    add_acting(
        parser, "organisation direction two --everything --digest 3f9a… --as ann@example.com"
    )


def _defaults_arguments(parser: ArgumentParser) -> None:
    _organisation(parser)
    parser.add_argument("--revenue-account", metavar="CODE", help="where sales are booked")
    parser.add_argument("--tax-type", help="of lines that name none")
    parser.add_argument("--branding-theme", metavar="ID", help="empty for Xero's default")
    parser.add_argument("--create-as", choices=["AUTHORISED", "DRAFT"])
    parser.add_argument("--write-back", choices=["yes", "no"], help="payments go to Xero")
    parser.add_argument(
        "--receiver",
        action="append",
        nargs=2,
        default=[],
        metavar=("CURRENCY", "ACCOUNT"),
        help="account id that receives payments in this currency; empty for none",
    )
    add_acting(parser, "organisation defaults --as ann@example.com --revenue-account 200")


def _acting_on_organisation(example: str) -> Callable[[ArgumentParser], None]:
    def add(parser: ArgumentParser) -> None:
        _organisation(parser)
        add_acting(parser, example)

    return add


def _list(parser: ArgumentParser) -> None:
    parser.add_argument("--organisation", metavar="NAME|ID", help="only of this one")
    parser.add_argument("--before", metavar="ID", help="go on below this row")


def _outbox_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=list(queries.ITEM_FILTERS), default="all")
    _list(parser)
    add_reading(parser, "outbox list --state refused")


def _items_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("items", metavar="ITEM", nargs="+", help="ids; see `outbox list`")
    add_acting(parser, "outbox retry 17 18 --as ann@example.com")


def _conflicts_arguments(parser: ArgumentParser) -> None:
    _list(parser)
    add_reading(parser, "conflicts list --json")


def _resolve_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("choice", choices=["mine", "xero"], help="which value counts")
    parser.add_argument("conflicts", metavar="CONFLICT", nargs="*", help="ids")
    parser.add_argument("--all", action="store_true", help="every one that is undecided")
    add_acting(parser, "conflicts resolve mine 5 6 --as ann@example.com")


def _contact_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("item", metavar="ITEM", help="id of the parked contact; see `outbox list`")
    parser.add_argument("contact", metavar="CONTACT|new", help="one of those proposed, or new")
    parser.add_argument("--name", default="", help="what a new contact is called in Xero")
    add_acting(parser, "contact decide 17 new --as ann@example.com")


# --- an organisation ---------------------------------------------------------------------------


def _preview(options: Namespace) -> int:
    member, row = _found(options)
    with sentences():
        plan = present_plan.planned(
            member, row, frozenset(options.choose), everything=options.everything
        )
    told = present_plan.plan_out(plan)
    say(options, told, "\n".join(_plan_words(told)))
    return OK


def _plan_words(plan: shapes.PlanOut) -> Iterator[str]:
    yield (
        f"{plan.organisation}: {plan.creations:,} new invoices{_money(plan.created_money)}, "
        f"{plan.updates:,} changed, {plan.payments:,} payments{_money(plan.paid_money)}, "
        f"{plan.contacts:,} new contacts"
    )
    for item in plan.items:
        tick = "x" if item.chosen else " "
        about = f"{item.number or 'no number'}, {item.client}, {item.amount} {item.currency}"
        yield f"  [{tick}] {item.key} {item.kind}: {about}"
        if item.unit:
            yield f"        {item.unit}: Xero {item.xero} becomes {item.ours}"
        for obstacle in item.obstacles:
            word = "stays here" if obstacle.blocks else "asks first"
            yield f"        {word}: {obstacle.sentence}"
    yield f"digest {plan.digest}"


def _money(sums: dict[str, str]) -> str:
    return f" ({', '.join(f'{amount} {code}' for code, amount in sums.items())})" if sums else ""


def _direction(options: Namespace) -> int:
    member, row = _found(options)
    with sentences():
        told = _one_way(options, member, row) if options.direction == "one" else None
        if told is None:
            told = _two_ways(options, member, row)
    words = f"{row.name} is {'bi' if told.direction == 'two' else 'one-'}directional now."
    words += f" {told.sent:,} changes are on their way to Xero." if told.sent else ""
    words += f" {told.set_aside:,} changes that waited were set aside." if told.set_aside else ""
    words += f" {told.under_way:,} had left and may still arrive." if told.under_way else ""
    say(options, told, words)
    return OK


def _two_ways(options: Namespace, member: Membership, row: Connection) -> shapes.DirectionOut:
    if not options.digest:
        raise CommandError("Preview first, then give its --digest.", USAGE)
    keys = present_plan.keys_of(
        member, row, frozenset(options.choose), everything=options.everything
    )
    try:
        plan = direction.go_two_way(
            by=member,
            connection=row,
            chosen=keys,
            digest=options.digest,
            address=HERE,
            now=timezone.now(),
        )
    except direction.Shifted as shifted:
        raise CommandError(present_plan.SHIFTED, FAILED) from shifted
    return shapes.DirectionOut(direction="two", sent=len(plan.going), set_aside=0, under_way=0)


def _one_way(options: Namespace, member: Membership, row: Connection) -> shapes.DirectionOut:
    waiting = direction.leaving(row).waiting
    question = f"Stop sending to {row.name}? {waiting:,} changes that wait are set aside."
    confirm(question, yes=options.yes)
    aside = direction.go_one_way(by=member, connection=row, address=HERE, now=timezone.now())
    return shapes.DirectionOut(
        direction="one", sent=0, set_aside=aside.waiting, under_way=aside.under_way
    )


def _defaults(options: Namespace) -> int:
    member, row = _found(options)
    told = present_plan.defaults_out(row)
    typed = _typed_defaults(options)
    if typed:
        names = ("revenue_account", "tax_type", "branding_theme", "create_as", "write_back")
        before = {name: getattr(told, name) for name in names}
        receivers = told.receivers | typed.pop("receivers", {})
        body = checked(shapes.DefaultsIn, before | typed | {"receivers": receivers})
        chosen = defaults.Defaults(**body.model_dump())
        with sentences():
            row = defaults.save_defaults(
                by=member, connection=row, chosen=chosen, address=HERE, now=timezone.now()
            )
        told = present_plan.defaults_out(row)
    say(options, told, "\n".join(_defaults_words(told)))
    return OK


def _typed_defaults(options: Namespace) -> dict[str, Any]:
    names = ("revenue_account", "tax_type", "branding_theme", "create_as")
    typed = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    if options.write_back is not None:
        typed["write_back"] = options.write_back == "yes"
    if options.receiver:
        typed["receivers"] = dict(options.receiver)
    return typed


def _defaults_words(told: shapes.DefaultsOut) -> Iterator[str]:
    yield f"account for sales: {_label(told.accounts, told.revenue_account)}"
    yield f"tax type: {_label(told.tax_types, told.tax_type)}"
    yield f"branding theme: {_label(told.branding_themes, told.branding_theme)}"
    yield f"new invoices: {told.create_as}"
    yield f"payments go to Xero: {'yes' if told.write_back else 'no'}"
    for currency, account in told.receivers.items():
        options = told.receiving_accounts.get(currency, [])
        yield f"payments in {currency}: {_label(options, account)}"
    yield from (f"wrong: {name}: {sentence}" for name, sentence in told.trouble.items())
    for title, found in (("accounts", told.accounts), ("tax types", told.tax_types)):
        yield f"{title} to choose: {', '.join(f'{o.value} ({o.label})' for o in found) or 'none'}"


def _label(options: Iterable[shapes.OptionOut], value: str) -> str:
    found = next((option.label for option in options if option.value == value), value)
    return found or "none chosen"


def _refresh(options: Namespace) -> int:
    serving_config()
    member, row = _found(options)
    with sentences():
        defaults.refresh_lists(by=member, connection=row, clock=RealClock())
    told = present_plan.defaults_out(row)
    say(options, told, "\n".join(_defaults_words(told)))
    return OK


def _retry_all(options: Namespace) -> int:
    member, row = _found(options)
    with sentences():
        ids = held_up.retriable(member, row)
        count = bill_actions.item_retry(act=Act(member, timezone.now()), item_ids=ids)
    return _counted(options, count, "will be tried again.")


# --- lists -------------------------------------------------------------------------------------


def _list_outbox(options: Namespace) -> int:
    business = find_business(options.business)
    row = find_organisation(business, options.organisation) if options.organisation else None
    rows = queries.items(business, options.state, row.pk if row else None)
    rows = rows.select_related(*present.ITEM_RELATED)
    if before := as_id(options.before or ""):
        rows = rows.filter(pk__lt=before)
    items = [present.item_out(one) for one in rows[:AT_MOST]]
    words = "\n".join(item_words(items)) or "Nothing waits, and nothing was refused."
    say(options, {"items": [item.model_dump() for item in items]}, words)
    return OK


def _retry_items(options: Namespace) -> int:
    member = member_of(options)
    with sentences():
        count = bill_actions.item_retry(
            act=Act(member, timezone.now()), item_ids=_ids(options.items)
        )
    return _counted(options, count, "will be tried again.")


def _list_conflicts(options: Namespace) -> int:
    business = find_business(options.business)
    row = find_organisation(business, options.organisation) if options.organisation else None
    rows = queries.open_conflicts(business, row.pk if row else None)
    rows = rows.select_related(*present.CONFLICT_RELATED)
    if before := as_id(options.before or ""):
        rows = rows.filter(pk__lt=before)
    found = [present.conflict_out(one) for one in rows[:AT_MOST]]
    words = [
        f"  conflict {one.id}, bill {one.number or one.bill_id}, {one.unit}: "
        f"ours {one.ours}, Xero {one.xero}"
        for one in found
    ]
    say(
        options,
        {"items": [one.model_dump() for one in found]},
        "\n".join(words) or "Xero has overridden nothing that is undecided.",
    )
    return OK


def _resolve(options: Namespace) -> int:
    member = member_of(options)
    ids = _ids(options.conflicts)
    if options.all:
        ids = list(queries.open_conflicts(member.business).values_list("pk", flat=True))
    if not ids:
        raise CommandError("Name conflicts by their ids, or say --all; see `conflicts list`.")
    act = Act(member, timezone.now())
    with sentences():
        bill_actions.conflict_resolve(act=act, conflict_ids=ids, choice=options.choice)
    done = "go to Xero." if options.choice == "mine" else "stay as Xero has them."
    return _counted(options, len(set(ids)), done)


def _decide(options: Namespace) -> int:
    member = member_of(options)
    (item,) = _ids([options.item])
    contact = None if options.contact == "new" else options.contact
    with sentences():
        bill_actions.contact_decide(
            act=Act(member, timezone.now()), item_id=item, contact_id=contact, name=options.name
        )
    return _counted(options, 1, "decided; what waited for it goes on.")


# --- what they share ---------------------------------------------------------------------------


def _found(options: Namespace) -> tuple[Membership, Connection]:
    member = member_of(options)
    return member, find_organisation(member.business, options.organisation)


def _ids(texts: Iterable[str]) -> list[int]:
    found = []
    for text in texts:
        number = as_id(text)
        if number is None:
            raise CommandError(f"{text!r} is not an id.", USAGE)
        found.append(number)
    return found


def _counted(options: Namespace, count: int, done: str) -> int:
    say(options, {"count": count}, f"{count:,} {done}")
    return OK


COMMANDS = (
    Command(
        "organisation preview", "what going bidirectional would do", _preview_arguments, _preview
    ),
    Command(
        "organisation direction", "go bidirectional, or back", _direction_arguments, _direction
    ),
    Command(
        "organisation defaults",
        "show or set what new invoices need",
        _defaults_arguments,
        _defaults,
    ),
    Command(
        "organisation refresh-lists",
        "ask Xero for accounts, tax rates and themes",
        _acting_on_organisation("organisation refresh-lists --as ann@example.com"),
        _refresh,
    ),
    Command(
        "organisation retry",
        "try again all that was refused",
        _acting_on_organisation("organisation retry --as ann@example.com"),
        _retry_all,
    ),
    Command("outbox list", "what has not reached Xero", _outbox_arguments, _list_outbox),
    Command("outbox retry", "try some of it again", _items_arguments, _retry_items),
    Command("conflicts list", "what Xero overrode", _conflicts_arguments, _list_conflicts),
    Command("conflicts resolve", "decide what counts, for many", _resolve_arguments, _resolve),
    Command("contact decide", "say which contact a client is", _contact_arguments, _decide),
)
