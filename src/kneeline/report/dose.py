"""Dose response on the page: outcomes along weekly distance, straight and as a spline, with what the cut alone says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kneeline import tables
from kneeline.report.gather import Results
from kneeline.report.plots import BLUE, GRID, ORANGE, SOFT, STRIKE_LOOKS, outcome_words, render, strike_group
from kneeline.report.words import estimate, interval
from kneeline.tables import Row

SPLINE, CUT = "_spline", "_crude_distance_cut"  # how the models' names end
SPAN = (0.05, 20.0)  # of ratios; what lies beyond is cut off, and the caption says so
SCALES = {
    "odds_ratio": "odds ratio of a higher",
    "mean_ratio": "ratio of geometric means of",
    "mean_difference": "difference of mean",
}
MEASURED = {"log_fluid_ml": "fluid_ml"}  # the column that an outcome is made of
VALUE_NAMES = {"log_fluid_ml": "joint fluid (mL)", "signal_grade": "grade", "effusion_grade": "grade"}
Value = tuple[float, float, str]
_LOOKS = (
    ("linear", "straight line", ORANGE, (0, (5, 2))),
    ("spline", "restricted cubic spline", BLUE, "solid"),
)


@dataclass(frozen=True)
class Dose:
    """An outcome's figure, or none and the reason."""

    outcome: str
    plot: str | None
    caption: str


def dose_figures(found: Results, config: Mapping[str, Any]) -> list[Dose]:
    """One entry an outcome that has a spline model, estimated or refused, in the order of ESTIMATES."""
    spline = [row for row in found[tables.ESTIMATES] if row["model"].endswith(SPLINE)]
    curves = found[tables.DOSE_RESPONSE]
    entries = []
    for k, outcome in enumerate(dict.fromkeys(row["outcome"] for row in [*spline, *curves])):
        name = outcome_words(outcome)
        points = [row for row in curves if row["outcome"] == outcome]
        beside = _cut_words(found[tables.ESTIMATES], outcome)
        if not points:
            reasons = dict.fromkeys(row["reason"] for row in spline if row["outcome"] == outcome and row["reason"])
            why = "; ".join(reasons) or "no reason was given"
            entries.append(
                Dose(name, None, f"{name[:1].upper()}{name[1:]}: no curve, refused ({why}). {beside}".strip())
            )
            continue
        knees = modelled_knees(found.analysed, outcome, config["analysis"]["adjustment"]["main"])
        what = SCALES[points[0]["scale"]]
        title = f"Adjusted {what} {name} along weekly distance, straight and as a spline"
        column = MEASURED.get(outcome, outcome)
        values = [(row["weekly_distance_km"], row[column], strike_group(row)) for row in knees]
        cut = config["analysis"]["distance_cut_km"]
        plot = plot_dose(points, values, cut, f"dose-{k}-{outcome}", title, VALUE_NAMES.get(outcome, name))
        entries.append(Dose(name, plot, f"{_caption(points, name)} {beside}".strip()))
    return entries


def modelled_knees(knees: Sequence[Row], outcome: str, adjust: Sequence[str]) -> list[Row]:
    """The knees that are complete for the adjusted model."""
    # A covariate that is recorded of nobody was left out of the model.
    recorded = [name for name in adjust if any(row.get(name) is not None for row in knees)]
    needed = ("strike_style", "weekly_distance_km", *recorded)
    known = [row for row in knees if all(row.get(name) is not None for name in needed)]
    if outcome == "log_fluid_ml":
        known = [row for row in known if row.get("pouch_in_view") and row.get("fluid_in_view") is not False]
    return [row for row in known if row.get(MEASURED.get(outcome, outcome)) is not None]


def plot_dose(
    points: Sequence[Row], values: Sequence[Value], cut_km: float, name: str, title: str, value_name: str
) -> str:
    """Both curves with 95 % bands (ratios on a log axis), the cut as a dashed line, and below them the data.

    Parameters
    ----------
    points
        Rows of DOSE_RESPONSE of one outcome.
    values
        Weekly distance (km), outcome and strike group of each knee in the model.
    """

    ratio_scale = points[0]["scale"] != "mean_difference"

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.09, 0.46, 0.87, 0.47))
        data = figure.add_axes((0.09, 0.11, 0.87, 0.29), sharex=axes)
        if ratio_scale:
            axes.set_yscale("log")
            axes.set_ylim(*SPAN)
            axes.minorticks_off()
            ticks = (0.1, 0.25, 0.5, 1, 2, 4, 10)
            axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
            for tick in ticks:
                axes.axhline(tick, color=GRID, linewidth=0.6, zorder=0)
        else:
            axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.axhline(1 if ratio_scale else 0, color=SOFT, linewidth=1, zorder=1)
        for shape, text, colour, dashes in _LOOKS:
            rows = sorted((row for row in points if row["shape"] == shape), key=lambda row: row["weekly_distance_km"])
            km, ratio, low, high = (
                np.array([np.nan if row[column] is None else row[column] for row in rows])
                for column in ("weekly_distance_km", "estimate", "ci_low", "ci_high")
            )
            axes.fill_between(km, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(km, ratio, color=colour, linewidth=2, linestyle=dashes, label=text, gid=f"{shape}-curve")
        axes.axvline(cut_km, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"{cut_km:g} km", (cut_km, 1), xycoords=("data", "axes fraction"), xytext=(4, -10),
            textcoords="offset points", color=SOFT, fontsize=9.5,
        )  # fmt: skip
        _draw_data(data, values, value_name)
        data.axvline(cut_km, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(left=0)
        axes.tick_params(axis="x", labelbottom=False)
        data.set_xlabel("weekly distance (km)")
        what = _short(points[0]["scale"])
        axes.set_ylabel(f"{what}, log scale" if ratio_scale else what)
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, fontsize=9.5)

    return render(name, title, 680, 410, draw)


def _draw_data(axes, values: Sequence[Value], name: str) -> None:
    """A mark a knee; knees of one grade are spread up and down, in the order of their distance, so that none hides."""
    graded = all(float(value).is_integer() for _, value, _ in values) and max((v for _, v, _ in values), default=0) <= 8
    for group, (marker, colour) in STRIKE_LOOKS.items():
        chosen = sorted((km, value) for km, value, strike in values if strike == group)
        if not chosen:
            continue
        spread = [0.11 * (k % 5 - 2) if graded else 0.0 for k in range(len(chosen))]
        face = {"facecolor": colour} if marker != "x" else {"color": colour}
        axes.scatter(
            [km for km, _ in chosen], [value + more for (_, value), more in zip(chosen, spread, strict=True)],
            s=20 if len(values) <= 300 else 8, marker=marker, linewidth=0.8, alpha=0.75, label=group,
            gid=f"data-{group.replace(' ', '-')}",
            **face,
        )  # fmt: skip
    if graded:
        top = int(max((value for _, value, _ in values), default=0))
        axes.set_ylim(-0.5, max(top, 1) + 0.5)
        axes.set_yticks(range(max(top, 1) + 1))
    else:
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", nbins=4)
    axes.set_ylabel(name)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            ncols=3, loc="upper right", bbox_to_anchor=(1, 1.16), borderaxespad=0, fontsize=9, handletextpad=0.2
        )


def _caption(points: Sequence[Row], name: str) -> str:
    first = points[0]
    beyond = first["scale"] != "mean_difference" and any(
        row["ci_low"] < SPAN[0] or row["ci_high"] > SPAN[1] for row in points if row["ci_low"] is not None
    )
    return (
        f"Weekly distance against {name}: adjusted {SCALES[first['scale']]} {name}, against "
        f"{first['reference_km']:g} km a week; bands are pointwise 95 % intervals"
        f"{', cut off at the edge of the figure' if beyond else ''}; {first['n_participants']} runners, "
        f"{first['n_knees']} knees, each a mark below. Where marks are few the curves rest on little."
    )


def _cut_words(estimates: Sequence[Row], outcome: str) -> str:
    """What the cut alone says, in a sentence; nothing if it was not asked."""
    row = next((r for r in estimates if r["model"].endswith(CUT) and r["outcome"] == outcome), None)
    if row is None:
        return ""
    if row["status"] == "refused":
        return f"The cut alone was refused ({row['reason']})."
    what = _short(row["scale"])
    return (
        f"The cut alone (at and above it against below, not adjusted): {what} {estimate(row['estimate'])} "
        f"({interval(row['ci_low'], row['ci_high'])})."
    )


def _short(scale: str) -> str:
    return SCALES[scale].removesuffix(" of a higher").removesuffix(" of")
