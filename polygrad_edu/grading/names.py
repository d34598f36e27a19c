"""Names of students: as platforms write them into files and folders, made the same again in every assignment."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_CANVAS = re.compile(r"^(?P<name>[^_\W]+(?:-[^_\W]+)*)(?P<late>_LATE)?_(?P<user>\d+)_(?P<work>\d+)(?:_.*)?$")
_MOODLE = re.compile(r"^(?P<name>.*\D)_(?P<work>\d{3,})(?:_assignsubmission_.*)?$")
_VERSION = r"(?:[-_ ]\d{1,2}| ?\(\d+\))?"  # that a platform or a browser puts behind the name of a file


class Named:
    """Name read from a file or folder.

    Attributes:
        student: the same for each assignment.
        user: the platform's number of the person, if it writes one.
        work: the platform's number of this piece of work, if it writes one; another one in each assignment.
        late: the platform says that it was late.
    """

    def __init__(self, text: str, assignment: str):
        self.user = self.work = ""
        self.late = False
        text = readable(text)
        canvas = _CANVAS.match(text)
        moodle = _MOODLE.match(text)
        if canvas:
            self.student = f"{canvas['name']}_{canvas['user']}"
            self.user, self.work = canvas["user"], canvas["work"]
            self.late = bool(canvas["late"])
        elif moodle and not re.search(r"_\d+$", moodle["name"]):
            self.student, self.work = moodle["name"].strip("_-. "), moodle["work"]
        else:
            bare = re.sub(re.escape(assignment) + _VERSION, "", text) if assignment else text
            bare = re.sub(r" ?\(\d+\)$", "", bare.strip("_-. "))
            self.student = re.sub(r"_assignsubmission_.*$", "", bare).strip("_-. ") or text


def readable(name: str) -> str:
    """Name in ordinary characters; bytes that are no UTF-8, as old archives leave them, are read as Latin-1."""
    raw = name.encode("utf-8", "surrogateescape")
    try:
        return unicodedata.normalize("NFC", raw.decode("utf-8"))
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def encodable(text: str) -> str:
    """Text that a file can hold: halves of characters, which ``"\\ud800"`` in a notebook makes, are question marks."""
    return text.encode("utf-8", "replace").decode()


def plain(name: str) -> str:
    """Letters and digits of a name alone, for comparisons: ``Müller, Bob`` -> ``mullerbob``."""
    flat = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in flat if letter.isalnum())


def file_name(student: str) -> str:
    """File name of harmless characters, different for each student."""
    safe = re.sub(r"[^\w.@+, -]", "_", student).strip(". ")
    if safe == student and len(safe.encode()) < 100:
        return safe
    return f"{safe[:60]}-{hashlib.sha256(student.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"
