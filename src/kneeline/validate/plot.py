"""The reliability plot: what was promised (across) against what was true (up), a panel a structure."""

from __future__ import annotations

import io
from collections.abc import Sequence

from kneeline.labels import Label
from kneeline.validate.groups import structures
from kneeline.validate.measure import STRUCTURES, Case
from kneeline.validate.reliability import pool

BLUE, ORANGE, SOFT = "#2b7bb9", "#d55e00", "#8a8f94"
_COLUMNS, _ROWS = 4, 3  # eleven structures and the legend
_LARGEST, _SMALLEST = 90.0, 6.0  # area of a bin's dot, points squared: all of the volume, and next to none


def reliability_svg(cases: Sequence[Case]) -> str:
    """A stand-alone SVG; the same cases give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {"svg.hashsalt": "reliability", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 8}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(9, 7), layout="constrained", facecolor="white")
        panels = figure.subplots(_ROWS, _COLUMNS, sharex=True, sharey=True).ravel()
        for axes, label in zip(panels, STRUCTURES, strict=False):
            _panel(axes, label, [case for case in cases if case.found])
        _legend(panels[-1], panels[0])
        for axes in panels[_COLUMNS * (_ROWS - 1) - 1 : -1]:
            axes.tick_params(labelbottom=True)
        figure.supxlabel("promised: probability of voxels, or confidence of the structure", fontsize=9)
        figure.supylabel("true: share of voxels, or Dice", fontsize=9)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _panel(axes, label: Label, cases: list[Case]) -> None:
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot((0, 1), (0, 1), color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_title(label.label_name.replace("_", " "), fontsize=8.5)
    knees = [s for s in structures(cases, label) if s.confidence is not None]
    axes.scatter(
        [s.confidence for s in knees], [s.dice for s in knees], s=9, color=ORANGE, alpha=0.6, linewidth=0, zorder=3,
        label="a knee: confidence and Dice",
    )  # fmt: skip
    voxels = pool(case.found.reliability[label] for case in cases if label in case.found.reliability)
    if voxels:
        promised, right, share = voxels.points().T
        axes.plot(promised, right, color=BLUE, linewidth=1, zorder=1)
        area = _SMALLEST + (_LARGEST - _SMALLEST) * share
        axes.scatter(
            promised, right, s=area, color=BLUE, alpha=0.85, linewidth=0, zorder=2,
            label="voxels of all knees, in ten bins;\narea: share of the volume",
        )  # fmt: skip
        error = f"ECE {voxels.expected_calibration_error:.3f}"
        axes.text(0.98, 0.03, error, transform=axes.transAxes, ha="right", fontsize=8, color="#404448")


def _legend(axes, source) -> None:
    axes.set_axis_off()
    handles, names = source.get_legend_handles_labels()
    if handles:
        axes.legend(handles[::-1], names[::-1], loc="center", frameon=False, fontsize=8, borderaxespad=0)
