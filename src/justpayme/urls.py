"""Every address of the web application, by the room that answers it."""

from importlib.util import find_spec

from django.urls import include, path

# TEMPORARY while the rooms are being built: a missing room has no addresses.
_ROOMS = [
    ("api/v1/", "justpayme.api.urls"),
    ("settings/", "justpayme.integrations.urls"),
    ("", "justpayme.accounts.urls"),
    ("account/", "justpayme.accounts.allauth_urls"),
    ("", "justpayme.web.urls"),
    ("", "justpayme.bills.urls"),
]


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


urlpatterns = [path(start, include(module)) for start, module in _ROOMS if _there(module)]
if _there("justpayme.api.ops"):
    from justpayme.api import ops

    urlpatterns += [
        path("livez", ops.livez, name="livez"),
        path("readyz", ops.readyz, name="readyz"),
        path("metrics", ops.metrics, name="metrics"),
    ]

handler400 = "justpayme.web.views.bad_request"
handler403 = "justpayme.web.views.forbidden"
handler404 = "justpayme.web.views.not_found"
handler500 = "justpayme.web.views.server_error"
