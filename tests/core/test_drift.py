"""Which cause a difference has, and that each has words."""

from __future__ import annotations

import pytest

from justpayme.core.drift import WHY, Cause, Evidence, cause_of, fix_of

# edited, newer, ours moved, Xero's moved: written out from the table of the module.
TABLE = [
    (True, False, True, False, Cause.EDITED),
    (True, True, True, False, Cause.EDITED),
    (True, False, True, True, Cause.BOTH),
    (True, True, True, True, Cause.BOTH),
    (False, False, True, False, Cause.CHANGED_HERE),
    (False, True, True, False, Cause.CHANGED_HERE),
    (False, False, True, True, Cause.CHANGED_HERE),
    (False, True, True, True, Cause.CHANGED_HERE),
    (False, True, False, True, Cause.CHANGED_IN_XERO),
    (True, True, False, True, Cause.CHANGED_IN_XERO),
    (False, False, False, True, Cause.SILENT_IN_XERO),
    (True, False, False, True, Cause.SILENT_IN_XERO),
]


@pytest.mark.parametrize(("edited", "newer", "ours", "xero", "cause"), TABLE)
def test_the_cause_of_a_difference(
    edited: bool, newer: bool, ours: bool, xero: bool, cause: Cause
) -> None:
    assert cause_of(Evidence(edited, newer, ours, xero)) is cause


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("read_only", [True, False])
def test_every_cause_says_why_and_what_the_fix_does(cause: Cause, read_only: bool) -> None:
    for words in (WHY[cause], fix_of(cause, read_only=read_only)):
        assert words
        assert words[-1] not in ".;"  # they are parts of a sentence


def test_an_edit_goes_out_only_where_it_may() -> None:
    """I-36."""
    assert fix_of(Cause.EDITED, read_only=False).startswith("sends")
    assert "conflict" in fix_of(Cause.EDITED, read_only=True)
