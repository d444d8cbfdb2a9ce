"""Components say what they are given, escaped, for eyes and for screen readers."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.template import engines
from django.template.loader import render_to_string

from justpayme.core.badge import BADGES
from justpayme.core.zones import zone
from justpayme.web.format import day, moment, money

NOW = datetime(2026, 11, 19, 14, 32, tzinfo=UTC)
HOSTILE = "</p><script>alert(1)</script>"


def draw(text: str, **values: Any) -> str:
    return str(engines["django"].from_string("{% load jpm %}" + text).render(values))


@pytest.mark.parametrize("badge", BADGES.values(), ids=lambda b: b.key)
def test_badge_is_icon_word_and_tone(badge: Any) -> None:
    drawn = draw("{% badge b %}", b=badge)
    assert drawn.startswith(f'<span class="badge tone-{badge.tone}"><svg class="i" aria-hidden')
    assert f'href="#i-{badge.icon}"' in drawn
    assert drawn.endswith(f"</svg>{badge.label}</span>")


def test_quiet_badge_loses_its_fill_in_lists_only() -> None:
    assert "bare" in draw("{% badge b bare=True %}", b=BADGES["readonly"])
    assert "bare" not in draw("{% badge b %}", b=BADGES["readonly"])
    assert "bare" not in draw("{% badge b bare=True %}", b=BADGES["refused"])


def test_backticks_become_code_and_everything_is_escaped() -> None:
    drawn = draw("{{ said|code }}", said=f"Send `a<b` now {HOSTILE} `open")
    assert drawn.startswith("Send <code>a&lt;b</code> now ")
    assert "<script>" not in drawn


@pytest.mark.parametrize("status", ["draft", "active", "overdue", "paid", "void"])
def test_stamp_has_the_word(status: str) -> None:
    assert draw("{% stamp s %}", s=status).endswith(f"</svg>{status.capitalize()}</span>")


def test_components_leave_no_gap_before_what_follows() -> None:
    values = {
        "b": BADGES["synced"],
        "m": moment(NOW - timedelta(minutes=3), NOW, zone("Europe/London")),
        "a": money(Decimal("-1.5"), "EUR", home="GBP"),
        "d": day(date(2026, 12, 3), date(2026, 11, 19)),
    }
    text = "{% badge b %}|{% stamp 'paid' %}|{% moment m %}|{% money a %}|{% day d %}|"
    for part in draw(text, **values).split("|"):
        assert part == part.strip()


def test_moment_carries_exact_time_and_ages_in_the_browser() -> None:
    drawn = draw("{% moment m short=True %}", m=moment(NOW - timedelta(minutes=3), NOW, UTC))
    assert 'datetime="2026-11-19T14:29:00+00:00"' in drawn
    assert 'title="Thursday 19 November 2026, 14:29:00 UTC"' in drawn
    assert 'data-relative="short">3 min ago</time>' in drawn
    old = draw("{% moment m %}", m=moment(NOW - timedelta(days=3), NOW, UTC))
    assert "data-relative" not in old


def test_money_shows_sign_code_and_zero_in_second_ink() -> None:
    foreign = draw("{% money a %}", a=money(Decimal("-1.5"), "EUR", home="GBP"))
    assert "\u2212€1.50" in foreign
    assert '<span class="code two">EUR</span>' in foreign
    assert 'class="amt zero"' in draw("{% money a %}", a=money(Decimal(0), "GBP"))


def test_figure_is_final_stale_or_plain() -> None:
    drawn = [
        draw("{% figure 'Outstanding' '£1.00' lead=True state=s %}", s=s)
        for s in ("final", "stale", "")
    ]
    assert '<span class="final">£1.00</span>' in drawn[0]
    assert '<span class="final stale">£1.00</span>' in drawn[1]
    assert "final" not in drawn[2]


class Sample(forms.Form):
    amount = forms.CharField(label="Amount", help_text="In pounds", max_length=5)
    agreed = forms.BooleanField(label="Agreed", required=False)
    kind = forms.ChoiceField(label="Kind", choices=[("a", "A"), ("b", "B")], required=False)


def test_field_ties_label_hint_and_error_together() -> None:
    drawn = draw("{% field f.amount %}", f=Sample({"amount": HOSTILE}))
    assert '<label for="id_amount">Amount' in drawn
    assert 'aria-invalid="true"' in drawn
    assert 'id="id_amount-hint"' in drawn
    assert 'id="id_amount-error"' in drawn
    described = re.search(r'aria-describedby="([^"]+)"', drawn)
    assert described
    assert set(described.group(1).split()) == {"id_amount-hint", "id_amount-error"}
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn


def test_field_of_a_box_to_tick_has_its_label_beside_it() -> None:
    drawn = draw("{% field f.agreed %}", f=Sample())
    assert '<label class="check" for="id_agreed"><input type="checkbox"' in drawn
    assert 'class="in"' not in drawn


def test_optional_field_says_so() -> None:
    assert "(optional)" in draw("{% field f.kind %}", f=Sample())
    assert "(optional)" not in draw("{% field f.amount %}", f=Sample())


def test_error_summary_links_to_the_fields() -> None:
    form = Sample({"amount": HOSTILE, "kind": HOSTILE})
    form.add_error(None, HOSTILE)
    drawn = render_to_string("web/components/errors.html", {"form": form})
    assert "3 things need another look" in drawn
    assert '<a href="#id_amount">Amount</a>' in drawn
    assert "<script>" not in drawn
    assert render_to_string("web/components/errors.html", {"form": Sample()}).strip() == ""


def test_note_and_timeline_escape_what_they_are_given() -> None:
    note = {"tone": "warn", "icon": "warn", "title": HOSTILE, "text": HOSTILE, "id": "n"}
    drawn = render_to_string("web/components/note.html", {"note": note})
    change = {"label": HOSTILE, "old": HOSTILE, "new": HOSTILE}
    entry = {
        "tone": "go",
        "icon": "pencil",
        "what": HOSTILE,
        "changes": [change],
        "by": HOSTILE,
        "moment": moment(NOW, NOW, UTC),
    }
    drawn += render_to_string("bills/timeline.html", {"entries": [entry]})
    assert "<script>" not in drawn
    assert drawn.count("&lt;script&gt;") == 7
    assert '<span class="vh">from </span>' in drawn


def test_pager_names_where_it_leads() -> None:
    pager = {"text": "1 to 12 of 40", "next_url": "?after=12", "next_label": "Next 12"}
    drawn = render_to_string("web/components/pager.html", {"pager": pager})
    assert 'rel="next">Next 12' in drawn
    assert 'rel="prev"' not in drawn
