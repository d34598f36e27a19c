"""Runs as released versions left them, each a few steps long and packed in an archive.

``python -m tests.support.released_runs`` adds the one of this version; those of earlier ones were written by their own
code. They stay as they are for ever: a version either goes on with them or says why not.
"""

import io
import zipfile
from pathlib import Path

import polygrad_edu
from polygrad_edu.imagination_loop import ImaginationLoop
from polygrad_edu.presets import get_preset
from polygrad_edu.runs.checkpoint import save_checkpoint, write_config

FOLDER = Path(__file__).parents[1] / "runs" / "released"
STEP = 16  # at which they were stopped
SETTINGS = {
    "denoiser": "transformer",  # the smallest
    "width": 4,
    "depth": 0,
    "policy_width": 4,
    "horizon": 3,
    "env_steps": 24,
    "prefill_steps": 12,
    "pretrain_updates": 2,
    "batch_size": 4,
    "imagined_trajectories": 4,
    "sampling_steps": 2,
    "eval_every": 12,
    "eval_episodes": 1,
    "final_episodes": 1,
    "checkpoint_every": 12,
}


def write(run: Path, env_id: str = "InvertedPendulum-v5") -> None:
    """Write such a run."""
    preset = get_preset("inverted-pendulum").with_overrides(SETTINGS | {"env_id": env_id})
    write_config(run, "inverted-pendulum", preset, 3)
    loop = ImaginationLoop(preset, 3)
    for _ in range(STEP):
        loop.step()
    save_checkpoint(run, loop, 1.0)


def pack(run: Path, archive: Path) -> None:
    """Put a run's files into an archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(run.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(run).as_posix())
    archive.write_bytes(content.getvalue())


def unpack(name: str, run: Path) -> Path:
    """Put the run of that name into the directory ``run``."""
    with zipfile.ZipFile(FOLDER / f"{name}.zip") as packed:
        packed.extractall(run)
    return run


def main() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "run")
        pack(Path(folder) / "run", FOLDER / f"{polygrad_edu.__version__}-inverted-pendulum.zip")


if __name__ == "__main__":
    main()
