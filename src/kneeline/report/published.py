"""The published study on the page: what was counted, what two training levels can show, what else was tested."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from kneeline.report import words
from kneeline.report.plots import BLUE, GRID, SOFT, render
from kneeline.report.views import Cell, View, view
from kneeline.tables import MISSING, Row

WILSON, EXACT = "proportion, Wilson", "proportion, Clopper-Pearson"
FISHER = "odds ratio, conditional maximum likelihood (exact, Fisher)"
MID_P = "odds ratio, mid-p"
ANY_SIZE = "smallest Fisher's p over all group sizes"
POWER = "power of Fisher's test"


def counts_view(rows: Sequence[Row]) -> View:
    """A count a line, with both intervals; other groups' studies last."""
    counted: dict[tuple, dict[str, Row]] = {}
    for row in rows:
        if row["group"] == "all" and row["quantity"] in (WILSON, EXACT):
            counted.setdefault((row["study"], row["finding"]), {})[row["quantity"]] = row
    return view(
        "What the abstracts count",
        [
            ("study", lambda line: _any(line)["study"]),
            ("finding", lambda line: _any(line)["finding"]),
            ("count", lambda line: Cell(f"{_any(line)['count']} of {_any(line)['n']}", True)),
            ("share", lambda line: Cell(words.percent(_any(line)["estimate"]), True)),
            ("95 % interval (Wilson)", lambda line: _shares(line.get(WILSON))),
            ("95 % interval (exact)", lambda line: _shares(line.get(EXACT))),
            ("note", lambda line: "; ".join(filter(None, (_any(line)["note"], _any(line)["assumption"])))),
        ],
        sorted(counted.values(), key=lambda line: _is_context(_any(line))),
    )


def plot_counts(rows: Sequence[Row]) -> str | None:
    """Each count's share with its Wilson interval; None without counts."""
    counted = [row for row in rows if row["group"] == "all" and row["quantity"] == WILSON and row["ci_low"] is not None]
    if not counted:
        return None
    studies: dict[str, list[Row]] = {}
    for row in sorted(counted, key=_is_context):
        studies.setdefault(row["study"], []).append(row)
    lines = [line for study, rows in studies.items() for line in (study, *rows)]
    height, head, foot = 20 * len(lines) + 76, 30, 46

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.5, foot / height, 0.38, 1 - (head + foot) / height))
        axes.set_xlim(0, 100)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xticks(range(0, 101, 25))
        for tick in range(0, 101, 25):
            axes.axvline(tick, color=GRID, linewidth=0.6, zorder=0)
        axes.set_xlabel("share (%), Wilson 95 % interval", fontsize=9)
        across = blended_transform_factory(figure.transFigure, axes.transData)
        axes.text(0.9, -1, "count", transform=across, fontsize=9, color=SOFT, va="center")
        for y, row in enumerate(lines):
            if isinstance(row, str):
                axes.text(0.005, y, row, transform=across, va="center", fontsize=10, fontweight="bold")
                continue
            colour = SOFT if _is_context(row) else BLUE
            axes.plot((100 * row["ci_low"], 100 * row["ci_high"]), (y, y), color=colour, linewidth=1.8)
            face = "none" if _is_context(row) else colour
            axes.plot(100 * row["estimate"], y, "s", markersize=6, markeredgecolor=colour, markerfacecolor=face)
            axes.text(0.02, y, row["finding"], transform=across, va="center", fontsize=10)
            axes.text(0.9, y, f"{row['count']} of {row['n']}", transform=across, va="center", fontsize=10)

    said = "; ".join(f"{row['study']}, {row['finding']}: {row['count']} of {row['n']}" for row in counted)
    return render("published", f"Shares of runners with a finding: {said}", 680, height, draw)


def _is_context(row: Row) -> bool:
    return (row["note"] or "").startswith("context")


def groups_view(rows: Sequence[Row]) -> View:
    """High against low training level, a finding and an assumption about group sizes a line."""
    compared: dict[tuple, dict[str, Row]] = {}
    over_sizes, power = {}, {}
    for row in rows:
        if row["quantity"] == ANY_SIZE:
            over_sizes[row["finding"]] = row
        elif row["quantity"] == POWER:
            power[row["finding"]] = row
        elif row["group"] in ("high", "low") and row["quantity"] == WILSON:
            compared.setdefault((row["finding"], row["assumption"]), {})[row["group"]] = row
        elif row["group"] == "high against low" and row["quantity"] in (FISHER, MID_P):
            compared.setdefault((row["finding"], row["assumption"]), {})[row["quantity"]] = row
    lines = [(finding, line) for (finding, _), line in compared.items() if {"high", "low", FISHER} <= set(line)]

    def share(group: str):
        return lambda line: Cell(f"{line[1][group]['count']} of {line[1][group]['n']}", True)

    def ratio(name: str):
        return lambda line: Cell(_ratio(line[1].get(name)), True)

    return view(
        "High against low training level; the group sizes are assumed",
        [
            ("finding", lambda line: line[0]),
            ("high", share("high")),
            ("low", share("low")),
            ("odds ratio (exact interval)", ratio(FISHER)),
            ("Fisher's p", lambda line: Cell(words.p_value(line[1][FISHER]["p_value"]), True)),
            ("odds ratio (mid-p)", ratio(MID_P)),
            ("power at 13 + 13", lambda line: Cell(_power(power.get(line[0])), True)),
            ("smallest p over all group sizes", lambda line: _over(over_sizes.get(line[0]))),
        ],
        lines,
    )


def tests_view(rows: Sequence[Row]) -> View:
    """Everything that is neither a count nor a line of the comparison, with what had to be assumed."""
    shown = [
        row
        for row in rows
        if row["quantity"] not in (WILSON, EXACT, ANY_SIZE, POWER)
        and not (row["group"] == "high against low" and row["quantity"].startswith(("odds ratio, ", "risk difference"))
                 and "cumulative" not in row["quantity"])
    ]  # fmt: skip
    return view(
        "Further tests, and what cannot be re-created",
        [
            ("study", lambda row: row["study"]),
            ("finding", lambda row: row["finding"]),
            ("what", lambda row: row["quantity"]),
            ("estimate", lambda row: Cell(words.estimate(row["estimate"]), True)),
            ("95 % interval", lambda row: Cell(words.interval(row["ci_low"], row["ci_high"]), True)),
            ("p", lambda row: Cell(words.p_value(row["p_value"]), True)),
            ("assumed", lambda row: row["assumption"] or ""),
            ("note", lambda row: row["note"] or ""),
        ],
        shown,
    )


def _any(line: dict[str, Row]) -> Row:
    return next(iter(line.values()))


def _shares(row: Row | None) -> Cell:
    if row is None or row["ci_low"] is None:
        return Cell(MISSING, True)
    return Cell(f"{words.percent(row['ci_low'])} to {words.percent(row['ci_high'])}", True)


def _ratio(row: Row | None) -> str:
    if row is None:
        return MISSING
    return f"{words.estimate(row['estimate'])} ({words.interval(row['ci_low'], row['ci_high'])})"


def _power(row: Row | None) -> str:
    return MISSING if row is None else words.percent(row["estimate"])


def _over(row: Row | None) -> Cell:
    return Cell(MISSING if row is None else f"{words.p_value(row['p_value'])}: {row['note']}")
