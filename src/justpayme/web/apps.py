from django.apps import AppConfig


class WebConfig(AppConfig):
    """Base templates, components, styles and the frame around every page."""

    name = "justpayme.web"
    label = "web"
