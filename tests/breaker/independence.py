"""Which schedules lead to the same: so that one play stands for many (partial-order reduction).

    A: … UPDATE bill | SELECT link …      B's SELECT of a client before or after either of A's
    B: … SELECT client …                  steps: nobody can tell, so one of the orders is enough

Two steps are independent if neither can notice which of them came first. Two schedules are alike
if they differ only in the order of independent steps: all that conflict come in the same order.

What a step touches is read from its text, by tables, and never too little: whatever is not
understood conflicts with everything. A play is needed to know which steps there are; from then on
it stands for every schedule that is alike.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from django.apps import apps
from tests.breaker.interleave import Beside, Played, Step, Switches

Names = frozenset[str]
NOTHING: Names = frozenset()
XERO, LOCKS, COMMENTS = "calls to Xero", "advisory locks", "comments of tables"
"""Each is one object, as a table is."""


@dataclass(frozen=True)
class Touch:
    """What a step reads, holds the key of (FOR KEY SHARE: foreign keys), holds (locks), writes
    (and holds) so that nobody sees it yet, and shows to others."""

    reads: Names = NOTHING
    keys: Names = NOTHING
    holds: Names = NOTHING
    writes: Names = NOTHING
    shows: Names = NOTHING
    everything: bool = False

    def __or__(self, other: Touch) -> Touch:
        return Touch(
            self.reads | other.reads,
            self.keys | other.keys,
            self.holds | other.holds,
            self.writes | other.writes,
            self.shows | other.shows,
            self.everything or other.everything,
        )

    @property
    def any(self) -> Names:
        """All of it."""
        return self.reads | self.keys | self.holds | self.shows


EVERYTHING = Touch(everything=True)


@cache
def conflict(one: Touch, two: Touch) -> bool:
    """Can either notice which of the two came first? What is only held, a plain read does not
    see; two that hold wait for one another; what is shown, all see."""
    if one.everything or two.everything:
        return True
    if one.shows & two.any or two.shows & one.any:
        return True
    return bool(one.holds & (two.holds | two.keys) or two.holds & one.keys)


# --- what a text touches ---------------------------------------------------------------------

_WORD = re.compile(r"\w+")
_CALLED = re.compile(r"(\w+) ?\(")
_HARMLESS = re.compile(
    "all|and|any|as|by|coalesce|conflict|count|distinct|exists|filter|from|greatest|in|join|least|"
    "left|lower|max|min|not|on|or|over|select|sum|then|upper|using|values|when|where",
    re.IGNORECASE,
)
"""Words before a parenthesis that touch nothing by themselves. Another function may do anything."""
_TABLE = re.compile(r'\b(?:FROM|JOIN|INTO|UPDATE) "?(\w+)', re.IGNORECASE)
_NO_TABLE = frozenset({"SET", "OF", "SKIP", "NOWAIT", "LATERAL"})
_WITH = re.compile(r"\b(\w+) AS \(")
"""Every table that is named where a table stands must be one that we know."""
_LOCKING = re.compile(r" FOR (NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)\b", re.IGNORECASE)
_ADVISORY = re.compile(
    r"SELECT (pg_(try_)?advisory_lock\(hashtextextended\(%s, 0\)\)|pg_advisory_unlock_all\(\))"
)
_EXCLUSIVE = re.compile(r"LOCK TABLE (\w+) IN SHARE ROW EXCLUSIVE MODE")
_COMMENT = re.compile(
    r"SELECT obj_description\('\w+'::regclass, 'pg_class'\), 'table ' \|\| '\w+'::regclass::oid"
)
"""Only a restore changes the id, and a restore conflicts with everything."""
_COMMENTING = re.compile(
    r"DO \$\$ BEGIN EXECUTE format\('COMMENT ON TABLE (\w+) IS %L', "
    r"'table ' \|\| '\w+'::regclass::oid\); END \$\$"
)
_ENDING = re.compile("UPDATE sync_run SET state")
"""The judges ask what came after it, committed or not: see `pairs`."""
_SAVEPOINT = re.compile(r"(RELEASE )?SAVEPOINT ")
_NAME_OF_SAVEPOINT = re.compile(r'"s\d+_x\d+"')
NOBODY_KNOWS = -1


@cache
def _tables() -> dict[str, tuple[Names, Names]]:
    """Each table, with those that its foreign keys name and those whose foreign keys name it."""
    models = apps.get_models(include_auto_created=True)
    keys = {
        model._meta.db_table: {
            f.remote_field.model._meta.db_table
            for f in model._meta.local_fields
            if f.remote_field is not None
        }
        for model in models
    }
    return {
        table: (frozenset(named), frozenset(t for t, n in keys.items() if table in n))
        for table, named in keys.items()
        if not table.startswith("procrastinate")  # those have triggers
    }


@cache
def of_text(text: str, *, atomic: bool) -> Touch:
    """What a statement or a call touches; what a COMMIT does is what its transaction did."""
    what = " ".join(text.split())
    if re.match("(GET|POST|PUT|DELETE) /", what):
        return Touch(shows=frozenset({XERO}))
    if _SAVEPOINT.match(what):
        return Touch()
    if _ADVISORY.fullmatch(what):
        return Touch(holds=frozenset({LOCKS}))
    if (touch := _of_whole_table(what, atomic=atomic)) is not None:
        return touch
    named = frozenset(_tables()).intersection(_WORD.findall(what))
    verb = what.partition(" ")[0]
    if not named or _is_strange(what, named) or verb not in _VERBS:
        return EVERYTHING
    if verb == "SELECT":
        return Touch(holds=named) if _LOCKING.search(what) else Touch(reads=named)
    return _of_write(what, named, atomic=atomic)


_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def _is_strange(what: str, named: Names) -> bool:
    """Does it call a function, or name a table, of which we know nothing?"""
    called = {word for word in _CALLED.findall(what) if not _HARMLESS.fullmatch(word)}
    tables = set(_TABLE.findall(what)) - _NO_TABLE - set(_WITH.findall(what))
    return not (called | tables) <= named


def _of_whole_table(what: str, *, atomic: bool) -> Touch | None:
    """Its lock, its id, its comment: how a restore is noticed (sync/restored.py)."""
    if _COMMENT.fullmatch(what):
        return Touch(reads=frozenset({COMMENTS}))
    if found := _EXCLUSIVE.fullmatch(what):
        return Touch(holds=frozenset(found.groups()))
    if found := _COMMENTING.fullmatch(what):
        said = frozenset({COMMENTS})
        held = said.union(found.groups())
        return Touch(holds=held, writes=said, shows=NOTHING if atomic else said)
    return None


def _of_write(what: str, named: Names, *, atomic: bool) -> Touch:
    """Parents are looked at when a row comes, children when one goes."""
    near = {other for table in named for side in _tables()[table] for other in side}
    touch = Touch(keys=frozenset(near), holds=named, writes=named)
    if not atomic:
        touch = replace(touch, shows=named)
    if _ENDING.match(what):
        touch = replace(touch, shows=touch.shows | {"sync_run", XERO})
    return touch


# --- what the steps of a play touch ------------------------------------------------------------


@dataclass
class _Open:
    """What transactions did that have not ended, by session."""

    touched: dict[int, Touch] = field(default_factory=dict)

    def add(self, session: int, touch: Touch) -> None:
        self.touched[session] = self.touched.get(session, Touch()) | touch

    def ended(self, session: int) -> Touch:
        """Its locks are free and others see what it wrote. The judges ask which calls came
        after it."""
        was = self.touched.pop(session, Touch())
        return replace(was, shows=was.writes | was.shows, reads=frozenset({XERO}))


def touches(played: Played, actor: int) -> list[Touch]:
    """What one of the two touches: before its first step, and with each step (and after it)."""
    steps = [step for step in played.steps if step.actor == actor]
    found, open_ = [], _Open()
    for number, step in enumerate([None, *steps]):
        touch = _of_step(step, open_) if step else Touch()
        for what in played.beside.get((actor, number), ()):
            touch |= _of_beside(what, open_)
        found.append(touch)
    return found


def _of_step(step: Step, open_: _Open) -> Touch:
    if step.what == "COMMIT":
        return open_.ended(step.session)
    if step.what.startswith("ROLLBACK TO"):
        return replace(open_.touched.get(step.session, Touch()), everything=True)
    touch = of_text(step.what, atomic=step.atomic)
    if step.atomic:
        open_.add(step.session, touch)
    return touch


def _of_beside(what: Beside, open_: _Open) -> Touch:
    if what == Beside.UNLOCK:
        return Touch(holds=frozenset({LOCKS}))
    if what == Beside.XERO:
        return Touch(shows=frozenset({XERO}))
    if what == Beside.SLEPT:
        return Touch()
    if what == Beside.ROLLBACK:
        ended = [open_.ended(session) for session in list(open_.touched)]
        return _all_of(ended)
    return EVERYTHING


def _all_of(touched: list[Touch]) -> Touch:
    whole = Touch()
    for touch in touched:
        whole |= touch
    return whole


# --- when they came ----------------------------------------------------------------------------

Spans = list[tuple[int, int]]
"""From when to when each step of one of the two took, as `Played.taken` counts; the first is its
beginning."""
Order = list[tuple[int, int]]
"""For each of A's: how many of B's had ended when it began, and how many had begun when it ended.
More of the latter: one of the two waited for the other."""


def spans(played: Played, actor: int) -> Spans:
    """One that was blocked took longer than its own step."""
    begun, found = played.begun[actor], []
    for number, step in enumerate(played.steps):
        if step.actor == actor:
            at = played.taken[number]
            found.append((at, played.ended.get(number, at + 1)))
    return [(begun, begun), *found]


def order(a: Spans, b: Spans) -> Order:
    """How the two lists lie to one another. The steps of one come one after the other."""
    starts, ends = [start for start, _ in b], [end for _, end in b]
    return [(bisect_right(ends, start), bisect_left(starts, end)) for start, end in a]


# --- what a play says of others ----------------------------------------------------------------


@dataclass(frozen=True)
class Deed:
    """A step, or with no text the beginning, and what was done beside it. `freed`: how far the
    other was when it let this one go on, if it had to wait for a lock."""

    what: str
    atomic: bool
    beside: tuple[Beside, ...]
    freed: int = 0


class Seen:
    """A play: what both did in it, and in which order."""

    def __init__(self, plan: Switches, played: Played) -> None:
        self.plan, self.played = plan, played
        a, b = spans(played, 0), spans(played, 1)
        self.order = order(a, b)
        self.deeds = (_deeds(played, 0, self.order), _deeds(played, 1, order(b, a)))
        dark = [deed for deeds in self.deeds for deed in deeds if _is_dark(deed)]
        self.is_clear = not played.refused and not dark

    def done_before(self, number: int) -> tuple[int, int]:
        """How far both were when this step was taken."""
        at, steps = self.played.taken, self.played.steps
        done = [s.actor for n, s in enumerate(steps) if at[n] < at[number]]
        begun = [start <= at[number] for start in self.played.begun]
        return done.count(0) + begun[0], done.count(1) + begun[1]


def _deeds(played: Played, actor: int, order: Order) -> tuple[Deed, ...]:
    """With the beginning first."""
    beside = played.beside
    found = [Deed("", atomic=False, beside=tuple(beside.get((actor, 0), ())))]
    steps = [(n, step) for n, step in enumerate(played.steps) if step.actor == actor]
    for index, (number, step) in enumerate(steps, 1):
        what = _NAME_OF_SAVEPOINT.sub("", step.what)
        ended, begun = order[index]
        freed = 0 if number not in played.waited else begun if begun > ended else NOBODY_KNOWS
        also = tuple(beside.get((actor, index), ()))
        found.append(Deed(what, step.atomic, also, freed))
    return tuple(found)


def _is_dark(deed: Deed) -> bool:
    """Nobody can tell when it was done, or when what was done beside it: it had to wait
    meanwhile, or slept more than once."""
    slept = deed.beside.count(Beside.SLEPT)
    return deed.freed == NOBODY_KNOWS or bool(deed.freed and deed.beside) or slept > 1


class Story:
    """What both do, in whatever order, and which of their steps conflict."""

    def __init__(self, seen: Seen) -> None:
        self.deeds = seen.deeds
        a, b = touches(seen.played, 0), touches(seen.played, 1)
        self.conflicts = [sum(conflict(x, y) << n for n, y in enumerate(b)) for x in a]
        self.told: dict[Hashable, Seen] = {}
        self.switched: dict[tuple[Seen, int], Hashable] = {}

    def like_if(self, once: Seen, number: int) -> Hashable:
        """What it is like to switch once more, before this step; None as in `order_if`."""
        if (once, number) not in self.switched:
            done, going = once.done_before(number), 1 - once.played.steps[number].actor
            order = self.order_if(once, done, going)
            self.switched[once, number] = order and self.like(order)
        return self.switched[once, number]

    def like(self, order: Order) -> Hashable:
        """The same for two orders in which all that conflict come in the same order."""
        each = zip(self.conflicts, order, strict=True)
        return tuple((c & ~(-1 << ended), c & ~(-1 << begun)) for c, (ended, begun) in each)

    def waits_for_nothing(self, order: Order) -> list[str]:
        """Steps that waited for a lock although nothing that the other did meanwhile conflicts:
        so we know too little of what is locked."""
        met = {
            one
            for n, (conflicts, (ended, begun)) in enumerate(zip(self.conflicts, order, strict=True))
            for other in range(ended, begun)
            if conflicts >> other & 1
            for one in ((0, n), (1, other))
        }
        both = ((actor, n, d) for actor in (0, 1) for n, d in enumerate(self.deeds[actor]))
        return [deed.what for actor, n, deed in both if deed.freed and (actor, n) not in met]

    def order_if(self, seen: Seen, done: tuple[int, int], going: int) -> Order | None:
        """The order if both come so far as in `seen`, and then this one goes on. None if they were
        not in this story, or if nobody can say."""
        if any(seen.deeds[n][: done[n]] != self.deeds[n][: done[n]] for n in (0, 1)):
            return None
        return _Course(self.deeds, seen.order[: done[0]], done, going).run()


class _Course:
    """A story as it goes when nobody switches: one goes on until it ends, sleeps or must wait."""

    def __init__(
        self, deeds: Sequence[Sequence[Deed]], order: Order, done: Sequence[int], going: int
    ) -> None:
        self.deeds, self.order, self.done, self.going = deeds, list(order), list(done), going
        self.waits: int | None = None
        self.since = 0

    def run(self) -> Order | None:
        """The order; None if it can't go like this."""
        while not (self._over(0) and self._over(1)):
            if self._over(self.going) and not self._hand_over():
                return None
            if not self._go_on():
                return None
        return self.order

    def _over(self, actor: int) -> bool:
        return self.done[actor] == len(self.deeds[actor])

    def _hand_over(self) -> bool:
        """To one that has something to do and need not wait."""
        self.going = 1 - self.going
        return self.waits is None and not self._over(self.going)

    def _go_on(self) -> bool:
        """One step. False if it can't be."""
        me, other = self.going, 1 - self.going
        deed = self.deeds[me][self.done[me]]
        if deed.freed > self.done[other]:
            since = self.done[other]
            if not self._hand_over():
                return False
            self.waits, self.since = me, since
            return True
        self._take(me, self.done[other], self.done[other] + (self.waits == other))
        if self.waits == other and self.deeds[other][self.done[other]].freed == self.done[me]:
            self._take(other, self.since, self.done[me])
            self.waits = None
        return Beside.SLEPT not in deed.beside or self._hand_over()

    def _take(self, actor: int, ended: int, begun: int) -> None:
        """`ended` and `begun` of the other's."""
        if actor == 0:
            self.order.append((ended, begun))
        self.done[actor] += 1


class Stories:
    """All that was played of a pair, and so what need not be played any more."""

    def __init__(self, plays: Iterable[Seen] = ()) -> None:
        self.known: dict[Hashable, Story] = {}
        for seen in plays:
            self.add(seen)

    def add(self, seen: Seen) -> None:
        """From now on it stands for those that are alike."""
        if not seen.is_clear:
            return
        if (story := self.known.get(seen.deeds)) is None:
            story = self.known[seen.deeds] = Story(seen)
        found = story.waits_for_nothing(seen.order)
        assert not found, f"{seen.plan}: waited for nothing that we know of: {found}"
        story.told.setdefault(story.like(seen.order), seen)

    def alike(self, once: Seen, number: int) -> Seen | None:
        """What was played and leads to the same as to switch once more, before this step."""
        found = (story.told.get(like) for story, like in self._likes(once, number))
        return next((seen for seen in found if seen), None)

    def awaited(self, once: Seen, number: int) -> Hashable:
        """The same for those that one play may stand for; None if one was played, or if nobody
        can say. A play may still turn out to be another story."""
        likes = list(self._likes(once, number))
        told = any(like in story.told for story, like in likes)
        return likes[0] if likes and not told else None

    def _likes(self, once: Seen, number: int) -> Iterator[tuple[Story, Hashable]]:
        """What it is like in each story that it may be."""
        if not once.is_clear:
            return
        for story in self.known.values():
            if (like := story.like_if(once, number)) is not None:
                yield story, like
