"""What segmentation and scores are asked to reach, and whether they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kneeline.labels import Label
from kneeline.statistics.agreement import GradeAgreement
from kneeline.statistics.icc import Icc
from kneeline.statistics.intervals import Interval, clopper_pearson
from kneeline.validate.compare import (
    EFFUSION_RULES,
    SOURCES,
    by_network,
    effusion_agreement,
    quantity,
    signal_agreement,
    value_agreement,
)
from kneeline.validate.groups import (
    EFFUSIONS_ML,
    by_contrast,
    effusions,
    fluid_pairs,
    main,
    mean,
    structures,
    volume_icc,
)
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
# Scores of main knees (PDFS, 3 mm). Project decision; readers agree on menisci with a kappa of 0.49 to 0.88.
LEAST_SIGNAL_KAPPA = 0.80
LEAST_EFFUSION_KAPPA = 0.85
LEAST_KAPPA_ON_TRUE_LABELS = 0.95
LEAST_MAIN_FLUID_ICC = 0.95
MOST_DEPTH_ERROR_MM = 1.0


@dataclass(frozen=True)
class Target:
    """Measured is None when no knee could be measured: a target that was not tried is not met."""

    name: str
    bound: float
    measured: float | None
    detail: str  # the weakest contrast, or the interval
    n_knees: int
    at_most: bool = False  # else at least

    @property
    def met(self) -> bool:
        if self.measured is None:
            return False
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


def targets(cases: Iterable[Case]) -> list[Target]:
    """Every target, in the order of the page. A refused knee has no Dice; it counts as one in which all was lost."""
    cases = list(cases)
    return [
        *(_dice_target(cases, label, least) for label, least in LEAST_DICE.items()),
        _fluid_icc_target(cases),
        _nothing_lost_target(cases),
        *_score_targets(main(cases)),
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
        _ends(icc),
        len(pairs),
    )


def _nothing_lost_target(cases: list[Case]) -> Target:
    whole = sum(map(nothing_lost, cases))
    interval = clopper_pearson(whole, len(cases)) if cases else None
    return Target(
        "no structure lost, share of knees",
        LEAST_NOTHING_LOST,
        whole / len(cases) if cases else None,
        _ends(interval),
        len(cases),
    )


def _score_targets(cases: list[Case]) -> Iterator[Target]:
    """Of knees in the main contrast and thickness: as the machine scores them, and as it scores true labels."""
    for source, (signal, effusion) in (
        ("network", (LEAST_SIGNAL_KAPPA, LEAST_EFFUSION_KAPPA)),
        ("true labels", (LEAST_KAPPA_ON_TRUE_LABELS,) * 2),
    ):
        read = SOURCES[source]
        yield _kappa_target(f"signal grade, kappa, {source}", signal, signal_agreement(cases, read), len(cases))
        for column, rule in EFFUSION_RULES.items():
            agreement = effusion_agreement(cases, read, column)
            yield _kappa_target(f"effusion grade, {rule}, kappa, {source}", effusion, agreement, len(cases))
    pairs = fluid_pairs(cases)
    icc = volume_icc(pairs)
    yield Target("joint fluid, volume ICC, network", LEAST_MAIN_FLUID_ICC, icc and icc.estimate, _ends(icc), len(pairs))
    for name in ("midline depth", "lateral depth"):
        found = value_agreement(cases, by_network, quantity(name))
        detail = "n/a" if found.limit_low is None else f"limits {found.limit_low:+.1f} to {found.limit_high:+.1f} mm"
        error = found.mean_absolute_error
        yield Target(f"{name}, mean absolute error (mm), network", MOST_DEPTH_ERROR_MM, error, detail, found.n, True)


def _kappa_target(name: str, least: float, agreement: GradeAgreement, n_knees: int) -> Target:
    interval = None if agreement.ci_low is None else Interval(agreement.ci_low, agreement.ci_high)
    detail = _ends(interval) + (f"; {agreement.n_missing} not graded" if agreement.n_missing else "")
    return Target(name, least, agreement.kappa, detail, n_knees)


def _ends(interval: Icc | Interval | None) -> str:
    return f"95 % interval {interval.low:.3f} to {interval.high:.3f}" if interval else "n/a"
