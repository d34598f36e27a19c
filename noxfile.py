"""What continuous integration runs, by name: ``nox --list`` tells of each session, CONTRIBUTING.md when to use it."""

import re
import sys
from pathlib import Path

import nox

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SIMULATION = ("torch", "gymnasium", "mujoco")  # whose releases move what is computed here
# What touches these three most, in about three minutes.
QUICK = [
    "tests/concepts",
    "tests/baselines",
    "tests/tasks",
    "tests/drawing",
    "tests/runs/test_checkpoint.py",
    "tests/runs/test_shipped.py",
    "tests/interop/test_world_model_env.py",
]
# A whole run in seconds: every part at work, nothing learned.
TOY = [
    "--env-steps=60", "--prefill-steps=40", "--pretrain-updates=5", "--width=16", "--depth=1", "--batch-size=16",
    "--policy-width=16", "--imagined-trajectories=16", "--eval-every=30", "--eval-episodes=1", "--final-episodes=2",
    "--checkpoint-every=20",
]  # fmt: skip


def name_of(wish: str) -> str:
    """The package that a wish such as ``torch>=2.11,<2.14`` is about."""
    return re.split(r"[\[<>=;]", wish)[0]


def least() -> dict[str, str]:
    """The oldest release series that pyproject.toml allows of each of these packages."""
    wishes = {name_of(wish): wish for wish in PROJECT["dependencies"]}
    bounds = {name: re.search(r">=([\d.]+)", wishes[name]) for name in SIMULATION}
    return {name: f"{name}=={bound[1]}.*" for name, bound in bounds.items() if bound}


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, on this Python; what follows -- goes to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """The quick tests with the oldest torch, gymnasium and mujoco; -- torch==2.13.0 takes that one instead."""
    pinned = least() | {name_of(wish): wish for wish in session.posargs}
    session.install("-e", ".[test]", *pinned.values())
    _quick(session)


@nox.session
def newest(session: nox.Session) -> None:
    """The quick tests with the newest versions that pip finds within the ranges of pyproject.toml."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[test]")
    _quick(session)


@nox.session(python=["3.10", "3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The quick tests on the other Pythons that pyproject.toml allows; each must be on PATH."""
    session.install("-e", ".[test]")
    _quick(session)


def _quick(session: nox.Session) -> None:
    session.run("python", "-c", "from polygrad_edu.runs.result_file import versions; print(versions())")
    session.run("pytest", "-q", *QUICK)


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel as a user gets it: built, installed alone, and run in an empty directory outside of the repository."""
    out = Path(session.create_tmp()).resolve()
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(out), str(ROOT))
    (built,) = out.glob("*.whl")
    session.run("python", "-m", "venv", "--clear", str(out / "alone"), silent=True)
    folder = "Scripts" if sys.platform == "win32" else "bin"
    python, command = (str(out / "alone" / folder / name) for name in ("python", "polygrad-edu"))
    session.run(python, "-m", "pip", "install", "--quiet", *session.posargs, str(built), external=True)
    (away := out / "away").mkdir()
    session.chdir(away)
    session.run(command, "doctor", external=True)
    session.run(command, "lab", "--help", external=True)
    session.run(command, "lab", "lessons", "--no-start", external=True)
    session.run(command, "train", *TOY, "--out", "run", external=True)
    session.run(command, "evaluate", "run", "--episodes", "2", external=True)
    session.run(command, "export", "run", "kept", external=True)
    session.run(
        python, "-c", "from polygrad_edu import course; print(course.shipped('hopper-cpu').result)", external=True
    )
    assert list((away / "lessons").rglob("*.ipynb")), "the wheel holds no lessons"


@nox.session
def audit(session: nox.Session) -> None:
    """Whether a version that would be installed has a known vulnerability (asks the advisory service of PyPI)."""
    session.install(".[data,hub,tensorboard]")
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude", "polygrad-edu", silent=True)
    wishes = Path(session.create_tmp()).resolve() / "requirements.txt"
    wishes.write_text(re.sub(r"\+\w+", "", str(frozen)), encoding="utf-8")  # 2.13.0+cpu is audited as 2.13.0
    session.install("pip-audit")
    # strict: what the service does not know of has not been audited, and that is no success
    session.run("pip-audit", "--strict", "--no-deps", "--disable-pip", "-r", str(wishes), *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and its formatting."""
    (ruff,) = [wish for wish in PROJECT["optional-dependencies"]["test"] if name_of(wish) == "ruff"]
    session.install(ruff)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Pyright, strict on the package; needs the libraries that it reads the types of."""
    session.install("-e", ".[test]")
    session.run("pyright", *session.posargs)
