"""Cluster-robust (sandwich) covariance: runners are independent, their two knees need not be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cluster_covariance(
    inverse_information: np.ndarray, scores: np.ndarray, groups: Sequence, small_sample: bool = True
) -> np.ndarray:
    """Sandwich covariance (k, k) from the inverse observed information (k, k) and per-row scores (n, k).

    Scores are added up within each group first. With `small_sample` the result is multiplied by G / (G - 1), G the
    number of groups; use it with Student's t on G - 1 degrees of freedom. Liang and Zeger 1986.
    """
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = int(members.max()) + 1
    totals = np.zeros((n_groups, scores.shape[1]))
    np.add.at(totals, members, scores)
    covariance = inverse_information @ (totals.T @ totals) @ inverse_information
    return covariance * (n_groups / (n_groups - 1)) if small_sample else covariance
