"""Ways to spoil a good answer: every one leaves status 200 and breaks something else.

A row mangle changes the parsed answer (first row, or all with ``{"rows": "all"}``); a body
mangle changes the bytes. ``MANGLES`` names them all, ``HARMLESS`` those that a careful client
accepts.
"""

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from werkzeug.wrappers import Response

from xero_sandbox.shapes import to_json

Json = dict[str, Any]
BodyMangle = Callable[[Response], None]
RowMangle = Callable[["Opened"], None]
HARMLESS = {"extra_fields", "rtl_marks"}
FIVE_MEGABYTES = 5 * 1024 * 1024


class Opened:
    """A parsed answer: the whole, its rows, and which rows to spoil."""

    def __init__(self, body: bytes, every_row: bool) -> None:
        self.whole: Any = json.loads(body, parse_float=Decimal)
        lists = [k for k, v in self.whole.items() if isinstance(v, list)]
        self.plural = lists[0] if lists else ""
        self.rows: list[Json] = self.whole.get(self.plural, [])
        self.chosen = self.rows if every_row else self.rows[:1]
        self._raw: list[bytes] = []

    def raw(self, token: bytes) -> str:
        """Stand for a JSON token that no encoder would write."""
        self._raw.append(token)
        return f"@@{len(self._raw) - 1}@@"

    def put(self, key: str, value: Any) -> None:
        """Set a key on every chosen row."""
        for row in self.chosen:
            row[key] = value

    def key(self, *names: str) -> str:
        """The first of some keys that the rows have."""
        row = self.rows[0] if self.rows else {}
        return next((name for name in names if name in row), names[0])

    def close(self) -> bytes:
        """Back to bytes."""
        body = to_json(self.whole)
        for index, token in enumerate(self._raw):
            body = body.replace(f'"@@{index}@@"'.encode(), token)
        return body


def truncated_json(response: Response) -> None:
    """The body ends in the middle."""
    response.set_data(response.get_data()[: len(response.get_data()) // 2])


def truncated_gzip(response: Response) -> None:
    """A compressed body ends in the middle."""
    body = gzip.compress(response.get_data())
    response.set_data(body[: len(body) // 2])
    response.headers["Content-Encoding"] = "gzip"


def wrong_content_type(response: Response) -> None:
    """Good JSON that calls itself HTML."""
    response.headers["Content-Type"] = "text/html; charset=utf-8"


def html_page(response: Response) -> None:
    """An HTML page with status 200, as a proxy may send."""
    response.set_data(b"<!DOCTYPE html><html><body><h1>We'll be right back</h1></body></html>")
    response.headers["Content-Type"] = "text/html"


def empty_body(response: Response) -> None:
    """No body at all."""
    response.set_data(b"")


def top_level_array(response: Response) -> None:
    """An array where the envelope should be."""
    response.set_data(b"[" + response.get_data() + b"]")


def top_level_null(response: Response) -> None:
    """``null`` as the whole body."""
    response.set_data(b"null")


def not_utf8(response: Response) -> None:
    """A byte that is not UTF-8 inside the JSON."""
    response.set_data(response.get_data().replace(b'"Status":"', b'"Status":"\xff', 1))


def xml_body(response: Response) -> None:
    """XML, as Xero answers without an Accept header."""
    response.set_data(b'<?xml version="1.0"?><Response><Status>OK</Status></Response>')
    response.headers["Content-Type"] = "text/xml; charset=utf-8"


def array_missing(answer: Opened) -> None:
    """The rows' key is absent."""
    answer.whole.pop(answer.plural, None)


def array_null(answer: Opened) -> None:
    """The rows' key is null."""
    answer.whole[answer.plural] = None


def array_is_object(answer: Opened) -> None:
    """The rows' key holds an object."""
    answer.whole[answer.plural] = {"0": None}


def null_row(answer: Opened) -> None:
    """One of the rows is null."""
    answer.whole[answer.plural] = [*answer.rows, None]


def duplicate_rows(answer: Opened) -> None:
    """Every row comes twice."""
    answer.whole[answer.plural] = answer.rows * 2


def item_count_wrong(answer: Opened) -> None:
    """``itemCount`` promises more than there is."""
    if "pagination" in answer.whole:
        answer.whole["pagination"]["itemCount"] += 7


def rows_missing(answer: Opened) -> None:
    """The count says rows, the array is empty."""
    answer.whole[answer.plural] = []


def page_wrong(answer: Opened) -> None:
    """Another page than the one asked for."""
    if "pagination" in answer.whole:
        answer.whole["pagination"]["page"] += 1


def pagination_missing(answer: Opened) -> None:
    """A paged answer without its pagination object."""
    answer.whole.pop("pagination", None)


def unknown_status(answer: Opened) -> None:
    """A status that nobody has heard of."""
    answer.put(answer.key("Status", "ContactStatus"), "PARTLYFORGIVEN")


def unknown_enum(answer: Opened) -> None:
    """A type or tax basis that nobody has heard of."""
    answer.put(answer.key("LineAmountTypes", "PaymentType", "Class", "ContactStatus"), "Sideways")


def extra_fields(answer: Opened) -> None:
    """New fields, as Xero adds from time to time: harmless."""
    answer.put("BrandNewField", {"Of": ["anything", 1, None]})
    answer.whole["AnotherNewField"] = True


def numbers_as_strings(answer: Opened) -> None:
    """Amounts in quotes, as some of Xero's examples have them (3.8)."""
    for row in answer.chosen:
        row.update({k: str(v) for k, v in row.items() if isinstance(v, Decimal)})


def number_words(answer: Opened) -> None:
    """An amount that is a word."""
    answer.put(_money(answer), "twelve pounds")


def number_huge(answer: Opened) -> None:
    """An amount of 1e400."""
    answer.put(_money(answer), answer.raw(b"1e400"))


def number_nan(answer: Opened) -> None:
    """An amount that is the bare word NaN."""
    answer.put(_money(answer), answer.raw(b"NaN"))


def number_null(answer: Opened) -> None:
    """An amount that is null."""
    answer.put(_money(answer), None)


def amount_negative(answer: Opened) -> None:
    """A negative total."""
    answer.put(_money(answer), Decimal("-1.00"))


def string_5mb(answer: Opened) -> None:
    """A text of five megabytes."""
    answer.put(_text(answer), "x" * FIVE_MEGABYTES)


def date_zero(answer: Opened) -> None:
    """The first instant of 1970 for no date (3.9)."""
    answer.put(_date(answer), "/Date(0+0000)/")


def date_negative(answer: Opened) -> None:
    """A date before 1970."""
    answer.put(_date(answer), "/Date(-62135596800000+0000)/")


def date_far_future(answer: Opened) -> None:
    """A date that no calendar reaches."""
    answer.put(_date(answer), "/Date(999999999999999999+0000)/")


def date_offset(answer: Opened) -> None:
    """A date with another offset than UTC."""
    for row in answer.chosen:
        row[_date(answer)] = str(row.get(_date(answer), "")).replace("+0000", "+1300")


def date_garbage(answer: Opened) -> None:
    """A date that is a word."""
    answer.put(_date(answer), "next Tuesday")


def stamp_missing(answer: Opened) -> None:
    """No UpdatedDateUTC."""
    for row in answer.chosen:
        row.pop("UpdatedDateUTC", None)


def lone_surrogate(answer: Opened) -> None:
    """Half of a character, which no database can store."""
    answer.put(_text(answer), answer.raw(b'"half \\ud83d a face"'))


def nul_character(answer: Opened) -> None:
    """A NUL, which PostgreSQL cannot store."""
    answer.put(_text(answer), answer.raw(b'"before\\u0000after"'))


def rtl_marks(answer: Opened) -> None:
    """Direction marks that turn text around on the page: harmless as data."""
    answer.put(_text(answer), "\u202egpj.ecilA\u202c \u200f\u2066x\u2069")


def id_missing(answer: Opened) -> None:
    """A row without its id."""
    for row in answer.chosen:
        row.pop(_id(answer), None)


def id_not_guid(answer: Opened) -> None:
    """A row whose id is no GUID."""
    answer.put(_id(answer), "../../etc/passwd")


def line_items_wrong_type(answer: Opened) -> None:
    """LineItems as text."""
    answer.put("LineItems", "three guitars")


def contact_missing(answer: Opened) -> None:
    """An invoice without its contact."""
    for row in answer.chosen:
        row.pop("Contact", None)


def total_disagrees(answer: Opened) -> None:
    """Total is not the sum of SubTotal and TotalTax."""
    for row in answer.chosen:
        row[_money(answer)] = Decimal(str(row.get(_money(answer)) or 0)) + Decimal("100.00")


def currency_unknown(answer: Opened) -> None:
    """A currency code that is none."""
    answer.put("CurrencyCode", "ZZZZ")


def organisation_id_changed(answer: Opened) -> None:
    """The organisation behind the same tenant says that it is another one."""
    if answer.plural == "Organisations":
        for row in answer.rows:
            row["OrganisationID"] = str(uuid5(NAMESPACE_OID, row["OrganisationID"]))


def _money(answer: Opened) -> str:
    return answer.key("Total", "Amount", "EffectiveRate")


def _date(answer: Opened) -> str:
    return answer.key("Date", "UpdatedDateUTC", "CreatedDateUTC")


def _text(answer: Opened) -> str:
    return answer.key("Reference", "Name", "Description")


def _id(answer: Opened) -> str:
    return {"Organisations": "OrganisationID"}.get(answer.plural, f"{answer.plural[:-1]}ID")


def elements_missing(answer: Opened) -> None:
    """The answer to a write lacks its last element; everything is saved."""
    del answer.rows[-1:]


def elements_extra(answer: Opened) -> None:
    """The answer to a write has its last element twice; everything is saved."""
    answer.rows.extend(answer.rows[-1:])


def elements_none(answer: Opened) -> None:
    """The answer to a write has no element at all; everything is saved."""
    answer.rows.clear()


def elements_reversed(answer: Opened) -> None:
    """The elements of the answer to a write come in the opposite order; everything is saved."""
    answer.rows.reverse()


def errors_though_saved(answer: Opened) -> None:
    """Elements of the answer to a write say that they were refused, though they are saved."""
    answer.put(answer.key("HasErrors", "HasValidationErrors"), True)
    answer.put("StatusAttributeString", "ERROR")
    answer.put("ValidationErrors", [{"Message": "A validation exception occurred"}])


BODY_MANGLES: dict[str, BodyMangle] = {
    mangle.__name__: mangle
    for mangle in (
        truncated_json, truncated_gzip, wrong_content_type, html_page, empty_body,
        top_level_array, top_level_null, not_utf8, xml_body,
    )
}  # fmt: skip
ROW_MANGLES: dict[str, RowMangle] = {
    mangle.__name__: mangle
    for mangle in (
        array_missing, array_null, array_is_object, null_row, duplicate_rows, item_count_wrong,
        rows_missing, page_wrong, pagination_missing, unknown_status, unknown_enum, extra_fields,
        numbers_as_strings, number_words, number_huge, number_nan, number_null, amount_negative,
        string_5mb, date_zero, date_negative, date_far_future, date_offset, date_garbage,
        stamp_missing, lone_surrogate, nul_character, rtl_marks, id_missing, id_not_guid,
        line_items_wrong_type, contact_missing, total_disagrees, currency_unknown,
        organisation_id_changed,
    )
}  # fmt: skip
WRITE_MANGLES: dict[str, RowMangle] = {
    mangle.__name__: mangle
    for mangle in (
        elements_missing, elements_extra, elements_none, elements_reversed, errors_though_saved,
    )
}  # fmt: skip
"""Spoilt answers to writes; the write itself is done."""
MANGLES: dict[str, str] = {
    name: (mangle.__doc__ or "").strip() for name, mangle in (BODY_MANGLES | ROW_MANGLES).items()
}
"""Every mangle by name, with what it does."""


def mangled(response: Response, name: str, every_row: bool) -> None:
    """Spoil a 200 JSON answer; other answers are left alone."""
    if response.status_code != 200 or "json" not in response.headers.get("Content-Type", ""):
        return
    if name in BODY_MANGLES:
        BODY_MANGLES[name](response)
        return
    answer = Opened(response.get_data(), every_row)
    {**ROW_MANGLES, **WRITE_MANGLES}[name](answer)
    response.set_data(answer.close())
