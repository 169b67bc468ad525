"""The outcomes that the models know: what a knee's value is, what kind it is, and why it may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kneeline.tables import Row

# Volumes below this are at the limit of what a voxel count can tell; their logarithm would rule the fit.
SMALLEST_FLUID_ML = 0.1


@dataclass(frozen=True)
class Outcome:
    """`graded`: 0 to 3 or 4, for the cumulative logit and, from grade 1 on, for the yes-or-no models. `logarithm`: for
    the linear model. `sum`: a score, for the one or the other by the number of its values (`families.MOST_LEVELS`)."""

    name: str
    kind: Literal["graded", "logarithm", "sum"]
    missing: str  # why a knee may not have it


_EXPERIMENTAL = "no reader graded every part, and the machine's experimental grades count only if the config says so"
OUTCOMES = {
    outcome.name: outcome
    for outcome in (
        Outcome(
            "signal_grade",
            "graded",
            "a knee with an ungraded meniscal region has no grade of its own unless another is grade 3",
        ),
        Outcome("effusion_grade", "graded", "no depth could be measured, or the pouch is cut off"),
        Outcome(
            "log_fluid_ml",
            "logarithm",
            "the pouch or another recess is cut off, the volume would be too small",
        ),
        Outcome("cartilage_grade", "graded", _EXPERIMENTAL),
        Outcome("marrow_grade", "graded", _EXPERIMENTAL),
        Outcome("total_lesion_score", "sum", "a structure that it adds up was not graded"),
    )
}


def outcome_value(knee: Row, outcome: str) -> float | None:
    """A knee's outcome; `log_fluid_ml` is missing when a recess is cut off, since the volume is then too small."""
    if outcome != "log_fluid_ml":
        return knee[outcome]
    if knee["fluid_ml"] is None or knee["pouch_in_view"] is not True or knee.get("fluid_in_view") is False:
        return None
    return float(np.log(max(knee["fluid_ml"], SMALLEST_FLUID_ML)))
