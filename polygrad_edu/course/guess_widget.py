"""A question with its lock: a number, a choice or a slider, beside "Lock in", in JupyterLab and in the built book."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


class GuessWidget(anywidget.AnyWidget):
    """Question that hides what follows it until a guess is locked in or given up.

    Args:
        question: its name, as given to ``predict``.
        choices: the possible answers, if it does not ask for a number.
        between: the ends of a slider, if it does not ask for any number.
        said: what is known of a question that is settled already; empty while it waits.
        settle: called with the guess (None if given up) and how sure the reader is in percent (or None); returns the
            sentence to show.
    """

    _css = STYLE
    _esm = SCRIPT + "\nexport default { render };\n"
    live = traitlets.Bool(True).tag(sync=True)
    question = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List().tag(sync=True)
    between = traitlets.List().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        question: str,
        choices: tuple[str, ...],
        between: tuple[float, float] | None,
        said: str,
        settle: Callable[[Any, Any], str],
    ):
        super().__init__(question=question, choices=list(choices), between=list(between or ()), said=said)
        self._settle = settle
        self.on_msg(self._told)

    def _told(self, _widget: Any, content: Any, _buffers: Any) -> None:
        self.said = self._settle(content["guess"], content.get("sure"))

    def to_html(self) -> str:
        """HTML that stands for the question in a stored lesson; the book's page brings it to life with the script."""
        state = {"live": False, "question": self.question, "choices": self.choices, "between": self.between, "said": ""}
        words = f'<div class="guess waiting">Question {escape(self.question)}</div>'
        return f'<div class="guess-place" data-state="{escape(json.dumps(state))}">{words}</div>'

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        words = f"Question {self.question}: write your guess in place of the dots, or lock it in here."
        return bundle[0] | {"text/plain": words, "text/html": self.to_html()}, bundle[1]
