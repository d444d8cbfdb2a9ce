"""Lists of settings: filters, order, If-Modified-Since, one row."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.sandbox.client import Xero


def codes(xero: Xero, **args: str) -> list[str]:
    return [row["Code"] for row in xero.get("Accounts", **args).json()["Accounts"]]


@pytest.mark.parametrize(
    ("where", "keep"),
    [
        ('Type=="BANK"', lambda a: a["Type"] == "BANK"),
        ('Status=="ACTIVE" AND Class=="revenue"', lambda a: a["Code"] in ("200", "260")),
        ("EnablePaymentsToAccount==true", lambda a: a["EnablePaymentsToAccount"]),
        ("SystemAccount!=null", lambda a: a.get("SystemAccount")),
        ('Name.Contains("Sales")', lambda a: "Sales" in a["Name"]),
        ('Code=="none of them"', lambda a: False),
    ],
)
def test_accounts_are_filtered(
    connected: Xero, where: str, keep: Callable[[dict[str, Any]], bool]
) -> None:
    every = connected.get("Accounts").json()["Accounts"]
    assert codes(connected, where=where) == [a["Code"] for a in every if keep(a)]


def test_accounts_are_ordered(connected: Xero) -> None:
    every = connected.get("Accounts").json()["Accounts"]
    by_name = sorted(every, key=lambda a: a["Name"].casefold())
    assert codes(connected, order="Name") == [a["Code"] for a in by_name]
    assert codes(connected, order="name DESC") == [a["Code"] for a in by_name][::-1]
    assert len(codes(connected, order="SystemAccount ASC")) == len(every)


@pytest.mark.parametrize(
    "asked", [{"where": "Colour==1"}, {"order": "Colour"}, {"order": "Name UP"}]
)
def test_what_accounts_do_not_have_is_a_query_error(connected: Xero, asked: dict[str, str]) -> None:
    answer = connected.get("Accounts", **asked)
    assert (answer.status_code, answer.json()["Type"]) == (400, "QueryParseException")


def test_accounts_come_again_only_after_a_change(connected: Xero) -> None:
    since = {"If-Modified-Since": "2026-11-22T10:00:00"}
    assert connected.get("Accounts", headers=since).json()["Accounts"] == []
    connected.act("archive-account", tenant=connected.tenant(), account="260")
    assert connected.get("Accounts", headers=since).json()["Accounts"] != []


@pytest.mark.parametrize(
    ("path", "key"), [("Accounts", "AccountID"), ("BrandingThemes", "BrandingThemeID"),
                      ("TaxRates", "TaxType")],
)  # fmt: skip
def test_one_row_by_its_key_in_any_letter_case(connected: Xero, path: str, key: str) -> None:
    rows = connected.get(path).json()[path]
    for name in (rows[1][key], rows[1][key].upper()):
        assert connected.get(f"{path}/{name}").json()[path] == [rows[1]]


@pytest.mark.parametrize("path", ["Accounts/090", "TaxRates/x", "Currencies/GBP", "Organisation/1"])
def test_an_unknown_key_is_not_found(connected: Xero, path: str) -> None:
    assert connected.get(path).status_code == 404
