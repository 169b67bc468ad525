"""The page: targets first, then every structure by contrast, slices, effusion and lesion, failures and all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline.labels import MENISCI, Label
from kneeline.markdown import interval, number, table
from kneeline.statistics.agreement import agree_on_values
from kneeline.steps import network_digest, network_engine
from kneeline.tables import MISSING
from kneeline.validate.groups import (
    EFFUSIONS_ML,
    Group,
    by_contrast,
    by_effusion,
    by_lesion,
    by_thickness,
    effusions,
    fluid_pairs,
    grid_pairs,
    mean,
    meniscus_pairs,
    structures,
    volume_icc,
)
from kneeline.validate.measure import STRUCTURES, Case, Structure
from kneeline.validate.plan import FIRST_SEED, MAIN_NAME
from kneeline.validate.reliability import pool
from kneeline.validate.score_page import score_sections
from kneeline.validate.targets import nothing_lost, targets


def page(
    cases: Sequence[Case], command: str = "kneeline validate", figure: str | None = None, worst: str | None = None
) -> str:
    """Markdown of all cases. `figure` and `worst` are the addresses of the reliability plot and of the worst cases, as
    seen from the page."""
    done = [case for case in cases if case.found]
    sections = [
        ("Accuracy on simulated knees", _opening(cases, command, worst)),
        ("Targets", _targets(cases)),
        *score_sections(cases),
        *((f"{metric.title}, by contrast", _by_contrast(done, metric)) for metric in METRICS),
        *((f"{metric.title}, by slices and effusion", _by_slices_and_effusion(done, metric)) for metric in METRICS),
        ("Menisci by lesion", _lesions(done)),
        ("Agreement of volumes", _volumes(done)),
        ("Fluid volume, built and reported (mL)", _fluid(done)),
        ("Lost and invented structures", _lost(cases)),
        ("Verdicts and refusals", _verdicts(cases)),
        ("Reliability", _reliability(done, figure)),
    ]
    return "\n\n".join(f"{'##' if i else '#'} {title}\n\n{text}" for i, (title, text) in enumerate(sections)) + "\n"


def _opening(cases: Sequence[Case], command: str, worst: str | None) -> str:
    pictures = f" [The worst cases]({worst}) have pictures." if worst else ""
    return f"""Made by `{command}` with the network {network_digest()[:16]} ({network_engine()}, float32). \
{len(cases)} parametric knees of seeds from {FIRST_SEED} on, which training never used, with planted intrameniscal \
signal and fluid, left and right in turn; contrasts and slices as `kneeline.validate.plan` lists them. The knees are \
of the family that the network was trained on: expect less on real ones.{pictures}

Dice, distances and volume errors compare labels on the image's own grid. Surface distances are exact, between the \
centres of surface voxels in mm: the 95 % Hausdorff distance is the larger of the two directed 95th percentiles, the \
average symmetric surface distance the mean over both surfaces. A structure that was lost has Dice 0 and no distance. \
A refused knee enters no mean, and is counted as one in which all was lost. `{MISSING}`: nothing to measure."""


def _targets(cases: Sequence[Case]) -> str:
    rows = [
        [
            target.name,
            f"{'at most' if target.at_most else 'at least'} {target.bound:.2f}",
            number(target.measured, ".3f"),
            "**met**" if target.met else "**missed**" if target.measured is not None else "not measured",
            target.detail,
            str(target.n_knees),
        ]
        for target in targets(cases)
    ]
    return (
        "Dice: mean of the contrasts' means, slices of 3 mm. Volume ICC: all contrasts together, slices of 3 mm. "
        f"Nothing lost: all knees. Grades, depths and the last ICC: knees in {MAIN_NAME}, with the network's labels "
        "(from image to grade) and, apart, with true ones; kappa has quadratic weights.\n\n"
        + table(["", "target", "measured", "", "lowest contrast, or interval", "knees"], rows)
    )


# --- structures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """Two figures of a list of structures, `first (second)`; over contrasts the first is averaged, the second
    combined."""

    title: str
    first: Callable[[list[Structure]], float | None]
    second: Callable[[list[Structure]], float | None]
    combine: Callable[[list[float]], float]
    form: str

    def cell(self, members: list[Structure]) -> str:
        return self._text(self.first(members), self.second(members))

    def mean_cell(self, groups: list[list[Structure]]) -> str:
        seconds = [value for value in map(self.second, groups) if value is not None]
        return self._text(mean(map(self.first, groups)), self.combine(seconds) if seconds else None)

    def _text(self, first: float | None, second: float | None) -> str:
        return MISSING if first is None else f"{first:{self.form}} ({second:{self.form.lstrip('+')}})"


def _worst(values: Iterable[float | None], worst: Callable) -> float | None:
    known = [value for value in values if value is not None]
    return worst(known) if known else None


def _relative_error(members: list[Structure], size: Callable[[float], float] = float) -> float | None:
    """Sum of errors over the sum of true volumes: a sliver of bone at the image's border cannot decide it."""
    true = sum(s.true_mm3 for s in members)
    return sum(size(s.found_mm3 - s.true_mm3) for s in members) / true if true else None


DICE = Metric(
    "Dice: mean (lowest)",
    lambda members: mean(s.dice for s in members),
    lambda members: _worst((s.dice for s in members), min),
    min,
    ".3f",
)
METRICS = (
    DICE,
    Metric(
        "95 % Hausdorff distance (mm): mean (highest)",
        lambda members: mean(s.hausdorff95_mm for s in members),
        lambda members: _worst((s.hausdorff95_mm for s in members), max),
        max,
        ".2f",
    ),
    Metric(
        "Average symmetric surface distance (mm): mean (highest)",
        lambda members: mean(s.surface_mm for s in members),
        lambda members: _worst((s.surface_mm for s in members), max),
        max,
        ".2f",
    ),
    Metric(
        "Volume error: bias (mean absolute error)",
        _relative_error,
        lambda members: _relative_error(members, abs),
        lambda values: float(np.mean(values)),
        "+.1%",
    ),
)


def _by_contrast(cases: list[Case], metric: Metric) -> str:
    groups = by_contrast(cases)
    rows = []
    for label in STRUCTURES:
        members = [structures(group, label) for _, group in groups]
        rows.append([label.words, metric.mean_cell(members), *map(metric.cell, members)])
    return "Slices of 3 mm.\n\n" + table(["", "mean of contrasts", *map(_heading, groups)], rows)


def _by_slices_and_effusion(cases: list[Case], metric: Metric) -> str:
    groups = [("all knees", cases), *by_thickness(cases), *by_effusion(cases)]
    rows = [[label.words, *(metric.cell(structures(group, label)) for _, group in groups)] for label in STRUCTURES]
    return table(["", *map(_heading, groups)], rows)


def _lesions(cases: list[Case]) -> str:
    rows = [
        [label.words, name, str(len(members)), *(metric.cell(structures(members, label)) for metric in METRICS)]
        for label in MENISCI.values()
        for name, members in by_lesion(cases, label)
    ]
    return "By the highest signal grade that was planted in the meniscus; all contrasts and slices.\n\n" + table(
        ["", "lesion", "knees", *(metric.title for metric in METRICS)], rows
    )


# --- volumes ----------------------------------------------------------------------------------------------------------


def _volumes(cases: list[Case]) -> str:
    large, fluid = effusions(cases), Label.JOINT_FLUID
    measured = [
        ("joint fluid", fluid_pairs(cases), grid_pairs(cases, fluid)),
        (f"joint fluid, effusions above {EFFUSIONS_ML[0]:g} mL", fluid_pairs(large), grid_pairs(large, fluid)),
        *((m.words, meniscus_pairs(cases, m), grid_pairs(cases, m)) for m in MENISCI.values()),
    ]
    return (
        "ICC(A,1), absolute agreement, with its 95 % interval; all contrasts and slices. Built: what was built into "
        "the knee against what is reported, so that what thick slices cannot show counts as an error. On the grid: "
        "true and found labels of the image.\n\n"
        + table(
            ["", "knees", "ICC, built", "ICC, on the grid"],
            [[name, str(len(built)), _icc(built), _icc(grid)] for name, built, grid in measured],
        )
    )


def _icc(pairs: list[tuple[float, float]]) -> str:
    icc = volume_icc(pairs)
    return interval(icc.estimate, icc.low, icc.high, ".3f") if icc else MISSING


def _fluid(cases: list[Case]) -> str:
    groups = [("all knees", cases), *by_contrast(cases), *by_thickness(cases), *by_effusion(cases)]
    return table(
        ["", "knees", "mean built", "bias", "95 % limits of agreement", "mean absolute error"],
        [[name, *_bland_altman(fluid_pairs(members))] for name, members in groups],
    )


def _bland_altman(pairs: list[tuple[float, float]]) -> list[str]:
    found = agree_on_values("joint fluid", "mL", pairs)
    return [
        str(found.n),
        number(mean(found.true), ".1f"),
        number(found.bias, "+.1f"),
        MISSING if found.limit_low is None else f"{found.limit_low:.1f} to {found.limit_high:.1f}",
        number(found.mean_absolute_error, ".1f"),
    ]


# --- failures ---------------------------------------------------------------------------------------------------------


def _lost(cases: Sequence[Case]) -> str:
    whole = sum(map(nothing_lost, cases))
    lines = []
    for case in cases:
        if case.refused:
            lines.append(f"- {case.plan.name}: all, refused ({case.refused})")
            continue
        for label in case.found.lost:
            size = case.found.structures[label].true_mm3 / 1000
            lines.append(f"- {case.plan.name}: lost {label.words}, {size:.2f} mL")
        for label, volume in case.found.invented.items():
            lines.append(f"- {case.plan.name}: invented {label.words}, {volume / 1000:.2f} mL")
    return _listed(
        f"In {whole} of {len(cases)} knees every structure that the truth has was found (Dice above 0).", lines
    )


def _verdicts(cases: Sequence[Case]) -> str:
    done = [case for case in cases if case.found]
    rows = []
    for verdict in ("ok", "review", "unusable"):
        members = [case for case in done if case.found.verdict == verdict]
        menisci = [s for label in MENISCI.values() for s in structures(members, label)]
        every = [s for label in STRUCTURES for s in structures(members, label)]
        rows.append([verdict, str(len(members)), DICE.cell(every), DICE.cell(menisci)])
    rows.append(["refused", str(len(cases) - len(done)), MISSING, MISSING])
    reasons = Counter(case.refused for case in cases if case.refused)
    return _listed(
        table(["", "knees", "Dice, all structures: mean (lowest)", "Dice, menisci: mean (lowest)"], rows),
        [f"- refused, {code}: {count}" for code, count in sorted(reasons.items())]
        + [f"- {case.plan.name}: {case.found.verdict}, {case.found.reason}" for case in done if case.found.reason],
    )


def _listed(text: str, lines: list[str]) -> str:
    return text + ("\n\n" + "\n".join(lines) if lines else "")


# --- reliability ------------------------------------------------------------------------------------------------------


def _reliability(cases: list[Case], figure: str | None) -> str:
    rows = []
    for label in STRUCTURES:
        voxels = pool(case.found.reliability[label] for case in cases if label in case.found.reliability)
        sure = [s for s in structures(cases, label) if s.confidence is not None]
        confidence, dices = [s.confidence for s in sure], [s.dice for s in sure]
        rows.append(
            [
                label.words,
                number(voxels and voxels.promised, ".3f"),
                number(voxels and voxels.right, ".3f"),
                number(voxels and voxels.expected_calibration_error, ".3f"),
                number(mean(confidence), ".3f"),
                number(mean(s.precision for s in sure), ".3f"),
                number(mean(abs(s.confidence - s.precision) for s in sure), ".3f"),
                number(mean(dices), ".3f"),
                number(rank_correlation(confidence, dices), ".2f"),
            ]
        )
    text = (
        "Voxels: the probability that each voxel was promised to be the structure it was called, against the share "
        "that is, over the volume that was called so; ECE is the expected calibration error over ten equal bins. "
        "Knees: the confidence that was reported for a structure against the share of it that is right (precision) "
        "and its Dice; rho is the rank correlation (Spearman) of confidence and Dice.\n\n"
    )
    if figure:
        text += f"![Promised against observed, one panel a structure]({figure})\n\n"
    return text + table(
        [
            "",
            "promised, mean",
            "right, share",
            "ECE",
            "confidence, mean",
            "precision, mean",
            "their mean absolute difference",
            "Dice, mean",
            "rho",
        ],
        rows,
    )


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float | None:
    """Spearman's rho; None with fewer than three pairs or when either does not vary."""
    if len(one) < 3 or not np.ptp(one) or not np.ptp(two):
        return None
    return float(stats.spearmanr(one, two).statistic)


# --- words ------------------------------------------------------------------------------------------------------------


def _heading(group: Group) -> str:
    name, members = group
    return f"{name} (n={len(members)})"
