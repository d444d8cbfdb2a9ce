from django.db import migrations

FORWARD = """
CREATE FUNCTION justpayme_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('justpayme.erase_business', true) = 'on' THEN
    RETURN COALESCE(NEW, OLD);
  END IF;
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER security_event_append_only BEFORE UPDATE OR DELETE ON accounts_securityevent
  FOR EACH ROW EXECUTE FUNCTION justpayme_refuse_change();
"""

REVERSE = """
DROP TRIGGER security_event_append_only ON accounts_securityevent;
DROP FUNCTION justpayme_refuse_change();
"""


class Migration(migrations.Migration):
    """The security log can't be rewritten; only erasing a whole business may delete."""

    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
