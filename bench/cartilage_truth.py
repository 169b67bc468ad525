"""Planted cartilage defects against what is found, and what is found where nothing was planted; labels are true.

    python bench/cartilage_truth.py --knees 3

Every knee is read intact, then with one round pit in each of its four plates, for each radius and depth. Once on its
own 0.7 mm grid, once on 3 mm images every 3.4 mm.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from kneeline.labels import CARTILAGES
from kneeline.score.cartilage import measure_cartilage
from kneeline.score.frame import canonical
from kneeline.simulate.acquire import PROTOCOLS, majority_labels
from kneeline.simulate.defects import CartilageDefect, carve_defects
from kneeline.simulate.knee import SimulatedKnee, build_knee, sample_parameters
from kneeline.volume import Volume

RADII_MM, DEPTHS = (2.5, 4.0, 5.5), (0.45, 0.65, 1.0)
RIM_MM = 4.0


def grids(knee: SimulatedKnee) -> Iterator[tuple[str, Volume]]:
    """Labels on the knee's own grid and on thick images."""
    yield "0.7 mm", knee.labels
    thick = PROTOCOLS["PDFS"]
    yield "3.4 mm", Volume(majority_labels(knee.labels, thick), thick.geometry().affine)


def planted(knee: SimulatedKnee, radius_mm: float, depth: float, rng: np.random.Generator):
    """The knee with a pit in every plate that has room, and those pits."""
    defects = []
    for plate in CARTILAGES:
        defect = CartilageDefect(plate, radius_mm, depth, place=float(rng.random()))
        try:
            knee = carve_defects(knee, [defect], RIM_MM)
            defects.append(defect)
        except ValueError:
            continue
    return knee, defects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=3)
    parser.add_argument("--intact", type=int, default=0, help="more knees, read without defects only")
    parser.add_argument("--seed", type=int, default=300)
    arguments = parser.parse_args()
    intact: dict[str, list] = {}
    found: dict[tuple, list] = {}
    for number in range(arguments.knees + arguments.intact):
        rng = np.random.default_rng([arguments.seed, number])
        whole = build_knee(sample_parameters(rng, "R"), fluid_ml=5.0, spacing_mm=0.7)
        for grid, labels in grids(whole):
            intact.setdefault(grid, []).extend(measure_cartilage(canonical(labels, labels, "R")))
        if number >= arguments.knees:
            continue
        for radius in RADII_MM:
            for depth in DEPTHS:
                knee, defects = planted(whole, radius, depth, rng)
                for grid, labels in grids(knee):
                    rows = {row["plate"]: row for row in measure_cartilage(canonical(labels, labels, "R"))}
                    found.setdefault((grid, radius, depth), []).extend(rows[d.plate.label_name] for d in defects)
    for grid, rows in intact.items():
        graded = [row for row in rows if row["cartilage_grade"] is not None]
        wrong = [row for row in graded if row["cartilage_grade"]]
        judged = np.mean([row["defect_judged_pct"] for row in graded])
        print(f"intact, {grid}: {len(wrong)} of {len(graded)} plates with a defect; {judged:.0f} % of a plate judged")
        for row in wrong:
            print("   ", row)
    print("\ngrid    radius  area  depth  plates  found  area found  depth found  grades")
    for (grid, radius, depth), rows in found.items():
        seen = [row for row in rows if row["cartilage_grade"]]
        area = np.median([row["defect_area_mm2"] for row in seen]) if seen else np.nan
        deep = np.median([row["defect_depth_pct"] for row in seen]) if seen else np.nan
        grades = [sum(row["cartilage_grade"] == grade for row in rows) for grade in (0, 2, 3, 4)]
        print(
            f"{grid}  {radius:5.1f}  {np.pi * radius**2:5.0f}  {100 * depth:4.0f}  {len(rows):6d}  {len(seen):5d}  "
            f"{area:9.0f}  {deep:10.0f}   {grades}"
        )


if __name__ == "__main__":
    main()
