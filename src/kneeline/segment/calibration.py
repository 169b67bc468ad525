"""How often a label is right where the network gives it a certain probability.

A network's probabilities rank voxels, they do not count errors. For each class the log-odds are stretched and
shifted (Platt), q = sigmoid(slope * logit(p) + offset), so that of the voxels labelled with q = 0.8 eight in ten are
right: on simulated knees, with the network whose digest stands in the table. `python -m
kneeline.segment.training.calibrate` fits the table anew; a new network needs it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from kneeline.segment.classes import CERTAIN, Class
from kneeline.segment.preprocess import Slices

TABLE = Path(__file__).parent / "calibration.json"
# Probabilities nearer to 0 or 1 than this count as this, in the fit and afterwards: what is rarer cannot be checked on
# the few simulated knees of the fit.
_LEAST = 5e-4
LOG_ODDS_RANGE = tuple(float(np.log(p / (1 - p))) for p in (_LEAST, 1 - _LEAST))


@dataclass(frozen=True)
class Calibration:
    """`slope` and `offset` of the log-odds of each class, in the order of Class."""

    network_sha256: str
    slope: np.ndarray
    offset: np.ndarray

    def apply(self, probability: np.ndarray, classes: np.ndarray | Class) -> np.ndarray:
        """Probability that a label is right, float32, where `classes` was given with the network's `probability`."""
        p = np.clip(np.asarray(probability, np.float32), _LEAST, 1 - _LEAST)
        score = np.log(p / (1 - p)) * self.slope[classes] + self.offset[classes]
        return 1 / (1 + np.exp(-score))


def parse(text: str) -> Calibration:
    content = json.loads(text)
    pairs = np.array([content["classes"][cls.name.lower()] for cls in Class], np.float32)
    return Calibration(content["network_sha256"], pairs[:, 0], pairs[:, 1])


@lru_cache(maxsize=1)
def shipped() -> Calibration:
    """The table that goes with the shipped network."""
    return parse(TABLE.read_text(encoding="utf-8"))


def probability_of_given(slices: Slices, probability: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The network's own probability, float32, of the class that each voxel of the image was given.

    Where clean-up overruled the network this is low, and should be.

    Parameters
    ----------
    probability
        (n, classes, H, W) at the network's pixels, in parts of CERTAIN.
    given
        (n, h, w) classes at the image's own pixels, canonical orientation.
    """
    out = np.empty(given.shape, np.float32)
    for found, plane, labelled in zip(out, probability, given, strict=True):
        for cls in np.unique(labelled):
            fine = (slices.to_columns @ (slices.to_rows @ plane[cls].astype(np.float32)).T).T
            where = labelled == cls
            found[where] = fine[where] / CERTAIN
    return out


def certainty(slices: Slices, probability: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Calibrated probability, float32, that each voxel's class is right; arguments as in `probability_of_given`."""
    return shipped().apply(probability_of_given(slices, probability, given), given)
