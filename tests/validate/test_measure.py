"""The network is replaced by labels that are wrong in known ways, so that every figure has a known answer."""

from dataclasses import replace

import numpy as np
import pytest

from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.score.run import score_knee
from kneeline.segment.predict import Segmentation
from kneeline.validate import measure
from kneeline.validate.measure import compare
from kneeline.validate.truth import true_scores


@pytest.fixture(scope="module")
def score_once():
    """`score_knee`, which scores the same labels once for all tests."""
    known = {}

    def score(image, labels, side, contrast):
        key = image.array.tobytes(), labels.array.tobytes(), side, contrast
        if key not in known:
            known[key] = score_knee(image, labels, side, contrast=contrast)
        return known[key]

    return score


@pytest.fixture(scope="module")
def truth(scan):
    return true_scores(scan.knee)


@pytest.fixture(autouse=True)
def quick(monkeypatch, score_once, truth):
    monkeypatch.setattr(measure, "score_knee", score_once)
    monkeypatch.setattr(measure, "true_scores", lambda knee: truth)


@pytest.fixture
def answer(monkeypatch):
    """Make `segment` give these labels, all with a certainty of 0.8 and a confidence of 0.7."""

    def set_answer(volume, certainty=0.8):
        def segment(image, laterality, with_certainty):
            assert laterality == "R"
            assert with_certainty
            promised = volume.with_array(np.full(volume.shape, certainty, np.float32))
            confidence = {Label(v): 0.7 for v in np.unique(volume.array) if v}
            return Segmentation(volume, "R", "R", confidence, "review", "a reason", promised)

        monkeypatch.setattr(measure, "segment", segment)

    return set_answer


def changed(labels, change):
    array = labels.array.copy()
    change(array)
    return labels.with_array(array)


def test_true_labels_are_perfect(scan, planned, answer):
    answer(scan.labels)
    case = compare(scan, planned)
    for structure in case.found.structures.values():
        assert (structure.dice, structure.precision) == (1, 1)
        assert (structure.hausdorff95_mm, structure.surface_mm) == (0, 0)
        assert structure.found_mm3 == structure.true_mm3 > 0
    assert (case.found.lost, case.found.invented, case.refused) == ([], {}, None)
    assert (case.found.verdict, case.found.reason) == ("review", "a reason")
    assert case.found.scores == case.on_true_labels


def test_a_knee_is_scanned_twice_when_asked_to(scan, planned, answer, monkeypatch):
    """The second scan is scored by its own labels; here it is the first one again."""
    answer(scan.labels)
    assert compare(scan, planned).again is None
    monkeypatch.setattr(measure, "scan_again", lambda first, seed: first)
    case = compare(scan, planned, again=True)
    assert case.again.found == case.again.on_true_labels == case.on_true_labels


def test_truth_is_what_was_built(scan, planned, answer):
    answer(scan.labels)
    case = compare(scan, planned)
    assert case.truth.fluid_ml == pytest.approx(10, rel=0.01)
    assert case.truth.lesion == {Label.MEDIAL_MENISCUS: 3, Label.LATERAL_MENISCUS: 1}
    assert sorted(row["signal_grade"] for row in case.truth.scores.meniscus) == [0, 0, 0, 0, 1, 3]
    for label, built in case.truth.meniscus_mm3.items():  # thick slices miss a part of a wedge's thin edge
        assert case.found.structures[label].true_mm3 == pytest.approx(built, rel=0.3)
    assert case.found.scores.effusion["fluid_ml"] == pytest.approx(10, rel=0.15)


def test_half_a_femur_is_precise_and_two_thirds_right(scan, planned, answer):
    """Every other voxel: Dice = 2 (N/2) / (N + N/2)."""

    def halve(array):
        where = np.flatnonzero(array == Label.FEMUR)
        array.ravel()[where[::2]] = 0

    answer(changed(scan.labels, halve))
    femur = compare(scan, planned).found.structures[Label.FEMUR]
    assert femur.dice == pytest.approx(2 / 3, abs=1e-3)
    assert femur.precision == 1
    assert femur.found_mm3 == pytest.approx(femur.true_mm3 / 2, rel=1e-3)


def test_a_lost_structure_has_no_distance(scan, planned, answer):
    answer(changed(scan.labels, lambda a: np.copyto(a, 0, where=a == Label.MEDIAL_MENISCUS)))
    found = compare(scan, planned).found
    assert found.lost == [Label.MEDIAL_MENISCUS]
    meniscus = found.structures[Label.MEDIAL_MENISCUS]
    assert (meniscus.dice, meniscus.found_mm3) == (0, 0)
    assert (meniscus.hausdorff95_mm, meniscus.surface_mm, meniscus.precision, meniscus.confidence) == (None,) * 4
    assert [row["signal_grade"] for row in found.scores.meniscus].count(None) == 3


def test_what_the_truth_does_not_have_is_invented(scan, planned, answer):
    without = replace(scan, labels=changed(scan.labels, lambda a: np.copyto(a, 0, where=a == Label.FIBULA)))
    answer(scan.labels)
    found = compare(without, planned).found
    volume = (scan.labels.array == Label.FIBULA).sum() * scan.labels.voxel_mm3
    assert found.invented == {Label.FIBULA: pytest.approx(volume)}
    assert Label.FIBULA not in found.structures
    assert found.reliability[Label.FIBULA].right == 0


def test_a_meniscus_called_by_the_other_side_counts_as_wrong(scan, planned, answer):
    def swap(array):
        medial, lateral = array == Label.MEDIAL_MENISCUS, array == Label.LATERAL_MENISCUS
        array[medial], array[lateral] = Label.LATERAL_MENISCUS, Label.MEDIAL_MENISCUS

    answer(changed(scan.labels, swap))
    found = compare(scan, planned).found
    assert found.lost == [Label.MEDIAL_MENISCUS, Label.LATERAL_MENISCUS]
    assert found.structures[Label.MEDIAL_MENISCUS].hausdorff95_mm > 20


def test_reliability_is_of_the_voxels_that_were_called_so(scan, planned, answer):
    """Tibia called femur: the share of the called femur that is right is known."""
    answer(changed(scan.labels, lambda a: np.copyto(a, int(Label.FEMUR), where=a == Label.TIBIA)))
    found = compare(scan, planned).found
    femur, tibia = ((scan.labels.array == label).sum() for label in (Label.FEMUR, Label.TIBIA))
    measured = found.reliability[Label.FEMUR]
    assert measured.right == pytest.approx(femur / (femur + tibia))
    assert measured.promised == pytest.approx(0.8)
    assert measured.total_mm3 == pytest.approx((femur + tibia) * scan.labels.voxel_mm3)
    assert Label.TIBIA not in found.reliability
    assert found.structures[Label.FEMUR].confidence == 0.7


def test_refusals_and_failures_are_counted_not_hidden(scan, planned, monkeypatch):
    def fail(error):
        def segment(*_, **__):
            raise error

        monkeypatch.setattr(measure, "segment", segment)

    fail(Refusal("not_a_knee", "expected a knee"))
    case = compare(scan, planned)
    assert (case.found, case.refused) == (None, "not_a_knee")
    assert len(case.on_true_labels.meniscus) == 6
    fail(ZeroDivisionError("by zero"))
    assert compare(scan, planned).refused == "unexpected_error: ZeroDivisionError('by zero')"
    fail(MemoryError())
    with pytest.raises(MemoryError):
        compare(scan, planned)
