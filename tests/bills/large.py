"""A large business: 100,000 bills made by the database itself, in seconds.

About 2 % drafts and void, 10 % owed (a third of them overdue), the rest paid; 5,000 clients;
nine of ten bills linked to one connected organisation. The same seed gives the same business.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from justpayme.accounts.models import Business
from justpayme.sync.models import Connection

CLIENTS = """
INSERT INTO bills_client (business_id, name, email, phone, address, tax_number, archived,
                          created_at, updated_at)
SELECT %(business)s,
       (ARRAY['Brightwell', 'Castlefield', 'Pennine', 'Todmorden', 'Łódź', 'Okafor'])[1 + n %% 6]
         || ' ' || (ARRAY['Dental', 'Lettings', 'Timber', 'Brewing', 'Trustees'])[1 + n %% 5]
         || ' ' || n, 'client' || n || '@example.com', '', '', '', false, %(now)s, %(now)s
FROM generate_series(1, %(clients)s) AS n
"""

BILLS = """
WITH client AS (
  SELECT id, row_number() OVER (ORDER BY id) AS n FROM bills_client WHERE business_id = %(business)s
), made AS (
  SELECT n, (ARRAY['draft', 'void', 'active', 'active', 'active', 'active', 'active',
                   'active', 'active', 'active', 'active', 'active'])[1 + n %% 100] AS rare,
         %(now)s::date - (n %% 1500)::int AS issued, 100 + (n * 7919 %% 100000) / 100.0 AS total
  FROM generate_series(1, %(bills)s) AS n
)
INSERT INTO bills_bill (business_id, client_id, number, reference, status, issued_on, due_on, sent,
                        branding_theme, url, currency, tax_mode, sub_total, tax_total, total,
                        discount_total, outstanding, paid, credited, fully_paid_on,
                        created_at, updated_at)
SELECT %(business)s, client.id, 'INV-' || made.n, 'Job ' || (made.n * 31 %% 9973),
       coalesce(rare, 'paid'), issued,
       CASE rare WHEN 'active' THEN %(now)s::date + 60 - (made.n %% 90)::int ELSE issued + 30 END,
       true, '', '', CASE WHEN made.n %% 49 = 0 THEN 'EUR' ELSE 'GBP' END, 'exclusive', total, 0,
       total, 0, CASE WHEN rare IN ('active', 'draft') THEN total ELSE 0 END,
       CASE WHEN rare IS NULL THEN total ELSE 0 END, 0,
       CASE WHEN rare IS NULL THEN issued + 20 END, %(now)s, %(now)s
FROM made JOIN client ON client.n = 1 + made.n %% %(clients)s
"""

LINES = """
INSERT INTO bills_line (bill_id, position, remote_id, description, quantity, unit_amount,
                        line_amount, tax_type, tax_amount, account_code, item_code, tracking)
SELECT id, 0, '', 'Fitting', 1, total, total, '', 0, '200', '', '[]'
FROM bills_bill WHERE business_id = %(business)s
"""

LINKS = """
INSERT INTO sync_link (bill_id, connection_id, invoice_id, base, raw, digest, remote_status,
                       edited, read_at)
SELECT id, %(connection)s, gen_random_uuid(), '{}', decode(repeat('00', 400), 'hex'), '\\x00',
       'AUTHORISED', false, %(now)s
FROM bills_bill WHERE business_id = %(business)s AND id %% 10 <> 0
"""


def make_large(
    business: Business, organisation: Connection, *, bills: int, clients: int, now: datetime
) -> None:
    """Fill a business. The statistics are fresh afterwards, as after a night of autovacuum."""
    values = {
        "business": business.pk,
        "connection": organisation.pk,
        "bills": bills,
        "clients": clients,
        "now": now,
    }
    with connection.cursor() as cursor:
        for statement in (CLIENTS, BILLS, LINES, LINKS):
            cursor.execute(statement, values)
        cursor.execute("ANALYZE bills_client, bills_bill, bills_line, sync_link")
