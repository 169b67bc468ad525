"""The worst cases: which are shown, and that their pictures show what they say."""

import io

import numpy as np
import pytest
from PIL import Image

from kneeline.labels import Label
from kneeline.score.run import score_knee
from kneeline.validate.exhibit import Exhibit, exhibits
from kneeline.validate.truth import true_scores
from kneeline.validate.worst import SIGNAL_INK, picture, worst, write_worst


@pytest.fixture(scope="module")
def shown(scan):
    """Exhibits of a knee whose torn meniscus was lost, and whose fluid was halved."""
    array = scan.labels.array.copy()
    fluid = np.flatnonzero(array == Label.JOINT_FLUID)
    array.ravel()[fluid[: len(fluid) // 2]] = 0
    array[array == Label.MEDIAL_MENISCUS] = 0
    found = scan.labels.with_array(array)
    overlap = {Label.MEDIAL_MENISCUS: 0.0, Label.JOINT_FLUID: 2 / 3, Label.FEMUR: 1.0}
    truth, by_truth = true_scores(scan.knee), score_knee(scan.image, scan.labels, "R")
    network = score_knee(scan.image, found, "R")
    network.meniscus[2]["signal_grade"] = 0  # graded, and wrongly
    return {e.kind: e for e in exhibits(scan, found, overlap, truth, by_truth, network)}


def test_the_region_with_the_largest_error_is_shown_where_its_lesion_is(shown):
    grade = shown["grade"]
    assert grade.size == 3
    assert grade.what.startswith("medial meniscus, posterior horn, slice ")
    assert grade.said.startswith("planted grade 3, graded 0 on the network's outlines and ")
    assert grade.signal.any()
    assert (grade.true == Label.MEDIAL_MENISCUS).any()
    assert not (grade.found == Label.MEDIAL_MENISCUS).any()
    assert max(n * mm for n, mm in zip(grade.image.shape, grade.pixel_mm, strict=True)) == pytest.approx(62, abs=1.2)


def test_fluid_and_the_lowest_dice(shown):
    assert shown["fluid"].said.startswith("10.0 mL built, ")
    assert 3 < shown["fluid"].size < 7
    assert (shown["fluid"].true != shown["fluid"].found).any()
    assert (shown["dice"].size, shown["dice"].said) == (1.0, "Dice 0.00")
    assert shown["dice"].what.startswith("medial meniscus, ")


def test_a_perfect_knee_has_no_wrong_grade_to_show(scan):
    truth = true_scores(scan.knee)
    kinds = [e.kind for e in exhibits(scan, scan.labels, {Label.FEMUR: 1.0}, truth, truth, truth)]
    assert kinds == ["fluid", "dice"]


def test_a_picture_has_three_panels_and_the_planted_signal_in_the_middle(shown):
    sheet = np.asarray(Image.open(io.BytesIO(picture(shown["grade"]))).convert("RGB"))
    ink = np.array(list(bytes.fromhex(SIGNAL_INK[1:])))
    columns = np.flatnonzero((np.abs(sheet.astype(int) - ink).sum(2) < 60).any(0))
    third = sheet.shape[1] / 3
    assert third < columns.min() < columns.max() < 2 * third
    assert picture(shown["grade"]) == picture(shown["grade"])


def exhibit(kind, size):
    plain = np.zeros((20, 20), np.uint16)
    return Exhibit(kind, size, "a place", "so and so", (0.5, 0.5), plain, plain, plain, plain > 0)


def test_the_worst_come_first_and_few_of_each(make_case):
    cases = [make_case(9000 + k, exhibits=(exhibit("grade", k % 4), exhibit("fluid", k))) for k in range(8)]
    found = worst(cases)
    assert [e.size for _, e in found["grade"]] == [3, 3, 2, 2]
    assert [(case.plan.seed, e.size) for case, e in found["fluid"]] == [(9007, 7), (9006, 6)]
    assert found["dice"] == []


def test_the_page_and_its_pictures(make_case, shown, tmp_path):
    page, folder = tmp_path / "worst.md", tmp_path / "worst"
    folder.mkdir()
    (folder / "grade-9.png").write_bytes(b"of an earlier run")
    cases = [make_case(9000, exhibits=tuple(shown.values())), make_case(9001, refused="not_a_knee")]
    write_worst(page, cases, "kneeline validate")
    assert sorted(path.name for path in folder.iterdir()) == ["dice-1.png", "fluid-1.png", "grade-1.png"]
    text = page.read_text()
    for name in ("dice-1", "fluid-1", "grade-1"):
        assert f"](worst/{name}.png)" in text
    assert "Planted grade 3, graded 0" in text
    assert "seed 9001, PDFS, 3 mm (not_a_knee)" in text
