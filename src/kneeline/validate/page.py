"""The page: targets first, then every structure by contrast, slices, effusion and lesion, failures and all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline import grading
from kneeline.agreement import kappa
from kneeline.labels import MENISCI, Label
from kneeline.steps import network_digest, network_engine
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
from kneeline.validate.measure import STRUCTURES, Case, GradePairs, Structure
from kneeline.validate.plan import FIRST_SEED
from kneeline.validate.reliability import pool
from kneeline.validate.targets import nothing_lost, targets

NOTHING = "n/a"


def page(cases: Sequence[Case], command: str = "kneeline validate", figure: str | None = None) -> str:
    """Markdown of all cases. `figure` is the address of the reliability plot, as seen from the page."""
    done = [case for case in cases if case.found]
    sections = [
        ("Accuracy on simulated knees", _opening(cases, command)),
        ("Targets", _targets(cases)),
        *((f"{metric.title}, by contrast", _by_contrast(done, metric)) for metric in METRICS),
        *((f"{metric.title}, by slices and effusion", _by_slices_and_effusion(done, metric)) for metric in METRICS),
        ("Menisci by lesion", _lesions(done)),
        ("Agreement of volumes", _volumes(done)),
        ("Fluid volume, built and reported (mL)", _fluid(done)),
        ("Lost and invented structures", _lost(cases)),
        ("Verdicts and refusals", _verdicts(cases)),
        ("Reliability", _reliability(done, figure)),
        ("Signal grade per meniscal region, from image to grade", _grades(p for c in done for p in c.found.grades)),
        (
            "Signal grade per meniscal region, scored on the true labels",
            "What is lost here is lost by scoring and imaging, not by segmentation.\n\n"
            + _grades(pair for case in cases for pair in case.grades_on_true_labels),
        ),
    ]
    return "\n\n".join(f"{'##' if i else '#'} {title}\n\n{text}" for i, (title, text) in enumerate(sections)) + "\n"


def _opening(cases: Sequence[Case], command: str) -> str:
    return f"""Made by `{command}` with the network {network_digest()[:16]} ({network_engine()}, float32). \
{len(cases)} parametric knees of seeds from {FIRST_SEED} on, which training never used, with planted intrameniscal \
signal and fluid, left and right in turn; contrasts and slices as `kneeline.validate.plan` lists them. The knees are \
of the family that the network was trained on: expect less on real ones.

Dice, distances and volume errors compare labels on the image's own grid. Surface distances are exact, between the \
centres of surface voxels in mm: the 95 % Hausdorff distance is the larger of the two directed 95th percentiles, the \
average symmetric surface distance the mean over both surfaces. A structure that was lost has Dice 0 and no distance. \
A refused knee enters no mean, and is counted as one in which all was lost. `{NOTHING}`: nothing to measure."""


def _targets(cases: Sequence[Case]) -> str:
    rows = [
        [
            target.name,
            f"{target.least:.2f}",
            _number(target.measured, ".3f"),
            "**met**" if target.met else "**missed**" if target.measured is not None else "not measured",
            target.detail,
            str(target.n_knees),
        ]
        for target in targets(cases)
    ]
    return (
        "Dice: mean of the contrasts' means, slices of 3 mm. Volume ICC: all contrasts together, slices of 3 mm. "
        "Nothing lost: all knees.\n\n"
        + _markdown(["", "at least", "measured", "", "lowest contrast, or interval", "knees"], rows)
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
        return NOTHING if first is None else f"{first:{self.form}} ({second:{self.form.lstrip('+')}})"


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
    return "Slices of 3 mm.\n\n" + _markdown(["", "mean of contrasts", *map(_heading, groups)], rows)


def _by_slices_and_effusion(cases: list[Case], metric: Metric) -> str:
    groups = [("all knees", cases), *by_thickness(cases), *by_effusion(cases)]
    rows = [[label.words, *(metric.cell(structures(group, label)) for _, group in groups)] for label in STRUCTURES]
    return _markdown(["", *map(_heading, groups)], rows)


def _lesions(cases: list[Case]) -> str:
    rows = [
        [label.words, name, str(len(members)), *(metric.cell(structures(members, label)) for metric in METRICS)]
        for label in MENISCI.values()
        for name, members in by_lesion(cases, label)
    ]
    return "By the highest signal grade that was planted in the meniscus; all contrasts and slices.\n\n" + _markdown(
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
        + _markdown(
            ["", "knees", "ICC, built", "ICC, on the grid"],
            [[name, str(len(built)), _icc(built), _icc(grid)] for name, built, grid in measured],
        )
    )


def _icc(pairs: list[tuple[float, float]]) -> str:
    icc = volume_icc(pairs)
    return f"{icc.estimate:.3f} ({icc.low:.3f} to {icc.high:.3f})" if icc else NOTHING


def _fluid(cases: list[Case]) -> str:
    groups = [("all knees", cases), *by_contrast(cases), *by_thickness(cases), *by_effusion(cases)]
    return _markdown(
        ["", "knees", "mean built", "bias", "95 % limits of agreement", "mean absolute error"],
        [[name, *_bland_altman(fluid_pairs(members))] for name, members in groups],
    )


def _bland_altman(pairs: list[tuple[float, float]]) -> list[str]:
    if not pairs:
        return ["0", *[NOTHING] * 4]
    true, found = np.array(pairs).T
    error = found - true
    limits = NOTHING
    if len(pairs) > 1:
        spread = 1.96 * error.std(ddof=1)
        limits = f"{error.mean() - spread:.1f} to {error.mean() + spread:.1f}"
    return [str(len(pairs)), f"{true.mean():.1f}", f"{error.mean():+.1f}", limits, f"{np.abs(error).mean():.1f}"]


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
    rows.append(["refused", str(len(cases) - len(done)), NOTHING, NOTHING])
    reasons = Counter(case.refused for case in cases if case.refused)
    return _listed(
        _markdown(["", "knees", "Dice, all structures: mean (lowest)", "Dice, menisci: mean (lowest)"], rows),
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
                _number(voxels and voxels.promised, ".3f"),
                _number(voxels and voxels.right, ".3f"),
                _number(voxels and voxels.expected_calibration_error, ".3f"),
                _number(mean(confidence), ".3f"),
                _number(mean(s.precision for s in sure), ".3f"),
                _number(mean(abs(s.confidence - s.precision) for s in sure), ".3f"),
                _number(mean(dices), ".3f"),
                _number(rank_correlation(confidence, dices), ".2f"),
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
    return text + _markdown(
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


# --- grades -----------------------------------------------------------------------------------------------------------


def _grades(pairs: Iterable[tuple[int, int | None]]) -> str:
    pairs: GradePairs = list(pairs)
    counts = np.zeros((len(grading.GRADES),) * 2, int)
    for true, predicted in pairs:
        if predicted is not None:
            counts[true, predicted] += 1
    graded = int(counts.sum())
    agreement = kappa(counts, "quadratic") if graded else None
    exact = _number(counts.trace() / graded if graded else None, ".2f")
    table = _markdown(
        ["", *(f"graded {g}" for g in grading.GRADES)],
        [[f"true {g}", *map(str, counts[g])] for g in grading.GRADES],
    )
    return (
        f"{table}\n\nExact agreement {exact}, quadratic weighted kappa "
        f"{_number(agreement and agreement.estimate, '.2f')}, {graded} regions, {len(pairs) - graded} not graded."
    )


# --- words ------------------------------------------------------------------------------------------------------------


def _markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = list(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows])


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else f"{value:{form}}"


def _heading(group: Group) -> str:
    name, members = group
    return f"{name} (n={len(members)})"
