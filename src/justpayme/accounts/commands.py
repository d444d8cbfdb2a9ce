"""`justpayme user create`."""

from __future__ import annotations

import getpass
import json
import secrets
import sys
from argparse import ArgumentParser, Namespace

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from justpayme.accounts import actions, security_log
from justpayme.accounts.fields import check_visible
from justpayme.accounts.models import Business, Membership, User
from justpayme.runtime.command import OK, USAGE, Command, CommandError


def add_user_arguments(parser: ArgumentParser) -> None:
    """Arguments of `user create`."""
    parser.add_argument("email", help="the address that she signs in with")
    parser.add_argument("--name", default="", help="her name")
    parser.add_argument(
        "--business",
        required=True,
        help="name or id of the business; one of this name is made if there is none",
    )
    parser.add_argument(
        "--role", choices=Membership.Role.values, default="owner", help="default: owner"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    how.add_argument(
        "--generate-password", action="store_true", help="make a password and print it"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")


def create_user(arguments: Namespace) -> int:
    """Add a person, and the business if it is new. Prints what was made."""
    password, generated = _password(arguments)
    _check(arguments.email, arguments.name, arguments.business, password)
    try:
        user, business, made = _create(arguments, password)
    except actions.Refused as refused:
        raise CommandError(str(refused)) from None
    told = {
        "user": user.pk,
        "email": user.email,
        "business": business.pk,
        "business_name": business.name,
        "business_created": made,
        "role": arguments.role,
    }
    if generated:
        told["password"] = password
    _tell(told, as_json=arguments.json)
    return OK


@transaction.atomic
def _create(arguments: Namespace, password: str) -> tuple[User, Business, bool]:
    business, made = _business(arguments.business)
    user = actions.create_person(
        email=arguments.email,
        password=password,
        name=arguments.name.strip(),
        business=business,
        role=arguments.role,
    )
    if made:
        security_log.record(action="business_created", business=business, user=user)
    return user, business, made


def _business(wanted: str) -> tuple[Business, bool]:
    """The business with this id or name, or a new one with this name."""
    if wanted.isdecimal() and len(wanted) < 19:
        found = Business.objects.filter(pk=int(wanted)).first()
        if found is None:
            raise CommandError(f"There is no business with the id {wanted}.")
        return found, False
    name = wanted.strip()
    if not name or len(name) > 200:
        raise CommandError("--business: give a name of 1 to 200 letters.", USAGE)
    same = list(Business.objects.filter(name=name)[:2])
    if len(same) > 1:
        raise CommandError(f"Several businesses are called {name}. Give the id instead.")
    return (same[0], False) if same else (Business.objects.create(name=name), True)


def _password(arguments: Namespace) -> tuple[str, bool]:
    if arguments.password_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    if arguments.generate_password or not sys.stdin.isatty():
        return secrets.token_urlsafe(15), True
    return getpass.getpass("Password: "), False


def _check(email: str, name: str, business: str, password: str) -> None:
    try:
        validate_email(email)
        check_visible(name)
        check_visible(business)
        validate_password(password, User(email=email, name=name))
    except ValidationError as error:
        raise CommandError(" ".join(error.messages), USAGE) from None
    if len(name) > 150:
        raise CommandError("--name: 150 letters at most.", USAGE)


def _tell(told: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        line = json.dumps(told, ensure_ascii=False)
    else:
        line = f"{told['email']} is {told['role']} of {told['business_name']}."
        if "password" in told:
            line += f" Password: {told['password']}"
    sys.stdout.write(line + "\n")


COMMANDS = [
    Command(
        "user create", "create a person, and a business if needed", add_user_arguments, create_user
    ),
]
