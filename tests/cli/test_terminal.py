"""Terminals that cannot show every sign, and pipes that nobody reads."""

import contextlib
import io
import json
import os
import re
import subprocess

import pytest

from polygrad_edu.cli.terminal import NAME, CommandConsole, prepare_streams
from tests.support.command_line import COMMAND, OPTIONS, call, call_unread, surroundings

POSIX = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX"}
LONG = [*OPTIONS, "--env-steps", "1000000", "--eval-every", "50", "--checkpoint-every", "50"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a return of 4 ± 0", "a return of 4 +- 0"),
        ("64 × 64, wait…", "64 x 64, wait..."),
        ("from 1–2 — or −3", "from 1-2 - or -3"),
        ("“so” ‘it’ «is»", '"so" \'it\' "is"'),
        ("┌─┬─┐│━┃╭╯", "+-+-+|-|++"),
        ("a → b ≤ c", "a -> b <= c"),
        ("m² ½ ﬁt ™ 100 %", "m2 1/2 fit TM 100 %"),
        ("Zoë 日本 😀", "Zo? ?? ?"),
        ("Zoe\N{COMBINING DIAERESIS}\N{SOFT HYPHEN}", "Zoe"),
        ("lone \ud800", "lone ?"),
    ],
)
def test_a_sign_that_is_missing_is_written_with_others(text, shown):
    prepare_streams()
    assert text.encode("ascii", errors=NAME) == shown.encode()


def test_a_terminal_shows_what_it_can():
    prepare_streams()
    assert "4 ± 0 → é".encode("latin-1", errors=NAME) == "4 ± 0 -> é".encode("latin-1")
    assert "4 ± 0 – 1 √2".encode("cp1252", errors=NAME) == "4 ± 0 – 1 sqrt2".encode("cp1252")
    assert "4 ± 0 → é 😀".encode("utf-8", errors=NAME) == "4 ± 0 → é 😀".encode()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_a_file_name_that_is_no_text_comes_out_as_its_own_bytes(encoding):
    prepare_streams()
    name = b"r_\xc3\xbc_\xff".decode("ascii", errors="surrogateescape")
    assert name.encode(encoding, errors=NAME) == b"r_\xc3\xbc_\xff"


@pytest.mark.parametrize("surrounding", [{"PYTHONIOENCODING": "ascii"}, POSIX])
def test_commands_end_as_they_would_in_a_terminal_with_fewer_signs(tmp_path, surrounding):
    done = call("train", "--out", tmp_path / "run", *OPTIONS, **surrounding)
    assert done.returncode == 0, done.stderr
    assert re.search(r"a return of \d+ (\+-|±) \d+ over 2 new episodes", done.stdout)
    evaluated = call("evaluate", tmp_path / "run", "--episodes", 1, **surrounding)
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(call("evaluate", tmp_path / "run", "--json", **surrounding).stdout)["episodes"] == 20
    shown = call("error", tmp_path / "run", "--ahead", 1, "--trajectories", 2, "--out", tmp_path / "e", **surrounding)
    assert shown.returncode == 0, shown.stderr
    assert "squared error" in shown.stdout


@pytest.mark.parametrize("words", [[], ["train"], ["sweep"], ["course", "grade"], ["doctor"]])
def test_help_is_shown_in_any_terminal(words):
    done = call(*words, "--help", columns=80, TERMINAL_WIDTH="wide", MUJOCO_GL="no", MPLBACKEND="no", **POSIX)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout
    assert done.stdout.isascii()


def test_bad_input_is_told_in_a_terminal_with_fewer_signs():
    done = call("train", "höpper—cpu…", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert done.stderr.startswith("polygrad-edu: there is no preset 'h?pper-cpu...'")


def test_a_directory_with_an_umlaut_works_or_is_refused_in_one_line(tmp_path):
    (tmp_path / "ü").mkdir()
    words = ["train", *OPTIONS, "--out"]
    inside = call(*words, "run", cwd=tmp_path / "ü", **POSIX)
    assert inside.returncode == 0, inside.stderr
    refused = call(*words, os.fsencode("r_ü").decode("ascii", "surrogateescape"), cwd=tmp_path, **POSIX)
    assert refused.returncode == 2
    assert refused.stderr == (
        "polygrad-edu: r_ü is no text in ascii, and some libraries cannot open it; choose another name, or set "
        "PYTHONUTF8=1\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["ü"]
    assert call(*words, "r_ü", cwd=tmp_path).returncode == 0


def test_a_name_that_is_no_text_is_refused_in_one_line(tmp_path):
    done = subprocess.run(
        [*COMMAND, "train", "--out", b"r_\xff"], capture_output=True, cwd=tmp_path, env=surroundings(), timeout=300
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"r_\xff is no text in utf-8" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_run_that_nobody_reads_stops_and_says_how_to_go_on(tmp_path, buffered):
    run = tmp_path / "my run"
    status, lines, told = call_unread("train", "--out", run, *LONG, n_lines=3, PYTHONUNBUFFERED=buffered)
    assert status == 1
    assert lines[0].startswith("Learning InvertedPendulum-v5")
    assert lines[-1].startswith("step")
    assert told.count("\n") == 1
    kept = re.fullmatch(
        r"polygrad-edu: standard output was closed\. Kept to step ([\d,]+); go on with: "
        rf"polygrad-edu train --resume '{re.escape(str(run))}'\n",
        told,
    )
    assert kept, told
    step = int(kept[1].replace(",", ""))
    again = call("train", "--resume", run, "--env-steps", step + 5, "--json")
    assert json.loads(again.stdout)["env_steps"] == step + 5, again.stderr


def test_a_run_that_nobody_reads_from_the_start_says_how_to_go_on(tmp_path):
    status, _, told = call_unread("train", "--out", tmp_path / "run", *LONG)
    assert status == 1
    assert told.count("\n") == 1
    assert told.startswith("polygrad-edu: standard output was closed. ")
    assert told.lower().endswith(f"go on with: polygrad-edu train --resume {tmp_path / 'run'}\n")


def test_several_runs_that_nobody_reads_go_on_and_say_so(tmp_path):
    words = ["train", "--seeds", 2, "--out", tmp_path / "two", *OPTIONS]
    status, _, told = call_unread(*words, PYTHONUNBUFFERED="")
    assert told == f"polygrad-edu: standard output was closed; the runs go on in {tmp_path / 'two'}\n"
    assert status == 0
    assert json.loads((tmp_path / "two" / "seeds.json").read_text())["seeds"] == [0, 1]
    words = ["sweep", "inverted-pendulum", "--seeds", 1, "--out", tmp_path / "study", *OPTIONS]
    status, _, told = call_unread(*words, PYTHONUNBUFFERED="1")
    assert told == f"polygrad-edu: standard output was closed; the study goes on in {tmp_path / 'study'}\n"
    assert status == 0
    assert (tmp_path / "study" / "report.md").exists()


def test_an_answer_that_nobody_reads_gets_a_word(trained, tmp_path):
    evaluate, export = ["evaluate", trained[0]], ["export", trained[0], tmp_path / "x"]
    for words, unbuffered in ((evaluate, ""), (evaluate, "1"), ([*evaluate, "--json"], "1"), (export, "")):
        status, _, told = call_unread(*words, PYTHONUNBUFFERED=unbuffered)
        assert (status, told) == (1, "polygrad-edu: standard output was closed\n")
    assert (tmp_path / "x" / "result.json").exists()
    words = ["error", trained[0], "--ahead", 1, "--trajectories", 2, "--out", tmp_path / "e"]
    status, _, told = call_unread(*words, PYTHONUNBUFFERED="")
    assert status == 1
    kept = f"Table and figure lie in {tmp_path / 'e'}: error.md, error.json and error.png."
    assert told.endswith(f"polygrad-edu: standard output was closed. {kept}\n")
    assert "Traceback" not in told


def test_output_that_is_closed_from_the_start_takes_no_files_place(tmp_path):
    words = ["train", "--out", str(tmp_path / "run"), *OPTIONS]
    shell = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *COMMAND, *words]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, env=surroundings(), timeout=300)
    assert done.returncode == 0
    assert done.stderr == "polygrad-edu: standard output is closed; nothing will be shown\n"
    assert json.loads(call("evaluate", tmp_path / "run", "--json").stdout)["env_steps"] == 60


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_output_on_a_full_disk_gets_one_line(trained):
    with open("/dev/full", "w") as full:
        command = [*COMMAND, "evaluate", str(trained[0])]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=surroundings(), timeout=300)
    assert (done.returncode, done.stderr) == (1, "polygrad-edu: [Errno 28] No space left on device\n")


def test_without_anybody_to_tell_a_run_goes_to_its_end(tmp_path):
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, "train", "--out", str(tmp_path / "run"), *OPTIONS, "--json"]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, env=surroundings(), timeout=300)
    assert done.returncode == 0
    assert json.loads(done.stdout)["env_steps"] == 60


def test_a_console_prints_paths_as_they_are(capsys):
    CommandConsole().print("runs/[b]a[/] :smile:", soft_wrap=True)
    assert capsys.readouterr().out == "runs/[b]a[/] :smile:\n"


def test_a_console_keeps_its_stream_when_a_librarys_output_is_redirected(capsys):
    console = CommandConsole()
    with contextlib.redirect_stdout(io.StringIO()) as log:
        console.print("a slice was lost")
    assert log.getvalue() == ""
    assert capsys.readouterr().out == "a slice was lost\n"
