"""New and edited bills, and payments: forms that come back with what was typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from justpayme.accounts.access import BusinessRequest, change_required
from justpayme.bills import actions, forms, held, queries, receiving
from justpayme.bills.actions import AlreadyDone, Changed, Locked, Refused
from justpayme.bills.codes import Codes, codes_of
from justpayme.bills.common import (
    FEW_CLIENTS,
    MISSING_ROWS,
    act_of,
    books_of,
    found,
    get_or_post,
    show_bill,
    show_locked,
)
from justpayme.bills.models import Bill
from justpayme.bills.queries import BillDetail, Books
from justpayme.core.entry import BillEntry, LineEntry
from justpayme.core.totals import rate_text
from justpayme.web.format import money, quantity, typed_money


@get_or_post
@change_required
def bill_new(request: BusinessRequest) -> HttpResponse:
    """A new bill; `?client=` chooses the client beforehand."""
    books = books_of(request)
    clients = _choices(books, request.GET.get("client", ""))
    if clients is None:
        return redirect(f"{reverse('bills:clients')}?for=bill")
    if request.method != "POST":
        return _show_form(request, _blank_bill(request, books, clients), more=forms.ROWS_AT_FIRST)
    return _submit_bill(request, books, None, clients)


def _shape(books: Books, detail: BillDetail | None) -> forms.Shape:
    """What the form of this bill, or of a new one, offers."""
    if detail is None:
        open_ones = receiving.open_organisations(books.business.pk)
        connection = open_ones[0] if len(open_ones) == 1 else None
    else:
        open_ones = []
        home = receiving.home_organisation(books.business.pk) if detail.link is None else None
        connection = detail.partner or home
    partner = detail.partner if detail else None
    return forms.Shape(
        codes=codes_of(connection) if connection else None,
        is_invoice=partner is not None,
        locks=held.locks(detail.bill, partner) if detail and partner else {},
        organisations=tuple((one.pk, one.name) for one in open_ones),
    )


@get_or_post
@change_required
def bill_edit(request: BusinessRequest, pk: int) -> HttpResponse:
    """Change a bill, unless a one-directional organisation owns it."""
    books = books_of(request)
    detail = found(lambda: queries.bill_detail(books, pk))
    if detail.is_locked:
        return show_locked(request, detail)
    if detail.bill.status == "void":
        sentence = "A void bill can't be changed. Make a new bill instead."
        return show_bill(request, books, detail, problem=sentence, status=409)
    own = (detail.bill.client_id, detail.bill.client.name)
    clients = _choices(books, str(own[0])) or [own]
    clients = clients if own in clients else [own, *clients]
    if request.method != "POST":
        return _show_form(request, _stored_bill(books, detail, clients), detail=detail, more=1)
    return _submit_bill(request, books, detail, clients)


def _choices(books: Books, chosen: str) -> list[tuple[int, str]] | None:
    """Clients to choose from; with very many only the chosen one, None when none is chosen."""
    few = queries.choosable_clients(books, FEW_CLIENTS + 1)
    if len(few) <= FEW_CLIENTS:
        return few
    number = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 19 else 0
    own = books.clients().filter(pk=number, archived=False).values_list("pk", "name")
    return list(own) or None


@dataclass
class Editor:
    """A bill being edited: the head, the rows, and what stands above them."""

    form: forms.BillForm
    rows: Any
    shape: forms.Shape
    problem: str = ""
    status: int = 200


def _blank_bill(request: BusinessRequest, books: Books, clients: list[tuple[int, str]]) -> Editor:
    chosen = request.GET.get("client", "")
    initial = {
        "client": chosen if chosen.isascii() and chosen.isdigit() else "",
        "number": queries.next_number(books),
        "issued_on": books.today,
        "due_on": forms.suggested_due(books.today),
        "currency": books.business.currency,
        "tax_mode": "exclusive",
        "token": forms.new_token(),
    }
    shape = _shape(books, None)
    if len(shape.organisations) == 1:
        initial["also_in_xero"] = shape.organisations[0][0]
    rows = forms.line_rows(shape=shape)
    return Editor(forms.BillForm(initial=initial, clients=clients, shape=shape), rows, shape)


def _stored_bill(books: Books, detail: BillDetail, clients: list[tuple[int, str]]) -> Editor:
    entry, shape = actions.entry_of(detail.bill), _shape(books, detail)
    initial = {
        "client": entry.client_id,
        "number": entry.number,
        "reference": entry.reference,
        "issued_on": entry.issued_on,
        "due_on": entry.due_on,
        "currency": entry.currency,
        "tax_mode": entry.tax_mode.value,
        "expected_on": entry.expected_on,
        "branding_theme": entry.branding_theme,
        "url": entry.url,
        "sent": entry.sent,
        "token": forms.new_token(),
        "seen": detail.bill.updated_at.isoformat(),
    }
    form = forms.BillForm(initial=initial, clients=clients, shape=shape)
    rows = forms.line_rows(initial=_stored_rows(entry, shape.codes), shape=shape)
    return Editor(form, rows, shape)


def _stored_rows(entry: BillEntry, codes: Codes | None) -> list[dict[str, Any]]:
    return [
        {
            "line_id": line.line_id,
            "description": line.description,
            "quantity": quantity(line.quantity),
            "unit_amount": f"{line.unit_amount.normalize():f}" if line.unit_amount else "0",
            "discount_rate": rate_text(line.discount_rate).rstrip("%"),
            "tax_rate": rate_text(line.tax_rate).rstrip("%"),
            "tax_type": _chosen_type(line, codes),
            "account_code": line.account_code,
        }
        for line in entry.lines
    ]


def _chosen_type(line: LineEntry, codes: Codes | None) -> str:
    """The line's tax type; of a percentage typed here the one that it would become."""
    if codes and line.tax_type.endswith("%"):
        return codes.type_for(line.tax_rate) or line.tax_type
    return line.tax_type


def _submit_bill(
    request: BusinessRequest,
    books: Books,
    detail: BillDetail | None,
    clients: list[tuple[int, str]],
) -> HttpResponse:
    if "more" in request.POST:
        return _more_rows(request, books, detail, clients)
    shape = _shape(books, detail)
    stored = _stored_bill(books, detail, clients) if detail else None
    editor = Editor(
        forms.BillForm(
            request.POST,
            clients=clients,
            shape=shape,
            initial=stored.form.initial if stored else None,
        ),
        forms.line_rows(request.POST, shape=shape),
        shape,
        status=422,
    )
    valid = editor.form.is_valid()
    if not (editor.rows.is_valid() and valid):
        return _show_form(request, editor, detail=detail)
    try:
        saved = _save_bill(request, editor, detail)
    except AlreadyDone as error:
        messages.info(request, str(error))
        return (
            redirect("bills:bill", error.target_id) if error.target_id else redirect("bills:bills")
        )
    except (Locked, Changed) as error:
        editor.problem, editor.status = str(error), 409
        return _show_form(request, editor, detail=detail, fresh=isinstance(error, Changed))
    except Refused as error:
        own = {k: v for k, v in error.problems.items() if not k.startswith("lines")}
        editor.form.place(own)
        editor.rows.place({k: v for k, v in error.problems.items() if k not in own})
        return _show_form(request, editor, detail=detail)
    except MISSING_ROWS as error:
        raise Http404 from error
    messages.success(request, f"Bill {saved} is saved.")
    return redirect("bills:bill", saved.pk)


def _save_bill(request: BusinessRequest, editor: Editor, detail: BillDetail | None) -> Bill:
    stored = actions.entry_of(detail.bill) if detail else None
    entry = editor.form.entry(editor.rows.entries(), stored)
    if detail is None:
        return actions.bill_create(
            act=act_of(request),
            entry=entry,
            approve=request.POST.get("do") == "approve",
            also_in_xero=editor.form.cleaned_data.get("also_in_xero"),
        )
    seen = editor.form.cleaned_data["seen"]
    return actions.bill_edit(act=act_of(request), bill_id=detail.bill.pk, entry=entry, seen=seen)


def _more_rows(
    request: BusinessRequest,
    books: Books,
    detail: BillDetail | None,
    clients: list[tuple[int, str]],
) -> HttpResponse:
    """The form as it was typed, judged by nobody, with more empty rows or newly made clients."""
    more = 1 if request.POST["more"] == "clients" else forms.ROWS_MORE
    typed = {name: request.POST.get(name, "") for name in forms.BillForm.base_fields}
    shape = _shape(books, detail)
    editor = Editor(
        forms.BillForm(initial=typed, clients=clients, shape=shape),
        forms.line_rows(initial=forms.typed_rows(request.POST), shape=shape),
        shape,
    )
    return _show_form(request, editor, detail=detail, more=more)


def _show_form(
    request: BusinessRequest,
    editor: Editor,
    *,
    detail: BillDetail | None = None,
    more: int = 0,
    fresh: bool = False,
) -> HttpResponse:
    if more and "lines" not in editor.shape.locks:
        editor.rows.extra = more
    if fresh and detail is not None:
        editor.form.look_again(detail.bill.updated_at)
        editor.rows.look_again({line.pk for line in detail.bill.lines.all()})
    context = {
        "form": editor.form,
        "rows": editor.rows,
        "errors": _errors(editor),
        "problem": editor.problem,
        "bill": detail.bill if detail else None,
        "parted": detail is not None and detail.link is not None and detail.owner is None,
        "partner": detail.partner if detail else None,
        "shape": editor.shape,
    }
    return render(request, "bills/bill_form.html", context, status=editor.status)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of the summary above a form."""

    target: str
    label: str
    text: str


def _errors(editor: Editor) -> list[FieldError]:
    if not editor.form.is_bound:
        return []
    found = [FieldError("", "", str(text)) for text in editor.form.non_field_errors()]
    found += [FieldError("lines", "Lines", str(t)) for t in editor.rows.non_form_errors()]
    found += _field_errors(editor.form, "")
    for index, row in enumerate(editor.rows.forms, start=1):
        found += _field_errors(row, f"Line {index}, ")
    return found


def _field_errors(form: Any, start: str) -> list[FieldError]:
    return [
        FieldError(field.id_for_label, f"{start}{field.label}", str(text))
        for field in form
        for text in field.errors
    ]


@get_or_post
@change_required
def payment_new(request: BusinessRequest, pk: int) -> HttpResponse:
    """Record money that came in."""
    books = books_of(request)
    detail = found(lambda: queries.bill_detail(books, pk))
    if detail.is_locked:
        return show_locked(request, detail)
    if request.method != "POST":
        initial = {
            "amount": typed_money(detail.bill.outstanding, detail.bill.currency),
            "on": detail.today,
            "token": forms.new_token(),
            "seen": detail.bill.updated_at.isoformat(),
        }
        return _show_payment(request, detail, forms.PaymentForm(initial=initial))
    return _submit_payment(request, detail, forms.PaymentForm(request.POST))


def _submit_payment(
    request: BusinessRequest, detail: BillDetail, form: forms.PaymentForm
) -> HttpResponse:
    if not form.is_valid():
        return _show_payment(request, detail, form, status=422)
    try:
        actions.payment_record(
            act=act_of(request),
            bill_id=detail.bill.pk,
            entry=form.entry(),
            seen=form.cleaned_data["seen"],
        )
    except AlreadyDone as error:
        messages.info(request, str(error))
    except Locked:
        return show_locked(request, detail)
    except Changed as error:
        form.look_again(detail.bill.updated_at)
        form.add_error(None, str(error))
        return _show_payment(request, detail, form, status=409)
    except Refused as error:
        form.place(error.problems)
        return _show_payment(request, detail, form, status=422)
    else:
        messages.success(request, "The payment is recorded.")
    return redirect("bills:bill", detail.bill.pk)


def _show_payment(
    request: BusinessRequest, detail: BillDetail, form: forms.PaymentForm, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "bill": detail.bill,
        "name": detail.bill.number or "this draft",
        "outstanding": money(detail.bill.outstanding, detail.bill.currency),
        **_receiver(detail),
    }
    return render(request, "bills/payment_form.html", context, status=status)


def _receiver(detail: BillDetail) -> dict[str, str]:
    """Where the money is recorded in Xero, for a bill whose payments go there."""
    partner = detail.partner
    if partner is None or not partner.write_back:
        return {}
    rows = partner.receiving_accounts.filter(currency=detail.bill.currency)
    account = rows.values_list("name", flat=True).first()
    return {"organisation": partner.name, "account": account} if account else {}
