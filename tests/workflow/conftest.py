"""Small scans for runs of the whole chain, taken through it once for all tests of this folder."""

import pytest

from kneeline import chain, collect, labels, progress, tables
from kneeline.simulate.dicom import write_series
from kneeline.simulate.run import simulate_knee


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    """Two coarse knees of one anatomy; one with a slice gone, one named with the other side, one that is absent."""
    root = tmp_path_factory.mktemp("inputs")
    knee = simulate_knee(
        9001, "PDFS", laterality="R", fluid_ml=8.0, spacing_mm=1.5, matrix=144, pixel_mm=1.05, n_slices=20
    )
    for name in ("whole", "gap"):
        write_series(root / name, knee.image, uid_seed=name, laterality="R")
    sorted((root / "gap").iterdir())[9].unlink()
    rows = (
        ("sub-1", "R", "whole"), ("sub-2", "R", "whole"),
        ("sub-3", "R", "gap"), ("sub-4", "L", "whole"), ("sub-5", "R", "absent"),
    )  # fmt: skip
    return [
        tables.Scan(tables.scan_id(who, "ses-01", side), who, "ses-01", side, (str(root / path),))
        for who, side, path in rows
    ]


@pytest.fixture(scope="session")
def by_scan(scans, tmp_path_factory):
    results = tmp_path_factory.mktemp("scan")
    for scan in scans:
        chain.process(scan, results)
    return results


def all_files(results, scans):
    """Every file of every stage, tables collected, except the records, which hold times."""
    collect.collect(scans, results)
    labels.write_dseg_tsv(results / "segment" / "dseg.tsv")
    files = [path for path in sorted(results.rglob("*")) if path.is_file() and path.parent.name != progress.FOLDER]
    return {str(path.relative_to(results)): path.read_bytes() for path in files}
