"""The GPU check's report for a reader: one page, made from what the parts have found so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def markdown(report: dict[str, Any]) -> str:
    """The content of gpu_check.md, from that of gpu_check.json."""
    dry = ", a dry run on a CPU: its numbers mean nothing" if report["dry_run"] else ""
    lines = ["# GPU check", "", f"Started {report['started']}, {report['minutes']:g} minutes{dry}.", ""]
    lines += table(
        ["part", "status", "seconds", "limit", "said"],
        [
            [part["name"], part["status"], f"{part['seconds']:.0f}", f"{part['limit_seconds']:.0f}", part["said"]]
            for part in report["parts"]
        ],
    )
    if not report["finished"]:
        lines += ["", "Not finished: the parts after these had not run yet."]
    for part in report["parts"]:
        lines += ["", f"## {part['name']}: {part['about']}", ""]
        lines += _section(part["name"], part["result"])
    return "\n".join(lines) + "\n"


def _section(name: str, result: dict[str, Any]) -> list[str]:
    """A part's lines; of a part that was cut off, only some of the result may be there."""
    if not result:
        return [f"Nothing was measured; see {name}.log."]
    try:
        return SECTIONS[name](result)
    except KeyError as missing:
        return [f"It came no further than to {', '.join(result)}: no {missing.args[0]} yet; see {name}.log."]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a markdown table."""
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in cells]


def _machine(result: dict[str, Any]) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in result["packages"].items())
    facts = {name: value for name, value in result.items() if name != "packages"}
    return [f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items()] + [f"- packages: {packages}"]


def _tests(result: dict[str, Any]) -> list[str]:
    if "note" in result:
        return [f"{result['note'][0].upper()}{result['note'][1:]}."]
    slowest = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result["slowest"].items())
    lines = [f"{result['passed']} passed, {result['skipped']} skipped, {len(result['failed'])} failed."]
    lines += [f"- failed: {name}" for name in result["failed"]]
    return [*lines, f"The slowest: {slowest}."]


def _graphs(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{row['what']}, {row['precision']}",
            f"{1e3 * row['eager_seconds']:.3g} ms",
            f"{1e3 * row['recorded_seconds']:.3g} ms",
            row["per"],
            f"{row['speedup']:.2f} ({row['slowest_speedup']:.2f} to {row['fastest_speedup']:.2f})",
            f"{row['difference']:.2g}",
            f"{row['difference_of_two_eager_runs']:.2g}",
            "yes" if row["same"] else "NO",
        ]
        for row in result["rows"]
    ]
    if not rows:
        return ["No graph could be recorded, so bench and slice did without; see graphs.log."]
    head = ["", "eager", "recorded", "for", "times as fast (rounds)", "difference", "of two eager runs", "same"]
    return [
        *table(head, rows),
        "",
        "Timed in turn, round by round. Differences: the largest of imagined values in standard deviations, of the "
        "updates' numbers as a share.",
    ]


def _bench(result: dict[str, Any]) -> list[str]:
    peaks = ", ".join(f"{name} {value:,.0f}" for name, value in result["peaks"].items())
    ceilings = ", ".join(f"{name} {value:,.0f}" for name, value in result["ceilings"].items())
    lines = [f"Peak of a large matrix product, GFLOP/s: {peaks}. Of products of the denoiser's size: {ceilings}.", ""]
    rows = [
        [
            row["name"],
            str(row["sampling_steps"]),
            f"{row['precision']}, {row['compile']}",
            f"{1e3 * row['seconds']:.3g} ms",
            f"{row['trajectories_per_second']:,.0f}",
            f"{row['speedup']:.1f}",
            f"{row['gigaflop_per_second']:,.0f}",
            f"{row['share_of_peak']:.1%}",
            _share_of_ceiling(row, result["ceilings"]),
            f"{row['updates_per_second']:,.0f}",
            f"{row['update_speedup']:.1f}",
        ]
        for row in result["variants"]
    ]
    head = ["", "steps", "precision, compile", "to imagine once", "trajectories/s", "times as fast", "GFLOP/s"]
    head += ["of the peak", "of its size's", "updates/s", "times as fast"]
    return [
        *lines,
        f"{result['title']}:",
        "",
        *table(head, rows),
        "",
        f"The real environment takes {result['env_steps_per_second']:,.0f} steps a second; the loop with all its "
        f"learning {result['loop_steps_per_second']:,.0f}. Imagining holds {result['peak_memory_mib']:,.0f} MiB.",
    ]


def _share_of_ceiling(row: dict[str, Any], ceilings: dict[str, float]) -> str:
    ceiling = ceilings.get(row["precision"])
    return f"{row['gigaflop_per_second'] / ceiling:.1%}" if ceiling else "-"


def _slice(result: dict[str, Any]) -> list[str]:
    settings = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
    lines = [f"Settings: {settings}.", "", _stand("First slice", result["first"])]
    if "resumed" in result:
        lines.append(_stand("Resumed", result["resumed"]))
        curve = ", ".join(f"{value:.0f} at step {step:,}" for step, value in result["returns"])
        lines.append(f"- Returns while it trained: {curve or 'no evaluation was due yet'}.")
    if "return_now" in result:
        now = result["return_now"]
        lines.append(
            f"- The last checkpoint, read on the CPU: return {now['mean']:.0f} ± {now['std']:.0f} over "
            f"{now['episodes']} episodes."
        )
    return [*lines, f"- To go on, in this folder: `{result['go_on']}`."]


def _stand(name: str, state: dict[str, Any]) -> str:
    losses = ", ".join(f"{loss} {value:.3g}" for loss, value in state["losses"].items())
    return (
        f"- {name}: step {state['env_step']:,} after {state['seconds']:.0f} s of training, "
        f"{state['steps_per_second']:,.1f} steps a second; {losses or 'no losses yet'}."
    )


SECTIONS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "machine": _machine,
    "tests": _tests,
    "graphs": _graphs,
    "bench": _bench,
    "slice": _slice,
}
