from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    name = "justpayme.integrations"
    label = "integrations"
