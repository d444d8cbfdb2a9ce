"""What a history entry says was changed."""

from typing import Any

from justpayme.bills.told import Change, told_changes

THEME = "c381e88f-38c0-48fd-8712-b8bc076f3787"


def told(field: str, old: Any, new: Any) -> list[Change]:
    changes, more = told_changes([{"field": field, "old": old, "new": new}], "GBP", {})
    assert more == 0
    return changes


def payment(amount: str, remote_id: str = "") -> dict[str, Any]:
    return {"kind": "payment", "amount": amount, "on": "2026-11-22", "remote_id": remote_id}


def line(text: str, remote_id: str = "", **more: Any) -> dict[str, Any]:
    return {"description": text, "line_amount": "480.00", "remote_id": remote_id, **more}


def test_what_xero_only_names_was_not_changed():
    assert told("payments", [payment("5")], [payment("5", "p-1")]) == []
    assert told("lines", [line("A"), line("B")], [line("A", "1"), line("B", "2")]) == []
    assert told("rate", None, "1.0000000000") == []


def test_what_xero_names_in_another_order_was_not_changed():
    assert (
        told("payments", [payment("5"), payment("6")], [payment("6", "b"), payment("5", "a")]) == []
    )


def test_what_xero_names_and_changes_is_told_once():
    (change,) = told("lines", [line("A")], [line("A", "1", tax_type="OUTPUT2")])
    assert change == Change("A, tax rate", "None given", "OUTPUT2")


def test_another_payment_beside_one_that_is_only_named_is_new():
    was, now = [payment("5")], [payment("7", "b"), payment("5", "a")]
    (change,) = told("payments", was, now)
    assert (change.old, change.new) == ("nothing", "£7.00 on 22 Nov 2026")


def test_items_with_other_ids_are_others():
    was, now = [payment("5", "a")], [payment("6", "b")]
    assert [(c.old, c.new) for c in told("payments", was, now)] == [
        ("nothing", "£6.00 on 22 Nov 2026"),
        ("£5.00 on 22 Nov 2026", "nothing"),
    ]


def test_a_theme_is_never_shown_as_an_id():
    (change,) = told("branding_theme", "", THEME)
    assert change == Change("Branding theme", "None given", "a theme of Xero’s")
