"""Template tags of the design: `{% load jpm %}`.

Each draws one component of `web/components/`; words and tones come from the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import qrcode  # type: ignore[import-untyped]
from django import template
from django.forms import BoundField
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from justpayme.core.badge import Badge
from justpayme.web.format import Day, Moment, Money

register = template.Library()

ICON = '<svg class="i{}" aria-hidden="true" viewBox="0 0 24 24"><use href="#i-{}"/></svg>'
CODE = (mark_safe("<code>"), mark_safe("</code>"))
QR = (
    '<svg class="qr" role="img" aria-label="The same key as a QR code" viewBox="0 0 {0} {0}">'
    '<rect class="qr-light" width="{0}" height="{0}"/><path class="qr-dark" d="{1}"/></svg>'
)


@register.filter
def code(text: str) -> SafeString:
    """A text of ours, escaped, with what stands between backticks shown as code."""
    parts = enumerate(text.split("`"))
    return format_html_join(
        "", "{}{}{}", ((CODE[0], part, CODE[1]) if at % 2 else ("", part, "") for at, part in parts)
    )


@dataclass(frozen=True, slots=True)
class Stamp:
    """A status as icon, word and tone; `dash` marks what does not count yet or any more."""

    label: str
    icon: str
    tone: str
    dash: bool = False


STAMPS = {
    "draft": Stamp("Draft", "pencil", "calm", dash=True),
    "active": Stamp("Active", "dot", "go"),
    "overdue": Stamp("Overdue", "glass", "bad"),
    "paid": Stamp("Paid", "check", "ok"),
    "void": Stamp("Void", "void", "calm", dash=True),
    "connected": Stamp("Connected", "check", "ok"),
    "syncing": Stamp("Syncing", "refresh", "go"),
    "attention": Stamp("Needs attention", "warn", "warn"),
    "disconnected": Stamp("Disconnected", "unlink", "calm"),
}
"""Keys are `core.bill.shown_status` values and the four connection states."""


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """One icon of the sprite; always beside words, so hidden from screen readers."""
    return format_html(ICON, f" {extra}" if extra else "", name)


@register.inclusion_tag("web/components/badge.html")
def badge(value: Badge, bare: bool = False) -> dict[str, Any]:
    """A sync badge; `bare=True` in lists, where a quiet badge loses its fill."""
    return {"badge": value, "bare": bare and value.quiet}


@register.inclusion_tag("web/components/stamp.html")
def stamp(status: str) -> dict[str, Any]:
    """A bill's or connection's status by its key."""
    return {"stamp": STAMPS[status]}


@register.inclusion_tag("web/components/money.html")
def money(value: Money, extra: str = "") -> dict[str, Any]:
    """An amount from `web.format.money`."""
    return {"money": value, "extra": extra}


@register.inclusion_tag("web/components/time.html")
def moment(value: Moment, short: bool = False) -> dict[str, Any]:
    """An instant from `web.format.moment`; `short` says "3 min ago"."""
    text = value.text
    if short and value.relative:
        text = text.replace("minute", "min").replace("mins", "min")
    return {"moment": value, "text": text, "short": short}


@register.inclusion_tag("web/components/day.html")
def day(value: Day) -> dict[str, Any]:
    """A calendar day from `web.format.day`."""
    return {"day": value}


@register.inclusion_tag("web/components/figure.html")
def figure(
    label: str, value: Any, note: Any = "", *, lead: bool = False, state: str = "", extra: str = ""
) -> dict[str, Any]:
    """One entry of a figure strip (`<dl class="figs">`).

    `state`: "final" draws the double rule, "stale" the dashed one, "" none.
    """
    return {
        "label": label,
        "value": value,
        "note": note,
        "lead": lead,
        "state": state,
        "extra": extra,
    }


@register.inclusion_tag("web/components/field.html")
def field(bound: BoundField, hint: str = "") -> dict[str, Any]:
    """A form field with label, hint and error, wired up for screen readers."""
    return {"field": bound, "hint": hint}


@register.simple_tag
def control(bound: BoundField) -> SafeString:
    """The bare control of a field with our class, `aria-describedby` and `aria-invalid`."""
    attrs: dict[str, Any] = {"aria-describedby": described_by(bound)}
    if bound.errors:
        attrs["aria-invalid"] = "true"
    if getattr(bound.field.widget, "input_type", "") not in ("checkbox", "radio"):
        attrs["class"] = f"{bound.field.widget.attrs.get('class', '')} in".strip()
    return bound.as_widget(attrs={name: value for name, value in attrs.items() if value})


def described_by(bound: BoundField) -> str:
    """Ids of the hint and of the error of this field."""
    parts = [bound.field.widget.attrs.get("aria-describedby", "")]
    if bound.help_text:
        parts.append(f"{bound.id_for_label}-hint")
    if bound.errors:
        parts.append(f"{bound.id_for_label}-error")
    return " ".join(part for part in parts if part)


@register.simple_tag
def qr(text: str) -> SafeString:
    """A QR code as an SVG in the page, dark on light in both themes."""
    code = qrcode.QRCode(border=4, box_size=1)
    code.add_data(text)
    rows = code.get_matrix()
    path = "".join(
        f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    return format_html(QR, len(rows), path)
