"""Settings > Integrations."""

from django.urls import path

from justpayme.integrations import views

app_name = "integrations"
urlpatterns = [
    path("integrations/", views.index, name="index"),
    path("integrations/xero/", views.xero, name="xero"),
    path("integrations/xero/connect/", views.connect, name="connect"),
    path("integrations/xero/callback/", views.callback, name="callback"),
    path("integrations/xero/outcome/<slug:code>/", views.outcome, name="outcome"),
    path("integrations/xero/choose/", views.choose, name="choose"),
    path("integrations/xero/<int:pk>/", views.organisation, name="organisation"),
    path("integrations/xero/<int:pk>/progress/", views.progress, name="progress"),
    path("integrations/xero/<int:pk>/sync/", views.sync_now, name="sync_now"),
    path("integrations/xero/<int:pk>/settings/", views.settings, name="settings"),
    path("integrations/xero/<int:pk>/resume/", views.resume, name="resume"),
    path("integrations/xero/<int:pk>/reconnect/", views.reconnect, name="reconnect"),
    path("integrations/xero/<int:pk>/disconnect/", views.disconnect, name="disconnect"),
    path("integrations/xero/<int:pk>/runs/", views.runs, name="runs"),
    path("integrations/xero/<int:pk>/runs/<int:run_pk>/", views.run, name="run"),
]
