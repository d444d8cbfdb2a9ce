"""Deliveries that somebody without our webhook key might send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Iterator

KEYS = ("the-key-of-today+/=", "the key before")
Forgery = tuple[bytes, str]


def signed(body: bytes, key: str, how: str = "sha256") -> str:
    """The signature of these bytes with that key."""
    return base64.b64encode(hmac.new(key.encode(), body, how).digest()).decode()


def forged(body: bytes, chance: random.Random, number: int) -> Iterator[Forgery]:
    """So many (body, signature) that are wrong; every way of forging in turn."""
    for turn in range(number):
        yield _WAYS[turn % len(_WAYS)](body, chance)


def _flipped(which: bytes) -> Callable[[bytes, random.Random], Forgery]:
    """A bit of one byte of this class is turned, the signature is of the body before."""

    def forge(body: bytes, chance: random.Random) -> Forgery:
        places = [at for at, byte in enumerate(body) if byte in which]
        at = chance.choice(places)
        changed = bytearray(body)
        changed[at] ^= 1 << chance.randrange(8)
        return bytes(changed), signed(body, KEYS[0])

    return forge


def _flipped_signature(body: bytes, chance: random.Random) -> Forgery:
    right = bytearray(signed(body, KEYS[0]).encode())
    right[chance.randrange(len(right) - 2)] ^= 1 << chance.randrange(7)
    return body, right.decode("latin-1")


def _truncated(body: bytes, chance: random.Random) -> Forgery:
    return body[: chance.randrange(len(body))], signed(body, KEYS[0])


def _longer(body: bytes, chance: random.Random) -> Forgery:
    more = chance.choice([b" ", b"\n", b"\0", b"}", body])
    return (body + more, more + body)[chance.randrange(2)], signed(body, KEYS[0])


def _written_anew(body: bytes, chance: random.Random) -> Forgery:
    """The same JSON in other bytes: spaces, order of keys, escapes."""
    whole = json.loads(body)
    written = [
        json.dumps(whole, indent=chance.randrange(1, 9)),
        json.dumps(whole, separators=(",", ":")),
        json.dumps(dict(reversed(whole.items()))),
        json.dumps(whole).replace("/", "\\/"),
    ]
    return chance.choice(written).encode(), signed(body, KEYS[0])


def _wrong_key(body: bytes, chance: random.Random) -> Forgery:
    key = chance.choice(["", " ", KEYS[0][:-1], KEYS[0] + " ", KEYS[0].upper(), *("key", "Ω")])
    return body, signed(body, key)


def _wrong_kind(body: bytes, chance: random.Random) -> Forgery:
    """Another algorithm or another way to write the right digest."""
    digest = hmac.new(KEYS[0].encode(), body, hashlib.sha256)
    right = base64.b64encode(digest.digest()).decode()
    shown = [
        signed(body, KEYS[0], chance.choice(["sha1", "md5", "sha512", "sha224"])),
        digest.hexdigest(),
        right.rstrip("="),
        right + "=",
        f"sha256={right}",
        f"{right}, {right}",
        f"{right},{signed(body, 'other')}",
        hashlib.sha256(body + KEYS[0].encode()).hexdigest(),
        right.swapcase(),
    ]
    return body, chance.choice(shown)


def _nonsense(body: bytes, chance: random.Random) -> Forgery:
    return body, chance.choice(["", "=", "null", "0" * 44, "Ω" * 44, "\x00", "A" * 100_000])


_WAYS = (
    _flipped(b"{}[]:,"),
    _flipped(b'"'),
    _flipped(b"0123456789abcdef-"),
    _flipped(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    _flipped(b" /."),
    _flipped_signature,
    _truncated,
    _longer,
    _written_anew,
    _wrong_key,
    _wrong_kind,
    _nonsense,
)
