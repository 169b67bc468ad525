"""A knee whose image is spoilt beyond reading is not called ok; the same knee unspoilt is."""

import pytest

from kneeline.segment.predict import segment
from kneeline.simulate.damage import blur, drown, move


def test_the_image_as_it_was_is_ok(found_coarse):
    assert found_coarse.verdict == "ok"


@pytest.mark.parametrize(
    ("damage", "size", "word"), [(blur, 2.0, "blurred"), (move, 6.0, "expected to be right"), (drown, 0.5, "expected")]
)
def test_a_spoilt_one_is_not(coarse, damage, size, word):
    found = segment(damage(coarse, size), "R")
    assert found.verdict != "ok"
    assert word in found.reason
