"""How an operation is declared: its refusals stand in the schema, unknown parameters are refused.

Every operation can answer 401, 405, 422 and 429; one that names an object 404; one that changes
something 403 and 409; one with a body also 400, 413 and 415.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from justpayme.api.errors import Refusal, responses
from justpayme.web.snapshot import one_moment

Handler = Callable[..., Any]
Declaration = Callable[[Handler], Handler]
ALWAYS = (401, 405, 422, 429)
CHANGES = (403, 409)
BODY = (400, 413, 415)


def reads(router: Router, path: str, answer: type[Schema], summary: str) -> Declaration:
    """Declare a GET. All it reads is of one moment."""
    declare = _declare(router, "GET", path, {200: answer}, summary, ())
    return lambda handler: declare(one_moment(handler))


def changes(
    router: Router,
    method: str,
    path: str,
    answers: dict[int, Any],
    summary: str,
) -> Declaration:
    """Declare an operation that changes something."""
    return _declare(router, method, path, answers, summary, CHANGES)


def _declare(
    router: Router,
    method: str,
    path: str,
    answers: dict[int, Any],
    summary: str,
    more: tuple[int, ...],
) -> Declaration:
    def decorate(handler: Handler) -> Handler:
        named = (404,) if "{" in path else ()
        body = BODY if "body" in inspect.signature(handler).parameters else ()
        refusals = responses(*sorted({*ALWAYS, *named, *more, *body}))
        add = router.api_operation(
            [method],
            path,
            response={**answers, **refusals},
            summary=summary,
            operation_id=handler.__name__,
            url_name=handler.__name__,
        )
        result: Handler = add(_strict(handler))
        return result

    return decorate


def _strict(handler: Handler) -> Handler:
    """Refuse query parameters that the operation does not know: a typo never widens a list."""
    parameter = inspect.signature(handler).parameters.get("query")
    known = _fields_of(parameter) if parameter else set()

    @wraps(handler)
    def strict(request: HttpRequest, *args: Any, **values: Any) -> Any:
        unknown = sorted(set(request.GET) - known)
        if unknown:
            sentence = "There is no such parameter here; leave it out."
            raise Refusal(422, fields={name[:100]: sentence for name in unknown[:20]})
        twice = [name for name in request.GET if len(request.GET.getlist(name)) > 1]
        if twice:
            raise Refusal(422, fields=dict.fromkeys(twice, "Give this parameter once."))
        return handler(request, *args, **values)

    return strict


def _fields_of(parameter: inspect.Parameter) -> set[str]:
    """Names of a `Query[Model]`. Its file has real annotations, not text: see the operations."""
    model: type[Schema] = parameter.annotation.__origin__
    return set(model.model_fields)
