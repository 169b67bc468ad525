"""Planted cartilage defects and marrow lesions on simulated fat-suppressed images, read by true labels and by the
network's.

    python bench/defects_network.py --knees 20 --seed 779

Every knee is read intact and with a round pit in each plate that has room and a lesion in femur, tibia and patella.
Sizes, depths and the brightness of fluid take turns: the echo time is what makes fluid, on average over people, so many
times as bright as cartilage. Truly intact plates in which a defect is found, and pits that are not, are what counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from kneeline.labels import CARTILAGES
from kneeline.score.cartilage import measure_cartilage
from kneeline.score.frame import canonical
from kneeline.score.marrow import BONES, measure_marrow
from kneeline.segment.predict import segment
from kneeline.simulate.acquire import PROTOCOLS, Acquisition, acquire
from kneeline.simulate.contrast import SEQUENCES, Sequence, tissue_signal
from kneeline.simulate.defects import CartilageDefect, carve_defects
from kneeline.simulate.knee import SimulatedKnee, build_knee, sample_parameters
from kneeline.simulate.marrow import MarrowLesion, add_marrow_lesions
from kneeline.simulate.run import vary_acquisition
from kneeline.simulate.tissues import RELAXATION, Tissue
from kneeline.tables import Row

RADII_MM, DEPTHS, BALLS_MM, RIM_MM = (3.0, 4.0, 5.5), (1.0, 0.65), (5.0, 8.0, 3.5, 10.0), 4.0
FLUID = (1.3, 1.5, 1.7, 2.0, 2.5)
FLUID_ML = (1.5, 25.0)


@dataclass(frozen=True)
class Read:
    """One plate or bone as it was read, and what was planted in it; None: nothing."""

    outlines: str
    fluid: float
    row: Row
    pit: CartilageDefect | None = None
    ball_mm: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=20)
    parser.add_argument("--seed", type=int, default=779)
    parser.add_argument("--contrast", choices=("PDFS", "T2FS"), default="PDFS")
    parser.add_argument("--fluid", type=float, nargs="+", default=FLUID, help="times as bright as cartilage, in turn")
    arguments = parser.parse_args()
    plates: list[Read] = []
    bones: list[Read] = []
    for number in range(arguments.knees):
        rng = np.random.default_rng([arguments.seed, number])
        fluid = arguments.fluid[number % len(arguments.fluid)]
        plan = replace(
            vary_acquisition(PROTOCOLS[arguments.contrast], rng),
            sequence=sequence_of(SEQUENCES[arguments.contrast], fluid),
        )
        fluid_ml = float(np.exp(rng.uniform(*np.log(FLUID_ML))))
        whole = build_knee(sample_parameters(rng, "R"), fluid_ml=fluid_ml, spacing_mm=0.8)
        ball_mm = BALLS_MM[number % len(BALLS_MM)]
        sick, _ = add_marrow_lesions(whole, [MarrowLesion(bone, ball_mm, float(rng.random())) for bone in BONES])
        sick, pits = with_pits(sick, RADII_MM[number % len(RADII_MM)], DEPTHS[number // len(RADII_MM) % 2], rng)
        for knee, planted, ball in ((whole, {}, None), (sick, pits, ball_mm)):
            for outlines, rows, marrow in readings(knee, plan, number, arguments.contrast):
                plates += [Read(outlines, fluid, row, planted.get(row["plate"])) for row in rows]
                bones += [Read(outlines, fluid, row, ball_mm=ball) for row in marrow]
        print(f"{number + 1} of {arguments.knees}: fluid {fluid:g}, pits in {', '.join(pits)}", flush=True)
    show(plates, bones)


def sequence_of(sequence: Sequence, fluid: float) -> Sequence:
    """The sequence with the echo time at which fluid is so many times as bright as cartilage."""
    wet, cartilage = RELAXATION[Tissue.FLUID], RELAXATION[Tissue.CARTILAGE]
    at_once = replace(sequence, echo_time_ms=0.0)
    first = tissue_signal(wet, at_once) / tissue_signal(cartilage, at_once)
    return replace(sequence, echo_time_ms=float(np.log(fluid / first) / (1 / cartilage.t2_ms - 1 / wet.t2_ms)))


def with_pits(
    knee: SimulatedKnee, radius_mm: float, depth: float, rng: np.random.Generator
) -> tuple[SimulatedKnee, dict[str, CartilageDefect]]:
    """The knee with a pit in each plate that has room, and those pits by plate."""
    pits = {}
    for plate in CARTILAGES:
        pit = CartilageDefect(plate, radius_mm, depth, place=float(rng.random()))
        try:
            knee = carve_defects(knee, [pit], RIM_MM)
        except ValueError:
            continue
        pits[plate.label_name] = pit
    return knee, pits


def readings(knee: SimulatedKnee, plan: Acquisition, seed: int, contrast: str) -> Iterable[tuple[str, list, list]]:
    """By true outlines and by the network's: rows of plates and of bones."""
    acquired = acquire(knee, plan, seed)
    for outlines, labels in (("true", acquired.labels), ("network", segment(acquired.image, "R").labels)):
        scored = canonical(acquired.image, labels, "R")
        yield outlines, measure_cartilage(scored, contrast), measure_marrow(scored, contrast)


def show(plates: list[Read], bones: list[Read]) -> None:
    for outlines in ("true", "network"):
        own = [read for read in plates if read.outlines == outlines]
        intact = [read for read in own if read.pit is None and read.row["cartilage_grade"] is not None]
        wrong = [read for read in intact if read.row["cartilage_grade"]]
        print(f"\n{outlines} outlines: {len(wrong)} of {len(intact)} intact plates have a defect")
        for read in wrong:
            print(f"    fluid {read.fluid:g}: {read.row}")
        print(f"    intact, by fluid: {counts(intact, lambda read: f'{read.fluid:g}')}")
        pits = [read for read in own if read.pit]
        print(f"    pits found, by fluid: {counts(pits, lambda read: f'{read.fluid:g}')}")
        print("    radius  area  depth  pits  found  median area  median depth  grades 0, 2, 3, 4, none")
        for radius, depth in sorted({(read.pit.radius_mm, read.pit.depth) for read in pits}):
            rows = [read.row for read in pits if (read.pit.radius_mm, read.pit.depth) == (radius, depth)]
            seen = [row for row in rows if row["cartilage_grade"]]
            area, deep = (
                np.median([row[name] for row in seen]) if seen else np.nan
                for name in ("defect_area_mm2", "defect_depth_pct")
            )
            grades = [sum(row["cartilage_grade"] == grade for row in rows) for grade in (0, 2, 3, 4, None)]
            print(
                f"    {radius:6.1f}  {np.pi * radius**2:4.0f}  {100 * depth:5.0f}  {len(rows):4d}  {len(seen):5d}  "
                f"{area:11.0f}  {deep:12.0f}  {grades}"
            )
        marrow = [read for read in bones if read.outlines == outlines and read.row["marrow_grade"] is not None]
        for ball_mm in sorted({read.ball_mm for read in marrow}, key=lambda mm: mm or 0):
            grades = [read.row["marrow_grade"] for read in marrow if read.ball_mm == ball_mm]
            name = f"a lesion of {ball_mm:g} mm radius" if ball_mm else "no lesion"
            print(f"    marrow, {name}: {sum(grade > 0 for grade in grades)} of {len(grades)} bones have a grade")


def counts(reads: list[Read], key: Callable[[Read], str]) -> str:
    """How many of each kind have a defect."""
    kinds = sorted({key(read) for read in reads})
    of = {kind: [bool(read.row["cartilage_grade"]) for read in reads if key(read) == kind] for kind in kinds}
    return ", ".join(f"{kind}: {sum(found)} of {len(found)}" for kind, found in of.items())


if __name__ == "__main__":
    main()
