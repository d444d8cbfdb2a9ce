"""Pieces of HTML that escape everything put into them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from markupsafe import Markup
from werkzeug.wrappers import Response

from xero_sandbox.oauth import USER_EMAIL, USER_NAME

Cells = Sequence[object]
TEMPLATES = Path(__file__).parent / "templates"
STYLE = Markup((TEMPLATES / "style.css").read_text())  # noqa: S704 - our own file
SHELL = Markup((TEMPLATES / "shell.html").read_text())  # noqa: S704 - our own file


def page(title: str, body: Markup, status: int = 200) -> Response:
    """A whole page; never framed (1.1)."""
    html = SHELL.format(title=title, style=STYLE, body=body, user=USER_NAME, email=USER_EMAIL)
    headers = {
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return Response(html, status, content_type="text/html; charset=utf-8", headers=headers)


def form(action: str, back: str, fields: Markup, label: str, look: str = "") -> Markup:
    """A form with one button."""
    return Markup(
        '<form method="post" action="/do/{}">{}{}<div class="actions">'
        '<button type="submit" class="{}">{}</button></div></form>'
    ).format(action, hidden("back", back), fields, look, label)


def field(
    label: str, name: str, value: str, *, kind: str = "text", required: bool = False
) -> Markup:
    """A labelled input."""
    return Markup('<label>{}<input type="{}" name="{}" value="{}"{}></label>').format(
        label, kind, name, value, Markup(" required") if required else ""
    )


def select(
    label: str, name: str, options: Iterable[tuple[str, object]], chosen: str | None = None
) -> Markup:
    """A labelled choice of (value, text) pairs."""
    listed = join(
        Markup('<option value="{}"{}>{}</option>').format(
            value, Markup(" selected") if value == chosen else "", text
        )
        for value, text in options
    )
    return Markup('<label>{}<select name="{}">{}</select></label>').format(label, name, listed)


def fields(*parts: Markup) -> Markup:
    """Inputs side by side where there is room."""
    return Markup('<div class="fields">{}</div>').format(join(parts))


def more(summary: str, body: Markup) -> Markup:
    """Something that is not needed often, folded away."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, body)


def items(rows: Iterable[Markup], none: str) -> Markup:
    """A list, or a sentence when there is nothing."""
    listed = join(Markup("<li>{}</li>").format(row) for row in rows)
    return Markup("<ul>{}</ul>").format(listed) if listed else Markup("<p>{}</p>").format(none)


def hidden(name: str, value: str) -> Markup:
    """A hidden field."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(name, value)


def notice(done: str) -> Markup:
    """A sentence after something was done."""
    return Markup('<p class="done" role="status">Done.</p>') if done else Markup("")


def join(parts: Iterable[Markup]) -> Markup:
    """One piece of markup from many."""
    return Markup("").join(parts)


def amount(value: Decimal) -> str:
    """Money with thousands separators."""
    return f"{value:,.2f}"


def plain(value: Decimal) -> str:
    """A number as one would type it."""
    return f"{value.normalize():f}"


def table(caption: str, heads: Sequence[str], rows: Iterable[Cells], numbers: set[int]) -> Markup:
    """A table; on a phone each row is a card, so the roles are said explicitly."""
    titles = join(
        Markup('<th scope="col" role="columnheader"{}>{}</th>').format(_look(index, numbers), head)
        for index, head in enumerate(heads)
    )
    body = join(
        Markup('<tr role="row">{}</tr>').format(
            join(
                Markup('<td role="cell" data-label="{}"{}>{}</td>').format(
                    heads[index], _look(index, numbers), cell
                )
                for index, cell in enumerate(cells)
            )
        )
        for cells in rows
    )
    return Markup(
        '<table role="table" aria-label="{}"><thead role="rowgroup"><tr role="row">{}</tr></thead>'
        '<tbody role="rowgroup">{}</tbody></table>'
    ).format(caption, titles, body)


def _look(index: int, numbers: set[int]) -> Markup:
    return Markup(' class="n"') if index in numbers else Markup("")
