"""Base of all widgets: controls, live frames, and a frozen copy that works in a page without a kernel.

A widget is a pure function from the controls' state to a frame, and a small JavaScript file that draws it. Where the
page can compute the frame itself (``page_scripts``), it does, in the book and in JupyterLab, with or without a kernel.
Elsewhere a moved control asks the kernel for its frame, and :meth:`LessonWidget.freeze` stores the frames of a grid,
through which the same JavaScript moves in the book.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import torch
import traitlets

MAX_FROZEN_BYTES = 1_500_000
HOLDS = "render({ model: standIn("  # what a stored page holds comes after it
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Control:
    """Control of a widget: a slider through numbers, or a menu of words.

    Attributes:
        name: the argument of the pure function that it sets.
        label: shown to the reader.
        values: its possible values, in order.
        default: its first value.
        unit: written after the number.
        smooth: the slider may also stand between its values, spread by their logarithm, wherever frames are computed.
        folded: shown under the picture's other controls, in a part that can be closed.
        button: words on a button that goes to the next value, instead of a slider.
        play: a button beside the slider plays through its values.
    """

    name: str
    label: str
    values: tuple[float | int | str, ...]
    default: float | int | str
    unit: str = ""
    smooth: bool = False
    folded: bool = False
    button: str = ""
    play: bool = False

    def __post_init__(self):
        if self.default not in self.values:
            raise ValueError(f"{self.name} cannot start at {self.default!r}: it is none of its values {self.values}")

    @classmethod
    def log(cls, name: str, label: str, min_value: float, max_value: float, count: int, default: float) -> Control:
        """Slider through ``count`` numbers from ``min_value`` to ``max_value``, evenly spaced in their logarithm."""
        values = [float(f"{value:.2g}") for value in np.geomspace(min_value, max_value, count)]
        nearest = min(values, key=lambda value: abs(math.log(value / default)))
        return cls(name, label, tuple(values), nearest, smooth=True)

    @property
    def kind(self) -> str:
        """``button``, ``menu`` or ``slider``."""
        if self.button:
            return "button"
        return "menu" if isinstance(self.values[0], str) else "slider"


@dataclass(frozen=True)
class Place:
    """Handle in the picture, or several, that the reader moves by pointer or arrows: a part of the state.

    Attributes:
        name: the argument of the pure function that it sets.
        label: what is moved.
        default: [x, y]; or a list of such places, empty for those that the function chooses.
    """

    name: str
    label: str
    default: list[Any]
    kind: ClassVar[str] = "place"


def check_number(name: str, value: Any, min_value: float, max_value: float = math.inf, whole: bool = False) -> None:
    """Check that ``value`` is a number from ``min_value`` to ``max_value``, with a message that the widget can show.

    Raises:
        ValueError: it is not; the message names the value and what would be right.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    in_range = number and math.isfinite(value) and min_value <= value <= max_value
    if not in_range or (whole and value != int(value)):
        bounds = f"of at least {min_value:g}" if max_value == math.inf else f"from {min_value:g} to {max_value:g}"
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number {bounds}, not {value!r}")


def compact(value: Any) -> Any:
    """Convert arrays, tensors and numbers to JSON values, rounded to what a screen can show.

    An array is rounded to a ten-thousandth of its largest number, which is what an axis can show. A number alone or in
    a list keeps four digits, for a logarithmic axis. NaN and infinity become null.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, Mapping):
        return {str(key): compact(part) for key, part in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        finite = np.abs(value[np.isfinite(value)])
        largest = float(finite.max()) if finite.size else 0.0
        digits = 3 - math.floor(math.log10(largest)) if largest > 0 else 0
        return _without_nan(np.round(value.astype(np.float64), max(digits, 0)).tolist())
    if isinstance(value, (np.ndarray, np.generic)):
        return compact(value.tolist())
    if isinstance(value, (list, tuple)):
        return [compact(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def _without_nan(value: Any) -> Any:
    """Nested lists with ``None`` for NaN and infinity, and 0.0 for -0.0."""
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return value + 0.0 if math.isfinite(value) else None  # -0.0 + 0.0 is 0.0


class LessonWidget(anywidget.AnyWidget):
    """Widget made of a pure function, controls and a drawing.

    A subclass has a ``title``, a ``script`` (a file beside this one that defines ``draw(panels, data, state)``) and a
    ``compute``: a function from the controls' values, as keyword arguments, to a dictionary of data to draw. Its key
    ``text`` is a sentence that says in words what is shown. It raises ValueError for values that it refuses. A script
    that adds more than a drawing to the live view, buttons for example, names its function as ``entry``; that calls
    ``render``.

    A class whose frames the page can compute as well names ``page_scripts``: the last of them defines
    ``frameOf(model, settings, state)``, a generator that yields now and then and returns what ``compute`` would.

    Args:
        controls: in the order in which they are shown.
        page_model: for ``frameOf``: what :func:`..runs.browser_export.pack` made.
        page_settings: for ``frameOf``: any JSON object.
        in_page: False where this one widget of a class with ``page_scripts`` needs the kernel or stored frames.
        state: first values of controls, by name, where they are not the defaults.
    """

    title: ClassVar[str]
    script: ClassVar[str]
    entry: ClassVar[str] = "render"
    page_scripts: ClassVar[tuple[str, ...]] = ()
    compute: Callable[..., dict[str, Any]]
    live = traitlets.Bool(True).tag(sync=True)
    heading = traitlets.Unicode().tag(sync=True)
    controls = traitlets.List().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)  # the state shown, its data or its error, and the request it answers
    page_source = traitlets.Unicode().tag(sync=True)
    page_model = traitlets.Bytes().tag(sync=True)
    page_settings = traitlets.Dict().tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "script" in cls.__dict__:
            cls._source = _read_scripts("plot.js", "engine.js", "frame.js", cls.script)
            # a page from disk may start a Worker, but none that is a module
            page = _read_scripts(*cls.page_scripts, "page_worker.js") if cls.page_scripts else ""
            cls._page_source = re.sub("^export ", "", page, flags=re.MULTILINE)
            cls._esm = cls._source + f"\nexport default {{ render: {cls.entry} }};\n"
        super().__init_subclass__(**kwargs)

    def __init__(
        self,
        controls: Sequence[Control | Place],
        page_model: bytes = b"",
        page_settings: dict[str, Any] | None = None,
        in_page: bool = True,
        **state: Any,
    ):
        self._controls = {control.name: control for control in controls}
        self._frozen: dict[str, Any] | None = None
        described = [asdict(control) | {"kind": control.kind} for control in controls]
        unknown = sorted(set(state) - set(self._controls))
        if unknown:
            raise ValueError(f"{self.title} has no control {unknown[0]!r}; it has {', '.join(self._controls)}")
        start = {name: state.get(name, control.default) for name, control in self._controls.items()}
        source = self._page_source if in_page else ""
        page = {"page_source": source, "page_model": page_model, "page_settings": page_settings or {}}
        super().__init__(heading=self.title, controls=described, frame=self._frame(start), **page)
        self.on_msg(self._asked)

    @property
    def state(self) -> dict[str, Any]:
        """Values of the controls for the frame that is shown."""
        return dict(self.frame["state"])

    def move(self, **changes: Any) -> None:
        """Set controls from Python, as the reader's hand would."""
        unknown = sorted(set(changes) - set(self._controls))
        if unknown:
            raise ValueError(f"{self.title} has no control {unknown[0]!r}; it has {', '.join(self._controls)}")
        self.frame = self._frame(self.state | changes)

    def _frame(self, state: dict[str, Any], number: int = 0, view: str = "") -> dict[str, Any]:
        """Frame for ``state``; ``number`` and ``view`` say which request it answers."""
        answer: dict[str, Any] = {"state": state, "number": number, "view": view, "data": None, "error": None}
        try:
            answer["data"] = compact(self.compute(**state))
        except ValueError as error:
            answer["error"] = str(error)
        except Exception as error:  # a kernel hides what a message handler raises, and the reader should see it
            answer["error"] = f"{type(error).__name__}: {error}"
        return answer

    def _asked(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Answer the request of a view, which asks for one frame at a time, so moves do not queue up here."""
        state = {name: content["state"].get(name, control.default) for name, control in self._controls.items()}
        self.frame = self._frame(state, content["number"], content["view"])

    def freeze(self, grid: Mapping[str, Iterable[Any]]) -> LessonWidget:
        """Store the frames of all combinations of the grid's values, for pages without a kernel.

        Parts that frames have in common are stored once. Controls outside the grid stay as they are now. Nothing is
        computed or stored where the page computes its frames itself: there every control moves freely.

        Args:
            grid: values by control.

        Returns:
            The widget, so that a cell can end in ``Widget().freeze({...})``.

        Raises:
            ValueError: an unknown control, an empty list, or more than ``MAX_FROZEN_BYTES`` bytes.
        """
        values = {name: list(grid[name]) for name in self._controls if name in grid}
        for name in grid:
            if name not in self._controls:
                raise ValueError(f"{self.title} has no control {name!r}; it has {', '.join(self._controls)}")
            if not values[name]:
                raise ValueError(f"the grid names no values for {name}")
        if self.page_source:
            return self
        start = self.state | {
            name: self.state[name] if self.state[name] in several else several[0] for name, several in values.items()
        }
        pool: dict[str, int] = {}  # place of each part, by its JSON
        frames: list[list[int] | str] = []
        keys: list[str] = []
        size = 0
        for combination in itertools.product(*values.values()):
            frame = self._frame(start | dict(zip(values, combination, strict=True)))
            if frame["data"] is None:
                frames.append(frame["error"])
                continue
            keys = keys or list(frame["data"])
            texts = [_json(frame["data"][key]) for key in keys]
            size += sum(len(text) + 1 for text in texts if text not in pool) + 5 * len(keys)
            if size > MAX_FROZEN_BYTES:
                total = math.prod(len(several) for several in values.values())
                raise ValueError(
                    f"{len(frames) + 1} of {total} frames fill {MAX_FROZEN_BYTES:,} bytes: "
                    "name fewer values in the grid"
                )
            frames.append([pool.setdefault(text, len(pool)) for text in texts])
        self._frozen = {"grid": values, "keys": keys, "frames": frames, "pool": [json.loads(text) for text in pool]}
        self.frame = self._frame(start)
        return self

    def frozen_frame(self, **state: Any) -> dict[str, Any] | str:
        """Stored data of a grid point, or its error message, as the page's JavaScript finds it."""
        if self.page_source:
            raise ValueError(f"{self.title} stores no frames: the page computes them")
        if self._frozen is None:
            raise ValueError("nothing is frozen yet; call freeze first")
        place = 0
        for name, values in self._frozen["grid"].items():
            place = place * len(values) + values.index(state[name])
        found = self._frozen["frames"][place]
        if isinstance(found, str):
            return found
        return {key: self._frozen["pool"][i] for key, i in zip(self._frozen["keys"], found, strict=True)}

    def to_html(self) -> str:
        """HTML that draws the widget without a kernel and without a network."""
        shown = self.frame | {"number": 0, "view": ""}
        held = {"heading": self.title, "controls": self.controls, "frame": shown, "frozen": self._frozen}
        if self.page_source:
            held |= {"page_source": self.page_source, "page_settings": self.page_settings}
            held |= {"page_model": base64.b64encode(self.page_model).decode()}
        return self._page_of(held)

    @classmethod
    def renewed(cls, page: str) -> str:
        """Page that :meth:`to_html` made with earlier scripts, with those of today; its numbers stay as they are."""
        held, _ = json.JSONDecoder().raw_decode(page, page.rindex(HOLDS) + len(HOLDS))
        if "page_source" in held:
            held["page_source"] = cls._page_source
        return cls._page_of(held)

    @classmethod
    def _page_of(cls, held: Mapping[str, Any]) -> str:
        """HTML of a widget that holds its heading, controls and frame, and perhaps frames or what computes them."""
        text = _json(held)
        island = "widget-" + hashlib.sha256((text + cls._source).encode()).hexdigest()[:12]
        script = f"{cls._source}\n{HOLDS}{text}), el: document.getElementById('{island}') }});"
        frame = held["frame"]
        words = frame["error"] or frame["data"].get("text", "")
        words = f"{held['heading']}. {words} Run this cell to bring it to life."
        fallback = words.replace("&", "&amp;").replace("<", "&lt;")
        return f'<div id="{island}">{fallback}</div>\n<script type="module">\n{script}\n</script>'

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        return bundle[0] | {"text/plain": f"<{type(self).__name__}>", "text/html": self.to_html()}, bundle[1]


def _read_scripts(*names: str) -> str:
    """The scripts beside this file, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def _json(value: Any) -> str:
    """JSON without spaces and without a less-than sign, so that nothing in it can end a script early."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
