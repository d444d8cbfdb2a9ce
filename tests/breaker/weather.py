"""Bad weather between us and Xero: which faults can happen to a call, and how one happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
from tests.breaker.checkers import GONE
from tests.breaker.choices import Choices
from tests.breaker.world import Call, World

Rule = dict[str, Any]


def _rules(*kinds: str, **more: Any) -> tuple[Rule, ...]:
    return tuple({"kind": kind, **more} for kind in kinds)


FAULTS: dict[str, tuple[Rule, ...]] = {
    "F2 timeout": (
        *_rules("timeout_before", "timeout_after"),
        {"kind": "ours", "error": "timeout before"},
        {"kind": "ours", "error": "timeout after"},
    ),
    "F2 late": (
        {"kind": "late", "parameters": {"seconds": 20}},
        {"kind": "late", "parameters": {"seconds": 85, "answer": "timeout"}},
    ),
    "F3 broken": (
        *_rules("reset_before", "lose_answer", "reset_mid_body"),
        {"kind": "ours", "error": "refused"},
    ),
    "F4 limited": (
        *_rules("limit_minute", "limit_concurrent", "limit_app"),
        {"kind": "limit_minute", "parameters": {"retry_after": "7"}},
        {"kind": "limit_day", "parameters": {"retry_after": "3600"}},
    ),
    "F5 errors": _rules("error_500", "error_502", "error_503", "write_500", "keys_down"),
    "F6 wrong": _rules(
        "truncated_json", "truncated_gzip", "wrong_content_type", "html_page", "empty_body",
        "top_level_array", "top_level_null", "array_missing", "array_null", "null_row",
        "duplicate_rows", "item_count_wrong", "rows_missing", "page_wrong", "pagination_missing",
        "unknown_status", "number_nan", "number_null", "stamp_missing", "lone_surrogate",
        "id_missing", "contact_missing", "total_disagrees", "extra_fields",
    ),
    "F6 answers": _rules(
        "elements_missing", "elements_extra", "elements_none", "elements_reversed",
    ),
    "F11 expired": _rules("expire_tokens", path="/api.xro"),
    "F11 barred": (
        *_rules("forbidden"),
        {"kind": "error_503", "path": "/connect/token"},
    ),
    "F11 revoked": (
        {"kind": "revoke_consent", "path": "/api.xro"},
        {"kind": "invalid_grant"},
    ),
}  # fmt: skip
"""Families that a seed switches on or off; the rules are the sandbox's, or ours for what a
server cannot do."""


class Weather:
    """Spoils calls as a seed decides."""

    def __init__(self, world: World, choices: Choices, kinds: tuple[str, ...], rate: float) -> None:
        self.world = world
        self.choices = choices
        self.rules = [rule for kind in kinds for rule in FAULTS[kind]]
        self.rate = rate
        self.tell: Callable[[str], None] = lambda text: None
        self._after: str = ""

    def strike(self, call: Call) -> None:
        """Perhaps something happens to this call: raises what a client sees, or prepares Xero."""
        self._after = ""
        if not self.rules or not self.choices.chance(self.rate):
            return
        rule = self.choices.pick(self.rules)
        self.tell(f"fault {rule['kind']} {rule.get('error', '')}")
        if rule["kind"] == "total_disagrees":
            self.world.silent |= self._any_void()
        if rule["kind"] != "ours":
            self.world.app.faults.add({"count": 1, **rule})
            return
        if rule["error"] == "refused":
            raise httpx2.ConnectError("refused", request=call.request)
        if rule["error"] == "timeout before":
            self.world.frozen.advance(15)
            raise httpx2.ReadTimeout("too slow", request=call.request)
        self._after = rule["error"]

    def _any_void(self) -> bool:
        """A void invoice's sums can't be checked (xero-facts 3.8): what is wrong of them looks
        right, and has no stamp."""
        books = [self.world.sales(country) for country in self.world.countries]
        return any(invoice.status in GONE for rows in books for invoice in rows)

    def pass_by(self, call: Call) -> None:
        """The call was answered, or not: what did not happen to it happens to no other."""
        self.world.app.faults.remove()
        if self._after:
            self._after = ""
            self.world.frozen.advance(15)
            raise httpx2.ReadTimeout("too slow", request=call.request)
