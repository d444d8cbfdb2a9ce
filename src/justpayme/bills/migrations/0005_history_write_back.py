from django.db import migrations, models

FORWARD = """
CREATE FUNCTION justpayme_keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' AND current_setting('justpayme.erase_business', true) = 'on' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

DROP TRIGGER history_append_only ON bills_historyentry;
CREATE TRIGGER history_append_only BEFORE UPDATE OR DELETE ON bills_historyentry
  FOR EACH ROW EXECUTE FUNCTION justpayme_keep_history();
CREATE TRIGGER history_kept_whole BEFORE TRUNCATE ON bills_historyentry
  FOR EACH STATEMENT EXECUTE FUNCTION justpayme_keep_history();

DROP TRIGGER client_history_append_only ON bills_clienthistory;
CREATE TRIGGER client_history_append_only BEFORE UPDATE OR DELETE ON bills_clienthistory
  FOR EACH ROW EXECUTE FUNCTION justpayme_keep_history();
CREATE TRIGGER client_history_kept_whole BEFORE TRUNCATE ON bills_clienthistory
  FOR EACH STATEMENT EXECUTE FUNCTION justpayme_keep_history();

ALTER TABLE bills_historyentry ENABLE ALWAYS TRIGGER history_append_only;
ALTER TABLE bills_historyentry ENABLE ALWAYS TRIGGER history_kept_whole;
ALTER TABLE bills_clienthistory ENABLE ALWAYS TRIGGER client_history_append_only;
ALTER TABLE bills_clienthistory ENABLE ALWAYS TRIGGER client_history_kept_whole;
"""

REVERSE = """
DROP TRIGGER client_history_kept_whole ON bills_clienthistory;
DROP TRIGGER client_history_append_only ON bills_clienthistory;
CREATE TRIGGER client_history_append_only BEFORE UPDATE OR DELETE ON bills_clienthistory
  FOR EACH ROW EXECUTE FUNCTION justpayme_refuse_change();
DROP TRIGGER history_kept_whole ON bills_historyentry;
DROP TRIGGER history_append_only ON bills_historyentry;
CREATE TRIGGER history_append_only BEFORE UPDATE OR DELETE ON bills_historyentry
  FOR EACH ROW EXECUTE FUNCTION justpayme_refuse_change();
DROP FUNCTION justpayme_keep_history();
"""


class Migration(migrations.Migration):
    """Changes that were sent to Xero, and histories that nothing rewrites or empties (I-31).

    Beyond UPDATE and DELETE of rows, TRUNCATE is refused too, also one that comes by CASCADE
    from another table, and the triggers fire whatever `session_replication_role` says. Erasing
    a whole business may delete (`justpayme.erase_business`), but nobody may rewrite.
    """

    dependencies = [("bills", "0004_indexes_for_lists")]

    operations = [
        migrations.AlterField(
            "historyentry",
            "source",
            models.CharField(
                choices=[
                    ("person", "Person"),
                    ("xero", "Xero"),
                    ("import", "First import"),
                    ("connection", "Connection"),
                    ("write-back", "Sent to Xero"),
                ],
                max_length=10,
            ),
        ),
        migrations.RunSQL(FORWARD, REVERSE),
    ]
