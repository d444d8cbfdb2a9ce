"""The pages around the API: its schema, a page to read it, and the answer for unknown addresses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from justpayme.api.errors import Refusal, translated
from justpayme.api.reference import operations
from justpayme.api.v1 import schema

View = Callable[..., HttpResponse]


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The schema, for programs. It holds nothing about any business."""
    return JsonResponse(schema(), json_dumps_params={"ensure_ascii": False})


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The schema, for people: plain HTML of our own, nothing loaded from elsewhere."""
    found = operations(schema())
    about = schema()["info"]["description"]
    return render(request, "api/docs.html", {"operations": found, "about": about.splitlines()})


@csrf_exempt
def unknown(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Any other address under /api/v1/."""
    return Refusal(404, "There is no such address in the API; see /api/v1/docs.").response()


def shaped(view: View) -> View:
    """Give what django-ninja itself does not shape (405, a body that is too large) our shape."""

    @csrf_exempt
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **values: Any) -> HttpResponse:
        try:
            response = view(request, *args, **values)
        except Exception as error:
            refusal = translated(error)
            if refusal is None:
                raise
            return refusal.response()
        if response.status_code == 405:
            return Refusal(405, headers={"Allow": response["Allow"]}).response()
        return response

    return inner
