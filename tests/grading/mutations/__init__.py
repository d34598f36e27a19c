"""What students write: wrong answers, each with words of the message it should get, and right ones put differently.

One file for each assignment, ``assignment_N.py``, with two lists that ``tests/grading/test_mutations.py`` works
through. An answer is the source of a whole answer cell: it is run after the assignment's set-up and the solutions
before it.
"""
