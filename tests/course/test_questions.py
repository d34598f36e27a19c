"""Questions in a real kernel: what a cell reveals is kept back until a guess is locked in or given up."""

import nbformat
import pytest
from nbclient import NotebookClient

from polygrad_edu.course.questions import predict, reveal

IMPORT = "from polygrad_edu.course import predict, reveal, scorecard"
EXPERIMENT = """
import matplotlib.pyplot as plt
print("on the way")
plt.plot([1, 2])
plt.show()
found = 35
reveal("02/half", found)
print("after it")
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run cells in one kernel and return the text of each, a picture as [image/png]."""
    monkeypatch.delenv("POLYGRAD_ANSWERS", raising=False)

    def run(*sources):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        resources = {"metadata": {"path": tmp_path}}
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
        return [told(cell.outputs, notebook) for cell in notebook.cells]

    return run


def told(outputs, notebook):
    """What a reader sees of some outputs, with those that a widget holds."""
    words = []
    for output in outputs:
        view = output.get("data", {}).get("application/vnd.jupyter.widget-view+json")
        if view:
            models = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
            held = models[view["model_id"]]["state"]
            words.append(told([nbformat.from_dict(one) for one in held.get("outputs", [])], notebook))
            words.append(held.get("said", ""))
        elif "image/png" in output.get("data", {}):
            words.append("[image/png]")
        else:
            words.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return " ".join(" ".join(words).split())


def test_nothing_of_the_cell_is_shown_without_a_guess_and_its_names_are_there(run):
    _, _, experiment, later = run(IMPORT, 'predict("02/half", ...)', EXPERIMENT, "found")
    assert experiment == 'What this cell found waits for your guess: answer predict("02/half", ...), a few cells up.'
    assert later == "35"


def test_a_guess_after_the_cell_shows_all_of_it_in_its_place_and_is_in_time(run):
    _, experiment, guess = run(IMPORT, EXPERIMENT, 'predict("02/half", 30)')
    assert experiment == "on the way after it [image/png] You guessed 30; it is 35. Near."
    assert guess == "Noted: 30. Now see what happens."


def test_a_guess_before_the_cell_leaves_it_alone(run):
    _, _, experiment = run(IMPORT, 'predict("02/half", 30)', EXPERIMENT)
    assert experiment == "on the way [image/png] You guessed 30; it is 35. Near. after it"


def test_what_is_no_guess_opens_nothing(run):
    _, experiment, guess = run(IMPORT, EXPERIMENT, 'predict("02/half", "many")')
    assert "waits for your guess" in experiment
    assert guess == "This question asks for a number, not 'many'."


def test_giving_up_shows_the_answer_and_a_later_guess_is_late(run):
    give_up = 'question = predict("02/half", ...)\nquestion._told(question, {"guess": None}, [])\nquestion'
    _, experiment, asked, again, guess, card = run(
        IMPORT, EXPERIMENT, give_up, 'predict("02/half", ...)', 'predict("02/half", 35)', EXPERIMENT + "scorecard()"
    )
    assert "It is 35. (No guess of yours was noted" in experiment
    assert asked == again == "No guess: the answer is open."
    assert "counts as late" in guess
    assert "0.0 points for 1 guesses" in card


def test_the_widget_locks_a_guess_in_and_only_once(run):
    lock = 'question = predict("02/half", ...)\nquestion._told(question, {"guess": 30, "sure": 75}, [])\nquestion'
    _, experiment, asked, again = run(IMPORT, EXPERIMENT, lock, 'predict("02/half", 35)')
    assert "You guessed 30; it is 35." in experiment
    assert asked == "Noted: 30. Now see what happens."
    assert again == "Your first guess counts: 30."


def test_for_the_book_all_is_shown_and_marked(run, monkeypatch):
    monkeypatch.setenv("POLYGRAD_ANSWERS", "shown")
    _, asked, experiment = run(IMPORT, 'predict("02/half", ...)', EXPERIMENT)
    assert asked == "All answers are shown."
    assert experiment.startswith("on the way [image/png] It is 35.")


def test_in_plain_python_it_is_all_text(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POLYGRAD_GUESSES", str(tmp_path / "guesses.json"))
    assert predict("02/half", ..., choices=("up", "down")) is None
    assert (
        "in place of the dots and run this cell again; then read on. The choices: up, down." in capsys.readouterr().out
    )
    predict("02/half", "up", choices=("up", "down"))
    reveal("02/half", "up")
    assert capsys.readouterr().out.splitlines() == [
        "Noted: up. Now see what happens.",
        "You guessed up; it is up. Right.",
    ]
