"""The validation appendix: figures, statistics and a line a knee, machine against simulated truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from kneeline.report import plots, words
from kneeline.report.agreement_plots import plot_differences
from kneeline.report.validation import REGIONS, Validation
from kneeline.report.views import Cell, fixed, grade_cell, ml, view
from kneeline.statistics.agreement import ValueAgreement
from kneeline.tables import MISSING


def validation_block(checked: Validation) -> dict[str, Any]:
    """Figures, statistics and the table by knee of the validation appendix."""
    return {
        "n_true": checked.n_true,
        "n_compared": checked.n_compared,
        "n_side_right": checked.n_side_right,
        "figures": [
            *((a.name, plots.plot_confusion(a, f"confusion-{k}")) for k, a in enumerate(checked.grades)),
            *((a.name, plots.plot_volumes(a, f"volumes-{k}")) for k, a in enumerate(checked.volumes) if a.n),
        ],
        "differences": [(a.name, _differences(a, k)) for k, a in enumerate(checked.volumes) if a.limit_low is not None],
        "grades": view(
            "Grades, predicted against true",
            [
                ("what", lambda a: a.name),
                ("pairs", lambda a: a.n),
                ("without a prediction", lambda a: a.n_missing),
                ("exact", lambda a: Cell(words.percent(a.exact), True)),
                ("within one grade", lambda a: Cell(words.percent(a.within_one), True)),
                ("quadratic-weighted kappa", lambda a: fixed(a.kappa, ".2f")),
                ("95 % interval", lambda a: Cell(_two(a.ci_low, a.ci_high, ".2f"), True)),
            ],
            checked.grades,
        ),
        "volumes": view(
            "Volumes, predicted minus true",
            [
                ("what", lambda a: f"{a.name} ({a.unit})"),
                ("knees", lambda a: a.n),
                ("without a prediction", lambda a: a.n_missing),
                ("mean true", lambda a: sum(a.true) / a.n if a.n else None),
                ("bias", lambda a: fixed(a.bias, _form(a.unit))),
                ("95 % interval", lambda a: Cell(_two(a.bias_low, a.bias_high, _form(a.unit)), True)),
                ("95 % limits of agreement", lambda a: Cell(_two(a.limit_low, a.limit_high, _form(a.unit)), True)),
            ],
            checked.volumes,
        ),
        "knees": view(
            "Each simulated knee",
            [
                ("scan", lambda k: Cell(k["scan_id"], kind="id")),
                ("contrast", lambda k: k["contrast"]),
                ("slice (mm)", lambda k: k["slice_thickness_mm"]),
                ("side true", lambda k: k["true_side"]),
                ("found", lambda k: k["found_side"]),
                ("knee grade true", lambda k: grade_cell(k["true_knee"])),
                ("found", lambda k: grade_cell(k["found_knee"])),
                ("regions right", lambda k: Cell(f"{k['n_right']} of {len(REGIONS)}" if k["compared"] else MISSING)),
                ("fluid true (mL)", lambda k: fixed(k["true_ml"], ".1f")),
                ("found (mL)", lambda k: fixed(k["found_ml"], ".1f")),
                ("medial true (mL)", lambda k: fixed(ml(k["true_medial"]), ".2f")),
                ("found (mL)", lambda k: fixed(ml(k["found_medial"]), ".2f")),
                ("lateral true (mL)", lambda k: fixed(ml(k["true_lateral"]), ".2f")),
                ("found (mL)", lambda k: fixed(ml(k["found_lateral"]), ".2f")),
                ("not compared because", lambda k: k["why_not"] or ""),
            ],
            checked.knees,
        ),
    }


def _differences(a: ValueAgreement, k: int) -> str:
    """Found less true against their mean."""
    lines = ((a.bias, a.bias_low, a.bias_high), (a.limit_low, None, None), (a.limit_high, None, None))
    what = f"{a.name} ({a.unit})"
    pairs = np.column_stack([a.predicted, a.true])
    return plot_differences(pairs, lines, what, f"differences-true-{k}", what, "found less true")


def _form(unit: str) -> str:
    return ".2f" if unit == "mL" else ".0f"


def _two(low: float | None, high: float | None, form: str) -> str:
    return MISSING if low is None or high is None else f"{low:{form}} to {high:{form}}".replace("-", "−")
