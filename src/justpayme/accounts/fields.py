"""Form fields that accounts need more than once."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from babel.core import get_global
from django import forms
from django.core.exceptions import ValidationError

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
JOINERS = {"\u200c", "\u200d"}
"""Invisible, yet needed to write some names."""


def check_visible(text: str) -> None:
    """Refuse signs that can't be seen: line breaks, controls, direction changes."""
    for sign in text:
        if unicodedata.category(sign) in HIDDEN and sign not in JOINERS:
            raise ValidationError(
                "This holds a sign that can’t be shown. Type the name instead of pasting it."
            )


REQUIRED = {"required": "Please fill this in."}


class NameField(forms.CharField):
    """A name on one line, of anything that can be seen."""

    def __init__(self, *, autocomplete: str = "off", **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.TextInput(attrs={"autocomplete": autocomplete}))
        super().__init__(error_messages=REQUIRED, **kwargs)

    def run_validators(self, value: str) -> None:
        check_visible(value)
        super().run_validators(value)


@cache
def time_zones() -> list[tuple[str, str]]:
    """Every place with a zone, by its present name ("Asia/Kolkata", not "Asia/Calcutta").

    CLDR knows which names are places of a territory and which are only other names for one.
    """
    places = get_global("zone_territories").keys() - get_global("zone_aliases").keys()
    names = sorted(n for n in available_timezones() & places if not n.startswith("Etc/"))
    return [(name, name.replace("_", " ")) for name in (*names, "UTC")]
