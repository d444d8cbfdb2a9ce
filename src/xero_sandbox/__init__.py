"""A local Xero: a program of its own that answers like Xero's API, for tests and demos.

It shares no code with the product on purpose: a fake that shares our code shares our mistakes.
References such as "3.8" in this package point to the numbered facts in ``README.md``.
"""

from xero_sandbox.app import create_app
from xero_sandbox.clock import Clock, FrozenClock
from xero_sandbox.store import Store

__all__ = ["Clock", "FrozenClock", "Store", "create_app"]
