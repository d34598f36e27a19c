"""The GPU check's own work: parts in turn, each within its time, whatever becomes of the others."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polygrad_edu.measuring import gpu_check
from polygrad_edu.measuring.gpu_check import PARTS, Part, check, last_line, main, part_command, run_part

ROOT = Path(__file__).parents[2]


def python(script):
    return [sys.executable, "-c", script]


def alive(pid):
    """True if a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_dry_run_goes_through_every_part_without_an_installed_package(tmp_path):
    """A process of its own, started elsewhere, with the source tree on its path and nothing more."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "polygrad_edu.measuring.gpu_check", "--dry-run", "--out", "there"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"Every part ran; the report is {Path('there') / 'gpu_check.md'}."
    report = json.loads((tmp_path / "there" / "gpu_check.json").read_text())
    assert report["finished"]
    found = {part["name"]: part["result"] for part in report["parts"]}
    assert list(found) == [part.name for part in PARTS]
    assert found["machine"]["packages"]["gymnasium"] != "not installed"
    assert found["tests"]["skipped"] + found["tests"]["passed"] > 20
    assert all(row["same"] for row in found["graphs"]["rows"])
    assert {row["share_of_peak"] > 0 for row in found["bench"]["variants"]} == {True}
    assert set(found["bench"]["peaks"]) == {"float32", "tf32", "bfloat16", "float16"}
    assert found["slice"]["resumed"]["env_step"] > found["slice"]["first"]["env_step"] > 0
    page = (tmp_path / "there" / "gpu_check.md").read_text()
    assert "its numbers mean nothing" in page
    assert "see " not in page  # no part broke off
    assert (tmp_path / "there" / "hopper" / "config.json").exists()


def test_a_part_that_fails_or_overruns_does_not_end_the_others(tmp_path, monkeypatch):
    scripts = {
        "good": f"open({str(tmp_path / 'good.json')!r}, 'w').write('{{\"found\": 1}}')",
        "bad": "print('half of it'); raise SystemExit('the disk is full')",
        "slow": f"open({str(tmp_path / 'slow.json')!r}, 'w').write('{{}}'); import time; time.sleep(60)",
        "last": "pass",
    }
    monkeypatch.setattr(gpu_check, "part_command", lambda name, *rest: python(scripts[name]))
    monkeypatch.setattr(gpu_check, "SHORTEST", 0.5)
    monkeypatch.setattr(gpu_check, "markdown", lambda report: f"{len(report['parts'])} parts")
    parts = [Part(name, "", 0.05 if name == "slow" else 0.5) for name in scripts]
    report = check(tmp_path, 0.5, parts=parts)
    assert {part["name"]: part["status"] for part in report["parts"]} == {
        "good": "ran",
        "bad": "failed",
        "slow": "stopped",
        "last": "ran",
    }
    good, bad, slow, _ = report["parts"]
    assert good["result"] == {"found": 1}
    assert (bad["said"], bad["exit_status"]) == ("the disk is full", 1)
    assert slow["said"] == "stopped after its 2 s"
    assert slow["seconds"] < 10
    assert json.loads((tmp_path / "gpu_check.json").read_text()) == report
    assert (tmp_path / "gpu_check.md").read_text() == "4 parts"


def test_what_was_measured_is_on_the_disk_after_each_part(tmp_path, monkeypatch):
    def run(command, folder, name, limit):
        if name == "b":
            raise KeyboardInterrupt
        return {"status": "ran", "seconds": 1.0, "exit_status": 0, "said": "", "result": {}}

    monkeypatch.setattr(gpu_check, "run_part", run)
    with pytest.raises(KeyboardInterrupt):
        check(tmp_path, 1, parts=[Part("a", "", 0.5), Part("b", "", 0.5)])
    report = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [part["name"] for part in report["parts"]] == ["a"]
    assert not report["finished"]
    assert "Not finished" in (tmp_path / "gpu_check.md").read_text()


def test_a_part_without_time_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "run_part", lambda *arguments: pytest.fail("was begun"))
    report = check(tmp_path, 0.01, parts=PARTS[:1])
    assert report["parts"][0]["status"] == "no time"


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="ends a group of processes, which this system does not know")
@pytest.mark.parametrize("ends", ["exit(0)", "time.sleep(60)"])
def test_with_a_part_all_that_it_started_ends(tmp_path, ends):
    pid = tmp_path / "pid"
    script = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n{ends}"
    )
    entry = run_part(python(script), tmp_path, "part", 3.0)
    assert entry["status"] == ("ran" if ends == "exit(0)" else "stopped")
    child = int(pid.read_text())
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_a_damaged_result_is_a_failure_and_not_the_end(tmp_path):
    (tmp_path / "part.json").write_text("{")
    entry = run_part(python("pass"), tmp_path, "part", 20)
    assert entry["status"] == "failed"
    assert "cannot be read as JSON" in entry["said"]


def test_a_part_finds_the_wheels_wherever_it_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "site")
    run_part(python("import os; print(os.environ['PYTHONPATH'])"), tmp_path, "part", 20)
    assert (tmp_path / "part.log").read_text().strip() == os.pathsep.join([str(ROOT), str(tmp_path / "site")])


def test_the_shares_leave_the_slice_two_fifths_of_the_time():
    assert [part.name for part in PARTS][-1] == "slice"
    assert sum(part.share for part in PARTS[:-1]) == pytest.approx(0.6)


def test_a_part_plans_with_less_than_its_limit(tmp_path):
    command = part_command("slice", tmp_path, 100, True)
    assert command[-1] == "--dry-run"
    assert float(command[command.index("--seconds") + 1]) < 100
    assert "--dry-run" not in part_command("slice", tmp_path, 100, False)


def test_the_last_line_that_says_something(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"first\n  last \xff\n\n")
    assert last_line(log).startswith("last")
    log.write_bytes(b"")
    assert last_line(log) == "it said nothing"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--minutes", "nan"], "--minutes must be above 0"),
        (["--minutes", "ten"], "invalid float value: 'ten'"),
        (["--hours", "1"], "unrecognized arguments: --hours 1"),
        (["--out", "taken"], "taken is there already; choose another --out"),
        (["--out", "taken/file/deeper"], "cannot be made"),
        ([], "torch sees no GPU here; --dry-run runs every part on the CPU"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    monkeypatch.setattr("torch.cuda.is_available", lambda: "deeper" in str(arguments))
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gpu_check: ")
    assert line in said.err
    assert said.err.count("\n") == 1


def test_the_last_line_names_the_parts_that_failed(tmp_path, monkeypatch, capsys):
    entries = [{"name": "tests", "status": "failed"}, {"name": "bench", "status": "ran"}]
    monkeypatch.setattr(gpu_check, "check", lambda *arguments: {"parts": entries})
    assert main(["--dry-run", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("tests did not run through; the report is ")


def test_an_interrupt_says_where_the_numbers_lie(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu_check, "check", interrupted)
    assert main(["--dry-run", "--out", str(tmp_path / "out")]) == 130
    assert str(tmp_path / "out") in capsys.readouterr().out


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(part.name in told for part in PARTS)
    assert "exit status" in told
