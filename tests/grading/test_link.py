"""Requests between the checks and a real process of a student: errors, and what it may not do."""

import sys

import pytest

from polygrad_edu.grading.student_process import StudentProcess
from polygrad_edu.grading.wire import BrokenWireError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("f = lambda: 1 / 0", ZeroDivisionError, "division by zero"),
        ("f = lambda: {}['a']", KeyError, "'a'"),
        ("class Odd(Exception):\n    pass\ndef f():\n    raise Odd('words')", Exception, "words"),
        ("def f():\n    raise SystemExit(3)", Exception, "3"),
        ("f = lambda: torch.zeros(40_000_000)", ValueError, "more than 128 MiB cannot be handed over at once"),
        ("f = lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)", Exception, "quint8"),
        ("def f():\n    deep = []\n    deep.append(deep)\n    return deep", RecursionError, "recursion"),
    ],
)
def test_errors_keep_their_name_and_kind_and_end_nothing(student, process, source, kind, words):
    f = student(f"{source}\nstill_there = lambda: 3")
    with pytest.raises(kind, match=words):
        f()
    assert process.link.request("fetch", "still_there")() == 3


def test_an_assertion_of_the_checks_cannot_be_caught_over_there(student):
    def strict():
        raise AssertionError("a sentence for the student")

    f = student("def f(strict):\n    try:\n        strict()\n    except BaseException:\n        return 'fine'")
    with pytest.raises(AssertionError, match="a sentence for the student"):
        f(strict)


def test_of_what_it_is_handed_a_student_may_use_what_is_meant_for_it(student):
    for name in ("__globals__", "register_forward_hook", "__class__"):
        f = student(f"f = lambda g: g._link.request('get', g._number, {name!r})")
        with pytest.raises(AttributeError, match="not for answers to use"):
            f(lambda: 1)


def test_what_is_waited_for_the_student_counts_and_the_checks_own_work_does_not(student, process):
    link, during = process.link, []
    before = link.seconds_waited()
    f = student("def f(work):\n    work()")
    f(lambda: during.append((link.waits_since, link.seconds_waited())))
    ((since, waited),) = during
    assert since is None
    assert before < waited < link.seconds_waited()


def test_nonsense_on_the_pipe_ends_the_process_and_nothing_else(tmp_path):
    student = StudentProcess(tmp_path.resolve(), [])
    try:
        with pytest.raises(BrokenWireError):
            student.link.request("run", "import os, sys\nos.write(int(sys.argv[3]), b'nonsense' * 99)", "cell")
    finally:
        student.close()
