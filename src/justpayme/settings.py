"""Django's settings. Whatever a person may change comes from the environment by `Config`.

Importing this file never fails for a missing variable (type checkers do it with none set);
`justpayme` refuses to start instead, and Django itself refuses to use an empty SECRET_KEY.
"""

import os

from justpayme.runtime.config import database_settings, is_loopback, read
from justpayme.runtime.logs import configure_structlog, logging_settings

READING = read(os.environ)
CONFIG = READING.config

# --- what others of our files read -------------------------------------------------------------

JUSTPAYME_HOME = CONFIG.home
JUSTPAYME_BASE_URL = CONFIG.base_url
JUSTPAYME_METRICS_TOKEN = CONFIG.metrics_token
XERO_CLIENT_ID = CONFIG.xero_client_id
XERO_CLIENT_SECRET = CONFIG.xero_client_secret
XERO_WEBHOOK_KEYS = CONFIG.xero_webhook_keys
XERO_LOGIN_URL = CONFIG.xero_login_url
XERO_IDENTITY_URL = CONFIG.xero_identity_url
XERO_API_URL = CONFIG.xero_api_url
TOKEN_KEYS = CONFIG.token_keys if CONFIG.secret_key else {}
"""Key id -> 32 bytes. The first seals; all open, so a key can be changed without a loss."""

# --- Django ------------------------------------------------------------------------------------

DEBUG = CONFIG.debug
SECRET_KEY = CONFIG.secret_key
SECRET_KEY_FALLBACKS = list(CONFIG.secret_key_previous)

INSTALLED_APPS = [
    # Ours first where templates of theirs are replaced.
    "justpayme.web",
    "justpayme.runtime",
    "justpayme.accounts",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "django_structlog",
    "procrastinate.contrib.django",
    "justpayme.bills",
    "justpayme.sync",
    "justpayme.integrations",
    "justpayme.api",
]

MIDDLEWARE = [
    "justpayme.api.middleware.Measure",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "justpayme.web.middleware.ContentSecurityPolicy",
    "justpayme.api.middleware.Probes",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "justpayme.accounts.middleware.CurrentBusiness",
]

ROOT_URLCONF = "justpayme.urls"
WSGI_APPLICATION = "justpayme.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "justpayme.web.context.frame",
            ],
        },
    }
]

# --- database ----------------------------------------------------------------------------------

_EMBEDDED_URL = f"postgresql://justpayme@/justpayme?host={CONFIG.home}/postgres/socket"
DATABASES = {"default": database_settings(CONFIG.database_url or _EMBEDDED_URL)}
DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
DATABASES["default"]["OPTIONS"] = {
    "application_name": "justpayme",
    "connect_timeout": 10,
    "options": (
        "-c statement_timeout=30s -c lock_timeout=10s "
        "-c idle_in_transaction_session_timeout=60s -c timezone=UTC"
    ),
    **DATABASES["default"]["OPTIONS"],
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

# --- people ------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 10}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_ADAPTER = "justpayme.accounts.adapter.AccountAdapter"
MFA_ADAPTER = "justpayme.accounts.adapter.TotpAdapter"
ACCOUNT_SIGNUP_FORM_CLASS = "justpayme.accounts.signup.SignupDetails"
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {
    name: f"justpayme.accounts.allauth_forms.{form}"
    for name, form in (
        ("add_email", "ChangeEmailForm"),
        ("change_password", "ChangePasswordForm"),
        ("login", "LoginForm"),
        ("reauthenticate", "ReauthenticateForm"),
        ("reset_password", "ResetPasswordForm"),
        ("reset_password_from_key", "ResetPasswordKeyForm"),
        ("signup", "SignupForm"),
    )
}
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_RATE_LIMITS = {
    "login_failed": "10/m/ip,10/5m/key",
    "invite": "30/h/user",
    "invitation": "20/m/ip",
}
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if CONFIG.https else "http"
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if CONFIG.https else 0
"""Behind the proxy that ends TLS, the last address in X-Forwarded-For is the visitor's."""
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "JustPayMe"
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_FORMS = {
    name: f"justpayme.accounts.allauth_forms.{form}"
    for name, form in (
        ("authenticate", "CodeForm"),
        ("reauthenticate", "CodeAgainForm"),
        ("activate_totp", "ActivateTOTPForm"),
    )
}

# --- the way in --------------------------------------------------------------------------------

_LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = sorted({CONFIG.hostname, *_LOOPBACK})
CSRF_FAILURE_VIEW = "justpayme.web.views.csrf_failure"
CSRF_TRUSTED_ORIGINS = [CONFIG.base_url]
SESSION_COOKIE_NAME = "__Host-session" if CONFIG.https else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if CONFIG.https else "csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFIG.https
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if CONFIG.https:
    # The proxy that ends TLS must set this header itself and drop a visitor's own (runbook).
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = not is_loopback(CONFIG.hostname)
    SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
"""A bill of 200 lines has 1,400 fields and a few more."""

# --- language, time, files ---------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# --- cache: rate limits must hold over all web processes, so they are kept in the database ------

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

# --- e-mail ------------------------------------------------------------------------------------

EMAIL_BACKEND = {
    "console": "django.core.mail.backends.console.EmailBackend",
    "file": "django.core.mail.backends.filebased.EmailBackend",
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
}[CONFIG.email.kind]
EMAIL_FILE_PATH = str(CONFIG.email.folder or "")
EMAIL_HOST = CONFIG.email.host
EMAIL_PORT = CONFIG.email.port
EMAIL_HOST_USER = CONFIG.email.user
EMAIL_HOST_PASSWORD = CONFIG.email.password
EMAIL_USE_SSL = CONFIG.email.tls == "ssl"
EMAIL_USE_TLS = CONFIG.email.tls == "starttls"
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = SERVER_EMAIL = CONFIG.email.sender
EMAIL_SUBJECT_PREFIX = ACCOUNT_EMAIL_SUBJECT_PREFIX = ""

# --- logs --------------------------------------------------------------------------------------

configure_structlog()
LOGGING = logging_settings(CONFIG.log_level)
