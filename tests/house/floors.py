"""On which floor a file stands (ARCHITECTURE.md): it may import its own floor and those below."""

from __future__ import annotations

from fnmatch import fnmatchcase

GROUND, CORE, EDGES, ENGINE, ACTIONS, WEB = range(6)

FLOORS: tuple[tuple[str, int], ...] = (
    ("justpayme", GROUND),
    ("justpayme.runtime.config", GROUND),
    ("justpayme.runtime.command", GROUND),
    ("justpayme.runtime.logs", GROUND),
    ("justpayme.*.migrations*", EDGES),
    ("justpayme.core*", CORE),
    ("justpayme.xero*", EDGES),
    ("justpayme.*.models", EDGES),
    ("justpayme.*.queries", EDGES),
    # Small helpers beside the tables, of which the floors above make use.
    ("justpayme.accounts.access", EDGES),
    ("justpayme.accounts.defaults", EDGES),
    ("justpayme.accounts.fields", EDGES),
    ("justpayme.accounts.invitations", EDGES),
    ("justpayme.accounts.mail", EDGES),
    ("justpayme.accounts.sealing", EDGES),
    ("justpayme.accounts.security_log", EDGES),
    ("justpayme.accounts.tokens", EDGES),
    ("justpayme.bills.asof", EDGES),
    ("justpayme.bills.codes", EDGES),
    ("justpayme.bills.currencies", EDGES),
    ("justpayme.bills.paging", EDGES),
    ("justpayme.sync.commands", WEB),
    ("justpayme.sync", EDGES),
    ("justpayme.sync.*", ENGINE),
    ("justpayme.*.actions", ACTIONS),
    # The parts of the verbs of bills.
    ("justpayme.bills.acting", ACTIONS),
    ("justpayme.bills.deciding", ACTIONS),
    ("justpayme.bills.filling", ACTIONS),
    ("justpayme.bills.held", ACTIONS),
    ("justpayme.bills.receiving", ACTIONS),
    ("justpayme.integrations.plan", EDGES),
    ("justpayme.integrations.candidates", ACTIONS),
    ("justpayme.integrations.defaults", ACTIONS),
    ("justpayme.integrations.describe", ACTIONS),
    ("justpayme.integrations.direction", ACTIONS),
    ("justpayme*", WEB),
)
"""The first pattern that fits. A file that nobody placed stands on top, where it can harm none."""

ROOMS = ("justpayme.accounts", "justpayme.bills", "justpayme.sync")
"""Apps from the lowest to the highest: models import other models downwards only."""


def floor(module: str) -> int:
    """The floor of one of our modules."""
    return next(level for pattern, level in FLOORS if fnmatchcase(module, pattern))


def is_tables(module: str) -> bool:
    """Does this module define or read tables?"""
    return module.endswith((".models", ".queries")) or ".migrations" in module
