"""Which knees the report shows: for each grade one in the middle and the one that is trusted least.

The rule looks at nothing but grade, verdict and confidence, so nobody picks: the knees of a grade are put in order from
most to least trusted, by verdict, then by the network's confidence in the outlines that the grade rests on, then by
name. Typical is the one in the middle, the least trusted the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kneeline import grading, tables
from kneeline.report.gather import Results
from kneeline.report.summary import edited_knees
from kneeline.tables import KNEE_KEYS

RULE = (
    "The knees of a grade stand in order from most to least trusted: by verdict, then by the network's confidence in "
    "the outlines that the grade rests on (the less certain meniscus; joint fluid), then by name. The typical knee is "
    "the one in the middle, the least trusted the last. Nobody chose. Knees whose outlines a person corrected are left "
    "out here: the network's confidence does not speak of them."
)
_RESTS_ON = {"signal_grade": ("medial_meniscus", "lateral_meniscus"), "effusion_grade": ("joint_fluid",)}
_VERDICTS = ("ok", "review", "unusable", None)


@dataclass(frozen=True)
class Case:
    """The knees that stand for a grade: scan ids, None where there is no such knee."""

    outcome: str
    grade: int
    n: int
    typical: str | None
    worst: str | None
    worst_confidence: float | None


def choose_cases(found: Results) -> list[Case]:
    """A case for each grade of signal and effusion, also for those that no analysed knee has."""
    edited = {row["scan_id"] for row in edited_knees(found)}
    scans = {tuple(row[k] for k in KNEE_KEYS): row["scan_id"] for row in found.good if row["scan_id"] not in edited}
    confidence = {(row["scan_id"], row["structure"]): row["confidence"] for row in found[tables.SEGMENT]}
    cases = []
    for outcome, structures in _RESTS_ON.items():
        for grade in grading.GRADES:
            knees = [
                (row, scan)
                for row in found.analysed
                if row[outcome] == grade and (scan := scans.get(tuple(row[k] for k in KNEE_KEYS))) is not None
            ]
            ordered = sorted(
                (
                    _VERDICTS.index(row["verdict"]),
                    -(trust if (trust := _trust(confidence, scan, structures)) else 0),
                    scan,
                )
                for row, scan in knees
            )
            names = [scan for *_, scan in ordered]
            worst = names[-1] if len(names) > 1 else None
            cases.append(
                Case(
                    outcome,
                    grade,
                    len(names),
                    names[(len(names) - 1) // 2] if names else None,
                    worst,
                    _trust(confidence, worst, structures),
                )
            )
    return cases


def _trust(
    confidence: dict[tuple[str, str], float | None], scan: str | None, structures: Sequence[str]
) -> float | None:
    """The lowest confidence of the structures; None if one has none."""
    values = [confidence.get((scan, name)) for name in structures]
    return None if None in values else min(values)


def chosen(cases: Sequence[Case]) -> dict[str, list[tuple[str, str, int]]]:
    """What each chosen knee stands for, as (typical or least trusted, outcome, grade), in the order of the cases."""
    roles: dict[str, list[tuple[str, str, int]]] = {}
    for case in cases:
        for name, scan in (("typical", case.typical), ("least trusted", case.worst)):
            if scan is not None:
                roles.setdefault(scan, []).append((name, case.outcome, case.grade))
    return roles
