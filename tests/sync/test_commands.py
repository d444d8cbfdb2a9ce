"""`justpayme sync` and `justpayme verify` when there is nothing to do."""

from argparse import Namespace
from collections.abc import Callable

import pytest

from justpayme.sync.commands import check, sync

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("command", [sync, check])
def test_no_connected_organisation_is_said_and_not_silence(
    command: Callable[[Namespace], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(Namespace(organisation=None, json=True)) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "No Xero organisation is connected here." in said.err
