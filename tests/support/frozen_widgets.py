"""Frozen widgets: at every point of a grid, the stored frame is the one that a live widget shows."""

import itertools
import json

from polygrad_edu.widgets import ReturnExplorer, SchedulePlayground


class StoredPlayground(SchedulePlayground):
    """A widget whose frames no page can compute: they come from a kernel, or from a frozen grid."""

    script = SchedulePlayground.script
    page_scripts = ()


class StoredReturns(ReturnExplorer):
    """Another one."""

    script = ReturnExplorer.script
    page_scripts = ()


def check_frozen(make, grid):
    """Fail if a frame of ``make()`` frozen over ``grid`` is an error, or another one than the live widget's."""
    frozen, live = make().freeze(grid), make()
    for values in itertools.product(*grid.values()):
        state = dict(zip(grid, values, strict=True))
        live.move(**state)
        assert live.frame["error"] is None
        assert json.dumps(frozen.frozen_frame(**state)) == json.dumps(live.frame["data"]), state
