"""p-values when several questions are asked of the same data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from statsmodels.stats.multitest import multipletests

from kneeline.cohort.settings import Settings
from kneeline.tables import Row


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values: the chance of any false positive stays below the level. For co-primary outcomes.

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    return _adjust(p_values, "holm")


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg-adjusted p-values: the expected share of false ones among the positives. For exploration.

    >>> [round(p, 6) for p in benjamini_hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    return _adjust(p_values, "fdr_bh")


def adjust_p_values(rows: Sequence[Row], settings: Settings) -> None:
    """Fill in `p_adjusted` of ESTIMATES: Holm for co-primary outcomes, Benjamini-Hochberg for the secondary ones.

    Only the strike and distance contrasts of the adjusted and the interaction models count: the crude, the binary and
    the other models ask the same questions again. Holm goes over the outcomes, contrast by contrast, if there are
    co-primary outcomes; a single primary outcome was decided on beforehand and needs no correction.
    """
    families = ("cumulative_logit", "linear")
    models = {f"{family}_{name}": name for family in families for name in ("adjusted", "interaction")}
    asked = [
        row
        for row in rows
        if row["model"] in models and row["term"] in settings.contrasts and row.get("p_value") is not None
    ]
    secondary = [row for row in asked if settings.role(row["outcome"]) == "secondary"]
    _fill(secondary, benjamini_hochberg)
    if settings.co_primary:
        leading = [row for row in asked if row not in secondary]
        for question in {(models[row["model"]], row["term"]) for row in leading}:
            _fill([row for row in leading if (models[row["model"]], row["term"]) == question], holm)


def _fill(rows: Sequence[Row], adjust: Callable[[Sequence[float]], list[float]]) -> None:
    for row, p in zip(rows, adjust([row["p_value"] for row in rows]), strict=True):
        row["p_adjusted"] = p


def _adjust(p_values: Sequence[float], method: str) -> list[float]:
    return [float(p) for p in multipletests(p_values, method=method)[1]] if len(p_values) else []
