"""A benchmark's report: a table for the terminal, a figure and JSON, with the error beside the speed."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from ..files.progress import OnProgress
from ..files.safe_files import write_json
from ..runs.checkpoint import load_checkpoint, read_config
from ..runs.result_file import versions
from ..settings import Preset
from ..world_model_error import measure_errors
from .bench import GROWTH
from .comparison import run_starts, tune_guidance

BLUE = "#0072b2"
ORANGE = "#d55e00"
GREY = "#666666"
QUALITY_TRAJECTORIES = 512


def quality(run: Path, device: str, precision: str, on_progress: OnProgress) -> list[dict[str, Any]]:
    """Measure the error of a run's world model, as far ahead as it imagines at once, by the number of sampling steps.

    Each number is measured in float32 and, if it is another, in ``precision``.
    """
    _, preset, _ = read_config(run)
    trained = preset.diffusion.diffusion_steps
    numbers = [*(n for n in GROWTH["sampling_steps"] if n < trained), trained]
    settings = [(n, p) for n in numbers for p in dict.fromkeys(["float32", precision])]
    rows = []
    for done, (n, p) in enumerate(settings):
        on_progress("error by sampling steps", done, len(settings))
        loop, _ = load_checkpoint(run, device, {"sampling_steps": str(n), "precision": p})
        starts = run_starts(loop, QUALITY_TRAJECTORIES, 0)
        tune_guidance(loop.world_model, starts)
        errors = measure_errors(loop.world_model, loop.make_env(), starts, preset.world_model.horizon - 1)
        rows.append(
            {
                "sampling_steps": n,
                "precision": p,
                "steps_ahead": preset.world_model.horizon - 1,
                "error": errors.observation[-1]._asdict(),
                "ks_distance": errors.on_policyness.ks_distance,
                "seconds_per_1000": errors.seconds_per_1000,
            }
        )
    on_progress("error by sampling steps", len(settings), len(settings))
    return rows


@dataclass
class BenchReport:
    """The results of a benchmark.

    Attributes:
        compared: see :func:`polygrad_edu.measuring.bench.compare_variants`.
        loop: see :func:`polygrad_edu.measuring.bench.whole_loop`.
        growth: see :func:`polygrad_edu.measuring.bench.growth`; may be empty.
        quality: see :func:`quality`; may be empty.
    """

    preset_name: str
    preset: Preset
    device: str
    compared: dict[str, Any]
    loop: dict[str, float]
    growth: dict[str, list[dict[str, float]]]
    quality: list[dict[str, Any]]

    def title(self) -> str:
        """The sizes and the machine, in a line."""
        return (
            f"{self.preset_name} on {self.device_name()}: {self.compared['imagined_trajectories']:,} trajectories of "
            f"{self.compared['horizon']} steps, {self.compared['parameters'] / 1e6:.1f} million parameters"
        )

    def device_name(self) -> str:
        """The GPU's name, or the number of cores in use."""
        if self.device == "cuda":
            return torch.cuda.get_device_name()
        return f"{torch.get_num_threads()} of the {os.cpu_count()} cores of a {platform.machine()} CPU"

    def table(self) -> Table:
        """The table for a terminal, at most 80 columns wide."""
        table = Table(box=None, padding=(0, 1, 0, 0))
        table.add_column("")
        columns = ("steps", "precision", "seconds", "times as fast", "GFLOP/s", "of peak", "updates/s", "times as fast")
        for name in columns:
            table.add_column(name, justify="right")
        for row in self.compared["variants"]:
            table.add_row(
                row["name"],
                str(row["sampling_steps"]),
                row["precision"].replace("loat", "") + self._compiled(row),
                f"{row['seconds']:.3g}",
                f"{row['speedup']:.1f}",
                f"{row['gigaflop_per_second']:,.0f}",
                f"{row['share_of_peak']:.0%}",
                f"{row['updates_per_second']:.3g}",
                f"{row['update_speedup']:.1f}",
            )
        return table

    @staticmethod
    def _compiled(row: dict[str, Any]) -> str:
        return "" if row["compile"] == "none" else f", {row['compile']}"

    def legend(self) -> str:
        """The meaning of the table's columns, and the numbers that it does not hold."""
        peaks = self.compared["matmul_gigaflop_per_second"].items()
        peak = " and ".join(f"{value:,.0f} GFLOP/s in {name}" for name, value in peaks)
        parts = [
            "steps: of the sampler; seconds: to imagine once; updates: of the world model, batch "
            f"{self.preset.world_model.batch_size}; peak: a large matrix product in the same precision here, {peak}.",
            f"The real environment takes {self.loop['env_steps_per_second']:,.0f} steps a second; with all its "
            f"learning the loop takes {self.loop['loop_steps_per_second']:.3g}. Imagining holds "
            f"{self.compared['peak_memory_bytes'] / 2**20:,.0f} MiB in tensors at most.",
        ]
        for row in self.quality:
            error = row["error"]
            parts.append(
                f"{row['sampling_steps']} sampling steps, {row['precision']}: error {error['value']:.3g} "
                f"({error['low']:.3g} to {error['high']:.3g}) {row['steps_ahead']} steps ahead, "
                f"{row['seconds_per_1000']:.3g} s for 1,000 trajectories"
            )
        return "\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The content of bench.json."""
        return {
            "preset": self.preset_name,
            "settings": self.preset.to_json(),
            "device": self.device,
            "device_name": self.device_name(),
            "threads": torch.get_num_threads(),
            "versions": versions(),
            **self.compared,
            **self.loop,
            "growth": self.growth,
            "quality": self.quality,
        }

    def write(self, directory: Path) -> None:
        """Write bench.json and bench.png."""
        write_json(directory / "bench.json", self.to_json())
        figure = Figure(figsize=(11, 7.5), layout="constrained")
        figure.suptitle(self.title(), fontsize=10)
        (speed, flatness), (memory, last) = figure.subplots(2, 2)
        self._draw_variants(speed)
        if self.growth:
            self._draw_batch(flatness)
            self._draw_memory(memory)
        if self.quality:
            self._draw_quality(last)
        elif self.growth:
            self._draw_growth(last)
        for axes in (speed, flatness, memory, last):
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_visible(axes.has_data())
        FigureCanvasAgg(figure).print_png(directory / "bench.png")

    def _draw_variants(self, axes: Any) -> None:
        rows = self.compared["variants"][::-1]
        bars = axes.barh([row["name"] for row in rows], [row["seconds"] for row in rows], color=[BLUE, GREY, GREY])
        labels = [f"{row['seconds']:.3g} s, {row['speedup']:.1f} times as fast" for row in rows[:-1]]
        axes.bar_label(bars, [*labels, f"{rows[-1]['seconds']:.3g} s"], padding=4)
        axes.set(title="to imagine once", xlabel="seconds", xlim=(0, 1.6 * rows[-1]["seconds"]))

    def _draw_batch(self, axes: Any) -> None:
        points = self.growth["batch"]
        x = [point["value"] for point in points]
        axes.plot(x, [1e3 * point["seconds"] / point["value"] for point in points], "o-", color=BLUE)
        axes.set(
            xscale="log",
            xticks=x,
            xticklabels=x,
            xlabel="trajectories imagined at once",
            ylim=(0, None),
            ylabel="milliseconds a trajectory",
            title="a trajectory costs no more in a larger batch",
        )
        axes.minorticks_off()

    def _draw_memory(self, axes: Any) -> None:
        for name, colour, other in (
            ("batch", BLUE, self.preset.world_model.horizon),
            ("horizon", ORANGE, self.preset.loop.imagined_trajectories),
        ):
            x = [point["value"] * other for point in self.growth[name]]
            y = [point["memory_bytes"] / 2**20 for point in self.growth[name]]
            axes.plot(x, y, "o-", color=colour, label=f"as the {name} grows", linewidth=1)
        axes.set(
            xlabel="batch times horizon",
            ylabel="MiB in tensors",
            xlim=(0, None),
            ylim=(0, None),
            title="memory: the weights, and what is imagined at once",
        )
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.legend(frameon=False)

    def _draw_growth(self, axes: Any) -> None:
        for name, colour in (("width", BLUE), ("sampling_steps", ORANGE), ("horizon", GREY)):
            x = [point["value"] for point in self.growth[name]]
            y = [point["seconds"] for point in self.growth[name]]
            axes.plot(x, y, "o-", color=colour, label=name.replace("_", " "))
        axes.set(xscale="log", yscale="log", xlabel="value", ylabel="seconds to imagine once", title="what else costs")
        axes.legend(frameon=False)

    def _draw_quality(self, axes: Any) -> None:
        for precision, colour in zip(
            dict.fromkeys(row["precision"] for row in self.quality), (GREY, BLUE), strict=False
        ):
            rows = [row for row in self.quality if row["precision"] == precision]
            x = [row["seconds_per_1000"] for row in rows]
            y = [row["error"]["value"] for row in rows]
            spread = np.array([[row["error"][end] for row in rows] for end in ("low", "high")])
            axes.errorbar(x, y, np.abs(spread - y), fmt="o-", color=colour, label=precision, linewidth=1)
            for row, x_, y_ in zip(rows, x, y, strict=True):
                axes.annotate(
                    str(row["sampling_steps"]), (x_, y_), xytext=(4, 5), textcoords="offset points", color=colour
                )
        ahead = self.quality[0]["steps_ahead"]
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="seconds to imagine 1,000 trajectories",
            ylabel=f"error {ahead} steps ahead",
            title="the error, by sampling steps",
        )
        axes.legend(frameon=False)
