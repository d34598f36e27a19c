"""Bad input, as an exception of its own."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: one line that says what was wrong and what would be right.

    Raised where input is judged, be it an argument, a setting or a file. The command line prints the line and ends with
    status 2. Any other ValueError is a defect and shows its traceback.
    """
