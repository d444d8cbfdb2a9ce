"""Why one field of a bill is not what Xero says, in words, and what mending it means. Pure.

Our value and Xero's are each compared with the *base*, the last version both books agreed on
(core/merge.py); who may have moved it is known from the link and from Xero's stamp:

    ours moved   Xero's moved   known of it               cause
    yes          no             a person edited the bill  edited
    yes          yes            a person edited the bill  both
    yes          either         nobody did                changed_here
    no           yes            the stamp is newer        changed_in_xero
    no           yes            the stamp is the same     silent_in_xero

What is missing on one side, or contradicts itself inside Xero, has no base to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a field differs. The values are what `justpayme verify --json` says."""

    EDITED = "edited"
    BOTH = "both"
    CHANGED_HERE = "changed_here"
    CHANGED_IN_XERO = "changed_in_xero"
    SILENT_IN_XERO = "silent_in_xero"
    MISSING_HERE = "missing_here"
    NOT_IN_XERO = "not_in_xero"
    XERO_DISAGREES = "xero_disagrees"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one field that differs.

    `edited`: a person changed the bill, or something of it waits for Xero. `newer`: Xero's
    version has a newer stamp than the one held. `ours_moved`, `xero_moved`: against the base.
    """

    edited: bool
    newer: bool
    ours_moved: bool
    xero_moved: bool


def cause_of(seen: Evidence) -> Cause:
    """Which of the table's rows this is."""
    if seen.ours_moved and seen.edited:
        return Cause.BOTH if seen.xero_moved else Cause.EDITED
    if seen.ours_moved:
        return Cause.CHANGED_HERE
    return Cause.CHANGED_IN_XERO if seen.newer else Cause.SILENT_IN_XERO


WHY = {
    Cause.EDITED: "a person changed it here, and it has not reached Xero",
    Cause.BOTH: "a person changed it here, and somebody in Xero too",
    Cause.CHANGED_HERE: "our row was changed behind the sync's back",
    Cause.CHANGED_IN_XERO: "changed in Xero since it was last read",
    Cause.SILENT_IN_XERO: "changed in Xero without a new time stamp",
    Cause.MISSING_HERE: "no bill here is this invoice",
    Cause.NOT_IN_XERO: "Xero has no such invoice",
    Cause.XERO_DISAGREES: "inside Xero the invoice and its payments and credits disagree",
}

_FIX = {
    Cause.BOTH: "takes Xero's value and keeps ours as a conflict",
    Cause.CHANGED_HERE: "puts Xero's value back",
    Cause.CHANGED_IN_XERO: "takes Xero's value",
    Cause.SILENT_IN_XERO: "takes Xero's value",
    Cause.MISSING_HERE: "ties the bill that was this invoice to it again, or makes one",
    Cause.NOT_IN_XERO: "unties the bill from Xero and keeps it as one that is only here",
    Cause.XERO_DISAGREES: "can only read it again; it must be put right in Xero",
}
_EDITED = {
    False: "sends ours to Xero, unless Xero refuses it or a person must decide first",
    True: "takes Xero's value, for nothing may be sent there, and keeps ours as a conflict",
}


def fix_of(cause: Cause, *, read_only: bool) -> str:
    """What `--fix` does about it. `read_only`: the organisation is one-directional."""
    return _EDITED[read_only] if cause is Cause.EDITED else _FIX[cause]
