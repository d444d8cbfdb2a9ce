"""Home, bills and clients."""

from django.urls import path

from justpayme.bills import views, views_clients, views_edit, views_past, views_way

app_name = "bills"
urlpatterns = [
    path("", views.home, name="home"),
    path("bills/", views.bills, name="bills"),
    path("bills/new/", views_edit.bill_new, name="bill_new"),
    path("bills/<int:pk>/", views.bill, name="bill"),
    path("bills/<int:pk>/at/", views_past.bill_at, name="bill_at"),
    path("bills/<int:pk>/at/<int:entry_pk>/", views_past.bill_after, name="bill_after"),
    path("bills/<int:pk>/edit/", views_edit.bill_edit, name="bill_edit"),
    path("bills/<int:pk>/approve/", views.bill_approve, name="bill_approve"),
    path("bills/<int:pk>/void/", views.bill_void, name="bill_void"),
    path("bills/<int:pk>/send/", views_way.bill_send, name="bill_send"),
    path("bills/<int:pk>/discard/", views_way.bill_discard, name="bill_discard"),
    path("bills/<int:pk>/conflicts/", views_way.bill_conflicts, name="bill_conflicts"),
    path("bills/<int:pk>/retry/", views_way.bill_retry, name="bill_retry"),
    path("bills/<int:pk>/contact/", views_way.bill_contact, name="bill_contact"),
    path("bills/<int:pk>/payments/new/", views_edit.payment_new, name="payment_new"),
    path(
        "bills/<int:pk>/payments/<int:payment_pk>/remove/",
        views.payment_remove,
        name="payment_remove",
    ),
    path("clients/", views_clients.clients, name="clients"),
    path("clients/new/", views_clients.client_new, name="client_new"),
    path("clients/<int:pk>/", views_clients.client, name="client"),
    path("clients/<int:pk>/edit/", views_clients.client_edit, name="client_edit"),
]
