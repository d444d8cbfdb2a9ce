"""The theme switch and the pages for what went wrong."""

from __future__ import annotations

import secrets

import structlog
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import requires_csrf_token
from django.views.decorators.http import require_POST

from justpayme.accounts.models import User
from justpayme.api.errors import Refusal
from justpayme.web.theme import COOKIE, COOKIE_SECONDS

log = structlog.get_logger(__name__)
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
NO_ACCESS = "Your role in this business does not allow this."


def safe_next(request: HttpRequest, fallback: str = "/") -> str:
    """The page to go back to, if it is one of ours; else `fallback`."""
    wanted = request.POST.get("next", "") or request.GET.get("next", "")
    own = {request.get_host()}
    if url_has_allowed_host_and_scheme(wanted, own, require_https=request.is_secure()):
        return wanted
    return fallback


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme: in the account of a signed-in person, in a cookie for others."""
    chosen = request.POST.get("theme", "")
    if chosen not in User.Theme.values:
        raise BadRequest("The theme is System, Light or Dark. Press one of the three buttons.")
    response = HttpResponse(status=303, headers={"Location": safe_next(request)})
    if isinstance(request.user, User):
        User.objects.filter(pk=request.user.pk).update(theme=chosen)
    response.set_cookie(
        COOKIE,
        chosen,
        max_age=COOKIE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def new_reference() -> str:
    """A short code that a person can read out: 7F3K-92QD."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(8))
    return f"{code[:4]}-{code[4:]}"


def _sentence(exception: Exception | None) -> str:
    """The words that our own code gave for the refusal; nothing from anywhere else."""
    own = isinstance(exception, PermissionDenied | BadRequest)
    return str(exception) if own else ""


def _error(request: HttpRequest, status: int, said: str = "") -> HttpResponse:
    if wants_json(request):
        return Refusal(status, said).response()
    return render(request, f"web/{status}.html", {"said": said}, status=status)


def wants_json(request: HttpRequest) -> bool:
    """Programs get their errors as JSON, in the API's one shape."""
    return request.path.startswith("/api/")


@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: what was sent can't be understood."""
    return _error(request, 400, _sentence(exception))


@requires_csrf_token
def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: this person may not do that."""
    return _error(request, 403, _sentence(exception) or NO_ACCESS)


@requires_csrf_token
def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: no such page, or not for this business; the two look the same on purpose."""
    return _error(request, 404)


@requires_csrf_token
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form that was not made by one of our pages, or is too old."""
    log.warning("csrf_refused", reason=reason)
    return render(request, "web/csrf.html", status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500. Uses no database, no session and no context processor: any of them may be broken."""
    reference = new_reference()
    log.error("server_error", reference=reference, path=request.path)
    if wants_json(request):
        sentence = f"Something broke on our side. Try again later, or tell us {reference}."
        return Refusal(500, sentence).response()
    values = {"reference": reference, "path": request.path if request.method == "GET" else "/"}
    return HttpResponse(render_to_string("web/500.html", values), status=500)
