"""Studies: seeds x presets x changed settings, checked as a whole before anything is trained."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__, environments
from ..files.input_error import InputError
from ..files.safe_files import read_json, write_json
from ..files.versions import refuse_newer, refuse_newer_format
from ..imagination_loop import check_seed
from ..presets import get_preset
from ..settings import Preset, closest_name
from .trials import Trial

FORMAT = "polygrad-edu study 1"
MAX_TRIALS = 100_000
# Fields of study.json, beside its format.
FIELDS = {"presets": list, "seeds": list, "settings": dict, "vary": dict, "device": str, "combinations": dict}


@dataclass(frozen=True)
class Study:
    """Every preset with every variant and every seed.

    Attributes:
        settings: changes that all trials share, as text.
        vary: settings with several values each; a variant is one of their combinations.

    Raises:
        InputError: an unknown preset, setting or value, a seed out of range, or twice the same.
    """

    presets: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: dict[str, str]
    vary: dict[str, tuple[str, ...]]
    device: str

    def __post_init__(self):
        if not self.presets or not self.seeds or not all(self.vary.values()):
            raise InputError("a study needs at least a preset, a seed, and a value for each setting that varies")
        if len(set(self.presets)) < len(self.presets):
            raise InputError(f"a preset is named twice: {', '.join(self.presets)}")
        if both := set(self.settings) & set(self.vary):
            raise InputError(f"{both.pop()} is both fixed and varied; choose one")
        n = len(self.presets) * len(self.seeds) * math.prod(len(values) for values in self.vary.values())
        if n > MAX_TRIALS:
            raise InputError(f"{n:,} trials are more than the {MAX_TRIALS:,} that a study may have")
        for seed in (min(self.seeds), max(self.seeds)):
            check_seed(seed)
        for name in self.presets:
            seen: dict[Preset, str] = {}
            for variant, overrides in self.variants():
                preset = self._preset(name, overrides)
                if preset in seen:
                    raise InputError(f"{variant} and {seen[preset]} are the same for {name}; leave one out")
                seen[preset] = variant
        for env_id, scale in {(preset.task.env_id, preset.task.action_scale) for _, _, preset in self.combinations()}:
            environments.make(env_id, scale).close()  # an InputError if there is no such task

    def variants(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Name (empty if nothing varies) and changes of each combination of varied settings."""
        for values in itertools.product(*self.vary.values()):
            chosen = dict(zip(self.vary, values, strict=True))
            varied = [f"{name}={value}" for name, value in chosen.items() if len(self.vary[name]) > 1]
            yield "+".join(varied), self.settings | chosen

    def combinations(self) -> Iterator[tuple[str, str, Preset]]:
        """Name of each preset, with the name of each variant and the settings of both together."""
        for name in self.presets:
            for variant, overrides in self.variants():
                yield name, variant, self._preset(name, overrides)

    @staticmethod
    def _preset(name: str, overrides: dict[str, str]) -> Preset:
        preset = get_preset(name)
        try:
            return preset.with_overrides(overrides)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None

    def trials(self, directory: Path) -> list[Trial]:
        """Every trial, ordered by seed, so that an unfinished study compares like with like."""
        return [
            Trial(
                name := trial_name(preset_name, variant, seed),
                directory / "trials" / name,
                preset_name,
                self._preset(preset_name, overrides),
                tuple(overrides.items()),
                seed,
                self.device,
                variant,
            )
            for seed in self.seeds
            for preset_name in self.presets
            for variant, overrides in self.variants()
        ]

    def to_json(self) -> dict[str, Any]:
        """The content of study.json."""
        combined = {trial_name(name, variant): preset.to_json() for name, variant, preset in self.combinations()}
        return {
            "format": FORMAT,
            "version": __version__,
            "presets": list(self.presets),
            "seeds": list(self.seeds),
            "settings": self.settings,
            "vary": {name: list(values) for name, values in self.vary.items()},
            "device": self.device,
            "combinations": combined,
        }


def trial_name(preset_name: str, variant: str, seed: int | None = None) -> str:
    """Name ``PRESET+SETTING=VALUE-seedN``, fit for a directory: a task's ``/`` becomes ``_``."""
    name = "+".join(part for part in (preset_name, variant) if part)
    return re.sub(r"[^\w.=+-]", "_", name) + ("" if seed is None else f"-seed{seed}")


def read_study(directory: Path) -> Study:
    """Read the study in a folder.

    Raises:
        InputError: there is none, it is damaged, of a newer version, or this version's presets have other settings.
    """
    path = directory / "study.json"
    if not path.is_file():
        raise InputError(f"{directory} holds no study.json; make a study with: polygrad-edu sweep PRESET --seeds 5")
    data = read_json(path)
    refuse_newer_format(data.get("format"), FORMAT, data.get("version"), path)
    if data.get("format") != FORMAT:
        raise InputError(f"{path} is not a study of this version (its format is {data.get('format')!r:.60})")
    try:
        return _checked(data, path)
    except InputError:
        refuse_newer(data.get("version"), path)
        raise


def _checked(data: dict[str, Any], path: Path) -> Study:
    """The study that a file holds.

    Raises:
        InputError: it is damaged, or this version's presets have other settings.
    """
    for name, kind in FIELDS.items():
        if not isinstance(data.get(name), kind):
            raise InputError(f"{path} must hold {name} as a JSON {'text' if kind is str else kind.__name__}")
    texts = [*data["presets"], *data["settings"].values(), *data["vary"], *itertools.chain(*_lists(path, data["vary"]))]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{path} must hold the presets' names and all settings' values as text")
    if not all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in data["seeds"]):
        raise InputError(f"{path} must hold whole numbers from 0 on as seeds")
    try:
        study = make_study(data["presets"], data["seeds"], data["settings"], data["vary"], data["device"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if difference := _difference(data["combinations"], study.to_json()["combinations"]):
        raise InputError(f"{path} was made with other presets: {difference} in this version")
    return study


def _lists(path: Path, vary: dict[str, Any]) -> Iterator[list[Any]]:
    for name, values in vary.items():
        if not isinstance(values, list):
            raise InputError(f"{path} must hold a list of values for {name}")
        yield values


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The first difference in words; empty if there is none."""
    for name in [*old, *new]:
        if name not in old or name not in new:
            return f"{name} is only in the {'folder' if name in old else 'command'}"
        if not isinstance(old[name], dict):
            return f"{name} is no object"
        for setting, value in new[name].items():
            if old[name].get(setting) != value:
                return f"{name} had {setting} {old[name].get(setting)!r:.60}, it has {value!r}"
    return ""


def make_study(presets: list[str], seeds: Any, settings: dict[str, str], vary: dict[str, Any], device: str) -> Study:
    """Make a :class:`Study`; names of settings may be written with dashes."""
    return Study(
        tuple(presets),
        tuple(seeds),
        {closest_name(name): value for name, value in settings.items()},
        {closest_name(name): tuple(values) for name, values in vary.items()},
        device,
    )


def check_folder(directory: Path, wanted: Study) -> None:
    """Check that a folder is free for a study, or holds this one.

    Raises:
        InputError: it holds something else.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; name a folder for the study with --out")
    if not (directory / "study.json").exists():
        if directory.exists() and any(directory.iterdir()):
            raise InputError(f"{directory} is there already and holds no study; choose another --out")
        return
    stored = read_study(directory)
    for name in ("presets", "seeds", "settings", "vary", "device"):
        old = getattr(stored, name)
        new = getattr(wanted, name)
        if old != new:
            raise InputError(
                f"{directory} holds another study: its {name} are {old}, not {new}; choose another --out, or go on "
                f"with that one: polygrad-edu sweep --out {shlex.quote(str(directory))}"
            )


def start_study(directory: Path, study: Study) -> None:
    """Make the folder and write its study.json."""
    if not (directory / "study.json").exists():
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / "study.json", study.to_json())
