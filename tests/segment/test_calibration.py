"""Probability that means something: the table's arithmetic, its network, and certainty on a knee with known answers."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from kneeline.segment import calibration, engine
from kneeline.segment.classes import CERTAIN, Class
from kneeline.segment.predict import segment
from kneeline.volume import SAGITTAL, reorient


@pytest.fixture(scope="module")
def certain(coarse):
    """The scan in another order of axes, with certainty."""
    return segment(reorient(coarse, "PIR"), with_certainty=True)


def table(**pairs) -> calibration.Calibration:
    classes = {cls.name.lower(): pairs.get(cls.name.lower(), [1.0, 0.0]) for cls in Class}
    return calibration.parse(json.dumps({"network_sha256": "0", "classes": classes}))


def test_slope_one_and_offset_nought_leave_a_probability_as_it_is():
    p = np.array([0.01, 0.3, 0.5, 0.99], np.float32)
    assert table().apply(p, Class.MENISCUS) == pytest.approx(p, abs=1e-6)


def test_odds_are_stretched_and_shifted_class_by_class():
    tried = table(meniscus=[0.5, 0.0], femur=[1.0, np.log(2)])
    # Odds of 9 become 3; odds of 1 become 2.
    found = tried.apply(np.array([0.9, 0.5]), np.array([Class.MENISCUS, Class.FEMUR]))
    assert found == pytest.approx([0.75, 2 / 3], abs=1e-6)


def test_certainty_never_reaches_nought_or_one():
    ends = calibration.shipped().apply(np.array([0.0, 1.0], np.float16), Class.FEMUR)
    assert 0 < ends[0] < ends[1] < 1


def test_the_table_is_of_the_shipped_network():
    """A new network needs `python -m kneeline.segment.training.calibrate`."""
    digest = hashlib.sha256(engine.NETWORK.read_bytes()).hexdigest()
    assert calibration.shipped().network_sha256 == digest


def test_certainty_is_given_only_when_asked_and_changes_nothing_else(found_coarse, certain):
    assert found_coarse.certainty is None
    assert np.array_equal(reorient(certain.labels, SAGITTAL).array, found_coarse.labels.array)
    assert certain.certainty.array.dtype == np.float32
    assert certain.certainty.geometry.same_as(certain.labels.geometry)
    assert 0 < certain.certainty.array.min() <= certain.certainty.array.max() < 1


def test_certainty_is_the_share_of_labels_that_are_right(scan, certain):
    labels, certainty = (reorient(v, SAGITTAL).array for v in (certain.labels, certain.certainty))
    inside = labels > 0
    right = labels == scan.labels.array[::2]
    assert certainty[inside].mean() == pytest.approx(right[inside].mean(), abs=0.05)
    sure, unsure = (right[inside & chosen].mean() for chosen in (certainty > 0.9, certainty < 0.7))
    assert unsure < 0.75 < 0.9 < sure


def test_what_clean_up_takes_away_is_uncertain():
    """A sure piece of femur that was overruled: background there has the probability that the network gave it."""
    from kneeline.segment.preprocess import prepare
    from kneeline.volume import Volume

    image = np.random.default_rng(0).random((12, 100, 100), np.float32) + np.linspace(1, 2, 100, dtype=np.float32)
    slices = prepare(Volume(image, np.diag([3.0, -0.65, -0.65, 1.0])[:, [0, 2, 1, 3]]))
    probability = np.zeros((12, len(Class), *slices.array.shape[1:]), np.uint16)
    probability[:, Class.BACKGROUND] = CERTAIN
    probability[5, :, 40:60, 40:60] = 0
    probability[5, Class.FEMUR, 40:60, 40:60] = CERTAIN
    given = np.zeros(slices.canonical.shape, np.uint8)
    own = calibration.probability_of_given(slices, probability, given)
    assert own[5, 50, 50] == 0
    assert own[4, 50, 50] == own[5, 10, 10] == 1
    given[5, 41:59, 41:59] = Class.FEMUR
    assert calibration.probability_of_given(slices, probability, given)[5, 50, 50] == 1
