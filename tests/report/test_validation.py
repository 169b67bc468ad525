"""Agreement figures against hand-worked values and scikit-like definitions written out slowly."""

import numpy as np
import pytest

from kneeline import tables
from kneeline.report import validation
from kneeline.report.gather import gather
from kneeline.statistics.agreement import agree_on_grades, agree_on_values


def slow_kappa(pairs, levels=4):
    """Cohen 1968, pair by pair: 1 - observed / expected squared disagreement."""
    observed = np.mean([(a - b) ** 2 for a, b in pairs])
    expected = np.mean([(a - b) ** 2 for a, _ in pairs for _, b in pairs])
    return 1 - observed / expected


def test_weighted_kappa_is_the_pairwise_definition():
    rng = np.random.default_rng(3)
    pairs = [(int(a), int(min(3, max(0, a + d)))) for a, d in zip(rng.integers(0, 4, 80), rng.integers(-1, 2, 80), strict=True)]  # fmt: skip  # noqa: E501
    found = agree_on_grades("x", [pairs[i : i + 4] for i in range(0, 80, 4)])
    assert found.kappa == pytest.approx(slow_kappa(pairs), abs=1e-12)
    assert found.ci_low < found.kappa < found.ci_high
    assert found.exact == pytest.approx(np.mean([a == b for a, b in pairs]))
    assert found.within_one == 1.0


def test_missing_predictions_are_counted_and_not_graded():
    found = agree_on_grades("x", [[(2, None), (None, 1), (1, 1)]])
    assert (found.n, found.n_missing) == (1, 2)
    assert found.kappa is None  # one grade only: chance agreement is complete
    assert agree_on_grades("x", []).exact is None


def test_limits_of_agreement_by_hand():
    """Differences 1, 3, 5: mean 3, SD 2; t(0.975, 2) = 4.3027."""
    found = agree_on_values("x", "mL", [(0.0, 1.0), (1.0, 4.0), (2.0, 7.0), (3.0, None)])
    assert found.bias == pytest.approx(3)
    assert (found.limit_low, found.limit_high) == pytest.approx((3 - 3.92, 3 + 3.92))
    assert (found.bias_low, found.bias_high) == pytest.approx(
        (3 - 4.30265 * 2 / 3**0.5, 3 + 4.30265 * 2 / 3**0.5), abs=1e-4
    )
    assert (found.n, found.n_missing) == (3, 1)
    assert agree_on_values("x", "mL", []).bias is None


def test_truth_is_joined_by_scan_and_those_set_aside_are_told(tmp_path, made):
    truth = made.results(tmp_path, draw=0)
    checked = validation.validate(gather(tmp_path, tmp_path / "report", truth))
    assert (checked.n_true, checked.n_compared, checked.n_side_right) == (26, 23, 23)
    by_scan = {k["scan_id"]: k for k in checked.knees}
    assert by_scan["sub-019_ses-01_knee-R"]["why_not"].startswith("no femur")
    assert by_scan["sub-008_ses-01_knee-L"]["found_knee"] is None  # a region is ungraded and none is grade 3
    region = checked.grades[0]
    assert region.n == 23 * 6 - 1
    assert region.n_missing == 1
    assert np.tril(region.confusion, -1).sum() == 0  # the fixture only ever raises a grade
    meniscus = checked.volumes[1]
    assert meniscus.bias == pytest.approx(3 * 760 - 2300)


def test_without_truth_there_is_nothing_to_validate(tmp_path, made):
    made.results(tmp_path, n=2, set_aside={}, draw=0)
    assert validation.validate(gather(tmp_path, tmp_path / "report")) is None


def test_a_wrong_side_is_counted(tmp_path, made):
    truth = made.results(tmp_path, draw=0)
    rows = tables.read_table(truth, tables.TRUTH)
    rows[0]["laterality"] = "L"
    tables.write_table(truth, rows, tables.TRUTH)
    assert validation.validate(gather(tmp_path, tmp_path / "report", truth)).n_side_right == 22


def test_outlines_that_a_person_corrected_do_not_validate_the_machine(tmp_path, made):
    truth = made.results(tmp_path, draw=0)
    sheet = tmp_path / "ingest/scans.tsv"
    rows = tables.read_table(sheet, tables.INGEST_SCANS)
    edited = next(row for row in rows if row["status"] == "ok")
    edited["outlined_by"] = "edited by anna"
    tables.write_table(sheet, rows, tables.INGEST_SCANS)
    checked = validation.validate(gather(tmp_path, tmp_path / "report", truth))
    assert (checked.n_true, checked.n_compared) == (26, 22)
    (knee,) = [k for k in checked.knees if k["scan_id"] == edited["scan_id"]]
    assert knee["why_not"] == "its outlines were corrected by hand"
