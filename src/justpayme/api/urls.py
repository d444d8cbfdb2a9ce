"""Addresses under /api/v1/. Everything that answers here answers in JSON, but the docs page."""

from django.urls import URLPattern, path, re_path

from justpayme.api import views
from justpayme.api.v1 import api

app_name = "api"


def _operations() -> list[URLPattern]:
    """django-ninja's addresses, each with a view that shapes what the library does not."""
    found = [p for p in api.urls[0] if isinstance(p, URLPattern) and p.name != "api-root"]
    for pattern in found:
        pattern.callback = views.shaped(pattern.callback)
    return found


urlpatterns = [
    path("openapi.json", views.openapi, name="openapi"),
    path("docs", views.docs, name="docs"),
    *_operations(),
    re_path(r"^(?P<rest>.*)$", views.unknown, name="unknown"),
]
