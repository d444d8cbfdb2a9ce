from django.apps import AppConfig


class RuntimeConfig(AppConfig):
    """Brings the system checks of our settings along; it has no tables."""

    name = "justpayme.runtime"
    label = "runtime"

    def ready(self) -> None:
        """Register the checks."""
        from justpayme import checks  # noqa: F401
