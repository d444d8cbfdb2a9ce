import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

CACHE = """
CREATE TABLE accounts_cache (
  cache_key varchar(255) PRIMARY KEY,
  value text NOT NULL,
  expires timestamptz NOT NULL
);
CREATE INDEX accounts_cache_expires ON accounts_cache (expires);
"""


class Migration(migrations.Migration):
    """Invitations, and the table behind the rate limits (Django's DatabaseCache)."""

    dependencies = [("accounts", "0002_append_only")]
    operations = [
        migrations.RunSQL(CACHE, "DROP TABLE accounts_cache"),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("owner", "Owner"),
                            ("member", "Member"),
                            ("viewer", "Viewer"),
                        ],
                        default="member",
                        max_length=6,
                    ),
                ),
                ("sent_at", models.DateTimeField()),
                (
                    "business",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="invitations",
                        to="accounts.business",
                    ),
                ),
                (
                    "invited_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("business", "email"), name="invited_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("email", django.db.models.functions.text.Lower("email"))
                        ),
                        name="invited_lower_case",
                    ),
                ],
            },
        ),
    ]
