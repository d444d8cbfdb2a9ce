"""Looks at what a sandbox answers, whatever asks it, and compares it with the published files."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from tests.conformance.shape import Finding, Shapes
from werkzeug.wrappers import Request, Response

from xero_sandbox.app import Sandbox

TOKENS = "/connect/token"


class Watcher:
    """Stands between a sandbox's handlers and its faults: spoilt answers are not seen.

    `rows` is how many rows of a list are looked at, all if None.
    """

    def __init__(self, sandbox: Sandbox, shapes: Shapes, rows: int | None = None) -> None:
        self.shapes, self.rows = shapes, rows
        self.handle = sandbox.handle
        self.findings: dict[tuple[str, str], Finding] = {}
        self.answers = 0
        setattr(sandbox, "handle", self)  # noqa: B010 — it is a method otherwise

    def __call__(self, request: Request) -> Response:
        response = self.handle(request)
        path = request.path.lower()
        if path.startswith(("/api.xro/2.0/", "/connections", TOKENS)):
            self.look(request.method, path, response)
        return response

    def look(self, method: str, path: str, response: Response) -> None:
        """Compare one answer."""
        self.answers += 1
        body = response.get_data()
        is_json = response.mimetype == "application/json"
        said: Any = json.loads(body, parse_float=Decimal) if is_json else body or None
        if path == TOKENS and response.status_code == 200:
            self.note(*self.shapes.value("AccessToken", said, "AccessToken"))
        elif path != TOKENS:
            said = self._shortened(said)
            self.note(*self.shapes.answer(method, path, response.status_code, said))

    def note(self, *findings: Finding) -> None:
        """Keep one example of each kind of finding."""
        for finding in findings:
            self.findings.setdefault((finding.place, finding.what), finding)

    def _shortened(self, said: Any) -> Any:
        if self.rows is None or not isinstance(said, dict):
            return said
        return {k: v[: self.rows] if isinstance(v, list) else v for k, v in said.items()}

    def found(self) -> set[Finding]:
        """One example of each kind."""
        return set(self.findings.values())
