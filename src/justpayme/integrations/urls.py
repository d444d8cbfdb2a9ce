"""Settings > Integrations."""

from django.urls import path

from justpayme.integrations import views, views_direction, views_lists

app_name = "integrations"
urlpatterns = [
    path("integrations/", views.index, name="index"),
    path("integrations/xero/", views.xero, name="xero"),
    path("integrations/conflicts/", views_lists.conflicts, name="conflicts"),
    path("integrations/conflicts/resolve/", views_lists.resolve, name="resolve"),
    path("integrations/outbox/", views_lists.outbox, name="outbox"),
    path("integrations/outbox/retry/", views_lists.retry, name="retry"),
    path("integrations/outbox/<int:pk>/contact/", views_lists.decide_contact, name="contact"),
    path("integrations/xero/connect/", views.connect, name="connect"),
    path("integrations/xero/callback/", views.callback, name="callback"),
    path("integrations/xero/outcome/<slug:code>/", views.outcome, name="outcome"),
    path("integrations/xero/choose/", views.choose, name="choose"),
    path("integrations/xero/<int:pk>/", views.organisation, name="organisation"),
    path("integrations/xero/<int:pk>/progress/", views.progress, name="progress"),
    path("integrations/xero/<int:pk>/sync/", views.sync_now, name="sync_now"),
    path("integrations/xero/<int:pk>/settings/", views.settings, name="settings"),
    path(
        "integrations/xero/<int:pk>/direction/", views_direction.choose_direction, name="direction"
    ),
    path("integrations/xero/<int:pk>/stayed/<slug:code>/", views_direction.stayed, name="stayed"),
    path("integrations/xero/<int:pk>/preview/", views_direction.preview, name="preview"),
    path("integrations/xero/<int:pk>/one-way/", views_direction.one_way, name="one_way"),
    path("integrations/xero/<int:pk>/defaults/", views_direction.defaults_page, name="defaults"),
    path("integrations/xero/<int:pk>/lists/", views_direction.refresh_lists, name="refresh_lists"),
    path("integrations/xero/<int:pk>/resume/", views.resume, name="resume"),
    path("integrations/xero/<int:pk>/reconnect/", views.reconnect, name="reconnect"),
    path("integrations/xero/<int:pk>/disconnect/", views.disconnect, name="disconnect"),
    path("integrations/xero/<int:pk>/runs/", views.runs, name="runs"),
    path("integrations/xero/<int:pk>/runs/<int:run_pk>/", views.run, name="run"),
]
