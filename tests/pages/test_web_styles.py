"""The style sheet and the templates keep the design's promises."""

import re
from pathlib import Path

import pytest

import justpayme

SOURCE = Path(justpayme.__file__).parent
CSS = (SOURCE / "web/static/web/app.css").read_text()
TEMPLATES = sorted(SOURCE.glob("*/templates/**/*.html"))
SPRITE = (SOURCE / "web/templates/web/icons.html").read_text()


def block(start: str) -> dict[str, str]:
    """The custom properties of the block that begins with `start`."""
    body = CSS.split(start, 1)[1].split("}", 1)[0]
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", body))


LIGHT = block(":root {\n    color-scheme: light;")
DARK = block(':root[data-theme="dark"] {')
DARK_BY_SYSTEM = block(':root:not([data-theme="light"]) {')


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_both_dark_blocks_are_equal() -> None:
    assert len(DARK) > 40
    assert DARK == DARK_BY_SYSTEM


def test_dark_names_every_colour_that_light_names() -> None:
    assert set(LIGHT) - set(DARK) == {"--qr-light", "--qr-dark"}
    assert set(DARK) <= set(LIGHT)


# Text, ground, ratio in light, ratio in dark: the design's measured table.
PAIRS = [
    ("ink", "surface", 18.0, 15.1),
    ("ink", "paper", 16.3, 16.6),
    ("ink-2", "surface", 9.1, 9.5),
    ("ink-2", "paper", 8.3, 10.5),
    ("ink-2", "sunken", 7.7, 10.3),
    ("link", "surface", 9.7, 9.9),
    ("link", "paper", 8.7, 10.9),
    ("on-primary", "primary", 18.0, 14.0),
    ("on-bar-2", "bar", 11.3, 9.5),
    ("ok", "ok-fill", 8.2, 9.0),
    ("go", "go-fill", 8.1, 8.8),
    ("warn", "warn-fill", 8.2, 9.7),
    ("bad", "bad-fill", 8.0, 9.3),
    ("clash", "clash-fill", 9.0, 9.4),
    ("calm", "calm-fill", 7.4, 8.3),
    ("line-strong", "surface", 3.9, 4.5),
]


@pytest.mark.parametrize(("text", "ground", "light", "dark"), PAIRS)
def test_contrast_is_what_the_design_measured(
    text: str, ground: str, light: float, dark: float
) -> None:
    for tokens, measured in ((LIGHT, light), (DARK, dark)):
        ratio = contrast(tokens[f"--{text}"], tokens[f"--{ground}"])
        assert ratio == pytest.approx(measured, abs=0.06)


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_tones_are_readable_on_a_sheet(tokens: dict[str, str]) -> None:
    for tone in ("ok", "go", "warn", "bad", "clash", "calm"):
        assert contrast(tokens[f"--{tone}"], tokens["--surface"]) >= 7
        assert contrast(tokens[f"--{tone}-mark"], tokens["--surface"]) >= 3


def test_no_literal_colour_below_the_tokens() -> None:
    below = CSS.split("@layer base {", 1)[1].split("@layer print {", 1)
    after_print = below[1].split("\n@layer ", 1)
    rest = below[0] + (after_print[1] if len(after_print) > 1 else "")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsl", rest) == []


def test_style_sheet_loads_nothing_from_elsewhere() -> None:
    assert re.findall(r"url\(\s*[\"']?(?:https?:|//|data:)", CSS) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_template_is_safe_under_a_strict_content_policy(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\sstyle\s*=", text)
    assert not re.search(r"<style", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text)
    assert "javascript:" not in text
    assert not re.search(r"\|\s*safe\b", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_template_uses_only_icons_of_the_sprite(path: Path) -> None:
    there = set(re.findall(r'id="i-(\w+)"', SPRITE))
    used = set(re.findall(r'{% icon "(\w+)"', path.read_text()))
    assert used <= there


def test_every_badge_and_stamp_has_its_icon_in_the_sprite() -> None:
    from justpayme.core.badge import BADGES
    from justpayme.web.templatetags.jpm import STAMPS

    there = set(re.findall(r'id="i-(\w+)"', SPRITE))
    assert {b.icon for b in BADGES.values()} | {s.icon for s in STAMPS.values()} <= there
