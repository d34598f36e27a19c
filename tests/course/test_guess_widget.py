"""Questions under a real keyboard: in JupyterLab with a lesson as it is handed out, and in a page without a kernel."""

import json

import pytest

from polygrad_edu.course.guess_widget import SCRIPT, STYLE, GuessWidget
from polygrad_edu.course.handout import hand_out
from tests.support.browser import jupyterlab, needs_chromium, offline_page

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("lab")) as lab:
        hand_out(lab.folder)
        yield lab


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page of lesson 2, run to its end without a guess."""
    page = lab.open(browser, "02_noise.ipynb")
    lab.run_all(page)
    page.locator(".guess").first.wait_for(timeout=120_000)
    lab.wait_until_idle(page)
    return page


def cells_in_sight(page):
    return sum(cell.is_visible() for cell in page.locator(".jp-Notebook .jp-Cell").all())


def test_in_jupyterlab_a_guess_by_keyboard_opens_what_follows_up_to_the_next_question(lab, lesson):
    assert cells_in_sight(lesson) == 5  # up to the first question
    field = lesson.get_by_label("Your guess").first
    field.click()
    lesson.keyboard.type("thirty")
    lesson.keyboard.press("Enter")
    lesson.get_by_text("Write a number.").wait_for()
    assert cells_in_sight(lesson) == 5
    field.fill("30")
    lesson.keyboard.press("Enter")
    lesson.get_by_text("You guessed 30; it is 35. Near.").wait_for()
    assert cells_in_sight(lesson) == 13  # up to the second one
    assert json.loads((lab.folder / "my_guesses.json").read_text())["02/half"]["guess"] == 30

    question = lesson.locator(".guess.waiting")
    question.get_by_role("button", name="Lock in").click()
    lesson.get_by_text("Move the slider to your guess.").wait_for()
    question.get_by_label("Your guess").focus()
    lesson.keyboard.press("ArrowRight")
    question.get_by_label("How sure?").select_option("75")
    question.get_by_role("button", name="Lock in").click()
    lesson.get_by_text("You guessed 0.51; it is 0.681. Off").wait_for()
    assert cells_in_sight(lesson) == lesson.locator(".jp-Notebook .jp-Cell").count()  # to the end
    assert json.loads((lab.folder / "my_guesses.json").read_text())["02/left_at_115"]["sure"] == 75


def test_in_jupyterlab_the_packages_lines_unfold_and_a_link_opens_the_file(lab, lesson):
    folded = lesson.locator(".package-source")
    code = folded.locator("pre")
    assert not code.is_visible()
    folded.locator("summary").click()
    assert "def posterior(betas: Tensor" in code.inner_text()
    lesson.get_by_role("link", name="noise_schedule.py").first.click()
    lesson.locator(".jp-FileEditor").get_by_text("The noise schedule", exact=False).first.wait_for()
    page = lab.open(lesson.context.browser, "08_loop.ipynb")
    page.get_by_role("link", name="results of every seed").click()
    page.get_by_role("tab", name="results.md").wait_for()
    page.context.close()


def page_without_kernel(tmp_path, *questions):
    """A page like the book's: each question, its answer, and a word after that."""
    cells = ""
    for name, rest, answer in questions:
        asked = GuessWidget(name, rest.get("choices", ()), rest.get("between"), "", lambda *_: "").to_html()
        marked = f'<p class="guess-answer waiting" data-question="{name}">It is {answer}.</p>'
        cells += f'<section><div class="cell">{asked}</div><div class="cell">{marked}</div><p>So it is.</p></section>'
    path = tmp_path / "page.html"
    script = f'<script type="module">{SCRIPT}\nbringToLife();</script>'
    path.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{cells}{script}", encoding="utf-8")
    return path


def test_without_a_kernel_the_same_question_opens_its_own_answer(browser, tmp_path):
    path = page_without_kernel(tmp_path, ("02/half", {}, "35"), ("01/way", {"choices": ("up", "it's down")}, "up"))
    page, outside, errors = offline_page(browser)
    page.goto(path.as_uri())
    sections = page.locator("section")
    assert "So it is." not in page.locator("body").inner_text()
    page.get_by_label("it's down").check()
    page.get_by_role("button", name="Lock in").nth(1).click()
    assert "You guessed it's down. It is up.\n\nSo it is." in sections.nth(1).inner_text()
    assert "So it is." not in sections.nth(0).inner_text()
    page.get_by_role("button", name="Show without a guess").first.click()
    assert "It is 35.\n\nSo it is." in sections.nth(0).inner_text()
    page.reload()  # the browser remembers
    assert page.locator(".guess-answer.waiting").count() == 0
    assert outside == []
    assert errors == []
    page.context.close()


def test_without_scripts_nothing_stays_hidden_for_ever(browser, tmp_path):
    path = page_without_kernel(tmp_path, ("02/half", {}, "35"))
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(path.as_uri())
    assert "It is 35." in page.locator("body").inner_text()
    page.context.close()
