"""Simulated scans: one of a cohort as DICOM with its truth, or any knee in memory."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kneeline import grading, tables
from kneeline.errors import UsageError
from kneeline.simulate.acquire import PROTOCOLS, Acquisition, acquire
from kneeline.simulate.cohort import draw_cohort
from kneeline.simulate.dicom import Protocol, write_series
from kneeline.simulate.knee import Lesion, SimulatedKnee, build_knee, sample_parameters
from kneeline.tables import Row
from kneeline.volume import Laterality, Volume, write_volume

# Fine grid of the demo: half as fine again costs three times as much and no 3 mm slice shows it.
DEMO_SPACING_MM = 0.8
_ATTEMPTS = 6


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """A knee, its images and the true labels on the images' grid."""

    knee: SimulatedKnee
    image: Volume
    labels: Volume
    acquisition: Acquisition


def simulate_knee(
    seed: int | Iterable[int],
    protocol: str = "PDFS",
    *,
    laterality: Laterality | None = None,
    sex: str | None = None,
    lesions: Iterable[Lesion] = (),
    fluid_ml: float = 3.0,
    spacing_mm: float = DEMO_SPACING_MM,
    parameters: dict | None = None,
    **acquisition,
) -> SimulatedScan:
    """Build and image a knee; the same arguments give the same bytes.

    `parameters` fixes parameters of the knee, `acquisition` fields of the protocol's Acquisition (else they vary a
    little, as stacks are planned by hand).

    >>> scan = simulate_knee(1, "PDFS", laterality="R", fluid_ml=10, spacing_mm=2.0, n_slices=24, matrix=96,
    ...                      pixel_mm=1.5)
    >>> scan.image.shape, scan.image.orientation, round(scan.knee.truth.fluid_ml, 1)
    ((24, 96, 96), 'RIP', 10.0)
    """
    rng = np.random.default_rng(seed)
    knee = _knee_that_holds(rng, list(lesions), fluid_ml, spacing_mm, laterality, sex, parameters or {})
    planned = vary_acquisition(PROTOCOLS[protocol], rng)
    planned = replace(planned, **acquisition)
    acquired = acquire(knee, planned, int(rng.integers(2**31)))
    return SimulatedScan(knee, acquired.image, acquired.labels, planned)


def _knee_that_holds(rng, lesions, fluid_ml, spacing_mm, laterality, sex, fixed) -> SimulatedKnee:
    """A sampled knee whose menisci are thick enough for the lesions; about one in a hundred is drawn again."""
    for attempt in range(_ATTEMPTS):
        try:
            return build_knee(sample_parameters(rng, laterality, sex, **fixed), lesions, fluid_ml, spacing_mm)
        except ValueError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def vary_acquisition(base: Acquisition, rng: np.random.Generator) -> Acquisition:
    """The protocol as one technologist planned it: slight obliquity, place, number of slices, noise."""
    more = int(rng.integers(-1, 3)) if base.slice_thickness_mm > 1.5 else 0
    centre = np.array(base.centre_mm) + rng.normal(0, (1.5, 2.0, 2.5))
    return replace(
        base,
        n_slices=base.n_slices + more,
        slice_gap_mm=round(base.slice_gap_mm + float(rng.uniform(-0.1, 0.1)), 2) if base.slice_gap_mm else 0.0,
        pixel_mm=round(base.pixel_mm * float(rng.uniform(0.98, 1.03)), 4),
        angles_deg=tuple(round(float(a), 2) for a in rng.normal(0, (1.2, 1.5, 3.5))),
        centre_mm=tuple(round(float(c), 2) for c in centre),
        snr=base.snr * float(rng.uniform(0.8, 1.25)),
        bias=base.bias * float(rng.uniform(0.5, 1.4)),
        blur_px=base.blur_px * float(rng.uniform(0.8, 1.4)),
    )


def simulate_scan(scan_id: str, runners: int, seed: int, out: Path) -> None:
    """Write one scan of a simulated cohort: the DICOM folder `out/{scan_id}/`, the true labels on the images' grid
    `{scan_id}_truth_dseg.nii.gz` and, last, the truth's row `{scan_id}_truth.tsv`.

    Raises
    ------
    UsageError
        If the cohort of this size and seed has no such scan.
    """
    cohort = draw_cohort(runners, seed)
    try:
        plan = cohort.plan(scan_id)
    except KeyError:
        raise UsageError(
            f"the simulated cohort of {runners} runners and seed {seed} has no scan {scan_id!r}; "
            "`kneeline simulate cohort` writes the scans table that fits"
        ) from None
    runner = next(r for r in cohort.participants if r["participant_id"] == plan["participant_id"])
    scan = simulate_knee(
        seed_of(scan_id, seed),
        "PDFS",
        laterality=plan["laterality"],
        sex=runner["sex"],
        lesions=planned_lesions(plan),
        fluid_ml=plan["fluid_ml"],
    )
    folder = Path(out) / scan_id
    shutil.rmtree(folder, ignore_errors=True)
    sequence = scan.acquisition.sequence
    write_series(
        folder,
        scan.image,
        uid_seed=f"{seed}/{scan_id}",
        laterality=plan["laterality"],
        protocol=Protocol(
            repetition_time_ms=sequence.repetition_time_ms,
            echo_times_ms=(sequence.echo_time_ms,),
            slice_thickness_mm=scan.acquisition.slice_thickness_mm,
        ),
    )
    write_volume(Path(out) / f"{scan_id}_truth_dseg.nii.gz", scan.labels)
    tables.write_table(Path(out) / f"{scan_id}_truth.tsv", [truth_row(scan, plan)], tables.TRUTH)


def truth_row(scan: SimulatedScan, keys: Row) -> Row:
    """The row of tables.TRUTH of a scan."""
    truth = scan.knee.truth
    return {
        **{name: keys[name] for name in ("scan_id", "participant_id", "session_id", "laterality")},
        **truth.grades(),
        "signal_grade": truth.signal_grade,
        **truth.effusion(),
        "medial_meniscus_mm3": truth.medial_meniscus_mm3,
        "lateral_meniscus_mm3": truth.lateral_meniscus_mm3,
        "contrast": scan.acquisition.sequence.name,
        "slice_thickness_mm": scan.acquisition.slice_thickness_mm,
    }


def planned_lesions(plan: Row) -> list[Lesion]:
    return [
        Lesion(m, r, plan[f"{m}_{r}_signal_grade"])
        for m in grading.MENISCI
        for r in grading.REGIONS
        if plan[f"{m}_{r}_signal_grade"]
    ]


def seed_of(scan_id: str, seed: int) -> list[int]:
    """Seeds of a scan's random numbers: the same on every machine, different for every scan."""
    digest = hashlib.sha256(f"{seed}/{scan_id}".encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4)]
