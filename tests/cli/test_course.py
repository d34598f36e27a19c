"""What the instructor's commands print; grading itself is tested in tests/grading."""

from polygrad_edu.cli.course import _show


def test_the_table_of_grades_shows_names_as_they_are(capsys):
    result = {
        "student": "[red]ada[/red]",
        "assignment": "a1",
        "points": 3.5,
        "max_points": 8.0,
        "by_hand": 2.0,
        "reason": "",
        "questions": [
            {"name": "q1", "points": 2.0, "max_points": 2.0},
            {"name": "q2", "points": 1.5, "max_points": 2.0},
            {"name": "q3", "points": 0.0, "max_points": 2.0},
            {"name": "q4", "points": None, "max_points": 2.0},
        ],
    }
    _show([result, result | {"student": "bob", "by_hand": 0, "reason": "it took too long"}])
    header, ada, bob = capsys.readouterr().out.splitlines()
    assert header.split() == ["student", "assignment", "points", "remarks"]
    assert ada.split("  ")[0] == "[red]ada[/red]"
    assert "3.5 of 8 + 2 to read" in ada
    assert ada.rstrip().endswith("points lost in q2, q3")
    assert bob.split("  ")[0] == "bob"
    assert bob.rstrip().endswith("it took too long")
