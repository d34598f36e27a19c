"""Feedback: grades as a table for the learning platform, a page for each student, and pictures for the instructor."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files.input_error import InputError

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid #ccc; padding: .4rem .6rem; text-align: left; vertical-align: top; }
td.points { white-space: nowrap; text-align: right; }
.missed td:first-child { border-left: 4px solid #b3400a; }
.right td:first-child { border-left: 4px solid #00694e; }
.message { overflow-wrap: anywhere; white-space: pre-wrap; }
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
<tr><th>Question</th><th>Points</th><th>What the tests say</th></tr>
{% for question in work.questions %}
<tr class="{{ 'right' if question.points == question.max_points else 'missed' }}"><td>{{ question.name }}</td>
<td class="points">
{{ '?' if question.points is none else number(question.points) }} / {{ number(question.max_points) }}
</td>
<td class="message">{{ question.message }}</td></tr>
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
</body>
</html>
"""


def write_report(results: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Write ``grades.csv``, ``index.html`` with two pictures, and ``students/*.html``.

    Returns:
        The folder, the number of students and of submissions, and the five questions missed most often.
    """
    import jinja2

    students: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        students[result["student"]].append(result)
    assignments = sorted({result["assignment"] for result in results})
    (folder / "students").mkdir(parents=True, exist_ok=True)
    page = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
    pages: list[tuple[str, str, str]] = []
    for student, works in sorted(students.items()):
        path = folder / "students" / f"{_file_name(student)}.html"
        path.write_text(page.render(title=f"Feedback for {student}", works=works, number=_number), encoding="utf-8")
        points = sum(work["points"] for work in works)
        max_points = sum(work["max_points"] for work in works)
        pages.append((student, f"students/{path.name}", f"{_number(points)} of {_number(max_points)}"))
    _write_table(students, assignments, folder / "grades.csv")
    draw_points(results, assignments, folder / "points.png")
    missed = most_missed(results)
    draw_missed(missed, folder / "missed.png")
    index = page.render(title="Grades", works=[], pages=pages, number=_number)
    (folder / "index.html").write_text(index, encoding="utf-8")
    worst = [{"assignment": name[0], "question": name[1], "missed": share} for name, share in missed[:5]]
    return {"folder": str(folder), "students": len(students), "submissions": len(results), "most_missed": worst}


def _write_table(students: dict[str, list[dict[str, Any]]], assignments: list[str], path: Path) -> None:
    """Write one row per student: points by assignment (empty if not handed in), their sum, points not yet given."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["student", *assignments, "total", "waiting_for_a_person"])
        for student, works in sorted(students.items()):
            by_name = {work["assignment"]: work for work in works}
            points = [_number(by_name[name]["points"]) if name in by_name else "" for name in assignments]
            sums = [_number(sum(work[key] for work in works)) for key in ("points", "by_hand")]
            table.writerow([_no_formula(student), *points, *sums])


def _no_formula(text: str) -> str:
    """Text that no spreadsheet evaluates as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _file_name(student: str) -> str:
    """File name of harmless characters, different for each student."""
    plain = re.sub(r"[^\w.@-]", "_", student)
    return plain if plain == student else f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:6]}"


def _number(value: float) -> str:
    return f"{value:g}"


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


def give_by_hand(results: list[dict[str, Any]], table: Path) -> None:
    """Add the points that a person gave to ``results``, which is changed in place.

    Args:
        results: of :func:`.grade_all.read_results`.
        table: CSV file with the columns ``student, assignment, question, points``.

    Raises:
        InputError: the table names an answer that waits for no points, or gives more points than there are.
    """
    waiting = {
        (result["student"], result["assignment"], question["name"]): (result, question)
        for result in results
        for question in result["questions"]
        if question["points"] is None
    }
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for line, row in enumerate(rows, start=2):
        student, assignment, question = (
            (row.get(name) or "").strip() for name in ("student", "assignment", "question")
        )
        key = student, assignment, question
        if key not in waiting:
            raise InputError(f"{table}, line {line}: nothing of {', '.join(key)} waits for points")
        result, answer = waiting[key]
        try:
            points = float(row.get("points") or "")
        except ValueError:
            raise InputError(f"{table}, line {line}: points is {row.get('points')!r}, not a number") from None
        if not 0 <= points <= answer["max_points"]:
            raise InputError(f"{table}, line {line}: {points:g} is not between 0 and {answer['max_points']:g}")
        answer |= {"points": points, "message": "Read by a person."}
        result["points"] += points
        result["by_hand"] -= answer["max_points"]
