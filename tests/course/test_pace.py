"""The pace of a lesson: full, or quick if the reader asks for it."""

import pytest

from polygrad_edu.course.pace import quick


@pytest.mark.parametrize(("setting", "chosen"), [(None, "full"), ("", "full"), ("0", "full"), ("1", "small")])
def test_a_lesson_is_quick_only_on_demand(monkeypatch, setting, chosen):
    monkeypatch.delenv("POLYGRAD_QUICK", raising=False)
    if setting is not None:
        monkeypatch.setenv("POLYGRAD_QUICK", setting)
    assert quick("full", "small") == chosen
