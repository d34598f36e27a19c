"""Feedback: grades as a table for the learning platform, a page for each student, and pictures for the instructor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .archives import LeftOut
from .names import file_name
from .roster import Roster
from .tables import write_table

if TYPE_CHECKING:
    import jinja2

TO_READ = "to_read.csv"  # in the report's folder: answers that wait for points
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
"""
PAGE = (
    HEAD
    + """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid #ccc; padding: .4rem .6rem; text-align: left; vertical-align: top; }
td.points { white-space: nowrap; text-align: right; }
.missed td:first-child { border-left: 4px solid #b3400a; }
.right td:first-child { border-left: 4px solid #00694e; }
.message { overflow-wrap: anywhere; white-space: pre-wrap; }
.message ul { white-space: normal; margin: .3rem 0; }
img { max-width: 100%; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for work in works %}
<h2>{{ work.assignment }}: {{ number(work.points) }} of {{ number(work.max_points) }} points</h2>
{% if work.by_hand %}<p>{{ number(work.by_hand) }} of these points wait for a person to read your answer.</p>{% endif %}
{% if work.reason %}<p><strong>{{ work.reason }}</strong></p>{% endif %}
<table>
<tr><th scope="col">Question</th><th scope="col">Points</th><th scope="col">What the tests say</th></tr>
{% for question in work.questions %}
<tr class="{{ 'right' if question.points == question.max_points else 'missed' }}"><td>{{ question.name }}</td>
<td class="points">
{{ '?' if question.points is none else number(question.points) }} / {{ number(question.max_points) }}
</td>
<td class="message">{{ question.message }}
{%- if question.parts %}
<ul>
{% for part in question.parts %}
<li>{{ number(part.points) }} of {{ number(part.max_points) }}: {{ part.words }}</li>
{% endfor %}
</ul>
{%- endif %}
</td></tr>
{% endfor %}
</table>
{% for note in work.notes %}<p>{{ note }}</p>{% endfor %}
{% endfor %}
{% if pages %}
<p><img src="points.png" alt="How many students got how many points"></p>
<p><img src="missed.png" alt="The tests that most students missed"></p>
<ul>
{% for student, page, points in pages %}
<li><a href="{{ page }}">{{ student }}</a>: {{ points }}</li>
{% endfor %}
</ul>
{% endif %}
{% if stopped %}
<h2>Stopped, and yours to look at</h2>
<p>Graded twice, the second time alone. Grade them again on a machine with less to do, or give points with
<code>polygrad-edu course override</code>.</p>
<ul>
{% for work in stopped %}
<li>{{ work.student }}, {{ work.assignment }}: {{ work.reason }}</li>
{% endfor %}
</ul>
{% endif %}
{% if left_out %}
<h2>Left out</h2>
<ul>
{% for path, reason in left_out %}
<li>{{ path }}: {{ reason }}</li>
{% endfor %}
</ul>
{% endif %}
</body>
</html>
"""
)

ANSWERS = (
    HEAD
    + """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 4px solid #0072b2; padding-left: 1rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ answers | length }} answers, {{ number(max_points) }} points each. Points go into <code>{{ table }}</code>; then
<code>polygrad-edu course report --by-hand {{ table }}</code>.</p>
{% if model %}
<h2>The course's own answer</h2>
<pre>{{ model }}</pre>
{% endif %}
{% for student, answer, given in answers %}
<h2>{{ student }}{% if given is not none %} ({{ number(given) }} points){% endif %}</h2>
<pre>{{ answer }}</pre>
{% endfor %}
</body>
</html>
"""
)


def write_report(
    results: list[dict[str, Any]],
    folder: Path,
    roster: Roster | None = None,
    left_out: Iterable[LeftOut] = (),
    own_words: Mapping[tuple[str, str], str] | None = None,
) -> dict[str, Any]:
    """Write the tables, ``index.html`` with two pictures, ``students/*.html`` and ``answers/*.html``.

    Args:
        results: of :func:`.grade_all.read_results`, with people's corrections.
        folder: the folder to write.
        roster: has a row for each of its students, also those who handed in nothing.
        left_out: files that were not graded.
        own_words: of :func:`.instructor.answers_in_words`, to hold students' answers against.

    Returns:
        The folder, the number of students and of submissions, and the five questions missed most often.
    """
    students: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        students[result["student"]].append(result)
    for student in roster.rows if roster else ():
        students.setdefault(student, [])
    assignments = sorted({result["assignment"] for result in results})
    (folder / "students").mkdir(parents=True, exist_ok=True)
    page = _template(PAGE)
    pages: list[tuple[str, str, str]] = []
    for student, works in sorted(students.items()):
        path = folder / "students" / f"{file_name(student)}.html"
        path.write_text(page.render(title=f"Feedback for {student}", works=works, number=_number), encoding="utf-8")
        points = sum(work["points"] for work in works)
        max_points = sum(work["max_points"] for work in works)
        pages.append((student, f"students/{path.name}", f"{_number(points)} of {_number(max_points)}"))
    _write_table(students, assignments, folder / "grades.csv")
    _write_questions(students, results, folder / "questions.csv")
    _write_answers(results, folder, own_words or {})
    draw_points(results, assignments, folder / "points.png")
    missed = most_missed(results)
    draw_missed(missed, folder / "missed.png")
    stopped = [result for result in results if was_stopped(result)]
    index = page.render(title="Grades", works=[], pages=pages, number=_number, stopped=stopped, left_out=list(left_out))
    (folder / "index.html").write_text(index, encoding="utf-8")
    worst = [{"assignment": name[0], "question": name[1], "missed": share} for name, share in missed[:5]]
    return {"folder": str(folder), "students": len(students), "submissions": len(results), "most_missed": worst}


def _write_table(students: dict[str, list[dict[str, Any]]], assignments: list[str], path: Path) -> None:
    """Write one row per student: points by assignment (empty if not handed in), their sum, and what is to be seen to.

    That is points not yet given, and the assignments that were late or may have lost points to the clock.
    """
    rows = [["student", *assignments, "total", "waiting_for_a_person", "late", "stopped"]]
    for student, works in sorted(students.items()):
        by_name = {work["assignment"]: work for work in works}
        points = [_number(by_name[name]["points"]) if name in by_name else "" for name in assignments]
        sums = [_number(sum(work[key] for work in works)) for key in ("points", "by_hand")]
        late = " ".join(name for name in assignments if name in by_name and by_name[name].get("late"))
        stopped = " ".join(name for name in assignments if name in by_name and was_stopped(by_name[name]))
        rows.append([student, *points, *sums, late, stopped])
    write_table(path, rows)


def _write_questions(students: Iterable[str], results: list[dict[str, Any]], path: Path) -> None:
    """Write one row per student and one column per question; empty where nothing was handed in or given yet."""
    given = {
        (result["student"], result["assignment"], question["name"]): question["points"]
        for result in results
        for question in result["questions"]
    }
    columns = list(dict.fromkeys(key[1:] for key in sorted(given, key=lambda key: key[1])))
    rows = [["student", *(f"{assignment}: {question}" for assignment, question in columns)]]
    for student in sorted(students):
        points = [given.get((student, *column)) for column in columns]
        rows.append([student, *("" if each is None else _number(each) for each in points)])
    write_table(path, rows)


def _write_answers(results: list[dict[str, Any]], folder: Path, own_words: Mapping[tuple[str, str], str]) -> None:
    """Write a page per question with all answers in words, and a table of those that wait for points."""
    page = _template(ANSWERS)
    by_question: dict[tuple[str, str], list[tuple[str, str, float | None]]] = defaultdict(list)
    max_points: dict[tuple[str, str], float] = {}
    waiting: list[list[str]] = []
    for result in results:
        for question in result["questions"]:
            if question.get("answer"):
                key = result["assignment"], question["name"]
                by_question[key].append((result["student"], question["answer"], question["points"]))
                max_points[key] = question["max_points"]
                if question["points"] is None:
                    waiting.append([result["student"], *key, _number(question["max_points"]), "", ""])
    (folder / "answers").mkdir(exist_ok=True)
    for key, answers in by_question.items():
        told = {"title": ": ".join(key), "table": folder / TO_READ, "model": own_words.get(key), "number": _number}
        text = page.render(told, answers=answers, max_points=max_points[key])
        (folder / "answers" / f"{'_'.join(key)}.html").write_text(text, encoding="utf-8")
    write_table(folder / TO_READ, [["student", "assignment", "question", "max_points", "points", "comment"], *waiting])


def _template(text: str) -> jinja2.Template:
    import jinja2

    return jinja2.Environment(autoescape=True, trim_blocks=True).from_string(text)


def _number(value: float) -> str:
    return f"{value:g}"


def was_stopped(result: Mapping[str, Any]) -> bool:
    """True if a question may have lost points to the clock or to a crash, and nobody has given it others since."""
    return any(question.get("waited") for question in result["questions"])


def most_missed(results: Iterable[dict[str, Any]]) -> list[tuple[tuple[str, str], float]]:
    """Pairs ((assignment, question), share of submissions that missed it), the largest share first."""
    asked: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for result in results:
        for question in result["questions"]:
            if question["points"] is not None:
                missed = question["points"] < question["max_points"]
                asked[result["assignment"], question["name"]].append(missed)
    shares = {name: sum(missed) / len(missed) for name, missed in asked.items()}
    return sorted(shares.items(), key=lambda item: (-item[1], item[0]))


def draw_points(results: list[dict[str, Any]], assignments: list[str], path: Path) -> None:
    """Draw a histogram of the points for each assignment."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.4 * len(assignments)), layout="constrained")
    for ax, name in zip(figure.subplots(len(assignments), squeeze=False)[:, 0], assignments, strict=True):
        works = [result for result in results if result["assignment"] == name]
        max_points = max(work["max_points"] for work in works)
        ax.hist([work["points"] for work in works], bins=10, range=(0, max_points), color="#0072b2", edgecolor="white")
        ax.set(title=f"{name}: {len(works)} handed in", xlabel=f"points of {_number(max_points)}", ylabel="students")
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def draw_missed(missed: list[tuple[tuple[str, str], float]], path: Path) -> None:
    """Draw a bar chart of the fifteen questions missed most often, from the pairs of :func:`most_missed`."""
    from matplotlib.figure import Figure

    shown = missed[:15][::-1]
    figure = Figure(figsize=(9, 1 + 0.32 * len(shown)), layout="constrained")
    ax = figure.subplots()
    names = [f"{question}  ({assignment.split('_')[0]})" for (assignment, question), _ in shown]
    bars = ax.barh(names, [100 * share for _, share in shown], color="#d55e00")
    ax.bar_label(bars, fmt="%.0f%%", padding=3)
    ax.set(xlim=(0, 110), xlabel="of those who handed it in, missed it (%)", title="What the class missed most")
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
