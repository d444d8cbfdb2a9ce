import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER client_history_append_only BEFORE UPDATE OR DELETE ON bills_clienthistory
  FOR EACH ROW EXECUTE FUNCTION justpayme_refuse_change();
"""
REVERSE = "DROP TRIGGER client_history_append_only ON bills_clienthistory;"


class Migration(migrations.Migration):
    """What people change on clients, and the forms that were carried out."""

    dependencies = [
        ("accounts", "0002_append_only"),
        ("bills", "0002_append_only_history"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ClientHistory",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("action", models.CharField(max_length=30)),
                ("changes", models.JSONField(default=list)),
                (
                    "business",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.business",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "client",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="history",
                        to="bills.client",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "client history",
                "indexes": [
                    models.Index(fields=["client", "-at", "-id"], name="client_history_newest")
                ],
            },
        ),
        migrations.CreateModel(
            name="Submission",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("token", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("target_id", models.BigIntegerField(null=True)),
                (
                    "business",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.business",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["business", "at"], name="submission_by_age")],
                "constraints": [
                    models.UniqueConstraint(fields=("business", "token"), name="submission_once")
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, REVERSE),
    ]
