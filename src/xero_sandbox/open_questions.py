"""What nobody has established about Xero, as parameters: each question either way.

A program that is right with every value here does not depend on a guess. The values are set by
``create_app(open_questions=Open(since="after"))``, ``POST /sandbox/open-questions`` or
``--open since=after``, and hold for all organisations until they are set again. The defaults
are what seems most likely.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta


class Open(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer to every open question. ``title`` names the sections, numbers as in 3.8."""

    oauth_description: Annotated[
        Literal["absent", "present"],
        Meta(title="1.4 11.11", description="whether token errors have an error_description"),
    ] = "absent"
    cancel: Annotated[
        Literal["access_denied", "described", "login_cancelled", "silent"],
        Meta(title="1.4", description="the error that Cancel sends back, or none at all"),
    ] = "access_denied"
    reconnect_id: Annotated[
        Literal["new", "same", "always_new"],
        Meta(title="1.6", description="the connection's id after connecting once more"),
    ] = "new"
    missing_scope: Annotated[
        Literal["401", "403"],
        Meta(title="1.7", description="the status when the token lacks the scope"),
    ] = "401"
    problem_keys: Annotated[
        Literal["Title", "title"],
        Meta(title="1.7", description="the letter case of keys in a 401 or 403"),
    ] = "Title"
    minute_window: Annotated[
        Literal["fixed", "rolling"],
        Meta(title="2.1 11.1", description="how the calls of a minute are counted"),
    ] = "fixed"
    app_limit: Annotated[
        Literal["appminute", "app", "absent"],
        Meta(title="2.1 11.1", description="X-Rate-Limit-Problem for the app's own limit"),
    ] = "appminute"
    concurrent_wait: Annotated[
        Literal["absent", "present"],
        Meta(title="2.1", description="whether a 429 for five at once has a Retry-After"),
    ] = "absent"
    refused_calls: Annotated[
        Literal["free", "counted"],
        Meta(title="2.1", description="whether a call that got a 429 counts in the day"),
    ] = "free"
    page_past_end: Annotated[
        Literal["empty", "last", "not_found"],
        Meta(title="3.1 11.2", description="a page after the last one"),
    ] = "empty"
    tie_order: Annotated[
        Literal["guid", "text"],
        Meta(title="3.1", description="ids that break ties: in SQL Server's order or as text"),
    ] = "guid"
    where_quote: Annotated[
        Literal["backslash", "doubled", "refused"],
        Meta(title="3.1", description="how a quote inside a filter's text is written"),
    ] = "backslash"
    query_error: Annotated[
        Literal["16", "10"],
        Meta(title="3.5", description="the ErrorNumber of a QueryParseException"),
    ] = "16"
    high_volume: Annotated[
        Literal["json", "text"],
        Meta(title="3.1", description="the form of the refusal to list too many rows"),
    ] = "json"
    unmodified: Annotated[
        Literal["empty", "not_modified"],
        Meta(title="3.2", description="nothing changed since: 200 without rows, or 304"),
    ] = "empty"
    since: Annotated[
        Literal["at", "after"],
        Meta(title="3.2 11.6", description="If-Modified-Since equal to a stamp: listed or not"),
    ] = "at"
    readable: Annotated[
        Literal["at_once", "after_two_seconds", "own_writes_too"],
        Meta(title="3.2 11.9", description="when reads show what was changed by hand, or at all"),
    ] = "at_once"
    good_siblings: Annotated[
        Literal["refused", "saved"],
        Meta(title="3.5 11.3", description="the good elements of a refused, summarised call"),
    ] = "refused"
    key_scope: Annotated[
        Literal["app", "organisation"],
        Meta(title="3.6", description="whether an Idempotency-Key in another organisation is new"),
    ] = "app"
    currency_rate: Annotated[
        Literal["always", "sometimes"],
        Meta(title="3.8", description="whether list rows in the base currency have CurrencyRate"),
    ] = "always"
    empty_arrays: Annotated[
        Literal["as_recorded", "empty", "omitted"],
        Meta(title="3.8", description="Payments and credits of an invoice that has none"),
    ] = "as_recorded"
    void_amount_due: Annotated[
        Literal["zero", "total"],
        Meta(title="3.8 6.16", description="AmountDue of a void invoice when it is read"),
    ] = "zero"
    empty_answers: Annotated[
        Literal["204", "200"],
        Meta(title="1.1 3.12", description="the status of an answer that has nothing to say"),
    ] = "204"
    expected_date_with_money: Annotated[
        Literal["fixed", "free"],
        Meta(title="3.10", description="ExpectedPaymentDate once money is applied"),
    ] = "fixed"
    merged_documents: Annotated[
        Literal["stamped", "unstamped"],
        Meta(title="4.4", description="the stamps of invoices whose contact was merged away"),
    ] = "stamped"
    halves: Annotated[
        Literal["away", "even"],
        Meta(title="3.11 11.13", description="half a cent: away from zero, or to the even cent"),
    ] = "away"
    tax_override: Annotated[
        Literal["free", "capped"],
        Meta(title="3.11", description="a TaxAmount above the line's amount: taken or refused"),
    ] = "free"
    cis_in_due: Annotated[
        Literal["deducted", "not_deducted"],
        Meta(title="4.2", description="whether AmountDue is less CISDeduction"),
    ] = "deducted"
    account_text: Annotated[
        Literal["not_valid", "not_enabled", "unheard"],
        Meta(title="4.1 11.4", description="the refusal of an account that takes no payments"),
    ] = "not_valid"
    over_allocation: Annotated[
        Literal["payment_text", "credit_text"],
        Meta(title="4.2 11.4", description="the refusal of more credit than is due or left"),
    ] = "payment_text"
    deleted_allocation: Annotated[
        Literal["wrapped", "bare"],
        Meta(title="4.2", description="the answer to a deleted allocation, wrapped or as it is"),
    ] = "wrapped"
    reconciled: Annotated[
        Literal["removable", "refused", "refused_unheard"],
        Meta(title="4.1 11.4", description="removing a payment that is reconciled"),
    ] = "removable"
    allocation_stamp: Annotated[
        Literal["moves", "stays"],
        Meta(title="3.2 11.7", description="an invoice's stamp when a credit is allocated"),
    ] = "moves"
    allocation_webhook: Annotated[
        Literal["fires", "silent"],
        Meta(title="5 11.7", description="whether an allocation sends INVOICE UPDATE"),
    ] = "fires"
    lock_day: Annotated[
        Literal["locked", "free"],
        Meta(title="4.6 11.5", description="the day of a lock date itself"),
    ] = "locked"
    webhook_order: Annotated[
        Literal["in_order", "backwards"],
        Meta(title="5 11.9", description="the order of the events of one delivery"),
    ] = "in_order"
    webhook_grouping: Annotated[
        Literal["together", "one_by_one"],
        Meta(title="5 11.9", description="whether events share a delivery"),
    ] = "together"
    dead_numbers: Annotated[
        Literal["blocked", "free"],
        Meta(title="6.4 11.8", description="the number of a void or deleted invoice"),
    ] = "blocked"
    most_ids: Annotated[
        Literal["any", "50"],
        Meta(title="11.10", description="how many IDs one call takes; more is a 400"),
    ] = "any"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One open question, for a reader: where it stands, what it asks, what may be said."""

    name: str
    sections: list[str]
    asks: str
    values: list[str]
    default: str


def questions() -> list[Question]:
    """Every question in the order of ``Open``."""
    hints = get_type_hints(Open, include_extras=True)
    return [_question(name, *get_args(hints[name])) for name in Open.__struct_fields__]


def _question(name: str, choices: Any, meta: Meta) -> Question:
    return Question(
        name=name,
        sections=(meta.title or "").split(),
        asks=meta.description or "",
        values=list(get_args(choices)),
        default=getattr(Open(), name),
    )


def changed(old: Open, wanted: Mapping[str, Any]) -> Open:
    """The answers with some of them changed; ``ValueError`` names a wrong name or value."""
    known = {question.name: question for question in questions()}
    for name, value in wanted.items():
        if name not in known:
            raise ValueError(f"{name[:60]}: there is no such question")
        if value not in known[name].values:
            raise ValueError(f"{name}: one of {', '.join(known[name].values)}")
    return msgspec.structs.replace(old, **wanted)


def parse(pairs: Sequence[str]) -> Open:
    """The answers of a command line: ``name=value``, each as often as there are questions."""
    return changed(Open(), dict(pair.partition("=")[::2] for pair in pairs))
