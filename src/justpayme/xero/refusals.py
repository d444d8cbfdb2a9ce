"""Xero's words for a refusal → one code of our catalogue. Nowhere else.

Xero gives no codes for validation errors, only English texts (xero-facts 3.5), so these are the
one place where prose decides. A text that we don't know is `refused_by_xero`, and Xero's own
words are shown; so a changed wording costs a nicer sentence and nothing else. No decision about
sending again depends on a code from here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

UNKNOWN = "refused_by_xero"

#: First match wins, over all messages of one element: where Xero says two things, the one
#: that names the cause stands higher. Texts: docs/xero-facts.md 3.10, 3.11 and 4.
_TEXTS = (
    (r"payments can only be made against authorised documents", "payment_not_allowed"),
    (r"payment amount exceeds the amount outstanding", "payment_over_due"),
    (r"payment amount must be greater than zero", "payment_amount"),
    (r"you must specify an account code or account id for the payment", "payment_account"),
    (r"payment cannot be made to a bank account", "payment_account"),
    (r"payment.*\breconciled\b", "payment_reconciled"),
    (r"only status accepted for updates", "payment_fixed"),
    (r"payment.*(batch|receipt).*(deleted|removed)", "payment_fixed"),
    (r"(period|end of year) lock date", "lock_date"),
    (r"document date cannot be before", "lock_date"),
    (r"status voided cannot be applied", "void_with_money"),
    (r"you must supply a lineitemid", "line_ids_needed"),
    (r"lineitemid .*could not be found", "line_ids_needed"),
    (r"has a payment or credit note allocated", "paid_invoice_edit"),
    (r"not of valid status for modification", "status_not_valid"),
    (r"payment status can only be changed", "status_not_valid"),
    (r"contact number", "contact_number_taken"),
    (r"contact name .*(already assigned|must be unique)", "contact_exists"),
    (r"contact name ", "contact_name_unfit"),
    (r"contact.*(has been archived|archived contact)", "contact_archived"),
    (r"a contact must be specified", "contact_missing"),
    (r"contact with the specified contactid", "contact_missing"),
    (r"invoice # must be unique", "number_in_use"),
    (r"invoice # ", "number_unfit"),
    (r"not subscribed to currency", "currency_not_enabled"),
    (r"taxtype code .*cannot be used with account code", "tax_account_clash"),
    (r"taxtype code ", "tax_rate_unknown"),
    (r"account code .*has been archived, or has been deleted", "account_archived"),
    (r"account code .*is not a valid code", "account_invalid"),
    (r"account code or id must be specified", "account_missing"),
    (r"limit of invoices you can approve", "approval_limit"),
    (r"total for this document must be greater than or equal to zero", "negative_total"),
    (r"quantity must not be less than zero", "negative_quantity"),
    (r"does not match the expected line total", "line_total_mismatch"),
    (r"line amount must be no more than", "amount_too_large"),
    (r"discountrate|discountamount", "discount_unfit"),
    (r"line items must be specified", "lines_missing"),
    (r"brandingthemeid", "theme_unknown"),
    (r"the url must not", "link_unfit"),
    (r"must be no more than \d+ characters", "text_too_long"),
    (r"document .*(could not be|was not) found", "not_found_in_xero"),
    (r"error converting value|not valid json|request body", "unreadable_request"),
)
_RECEIVING = {"account_invalid": "payment_account", "account_archived": "payment_account"}
_KNOWN = tuple((re.compile(text, re.IGNORECASE), code) for text, code in _TEXTS)


def refusal(messages: Sequence[str], *, payment: bool = False) -> str:
    """The code of what Xero refused in these words; `UNKNOWN` if we don't know them.

    `payment`: a payment was refused, whose only account is the one that receives the money.
    """
    said = [" ".join(message[:2_000].split()) for message in messages]
    for text, code in _KNOWN:
        if any(text.search(message) for message in said):
            return _RECEIVING.get(code, code) if payment else code
    return UNKNOWN
