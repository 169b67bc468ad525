"""Painted marrow lesions against what is found on simulated images, and what is found where none was painted.

    python bench/marrow_truth.py --knees 6

Labels are true. Every knee is imaged intact, then with one lesion in femur, tibia and patella, of a radius that changes
from knee to knee.
"""

from __future__ import annotations

import argparse

import numpy as np

from kneeline.labels import Label
from kneeline.score.frame import canonical
from kneeline.score.marrow import BONES, measure_marrow
from kneeline.simulate.acquire import PROTOCOLS, acquire
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.simulate.marrow import MarrowLesion, add_marrow_lesions

RADII_MM = (3.5, 5.0, 7.0, 10.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=4)
    parser.add_argument("--contrasts", nargs="+", default=["PDFS", "T2FS"], choices=list(PROTOCOLS))
    parser.add_argument("--seed", type=int, default=500)
    arguments = parser.parse_args()
    print("contrast  bone     radius  true mm3  found mm3  extent mm  grade  flags")
    for number in range(arguments.knees):
        rng = np.random.default_rng([arguments.seed, number])
        whole = build_knee(sample_parameters(rng, "R"), fluid_ml=5.0, spacing_mm=0.7)
        radius = RADII_MM[number % len(RADII_MM)]
        sick, volumes = add_marrow_lesions(whole, [MarrowLesion(bone, radius, float(rng.random())) for bone in BONES])
        for contrast in arguments.contrasts:
            for knee, truth, size in ((whole, dict.fromkeys(BONES, 0.0), 0.0), (sick, volumes, radius)):
                acquired = acquire(knee, PROTOCOLS[contrast], seed=number)
                for row in measure_marrow(canonical(acquired.image, acquired.labels, "R"), contrast):
                    true = truth[Label[row["bone"].upper()]]
                    found, extent = (row[f"hyperintense_{name}"] for name in ("mm3", "extent_mm"))
                    print(
                        f"{contrast:8s}  {row['bone']:8s} {size:5.1f} {true:9.0f}  {_shown(found):>9s}  "
                        f"{_shown(extent):>9s}  {row['marrow_grade']!s:>5s}  {row['flags']}",
                        flush=True,
                    )


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    main()
