"""Exact and rank tests for small counts: 2x2 tables, paired changes, ordered groups.

A 2x2 table is [[a, b], [c, d]]: first row the exposed, first column those with the finding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from kneeline.statistics.intervals import wilson

TwoByTwo = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Effect:
    """A point estimate with its 95 % interval and two-sided p-value; an end may be infinite, p may be missing."""

    estimate: float
    low: float
    high: float
    p_value: float | None = None


def binomial_p(count: int, n: int, share: float = 0.5) -> float:
    """Exact two-sided binomial p-value (method of small p-values)."""
    return float(stats.binomtest(count, n, share).pvalue)


def fisher_p(table: Sequence[Sequence[int]]) -> float:
    """Fisher's exact test, two-sided: the probability of all tables with these margins that are no likelier.

    2x2 by scipy; larger ones column by column over the row sums that are left (Mehta and Patel 1983), the last two
    columns together. Tables of the size that studies of runners have: some hundred in all, up to about 4x4.

    >>> round(fisher_p([[6, 7], [4, 9]]), 6)
    0.688168
    """
    table = np.asarray(table, dtype=int)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return 1.0
    if table.shape == (2, 2):
        return float(stats.fisher_exact(table)[1])
    # Few rows: what is left of the rows is the state.
    table = table if table.shape[0] <= table.shape[1] else table.T
    rows, columns = table.sum(axis=1), np.sort(table.sum(axis=0))
    log_factorial = special.gammaln(np.arange(table.sum() + 1) + 1)
    # A table's log probability is `constant` less the log factorials of its cells.
    constant = log_factorial[rows].sum() + log_factorial[columns].sum() - log_factorial[-1]
    bound = log_factorial[table].sum() - 1e-7
    ways = {tuple(rows.tolist()): (np.zeros(1), np.ones(1))}
    for size in columns[:-2]:
        ways = _add_column(ways, int(size), log_factorial)
    total = 0.0
    for left, (costs, counts) in ways.items():
        cells = _columns_of(left, int(columns[-2]))
        last_two = np.sort((log_factorial[cells] + log_factorial[np.array(left) - cells]).sum(axis=1))
        beyond = np.append(np.cumsum(np.exp(constant - last_two)[::-1])[::-1], 0.0)
        total += float(counts * np.exp(-costs) @ beyond[np.searchsorted(last_two, bound - costs)])
    return min(total, 1.0)


Ways = dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]]


def _add_column(ways: Ways, size: int, log_factorial: np.ndarray) -> Ways:
    """Row sums left -> the costs (k,) of the columns so far, equal ones once, and how many ways cost so much (k,)."""
    grown: dict[tuple[int, ...], list] = {}
    for left, (costs, counts) in ways.items():
        for cells in _columns_of(left, size):
            after = tuple((np.array(left) - cells).tolist())
            grown.setdefault(after, []).append((costs + log_factorial[cells].sum(), counts))
    merged = {}
    for after, parts in grown.items():
        costs = np.concatenate([part[0] for part in parts])
        unique, first, place = np.unique(np.round(costs, 9), return_index=True, return_inverse=True)
        merged[after] = costs[first], np.bincount(place, np.concatenate([part[1] for part in parts]), len(unique))
    return merged


def _columns_of(left: Sequence[int], size: int) -> np.ndarray:
    """Every column (m, rows) of the given sum whose cells do not exceed what is left of the rows."""
    *head, last = (np.arange(n + 1) for n in left)
    cells = np.stack(np.meshgrid(*head, indexing="ij"), axis=-1).reshape(-1, len(head))
    rest = size - cells.sum(axis=1)
    fits = (rest >= 0) & (rest <= last[-1])
    return np.column_stack([cells[fits], rest[fits]])


def _log_choose(n, k):
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)


def sample_odds_ratio(table: TwoByTwo) -> Effect:
    """ad / bc with Wald interval and p-value on the log scale; infinite or zero with a zero cell."""
    (a, b), (c, d) = table
    if 0 in (a, b, c, d):
        estimate = math.inf if b * c == 0 and a * d else 0.0 if a * d == 0 and b * c else math.nan
        return Effect(estimate, 0.0, math.inf)
    log_or, se = math.log(a * d / (b * c)), math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    z = stats.norm.ppf(0.975)
    p_value = 2 * stats.norm.sf(abs(log_or) / se)
    return Effect(math.exp(log_or), math.exp(log_or - z * se), math.exp(log_or + z * se), float(p_value))


def conditional_odds_ratio(table: TwoByTwo) -> Effect:
    """Conditional maximum-likelihood odds ratio, its exact interval, Fisher's p.

    >>> [round(value, 5) for value in vars(conditional_odds_ratio([[6, 7], [4, 9]])).values()]
    [1.87976, 0.29998, 13.10864, 0.68817]
    """
    result = stats.contingency.odds_ratio(np.asarray(table, dtype=int), kind="conditional")
    interval = result.confidence_interval(0.95)
    return Effect(float(result.statistic), float(interval.low), float(interval.high), fisher_p(table))


def midp_odds_ratio(table: TwoByTwo) -> Effect:
    """Median-unbiased odds ratio with mid-p interval: less conservative than the exact one.

    The estimate makes P(X < x) + P(X = x)/2 one half, the ends make it 0.025 and 0.975; X is the upper left cell given
    the margins. The p-value is twice the smaller mid-p tail at an odds ratio of 1.
    """
    (a, b), (c, d) = table
    row, column, other = a + b, a + c, c + d
    support = np.arange(max(0, column - other), min(row, column) + 1)
    log_weight = _log_choose(row, support) + _log_choose(other, column - support)

    def midp_below(log_or: float) -> float:
        log_p = log_weight + support * log_or
        share = np.exp(log_p - special.logsumexp(log_p))
        return float(share[support < a].sum() + 0.5 * share[support == a].sum())

    def solve(target: float, at_edge: float) -> float:
        # With `a` at an end of its support one tail stays on one side of a half: that end of the interval is open.
        if (midp_below(-60) - target) * (midp_below(60) - target) >= -1e-12:
            return at_edge
        return math.exp(optimize.brentq(lambda t: midp_below(t) - target, -60, 60, xtol=1e-12))

    if len(support) == 1:
        return Effect(math.nan, 0.0, math.inf, 1.0)
    tail = midp_below(0.0)
    estimate = solve(0.5, math.inf if a == support[-1] else 0.0)
    return Effect(estimate, solve(0.975, 0.0), solve(0.025, math.inf), min(1.0, 2 * min(tail, 1 - tail)))


def risk_difference(table: TwoByTwo) -> Effect:
    """Difference of the two row proportions with Newcombe's interval (his method 10: Wilson ends combined)."""
    (a, b), (c, d) = table
    p1, p2 = a / (a + b), c / (c + d)
    one, two = wilson(a, a + b), wilson(c, c + d)
    low = p1 - p2 - math.hypot(p1 - one.low, two.high - p2)
    high = p1 - p2 + math.hypot(one.high - p1, p2 - two.low)
    return Effect(p1 - p2, low, high)


def sign_test_p(up: int, down: int) -> float:
    """Exact sign test of paired changes, unchanged pairs dropped; for yes/no findings this is exact McNemar.

    >>> sign_test_p(5, 0), sign_test_p(5, 1)
    (0.0625, 0.21875)
    """
    return 1.0 if up + down == 0 else binomial_p(up, up + down)


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon signed-rank test: rank sum of the increases, p-values two-sided, one-sided for an increase."""

    v: float
    exact_p: float
    exact_p_greater: float
    z: float
    asymptotic_p: float
    z_without_ties: float
    asymptotic_p_without_ties: float


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """Wilcoxon signed-rank test of paired differences; zeros dropped, tied sizes share their mean rank.

    Exact: all 2**n signs of the observed (mid-)ranks. Asymptotic: no continuity correction, variance with and without
    the correction for ties. Raises ValueError when every difference is zero.
    """
    kept = np.array([value for value in differences if value != 0], dtype=float)
    if not len(kept):
        raise ValueError("expected a non-zero difference; all are zero")
    n, ranks = len(kept), stats.rankdata(np.abs(kept))
    v = float(ranks[kept > 0].sum())
    # Doubled mid-ranks are whole numbers, so that the null distribution is a polynomial product.
    ways = np.ones(1)
    for doubled in np.rint(2 * ranks).astype(int):
        grown = np.zeros(len(ways) + doubled)
        grown[: len(ways)] += ways
        grown[doubled:] += ways
        ways = grown / 2
    at = round(2 * v)
    upper, lower = float(ways[at:].sum()), float(ways[: at + 1].sum())
    mean, variance = n * (n + 1) / 4, n * (n + 1) * (2 * n + 1) / 24
    sizes = np.unique(ranks, return_counts=True)[1]
    z = (v - mean) / math.sqrt(variance - float((sizes**3 - sizes).sum()) / 48)
    z_plain = (v - mean) / math.sqrt(variance)
    exact_p = min(1.0, 2 * min(upper, lower))
    return SignedRank(v, exact_p, upper, z, _two_sided(z), z_plain, _two_sided(z_plain))


@dataclass(frozen=True)
class RankSum:
    """Wilcoxon rank-sum test of two groups: Mann-Whitney count of the first, p-values two-sided."""

    w: float
    asymptotic_p: float
    exact_p: float


def rank_sum(first: Sequence[float], second: Sequence[float]) -> RankSum:
    """Wilcoxon rank-sum test with ties: W counts pairs in which the first is larger (ties half).

    Asymptotic: tie-corrected variance, no continuity correction. Exact: permutation distribution of the observed
    mid-ranks, by counting; two-sided as P(|W - mean| >= observed).
    """
    m, n = len(first), len(second)
    ranks = stats.rankdata([*first, *second])
    w = float(ranks[:m].sum()) - m * (m + 1) / 2
    sizes = np.unique(ranks, return_counts=True)[1]
    total = m + n
    variance = m * n / 12 * (total + 1 - float((sizes**3 - sizes).sum()) / (total * (total - 1)))
    z = 0.0 if variance == 0 else (w - m * n / 2) / math.sqrt(variance)
    doubled = np.rint(2 * ranks).astype(int)
    ways = np.zeros((m + 1, int(doubled.sum()) + 1))
    ways[0, 0] = 1
    for rank in doubled:
        for size in range(m, 0, -1):
            ways[size, rank:] += ways[size - 1, : ways.shape[1] - rank]
    sums = np.arange(ways.shape[1]) / 2 - m * (m + 1) / 2
    far = np.abs(sums - m * n / 2) >= abs(w - m * n / 2) - 1e-9
    return RankSum(w, _two_sided(z), float(ways[m, far].sum() / ways[m].sum()))


def _two_sided(z: float) -> float:
    return float(2 * stats.norm.sf(abs(z)))
