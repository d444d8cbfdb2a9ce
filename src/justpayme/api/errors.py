"""Every refusal of the API has one shape: a code, a sentence, and a sentence for each field.

`{"error": {"code": "invalid", "message": "…", "fields": {"due_on": "…"}}}`. The code is for
programs and never changes; the sentences are for people and may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError
from ninja.errors import ValidationError as ShapeError
from pydantic import Field

from justpayme.bills.actions import ActionError, Refused
from justpayme.core.errors import Problem
from justpayme.integrations.actions import NotPossible
from justpayme.integrations.defaults import BadDefaults

MAX_BODY = 1024 * 1024
"""Most bytes of a request's body. A bill with 1,000 lines is about 300 KiB."""

CODES: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request could not be read."),
    401: (
        "unauthorised",
        "Send a token that is in use as `Authorization: Bearer jpm_…`. "
        "An owner makes one in Settings, or with `justpayme token create`.",
    ),
    403: ("forbidden", "The person of this token may look but not do this."),
    404: ("not_found", "There is nothing at this address for this token."),
    405: ("method_not_allowed", "This address does not know that method."),
    409: ("conflict", "This cannot be done in the present state."),
    413: ("too_large", "The body may have at most 1 MiB."),
    415: ("not_json", "Send the body as JSON, with `Content-Type: application/json`."),
    422: ("invalid", "Some fields cannot be used; see `fields`."),
    429: ("too_many_calls", "Too many calls in this minute. Wait as `Retry-After` says."),
    500: ("server_error", "Something broke on our side. Nothing was changed; try again later."),
}
"""Status -> the code and the sentence used when there is nothing better to say."""


class ErrorBody(Schema):
    """What went wrong, for programs (`code`) and for people."""

    code: str = Field(description="Stable name of the kind of error.")
    message: str = Field(description="A sentence for a person.")
    fields: dict[str, str] = Field(
        description="A sentence for each field that cannot be used; `lines.0.quantity` is the "
        "quantity of the first line."
    )


class Error(Schema):
    """The shape of every answer that is not a success."""

    error: ErrorBody


class Refusal(Exception):
    """Ends a call with this status, sentence and fields."""

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})

    def response(self) -> HttpResponse:
        """The answer to send."""
        code, sentence = CODES[self.status]
        body = {"code": code, "message": self.message or sentence, "fields": self.fields}
        return JsonResponse({"error": body}, status=self.status, headers=self.headers)


def responses(*statuses: int) -> dict[int, type[Error]]:
    """What an operation declares in the schema for these refusals."""
    return dict.fromkeys(statuses, Error)


def install(api: NinjaAPI) -> None:
    """Give `api` our shape for every exception that an operation may raise."""
    for kind, translate in _TRANSLATIONS:
        api.add_exception_handler(kind, _handler(translate))


def translated(error: Exception) -> Refusal | None:
    """The refusal that this exception means, or None if it is a mistake of ours."""
    for kind, translate in reversed(_TRANSLATIONS):
        if isinstance(error, kind):
            refusal: Refusal = translate(error)
            return refusal
    return None


def _handler(
    translate: Callable[[Any], Refusal],
) -> Callable[[HttpRequest, Any], HttpResponse]:
    def handle(request: HttpRequest, error: Any) -> HttpResponse:
        return translate(error).response()

    return handle


def _from_http(error: HttpError) -> Refusal:
    """django-ninja wraps what the parser raised; the cause knows better than the wrapper."""
    if isinstance(error.__cause__, Refusal):
        return error.__cause__
    return Refusal(error.status_code if error.status_code in CODES else 400)


def _from_shape(error: ShapeError) -> Refusal:
    fields = {_field_name(item["loc"]): sentence_of(item) for item in error.errors}
    return Refusal(422, fields=fields)


def _from_rules(error: ValidationError) -> Refusal:
    """A rule of ours refused: Django's ValidationError, with or without fields."""
    if not hasattr(error, "error_dict"):
        return Refusal(422, " ".join(error.messages))
    plain = {
        name: " ".join(messages)
        for name, messages in error.message_dict.items()
        if name != NON_FIELD_ERRORS
    }
    whole = error.message_dict.get(NON_FIELD_ERRORS, [])
    return Refusal(422, " ".join(whole), fields=plain)


def _from_verb(error: Refused) -> Refusal:
    """A verb refused the values; its field names become ours."""
    fields = {_api_name(name): said for name, said in error.problems.items()}
    whole = fields.pop("", "")
    return Refusal(422, whole, fields=fields)


def _api_name(name: str) -> str:
    *parts, last = name.split("-")
    return ".".join([*parts, _API_NAMES.get(last, last)])


_API_NAMES = {"client": "client_id", "contact": "contact_id", "line_id": "id"}


def _default_names(problems: Mapping[str, str]) -> dict[str, str]:
    """`receiver_GBP` of the form is `receivers.GBP` here."""
    return {name.replace("receiver_", "receivers."): said for name, said in problems.items()}


def _from_xero(problem: Problem) -> Refusal:
    """Xero could not be asked, or did not let us: what happened, and what to do."""
    said = (problem.sentence, problem.entry.means, problem.entry.remedy)
    return Refusal(409, " ".join(filter(None, said)))


_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[Any], Refusal]], ...] = (
    (SuspiciousOperation, lambda error: Refusal(400)),
    (UnreadablePostError, lambda error: Refusal(400)),
    (RequestDataTooBig, lambda error: Refusal(413)),
    (HttpError, _from_http),
    (AuthenticationError, lambda error: Refusal(401, headers={"WWW-Authenticate": "Bearer"})),
    (Http404, lambda error: Refusal(404)),
    (ObjectDoesNotExist, lambda error: Refusal(404)),
    (ActionError, lambda error: Refusal(409, str(error))),
    (NotPossible, lambda error: Refusal(409, str(error))),
    (Problem, _from_xero),
    (BadDefaults, lambda error: Refusal(422, fields=_default_names(error.problems))),
    (Refused, _from_verb),
    (PermissionDenied, lambda error: Refusal(403, str(error))),
    (ValidationError, _from_rules),
    (ShapeError, _from_shape),
    (Refusal, lambda error: error),
)
"""Later entries are the more exact ones."""


def _field_name(where: Iterable[Any]) -> str:
    """`("body", "data", "lines", 0, "quantity")` -> `lines.0.quantity`."""
    parts = [str(part) for part in where]
    if parts[:1] == ["body"]:
        parts = parts[2:] or ["body"]
    else:
        parts = parts[1:] if len(parts) < 3 else parts[2:]
    return ".".join(parts)[:200]


_SENTENCES = {
    "missing": "This field is needed.",
    "extra_forbidden": "There is no such field here; leave it out.",
    "string_type": "Send text in quotes.",
    "string_too_long": "Use at most {max_length} characters.",
    "string_too_short": "Use at least {min_length} characters.",
    "string_pattern_mismatch": "Write it in the form that the schema shows.",
    "string_unicode": "This text has a character that cannot be stored.",
    "int_type": "Send a whole number.",
    "int_parsing": "Send a whole number.",
    "int_parsing_size": "This number is too large.",
    "int_from_float": "Send a whole number.",
    "bool_type": "Send true or false.",
    "bool_parsing": "Send true or false.",
    "list_type": "Send a list.",
    "too_long": "Send at most {max_length} entries.",
    "too_short": "Send at least {min_length} entries.",
    "model_attributes_type": "Send a JSON object.",
    "model_type": "Send a JSON object.",
    "dict_type": "Send a JSON object.",
    "greater_than_equal": "Send {ge} or more.",
    "less_than_equal": "Send {le} or less.",
    "literal_error": "Use one of {expected}.",
    "enum": "Use one of {expected}.",
}
"""pydantic's kinds of error in our words."""
for _kind in ("date_type", "date_parsing", "date_from_datetime_parsing"):
    _SENTENCES[_kind] = "Send a day as YYYY-MM-DD."
for _kind in ("datetime_type", "datetime_parsing", "datetime_from_date_parsing"):
    _SENTENCES[_kind] = "Send a time as 2026-11-22T09:30:00Z."


def sentence_of(item: Mapping[str, Any]) -> str:
    """One of pydantic's errors in our words."""
    context = item.get("ctx", {})
    if item["type"] == "value_error":
        return str(context["error"])
    known = _SENTENCES.get(item["type"])
    return known.format_map(context) if known else "This value cannot be used here."
