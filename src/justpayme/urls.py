"""Every address of the web application, by the room that answers it.

Health checks are answered before any of these: `justpayme.api.middleware.PROBES`.
"""

from django.urls import include, path

from justpayme.integrations.views_webhook import webhook
from justpayme.runtime.config import WEBHOOK_PATH

urlpatterns = [
    path(WEBHOOK_PATH.lstrip("/"), webhook, name="xero_webhook"),
    path("api/v1/", include("justpayme.api.urls")),
    path("settings/", include("justpayme.integrations.urls")),
    path("", include("justpayme.accounts.urls")),
    path("account/", include("justpayme.accounts.allauth_urls")),
    path("", include("justpayme.web.urls")),
    path("", include("justpayme.bills.urls")),
]

handler400 = "justpayme.web.views.bad_request"
handler403 = "justpayme.web.views.forbidden"
handler404 = "justpayme.web.views.not_found"
handler500 = "justpayme.web.views.server_error"
