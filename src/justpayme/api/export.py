"""Every bill of a business as JSON or CSV, written as it is read: memory does not grow with it.

In CSV no cell can become a formula when a spreadsheet opens the file: text that begins like
one gets an apostrophe before it. Amounts stay plain numbers, negative ones too.
"""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TextIO

from django.db import connection

from justpayme.accounts.models import Business
from justpayme.api import present, shapes
from justpayme.bills.queries import Books, open_books
from justpayme.web.snapshot import snapshot

AT_ONCE = 500
"""Bills in memory at a time, with their lines and payments."""
FORMULA_STARTS = frozenset("=+-@|%")
TEXTS = (
    "number",
    "reference",
    "client",
    "status",
    "shown_status",
    "currency",
    "badge",
    "organisation",
    "invoice_id",
)
DAYS = ("issued_on", "due_on", "expected_on", "fully_paid_on")
AMOUNTS = ("sub_total", "tax_total", "discount_total", "total", "paid", "credited", "outstanding")
TIMES = ("created_at", "updated_at")
COLUMNS = ("id", *TEXTS, *DAYS, *AMOUNTS, *TIMES)


def export_bills(business: Business, form: str, out: TextIO, *, now: datetime) -> int:
    """Write every bill of `business` to `out` as "json" or "csv"; returns how many. All of them
    as of one moment."""
    write = {"json": _write_json, "csv": _write_csv}[form]
    with snapshot():
        with connection.cursor() as cursor:  # whoever reads us may pause longer than the default
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        return write(_bills(open_books(business, now)), out)


def _bills(books: Books) -> Iterator[shapes.BillOut]:
    rows = present.with_everything(books.bills()).order_by("id").iterator(chunk_size=AT_ONCE)
    while found := list(islice(rows, AT_ONCE)):
        yield from present.bill_outs(found, books)


def _write_json(bills: Iterator[shapes.BillOut], out: TextIO) -> int:
    """One array with one bill a line, so that it can be read whole or line by line."""
    count = 0
    out.write("[")
    for count, bill in enumerate(bills, start=1):
        out.write("\n" if count == 1 else ",\n")
        json.dump(bill.model_dump(), out, ensure_ascii=False)
    out.write("\n]\n")
    return count


def _write_csv(bills: Iterator[shapes.BillOut], out: TextIO) -> int:
    count = 0
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for count, bill in enumerate(bills, start=1):  # noqa: B007
        writer.writerow(_cells(bill))
    return count


def _cells(bill: shapes.BillOut) -> list[str | int]:
    sync = bill.sync
    own = {
        "client": bill.client.name,
        "badge": sync.label,
        "organisation": sync.organisation.name if sync.organisation else "",
        "invoice_id": sync.invoice_id or "",
    }
    texts = [safe_text(own[name] if name in own else getattr(bill, name)) for name in TEXTS]
    plain = [getattr(bill, name) or "" for name in (*DAYS, *AMOUNTS, *TIMES)]
    return [bill.id, *texts, *plain]


def safe_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe comes before it if need be.

    Full-width signs count, and so do signs after blanks; a tab or a line break at the start
    is unsafe whatever follows, because some programs drop it when they read the file.
    """
    rest = text.lstrip("".join(char for char in set(text) if _is_blank(char)))
    blank = text[: len(text) - len(rest)]
    starts = unicodedata.normalize("NFKC", rest[:1])[:1]
    breaks = any(unicodedata.category(char).startswith("C") for char in blank)
    return "'" + text if breaks or (starts and starts in FORMULA_STARTS) else text


def _is_blank(char: str) -> bool:
    return unicodedata.category(char)[0] in "ZC"
