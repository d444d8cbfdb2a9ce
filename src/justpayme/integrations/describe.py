"""What Xero says an organisation is called, before anything is synced from it."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx2
from django.conf import settings

from justpayme.core.errors import Problem
from justpayme.sync import tokens
from justpayme.sync.calls import meter
from justpayme.sync.clock import RealClock
from justpayme.xero.client import XeroClient
from justpayme.xero.translate import OrganisationFields, to_organisation

LONGEST_WAIT = 3.0
"""Seconds that somebody who just came back from Xero may be kept waiting by one retry."""


class _Impatient(RealClock):
    """A person is waiting: rather than a long nap, the organisation is offered by name alone."""

    def sleep(self, seconds: float) -> None:
        """Wait, but not for long."""
        if seconds > LONGEST_WAIT:
            raise Problem("minute_limit", retry_after=seconds)
        super().sleep(seconds)


def describe(tenant_id: str, access_token: str) -> OrganisationFields:
    """Name, country, currency and time zone of one organisation; one call to Xero."""
    with tokens.open_client() as http:
        return to_organisation(_client(http, tenant_id, access_token).organisation())


def _client(http: httpx2.Client, tenant_id: str, access_token: str) -> XeroClient:
    return XeroClient(
        http=http,
        api_url=settings.XERO_API_URL,
        tenant_id=tenant_id,
        token=lambda force: access_token,
        clock=_Impatient(),
        metered=lambda calls, size: meter(tenant_id, datetime.now(UTC), calls, size),
    )
