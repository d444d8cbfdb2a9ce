"""Every setting that comes from the environment, read and judged in one place.

`read(environment)` is pure: the same environment gives the same `Config` and the same problems.
A problem is a sentence that names the variable and the way out; a program that has one does not
start. `docs/settings.md` describes the same list for people.
"""

import base64
import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

DEFAULT_BASE_URL = "http://localhost:8000"
DEFAULT_XERO_LOGIN_URL = "https://login.xero.com"
DEFAULT_XERO_IDENTITY_URL = "https://identity.xero.com"
DEFAULT_XERO_API_URL = "https://api.xero.com"
CALLBACK_PATH = "/settings/integrations/xero/callback/"
WEBHOOK_PATH = "/webhooks/xero"
SECRET_LENGTH = 40
"""Fewest characters of JUSTPAYME_SECRET_KEY; `justpayme secret` prints a longer one."""

NAMES = (
    "JUSTPAYME_BASE_URL",
    "JUSTPAYME_DATABASE_URL",
    "JUSTPAYME_DEBUG",
    "JUSTPAYME_EMAIL_URL",
    "JUSTPAYME_HOME",
    "JUSTPAYME_LOG_LEVEL",
    "JUSTPAYME_METRICS_TOKEN",
    "JUSTPAYME_POSTGRES_BIN",
    "JUSTPAYME_SECRET_KEY",
    "JUSTPAYME_SECRET_KEY_PREVIOUS",
    "XERO_API_URL",
    "XERO_CLIENT_ID",
    "XERO_CLIENT_SECRET",
    "XERO_IDENTITY_URL",
    "XERO_LOGIN_URL",
    "XERO_WEBHOOK_KEY",
)
"""Every variable that `read` looks at, besides HOME and XDG_DATA_HOME."""


@dataclass(frozen=True)
class Fault:
    """A setting that cannot be used: which variable, and a sentence with the way out."""

    name: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class EmailConfig:
    """Where e-mail goes. `kind` is console, file or smtp; the rest belongs to that kind."""

    kind: str
    folder: Path | None = None
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    tls: str = ""
    """"" for plain text, "starttls" for smtp://, "ssl" for smtps://."""
    sender: str = "JustPayMe <justpayme@localhost>"


@dataclass(frozen=True)
class Config:
    """The settings of one installation, typed. Built only by `read`."""

    home: Path
    base_url: str
    secret_key: str = field(repr=False)
    secret_key_previous: tuple[str, ...] = field(repr=False)
    database_url: str = field(repr=False)
    email: EmailConfig
    xero_client_id: str
    xero_client_secret: str = field(repr=False)
    xero_webhook_keys: tuple[str, ...] = field(repr=False)
    xero_login_url: str
    xero_identity_url: str
    xero_api_url: str
    postgres_bin: Path | None
    log_level: str
    metrics_token: str = field(repr=False)
    debug: bool

    @property
    def embedded(self) -> bool:
        """Whether we run PostgreSQL ourselves, because no database address was given."""
        return not self.database_url

    @property
    def https(self) -> bool:
        """Whether people reach us by https, so that cookies must never travel without it."""
        return self.base_url.startswith("https://")

    @property
    def hostname(self) -> str:
        """The host people type, without the port."""
        return urlsplit(self.base_url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        """The port `serve` listens on: the address's own, or 8000 behind an https proxy."""
        return urlsplit(self.base_url).port or 8000

    @property
    def redirect_uri(self) -> str:
        """The address that must be registered for the app at Xero, to the letter."""
        return self.base_url + CALLBACK_PATH

    @property
    def webhook_address(self) -> str:
        """The address that the app at Xero sends its webhooks to."""
        return self.base_url + WEBHOOK_PATH

    @property
    def token_keys(self) -> dict[str, bytes]:
        """Key id -> 32 bytes for tokens at rest. The first one seals, the others only open."""
        keys = (derive_key(secret) for secret in (self.secret_key, *self.secret_key_previous))
        return {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}


@dataclass(frozen=True)
class Reading:
    """What an environment says: the settings, and what is wrong with them."""

    config: Config
    problems: tuple[Fault, ...]


def read(environment: Mapping[str, str], *, uid: int | None = None) -> Reading:
    """Read all settings. A wrong one gets its default in `config` and a line in `problems`."""
    reader = _Reader(environment)
    home = reader.home(os.geteuid() if uid is None else uid)
    config = Config(
        home=home,
        base_url=reader.address("JUSTPAYME_BASE_URL", DEFAULT_BASE_URL, with_path=False),
        secret_key=reader.secret(),
        secret_key_previous=tuple(reader.text("JUSTPAYME_SECRET_KEY_PREVIOUS").split()),
        database_url=reader.database_url(),
        email=reader.email(home),
        xero_client_id=reader.text("XERO_CLIENT_ID"),
        xero_client_secret=reader.text("XERO_CLIENT_SECRET"),
        xero_webhook_keys=reader.webhook_keys(),
        xero_login_url=reader.address("XERO_LOGIN_URL", DEFAULT_XERO_LOGIN_URL),
        xero_identity_url=reader.address("XERO_IDENTITY_URL", DEFAULT_XERO_IDENTITY_URL),
        xero_api_url=reader.address("XERO_API_URL", DEFAULT_XERO_API_URL),
        postgres_bin=reader.postgres_bin(),
        log_level=reader.log_level(),
        metrics_token=reader.text("JUSTPAYME_METRICS_TOKEN"),
        debug=reader.debug(),
    )
    reader.judge_pairs(config)
    return Reading(config, tuple(reader.problems))


def missing_for_serving(config: Config) -> tuple[Fault, ...]:
    """What `serve`, `web` and `worker` cannot do without, beyond each setting being right."""
    needed = (
        (
            config.secret_key,
            "JUSTPAYME_SECRET_KEY",
            "JUSTPAYME_SECRET_KEY is not set. It seals sessions and Xero's tokens. Run "
            "`justpayme secret` to make one, keep it somewhere safe, and set it.",
        ),
        (
            config.xero_client_id,
            "XERO_CLIENT_ID",
            "XERO_CLIENT_ID is not set. Create an app at https://developer.xero.com/app/manage "
            f"with the redirect address {config.redirect_uri} and set its client id.",
        ),
        (
            config.xero_client_secret,
            "XERO_CLIENT_SECRET",
            "XERO_CLIENT_SECRET is not set. Generate a secret on your app's page at "
            "https://developer.xero.com/app/manage and set it.",
        ),
    )
    missing = [Fault(name, sentence) for value, name, sentence in needed if not value]
    return (*missing, *_refused_by_xero(config))


def _refused_by_xero(config: Config) -> tuple[Fault, ...]:
    """Without https Xero sends people back to http://localhost only, and refuses
    http://127.0.0.1 (xero-facts 1.1). A local Xero is not that strict."""
    strict = config.xero_login_url == DEFAULT_XERO_LOGIN_URL
    if not strict or config.https or config.hostname == "localhost":
        return ()
    sentence = (
        f"JUSTPAYME_BASE_URL is {config.base_url}, but without https Xero only sends people back "
        "to http://localhost. Use https, or http://localhost with your port."
    )
    return (Fault("JUSTPAYME_BASE_URL", sentence),)


def new_secret() -> str:
    """A fresh value for JUSTPAYME_SECRET_KEY: 384 random bits, safe in a shell and in a URL."""
    return secrets.token_urlsafe(48)


def derive_key(secret: str) -> bytes:
    """The 32-byte key for tokens at rest, by HKDF-SHA256 (RFC 5869) from a secret key.

    Derived, so that the key for tokens and the one for sessions are never the same bytes.
    """
    extracted = hmac.digest(b"justpayme", secret.encode(), "sha256")
    return hmac.digest(extracted, b"xero tokens at rest\x01", "sha256")


def database_settings(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a postgresql:// address. Raises ValueError with a sentence.

    Query parameters go to libpq as they are (sslmode, target_session_attrs, and host for a
    socket folder).
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("it must start with postgresql://")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ValueError("it must end with the database's name")
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", name),
        "USER": unquote(parts.username or options.pop("user", "")),
        "PASSWORD": unquote(parts.password or options.pop("password", "")),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": options,
    }


def is_loopback(hostname: str) -> bool:
    """Whether a host name means this very machine, without asking a name server."""
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


class _Reader:
    """Reads values from an environment and collects the problems on the way."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[Fault] = []

    def text(self, name: str) -> str:
        return self.environment.get(name, "").strip()

    def problem(self, name: str, sentence: str) -> None:
        self.problems.append(Fault(name, f"{name} {sentence}"))

    def home(self, uid: int) -> Path:
        given = self.text("JUSTPAYME_HOME")
        if given:
            path = Path(given).expanduser()
            if path.is_absolute():
                return path
            self.problem("JUSTPAYME_HOME", f"is {given!r}. Give a whole path, such as /srv/bills.")
        if uid == 0:
            return Path("/var/lib/justpayme")
        data = self.text("XDG_DATA_HOME")
        if data and Path(data).is_absolute():
            return Path(data) / "justpayme"
        return Path(self.text("HOME") or "~").expanduser() / ".local/share/justpayme"

    def address(self, name: str, default: str, *, with_path: bool = True) -> str:
        """An http(s) address without a trailing slash; http only for this machine itself."""
        given = self.text(name)
        if not given:
            return default
        fault = _address_fault(given, with_path=with_path)
        if fault:
            self.problem(name, f"is {given!r}: {fault}. For example: {default}")
            return default
        return given.rstrip("/")

    def secret(self) -> str:
        given = self.text("JUSTPAYME_SECRET_KEY")
        if given and len(given) < SECRET_LENGTH:
            self.problem(
                "JUSTPAYME_SECRET_KEY",
                f"has only {len(given)} characters; it needs {SECRET_LENGTH} or more. "
                "Run `justpayme secret` to make one.",
            )
        return given

    def webhook_keys(self) -> tuple[str, ...]:
        """One key, or two while it is being changed."""
        keys = tuple(self.text("XERO_WEBHOOK_KEY").split())
        if len(keys) > 2:
            self.problem(
                "XERO_WEBHOOK_KEY",
                f"holds {len(keys)} keys. Give one, or two separated by a space while you "
                "change it.",
            )
        return keys[:2]

    def database_url(self) -> str:
        given = self.text("JUSTPAYME_DATABASE_URL")
        try:
            if given:
                database_settings(given)
        except ValueError as error:
            self.problem(
                "JUSTPAYME_DATABASE_URL",
                f"cannot be used: {error}. For example: "
                "postgresql://user:password@host:5432/justpayme (or leave it empty for the "
                "embedded server).",
            )
            return ""
        return given

    def postgres_bin(self) -> Path | None:
        given = self.text("JUSTPAYME_POSTGRES_BIN")
        if not given:
            return None
        if not (Path(given) / "postgres").is_file():
            self.problem(
                "JUSTPAYME_POSTGRES_BIN",
                f"is {given!r}, and there is no program named postgres in it. Set it to the "
                "folder that holds postgres and initdb, or remove it.",
            )
        return Path(given)

    def log_level(self) -> str:
        level = self.text("JUSTPAYME_LOG_LEVEL").upper() or "INFO"
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            self.problem("JUSTPAYME_LOG_LEVEL", f"is {level!r}. Use DEBUG, INFO, WARNING or ERROR.")
            return "INFO"
        return level

    def debug(self) -> bool:
        given = self.text("JUSTPAYME_DEBUG").lower()
        if given not in {"", "0", "1"}:
            self.problem("JUSTPAYME_DEBUG", f"is {given!r}. Use 1 for on, or remove it.")
        return given == "1"

    def email(self, home: Path) -> EmailConfig:
        given = self.text("JUSTPAYME_EMAIL_URL")
        if not given:
            return EmailConfig("file", folder=home / "mail")
        try:
            return _email(given)
        except ValueError as error:
            self.problem(
                "JUSTPAYME_EMAIL_URL",
                f"cannot be used: {error}. Use console:, file:/a/folder, or "
                "smtp://user:password@host:587?from=bills@example.com (smtps:// for port 465).",
            )
            return EmailConfig("console")

    def judge_pairs(self, config: Config) -> None:
        """Rules about two settings together."""
        for previous in config.secret_key_previous:
            if len(previous) < SECRET_LENGTH:
                self.problem(
                    "JUSTPAYME_SECRET_KEY_PREVIOUS",
                    f"holds a key of {len(previous)} characters; real ones have "
                    f"{SECRET_LENGTH} or more. Separate several by spaces.",
                )
        if bool(config.xero_client_id) != bool(config.xero_client_secret):
            name = "XERO_CLIENT_SECRET" if config.xero_client_id else "XERO_CLIENT_ID"
            other = "XERO_CLIENT_ID" if config.xero_client_id else "XERO_CLIENT_SECRET"
            self.problem(name, f"is not set but {other} is. They come as a pair: set both.")
        if config.debug and not is_loopback(config.hostname):
            self.problem(
                "JUSTPAYME_DEBUG",
                "is on while JUSTPAYME_BASE_URL is not this machine; error pages would show "
                "secrets to strangers. Remove JUSTPAYME_DEBUG.",
            )


def _address_fault(given: str, *, with_path: bool) -> str:
    """What is wrong with an http(s) address, as half a sentence; empty if nothing is."""
    try:
        parts = urlsplit(given)
        hostname = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "it is not an address"
    if parts.scheme not in {"http", "https"} or not hostname:
        return "it must start with https:// and a host"
    if parts.scheme == "http" and not is_loopback(hostname):
        return "it must be https, because only this machine itself may be reached without it"
    return _address_extras(parts, with_path=with_path)


def _address_extras(parts: SplitResult, *, with_path: bool) -> str:
    if parts.username is not None or parts.query or parts.fragment:
        return "it must not hold a user, a query or a fragment"
    if not with_path and parts.path.strip("/"):
        return "it must be a host without a path"
    return ""


def _email(given: str) -> EmailConfig:
    """Parse JUSTPAYME_EMAIL_URL. Raises ValueError with half a sentence."""
    parts = urlsplit(given)
    if parts.scheme == "console":
        return EmailConfig("console")
    if parts.scheme == "file":
        if not parts.path.startswith("/"):
            raise ValueError("file: needs a whole path")
        return EmailConfig("file", folder=Path(unquote(parts.path)))
    if parts.scheme not in {"smtp", "smtps"}:
        raise ValueError("it must start with console:, file:, smtp:// or smtps://")
    sender = dict(parse_qsl(parts.query)).get("from", "")
    if not parts.hostname or "@" not in sender:
        raise ValueError("smtp needs a host and ?from= with the sender's address")
    return EmailConfig(
        "smtp",
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=_tls(parts.scheme, parts.hostname),
        sender=sender,
    )


def _tls(scheme: str, hostname: str) -> str:
    """How the mail server is reached: only one on this machine may be spoken to in the clear."""
    if scheme == "smtps":
        return "ssl"
    return "" if is_loopback(hostname) else "starttls"


def short_hash(text: str) -> str:
    """Twelve characters that name a text, for file names. Not a secret."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:12].lower()
