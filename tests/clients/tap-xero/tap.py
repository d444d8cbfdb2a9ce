"""The tap's own command line, with Xero's two addresses pointing at the sandbox.

One address is a constant of the tap. The other is written inside a function, so a transport
adapter, which is what `requests` has for this, carries that host's calls to the sandbox.
"""

from __future__ import annotations

import os
from typing import Any

import requests
import tap_xero
from requests.adapters import HTTPAdapter
from tap_xero import client

ADDRESS = os.environ["XERO_SANDBOX"]
IDENTITY = "https://identity.xero.com"


class ToSandbox(HTTPAdapter):
    """Send a request as it is, but to the sandbox."""

    def send(self, request: requests.PreparedRequest, *args: Any, **named: Any) -> Any:
        assert request.url is not None
        request.url = request.url.replace(IDENTITY, ADDRESS)
        return super().send(request, *args, **named)


class Session(requests.Session):
    """A session that knows the way."""

    def __init__(self) -> None:
        super().__init__()
        self.mount(IDENTITY, ToSandbox())


if __name__ == "__main__":
    client.BASE_URL = f"{ADDRESS}/api.xro/2.0"
    requests.Session = Session
    tap_xero.main()
