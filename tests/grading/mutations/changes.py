"""A wrong answer is most often a right one with a slip in it: here is the slip, in the place where it happens."""


def slip(answer: str, right: str, wrong: str) -> str:
    """``answer`` with ``wrong`` for ``right``, which must stand there exactly once."""
    assert answer.count(right) == 1, (answer.count(right), right)
    return answer.replace(right, wrong)
