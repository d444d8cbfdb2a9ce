"""A plan for going bidirectional, and an organisation's defaults, as the API and commands tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from justpayme.accounts.models import Membership
from justpayme.api import shapes
from justpayme.api.present import unmarked
from justpayme.integrations import defaults, direction
from justpayme.integrations.plan import Item, Kind, Plan, tickable, ticked
from justpayme.sync.models import Connection

SHIFTED = (
    "Something changed since this was shown, and nothing was sent. Preview again, and confirm "
    "the new plan if it is right."
)


def planned(
    by: Membership, connection: Connection, chosen: frozenset[str], *, everything: bool
) -> Plan:
    """The plan for what is ticked, or with everything ticked that can go."""
    plan = direction.preview(by=by, connection=connection, chosen=chosen)
    if not everything:
        return plan
    return direction.preview(by=by, connection=connection, chosen=tickable(plan))


def keys_of(
    by: Membership, connection: Connection, chosen: frozenset[str], *, everything: bool
) -> frozenset[str]:
    """What is ticked then."""
    if not everything:
        return chosen
    return ticked(planned(by, connection, chosen, everything=True))


def plan_out(plan: Plan) -> shapes.PlanOut:
    """Every candidate, ticked or not, and what the ticked ones come to."""
    updated = {item.bill_id for item in plan.going if item.kind is Kind.UPDATE}
    return shapes.PlanOut(
        digest=plan.digest,
        organisation=plan.terms.organisation,
        create_as=plan.terms.create_as,
        write_back=plan.terms.write_back,
        creations=plan.count(Kind.CREATE),
        updates=len(updated),
        payments=plan.count(Kind.PAY),
        contacts=plan.count(Kind.CONTACT),
        created_money=_sums(plan.money(Kind.CREATE)),
        paid_money=_sums(plan.money(Kind.PAY)),
        items=[_item(item) for item in plan.items],
    )


def _sums(sums: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: shapes.money(amount, currency) for currency, amount in sums.items()}


def _item(item: Item) -> shapes.PlanItem:
    source = item.source
    return shapes.PlanItem(
        key=item.key,
        kind=item.kind.value,
        bill_id=item.bill_id,
        number=item.number,
        client=item.client,
        amount=shapes.money(item.amount, item.currency),
        currency=item.currency,
        on=shapes.day(item.on),
        chosen=item.chosen,
        note=item.note if item.kind is Kind.PAY else "",
        unit=source.unit if source else None,
        ours=unmarked(dict(source.ours)) if source else None,
        xero=unmarked(dict(source.theirs)) if source else None,
        obstacles=[
            shapes.ObstacleOut(code=o.code, sentence=o.sentence, blocks=o.blocks)
            for o in item.obstacles
        ],
    )


def defaults_out(connection: Connection) -> shapes.DefaultsOut:
    """What is chosen, and what there is to choose from, as Xero last told it."""
    now, choices = defaults.stored(connection), defaults.choices_of(connection)
    return shapes.DefaultsOut(
        revenue_account=now.revenue_account,
        tax_type=now.tax_type,
        branding_theme=now.branding_theme,
        create_as=now.create_as,
        write_back=now.write_back,
        receivers=dict(now.receivers),
        set_at=shapes.time_or_none(connection.defaults_set_at),
        trouble=defaults.trouble(connection, choices),
        accounts=_options(choices.accounts),
        tax_types=_options(choices.tax_types),
        branding_themes=_options(choices.themes),
        receiving_accounts={code: _options(found) for code, found in choices.receivers.items()},
    )


def _options(options: Iterable[defaults.Option]) -> list[shapes.OptionOut]:
    return [shapes.OptionOut(value=one.value, label=one.label) for one in options]
