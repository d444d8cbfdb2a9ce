"""The addresses of pages that belong to no room."""

from django.urls import path

from justpayme.web import views

app_name = "web"
urlpatterns = [path("theme/", views.theme, name="theme")]
