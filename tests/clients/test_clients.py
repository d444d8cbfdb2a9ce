"""Public clients, exactly as published, work against the sandbox; and they notice when it lies.

See README.md of this folder: these tests make environments from the package index, so they run
in the full run and when they are named, not every day.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.clients import run

README = (run.HERE / "README.md").read_text()
pytestmark = [pytest.mark.layer("public clients"), pytest.mark.timeout(900)]


@pytest.mark.parametrize("client", run.CLIENTS)
def test_a_client_does_all_it_should_and_the_books_agree(
    client: str, cases: Callable[[int], None]
) -> None:
    results = run.run(client)
    cases(len(results))
    failed = [f"{result.name}\n{result.detail}" for result in results if not result.ok]
    assert not failed, "\n".join(failed)
    assert f"| {results[0].version} | {len(results)} |" in README, "README.md says otherwise"


@pytest.mark.parametrize("client", run.CLIENTS)
@pytest.mark.parametrize("lie", ["total_disagrees", "rows_missing", "amount_negative"])
def test_a_sandbox_that_lies_is_found_out(
    client: str, lie: str, cases: Callable[[int], None]
) -> None:
    with run.sandbox() as address:
        run.post(address, "/sandbox/faults", {"kind": lie, "path": "/invoices", "count": None})
        results = run.run_suite(client, address)
    cases(1)
    assert any("the client has" in result.detail for result in results if not result.ok)
