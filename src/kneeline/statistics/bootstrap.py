"""Cluster bootstrap: whole runners are drawn with replacement, their knees come along. Intervals by BCa.

Efron 1987 (bias-corrected and accelerated interval). Runners are put into an order that depends on what is known of
them, not on their names or rows, so that neither changes an interval.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from kneeline.errors import Refusal

# More replicates than this share in which a quantity is not defined, and their quantiles say nothing about it.
MOST_UNDEFINED = 0.01
# Draws are made in blocks of about so many numbers, so that memory does not grow with the number of replicates.
BLOCK = 250_000


def draws(n_runners: int, n_replicates: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks (b, n_runners) of how often each runner is drawn; the rows of all blocks are the replicates."""
    rng = np.random.default_rng(seed)
    shares = np.full(n_runners, 1 / n_runners)
    size = max(1, BLOCK // n_runners)
    for start in range(0, n_replicates, size):
        yield rng.multinomial(n_runners, shares, min(size, n_replicates - start)).astype(float)


def canonical_order(*columns: np.ndarray) -> np.ndarray:
    """Order (n,) of the rows by their content: columns (n,) or (n, k), compared one after another, missing last."""
    table = np.column_stack([np.asarray(column, dtype=float) for column in columns])
    return np.lexsort(table.T[::-1])


def bca_interval(
    estimate: float, replicates: np.ndarray, influence: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """BCa interval of an estimate.

    Parameters
    ----------
    replicates
        The same quantity in each resample (b,), nan where it is not defined.
    influence
        How much each runner pulls at the estimate (n,), on any scale; gives the acceleration.

    Raises
    ------
    Refusal
        `undefined` when more than MOST_UNDEFINED of the replicates are not defined, `bootstrap_lopsided` when all lie
        on one side of the estimate.
    """
    defined = replicates[np.isfinite(replicates)]
    lost = len(replicates) - len(defined)
    if lost > MOST_UNDEFINED * len(replicates):
        raise Refusal("undefined", f"not defined in {lost} of {len(replicates)} resamples of the runners")
    # Ties with the estimate count half, as counts of few runners tie often.
    below = float(np.mean(defined < estimate) + np.mean(np.isclose(defined, estimate, rtol=1e-12, atol=0)) / 2)
    if not 0 < below < 1:
        raise Refusal("bootstrap_lopsided", "every resample of the runners lies on the same side of the estimate")
    bias = stats.norm.ppf(below)
    ends = bias + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    shares = stats.norm.cdf(bias + ends / (1 - acceleration(influence) * ends))
    low, high = np.quantile(defined, shares)
    return float(low), float(high)


def acceleration(influence: np.ndarray) -> float:
    """A sixth of the skewness of the influence values (n,); 0 when they are all equal."""
    centred = influence - influence.mean()
    squares = float(centred @ centred)
    return float((centred**3).sum() / (6 * squares**1.5)) if squares > 0 else 0.0
