"""The pages that a person sees: plain HTML without scripts, phone first, light and dark."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape
from werkzeug.wrappers import Response

from xero_sandbox.oauth import USER_EMAIL, USER_NAME, AuthorizeRequest

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox

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


def authorize_error(error: str) -> Response:
    """A wrong authorize URL: shown here, never redirected (1.4)."""
    body = Markup(
        "<h1>Sorry, something went wrong</h1><p>The app asked in a way that Xero does not accept."
        "</p><dl><dt>Error</dt><dd><code>{}</code></dd></dl>"
    ).format(error)
    return page("Something went wrong", body, 400)


def consent(
    sandbox: "Sandbox",
    asked: AuthorizeRequest,
    parameters: Mapping[str, str],
    nothing_chosen: bool = False,
) -> Response:
    """Choose organisations, allow or cancel."""
    kind = "radio" if asked.one_only else "checkbox"
    connected = {c.tenant_id for c in sandbox.identity.visible()}
    choices = Markup("").join(
        Markup(
            '<label class="choice"><input type="{}" name="tenant" value="{}"{}>'
            "<span><strong>{}</strong><small>{} · {}{}</small></span></label>"
        ).format(
            kind,
            ledger.organisation.id,
            Markup(" checked") if len(sandbox.store.ledgers) == 1 else "",
            ledger.organisation.name,
            ledger.organisation.country,
            ledger.organisation.currency,
            " · already connected" if tenant_id in connected else "",
        )
        for tenant_id, ledger in sandbox.store.ledgers.items()
    )
    hidden = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value)
        for name, value in parameters.items()
        if name not in ("tenant", "decision")
    )
    scopes = Markup("").join(Markup("<li><code>{}</code></li>").format(s) for s in asked.scopes)
    problem = "Choose one organisation." if asked.one_only else "Choose at least one organisation."
    body = Markup(CONSENT).format(  # noqa: S704 - our own text
        app=sandbox.identity.app.name,
        choices=choices,
        hidden=hidden,
        scopes=scopes,
        problem=Markup('<p class="problem" role="alert">{}</p>').format(problem)
        if nothing_chosen
        else "",
        user=escape(f"{USER_NAME} ({USER_EMAIL})"),
    )
    return page("Allow access", body, 400 if nothing_chosen else 200)


CONSENT = """
<h1>{app} wants access to your organisation data</h1>
<p>Signed in as {user}.</p>
{problem}
<form method="post">
{hidden}
<fieldset><legend>Organisations to connect</legend>{choices}</fieldset>
<details><summary>What {app} asks for</summary><ul>{scopes}</ul></details>
<div class="actions">
<button type="submit" name="decision" value="allow">Allow access</button>
<button type="submit" name="decision" value="cancel" class="quiet">Cancel</button>
</div>
</form>
"""
