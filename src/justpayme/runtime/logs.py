"""Logs: JSON lines on stderr for machines, plain lines on a terminal, secrets never.

A value whose name says token, secret, authorization, code, password or cookie is replaced
before it is written, at any depth.
"""

import re
import sys
from collections.abc import Mapping, MutableMapping
from logging.config import dictConfig
from typing import Any

import structlog

HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"(token|secret|authorization|password|passphrase|cookie|credential|api_?key|webhook_?key)"
    r"|(^|[^a-z])code$",
    re.IGNORECASE,
)
_HARMLESS = frozenset({"status_code", "error_code", "currency_code", "country_code", "exit_code"})
_IN_TEXT = re.compile(
    r"(?i)((?:access_token|refresh_token|id_token|client_secret|code|password|state)=)[^&\s\"']+"
    r"|(bearer |basic )[a-z0-9._~+/=-]{8,}"
    r"|(/account/(?:invitation|confirm-email|password/reset/key)/)[^\s?\"']+"
)


def is_secret_name(name: str) -> bool:
    """Whether a value with this name must not be written to a log."""
    return name.lower() not in _HARMLESS and bool(_SECRET_NAME.search(name))


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The structlog processor that hides secrets by their names and in addresses."""
    return {name: _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, (int, float, type(None))):
        return value  # no secret of ours is a number, and a request's status is called "code"
    if is_secret_name(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean("", inner) for inner in value]
    if isinstance(value, str):
        return _IN_TEXT.sub(lambda found: f"{found[1] or found[2] or found[3]}{HIDDEN}", value)
    return value


SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.PositionalArgumentsFormatter(),
]


def configure_structlog() -> None:
    """Send structlog's own loggers through the standard library's, where one formatter waits."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def logging_settings(level: str, *, terminal: bool | None = None) -> dict[str, Any]:
    """Django's LOGGING: everything to stderr, JSON unless a person watches the terminal."""
    human = sys.stderr.isatty() if terminal is None else terminal
    last: list[Any] = [redact]
    if human:
        last.append(structlog.dev.ConsoleRenderer(colors=False))
    else:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": SHARED,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "procrastinate": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
            "httpcore2": {"level": "WARNING"},
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
        },
    }


def set_up(level: str) -> None:
    """Logs for a process that does not start Django, such as the supervisor."""
    configure_structlog()
    dictConfig(logging_settings(level))
