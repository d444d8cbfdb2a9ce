"""The table of layers tells what was tried, and silence is a failure."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

PLUGIN = 'pytest_plugins = ["tests.fixtures.layers"]'
QUIET = ("-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:django")


def run(pytester: pytest.Pytester, source: str, *more: str) -> pytest.RunResult:
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess(*QUIET, *more)


def test_the_table_adds_up_cases_and_failures(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.layer("audit")
        @pytest.mark.parametrize("n", [2, 3])
        def test_audit(cases, n):
            cases(n)
            cases(100, alike=1000)

        @pytest.mark.layer("restore")
        def test_restore(cases):
            cases(7)
            assert False

        def test_plain():
            pass
        """,
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.re_match_lines_random(
        [
            r"audit +205 +2,000 +0 +\d+",
            r"restore +7 +0 +1 +\d+",
            r"everything else +1 +0 +0 +\d+",
            r"all +213 +2,000 +1 +\d+",
        ]
    )


@pytest.mark.parametrize(
    ("layers", "passed"), [(("audit",), 1), (("audit", "everything else"), 2), (("restore",), 0)]
)
def test_lines_of_the_table_run_by_themselves(
    pytester: pytest.Pytester, layers: tuple[str, ...], passed: int
) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.layer("audit")
        def test_audit(cases):
            cases(1)

        def test_plain():
            pass
        """,
        *(f"--layer={name}" for name in layers),
    )
    result.assert_outcomes(passed=passed, deselected=2 - passed)


def test_a_test_of_a_layer_that_tried_nothing_fails(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.layer("audit")
        def test_silent():
            pass
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*must say how many cases*"])


def test_a_layer_nobody_knows_is_refused(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.layer("auditt")
        def test_typo(cases):
            cases(1)
        """,
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
