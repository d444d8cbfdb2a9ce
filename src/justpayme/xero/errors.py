"""Xero's answer → one error of our catalogue. Nowhere else.

Classified from facts (status, headers, the Detail word), never by searching prose for digits.
Sources: xero-facts 1.7 (authorisation), 2.1 and 2.2 (limits, outages), 3.5 (400s).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from justpayme.core.errors import Problem

_LONGEST_WAIT = 86_400.0
_DEFAULT_WAIT = {"minute_limit": 60.0, "day_limit": 3600.0, "app_limit": 60.0}


class TokenExpired(Exception):
    """401 TokenExpired: refresh once and ask again."""


def classify(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> Problem | TokenExpired:
    """What an answer other than 2xx means. `now` (UTC) turns a Retry-After date into seconds."""
    if status == 429:
        return _limited(headers, now)
    if status in (401, 403):
        return _unauthorised(status, body)
    if status >= 500:
        return _unavailable(status, body)
    if status == 400 and (b"HighVolume" in body or b"high volume" in body):
        # The kind is only in the text of the 400, and payments say it in prose (xero-facts 3.1).
        return Problem("too_many_records", _excerpt(body))
    return Problem("refused_request", f"HTTP {status}: {_excerpt(body)}")


def _limited(headers: Mapping[str, str], now: datetime) -> Problem:
    """429: which limit, and when to come back (xero-facts 2.1). The app's is inferred from the
    remaining count, since its literal is not established; Retry-After is absent for the
    concurrency limit."""
    kind = headers.get("x-rate-limit-problem", "").strip().lower()
    if headers.get("x-appminlimit-remaining", "").strip() in ("0", "-1") or "app" in kind:
        code = "app_limit"
    elif kind == "day":
        code = "day_limit"
    elif kind == "minute" or "retry-after" in headers:
        code = "minute_limit"
    else:
        return Problem("concurrent_limit")
    wait = retry_after(headers.get("retry-after"), now)
    return Problem(code, retry_after=_DEFAULT_WAIT[code] if wait is None else wait)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, from delta-seconds or an HTTP date; at most a day; None if senseless."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value.lstrip("0")[:9] or 0), _LONGEST_WAIT)
    try:
        return min(max((parsedate_to_datetime(value) - now).total_seconds(), 0.0), _LONGEST_WAIT)
    except (ValueError, TypeError):
        return None


def _unauthorised(status: int, body: bytes) -> Problem | TokenExpired:
    detail = _detail(body)
    if status == 401 and detail.startswith("TokenExpired"):
        return TokenExpired(detail)
    if status == 401 and detail.startswith("AuthenticationUnsuccessful"):
        return TokenExpired(detail)
    if detail.startswith("AuthorizationUnsuccessful") or status == 401:
        return Problem("permission_missing", f"HTTP {status}: {detail}")
    # 403 AuthenticationUnsuccessful: the tenant is no longer ours (xero-facts 1.7).
    return Problem("removed_in_xero", f"HTTP {status}: {detail}")


def _unavailable(status: int, body: bytes) -> Problem:
    if b"Organisation is offline" in body:
        return Problem("organisation_offline")
    return Problem("xero_unavailable", f"HTTP {status}: {_excerpt(body)}")


def _detail(body: bytes) -> str:
    """The Detail of Xero's error body; its key's case has varied (xero-facts 1.7)."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(data, dict):
        return ""
    return str({str(k).lower(): v for k, v in data.items()}.get("detail") or "")[:200]


def _excerpt(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace").replace("\x00", "")
