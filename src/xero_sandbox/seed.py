"""The books of two demo companies, the same for the same seed and day.

"Demo Company (UK)" and "Demo Company (NZ)" hold sales invoices of every status, part payments,
several payments, credits, discounts, foreign currency, supplier bills, archived and merged
contacts, and texts that try to break programs. Dates are relative to the clock's today, so that
overdue invoices look alive; some stamps are from 2010 as in Xero's own demo companies (3.2).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from xero_sandbox.countries import COUNTRIES, guid
from xero_sandbox.countries import organisation as settings_of
from xero_sandbox.model import (
    ZERO,
    Allocation,
    Contact,
    CreditNote,
    Invoice,
    Line,
    Organisation,
    Payment,
)
from xero_sandbox.rules import cents, settled, with_totals
from xero_sandbox.store import Business, Store

OLD_STAMP = datetime(2010, 3, 14, 9, 26, 53, 590_000, tzinfo=UTC)
LONG_NAME = "The Worshipful Company of Long-Winded Letterhead Engravers " * 4 + "and Sons (1823)"
UK_CUSTOMERS = (
    "Ridgeway University",
    "O'Brien & Söhne GmbH",
    "Café Zoë – Ñandú S.L.",
    "שלום קפה בע״מ",
    "شركة النور للتجارة",
    "株式会社さくら",
    "Party Hats 🎉🎈 Ltd",
    "=SUM of Parts Consulting",
    "+44 Telephones",
    "@home Cleaning",
    LONG_NAME,
    "Basket Case",
    "Bayside Club",
    "City Agency",
    "DIISR - Small Business Services",
    "Hamilton Smith Ltd",
    "Marine Systems",
    "Rex Media Group",
    "Young Bros Transport",
    "Zürich Cheese & Co.",
)
NZ_CUSTOMERS = (
    "Ngā Kete Books",
    "Kiwi Coffee Roasters",
    "Te Whare Design",
    "O’Reilly's Farm Supplies",
    "Boom FM 📻",
    "Wellington Wool",
    "Māori Arts Trust",
    "Queenstown Ski & Tow",
)
UK_SUPPLIERS = ("PowerDirect", "SMART Agency", "Swanston Security", "Truxton Property Management")
NZ_SUPPLIERS = ("Net Connect", "Carlton Functions")
SALES = {
    "draft": 5, "submitted": 4, "voided": 4, "deleted": 3, "open": 14, "part": 6, "paid": 16,
    "twice": 4, "credited": 1, "part-credit": 2, "payment-removed": 1,
}  # fmt: skip
"""How many sales invoices of each story the UK company has: 60 together."""
NZ_SALES = {
    "draft": 2, "submitted": 2, "voided": 1, "deleted": 1, "open": 7, "part": 3, "paid": 5,
    "twice": 2, "credited": 1, "part-credit": 1,
}  # fmt: skip
STATUS = {
    "draft": "DRAFT",
    "submitted": "SUBMITTED",
    "voided": "VOIDED",
    "deleted": "DELETED",
}
WORDS = (
    "Website maintenance",
    "Consulting, half day",
    "Guitar lessons (block of 10)",
    "Garden design – phase 2",
    "Translation EN→FR, ±2,000 words",
    "Naïve résumé rewrite",
    "<script>alert('not today')</script>",
    '=HYPERLINK("http://example.invalid","click me")',
    "Wedding photographs 📷 with album",
    "תרגום מסמכים",
    "'; DROP TABLE invoices; --",
)


class Books:
    """Builds the records of one organisation."""

    def __init__(self, organisation: Organisation, random: Random, now: datetime) -> None:
        self.organisation = organisation
        self.country = COUNTRIES[organisation.country]
        self.foreign = self.country.second[0]
        self.random = random
        self.now = now
        self.today = now.date()
        self.contacts: list[Contact] = []
        self.documents: list[Invoice] = []
        self.payments: list[Payment] = []
        self.credits: list[CreditNote] = []
        self.count = 0

    def records(self) -> Iterable[Business]:
        """Everything made so far."""
        return [*self.contacts, *self.documents, *self.payments, *self.credits]

    def new_id(self) -> str:
        """A random id that the seed decides."""
        return guid(self.random)

    def stamp(self, day: date, count: int) -> datetime:
        """When a document was last changed: some in 2010, some at one same instant (3.2)."""
        if count % 12 == 5:
            return OLD_STAMP
        if count % 10 == 7:
            return self._at(self.today - timedelta(days=40), 123)
        moment = self._at(day, self.random.randrange(30_000_000))
        moment += timedelta(days=self.random.randrange(12))
        return min(moment, self.now - timedelta(hours=2, seconds=count))

    def _at(self, day: date, milliseconds: int) -> datetime:
        start = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
        return start + timedelta(milliseconds=milliseconds)

    def contact(self, name: str, **more: object) -> Contact:
        """Add a contact."""
        number = len(self.contacts)
        contact = Contact(
            id=self.new_id(),
            name=name[:255],
            updated=self.stamp(self.today - timedelta(days=200 - number), number),
            email=f"accounts{number}@example.com",
            phone=f"020 7946 {number:04d}",
            address=f"{number + 1} High Street",
            city=self.country.city,
            country=self.country.full_name,
        )
        contact = replace(contact, **more)
        self.contacts.append(contact)
        return contact

    def line(self, count: int, tax: str, account: str = "200") -> Line:
        """One line, with something special now and then."""
        return Line(
            id=self.new_id(),
            description=WORDS[count % len(WORDS)],
            quantity=Decimal(self.random.choice(("1", "2", "3", "0.5", "7.25"))),
            unit_amount=Decimal(self.random.randrange(1_000, 90_000)).scaleb(-2),
            account_code=account,
            tax_type=tax,
            discount_rate=Decimal(10) if count % 7 == 3 else None,
            tracking=[("Region", "North")] if count % 6 == 2 else [],
        )

    def lines(self, count: int, tax: str) -> list[Line]:
        """One to four lines; some documents carry a line of words only (3.7)."""
        lines = [self.line(count + i, tax) for i in range(1 + count % 3)]
        if count % 8 == 4:
            lines.append(Line(id=self.new_id(), description="Thank you for your custom. " * 12))
        if count % 9 == 6:
            small = replace(
                lines[0], id=self.new_id(), unit_amount=Decimal("0.3333"), quantity=Decimal(1_000)
            )
            lines.append(small)
        return lines

    def sale(self, contact: Contact, story: str, age: int) -> None:
        """Add a sales invoice that is so many days old, and the money its story tells of."""
        count = self.count = self.count + 1
        foreign = count % 11 == 5
        types = {4: "Inclusive", 9: "NoTax"}.get(count % 13, "Exclusive")
        tax = "NONE" if types == "NoTax" else self.country.sales
        issued = self.today - timedelta(days=age)
        invoice = Invoice(
            id=self.new_id(),
            type="ACCREC",
            number=f"{self.organisation.invoice_prefix}{count:04d}",
            contact_id=contact.id,
            date=issued,
            due_date=issued + timedelta(days=(14, 30, 7)[count % 3]),
            status=STATUS.get(story, "AUTHORISED"),
            lines=self.lines(count, tax),
            currency=self.foreign if foreign else self.organisation.currency,
            rate=Decimal("1.1523") if foreign else Decimal(1),
            updated=self.stamp(issued, count),
            reference=("", "PO 4711", "Ref: Ω/٢٠٢٦ 🧾", "R&D <phase 2>")[count % 4],
            line_amount_types=types,
            theme_id=self.organisation.themes[count % len(self.organisation.themes)].id,
            sent=story not in STATUS,
        )
        self.settle(with_totals(self.organisation, invoice), story)

    def settle(self, invoice: Invoice, story: str) -> None:
        """Pay or credit an invoice as its story says, and add it."""
        total = invoice.total
        parts: Sequence[Decimal] = {
            "part": [cents(total / 3)],
            "paid": [total],
            "twice": [cents(total / 4), cents(total / 4), total - 2 * cents(total / 4)],
        }.get(story, [])
        days = [self.paid_on(invoice, index) for index in range(len(parts))]
        last = max([*days, invoice.date])
        for day, amount in zip(days, parts, strict=True):
            self.payment(invoice, amount, day)
        if story == "payment-removed":
            self.payment(invoice, cents(total / 2), self.paid_on(invoice, 0), status="DELETED")
        credit = {"credited": total, "part-credit": cents(total / 5)}.get(story, ZERO)
        if credit:
            self.credit(invoice, credit)
        paid = replace(invoice, amount_paid=sum(parts, ZERO), amount_credited=credit)
        self.documents.append(settled(paid, last))

    def paid_on(self, invoice: Invoice, index: int) -> date:
        """When the payments of an invoice come, one after the other."""
        return min(invoice.date + timedelta(days=3 + 2 * index), self.today)

    def payment(
        self, invoice: Invoice, amount: Decimal, day: date, status: str = "AUTHORISED"
    ) -> None:
        """Add a payment, stamped like its invoice (3.2)."""
        self.payments.append(
            Payment(
                id=self.new_id(),
                invoice_id=invoice.id,
                account_code="090",
                date=day,
                amount=amount,
                type="ACCRECPAYMENT" if invoice.type == "ACCREC" else "ACCPAYPAYMENT",
                updated=invoice.updated,
                reference=f"BACS {invoice.number}",
                rate=invoice.rate,
                status=status,
            )
        )

    def credit(self, invoice: Invoice, amount: Decimal) -> None:
        """Add a credit note of which the given amount is allocated to the invoice."""
        spare = Decimal("25.00") if len(self.credits) % 2 else ZERO
        line = Line(
            id=self.new_id(),
            description="Credit for goods returned",
            quantity=Decimal(1),
            unit_amount=amount + spare,
            account_code="200",
            tax_type="NONE",
        )
        note = CreditNote(
            id=self.new_id(),
            type="ACCRECCREDIT",
            number=f"CN-{len(self.credits) + 1:04d}",
            contact_id=invoice.contact_id,
            date=invoice.date,
            due_date=None,
            status="AUTHORISED" if spare else "PAID",
            lines=[line],
            currency=invoice.currency,
            rate=invoice.rate,
            updated=invoice.updated,
            line_amount_types="NoTax",
            allocations=[
                Allocation(
                    id=self.new_id(), invoice_id=invoice.id, amount=amount, date=invoice.date
                )
            ],
        )
        self.credits.append(with_totals(self.organisation, note))

    def free_credit(self, contact: Contact) -> None:
        """Add a credit note that nothing is allocated of yet."""
        line = replace(
            self.line(1, self.country.sales), quantity=Decimal(1), unit_amount=Decimal("80.00")
        )
        note = CreditNote(
            id=self.new_id(),
            type="ACCRECCREDIT",
            number=f"CN-{len(self.credits) + 1:04d}",
            contact_id=contact.id,
            date=self.today - timedelta(days=5),
            due_date=None,
            status="AUTHORISED",
            lines=[line],
            currency=self.organisation.currency,
            updated=self.now - timedelta(days=4),
        )
        self.credits.append(with_totals(self.organisation, note))

    def purchase(self, supplier: Contact, count: int) -> None:
        """Add a supplier's bill (ACCPAY), which a sales sync must never import."""
        issued = self.today - timedelta(days=10 + 9 * count)
        invoice = Invoice(
            id=self.new_id(),
            type="ACCPAY",
            number=f"SUP-{count + 1:03d}" if count % 2 else "",
            contact_id=supplier.id,
            date=issued,
            due_date=issued + timedelta(days=30),
            status="AUTHORISED",
            lines=[self.line(count, self.country.purchases, "400")],
            currency=self.organisation.currency,
            updated=self.stamp(issued, count),
        )
        story = ("open", "paid", "part", "paid")[count % 4]
        self.settle(with_totals(self.organisation, invoice), story)


def seed(store: Store, number: int, now: datetime) -> None:
    """Fill an empty store with both demo companies."""
    random = Random(number)  # noqa: S311 - demo data, not secrets
    uk = Books(uk_organisation(random, now), random, now)
    fill(uk, UK_CUSTOMERS, UK_SUPPLIERS, SALES, purchases=8)
    nz = Books(nz_organisation(random, now), random, now)
    fill(nz, NZ_CUSTOMERS, NZ_SUPPLIERS, NZ_SALES, purchases=4)
    for books in (uk, nz):
        organisation = replace(books.organisation, next_number=books.count + 1)
        store.add_organisation(organisation, books.records())


def fill(
    books: Books,
    customers: Sequence[str],
    suppliers: Sequence[str],
    sales: dict[str, int],
    purchases: int,
) -> None:
    """Write the books of one demo company."""
    buyers = [books.contact(name, number=f"C{i:03d}") for i, name in enumerate(customers)]
    archived = books.contact("Closed Shop (archived)", status="ARCHIVED")
    books.contact("Basket Case (duplicate)", status="ARCHIVED", merged_to=buyers[0].id)
    books.contact("Prospect without invoices")
    sellers = [books.contact(name) for name in suppliers]
    stories = [story for story, count in sales.items() for _ in range(count)]
    books.random.shuffle(stories)
    for index, story in enumerate(stories):
        age = books.random.randrange(1, 25 if story in ("draft", "submitted") else 150)
        books.sale(buyers[index % len(buyers)], story, age)
    overdue = next(i for i, x in enumerate(books.documents) if x.status == "AUTHORISED")
    books.documents[overdue] = replace(books.documents[overdue], contact_id=archived.id)
    _keep_credit_contacts(books)
    books.free_credit(buyers[1])
    for count in range(purchases):
        books.purchase(sellers[count % len(sellers)], count)


def _keep_credit_contacts(books: Books) -> None:
    """A credit note has the contact of the invoice that it is allocated to."""
    contact_of = {invoice.id: invoice.contact_id for invoice in books.documents}
    books.credits = [
        replace(note, contact_id=contact_of[note.allocations[0].invoice_id])
        for note in books.credits
    ]


def big_organisation(store: Store, number: int, now: datetime, invoices: int) -> str:
    """Add an organisation of so many sales invoices; returns its tenant id."""
    random = Random(f"big {number} {invoices}")  # noqa: S311 - demo data, not secrets
    organisation = replace(
        uk_organisation(random, now),
        name=f"Big Company ({invoices} invoices)",
        legal_name="Big Company",
        is_demo=False,
        short_code="!B1gCo",
    )
    books = Books(organisation, random, now)
    buyers = [books.contact(f"Customer {i:05d}") for i in range(max(invoices // 20, 1))]
    stories = ("paid", "paid", "open", "part", "paid", "draft", "paid", "open", "paid", "voided")
    for index in range(invoices):
        books.sale(buyers[index % len(buyers)], stories[index % 10], random.randrange(1, 900))
    store.add_organisation(replace(organisation, next_number=invoices + 1), books.records())
    return organisation.id


def uk_organisation(random: Random, now: datetime) -> Organisation:
    """Settings of the UK demo company."""
    return settings_of(random, now, COUNTRIES["GB"])


def nz_organisation(random: Random, now: datetime) -> Organisation:
    """Settings of the New Zealand demo company."""
    return settings_of(random, now, COUNTRIES["NZ"])


def demo_company(store: Store, number: int, now: datetime, code: str) -> str:
    """Add the demo company of another country, with the New Zealand one's stories; its tenant id.

    ``code`` is one of ``COUNTRIES``. The same seed gives the same books.
    """
    random = Random(f"demo {number} {code}")  # noqa: S311 - demo data, not secrets
    books = Books(settings_of(random, now, COUNTRIES[code]), random, now)
    fill(books, NZ_CUSTOMERS, NZ_SUPPLIERS, NZ_SALES, purchases=4)
    organisation = replace(books.organisation, next_number=books.count + 1)
    store.add_organisation(organisation, books.records())
    return organisation.id
