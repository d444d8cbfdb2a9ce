from django.db import migrations

FORWARD = """
CREATE TRIGGER history_append_only BEFORE UPDATE OR DELETE ON bills_historyentry
  FOR EACH ROW EXECUTE FUNCTION justpayme_refuse_change();
"""


class Migration(migrations.Migration):
    """A bill's history can't be rewritten (I-31)."""

    dependencies = [("bills", "0001_initial"), ("accounts", "0002_append_only")]
    operations = [
        migrations.RunSQL(FORWARD, "DROP TRIGGER history_append_only ON bills_historyentry;")
    ]
