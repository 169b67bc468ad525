"""What the segmentation is asked to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kneeline.cohort.intervals import clopper_pearson
from kneeline.labels import Label
from kneeline.validate.groups import EFFUSIONS_ML, by_contrast, effusions, fluid_pairs, mean, structures, volume_icc
from kneeline.validate.measure import Case
from kneeline.validate.plan import USUAL_MM

# Mean over contrasts of each contrast's mean Dice, at slices of the usual thickness. Project decision; readers agree
# with one another on menisci with 0.79 to 0.82.
LEAST_DICE = {
    Label.FEMUR: 0.97,
    Label.TIBIA: 0.97,
    Label.PATELLA: 0.95,
    Label.FEMORAL_CARTILAGE: 0.87,
    Label.MEDIAL_TIBIAL_CARTILAGE: 0.83,
    Label.LATERAL_TIBIAL_CARTILAGE: 0.83,
    Label.PATELLAR_CARTILAGE: 0.83,
    Label.MEDIAL_MENISCUS: 0.87,
    Label.LATERAL_MENISCUS: 0.87,
    Label.JOINT_FLUID: 0.85,  # effusions above 5 mL
}
LEAST_FLUID_ICC = 0.95
LEAST_NOTHING_LOST = 0.99


@dataclass(frozen=True)
class Target:
    """Measured is None when no knee could be measured: a target that was not tried is not met."""

    name: str
    least: float
    measured: float | None
    detail: str  # the weakest contrast, or the interval
    n_knees: int

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured >= self.least


def targets(cases: Iterable[Case]) -> list[Target]:
    """Every target, in the order of the page. A refused knee has no Dice; it counts as one in which all was lost."""
    cases = list(cases)
    return [
        *(_dice_target(cases, label, least) for label, least in LEAST_DICE.items()),
        _fluid_icc_target(cases),
        _nothing_lost_target(cases),
    ]


def nothing_lost(case: Case) -> bool:
    """Whether every structure that the truth has was found at least in part."""
    return case.found is not None and not case.found.lost


def _dice_target(cases: list[Case], label: Label, least: float) -> Target:
    name = f"{label.label_name.replace('_', ' ')}, Dice"
    if label is Label.JOINT_FLUID:
        cases = effusions(cases)
        name = f"{name}, effusions above {EFFUSIONS_ML[0]:g} mL"
    values = {contrast: [s.dice for s in structures(members, label)] for contrast, members in by_contrast(cases)}
    means = {contrast: mean(dices) for contrast, dices in values.items() if dices}
    if not means:
        return Target(name, least, None, "n/a", 0)
    lowest = min(means, key=means.get)
    return Target(name, least, mean(means.values()), f"{lowest} {means[lowest]:.3f}", sum(map(len, values.values())))


def _fluid_icc_target(cases: list[Case]) -> Target:
    pairs = fluid_pairs(case for case in effusions(cases) if case.plan.slice_thickness_mm == USUAL_MM)
    icc = volume_icc(pairs)
    return Target(
        f"joint fluid, volume ICC, effusions above {EFFUSIONS_ML[0]:g} mL",
        LEAST_FLUID_ICC,
        icc and icc.estimate,
        f"95 % interval {icc.low:.3f} to {icc.high:.3f}" if icc else "n/a",
        len(pairs),
    )


def _nothing_lost_target(cases: list[Case]) -> Target:
    whole = sum(map(nothing_lost, cases))
    interval = clopper_pearson(whole, len(cases)) if cases else None
    return Target(
        "no structure lost, share of knees",
        LEAST_NOTHING_LOST,
        whole / len(cases) if cases else None,
        f"95 % interval {interval.low:.3f} to {interval.high:.3f}" if interval else "n/a",
        len(cases),
    )
