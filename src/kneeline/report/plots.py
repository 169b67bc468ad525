"""Figures of the report as inline SVG.

Text stays text (searchable, and in the page's own font), ink takes the page's colour so that light, dark and print all
work, and ids carry the figure's name so that several figures live in one page. The same rows give the same bytes.
Colours are from the Okabe-Ito set or one hue from light to dark: they stay apart for colour-blind readers and in grey.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from kneeline import grading, tables
from kneeline.report.words import estimate, interval, number, term_words
from kneeline.statistics.agreement import GradeAgreement, ValueAgreement
from kneeline.tables import Row

INK, SOFT, GRID = "#010203", "#040506", "#070809"  # stand-ins, replaced by the page's colours
BLUE, ORANGE = "#2b7bb9", "#d55e00"
# Grade 0 to 3, one hue, light to dark; the last is for knees without a grade.
SHADES = ("#e3e8ec", "#b5d0e6", "#5f9ac9", "#1d5682")
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}
_INCH = 1 / 72  # sizes below are in points: one SVG unit each


def render(name: str, label: str, width: float, height: float, draw: Callable[[Figure], None]) -> str:
    """An inline `<svg>` of `width` x `height` points with an accessible label.

    `name` may hold text of a table: what cannot stand in an id is dropped.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", name)
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width * _INCH, height * _INCH))
        figure.patch.set_alpha(0)
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return inline(out.getvalue(), name, label)


def inline(svg: str, name: str, label: str) -> str:
    """A stand-alone SVG made fit for the inside of a page: no prologue, no outside address, ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg class="plot" role="img" \1 __LABEL__>', svg, count=1)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    svg = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1var(--font)", svg)
    for stand_in, colour in ((INK, "currentColor"), (SOFT, "var(--soft)"), (GRID, "var(--line)")):
        svg = svg.replace(stand_in, colour)
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("__LABEL__", f'aria-label="{escaped}"', 1).strip()


# --- the models -------------------------------------------------------------------------------------------------------

RATIOS = {"odds_ratio": "odds ratio", "mean_ratio": "ratio of geometric means"}
_SPAN = (0.05, 20.0)  # beyond it an interval ends in an arrow


def is_exposure(row: Row) -> bool:
    """Whether a row of ESTIMATES is a ratio for strike or distance, which is what the forest plot shows.

    Of the two models with an odds ratio at each cut-point the plot shows partial proportional odds.
    """
    asked = "rearfoot" in row["term"] or "distance" in row["term"]
    return row["scale"] in RATIOS and asked and row["model"] != "proportional_odds_check"


def plot_forest(rows: Sequence[Row], name: str, title: str) -> str:
    """Ratios with 95 % intervals on a log axis, one line a term; a refused one keeps its line and says so."""
    rows = [row for row in rows if is_exposure(row)]
    row_height, head, foot, width = 21, 30, 46, 720
    lines: list[tuple[str, Row | None]] = []
    for row in rows:
        if not lines or lines[-1][1] is None or lines[-1][1]["model"] != row["model"]:
            lines.append((model_words(row["model"]), None))
        lines.append((term_words(row["term"]), row))
    height = head + row_height * len(lines) + foot

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.37, foot / height, 0.33, 1 - (head + foot) / height))
        axes.set_xscale("log")
        axes.set_xlim(*_SPAN)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.minorticks_off()
        ticks = (0.1, 0.25, 0.5, 1, 2, 4, 10)
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks], fontsize=9)
        for tick in ticks:
            axes.axvline(tick, color=GRID, linewidth=0.6, zorder=0)
        axes.axvline(1, color=SOFT, linewidth=1, zorder=1)
        scales = sorted({RATIOS[row["scale"]] for row in rows})
        axes.set_xlabel(f"{' / '.join(scales)} with 95 % interval, log scale", fontsize=9)
        across = blended_transform_factory(figure.transFigure, axes.transData)  # x in the figure, y in lines
        axes.text(0.72, -1, "estimate (95 % CI)", transform=across, fontsize=9, color=SOFT, va="center")
        axes.text(0.995, -1, "runners", transform=across, fontsize=9, color=SOFT, va="center", ha="right")
        for y, (text, row) in enumerate(lines):
            if row is None:
                axes.text(0.005, y, text, transform=across, va="center", fontsize=10, fontweight="bold")
                continue
            axes.text(0.02, y, text, transform=across, va="center", fontsize=10)
            axes.text(0.995, y, number(row["n_participants"]), transform=across, va="center", ha="right", fontsize=10)
            if row["status"] == "refused":
                axes.text(0.72, y, refusal(row), transform=across, va="center", fontsize=10, color=SOFT)
                continue
            _ratio(axes, y, row)
            said = f"{estimate(row['estimate'])} ({interval(row['ci_low'], row['ci_high'])})"
            axes.text(0.72, y, said, transform=across, va="center", fontsize=10)

    return render(name, title, width, height, draw)


def refusal(row: Row) -> str:
    """
    >>> refusal({"reason": "too_few_runners: 9 runners for 5 parameters"}), refusal({"reason": None})
    ('refused: too few runners', 'refused')
    """
    code = re.match(r"(\w+):", row["reason"] or "")
    return f"refused: {code[1].replace('_', ' ')}" if code else "refused"


def _ratio(axes, y: int, row: Row) -> None:
    low = row["ci_low"] if row["ci_low"] is not None else 0.0
    high = row["ci_high"] if row["ci_high"] is not None else np.inf
    left, right = max(low, _SPAN[0] * 1.03), min(high, _SPAN[1] / 1.03)
    if left < right:
        axes.plot((left, right), (y, y), color=BLUE, linewidth=1.8, solid_capstyle="butt", clip_on=False)
        for end, beyond, marker in ((left, low < _SPAN[0], "<"), (right, high > _SPAN[1], ">")):
            if beyond:
                axes.plot(end, y, marker, color=BLUE, markersize=5, clip_on=False)
    if row["estimate"] is not None and _SPAN[0] <= row["estimate"] <= _SPAN[1]:
        axes.plot(row["estimate"], y, "s", color=BLUE, markersize=6, clip_on=False)


_FAMILIES = {
    "cumulative_logit_": "Cumulative logit: ",
    "random_intercept_": "Cumulative logit, within a runner: ",
    "e_value_": "E-value: ",
    "linear_": "Linear model: ",
    "gee_": "GEE logit of grade 1 or more: ",
    "firth_": "Penalised logit of grade 1 or more: ",
    "exact_": "Exact 2 × 2 table of grade 1 or more: ",
    "power_": "Power: ",
}


def model_words(model: str) -> str:
    """
    >>> model_words("cumulative_logit_crude_distance"), model_words("additive_interaction")
    ('Cumulative logit: crude distance', 'Additive interaction')
    """
    for start, name in _FAMILIES.items():
        if model.startswith(start):
            return name + model.removeprefix(start).replace("_", " ")
    return model[:1].upper() + model[1:].replace("_", " ")


# --- the knees --------------------------------------------------------------------------------------------------------


def strike_group(row: Row) -> str:
    """`rearfoot`, `other strike` or `strike n/a`."""
    group = grading.strike_group(row["strike_style"])
    return {None: "strike n/a", "non_rearfoot": "other strike"}.get(group, group)


def distance_group(row: Row, cut_km: float) -> str:
    below, above = grading.distance_groups(cut_km)
    group = grading.distance_group(row["weekly_distance_km"], cut_km)
    return {None: "distance n/a", below: f"below {cut_km:g} km", above: f"{cut_km:g} km or more"}[group]


Group = tuple[str, str, list[int]]


def grade_groups(knees: Sequence[Row], column: str, cut_km: float) -> list[Group]:
    """(block, group, [grade 0, 1, 2, 3, without a grade]): all, by strike, by distance, by both; no empty group.

    A block whose knees are all in one group says nothing that the block before did not, and is left out.
    """
    strikes = ("other strike", "rearfoot", "strike n/a")
    distances = (f"below {cut_km:g} km", f"{cut_km:g} km or more", "distance n/a")
    counts: dict[tuple[str, str], np.ndarray] = {
        (s, d): np.zeros(len(grading.GRADES) + 1, int) for s in strikes for d in distances
    }
    for row in knees:
        grade = row[column]
        counts[strike_group(row), distance_group(row, cut_km)][-1 if grade is None else grade] += 1
    blocks = (
        ("all", [("all knees", sum(counts.values()))]),
        ("strike", [(s, sum(counts[s, d] for d in distances)) for s in strikes]),
        ("distance", [(d, sum(counts[s, d] for s in strikes)) for d in distances]),
        ("both", [(f"{s}, {d}", counts[s, d]) for s in strikes for d in distances]),
    )
    groups = []
    for block, members in blocks:
        there = [(name, values.tolist()) for name, values in members if values.sum()]
        if block == "all" or len(there) > 1:
            groups += [(block, name, values) for name, values in there]
    return groups


def plot_grades(knees: Sequence[Row], column: str, cut_km: float, name: str, title: str) -> str:
    """Share of each grade by strike, by distance and by both as stacked bars, with the counts written in."""
    groups = grade_groups(knees, column, cut_km)
    starts = [k for k, (block, *_) in enumerate(groups) if k and block != groups[k - 1][0]]
    rows = [k + 0.45 * sum(start <= k for start in starts) for k in range(len(groups))]
    height = 30 * (rows[-1] + 1) + 82

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.31, 44 / height, 0.66, 1 - 82 / height))
        axes.set_xlim(0, 100)
        axes.set_ylim(rows[-1] + 0.5, -0.5)
        axes.set_yticks(rows, [f"{group}  (n = {sum(counts)})" for _, group, counts in groups])
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("share of knees (%)")
        axes.spines["left"].set_visible(False)
        for y, (_, _, counts) in zip(rows, groups, strict=True):
            at = 0.0
            for grade, count in enumerate(counts):
                share = 100 * count / max(1, sum(counts))
                known = grade < len(grading.GRADES)
                look = {"color": SHADES[grade]} if known else {"color": "none", "edgecolor": SOFT, "hatch": "///"}
                axes.barh(y, share, left=at, height=0.74, linewidth=0.6, **look)
                if count and share > 3:
                    ink = ("#ffffff" if grade == 3 else "#111111") if known else INK
                    axes.text(at + share / 2, y, str(count), ha="center", va="center", color=ink, fontsize=9.5)
                at += share
        swatches = [(f"grade {g}", SHADES[g]) for g in grading.GRADES]
        handles = [matplotlib.patches.Patch(color=ink, label=text) for text, ink in swatches]
        if any(counts[-1] for _, _, counts in groups):
            handles.append(matplotlib.patches.Patch(fill=False, edgecolor=SOFT, hatch="///", label="no grade"))
        axes.legend(handles=handles, ncols=5, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, fontsize=9.5)

    return render(name, title, 680, height, draw)


STRIKE_LOOKS = {"rearfoot": ("o", BLUE), "other strike": ("^", ORANGE), "strike n/a": ("x", SOFT)}


def plot_fluid(knees: Sequence[Row], cut_km: float, name: str, title: str) -> str:
    """Joint fluid against weekly distance, a point a knee; hollow where the pouch is cut off and fluid is missed."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.09, 0.15, 0.87, 0.72))
        for group, (marker, colour) in STRIKE_LOOKS.items():
            for whole in (True, False):
                rows = [
                    row
                    for row in knees
                    if strike_group(row) == group
                    and (row["pouch_in_view"] is not False) == whole
                    and None not in (row["weekly_distance_km"], row["fluid_ml"])
                ]
                if rows:
                    face = {"facecolor": colour if whole else "none"} if marker != "x" else {}
                    edge = {"edgecolor": colour} if marker != "x" else {"color": colour}
                    axes.scatter(
                        [row["weekly_distance_km"] for row in rows],
                        [row["fluid_ml"] for row in rows],
                        s=44,
                        marker=marker,
                        linewidth=1.4,
                        alpha=0.9,
                        label=group + ("" if whole else ", pouch cut off (fluid is missed)"),
                        **face,
                        **edge,
                    )
        axes.axvline(cut_km, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.annotate(
            f"{cut_km:g} km", (cut_km, 1), xycoords=("data", "axes fraction"), xytext=(4, -10),
            textcoords="offset points", color=SOFT, fontsize=9.5,
        )  # fmt: skip
        axes.locator_params(nbins=7)
        axes.set_xlabel("weekly distance (km)")
        axes.set_ylabel("joint fluid (mL)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, fontsize=9.5)

    return render(name, title, 680, 330, draw)


# --- machine against truth --------------------------------------------------------------------------------------------


def draw_confusion(counts: np.ndarray, down: str, across: str) -> Callable[[Figure], None]:
    """Draws a square matrix of counts: darker is a larger share of the line."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.24, 0.20, 0.72, 0.72))
        size = len(counts)
        share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        for line in range(size):
            for column in range(size):
                strength = share[line, column]
                corner = (column - 0.5, line - 0.5)
                axes.add_patch(matplotlib.patches.Rectangle(corner, 1, 1, color=BLUE, alpha=0.9 * strength, lw=0))
                ink = "#ffffff" if strength > 0.55 else INK
                axes.text(column, line, str(counts[line, column]), ha="center", va="center", color=ink, fontsize=12)
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_xticks(range(size))
        axes.set_yticks(range(size))
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        for edge in np.arange(-0.5, size):
            axes.plot((-0.5, size - 0.5), (edge, edge), color=GRID, linewidth=0.8)
            axes.plot((edge, edge), (-0.5, size - 0.5), color=GRID, linewidth=0.8)
        axes.set_xlabel(across)
        axes.set_ylabel(down)

    return draw


def plot_confusion(agreement: GradeAgreement, name: str) -> str:
    """Counts of true (down) against predicted (across) grades."""
    cells = "; ".join(
        f"true {t}: " + ", ".join(str(n) for n in row) for t, row in enumerate(agreement.confusion.tolist())
    )
    label = f"Confusion matrix, {agreement.name}. Predicted 0 to 3 for {cells}"
    return render(name, label, 270, 260, draw_confusion(agreement.confusion, "true grade", "predicted grade"))


def plot_volumes(agreement: ValueAgreement, name: str) -> str:
    """Predicted against true volume with the line of identity."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.24, 0.20, 0.72, 0.72))
        top = 1.08 * max([*agreement.true, *agreement.predicted, 1e-9])
        axes.plot((0, top), (0, top), color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.scatter(agreement.true, agreement.predicted, s=26, color=BLUE, alpha=0.85, linewidth=0)
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.locator_params(nbins=5)
        axes.set_xlabel(f"true {agreement.name} ({agreement.unit})")
        axes.set_ylabel(f"predicted ({agreement.unit})")

    return render(name, f"Predicted against true {agreement.name}, {agreement.n} knees", 270, 260, draw)


def outcomes_in_order(rows: Sequence[Row]) -> list[str]:
    """Outcomes of ESTIMATES rows that have a line in a forest plot, in the order of the table."""
    return list(dict.fromkeys(row["outcome"] for row in rows if is_exposure(row)))


def outcome_words(outcome: str | None) -> str:
    return {
        "signal_grade": "meniscal signal grade",
        "effusion_grade": "effusion grade",
        "effusion_grade_volume": "effusion grade by volume",
        "log_fluid_ml": "joint fluid",
    }.get(outcome or "", (outcome or tables.MISSING).replace("_", " "))
