"""A scan of the demo cohort on disk: DICOM, truth, and the two agree."""

import numpy as np
import pytest

from kneeline import tables
from kneeline.errors import UsageError
from kneeline.simulate import run
from kneeline.simulate.cohort import draw_cohort
from kneeline.volume import read_volume


@pytest.fixture(scope="module")
def scan_id():
    return draw_cohort(3, seed=1).truth[1]["scan_id"]


def test_a_scan_is_written_with_its_truth_and_twice_the_same(tmp_path, scan_id):
    import pydicom

    for name in ("a", "b"):
        run.simulate_scan(scan_id, 3, 1, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file

    (row,) = tables.read_table(tmp_path / "a" / f"{scan_id}_truth.tsv", tables.TRUTH)
    plan = draw_cohort(3, seed=1).plan(scan_id)
    assert {k: row[k] for k in plan if k != "fluid_ml"} == {k: v for k, v in plan.items() if k != "fluid_ml"}
    assert row["fluid_ml"] == pytest.approx(plan["fluid_ml"], abs=0.8**3 / 1000)

    slices = sorted((tmp_path / "a" / scan_id).glob("*.dcm"))
    labels = read_volume(tmp_path / "a" / f"{scan_id}_truth_dseg.nii.gz")
    first = pydicom.dcmread(slices[0])
    assert len(slices) == labels.shape[0] >= 28
    assert first.Laterality == plan["laterality"]
    assert float(first.SliceThickness) == row["slice_thickness_mm"]
    # World position of the first voxel: DICOM is LPS, the labels are RAS.
    np.testing.assert_allclose(
        np.array(first.ImagePositionPatient, float) * [-1, -1, 1], labels.geometry.origin_mm, atol=1e-3
    )


def test_an_unknown_scan_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="has no scan 'sub-099_ses-01_knee-L'"):
        run.simulate_scan("sub-099_ses-01_knee-L", 3, 1, tmp_path)


def test_seeds_differ_between_scans_and_seeds():
    seeds = {tuple(run.seed_of(s, n)) for s in ("sub-001_ses-01_knee-L", "sub-002_ses-01_knee-L") for n in (1, 2)}
    assert len(seeds) == 4


def test_simulate_knee_takes_protocol_side_and_acquisition():
    scan = run.simulate_knee(
        3, "DESS", laterality="L", fluid_ml=5, spacing_mm=2.0, n_slices=40, matrix=64, pixel_mm=2.0
    )
    assert scan.image.shape == scan.labels.shape == (40, 64, 64)
    assert scan.knee.parameters.laterality == "L"
    assert scan.acquisition.sequence.name == "DESS"
