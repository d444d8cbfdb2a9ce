"""`justpayme user create`."""

import io
import json
from argparse import ArgumentParser
from typing import Any

import pytest

from justpayme.accounts.commands import COMMANDS
from justpayme.accounts.models import Business, SecurityEvent, User
from justpayme.runtime.command import OK, CommandError

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str, stdin: str = "") -> str:
        command = COMMANDS[0]
        parser = ArgumentParser()
        command.add_arguments(parser)
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        assert command.run(parser.parse_args(list(words))) == OK
        return capsys.readouterr().out

    return call


def test_makes_a_person_and_her_business(run: Any) -> None:
    told = json.loads(
        run(
            "Maeve@Example.com",
            "--name",
            "Maeve Hollins",
            "--business",
            "Łódź & <Sons>",
            "--password-stdin",
            "--json",
            stdin="a rather long phrase\n",
        )
    )
    user = User.objects.get()
    assert user.check_password("a rather long phrase")
    assert told == {
        "user": user.pk,
        "email": "maeve@example.com",
        "business": Business.objects.get().pk,
        "business_name": "Łódź & <Sons>",
        "business_created": True,
        "role": "owner",
    }
    told_of = SecurityEvent.objects.filter(business=Business.objects.get(), user=user)
    assert {event.action for event in told_of} == {"business_created", "member_added"}


def test_joins_a_business_that_is_there(run: Any, business: Business) -> None:
    run("a@example.com", "--business", str(business.pk), "--role", "viewer")
    run("b@example.com", "--business", business.name, "--role", "member")
    assert sorted(business.memberships.values_list("role", flat=True)) == ["member", "viewer"]
    assert Business.objects.count() == 1


def test_generates_a_password_where_none_can_be_typed(run: Any) -> None:
    told = json.loads(run("a@example.com", "--business", "New", "--json"))
    assert User.objects.get().check_password(told["password"])
    assert "Password: " in run("b@example.com", "--business", "New", "--generate-password")


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (["nobody", "--business", "B"], "", "e"),
        (["a@example.com", "--business", "B", "--password-stdin"], "short\n", "short"),
        (["a@example.com", "--business", "B", "--password-stdin"], "", "short"),
        (["a@example.com", "--business", " "], "", "--business"),
        (["a@example.com", "--business", "x" * 201], "", "--business"),
        (["a@example.com", "--business", "a\nBcc: b@example.com"], "", "can’t be shown"),
        (["a@example.com", "--business", "999999"], "", "no business with the id"),
        (["a@example.com", "--business", "B", "--name", "x" * 151], "", "--name"),
        (["a@example.com", "--business", "B", "--name", "a\nb"], "", "can’t be shown"),
    ],
)
def test_bad_arguments_are_told_and_nothing_is_made(
    run: Any, words: list[str], stdin: str, says: str
) -> None:
    with pytest.raises(CommandError, match=says):
        run(*words, stdin=stdin)
    assert not User.objects.exists()
    assert not Business.objects.exists()


def test_an_address_is_used_once(run: Any, alice: User) -> None:
    with pytest.raises(CommandError, match="already has an account"):
        run("ALICE@example.com", "--business", "Another one")
    assert not Business.objects.filter(name="Another one").exists()


def test_a_name_that_two_businesses_share_is_not_guessed(run: Any) -> None:
    for _ in range(2):
        Business.objects.create(name="Twins")
    with pytest.raises(CommandError, match="Give the id instead"):
        run("a@example.com", "--business", "Twins")
