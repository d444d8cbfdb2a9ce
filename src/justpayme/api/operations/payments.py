"""Payments and credits: read only."""

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.paging import page
from justpayme.api.routing import reads
from justpayme.bills.models import Payment

router = Router(tags=["payments"])


@reads(router, "/payments", shapes.Payments, "List payments")
def list_payments(request: HttpRequest, query: Query[shapes.PaymentQuery]) -> Any:
    """All money that came off bills, or off one `bill`; oldest first."""
    rows = Payment.objects.filter(bill__business=caller(request).business).select_related("bill")
    if query.bill is not None:
        rows = rows.filter(bill_id=query.bill)
    found, following = page(rows, query)
    items = [present.payment(row, row.bill) for row in found]
    return shapes.Payments(items=items, next_cursor=following)
