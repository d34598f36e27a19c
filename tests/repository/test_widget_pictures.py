"""The script that takes the widgets' pictures: which there are, and what it refuses."""

import pytest

from tests.support.book_scripts import BOOK, load_book_script

widget_pictures = load_book_script("widget_pictures")


def test_the_book_holds_each_widget_in_each_look_and_no_picture_of_old():
    wanted = {f"widget_{name}_{look}.png" for name in widget_pictures.WIDGETS for look in widget_pictures.LOOKS}
    assert {path.name for path in (BOOK / "images").glob("widget_*.png")} == wanted


@pytest.mark.parametrize(
    ("built", "names", "words"),
    [(False, [], "holds no built book; python book/build.py makes"), (True, ["moon"], "there is no widget 'moon'")],
)
def test_what_cannot_be_taken_is_refused_in_one_line(built, names, words, tmp_path, capsys):
    if built:
        (tmp_path / "book").mkdir()
        (tmp_path / "book" / "index.html").touch()
    with pytest.raises(SystemExit) as refused:
        widget_pictures.main([str(tmp_path), *names])
    assert refused.value.code == 2
    assert words in capsys.readouterr().err
