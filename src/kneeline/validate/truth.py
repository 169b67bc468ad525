"""What a perfect machine would answer about a simulated knee, in the columns of the score tables.

Signal is as it was planted: grade, volume, extent and distance to the surface of each region's lesion. Everything
else is a matter of shape: what the simulator measured itself, and for the rest the score tables' own definitions on the
knee's fine grid, where no slice is thick and no outline is in doubt.
"""

from __future__ import annotations

from dataclasses import replace

from kneeline import grading
from kneeline.score.run import Scores, score_knee
from kneeline.simulate.knee import SimulatedKnee, Truth
from kneeline.tables import Row

# Columns that signal decides; on labels alone they mean nothing.
_OF_SIGNAL = (
    "signal_ratio", "hyperintense_mm3", "hyperintense_pct", "signal_extent_mm", "signal_shape",
    "surface_distance_mm", "superior_distance_mm", "inferior_distance_mm", "surface", "surface_slices", "t2_ms",
    "flags",
)  # fmt: skip


def true_scores(knee: SimulatedKnee) -> Scores:
    shapes = score_knee(knee.labels, knee.labels, knee.parameters.laterality)
    return replace(
        shapes,
        meniscus=[_planted(row, knee.truth) for row in shapes.meniscus],
        effusion=_filled(shapes.effusion, knee.truth),
    )


def _filled(row: Row, truth: Truth) -> Row:
    """The fluid's row, with the simulator's own figures where it has them, and graded by them."""
    row = {name: getattr(truth, name, value) for name, value in row.items()}
    return row | {
        "effusion_grade": grading.grade_effusion_depth(row["midline_depth_mm"], row["lateral_depth_mm"]),
        "effusion_grade_volume": grading.grade_effusion_volume(row["fluid_ml"]),
    }


def _planted(row: Row, truth: Truth) -> Row:
    """A region's row with its lesion in place of what scoring makes of labels without an image."""
    row = row | dict.fromkeys(_OF_SIGNAL) | {"signal_grade": truth.grade(row["meniscus"], row["region"])}
    for lesion in truth.lesions:
        if (lesion.meniscus, lesion.region) == (row["meniscus"], row["region"]):
            row |= {
                "hyperintense_mm3": lesion.volume_mm3,
                "signal_extent_mm": lesion.extent_mm,
                "surface_distance_mm": lesion.surface_distance_mm,
            }
    return row
