"""Cluster-robust (sandwich) covariance: runners are independent, their two knees need not be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# An independent direction in which a cluster alone rules the fit (leverage 1) tells nothing about the error.
_FULL_LEVERAGE = 1 - 1e-8
# (1 - x)^(-1/2) as a power series without its 1; for leverages up to the bound it is exact to 2e-11.
_SERIES, _SMALL_LEVERAGE = (1 / 2, 3 / 8, 5 / 16, 35 / 128, 63 / 256), 0.02


def cluster_covariance(
    inverse_information: np.ndarray, scores: np.ndarray, groups: Sequence, small_sample: bool = True
) -> np.ndarray:
    """Sandwich covariance (k, k) from the inverse observed information (k, k) and per-row scores (n, k).

    Scores are added up within each group first. With `small_sample` the result is multiplied by G / (G - 1), G the
    number of groups. Liang and Zeger 1986. With few runners it is too small, also with the factor: use
    `leverage_corrected_covariance` for inference.
    """
    totals = cluster_sums(scores, groups)
    covariance = inverse_information @ (totals.T @ totals) @ inverse_information
    return covariance * (len(totals) / (len(totals) - 1)) if small_sample else covariance


def leverage_corrected_covariance(
    inverse_information: np.ndarray, scores: np.ndarray, roots: np.ndarray, groups: Sequence
) -> np.ndarray:
    """Sandwich covariance (k, k) that is of the right size with few clusters; arguments as in `cluster_influences`.

    Unbiased if the model is true and knees are independent (Bell and McCaffrey 2002 for least squares, Kauermann and
    Carroll 2001 for likelihoods; "CR2"). Use it with Student's t on G - 1 degrees of freedom; docs/calibration.md shows
    what that covers.
    """
    influences = cluster_influences(inverse_information, scores, roots, groups)
    return influences.T @ influences


def cluster_influences(
    inverse_information: np.ndarray, scores: np.ndarray, roots: np.ndarray, groups: Sequence
) -> np.ndarray:
    """How far each cluster draws the estimates (G, k), restored to the size that the fit took from it.

    A fit is drawn towards each cluster, whose score at the estimate is therefore too small; by (1 - leverage), to first
    order, where the leverage of cluster g is its share of the information, I_g I^-1. Each score is multiplied by
    (1 - leverage)^(-1/2).

    Parameters
    ----------
    inverse_information
        (k, k), of the whole data.
    scores, roots
        (n, k) and (n, r, k): gradient of each row's log-likelihood at the estimate, and a root R of its information
        R'R (minus the Hessian). Any common factor of all rows' information cancels.
    """
    # In these coordinates the leverage is a symmetric matrix.
    whiten = np.linalg.cholesky(inverse_information)
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    restored, roots = cluster_sums(scores, members) @ whiten, roots @ whiten
    high = (cluster_sums(np.square(roots).sum(axis=(1, 2)), members) > _SMALL_LEVERAGE)[members]
    for chosen, restore in ((high, _restore_exactly), (~high, _restore_by_series)):
        if chosen.any():
            clusters, within = np.unique(members[chosen], return_inverse=True)
            restored[clusters] = restore(restored[clusters], roots[chosen], within)
    return restored @ whiten.T


def _restore_exactly(scores: np.ndarray, roots: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Scores (G, k) times (1 - leverage)^(-1/2), by the eigenvalues of each cluster's leverage."""
    leverage = cluster_sums(roots.transpose(0, 2, 1) @ roots, members)
    share, axes = np.linalg.eigh(leverage)
    grown = np.where(share < _FULL_LEVERAGE, (1 - np.minimum(share, _FULL_LEVERAGE)) ** -0.5, 0.0)
    along = np.einsum("gij,gi->gj", axes, scores) * grown
    return np.einsum("gij,gj->gi", axes, along)


def _restore_by_series(scores: np.ndarray, roots: np.ndarray, members: np.ndarray) -> np.ndarray:
    """The same for small leverages; a tenth of the time for thousands of clusters."""
    restored, power = scores.copy(), scores
    for coefficient in _SERIES:
        seen = np.einsum("nrk,nk->nr", roots, power[members])
        power = cluster_sums(np.einsum("nrk,nr->nk", roots, seen), members)
        restored += coefficient * power
    return restored


def cluster_sums(values: np.ndarray, groups: Sequence) -> np.ndarray:
    """Sums of the rows (n, ...) of each group, in the sorted order of the groups (G, ...)."""
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    order = np.argsort(members, kind="stable")
    first = np.flatnonzero(np.diff(members[order], prepend=-1))
    return np.add.reduceat(values[order], first, axis=0)
