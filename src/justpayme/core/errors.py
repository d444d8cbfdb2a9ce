"""The catalogue of what can go wrong with the sync: code, sentence, who can fix it, what to do.

Errors are named by what happens next. `xero/errors.py` is the one place that turns an
answer of Xero's into one of these; every page, e-mail and command takes its words from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Next(StrEnum):
    """What the sync does after an error."""

    RETRY = "retry"
    """Nothing for a person to do; the next scheduled sync tries again."""
    WAIT = "wait"
    """Xero told us when to come back."""
    RECONNECT = "reconnect"
    """Only a person's consent heals it; no further call is made."""
    HALT = "halt"
    """A safety stop: nothing was written, a person decides."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of error: what happened (`sentence`), what is safe (`means`), what to do."""

    code: str
    next: Next
    sentence: str
    means: str
    remedy: str
    fixer: str = "nobody"


_SAFE = "No bill was changed."
_LATER = "We try again by ourselves at the next sync."

CATALOGUE: dict[str, Entry] = {
    entry.code: entry
    for entry in (
        Entry(
            "xero_unreachable",
            Next.RETRY,
            "Xero could not be reached.",
            "Your bills stay as they were at the last check.",
            _LATER,
        ),
        Entry(
            "xero_unavailable",
            Next.RETRY,
            "Xero answered that it is not available right now.",
            "Your bills stay as they were at the last check.",
            _LATER,
        ),
        Entry(
            "organisation_offline",
            Next.RETRY,
            "Xero says that this organisation is offline for a moment.",
            "Your bills stay as they were at the last check.",
            _LATER,
        ),
        Entry(
            "minute_limit",
            Next.WAIT,
            "Xero's limit of calls a minute is used up.",
            "Nothing is lost; the sync goes on where it stopped.",
            "We go on as soon as Xero allows it.",
        ),
        Entry(
            "day_limit",
            Next.WAIT,
            "Xero's allowance of calls for today is used up.",
            "Nothing is lost; the sync goes on where it stopped.",
            "We go on when Xero's day is over. A longer time between syncs uses fewer calls.",
            fixer="you",
        ),
        Entry(
            "app_limit",
            Next.WAIT,
            "Xero is limiting calls of all JustPayMe users for a moment.",
            "Nothing is lost; the sync goes on where it stopped.",
            "We go on as soon as Xero allows it.",
        ),
        Entry(
            "concurrent_limit",
            Next.RETRY,
            "Too many calls to Xero were under way at once.",
            "Nothing is lost; the sync goes on where it stopped.",
            _LATER,
        ),
        Entry(
            "wrong_shape",
            Next.RETRY,
            "Xero's answer was not what it should be, so we did not believe it.",
            _SAFE,
            "We try again at the next sync. If it goes on, tell us.",
            fixer="us",
        ),
        Entry(
            "refused_request",
            Next.RETRY,
            "Xero refused to answer our question.",
            _SAFE,
            "We try again at the next sync. If it goes on, tell us.",
            fixer="us",
        ),
        Entry(
            "too_many_records",
            Next.RETRY,
            "Xero holds more than it gives in one question, and we can't ask for less.",
            _SAFE,
            "It takes very many contacts, invoices of one day or changes at once. Tell us.",
            fixer="us",
        ),
        Entry(
            "consent_lost",
            Next.RECONNECT,
            "Xero has stopped letting us in.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Reconnect Xero. Every setting is kept.",
            fixer="owner",
        ),
        Entry(
            "removed_in_xero",
            Next.RECONNECT,
            "Somebody disconnected JustPayMe inside Xero.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Reconnect Xero, or disconnect here too.",
            fixer="owner",
        ),
        Entry(
            "permission_missing",
            Next.RECONNECT,
            "Xero says that we lack a permission we need.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Reconnect Xero and leave every permission ticked.",
            fixer="owner",
        ),
        Entry(
            "organisation_changed",
            Next.HALT,
            "This connection now leads to a different Xero organisation.",
            _SAFE,
            "Disconnect it, and connect the organisation you mean.",
            fixer="owner",
        ),
        Entry(
            "mass_void",
            Next.HALT,
            "Xero would void an unusual number of your open bills at once.",
            "We stopped before that happened.",
            "Look in Xero. If it is right, let the sync go on.",
            fixer="owner",
        ),
        Entry(
            "stopped",
            Next.RETRY,
            "The sync was stopped before its end.",
            "Nothing is lost; the sync goes on where it stopped.",
            _LATER,
        ),
        Entry(
            "internal",
            Next.RETRY,
            "Something went wrong on our side.",
            "No half-written bill is left behind.",
            "We try again at the next sync, and the details are in our log.",
            fixer="us",
        ),
        Entry(
            "consent_refused",
            Next.RECONNECT,
            "Xero was not connected, because consent was not given.",
            "Nothing was connected and nothing was changed.",
            "Start again when you are ready.",
            fixer="owner",
        ),
        Entry(
            "sign_in_expired",
            Next.RECONNECT,
            "The sign-in at Xero took too long or was used before.",
            "Nothing was connected and nothing was changed.",
            "Connect Xero again.",
            fixer="owner",
        ),
        Entry(
            "no_organisation",
            Next.RECONNECT,
            "Xero gave us access to no organisation that we can sync.",
            "Nothing was connected and nothing was changed.",
            "Connect Xero again and choose an organisation.",
            fixer="owner",
        ),
        Entry(
            "key_missing",
            Next.RETRY,
            "This installation's secret key does not open the stored access to Xero.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Whoever runs JustPayMe must set JUSTPAYME_SECRET_KEY to the key that was in use.",
            fixer="operator",
        ),
        Entry(
            "wrong_settings",
            Next.RETRY,
            "Xero does not accept this installation's client id or secret.",
            "Nothing was connected and nothing was changed.",
            "Whoever runs JustPayMe must correct XERO_CLIENT_ID and XERO_CLIENT_SECRET.",
            fixer="operator",
        ),
    )
}


class Problem(Exception):
    """Something of the catalogue happened. `detail` is for the log and the run row, not a page.

    `retry_after` is in seconds, if Xero gave it.
    """

    def __init__(self, code: str, detail: str = "", *, retry_after: float | None = None) -> None:
        self.entry = CATALOGUE[code]
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(f"{code}: {detail}" if detail else code)

    @property
    def code(self) -> str:
        """The catalogue's code."""
        return self.entry.code

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        return self.entry.sentence
