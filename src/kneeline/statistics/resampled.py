"""Intervals of statistics that are functions of sums over runners: a resample of runners is then a weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from kneeline.errors import Refusal
from kneeline.statistics.bootstrap import bca_interval, canonical_order, draws

# Sums over runners (..., f) -> values (...), nan where not defined.
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Resampling:
    """How often runners are drawn anew, and from which seed."""

    n: int = 2000
    seed: int = 2006


def sums_by_runner(features: np.ndarray, runners: Sequence) -> np.ndarray:
    """Sums of features (items, f) over each runner's items (runners, f), in an order that their names do not change."""
    members = np.unique(np.asarray(runners), return_inverse=True)[1]
    sums = np.zeros((int(members.max()) + 1, features.shape[1]))
    np.add.at(sums, members, features)
    return sums[content_order(sums)]


def content_order(sums: np.ndarray) -> np.ndarray:
    """Order of the rows (n, f) by content; rounding errors of their sums do not change it."""
    return canonical_order(np.round(sums / np.maximum(np.abs(sums).max(axis=0), 1e-300), 9))


def interval(sums: np.ndarray, statistic: Statistic, resampling: Resampling) -> tuple[float, float]:
    """95 % BCa interval of `statistic(sums.sum(axis=0))`, sums (runners, f) from `sums_by_runner`.

    It is taken at the level that makes up for few runners: the normal quantile grows to sqrt(G / (G - 1)) t on G - 1
    degrees of freedom (Hesterberg 2015, "expanded"); coverage by `bench/agreement_coverage.py`.

    Raises
    ------
    Refusal
        No resamples are wanted; the statistic is often undefined in them; they all lie on one side of it, or all give
        the same.
    """
    if resampling.n == 0:
        raise Refusal("no_bootstrap", "n_bootstrap is 0")
    total = sums.sum(axis=0)
    estimate = float(statistic(total))
    again = np.concatenate([statistic(block @ sums) for block in _blocks(len(sums), resampling)])
    without = statistic(total - sums)
    known = np.isfinite(without)
    pull = np.where(known, without[known].mean() - without, 0.0) if known.any() else np.zeros(len(sums))
    reach = stats.t.ppf(0.975, len(sums) - 1) * (len(sums) / (len(sums) - 1)) ** 0.5
    low, high = bca_interval(estimate, again, pull, level=1 - 2 * float(stats.norm.sf(reach)))
    if high - low < 1e-12:
        raise Refusal("no_spread", "every resample gives the same; see the share of exact agreement")
    return low, high


@lru_cache(maxsize=1)
def _blocks(n_runners: int, resampling: Resampling) -> tuple[np.ndarray, ...]:
    return tuple(draws(n_runners, resampling.n, resampling.seed))
