"""tap-xero, a Singer tap: its output is checked against its own schemas and the sandbox's books."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
from kit import CLIENT_ID, CLIENT_SECRET, Compare, Json, Suite, moment

suite = Suite("tap-xero")
sandbox = suite.sandbox
_home = TemporaryDirectory(prefix="tap-xero-")  # gone when this program ends
HOME = Path(_home.name)
TENANTS = {row["name"]: row["tenant"] for row in sandbox.organisations()}
UK = TENANTS["Demo Company (UK)"]
BIG = next(tenant for name, tenant in TENANTS.items() if name.startswith("Big"))
HOSTILE = 'O\'Brien & Söhne "<b>x</b>" 株式会社 🎉'
START = "2000-01-01T00:00:00Z"
STREAMS = {
    "contacts": ("Contacts", "ContactID"),
    "credit_notes": ("CreditNotes", "CreditNoteID"),
    "invoices": ("Invoices", "InvoiceID"),
    "overpayments": ("Overpayments", "OverpaymentID"),
    "payments": ("Payments", "PaymentID"),
    "prepayments": ("Prepayments", "PrepaymentID"),
    "accounts": ("Accounts", "AccountID"),
    "branding_themes": ("BrandingThemes", "BrandingThemeID"),
    "currencies": ("Currencies", "Code"),
    "organisations": ("Organisation", "OrganisationID"),
    "tax_rates": ("TaxRates", "TaxType"),
}
"""The streams that the sandbox has: endpoint and key."""
WHOLE = {"accounts", "branding_themes", "currencies", "organisations", "tax_rates"}
"""Not paged."""
FULL = WHOLE - {"accounts"}
"""Read again from the beginning every time."""
TAKEN_OFF = {"Prepayments", "Payments", "CreditNotes", "Overpayments", "Warnings", "Contacts"}
"""What the tap takes off some rows on purpose (`tap_xero/transform.py`)."""
made: dict[str, str] = {}
tokens = sandbox.tokens()


class Run:
    """What one run of the tap printed."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status = status
        self.errors = errors
        self.output = output

    def messages(self, kind: str) -> list[Json]:
        """The Singer messages of one kind, in order."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        parsed = [json.loads(line, parse_float=Decimal) for line in lines]
        return [message for message in parsed if message["type"] == kind]

    def records(self, stream: str) -> list[Json]:
        """The rows of one stream."""
        found = self.messages("RECORD")
        return [message["record"] for message in found if message["stream"] == stream]

    @property
    def state(self) -> Json:
        """Where the run came to."""
        found: Json = self.messages("STATE")[-1]["value"]
        return found


def config() -> Path:
    """The tap's configuration; it writes each new refresh token into it."""
    path = HOME / "config.json"
    if not path.exists():
        keys = {
            "start_date": START,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": tokens["refresh_token"],
            "include_archived_contacts": "true",
            "user_agent": "tap-xero (test@example.com)",
        }
        path.write_text(json.dumps(keys))
    return path


def tap(tenant: str, *words: str) -> Run:
    """Run the tap for one organisation."""
    path = config()
    path.write_text(json.dumps({**json.loads(path.read_text()), "tenant_id": tenant}))
    program = [sys.executable, str(Path(__file__).with_name("tap.py")), "--config", str(path)]
    done = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
    return Run(done.returncode, done.stdout, done.stderr)


def sync(tenant: str, streams: set[str], state: Json | None = None) -> Run:
    """Sync some streams, from a state."""
    catalog = json.loads((HOME / "catalog.json").read_text())
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            item["metadata"]["selected"] = entry["tap_stream_id"] in streams
    (HOME / "selected.json").write_text(json.dumps(catalog))
    (HOME / "state.json").write_text(json.dumps(state or {}))
    words = ("--catalog", HOME / "selected.json", "--state", HOME / "state.json")
    run = tap(tenant, *map(str, words))
    if run.status:
        raise AssertionError(run.errors[-2_000:])
    return run


def rows_of(tenant: str, stream: str) -> list[Json]:
    """What the books have for a stream, in the order in which the tap asks."""
    endpoint, _ = STREAMS[stream]
    if stream in WHOLE:
        return sandbox.books(tenant, endpoint)
    archived = {"includeArchived": "true"} if stream == "contacts" else {}
    return sandbox.every(tenant, endpoint, order="UpdatedDateUTC ASC", **archived)


def told(value: Any) -> Any:
    """A value of the books as the tap writes it: every date in UTC with microseconds."""
    if isinstance(value, dict):
        return {name: told(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [told(inner) for inner in value]
    if isinstance(value, str) and value.startswith("/Date("):
        return moment(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, str) and len(value) in (19, 20) and value[10:11] == "T":
        return datetime.fromisoformat(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def same(compare: Compare, what: str, ours: Any, theirs: Any, schema: Json) -> None:
    """Every field of the record is the books', and what is missing is not in the schema."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        known = schema.get("properties", {})
        left_out = {name for name in set(theirs) - set(ours) if name in known}
        compare.same(f"{what}: left out", left_out - TAKEN_OFF, set())
        for name, value in ours.items():
            same(compare, f"{what}.{name}", value, theirs.get(name), known.get(name, {}))
    elif isinstance(ours, list) and isinstance(theirs, list):
        compare.same(f"{what}: rows", len(ours), len(theirs))
        for mine, yours in zip(ours, theirs, strict=True):
            same(compare, what, mine, yours, schema.get("items", {}))
    else:
        compare.same(what, ours, theirs)


def same_stream(compare: Compare, run: Run, stream: str, rows: list[Json]) -> None:
    """A stream's records are these rows, in this order, field by field, and fit its schema."""
    key = STREAMS[stream][1]
    records = run.records(stream)
    compare.same(f"{stream}: keys", [r[key] for r in records], [r[key] for r in rows])
    (schema,) = [m["schema"] for m in run.messages("SCHEMA") if m["stream"] == stream]
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    for record, row in zip(records, rows, strict=True):
        compare.same(f"{stream}: schema", [e.message for e in validator.iter_errors(record)], [])
        same(compare, f"{stream} {row[key]}", record, told(row), schema)


@suite.check
def _(compare: Compare) -> None:
    """Discovery refreshes the token, keeps the new one, and names every stream"""
    run = tap(UK, "--discover")
    compare.same("status", (run.status, run.errors if run.status else ""), (0, ""))
    catalog = json.loads(run.output)
    (HOME / "catalog.json").write_text(run.output)
    names = {entry["tap_stream_id"] for entry in catalog["streams"]}
    compare.same("streams", set(STREAMS) <= names, True)
    kept = json.loads(config().read_text())["refresh_token"]
    compare.same("another refresh token", kept != tokens["refresh_token"], True)
    for entry in catalog["streams"]:
        jsonschema.Draft4Validator.check_schema(entry["schema"])
        if entry["tap_stream_id"] in STREAMS:
            key = STREAMS[entry["tap_stream_id"]][1]
            compare.same(f"{entry['tap_stream_id']}: key", entry["key_properties"], [key])


@suite.check
def _(compare: Compare) -> None:
    """A first sync of every stream: each record as in the books, and in its schema"""
    who = rows_of(UK, "contacts")[0]["ContactID"]
    sandbox.act("receive-overpayment", UK, contact=who, amount="11.00")
    sandbox.act("receive-prepayment", UK, contact=who, amount="12.00", reference=HOSTILE)
    run = sync(UK, set(STREAMS))
    wanted = {stream: rows_of(UK, stream) for stream in STREAMS}
    counted = Counter(message["stream"] for message in run.messages("RECORD"))
    compare.same("counts", dict(counted), {name: len(rows) for name, rows in wanted.items()})
    for stream, rows in wanted.items():
        same_stream(compare, run, stream, rows)
    (HOME / "after-first.json").write_text(json.dumps(run.state))


@suite.check
def _(compare: Compare) -> None:
    """Its bookmarks are the newest stamps, and nothing is left in the middle"""
    state = json.loads((HOME / "after-first.json").read_text())
    compare.same("not in a stream", state["currently_syncing"], None)
    for stream in set(STREAMS) - FULL:
        newest = max(moment(row["UpdatedDateUTC"]) for row in rows_of(UK, stream))
        stamp = state["bookmarks"][stream]["UpdatedDateUTC"]
        compare.same(f"{stream}: bookmark", datetime.fromisoformat(stamp), newest)
        compare.same(f"{stream}: offset", state["bookmarks"][stream].get("offset", {}), {})


@suite.check
def _(compare: Compare) -> None:
    """A second sync brings what changed since the bookmark's second, and nothing else"""
    state = json.loads((HOME / "after-first.json").read_text())
    sandbox.asked("POST", "/sandbox/clock", {"advance": 60})
    draft = next(
        row
        for row in rows_of(UK, "invoices")
        if row["Status"] == "DRAFT" and row["Type"] == "ACCREC"
    )
    due = next(
        row
        for row in rows_of(UK, "invoices")
        if row["Status"] == "AUTHORISED" and row["Type"] == "ACCREC"
    )
    sandbox.act("edit-invoice", UK, invoice=draft["InvoiceNumber"], reference=HOSTILE)
    paid = sandbox.act("record-payment", UK, invoice=due["InvoiceNumber"], amount="0.01")
    new = sandbox.act("create-contact", UK, name="Łódź & Co 🎩", email="hats@example.com")
    run = sync(UK, set(STREAMS), state)
    for stream in STREAMS:
        rows = rows_of(UK, stream)
        if stream not in FULL:
            since = datetime.fromisoformat(state["bookmarks"][stream]["UpdatedDateUTC"])
            since = since.replace(microsecond=0)
            rows = [row for row in rows if moment(row["UpdatedDateUTC"]) >= since]
        same_stream(compare, run, stream, rows)
    invoices = {row["InvoiceID"]: row for row in run.records("invoices")}
    compare.same("the reference", invoices[draft["InvoiceID"]]["Reference"], HOSTILE)
    compare.same("the paid one came", due["InvoiceID"] in invoices, True)
    compare.same("few came", len(invoices) < len(rows_of(UK, "invoices")) // 2, True)
    payments = [row["PaymentID"] for row in run.records("payments")]
    compare.same("the payment came", paid["PaymentID"] in payments, True)
    contacts = [row["ContactID"] for row in run.records("contacts")]
    compare.same("the contact came", new["ContactID"] in contacts, True)
    (HOME / "after-second.json").write_text(json.dumps(run.state))


@suite.check
def _(compare: Compare) -> None:
    """A third sync, with nothing new, repeats only the bookmark's own second"""
    state = json.loads((HOME / "after-second.json").read_text())
    run = sync(UK, {"invoices", "contacts", "payments"}, state)
    for stream in ("invoices", "contacts", "payments"):
        since = datetime.fromisoformat(state["bookmarks"][stream]["UpdatedDateUTC"])
        rows = rows_of(UK, stream)
        since = since.replace(microsecond=0)
        rows = [row for row in rows if moment(row["UpdatedDateUTC"]) >= since]
        same_stream(compare, run, stream, rows)
        compare.same(f"{stream}: one", len(rows), 1)
        kept = run.state["bookmarks"][stream]
        compare.same(f"{stream}: bookmark", kept, state["bookmarks"][stream])


@suite.check
def _(compare: Compare) -> None:
    """230 invoices come in three pages, each of them asked for once"""
    run = sync(BIG, {"invoices", "payments"})
    for stream in ("invoices", "payments"):
        same_stream(compare, run, stream, rows_of(BIG, stream))
    compare.same("as many", len(run.records("invoices")), 230)
    log = [e for e in sandbox.asked("GET", "/sandbox/log") if e["tenant"] == BIG]
    asked = [e for e in log if e["path"].endswith("/Invoices")]
    compare.same("pages", sorted(page_of(entry) for entry in asked), [1, 2, 3])


def page_of(entry: Json) -> int:
    """The page that a logged call asked for."""
    parts = dict(part.split("=", 1) for part in entry["query"].split("&"))
    return int(parts["page"])


@suite.check
def _(compare: Compare) -> None:
    """A sync that broke off goes on with its page"""
    state = {
        "currently_syncing": "invoices",
        "bookmarks": {"invoices": {"UpdatedDateUTC": START, "offset": {"page": 3}}},
    }
    run = sync(BIG, {"invoices", "contacts"}, state)
    same_stream(compare, run, "invoices", rows_of(BIG, "invoices")[200:])
    compare.same("what came before is not read", run.records("contacts"), [])


@suite.check
def _(compare: Compare) -> None:
    """It waits when it is too fast, tries again after an error, and loses nothing"""
    limited = sandbox.counted(UK)["limited"]
    sandbox.fault("limit_minute", path="/payments", parameters={"retry_after": 1})
    sandbox.fault("error_500", path="/contacts")
    run = sync(UK, {"contacts", "payments"})
    for stream in ("contacts", "payments"):
        same_stream(compare, run, stream, rows_of(UK, stream))
    compare.same("it was told to wait", sandbox.counted(UK)["limited"], limited + 1)


@suite.check
def _(compare: Compare) -> None:
    """Without an organisation, or with another secret, it stops with Xero's reason"""
    nobody = "00000000-0000-4000-8000-000000000000"
    run = tap(nobody, "--discover")
    compare.same("status", run.status != 0, True)
    compare.same("reason", "XeroForbiddenError: HTTP-error-code: 403" in run.errors, True)
    keys = json.loads(config().read_text())
    config().write_text(json.dumps({**keys, "client_secret": "another"}))
    run = tap(UK, "--discover")
    compare.same("reason", "HTTP-error-code: 400, Error: invalid_client" in run.errors, True)
    config().write_text(json.dumps(keys))
    compare.same("well again", tap(UK, "--discover").status, 0)


if __name__ == "__main__":
    suite.run()
