"""Callers of the API, and a business with bills to call about."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.api.given import Caller, make_bill, make_client, make_connection, make_link

from justpayme.accounts.actions import add_token
from justpayme.accounts.models import Business, User
from justpayme.bills.models import Bill, Client
from justpayme.sync.models import Connection


@pytest.fixture
def caller_of() -> Callable[[User], Caller]:
    """Makes a caller for a member of exactly one business."""

    def make(user: User) -> Caller:
        _, secret = add_token(membership=user.memberships.get(), name="test")
        return Caller(secret)

    return make


@pytest.fixture
def as_alice(alice: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(alice)


@pytest.fixture
def as_bob(bob: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(bob)


@pytest.fixture
def as_vera(vera: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(vera)


@pytest.fixture
def as_charlie(charlie: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(charlie)


@pytest.fixture
def customer(business: Business) -> Client:
    return make_client(business)


@pytest.fixture
def bill(customer: Client) -> Bill:
    return make_bill(customer)


@pytest.fixture
def connection(business: Business) -> Connection:
    return make_connection(business)


@pytest.fixture
def linked_bill(bill: Bill, connection: Connection) -> Bill:
    """A bill that Xero owns."""
    make_link(bill, connection)
    return bill
