"""Archives as they come from the world: one file's trouble is its own."""

import time
import zipfile

import pytest

from polygrad_edu.files.input_error import InputError
from polygrad_edu.grading import archives
from polygrad_edu.grading.archives import unpack


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def make(path, members):
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def test_nothing_leaves_the_folder_that_a_zip_is_unpacked_to(tmp_path):
    inner = make(tmp_path / "inner.zip", {"work.ipynb": "{}"}).read_bytes()
    members = {"../../../outside.ipynb": "{}", "/absolute.ipynb": "{}", "notes.txt": "x", "ann/inner.zip": inner}
    assert unpack(make(tmp_path / "all.zip", members), tmp_path / "to") == []
    assert files(tmp_path / "to") == ["absolute.ipynb", "ann/inner/work.ipynb", "notes.txt", "outside.ipynb"]


def encrypted(tmp_path):
    data = bytearray(make(tmp_path / "x.zip", {"work.ipynb": "{}"}).read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    return bytes(data)


def deep(tmp_path):
    data = b"{}"
    for level in range(8):
        data = make(tmp_path / f"{level}.zip", {"work.zip" if level else "work.ipynb": data}).read_bytes()
    return data


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bad/broken.zip", lambda folder: b"PK\x03\x04 not a zip", "BadZipFile"),
        ("bad/locked.zip", encrypted, "encrypted"),
        ("bad/deep.zip", deep, "nested more than 5 archives deep"),
        ("bad/" + "x" * 300 + ".ipynb", lambda folder: "{}", "OSError"),
        ("ann/a.ipynb/b.ipynb", lambda folder: "{}", "cannot be unpacked"),
        ("bad/large.ipynb", lambda folder: " " * 2_000, "MiB"),
    ],
)
def test_one_students_file_never_stops_the_batch(tmp_path, monkeypatch, name, content, reason):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1_500)
    members = {"ann/a.ipynb": "{}", name: content(tmp_path), "bob/a.ipynb": "{}"}
    left_out = unpack(make(tmp_path / "all.zip", members), tmp_path / "to")
    assert [path for path in files(tmp_path / "to") if not path.startswith("bad")] == ["ann/a.ipynb", "bob/a.ipynb"]
    assert len(left_out) == 1
    assert reason in left_out[0].reason


def test_dates_are_those_of_the_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("new.ipynb", (2026, 11, 2, 12, 0, 0)), "{}")
        zipped.writestr(zipfile.ZipInfo("old.ipynb", (2026, 11, 1, 12, 0, 0)), "{}")
    unpack(tmp_path / "all.zip", tmp_path / "to")
    dates = {path.name: time.localtime(path.stat().st_mtime)[:3] for path in (tmp_path / "to").iterdir()}
    assert dates["new.ipynb"] == (2026, 11, 2)
    assert dates["old.ipynb"] == (2026, 11, 1)


def test_a_name_in_utf8_that_does_not_say_so_is_read_as_that(tmp_path):
    data = make(tmp_path / "all.zip", {"Mxxller.ipynb": "{}"}).read_bytes()
    (tmp_path / "all.zip").write_bytes(data.replace(b"Mxxller", "Müller".encode()))
    unpack(tmp_path / "all.zip", tmp_path / "to")
    assert files(tmp_path / "to") == ["Müller.ipynb"]


def test_what_is_no_archive_at_all_is_refused(tmp_path):
    (tmp_path / "all.zip").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="is not a zip file"):
        unpack(tmp_path / "all.zip", tmp_path / "to")
