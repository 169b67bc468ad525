"""Which knee a number stands for: its anatomy, lesions, fluid, side, contrast and slices.

Training uses the parametric knees of seeds below `FIRST_SEED`; the knees here are of seeds from it on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline import grading
from kneeline.simulate.contrast import SEQUENCES
from kneeline.simulate.knee import Lesion
from kneeline.simulate.run import SimulatedScan, simulate_knee
from kneeline.volume import Laterality

FIRST_SEED = 9000
CONTRASTS = ("PDFS", "PD", "T2FS", "T2", "T1", "DESS")
USUAL_MM = 3.0  # slice thickness at which all contrasts are compared
MAIN = "PDFS"  # contrast in which scores are held to their targets
MAIN_NAME = f"{MAIN}, {USUAL_MM:g} mm"
ROUND = 15  # knees: each contrast and slice thickness once, and between them the main one
# A 3-D sequence's contrast in 2-D slices: coil and noise of another protocol, other weighting.
_BORROWED = {"DESS": ("PDFS", SEQUENCES["DESS"])}
# Slices and gaps (mm) of stacks that cover the knee as the usual one does.
_STACKS = {2.0: (46, 0.2), 4.0: (24, 0.4)}
_FLUID_ML = (1.0, 40.0)
_GRADE_SHARES = (0.55, 0.15, 0.15, 0.15)


@dataclass(frozen=True)
class Plan:
    """One knee to be simulated; the same number gives the same plan."""

    seed: int
    contrast: str
    slice_thickness_mm: float
    laterality: Laterality
    lesions: tuple[Lesion, ...]
    fluid_ml: float

    @property
    def main(self) -> bool:
        """Whether it is imaged as the targets of the scores ask: fat-suppressed PD in slices of 3 mm."""
        return (self.contrast, self.slice_thickness_mm) == (MAIN, USUAL_MM)

    @property
    def name(self) -> str:
        return f"seed {self.seed}, {self.contrast}, {self.slice_thickness_mm:g} mm"


def plan(number: int) -> Plan:
    """Knee `number`, 0 and up. Fifteen make a round: every second knee is a main one (PDFS, 3 mm; seven of fifteen, so
    that an interval of its figures says something); between them come the other contrasts at 3 mm, one knee of 2 mm and
    one of 4 mm, whose contrasts take turns from round to round, and last a 3-D scan of 0.7 mm.

    >>> [(p.contrast, p.slice_thickness_mm) for p in map(plan, range(10, 15))]
    [('PDFS', 3.0), ('PDFS', 2.0), ('PDFS', 3.0), ('T2FS', 4.0), ('DESS', 0.7)]
    """
    turn, place = divmod(number, ROUND)
    flat = CONTRASTS[:-1]  # DESS is a 3-D sequence
    between = [
        *((contrast, USUAL_MM) for contrast in CONTRASTS if contrast != MAIN),
        (flat[turn % len(flat)], 2.0),
        (flat[(turn + 2) % len(flat)], 4.0),
    ]
    if place == ROUND - 1:
        contrast, thickness = "DESS", 0.7
    else:
        contrast, thickness = between[place // 2] if place % 2 else (MAIN, USUAL_MM)
    seed = FIRST_SEED + number
    rng = np.random.default_rng((seed, 1))
    lesions = tuple(
        Lesion(meniscus, region, int(grade))
        for meniscus in grading.MENISCI
        for region in grading.REGIONS
        if (grade := rng.choice(4, p=_GRADE_SHARES))
    )
    fluid_ml = float(np.exp(rng.uniform(*np.log(_FLUID_ML))))
    return Plan(seed, contrast, thickness, "LR"[number // 2 % 2], lesions, fluid_ml)


def twice(knees: int, count: int) -> frozenset[int]:
    """Numbers of the knees that are imaged a second time: the first `count` main ones of `knees`."""
    return frozenset([number for number in range(knees) if plan(number).main][:count])


def simulate(knee: Plan) -> SimulatedScan:
    """Build and image a planned knee."""
    protocol, acquisition = _acquisition(knee.contrast, knee.slice_thickness_mm)
    return simulate_knee(
        knee.seed,
        protocol,
        laterality=knee.laterality,
        lesions=knee.lesions,
        fluid_ml=knee.fluid_ml,
        **acquisition,
    )


def _acquisition(contrast: str, thickness_mm: float) -> tuple[str, dict]:
    """Name of the protocol, and what differs from it."""
    if thickness_mm < 1:
        return contrast, {}
    protocol, sequence = _BORROWED.get(contrast, (contrast, SEQUENCES.get(contrast)))
    differs = {"sequence": sequence, "slice_thickness_mm": thickness_mm}
    if thickness_mm in _STACKS:
        n_slices, gap = _STACKS[thickness_mm]
        differs |= {"n_slices": n_slices, "slice_gap_mm": gap}
    return protocol, differs
