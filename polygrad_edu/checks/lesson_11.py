"""Checks of lesson 11: making it fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import given


def check_operations_of(operations_of: Callable[[Sequence[int], int], float]) -> None:
    """Check ``operations_of(sizes, batch)``: floating-point operations of a network's matrix products."""
    one = given(operations_of([1, 1], 1), "operations_of")
    assert one == 2, f"one weight and one row take a multiplication and an addition; you count {one}."
    assert operations_of([3, 5], 7) == operations_of([5, 3], 7), "a layer from 3 to 5 costs what one from 5 to 3 does."
    assert operations_of([3, 5], 14) == 2 * operations_of([3, 5], 7), "twice as many rows should cost twice as much."
    two_layers = operations_of([4, 6, 2], 10)
    apart = operations_of([4, 6], 10) + operations_of([6, 2], 10)
    assert two_layers == apart, (
        f"two layers together should cost what they cost apart, {apart}; you count {two_layers}."
    )


def check_speed_up(speed_up: Callable[[list[float], list[float]], float]) -> None:
    """Check ``speed_up(seconds_a, seconds_b)``: a robust ratio of speeds, B to A."""
    ratio = given(speed_up([2.0, 2.0, 2.0], [1.0, 1.0, 1.0]), "speed_up")
    assert ratio != 0.5, "B takes half as long as A, so it is twice as fast; yours is upside down."
    assert abs(ratio - 2) < 1e-9, f"A takes 2 s in each round and B 1 s; you say {ratio}."
    drift = speed_up([2.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    assert abs(drift - 2) < 1e-9, (
        "the machine became slower and slower, for both alike: B still takes half of A in each round. "
        f"You say {drift:.2f}."
    )
    hiccup = speed_up([2.0, 60.0, 2.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    assert abs(hiccup - 2) < 0.1, f"one round of five was disturbed, and it should not decide; you say {hiccup:.2f}."
    uneven = speed_up([4.0, 20.0, 6.0], [2.0, 10.0, 1.0])
    assert abs(uneven - 2) < 1e-9, (
        "in rounds of 4, 20 and 6 s for A and 2, 10 and 1 s for B, B is 2, 2 and 6 times as fast: typically 2. You say "
        f"{uneven:.2f}; compare within each round before you choose a typical one."
    )
    early = speed_up([8.0, 2.0, 2.0], [1.0, 1.0, 8.0])
    assert abs(early - 2) < 1e-9, (
        f"A was disturbed in the first round and B in the last; the round between says 2. You say {early:.2f}."
    )


class _Machine:
    """Machine with a clock of its own: A takes 2 seconds and B 1, the first call of each ``setting_up`` more."""

    def __init__(self, setting_up: float = 0.0):
        self.now, self.calls, self.setting_up = 0.0, "", setting_up

    def clock(self) -> float:
        return self.now

    def a(self) -> None:
        self._work("A", 2.0)

    def b(self) -> None:
        self._work("B", 1.0)

    def _work(self, name: str, seconds: float) -> None:
        self.now += seconds if name in self.calls else seconds + self.setting_up
        self.calls += name


def check_in_turn(in_turn: Callable[..., tuple[list[float], list[float]]]) -> None:
    """Check ``in_turn(work_a, work_b, rounds, clock)``: seconds of two works, round by round."""
    machine = _Machine()
    answer = given(in_turn(machine.a, machine.b, 3, machine.clock), "in_turn")
    two_lists = isinstance(answer, tuple | list) and len(answer) == 2
    assert two_lists, "two lists come back: the seconds of A, and those of B."
    seconds = [list(part) for part in answer]
    assert machine.calls, "neither of the two works was ever called."
    for name, found, right in zip("AB", seconds, (2.0, 1.0), strict=True):
        assert len(found) == 3, f"3 rounds make 3 numbers of {name}, not {len(found)}."
        assert min(found) > 0.1, (
            f"{name} takes {right:g} s by the clock that was handed in, and you say {found[0]:.3g}. Read that clock, "
            "before the call and after it."
        )
        assert not found[0] < found[1] < found[2], (
            f"{name} takes {right:g} s in each round, and you say {_listed(found)}: the stopwatch runs on. When is it "
            "started?"
        )
    a, b = seconds
    assert b != [3.0] * 3, "B takes 1 s, and you say 3: A's seconds are in it. Start anew between the two."
    assert (a, b) == ([2.0] * 3, [1.0] * 3), f"A takes 2 s and B 1 s in each round; you say {_listed(a)}, {_listed(b)}."
    cold = _Machine(setting_up=10.0)
    warmed = [list(part) for part in in_turn(cold.a, cold.b, 3, cold.clock)]
    for name, found in zip("AB", warmed, strict=True):
        assert max(found) < 10, (
            f"the first call of {name} sets things up and takes 10 s more, here and nearly everywhere. You counted it: "
            f"{_listed(found)}."
        )
    turns = cold.calls[-6:]
    assert turns in ("ABABAB", "BABABA"), (
        f"the calls that count came in the order {turns}. On a machine that becomes slower, the later of the two is "
        "blamed for it; take turns."
    )


def _listed(seconds: list[float]) -> str:
    """Seconds as a short list."""
    return ", ".join(f"{value:g}" for value in seconds)


def check_amdahl(amdahl: Callable[[float, float], float]) -> None:
    """Check ``amdahl(p, s)``: speed-up of the whole."""
    whole = given(amdahl(1.0, 5.0), "amdahl")
    assert abs(whole - 5) < 1e-9, f"if everything becomes 5 times as fast, so does the whole; you say {whole}."
    assert abs(amdahl(0.0, 5.0) - 1) < 1e-9, "what takes no time can become as fast as it likes: nothing changes."
    assert abs(amdahl(0.5, 1e12) - 2) < 1e-6, "with half of the time gone altogether the whole is twice as fast."
    assert abs(amdahl(0.8, 1.0) - 1) < 1e-9, "a part that stays as it is leaves the whole as it is."
    assert amdahl(0.5, 0.5) < 1, "a part that becomes slower makes the whole slower."
