"""Django's system checks about our settings: `check --deploy` and every start run them."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from justpayme.runtime.config import Config, Reading, is_loopback, missing_for_serving


@register(Tags.security)
def settings_are_usable(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every problem of the environment is an error here too, for starts without our command."""
    reading: Reading = settings.READING
    return [Error(one.sentence, id="justpayme.E001") for one in reading.problems]


@register(Tags.security, deploy=True)
def ready_for_people(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What is fine on one's own machine and wrong where others come in."""
    config: Config = settings.CONFIG
    errors = [Error(one.sentence, id="justpayme.E002") for one in missing_for_serving(config)]
    if config.debug:
        errors.append(Error("JUSTPAYME_DEBUG is on. Remove it.", id="justpayme.E003"))
    if is_loopback(config.hostname):
        errors.append(
            Error(
                f"JUSTPAYME_BASE_URL is {config.base_url}, which only this machine reaches, and "
                f"Xero would send people to {config.redirect_uri}. Set it to the address that "
                "people type, with https.",
                id="justpayme.E004",
            )
        )
    return list(errors)
