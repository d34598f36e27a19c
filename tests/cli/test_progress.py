"""Progress on standard error."""

from polygrad_edu.cli.progress import progress_lines


def test_each_piece_of_work_has_a_line(capsys):
    with progress_lines() as on_progress:
        on_progress("train", 1, 2)
        on_progress("collect", 3, 3)
        on_progress("train", 2, 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = [line for line in shown.err.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines[-2:]] == ["train", "collect"]
    assert "2/2" in lines[-2]
    assert "3/3" in lines[-1]


def test_without_work_nothing_is_printed(capsys):
    with progress_lines():
        pass
    assert capsys.readouterr() == ("", "")
