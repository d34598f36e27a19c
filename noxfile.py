"""Sessions of continuous integration: ``nox --list`` describes each, CONTRIBUTING.md says when to use it."""

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
NUMERICAL_PACKAGES = ("torch", "gymnasium", "mujoco")  # a release of one of them may change our numbers
QUICK_TESTS = [  # the tests that use these three packages heavily; about three minutes
    "tests/concepts",
    "tests/baselines",
    "tests/tasks",
    "tests/drawing",
    "tests/runs/test_checkpoint.py",
    "tests/runs/test_shipped.py",
    "tests/interop/test_world_model_env.py",
]
TINY_RUN = [  # settings of a whole run in seconds: every part at work, nothing learned
    "--env-steps=60",
    "--prefill-steps=40",
    "--pretrain-updates=5",
    "--width=16",
    "--depth=1",
    "--batch-size=16",
    "--policy-width=16",
    "--imagined-trajectories=16",
    "--eval-every=30",
    "--eval-episodes=1",
    "--final-episodes=2",
    "--checkpoint-every=20",
]


def package_of(requirement: str) -> str:
    """Name of the package in a requirement such as ``torch>=2.11,<2.14``."""
    return re.split(r"[\[<>=;]", requirement)[0]


def oldest_versions() -> dict[str, str]:
    """A pin to the oldest release series that pyproject.toml allows, for each numerical package."""
    requirements = {package_of(requirement): requirement for requirement in PROJECT["dependencies"]}
    pins = {}
    for package in NUMERICAL_PACKAGES:
        lower_bound = re.search(r">=([\d.]+)", requirements[package])
        if lower_bound:
            pins[package] = f"{package}=={lower_bound[1]}.*"
    return pins


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on this Python; arguments after -- go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """The quick tests with the oldest torch, gymnasium and mujoco; -- torch==2.13.0 takes that one instead."""
    pins = oldest_versions() | {package_of(pin): pin for pin in session.posargs}
    session.install("-e", ".[test]", *pins.values())
    run_quick_tests(session)


@nox.session
def newest(session: nox.Session) -> None:
    """The quick tests with the newest versions that pip finds within the ranges of pyproject.toml."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[test]")
    run_quick_tests(session)


@nox.session(python=["3.10", "3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The quick tests on the other Pythons that pyproject.toml allows; each must be on PATH."""
    session.install("-e", ".[test]")
    run_quick_tests(session)


def run_quick_tests(session: nox.Session) -> None:
    """Print the versions, then run the quick tests."""
    session.run("python", "-c", "from polygrad_edu.runs.result_file import versions; print(versions())")
    session.run("pytest", "-q", *QUICK_TESTS)


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel as a user gets it: built, installed alone, and run in an empty directory outside the repository."""
    folder = Path(session.create_tmp()).resolve()
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")

    environment = folder / "environment"
    session.run("python", "-m", "venv", "--clear", str(environment), silent=True)
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(scripts / "python")
    command = str(scripts / "polygrad-edu")
    session.run(python, "-m", "pip", "install", "--quiet", *session.posargs, str(built), external=True)

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    session.chdir(elsewhere)
    session.run(command, "doctor", external=True)
    session.run(command, "lab", "--help", external=True)
    session.run(command, "lab", "lessons", "--no-start", external=True)
    session.run(command, "train", *TINY_RUN, "--out", "run", external=True)
    session.run(command, "evaluate", "run", "--episodes", "2", external=True)
    session.run(command, "export", "run", "kept", external=True)
    shipped = "from polygrad_edu import course; print(course.shipped('hopper-cpu').result)"
    session.run(python, "-c", shipped, external=True)
    assert list((elsewhere / "lessons").rglob("*.ipynb")), "the wheel holds no lessons"


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of the versions that would be installed (asks the advisory service of PyPI)."""
    session.install(".[data,hub,tensorboard]")
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude", "polygrad-edu", silent=True)
    requirements = Path(session.create_tmp()).resolve() / "requirements.txt"
    requirements.write_text(re.sub(r"\+\w+", "", str(frozen)), encoding="utf-8")  # 2.13.0+cpu is audited as 2.13.0
    session.install("pip-audit")
    # strict: a package that the service does not know was not audited, and that is no success
    session.run("pip-audit", "--strict", "--no-deps", "--disable-pip", "-r", str(requirements), *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and its formatting."""
    test_requirements = PROJECT["optional-dependencies"]["test"]
    (ruff,) = [requirement for requirement in test_requirements if package_of(requirement) == "ruff"]
    session.install(ruff)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Pyright, strict on the package; needs the libraries that it reads the types of."""
    session.install("-e", ".[test]")
    session.run("pyright", *session.posargs)
