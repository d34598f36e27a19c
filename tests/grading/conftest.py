"""A student's process, shared by the tests of one file."""

import pytest

from polygrad_edu.grading.student_process import StudentProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    student = StudentProcess(tmp_path_factory.mktemp("scratch").resolve(), [])
    yield student
    student.close()


@pytest.fixture
def student(process):
    """Function that runs a cell and hands over the value of a name."""
    process.link.request("forget")
    process.link.forget()

    def define(source, name="f"):
        process.link.request("run", "import numpy as np\nimport torch\nfrom torch import nn\n" + source, "cell")
        return process.link.request("fetch", name)

    return define
