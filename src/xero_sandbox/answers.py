"""The bodies of answers that are no rows: refusals, errors, nothing found (1.7, 3.3, 3.5)."""

from typing import Any
from uuid import uuid4

from werkzeug.wrappers import Response

from xero_sandbox import shapes
from xero_sandbox.oauth import Denied
from xero_sandbox.open_questions import Open

DESCRIBED = "The request was refused: <b>try again</b>"
"""Text for people, with something in it that must not get onto a page as it is."""


def denied_answer(denied: Denied, open_questions: Open) -> Response:
    """The 401 and 403 bodies of 1.7; the letter case of their keys has varied."""
    body: dict[str, Any] = {
        "Type": None,
        "Title": "Unauthorized" if denied.status == 401 else "Forbidden",
        "Status": denied.status,
        "Detail": denied.detail,
        "Instance": str(uuid4()),
        "Extensions": {},
    }
    if open_questions.problem_keys == "title":
        body = {key.lower(): value for key, value in body.items()}
    return json_answer(body, denied.status)


def oauth_answer(error: str, open_questions: Open) -> Response:
    """An error of the token endpoint; whether it is described is not known (1.4)."""
    described = open_questions.oauth_description == "present"
    more = {"error_description": DESCRIBED} if described else {}
    return json_answer({"error": error, **more}, 400)


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
