"""What a new business counts in and where its days begin, until somebody says or its books show."""

from __future__ import annotations

from justpayme.accounts.models import Business, SecurityEvent

CURRENCY, TIME_ZONE = "GBP", "Europe/London"


def follow_first_books(*, business: Business, currency: str, time_zone: str) -> None:
    """Give a business that nobody has set up yet the currency and time zone of the first books
    that it connects: who signs up is not asked for them."""
    if SecurityEvent.objects.filter(business=business, action="business_changed").exists():
        return
    untouched = Business.objects.filter(pk=business.pk, currency=CURRENCY, time_zone=TIME_ZONE)
    untouched.update(currency=currency, time_zone=time_zone)
