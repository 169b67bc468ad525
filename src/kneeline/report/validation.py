"""Machine against truth, where the truth is known because the knees are simulated.

Grades: confusion matrix and quadratic-weighted kappa, with an interval from resampling knees (six regions of a knee
are not independent). Volumes: bias and 95 % limits of agreement (Bland and Altman 1986).
"""

from __future__ import annotations

from dataclasses import dataclass

from kneeline import grading, tables
from kneeline.report.gather import Results
from kneeline.statistics.agreement import GradeAgreement, ValueAgreement, agree_on_grades, agree_on_values
from kneeline.tables import Row

REGIONS = tuple((m, r) for m in grading.MENISCI for r in grading.REGIONS)


@dataclass(frozen=True)
class Validation:
    """What the appendix shows. `knees` has a row a simulated knee, compared or not."""

    grades: tuple[GradeAgreement, ...]
    volumes: tuple[ValueAgreement, ...]
    knees: tuple[Row, ...]
    n_true: int
    n_compared: int
    n_side_right: int


def validate(results: Results) -> Validation | None:
    """Compare score tables with truth, knee by knee; None without truth."""
    truth = results[tables.TRUTH]
    if not truth:
        return None
    status = {row["scan_id"]: row for row in results.scans}
    knees = tuple(compare(row, status.get(row["scan_id"]), results) for row in truth)
    compared = [k for k in knees if k["compared"]]
    region = agree_on_grades(
        "signal grade by meniscal region", [[(k["true"][r], k["found"][r]) for r in REGIONS] for k in compared]
    )
    knee = agree_on_grades("signal grade of the knee", [[(k["true_knee"], k["found_knee"])] for k in compared])
    fluid = agree_on_grades(
        "effusion grade by the volume rule",
        [[(grading.grade_effusion_volume(k["true_ml"]), k["found_effusion_grade"])] for k in compared],
    )
    volumes = (
        agree_on_values("joint fluid", "mL", [(k["true_ml"], k["found_ml"]) for k in compared]),
        *(
            agree_on_values(f"{m} meniscus", "mm³", [(k[f"true_{m}"], k[f"found_{m}"]) for k in compared])
            for m in grading.MENISCI
        ),
    )
    right = sum(k["true_side"] == k["found_side"] for k in compared)
    return Validation((region, knee, fluid), volumes, knees, len(truth), len(compared), right)


def compare(truth: Row, status: Row | None, results: Results) -> Row:
    """True and found values of one simulated knee. Outlines that a person corrected tell nothing about the machine."""
    why_not = _why_not(status)
    compared = why_not is None
    meniscus = results.of_knee(tables.MENISCUS, status) if compared else []
    effusion = results.of_knee(tables.EFFUSION, status) if compared else []
    by_region = {(row["meniscus"], row["region"]): row for row in meniscus}
    found = {r: by_region.get(r, {}).get("signal_grade") for r in REGIONS}
    known = [g for g in found.values() if g is not None]
    row: Row = {
        "scan_id": truth["scan_id"],
        "compared": compared,
        "why_not": why_not,
        "contrast": truth["contrast"],
        "slice_thickness_mm": truth["slice_thickness_mm"],
        "true_side": truth["laterality"],
        "found_side": status["laterality"] if compared else None,
        "true": {(m, r): truth[f"{m}_{r}_signal_grade"] for m, r in REGIONS},
        "found": found,
        "true_knee": truth["signal_grade"],
        # A knee with an ungraded region may be higher than what was seen, so it has no grade, unless it is at the top.
        "found_knee": max(known) if known and (len(known) == len(REGIONS) or max(known) == 3) else None,
        "true_ml": truth["fluid_ml"],
        "found_ml": effusion[0]["fluid_ml"] if effusion else None,
        # As stored: missing when the pouch is cut off, however much fluid was seen.
        "found_effusion_grade": effusion[0]["effusion_grade_volume"] if effusion else None,
    }
    row["n_right"] = sum(row["true"][r] is not None and row["true"][r] == found[r] for r in REGIONS)
    for m in grading.MENISCI:
        parts = [r["volume_mm3"] for r in meniscus if r["meniscus"] == m]
        row[f"true_{m}"] = truth[f"{m}_meniscus_mm3"]
        row[f"found_{m}"] = sum(parts) if parts and None not in parts else None
    return row


def _why_not(status: Row | None) -> str | None:
    """Why a knee says nothing of the machine; None where it does."""
    if status is None:
        return "not in the scans table"
    if status["status"] != "ok":
        return status["reason"] or "set aside"
    return "its outlines were corrected by hand" if tables.is_edited(status) else None
