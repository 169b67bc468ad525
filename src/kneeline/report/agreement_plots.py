"""Agreement as figures: who gave which pair of grades, and differences of measured values against their mean."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from kneeline import tables
from kneeline.report import words
from kneeline.report.gather import Results
from kneeline.report.plots import BLUE, GRID, INK, SOFT, draw_confusion, render
from kneeline.tables import Row

# What a reader of the page wants to see first; the matrices of single regions stand in the table.
DRAWN = ("medial_meniscus", "lateral_meniscus", "effusion")
_REGION = re.compile(r"(medial|lateral)_meniscus .+")
_POOLED = "meniscal regions together"
_LIMITS = ("bias", "lower_limit", "upper_limit")


def confusion_plots(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(what and who, figure): of each comparison the meniscal regions together, and what `DRAWN` names."""
    matrices: dict[tuple[str, str], dict[tuple[int, int], int]] = {}
    for row in rows:
        what = _POOLED if _REGION.fullmatch(row["structure"]) else row["structure"]
        if what == _POOLED or what in DRAWN:
            counts = matrices.setdefault((row["comparison"], what), {})
            pair = row["grade_a"], row["grade_b"]
            counts[pair] = counts.get(pair, 0) + (row["n"] or 0)
    shown = []
    for k, ((comparison, structure), cells) in enumerate(matrices.items()):
        counts = np.zeros((1 + max(max(pair) for pair in cells),) * 2, int)
        for pair, n in cells.items():
            counts[pair] = n
        one, two = who(comparison)
        name = f"{words.heading(structure)}: {comparison}, {counts.sum()} pairs"
        label = f"Confusion matrix, {name}. " + "; ".join(
            f"{one} {grade}: {', '.join(map(str, line))}" for grade, line in enumerate(counts.tolist())
        )
        draw = draw_confusion(counts, f"grade, {one}", f"grade, {two}")
        shown.append((name, render(f"readers-{k}", label, 270, 260, draw)))
    return shown


def who(comparison: str) -> tuple[str, str]:
    """
    >>> who("machine with anna reading 1"), who("anna reading 1 with anna reading 2")
    (('machine', 'anna 1'), ('anna 1', 'anna 2'))
    """
    one, _, two = comparison.partition(" with ")
    return one.replace(" reading ", " "), two.replace(" reading ", " ")


def difference_plots(found: Results) -> list[tuple[str, str]]:
    """(what and who, figure) of each comparison of measured values: differences against means (Bland and Altman)."""
    limits: dict[tuple[str, str], dict[str, Row]] = {}
    for row in found[tables.AGREEMENT]:
        if row["statistic"] in _LIMITS and row["estimate"] is not None:
            limits.setdefault((row["comparison"], row["structure"]), {})[row["statistic"]] = row
    points: dict[tuple[str, str], list[Row]] = {}
    for row in found[tables.READ_VALUES]:
        points.setdefault((row["comparison"], row["structure"]), []).append(row)
    shown = []
    for k, (key, lines) in enumerate(limits.items()):
        pairs = np.array([(row["value_a"], row["value_b"]) for row in points.get(key, ())], float).reshape(-1, 2)
        if len(pairs) and len(lines) == len(_LIMITS):
            comparison, structure = key
            ends = [(lines[name]["estimate"], lines[name]["ci_low"], lines[name]["ci_high"]) for name in _LIMITS]
            name = f"{words.heading(structure)}: {comparison}, {len(pairs)} knees"
            shown.append((name, plot_differences(pairs, ends, words.heading(structure), f"differences-{k}", name)))
    return shown


Line = tuple[float, float | None, float | None]


def plot_differences(
    pairs: np.ndarray, lines: Sequence[Line], what: str, name: str, label: str, less: str = "first less second"
) -> str:
    """First less second against the mean of both; `lines` are bias, lower and upper limit, each with its interval."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.17, 0.17, 0.63, 0.76))
        middle, difference = pairs.mean(axis=1), pairs[:, 0] - pairs[:, 1]
        reach = [value for line in lines for value in line if value is not None]
        top = 1.08 * max(np.abs([*difference, *reach]).max(), 1e-9)
        axes.set_ylim(-top, top)
        axes.set_xlim(0, 1.06 * max(middle.max(), 1e-9))
        axes.axhline(0, color=GRID, linewidth=1)
        for (value, low, high), dashes in zip(lines, ("solid", (0, (5, 3)), (0, (5, 3))), strict=True):
            if low is not None and high is not None:
                axes.axhspan(low, high, color=BLUE, alpha=0.13, linewidth=0)
            axes.axhline(value, color=BLUE, linewidth=1.3, linestyle=dashes)
            axes.text(
                1.02,
                value,
                words.estimate(value),
                transform=axes.get_yaxis_transform(),
                va="center",
                color=INK,
                fontsize=9.5,
            )
        axes.scatter(middle, difference, s=20, color=SOFT, alpha=0.8, linewidth=0)
        axes.locator_params(nbins=5)
        axes.set_xlabel(f"mean of both, {what}")
        axes.set_ylabel(less)

    said = "; ".join(
        f"{text} {words.estimate(line[0])}"
        for text, line in zip(("bias", "lower limit", "upper limit"), lines, strict=True)
    )
    return render(name, f"Differences against means, {label}: {said}", 360, 260, draw)
