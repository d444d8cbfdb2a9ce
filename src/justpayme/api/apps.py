"""The Django app of the JSON API; it owns the table that counts calls."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """Registers the tables of the API."""

    name = "justpayme.api"
    label = "api"
    verbose_name = "API"
