"""Payments and credits: read only."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.paging import page
from justpayme.api.routing import reads
from justpayme.bills.models import Bill, Payment

router = Router(tags=["payments"])


@reads(router, "/payments", shapes.Payments, "List payments")
def list_payments(request: HttpRequest, query: Query[shapes.PaymentQuery]) -> Any:
    """All money that came off bills, or off one `bill`; oldest first."""
    business = caller(request).business
    rows = Payment.objects.filter(bill__business=business).select_related("bill")
    if query.bill is not None:
        rows = rows.filter(bill=get_object_or_404(Bill, pk=query.bill, business=business))
    found, following = page(rows, query)
    items = [present.payment(row, row.bill) for row in found]
    return shapes.Payments(items=items, next_cursor=following)
