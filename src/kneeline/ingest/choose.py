"""Which series of a knee is segmented: a score that anyone can add up again, written for every candidate."""

from __future__ import annotations

import numpy as np

# Points for what helps to see menisci, cartilage and fluid from the side. Project decisions: plane decides, then
# contrast (fat-suppressed proton density shows all three), then resolution and coverage.
PLANE = {"sagittal": 40.0}
OTHER_PLANE_CUBIC = 15.0
CONTRAST = {"PDFS": 30.0, "DESS": 27.0, "T2FS": 25.0, "PD": 22.0, "T2": 16.0, "other": 8.0, "T1": 5.0}
PIXEL_POINTS, PIXEL_BEST_MM, PIXEL_WORST_MM = 10.0, 0.3, 1.0
SLICE_POINTS, SLICE_BEST_MM, SLICE_WORST_MM = 10.0, 0.7, 5.0
COVERAGE_POINTS, COVERAGE_BEST_MM, COVERAGE_WORST_MM = 10.0, 100.0, 50.0
DERIVED_PENALTY = -5.0


def score_parts(
    *, plane: str, contrast: str, pixel_mm: float, slice_spacing_mm: float, coverage_mm: float, derived: bool
) -> dict[str, float]:
    """Points by reason; the score is their sum."""
    parts = {
        "plane": PLANE.get(plane, OTHER_PLANE_CUBIC),
        "contrast": CONTRAST[contrast],
        "pixel": _ramp(pixel_mm, PIXEL_WORST_MM, PIXEL_BEST_MM) * PIXEL_POINTS,
        "slice": _ramp(slice_spacing_mm, SLICE_WORST_MM, SLICE_BEST_MM) * SLICE_POINTS,
        "coverage": _ramp(coverage_mm, COVERAGE_WORST_MM, COVERAGE_BEST_MM) * COVERAGE_POINTS,
    }
    if derived:
        parts["derived"] = DERIVED_PENALTY
    return {name: round(value, 2) for name, value in parts.items()}


def format_parts(parts: dict[str, float]) -> str:
    return ",".join(f"{name}={value:g}" for name, value in parts.items())


def _ramp(value: float, worst: float, best: float) -> float:
    """0 at the worst value and beyond, 1 at the best and beyond."""
    return float(np.clip((value - worst) / (best - worst), 0, 1))
