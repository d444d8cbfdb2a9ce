"""Payments and credits: list; record a payment and take one back."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Header, Query, Router
from ninja.responses import Status as Answer

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.once import KEY_HELP, KEY_LENGTH, acting, once
from justpayme.api.paging import page
from justpayme.api.routing import changes, reads
from justpayme.bills import actions
from justpayme.bills.models import Payment
from justpayme.bills.queries import open_books
from justpayme.core.entry import PaymentEntry

router = Router(tags=["payments"])
OF_BILL = "/bills/{int:bill_id}/payments"


@reads(router, "/payments", shapes.Payments, "List payments")
def list_payments(request: HttpRequest, query: Query[shapes.PaymentQuery]) -> Any:
    """All money that came off bills, or off one `bill`; oldest first."""
    rows = Payment.objects.filter(bill__business=caller(request).business).select_related("bill")
    if query.bill is not None:
        rows = rows.filter(bill_id=query.bill)
    found, following = page(rows, query)
    items = [present.payment(row, row.bill) for row in found]
    return shapes.Payments(items=items, next_cursor=following)


@changes(router, "POST", OF_BILL, {201: shapes.BillOut, 200: shapes.BillOut}, "Record a payment")
def record_payment(
    request: HttpRequest,
    bill_id: int,
    body: shapes.NewPayment,
    idempotency_key: Annotated[
        str | None, Header(max_length=KEY_LENGTH, description=KEY_HELP)
    ] = None,
) -> Any:
    """Money that came in on an active bill. Answers the bill.

    Where payments are sent to Xero, it is recorded there too, once. Two equal payments are two:
    use a key, or a call repeated after a lost answer records a second one.
    """
    entry = PaymentEntry(body.amount, body.on, body.reference)
    try:
        with once(request, idempotency_key, body) as act:
            actions.payment_record(act=act, bill_id=bill_id, entry=entry, seen=body.seen)
    except actions.AlreadyDone:
        return Answer(200, _bill(request, bill_id))
    return Answer(201, _bill(request, bill_id))


@changes(
    router,
    "DELETE",
    f"{OF_BILL}/{{int:payment_id}}",
    {200: shapes.BillOut},
    "Take a payment back",
)
def remove_payment(
    request: HttpRequest, bill_id: int, payment_id: int, query: Query[shapes.SeenQuery]
) -> Any:
    """The bill is owed again, here and in Xero. Answers the bill. Credits stay: they are Xero's."""
    actions.payment_remove(
        act=acting(request), bill_id=bill_id, payment_id=payment_id, seen=query.seen
    )
    return _bill(request, bill_id)


def _bill(request: HttpRequest, bill_id: int) -> shapes.BillOut:
    return present.bill_out(open_books(caller(request).business, timezone.now()), bill_id)
