"""The door that Xero's webhooks come through. It takes no cookie and gives none."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from justpayme.api.metrics import EVENTS
from justpayme.sync.webhooks import Fate, receive
from justpayme.xero.webhook import LONGEST, parse, verify


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """200 with nothing in it once what was named is committed; 401, and nothing done, unless the
    signature is right (I-44). The right signature is what stands here for a form's token."""
    try:
        body = request.read(LONGEST + 1)
    except UnreadablePostError:
        return HttpResponse(status=400)
    signature = request.headers.get("x-xero-signature", "")
    if len(body) > LONGEST or not verify(body, signature, settings.XERO_WEBHOOK_KEYS):
        return HttpResponse(status=401)
    delivery = parse(body)
    fates = receive(delivery.events, timezone.now())
    fates[Fate.UNREAD] += delivery.unread
    for fate, count in fates.items():
        EVENTS.labels(fate.value).inc(count)
    return HttpResponse()
