"""Credit for a part of an answer: the properties that a check asks for, what each is worth, and which of them hold.

A check declares its properties beside itself, with :func:`worth`, and tries each in a ``with part(NAME):``. An
assertion that fails there costs that property alone, and the check goes on. One that fails outside of them ends the
check: nothing more can be judged, and nothing counts. A check without declared properties is all or nothing. Called
by itself, and not by :func:`.judge`, a check stops at the first assertion that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

SPOILT_SHARE = 0.5  # of its points that an answer keeps if it changes its arguments in place
LEFT_ALONE = "what it is given is left as it was"
Check = TypeVar("Check", bound=Callable[..., None])
ALL = "all or nothing"  # words of the only property of a check that declares none


class Property(NamedTuple):
    """Property that a check asks for."""

    weight: float  # its share of the points, among those of the other properties
    words: str  # for the student: what holds, and never how
    needs: tuple[str, ...] = ()  # properties without which it says nothing: an answer that is 0 may have it by chance


_DECLARED: dict[Callable[..., Any], Mapping[str, Property]] = {}


def worth(**properties: Property) -> Callable[[Check], Check]:
    """Declare the properties of a check, by name, in the order in which students read them."""

    def declare(check: Check) -> Check:
        _DECLARED[check] = properties
        return check

    return declare


def declared(check: Callable[..., Any]) -> Mapping[str, Property]:
    """Properties of a check; empty if it is all or nothing."""
    return _DECLARED.get(check, {})


class Part(NamedTuple):
    """Property as it was found."""

    words: str
    weight: float
    holds: bool
    message: str  # why it does not; empty if it does, or could not be judged


class Judgement(NamedTuple):
    """Judgement on an answer.

    Attributes:
        message: sentences on all that is wrong; empty if nothing is.
        parts: one for each property; a single one if the check is all or nothing.
        spoilt: sentence on an argument that the answer changed in place; empty if it left all as they were.
    """

    message: str
    parts: tuple[Part, ...]
    spoilt: str = ""

    @property
    def share(self) -> float:
        """Share of the points, 0 to 1."""
        held = sum(part.weight for part in self.parts if part.holds) / sum(part.weight for part in self.parts)
        return held * self._kept

    @property
    def _kept(self) -> float:
        return SPOILT_SHARE if self.spoilt else 1.0

    def points(self, of: float) -> float:
        """Points of a question that has ``of`` of them."""
        return round(of * self.share, 2)

    def table(self, of: float) -> list[dict[str, Any]]:
        """Rows ``words, points, max_points, message`` of the properties; none if the check is all or nothing."""
        if [part.words for part in self.parts] == [ALL]:
            return []
        whole = sum(part.weight for part in self.parts) / self._kept
        rows = [
            {
                "words": part.words,
                "points": round(of * part.weight / whole, 2) if part.holds else 0.0,
                "max_points": round(of * part.weight / whole, 2),
                "message": part.message,
            }
            for part in self.parts
        ]
        if self.spoilt:
            lost = round(of * (1 - SPOILT_SHARE), 2)
            rows.append({"words": LEFT_ALONE, "points": 0.0, "max_points": lost, "message": self.spoilt})
        return rows

    def __and__(self, other: Judgement) -> Judgement:
        """Judgement on two tries of the same answer: a property holds if it held in both."""
        parts = tuple(
            Part(a.words, a.weight, a.holds and b.holds, a.message or b.message)
            for a, b in zip(self.parts, other.parts, strict=True)
        )
        return Judgement(self.message or other.message, parts, self.spoilt or other.spoilt)

    def all_or_nothing(self) -> Judgement:
        """The same judgement, in which nothing counts unless everything holds, and which says so."""
        message = self.message and f"{self.message} This question is {ALL}."
        return Judgement(message, (Part(ALL, 1.0, not message, message),))


class Trial:
    """One run of a check.

    Args:
        properties: of the check.
        tell: makes a sentence of an error.
    """

    def __init__(self, properties: Mapping[str, Property], tell: Callable[[Exception], str]):
        self.properties = properties
        self.tell = tell
        self.tried: set[str] = set()
        self.failed: dict[str, str] = {}  # property -> why, in the order in which they failed
        self.spoilt = ""

    def judgement(self, end: str) -> Judgement:
        """Judgement on the answer; ``end`` says why the check could not come to its end, if it could not."""
        spoilt = [self.spoilt] * bool(self.spoilt)
        first = list(self.failed.values())[:1]
        if end or not self.properties:
            properties = self.properties or {ALL: Property(1, ALL)}
            nothing = tuple(Part(each.words, each.weight, not end, "") for each in properties.values())
            return Judgement("\n".join([*spoilt, *first, end] if end else first), nothing)
        parts = tuple(self._part(name) for name in self.properties)
        told = dict.fromkeys([*spoilt, *first, *(part.message for part in parts if part.message)])
        return Judgement("\n".join(told), parts, self.spoilt)

    def _part(self, name: str) -> Part:
        weight, words, needs = self.properties[name]
        judged = name in self.tried and all(self._holds(needed) for needed in needs)
        message = self.failed.get(name, "") if judged else ""
        return Part(words, weight, judged and name not in self.failed, message)

    def _holds(self, name: str) -> bool:
        return (
            name in self.tried
            and name not in self.failed
            and all(self._holds(needed) for needed in self.properties[name].needs)
        )


_TRIAL: ContextVar[Trial | None] = ContextVar("trial", default=None)


@contextmanager
def trial_of(properties: Mapping[str, Property], tell: Callable[[Exception], str]) -> Generator[Trial, None, None]:
    """Context in which a check's failures are gathered."""
    trial = Trial(properties, tell)
    token = _TRIAL.set(trial)
    try:
        yield trial
    finally:
        _TRIAL.reset(token)


@contextmanager
def part(name: str) -> Generator[None, None, None]:
    """Context of assertions on one property; it may be entered many times, and has to hold each time."""
    trial = _TRIAL.get()
    if trial is not None:
        trial.tried.add(name)
    try:
        yield
    except Exception as error:
        # an interrupt of the other process: the time is over for all that follows, too
        if trial is None or not trial.properties or type(error).__name__ == "KeyboardInterrupt":
            raise
        trial.failed.setdefault(name, trial.tell(error))


def spoil(told: str) -> None:
    """Note that the answer has changed an argument in place; ``told`` says which. The first one is kept."""
    trial = _TRIAL.get()
    if trial is None:
        raise AssertionError(told)
    trial.spoilt = trial.spoilt or told


def so_far(*names: str) -> bool:
    """True if these properties have held so far, so that what rests on them is worth the time it takes."""
    trial = _TRIAL.get()
    return trial is None or not any(name in trial.failed for name in names)
