"""Damaged files are refused in one line: some hundreds here, ten thousand by ``python -m tests.support.fuzz``."""

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz import MAX_MIB, attempt, make_targets, peak_mib

KINDS = (
    "checkpoint",
    "checkpoint, signed",
    "shard",
    "shard, signed",
    "config",
    "result",
    "metrics",
    "kept weights",
    "kept config",
    "policy",
    "dataset",
    "dataset's texts",
)


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    logging.disable(logging.WARNING)
    yield make_targets(tmp_path_factory.mktemp("fuzz"))
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(draw=st.randoms(use_true_random=False))
def test_a_damaged_file_is_refused_in_one_line(targets, kind, draw):
    target = targets[kind] if kind in targets else pytest.skip("Minari is not installed")
    before = peak_mib()
    assert attempt(target, target.mutate(target.content, draw)) in ("refused", "still valid")
    assert peak_mib() - before < MAX_MIB
