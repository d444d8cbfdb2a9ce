"""The bodies of answers that are no rows: refusals, errors, nothing found (1.7, 3.3, 3.5)."""

from typing import Any
from uuid import uuid4

from werkzeug.wrappers import Response

from xero_sandbox import shapes
from xero_sandbox.oauth import Denied


def denied_answer(denied: Denied) -> Response:
    """The 401 and 403 bodies of 1.7."""
    body: dict[str, Any] = {
        "Type": None,
        "Title": "Unauthorized" if denied.status == 401 else "Forbidden",
        "Status": denied.status,
        "Detail": denied.detail,
        "Instance": str(uuid4()),
        "Extensions": {},
    }
    return json_answer(body, denied.status)


def error_answer(
    number: int, kind: str, message: str, elements: list[dict[str, Any]] | None = None
) -> Response:
    """A 400 of the API: ErrorNumber, Type, Message, and the refused elements if any (3.5)."""
    body: dict[str, Any] = {"ErrorNumber": number, "Type": kind, "Message": message}
    if elements:
        body["Elements"] = elements
    return json_answer(body, 400)


def json_answer(body: Any, status: int = 200) -> Response:
    """Any JSON body."""
    return Response(shapes.to_json(body), status, content_type="application/json; charset=utf-8")


def not_found() -> Response:
    """An unknown object: 404 in HTML, no JSON (3.3)."""
    page = "<!DOCTYPE html><title>404</title><p>The resource you're looking for cannot be found</p>"
    return Response(page, 404, content_type="text/html; charset=utf-8")


def not_built() -> Response:
    """A method that an endpoint does not have (2.2)."""
    return Response("Method not implemented", 501, mimetype="text/plain")
