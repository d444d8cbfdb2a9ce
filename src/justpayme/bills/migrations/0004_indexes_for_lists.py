import datetime

import django.db.models.functions.comparison
import django.db.models.functions.text
from django.db import migrations, models
from django.db.models import F, Q, Value

FAR = Value(datetime.date(9999, 12, 31))
Coalesce = django.db.models.functions.comparison.Coalesce


class Migration(migrations.Migration):
    """One index for each order in which the pages list bills and clients."""

    dependencies = [("bills", "0003_client_history_and_submissions")]

    operations = [
        migrations.RemoveIndex("bill", "bill_newest"),
        migrations.AddIndex(
            "bill",
            models.Index(
                F("business"), Coalesce("issued_on", FAR).desc(), F("id").desc(), name="bill_newest"
            ),
        ),
        migrations.AddIndex(
            "bill",
            models.Index(F("business"), Coalesce("due_on", FAR), F("id"), name="bill_by_due"),
        ),
        migrations.AddIndex(
            "bill",
            models.Index(fields=["business", "-outstanding", "-id"], name="bill_by_amount"),
        ),
        migrations.AddIndex(
            "bill",
            models.Index(
                fields=["business", "-fully_paid_on", "-id"],
                condition=Q(status="paid"),
                name="bill_paid_last",
            ),
        ),
        migrations.AddIndex(
            "client",
            models.Index(
                F("business"),
                django.db.models.functions.text.Lower("name"),
                F("id"),
                name="client_by_name",
            ),
        ),
    ]
