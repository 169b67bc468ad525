"""Sorting cases: by contrast, slice thickness, effusion size and meniscal lesion; and means over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from kneeline.labels import Label
from kneeline.statistics.icc import Icc, icc_agreement
from kneeline.validate.measure import Case, Structure
from kneeline.validate.plan import CONTRASTS, USUAL_MM

Group = tuple[str, list[Case]]
# Effusions by the volume that was built in (mL).
EFFUSIONS_ML = (5.0, 15.0)
LESIONS = ("no signal", "grade 1 or 2", "grade 3")


def by_contrast(cases: Iterable[Case]) -> list[Group]:
    """Knees in slices of the usual thickness; contrasts without a knee are left out."""
    usual = [case for case in cases if case.plan.slice_thickness_mm == USUAL_MM]
    return _sorted(usual, CONTRASTS, lambda case: case.plan.contrast)


def by_thickness(cases: Iterable[Case]) -> list[Group]:
    cases = list(cases)
    thicknesses = sorted({case.plan.slice_thickness_mm for case in cases})
    return _sorted(cases, [f"{t:g} mm" for t in thicknesses], lambda case: f"{case.plan.slice_thickness_mm:g} mm")


def main(cases: Iterable[Case]) -> list[Case]:
    """Knees imaged as the targets of the scores ask."""
    return [case for case in cases if case.plan.main]


def by_effusion(cases: Iterable[Case]) -> list[Group]:
    """Up to 5 mL is small: normal knees hold as much."""
    low, high = EFFUSIONS_ML
    names = (f"up to {low:g} mL", f"{low:g} to {high:g} mL", f"above {high:g} mL")
    return _sorted(cases, names, lambda case: names[(case.truth.fluid_ml > low) + (case.truth.fluid_ml > high)])


def by_lesion(cases: Iterable[Case], meniscus: Label) -> list[Group]:
    """By the highest signal grade of one meniscus."""
    return _sorted(cases, LESIONS, lambda case: LESIONS[(0, 1, 1, 2)[case.truth.lesion[meniscus]]])


def _sorted(cases: Iterable[Case], names: Iterable[str], name: Callable[[Case], str]) -> list[Group]:
    groups: dict[str, list[Case]] = {key: [] for key in names}
    for case in cases:
        groups[name(case)].append(case)
    return [(key, members) for key, members in groups.items() if members]


def structures(cases: Iterable[Case], label: Label) -> list[Structure]:
    """The structure in each knee that has it and was not refused."""
    return [case.found.structures[label] for case in cases if case.found and label in case.found.structures]


def mean(values: Iterable[float | None]) -> float | None:
    """Of the values that there are.

    >>> mean([1.0, None, 2.0]), mean([None])
    (1.5, None)
    """
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def volume_icc(pairs: Iterable[tuple[float, float]]) -> Icc | None:
    """ICC(A,1) of true and found volumes with its 95 % interval; None with fewer than three pairs, or when the
    true volumes are all the same."""
    values = np.array(list(pairs), float).reshape(-1, 2)
    if len(values) < 3 or not np.ptp(values[:, 0]):
        return None
    if (values[:, 0] == values[:, 1]).all():
        return Icc(1.0, 1.0, 1.0)
    return icc_agreement(values)


def fluid_pairs(cases: Iterable[Case]) -> list[tuple[float, float]]:
    """Built and scored fluid (mL)."""
    found = [(case.truth.fluid_ml, case.found.scores.effusion["fluid_ml"]) for case in cases if case.found]
    return [(true, ml) for true, ml in found if ml is not None]


def meniscus_pairs(cases: Iterable[Case], meniscus: Label) -> list[tuple[float, float]]:
    """Built and found volume (mL) of one meniscus; one that was lost is found with 0."""
    return [
        (case.truth.meniscus_mm3[meniscus] / 1000, case.found.structures[meniscus].found_mm3 / 1000)
        for case in cases
        if case.found and meniscus in case.found.structures
    ]


def grid_pairs(cases: Iterable[Case], label: Label) -> list[tuple[float, float]]:
    """Volume (mL) of a structure in the true labels and in those found, both on the image's grid."""
    return [(s.true_mm3 / 1000, s.found_mm3 / 1000) for s in structures(cases, label)]


def effusions(cases: Iterable[Case]) -> list[Case]:
    """Knees with more fluid than a normal one holds."""
    return [case for case in cases if case.truth.fluid_ml > EFFUSIONS_ML[0]]
