"""Fluid of simulated knees from their true labels against what was built into them: recesses, depths, grades.

    python bench/score_fluid.py --knees 12

Twice: on the knee's fine grid, where what is wrong is the division itself, and on 3 mm images (PD-FS protocol, as
planned by hand), where thin films are lost too. The truth is the simulator's own: which recess it filled, and the pouch
measured along the femur's true axes. About 4 CPU s a knee.
"""

from __future__ import annotations

import argparse

import numpy as np

from kneeline import grading
from kneeline.score.effusion import measure_effusion
from kneeline.score.frame import canonical
from kneeline.simulate.acquire import PROTOCOLS, majority_labels
from kneeline.simulate.knee import SimulatedKnee, build_knee, sample_parameters
from kneeline.simulate.run import vary_acquisition
from kneeline.tables import Row
from kneeline.volume import Volume

MEASURES = ("fluid_ml", *(f"{r}_ml" for r in grading.RECESSES), "midline_depth_mm", "lateral_depth_mm")
GRADES = ("effusion_grade", "effusion_grade_volume")
FLUID_ML = (1.0, 60.0)


def measure(seed: int) -> tuple[Row, Row, Row]:
    """Truth, row on the fine grid and row on thick images of one knee."""
    rng = np.random.default_rng(seed)
    fluid_ml = float(np.exp(rng.uniform(*np.log(FLUID_ML))))
    knee = build_knee(sample_parameters(rng, "LR"[seed % 2]), (), fluid_ml, spacing_mm=0.8)
    stack = vary_acquisition(PROTOCOLS["PDFS"], rng)
    thick = Volume(majority_labels(knee.labels, stack), stack.geometry().affine)
    side = knee.parameters.laterality
    return true_row(knee), *(measure_effusion(canonical(v, v, side)) for v in (knee.labels, thick))


def true_row(knee: SimulatedKnee) -> Row:
    row = knee.truth.effusion()
    return row | {
        "effusion_grade": grading.grade_effusion_depth(row["midline_depth_mm"], row["lateral_depth_mm"]),
        "effusion_grade_volume": grading.grade_effusion_volume(row["fluid_ml"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=12)
    parser.add_argument("--seed", type=int, default=50010)
    arguments = parser.parse_args()
    true, *found = zip(*(measure(arguments.seed + k) for k in range(arguments.knees)), strict=True)
    for name, rows in zip(("fine grid", "3 mm images"), found, strict=True):
        print(f"\n{name}, {arguments.knees} knees")
        for measure_name in MEASURES:
            pairs = [(t[measure_name], r[measure_name]) for t, r in zip(true, rows, strict=True)]
            known = np.array([p for p in pairs if p[1] is not None])
            error = known[:, 1] - known[:, 0]
            print(
                f"{measure_name:18s} mean {known[:, 0].mean():6.2f}  bias {error.mean():+.2f}  "
                f"SD {error.std(ddof=1):.2f}  largest {np.abs(error).max():.2f}  missing {len(pairs) - len(known)}"
            )
        for grade in GRADES:
            same = sum(t[grade] == r[grade] for t, r in zip(true, rows, strict=True))
            print(f"{grade}: {same} of {arguments.knees} as true")


if __name__ == "__main__":
    main()
