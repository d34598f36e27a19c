"""The return explorer and the training watcher under a real keyboard, in JupyterLab and in a page without a kernel."""

import os
import re
import signal

import pytest

from polygrad_edu.runs.checkpoint import list_checkpoints
from polygrad_edu.runs.supervised import PROGRESS
from polygrad_edu.widgets import TrainingWatcher
from polygrad_edu.widgets.training_watcher import read_lines
from tests.support.browser import jupyterlab, needs_chromium, offline_page, page_with
from tests.support.frozen_widgets import StoredReturns
from tests.support.processes import children
from tests.widgets.test_training_watcher import LONG, wait_until
from tests.widgets.test_widgets_in_browser import look, settle, slider

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    """JupyterLab with both run: (lab, page, the run's directory)."""
    folder = tmp_path_factory.mktemp("lab")
    with jupyterlab(folder) as lab:
        name = lab.write(
            "widgets.ipynb",
            "from polygrad_edu.widgets import ReturnExplorer, TrainingWatcher\nReturnExplorer()",
            f"watcher = TrainingWatcher(directory='watched', **{LONG})\nwatcher",
            "import os, time\nprint('kernel', os.getpid(), 'answers', time.time_ns())",
        )
        page = lab.open(browser, name)
        lab.run_all(page)
        page.locator(".pg").nth(1).wait_for(timeout=60_000)
        lab.wait_until_idle(page)
        yield lab, page, folder / "watched"


def test_in_jupyterlab_a_key_moves_lambda_and_its_picture(notebook):
    _, page, _ = notebook
    returns = page.locator(".pg").nth(0)
    before = look(returns)
    slider(returns, "lambda_").focus()
    page.keyboard.press("ArrowRight")
    settle(returns)
    after = look(returns)
    assert (before[0]["lambda_"], after[0]["lambda_"]) == (0.5, 0.6)
    assert all(old != new for old, new in zip(before, after, strict=True))
    slider(returns, "terminal").focus()
    page.keyboard.press("Home")
    settle(returns)
    assert "The episode ends at step 0" in look(returns)[1]


def test_without_a_kernel_the_same_keys_move_the_same_pictures(browser, tmp_path):
    frozen = StoredReturns().freeze({"lambda_": [0.0, 0.5, 1.0], "terminal": [1, "none"]})
    watcher = TrainingWatcher(directory=tmp_path / "run")
    page, outside, errors = offline_page(browser, viewport={"width": 400, "height": 900}, color_scheme="dark")
    page.goto(page_with(tmp_path, frozen, watcher))
    returns, watched = page.locator(".pg").nth(0), page.locator(".pg").nth(1)
    before = look(returns)
    slider(returns, "lambda_").focus()
    page.keyboard.press("End")
    after = look(returns)
    assert after[1] == frozen.frozen_frame(lambda_=1.0, terminal="none")["text"]
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert "Start trains inverted-pendulum" in watched.inner_text()
    assert watched.locator("button").count() == 0  # a page can start nothing
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert (outside, errors) == ([], [])
    page.context.close()


def test_by_keyboard_a_run_starts_pauses_resumes_and_does_not_outlive_its_kernel(notebook):
    lab, page, directory = notebook
    watcher = page.locator(".pg").nth(1)
    toggle, answer = watcher.locator("button").first, page.get_by_text(re.compile(r"kernel \d+ answers"))
    in_status = lambda status: page.locator(f".pg[data-status={status}]").wait_for(timeout=60_000)  # noqa: E731
    assert toggle.inner_text() == "Start"
    toggle.focus()
    page.keyboard.press("Enter")
    in_status("training")
    before = look(watcher)
    watcher.get_by_text("the policy returned").wait_for(timeout=60_000)
    assert look(watcher)[2] != before[2]  # the curves have grown
    watcher.locator("video[src^='data:video/mp4']").wait_for()

    said = answer.inner_text()  # the kernel has nothing to do: all cells can be run once more
    lab.run_all(page)
    wait_until(lambda: (page.wait_for_timeout(50), answer.count() and answer.inner_text() != said)[1], 30)
    lab.wait_until_idle(page)
    in_status("training")  # the new view shows the same run
    kernel = int(said.split()[1])
    (process,) = children(kernel, "--supervised")

    toggle.focus()
    assert toggle.inner_text() == "Pause"
    page.keyboard.press("Space")
    in_status("paused")
    step = int(re.search(r"Paused at step ([\d,]+) of", watcher.inner_text()).group(1).replace(",", ""))
    assert [path.stem for path in list_checkpoints(directory)] == [f"step-{step:09}"]
    assert not process.is_running()
    assert page.evaluate("document.activeElement.textContent") == "Resume"  # the keyboard is where it was

    page.keyboard.press("Enter")
    in_status("training")
    wait_until(lambda: read_lines(directory / PROGRESS)[-1]["env_step"] > step)
    (process,) = children(kernel, "--supervised")
    os.kill(kernel, signal.SIGKILL)
    process.wait(60)
    last = list_checkpoints(directory)[-1]
    assert int(last.stem.split("-")[1]) > step  # it has saved what it had
    assert f"Kept to step {int(last.stem.split('-')[1]):,}" in directory.with_name("watched.log").read_text()
