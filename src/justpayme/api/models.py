"""What the API itself remembers: how many calls a token has made in the minute under way."""

from __future__ import annotations

from django.db import models

from justpayme.accounts.models import ApiToken


class TokenUse(models.Model):
    """Calls of one token in one minute. One row a token: a new minute starts it again at 1.

    In the database, so that the limit holds over all web processes and restarts.
    """

    token = models.OneToOneField(
        ApiToken, on_delete=models.CASCADE, primary_key=True, related_name="use"
    )
    minute = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.calls} calls in {self.minute:%H:%M}"
