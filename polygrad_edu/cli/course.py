"""The commands for instructors: ``polygrad-edu course new | release | grade | report``."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..files.input_error import InputError
from .command import Command
from .options import Json
from .terminal import CommandConsole, told_when_closed

course = typer.Typer(
    no_args_is_help=True,
    help="""Hand out assignments and grade them, unattended.

    An instructor's afternoon:

    polygrad-edu course new my-course, then cd my-course

    polygrad-edu course release, and hand out what lies in release/

    polygrad-edu course grade SUBMISSIONS, once it is back

    polygrad-edu course report

    The folder is an nbgrader course, so nbgrader works in it too.""",
)

Course = Annotated[Path, typer.Option("--course", metavar="DIR", help="The course folder, as made by course new.")]
Assignment = Annotated[
    str | None, typer.Option(help="Only this one, for example a1_noise_schedule.", show_default="all")
]


@course.command(cls=Command)
def new(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for the course.")],
    as_json: Json = False,
) -> None:
    """Make a course: an nbgrader folder with the source of all assignments.

    The tests that students do not see try their work on inputs drawn for
    this course alone. Keep the folder to yourself.
    """
    from ..grading.instructor import needs_nbgrader, new_course

    needs_nbgrader()
    names = new_course(directory)
    if as_json:
        print(json.dumps({"course": str(directory), "assignments": names}))
        return
    print(f"{directory} holds {len(names)} assignments: {', '.join(names)}.")
    print(f"Next: cd {shlex.quote(str(directory))} && polygrad-edu course release")


@course.command(cls=Command)
def release(assignment: Assignment = None, course: Course = Path(), as_json: Json = False) -> None:
    """Make what students get: no solutions, no hidden tests, locked tests.

    Written to release/ in the course folder, by nbgrader's own rules. Run
    it again after a change in source/.
    """
    from ..grading.instructor import needs_nbgrader
    from ..grading.instructor import release as make_release

    needs_nbgrader()
    made = make_release(course, assignment)
    if as_json:
        print(json.dumps({name: str(path) for name, path in made.items()}))
        return
    for path in made.values():
        print(path)


@course.command(cls=Command)
def check(
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="Your notebook of an assignment.")],
    as_json: Json = False,
) -> None:
    """For students: run your notebook as it will be graded.

    Its answers run in a process of their own, from top to bottom, and the
    tests that you see try them. Grading tries other inputs, too. It ends
    with 1 if something is not right yet.
    """
    from ..grading.own_check import check_own

    result = check_own(notebook)
    asked = [question for question in result["questions"] if question["points"] is not None]
    wrong = [question for question in asked if question["points"] < question["max_points"]]
    if as_json:
        print(json.dumps(result))
    else:
        table = Table("question", "points", "as it will be graded", box=None, pad_edge=False)
        for question in result["questions"]:
            given = "?" if question["points"] is None else f"{question['points']:g}"
            lines = [question["message"]]
            if question in wrong:
                lines += [f"{row['points']:g} of {row['max_points']:g}: {row['words']}" for row in question["parts"]]
            table.add_row(question["name"], f"{given} of {question['max_points']:g}", Text("\n".join(lines)))
        CommandConsole().print(table)
        for note in result["notes"]:
            print(note)
    raise typer.Exit(bool(wrong))


@course.command(cls=Command)
def grade(
    submissions: Annotated[
        Path | None,
        typer.Argument(
            metavar="SUBMISSIONS",
            help="A folder: STUDENT/ASSIGNMENT/*.ipynb, STUDENT.ipynb, or what a learning platform lets you "
            "download (the .zip itself too).",
            show_default="submitted/ in the course",
        ),
    ] = None,
    assignment: Assignment = None,
    course: Course = Path(),
    jobs: Annotated[int, typer.Option(help="Submissions at a time.", min=1, show_default="one for each core")] = (
        os.cpu_count() or 1
    ),
    cell_seconds: Annotated[int, typer.Option(help="How long one cell may compute.", min=1, max=600)] = 60,
    roster: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="All students, one a line: one name for each in every assignment."),
    ] = None,
    without_walls: Annotated[
        bool, typer.Option("--without-walls", help="Grade even where this machine cannot lock submissions in.")
    ] = False,
    regrade: Annotated[bool, typer.Option("--regrade", help="Grade also what is graded and unchanged.")] = False,
    as_json: Json = False,
) -> None:
    """Grade a folder of submissions, unattended.

    Each runs in a process of its own that reaches neither network, files
    nor other processes and may use only so much time, memory and output;
    whatever it does, the others are graded. Only the answer cells of a
    submission are taken. Stop it and start it again as you like: what is
    graded and unchanged is kept.
    """
    from ..grading.instructor import needs_nbgrader

    needs_nbgrader()
    from ..grading.grade_all import grade as grade_all
    from ..grading.sandbox import missing_walls

    console = CommandConsole(stderr=True)
    for wall in missing_walls() if without_walls else ():
        console.print(f"There is no wall {wall}.", soft_wrap=True)
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
    task = progress.add_task("grading")

    def on_progress(what: str, done: int, total: int) -> None:
        if not done:
            console.print(f"{total} submissions, {jobs} at a time: {what} where nothing is known yet.", soft_wrap=True)
        progress.start()
        progress.update(task, completed=done, total=total)
        if done:
            progress.update(task, description=f"graded {what}".replace("[", r"\["))

    try:
        where = submissions or course / "submitted"
        results, left_out = grade_all(
            course, where, assignment, jobs, cell_seconds, without_walls, roster, regrade, on_progress
        )
    finally:
        if progress.live.is_started:
            progress.stop()
    with told_when_closed(f"The results lie in {course / 'graded'}"):
        if as_json:
            print(json.dumps({"graded": results, "left_out": left_out}))
        else:
            _show(results)
            print(f"The results lie in {course / 'graded'}; next: polygrad-edu course report")
    for path, reason in left_out:
        console.print(Text(f"left out: {path}: {reason}"), soft_wrap=True)


def _show(results: Iterable[Mapping[str, Any]]) -> None:
    table = Table("student", "assignment", "points", "remarks", box=None, pad_edge=False)
    for result in results:
        waiting = f" + {result['by_hand']:g} to read" if result["by_hand"] else ""
        asked = [question for question in result["questions"] if question["points"] is not None]
        missed = [question["name"] for question in asked if question["points"] < question["max_points"]]
        remark = result["reason"] or (f"points lost in {', '.join(missed)}" if missed else "")
        points = f"{result['points']:g} of {result['max_points']:g}{waiting}"
        cells = (result["student"], result["assignment"], points, remark)
        table.add_row(*cells)
    CommandConsole().print(table)


@course.command(cls=Command)
def report(
    course: Course = Path(),
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default="report/ in the course")] = None,
    by_hand: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Points that a person gave: student, assignment, question, points, comment. Kept for later reports.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write grades.csv, a page of feedback for each student, and pictures.

    students/NAME.html is for that student; index.html, with how the points
    fell and which tests the class missed most, is for you.
    """
    from ..grading.corrections import correct, corrected, read_by_hand, read_corrections, refuse_to_lose
    from ..grading.exports import CANVAS, MOODLE, write_gradescope, write_platform
    from ..grading.feedback import TO_READ, write_report
    from ..grading.grade_all import read_left_out, read_results
    from ..grading.instructor import answers_in_words
    from ..grading.roster import known_roster
    from ..grading.similarity import similar_pairs, write_similar

    machine = read_results(course)
    if by_hand is not None:
        if not by_hand.is_file():
            raise InputError(f"{by_hand} is not a file; it should be a table: student, assignment, question, points")
        correct(course, machine, read_by_hand(by_hand))
    corrections = read_corrections(course)
    results = corrected(machine, corrections)
    folder, roster = out or course / "report", known_roster(course)
    refuse_to_lose(folder / TO_READ, corrections)
    answer = write_report(results, folder, roster, read_left_out(course), answers_in_words(course))
    write_platform(results, roster, CANVAS, folder / "canvas.csv")
    write_platform(results, roster, MOODLE, folder / "moodle.csv")
    write_gradescope(results, folder / "gradescope")
    write_similar(similar_pairs(course), folder / "similar.csv")
    if as_json:
        print(json.dumps(answer))
        return
    print(
        f"{answer['submissions']} submissions of {answer['students']} students; the report lies in {answer['folder']}."
    )


@course.command(cls=Command)
def override(
    student: Annotated[str, typer.Argument(help="As in grades.csv.")],
    assignment: Annotated[str, typer.Argument(help="For example a1_noise_schedule.")],
    question: Annotated[str, typer.Argument(help="As in questions.csv, for example betas.")],
    points: Annotated[float, typer.Argument(help="That count instead of the grader's.")],
    reason: Annotated[str, typer.Option(help="Told to the student, and kept.")],
    course: Course = Path(),
    as_json: Json = False,
) -> None:
    """Give other points for a question, with a reason.

    It is added to corrections.jsonl in the course, where all that was ever
    given stays. The last one counts, also after work is graded again.
    """
    from ..grading.corrections import Correction, correct, corrected, now, read_corrections
    from ..grading.grade_all import read_results

    if not reason.strip():
        raise InputError("--reason is empty; say in a sentence why, for the student and for yourself")
    machine = read_results(course)
    correct(course, machine, [Correction(now(), student, assignment, question, points, reason.strip())])
    results = corrected(machine, read_corrections(course))
    (result,) = [each for each in results if (each["student"], each["assignment"]) == (student, assignment)]
    if as_json:
        print(json.dumps(result))
        return
    print(f"{student} now has {result['points']:g} of {result['max_points']:g} points in {assignment}.")
