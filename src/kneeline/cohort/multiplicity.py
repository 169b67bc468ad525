"""p-values when several questions are asked of the same data."""

from __future__ import annotations

from collections.abc import Sequence

from statsmodels.stats.multitest import multipletests


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


def _adjust(p_values: Sequence[float], method: str) -> list[float]:
    return [float(p) for p in multipletests(p_values, method=method)[1]] if len(p_values) else []
