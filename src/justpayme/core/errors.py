"""The catalogue of what can go wrong with the sync: code, sentence, who can fix it, what to do.

Errors are named by what happens next. `xero/errors.py` is the one place that turns an
answer of Xero's into one of these, and `xero/refusals.py` the one that turns the words in
which Xero refuses a value; every page, e-mail and command takes its words from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Next(StrEnum):
    """What the sync does after an error."""

    RETRY = "retry"
    """Nothing for a person to do; the next scheduled sync tries again."""
    WAIT = "wait"
    """Xero told us when to come back."""
    RECONNECT = "reconnect"
    """Only a person's consent heals it; no further call is made."""
    HALT = "halt"
    """A safety stop: nothing was written, a person decides."""
    PERSON = "person"
    """This one change waits for a person; all others go on."""


FIXES = frozenset(
    {
        "",
        "retry",
        "edit_bill",
        "edit_payment",
        "edit_client",
        "defaults",
        "reconnect",
        "reload_lists",
        "open_xero",
    }
)
"""The one-press ways out that a page can offer; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of error: what happened (`sentence`), what is safe (`means`), what to do.

    `fix` is one of `FIXES`; where it leads is known to whoever shows the error.
    """

    code: str
    next: Next
    sentence: str
    means: str
    remedy: str
    fixer: str = "nobody"
    fix: str = ""


def _refused(
    code: str, sentence: str, remedy: str, *, fix: str = "edit_bill", fixer: str = "you"
) -> Entry:
    """Xero (or we, knowing Xero's rules) did not take one change; nothing else is affected."""
    return Entry(code, Next.PERSON, sentence, _KEPT, remedy, fixer, fix)


_KEPT = "Xero was left as it is, and what you entered is kept here."
_SAFE = "No bill was changed."
_LATER = "We try again by ourselves at the next sync."

CATALOGUE: dict[str, Entry] = {
    entry.code: entry
    for entry in (
        Entry(
            "xero_unreachable",
            Next.RETRY,
            "Xero could not be reached.",
            "Your bills stay as they were at the last check.",
            _LATER,
        ),
        Entry(
            "xero_unavailable",
            Next.RETRY,
            "Xero answered that it is not available right now.",
            "Your bills stay as they were at the last check.",
            _LATER,
        ),
        Entry(
            "organisation_offline",
            Next.RETRY,
            "Xero says that this organisation is offline for a moment.",
            "Your bills stay as they were at the last check.",
            _LATER,
        ),
        Entry(
            "minute_limit",
            Next.WAIT,
            "Xero's limit of calls a minute is used up.",
            "Nothing is lost; the sync goes on where it stopped.",
            "We go on as soon as Xero allows it.",
        ),
        Entry(
            "day_limit",
            Next.WAIT,
            "Xero's allowance of calls for today is used up.",
            "Nothing is lost; the sync goes on where it stopped.",
            "We go on when Xero's day is over. A longer time between syncs uses fewer calls.",
            fixer="owner",
        ),
        Entry(
            "app_limit",
            Next.WAIT,
            "Xero is limiting calls of all JustPayMe users for a moment.",
            "Nothing is lost; the sync goes on where it stopped.",
            "We go on as soon as Xero allows it.",
        ),
        Entry(
            "concurrent_limit",
            Next.RETRY,
            "Too many calls to Xero were under way at once.",
            "Nothing is lost; the sync goes on where it stopped.",
            _LATER,
        ),
        Entry(
            "wrong_shape",
            Next.RETRY,
            "Xero's answer was not what it should be, so we did not believe it.",
            _SAFE,
            "We try again at the next sync. If it goes on, tell us.",
            fixer="us",
        ),
        Entry(
            "refused_request",
            Next.RETRY,
            "Xero refused to answer our question.",
            _SAFE,
            "We try again at the next sync. If it goes on, tell us.",
            fixer="us",
        ),
        Entry(
            "too_many_records",
            Next.RETRY,
            "Xero holds more than it gives in one question, and we can't ask for less.",
            _SAFE,
            "It takes very many contacts, invoices of one day or changes at once. Tell us.",
            fixer="us",
        ),
        Entry(
            "consent_lost",
            Next.RECONNECT,
            "Xero has stopped letting us in.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Reconnect Xero. Every setting is kept.",
            fixer="owner",
            fix="reconnect",
        ),
        Entry(
            "removed_in_xero",
            Next.RECONNECT,
            "Somebody disconnected JustPayMe inside Xero.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Reconnect Xero, or disconnect here too.",
            fixer="owner",
            fix="reconnect",
        ),
        Entry(
            "permission_missing",
            Next.RECONNECT,
            "Xero says that we lack a permission we need.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Reconnect Xero and leave every permission ticked.",
            fixer="owner",
            fix="reconnect",
        ),
        Entry(
            "organisation_changed",
            Next.HALT,
            "This connection now leads to a different Xero organisation.",
            _SAFE,
            "Disconnect it, and connect the organisation you mean.",
            fixer="owner",
        ),
        Entry(
            "mass_void",
            Next.HALT,
            "Xero would void an unusual number of your open bills at once.",
            "We stopped before that happened.",
            "Look in Xero. If it is right, let the sync go on.",
            fixer="owner",
        ),
        Entry(
            "send_clash",
            Next.RETRY,
            "Xero took what we sent for something that we had sent before.",
            "Nothing is entered twice: we look in Xero before we send it again.",
            _LATER,
        ),
        Entry(
            "read_only",
            Next.PERSON,
            "This organisation is one-directional, so nothing is sent to Xero.",
            "Xero was not touched, and what you entered is kept here.",
            "Go bidirectional if what you change here should reach Xero.",
            fixer="owner",
        ),
        Entry(
            "write_permission_missing",
            Next.PERSON,
            "Xero lets us read, but not change anything.",
            "Bills still come from Xero; what you changed here waits.",
            "Reconnect Xero as somebody who may change invoices; leave every permission ticked.",
            fixer="owner",
            fix="reconnect",
        ),
        Entry(
            "defaults_missing",
            Next.PERSON,
            "We don't know yet which account and tax rate to use in Xero.",
            "Nothing was sent, and the bill is kept here.",
            "Choose them once on the organisation's page.",
            fixer="owner",
            fix="defaults",
        ),
        Entry(
            "receiving_account_missing",
            Next.PERSON,
            "No account is chosen for payments in this currency.",
            "Nothing was sent, and the payment is kept here.",
            "Choose an account on the organisation's page.",
            fixer="owner",
            fix="defaults",
        ),
        Entry(
            "currency_differs",
            Next.PERSON,
            "The bill has another currency than its invoice in Xero.",
            "The payment waits, and goes out as soon as both say the same.",
            "See why the bill's currency did not reach Xero, or remove the payment.",
            fixer="you",
        ),
        Entry(
            "contact_like_this",
            Next.PERSON,
            "Xero has a contact that looks like this client.",
            "Nothing was sent, so that nobody is entered twice.",
            "Say whether it is the same person or firm.",
            fixer="you",
            fix="edit_client",
        ),
        Entry(
            "contact_needed",
            Next.PERSON,
            "The bill's client is not in Xero yet.",
            "The bill waits, and goes out as soon as its client is there.",
            "Decide about the client first; the bill follows by itself.",
            fixer="you",
            fix="edit_client",
        ),
        Entry(
            "sending_ended",
            Next.PERSON,
            "Sending was switched off before this had reached Xero.",
            "Xero's version stands, and what you typed is kept beside it.",
            "Make the organisation bidirectional again to send it.",
            fixer="owner",
        ),
        Entry(
            "cancelled_by_disconnect",
            Next.PERSON,
            "The organisation was disconnected before this had reached Xero.",
            _KEPT,
            "Connect Xero again to send it.",
            fixer="owner",
        ),
        Entry(
            "unreadable_request",
            Next.PERSON,
            "Xero could not read what we sent.",
            _KEPT,
            "Tell us, please: this is a mistake of ours.",
            fixer="us",
        ),
        _refused(
            "refused_by_xero",
            "Xero refused this and said why.",
            "Read Xero's words, put right what they name, and try again.",
        ),
        _refused(
            "lock_date",
            "The date lies in a period that is locked in Xero.",
            "Use a later date, or have the lock moved in Xero; then try again.",
            fixer="books",
        ),
        _refused(
            "contact_archived",
            "This client's contact is archived in Xero.",
            "Restore the contact in Xero, or choose another client; then try again.",
            fix="open_xero",
            fixer="books",
        ),
        _refused(
            "contact_exists",
            "Xero already has a contact with this name.",
            "Link the client to that contact, or give the client another name.",
            fix="edit_client",
        ),
        _refused(
            "contact_number_taken",
            "Another contact in Xero already has this client's number.",
            "Change that contact's number in Xero, then try again.",
            fix="open_xero",
            fixer="books",
        ),
        _refused(
            "contact_name_unfit",
            "Xero does not take this client's name.",
            "Give the client a name that is shorter or has no < and >.",
            fix="edit_client",
        ),
        _refused(
            "contact_missing",
            "The bill's client is no contact that Xero knows.",
            "Choose another client, or send the client to Xero first.",
        ),
        _refused(
            "tax_account_clash",
            "A line's tax rate can't be used with its account in Xero.",
            "Choose another tax rate or account for the line.",
        ),
        _refused(
            "tax_rate_unknown",
            "A line's tax rate is none that Xero has for sales.",
            "Choose a tax rate of this organisation for the line.",
        ),
        _refused(
            "account_invalid",
            "A line's account can't be used on a sales invoice in Xero.",
            "Choose another account for the line.",
        ),
        _refused(
            "account_archived",
            "A line's account is archived or deleted in Xero.",
            "Choose another account for the line.",
        ),
        _refused(
            "account_missing",
            "A line has no account, and Xero needs one to approve the invoice.",
            "Choose an account for each line.",
        ),
        _refused(
            "number_in_use",
            "Xero already has an invoice with this number.",
            "Give the bill another number. A void invoice may still hold its own.",
        ),
        _refused(
            "number_missing",
            "A bill needs a number before it can go to Xero.",
            "Give the bill a number.",
        ),
        _refused(
            "number_unfit",
            "Xero does not take this bill number.",
            "Use plain letters, digits and signs, and make it shorter.",
        ),
        _refused(
            "currency_not_enabled",
            "This organisation does not use the bill's currency.",
            "Add the currency in Xero, then try again.",
            fix="open_xero",
            fixer="books",
        ),
        _refused(
            "payment_over_due",
            "The payment is more than what is still due in Xero.",
            "See what has been paid already, then correct the payment.",
            fix="edit_payment",
        ),
        _refused(
            "payment_not_allowed",
            "Xero takes payments only for invoices that are approved and open.",
            "See how the bill stands now; approve it, or remove the payment here.",
            fix="edit_payment",
        ),
        _refused(
            "payment_amount",
            "Xero takes only payments of more than nothing.",
            "Correct the payment's amount.",
            fix="edit_payment",
        ),
        _refused(
            "payment_account",
            "Xero does not take payments into the chosen account.",
            "Choose another account for payments on the organisation's page.",
            fix="defaults",
            fixer="owner",
        ),
        _refused(
            "payment_reconciled",
            "This payment is reconciled in Xero, so it can't be removed from here.",
            "Undo the reconciliation in Xero, then try again.",
            fix="open_xero",
            fixer="books",
        ),
        _refused(
            "payment_fixed",
            "Xero lets no payment be changed, and not every one be removed from here.",
            "Change or remove the payment in Xero.",
            fix="open_xero",
            fixer="books",
        ),
        _refused(
            "paid_invoice_edit",
            "Money has come off this invoice, so Xero has closed this part of it.",
            "Remove the payment or credit first, or take the edit back.",
        ),
        _refused(
            "status_not_valid",
            "The invoice has moved on in Xero, and this change no longer fits.",
            "See how the bill stands now, and change it again if it is still wanted.",
        ),
        _refused(
            "void_with_money",
            "An invoice with payments or credits on it can't be void.",
            "Remove its payments and credits first, then try again.",
        ),
        _refused(
            "line_ids_needed",
            "Xero did not recognise a line of this bill.",
            "See the lines as they are now, then try again.",
            fix="retry",
        ),
        _refused(
            "lines_missing",
            "Xero needs at least one line to approve an invoice.",
            "Add a line to the bill.",
        ),
        _refused(
            "approval_limit",
            "The organisation's Xero plan allows no more approved invoices for now.",
            "Wait, or change the plan in Xero; then try again.",
            fix="open_xero",
            fixer="books",
        ),
        _refused(
            "not_found_in_xero",
            "Xero no longer has what this was meant for.",
            "Look in Xero; then take the change back here, or make it anew.",
            fix="open_xero",
        ),
        _refused(
            "negative_total",
            "The bill's total is below zero, which Xero does not take.",
            "Correct the lines, or give a credit note in Xero instead.",
        ),
        _refused(
            "negative_quantity",
            "A line's quantity is below zero, which Xero does not take.",
            "Use a quantity above zero, with a price below zero if need be.",
        ),
        _refused(
            "line_total_mismatch",
            "A line's amount is not what Xero makes of its quantity and price.",
            "Enter the line's quantity, price and discount again.",
        ),
        _refused(
            "amount_too_large",
            "A line's amount is larger than Xero can hold.",
            "Split the line, or correct its quantity and price.",
        ),
        _refused(
            "discount_unfit",
            "Xero does not take a line's discount.",
            "Give either a percentage from none to all, or an amount.",
        ),
        _refused(
            "text_too_long",
            "A text is longer than Xero takes.",
            "Shorten the reference or the line's description.",
        ),
        _refused(
            "theme_unknown",
            "The bill's branding theme is gone from Xero.",
            "Load the lists from Xero again, and choose another theme.",
            fix="reload_lists",
        ),
        _refused(
            "link_unfit",
            "Xero does not take the bill's web address.",
            "Use another address, without Xero's name in it.",
        ),
        _refused(
            "cannot_be_empty",
            "Xero has a value here that can't be made empty from outside.",
            "Enter a value, or empty it in Xero.",
        ),
        Entry(
            "stopped",
            Next.RETRY,
            "The sync was stopped before its end.",
            "Nothing is lost; the sync goes on where it stopped.",
            _LATER,
        ),
        Entry(
            "internal",
            Next.RETRY,
            "Something went wrong on our side.",
            "No half-written bill is left behind.",
            "We try again at the next sync, and the details are in our log.",
            fixer="us",
        ),
        Entry(
            "consent_refused",
            Next.RECONNECT,
            "Xero was not connected, because consent was not given.",
            "Nothing was connected and nothing was changed.",
            "Start again when you are ready.",
            fixer="owner",
        ),
        Entry(
            "sign_in_expired",
            Next.RECONNECT,
            "The sign-in at Xero took too long or was used before.",
            "Nothing was connected and nothing was changed.",
            "Connect Xero again.",
            fixer="owner",
        ),
        Entry(
            "no_organisation",
            Next.RECONNECT,
            "Xero gave us access to no organisation that we can sync.",
            "Nothing was connected and nothing was changed.",
            "Connect Xero again and choose an organisation.",
            fixer="owner",
        ),
        Entry(
            "key_missing",
            Next.RETRY,
            "This installation's secret key does not open the stored access to Xero.",
            "Nothing is lost: your bills stay as they were at the last check.",
            "Whoever runs JustPayMe must set JUSTPAYME_SECRET_KEY to the key that was in use.",
            fixer="operator",
        ),
        Entry(
            "wrong_settings",
            Next.RETRY,
            "Xero does not accept this installation's client id or secret.",
            "Nothing was connected and nothing was changed.",
            "Whoever runs JustPayMe must correct XERO_CLIENT_ID and XERO_CLIENT_SECRET.",
            fixer="operator",
        ),
    )
}


class Problem(Exception):
    """Something of the catalogue happened. `detail` is for the log and the run row, not a page.

    `retry_after` is in seconds, if Xero gave it.
    """

    def __init__(self, code: str, detail: str = "", *, retry_after: float | None = None) -> None:
        self.entry = CATALOGUE[code]
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(f"{code}: {detail}" if detail else code)

    @property
    def code(self) -> str:
        """The catalogue's code."""
        return self.entry.code

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        return self.entry.sentence


def told(code: str, said: str = "") -> str:
    """The sentence for a person. `said`: Xero's own words, shown where no better ones are known."""
    if code == "refused_by_xero" and said:
        return f"Xero refused this: “{said}”"
    return CATALOGUE[code].sentence
