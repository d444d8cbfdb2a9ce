"""Who acts, what can be refused, and how a form is carried out once: shared by all verbs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction

from justpayme.accounts.access import check_may_change
from justpayme.accounts.models import Membership
from justpayme.bills.models import Submission
from justpayme.core.entry import Problems
from justpayme.core.zones import zone

FORMS_KEPT_FOR = timedelta(days=2)
"""How long a sent form is remembered; a person who sends it again does so within minutes."""


class ActionError(Exception):
    """A verb was refused. The text is a sentence for the person."""


class Locked(ActionError):
    """Xero owns this row."""


class Changed(ActionError):
    """The row is no longer as it was when the form was opened."""


class Refused(ActionError):
    """The values can't be stored. `problems` maps fields to sentences; "" is the whole form.

    `settings_of`: the id of the organisation whose settings are the way out, if they are.
    """

    def __init__(self, problems: Problems, *, settings_of: int | None = None) -> None:
        super().__init__(" ".join(dict.fromkeys(problems.values())))
        self.problems = problems
        self.settings_of = settings_of


class AlreadyDone(ActionError):
    """This form was carried out before; `target_id` is what came of it."""

    def __init__(self, target_id: int | None) -> None:
        super().__init__("This was already saved. Nothing was done twice.")
        self.target_id = target_id


@dataclass(frozen=True, slots=True)
class Act:
    """Who acts, in which business, when, and with which form."""

    membership: Membership
    now: datetime
    token: str = ""

    @property
    def business_id(self) -> int:
        return self.membership.business_id

    @property
    def today(self) -> date:
        """The calendar day where the business is."""
        return self.now.astimezone(zone(self.membership.business.time_zone)).date()


class Form:
    """The form being carried out; `done` remembers what came of it."""

    def __init__(self, submission: Submission | None) -> None:
        self.submission = submission

    def done(self, target_id: int) -> None:
        """The row that came of it, for whoever sends the form again."""
        if self.submission is not None:
            self.submission.target_id = target_id
            self.submission.save(update_fields=["target_id"])


@contextmanager
def once(act: Act) -> Iterator[Form]:
    """One transaction for one form. A second use of its token waits, then raises AlreadyDone."""
    check_may_change(act.membership)
    with transaction.atomic():
        if not act.token:
            yield Form(None)
            return
        sent = Submission.objects.filter(business_id=act.business_id)
        sent.filter(at__lt=act.now - FORMS_KEPT_FOR).delete()
        submission, is_new = Submission.objects.get_or_create(
            business_id=act.business_id, token=act.token[:64], defaults={"at": act.now}
        )
        if not is_new:
            raise AlreadyDone(submission.target_id)
        yield Form(submission)


def refuse(problems: Problems) -> None:
    """Raise Refused if there are any."""
    if problems:
        raise Refused(problems)


def refuse_stale(current: datetime, seen: datetime | None, what: str) -> None:
    """Raise Changed if the row is not as the person saw it."""
    if seen is not None and seen != current:
        raise Changed(
            f"This {what} was changed while you had it open. Your values are still below. "
            "Compare them with the page as it is now, then save again to use yours."
        )
