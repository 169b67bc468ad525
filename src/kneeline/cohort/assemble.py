"""The analysis table: one row a knee, scores and runner together, and the flow of who is in it and who is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kneeline import grading, tables
from kneeline.cohort.input_checks import mismatched_knees, refuse, unknown_participants
from kneeline.cohort.runners import read_runners
from kneeline.errors import UsageError
from kneeline.grading import highest_grade
from kneeline.tables import KNEE_KEYS, Row

REGION_GRADES = tuple(f"{m}_{r}_signal_grade" for m in grading.MENISCI for r in grading.REGIONS)
_KEYS = list(KNEE_KEYS)


@dataclass(frozen=True)
class Cohort:
    """Rows of KNEES (every scored knee; `total` fills in its scores), the runners' rows, rows of FLOW.

    `scanned` are the keys of all knees that were scanned, also of those set aside; a side is None where none was found.
    """

    knees: list[Row]
    runners: list[Row]
    flow: list[Row]
    scanned: tuple[tuple, ...] = ()

    @property
    def scored(self) -> set[tuple]:
        """Keys of the rows of KNEES."""
        return {_key(row) for row in self.knees}


def read_cohort(participants: Path, scans: Path, score_dir: Path) -> Cohort:
    """Read, check and join the participants sheet, the status of every scan and the score tables.

    Raises
    ------
    UsageError
        A sheet has faults, or the tables contradict each other (then no row could be trusted).
    """
    runners = read_runners(participants)
    statuses = tables.read_table(scans, tables.INGEST_SCANS)
    sheet = {row["participant_id"] for row in runners}
    refuse(str(scans), unknown_participants([_key(row) for row in statuses], sheet, "scans table"))
    meniscus = tables.read_table(Path(score_dir) / "meniscus.tsv", tables.MENISCUS)
    effusion = tables.read_table(Path(score_dir) / "effusion.tsv", tables.EFFUSION)
    knees = join_knees(statuses, meniscus, effusion, runners)
    scanned = tuple(tuple(row[name] for name in KNEE_KEYS) for row in statuses)
    return Cohort(knees, runners, trace_flow(runners, statuses, knees), scanned)


def join_knees(statuses: list[Row], meniscus: list[Row], effusion: list[Row], runners: list[Row]) -> list[Row]:
    """One row of KNEES for each scan that came through, in key order."""
    good = [row for row in statuses if row["status"] == "ok"]
    expected = {_key(row) for row in good}
    if len(expected) < len(good):
        keys = [_key(row) for row in good]
        twice = _names({key for key in keys if keys.count(key) > 1})
        raise UsageError(f"two scans of the scans table came through as the same knee of the same visit: {twice}")
    check_scored({"meniscus": meniscus, "effusion": effusion}, expected, all_needed=True)
    if not good:
        return []
    grades = _signal_grades(meniscus)
    frame = pd.DataFrame([{**{k: row[k] for k in _KEYS}, **grades[_key(row)]} for row in good], dtype=object)
    of_scan = ["verdict", "outlined_by"]
    fluid = pd.DataFrame(effusion, columns=tables.EFFUSION.header, dtype=object).drop(columns=["flags", *of_scan])
    verdict = pd.DataFrame(good, columns=[*_KEYS, *of_scan], dtype=object)
    people = pd.DataFrame(runners, columns=tables.PARTICIPANTS.header, dtype=object)
    joined = (
        frame.merge(fluid, on=_KEYS, how="left", validate="one_to_one")
        .merge(verdict, on=_KEYS, how="left", validate="one_to_one")
        .merge(people, on="participant_id", how="left", validate="many_to_one")
    )
    if len(joined) != len(good):
        raise UsageError(
            f"{len(good)} knees came through, {len(joined)} after joining; the tables' keys are not unique"
        )
    rows = [
        {name: None if pd.isna(value := row.get(name)) else value for name in tables.KNEES.header}
        for row in joined.to_dict("records")
    ]
    for row in rows:
        row["analysed"] = usable(row)
    return sorted(rows, key=_key)


def check_scored(scores: Mapping[str, Iterable[Row]], expected: Collection[tuple], *, all_needed: bool) -> None:
    """Raise UsageError when score tables speak of knees that did not come through, or (if all are needed) lack one."""
    for name, rows in scores.items():
        faults = mismatched_knees(expected, {_key(row) for row in rows}, f"{name} scores", all_needed=all_needed)
        if faults:
            raise UsageError(
                f"the {name} scores and the scans table disagree about the knees that came through: "
                f"{'; '.join(faults[:12])}{f'; and {len(faults) - 12} more' if len(faults) > 12 else ''}; "
                "gather the score tables again"
            )


def _signal_grades(meniscus: list[Row]) -> dict[tuple, Row]:
    """Grades of the regions of each knee, and the knee's own."""
    knees: dict[tuple, Row] = {}
    for row in meniscus:
        grades = knees.setdefault(_key(row), dict.fromkeys(REGION_GRADES))
        grades[f"{row['meniscus']}_{row['region']}_signal_grade"] = row["signal_grade"]
    return {key: {"signal_grade": highest_grade(grades.values()), **grades} for key, grades in knees.items()}


def trace_flow(runners: list[Row], statuses: list[Row], knees: list[Row]) -> list[Row]:
    """Rows of FLOW from the sheets to the scored knees; each loss with its reason, nobody unaccounted for."""
    sheet = {row["participant_id"] for row in runners}
    scanned = {row["participant_id"] for row in statuses}
    flow = [
        _step("runners in the participants sheet", sheet, None),
        _step("scans in the scans table", scanned, len(statuses)),
    ]
    if sheet - scanned:
        flow.append(_step("less runners without a scan", sheet - scanned, 0, _names(sheet - scanned)))
    aside: dict[tuple, list[Row]] = {}
    for row in statuses:
        if row["status"] != "ok":
            aside.setdefault((row["stage"], row["reason_code"]), []).append(row)
    for (stage, code), rows in sorted(aside.items(), key=str):
        who = {row["participant_id"] for row in rows}
        reasons = sorted({row["reason"] or "no reason given" for row in rows})
        why = f"{code}: {reasons[0]}" if len(reasons) == 1 else f"{code}: {len(reasons)} different wordings"
        flow.append(_step(f"less scans set aside at {stage}", who, len(rows), f"{why} ({_names(who)})"))
    flow.append(_step("scored knees", {row["participant_id"] for row in knees}, len(knees)))
    lost = [row for row in knees if not usable(row)]
    if lost:
        who = {row["participant_id"] for row in lost}
        reason = "the segmentation's own verdict; their scores are kept but not analysed"
        step = "less knees with an unusable segmentation"
        flow.append(_step(step, who, len(lost), f"{reason} ({_names(who)})"))
    kept = [row for row in knees if row["analysed"]]
    flow.append(_step("knees to analyse", {row["participant_id"] for row in kept}, len(kept)))
    return flow


def usable(knee: Row) -> bool:
    return knee["verdict"] != "unusable"


def to_analyse(cohort: Cohort) -> list[Row]:
    """The knees that enter models and prevalences: those with a usable segmentation."""
    return [row for row in cohort.knees if row["analysed"]]


def _step(step: str, who: set[str], n_scans: int | None, reason: str | None = None) -> Row:
    return {"step": step, "n_participants": len(who), "n_scans": n_scans, "reason": reason}


def _key(row: Row) -> tuple[str, str, str]:
    return tuple(row[k] or "" for k in KNEE_KEYS)


def _names(keys: Iterable) -> str:
    words = sorted(" ".join(part for part in key if part) if isinstance(key, tuple) else key for key in keys)
    return ", ".join(words[:12]) + (f" and {len(words) - 12} more" if len(words) > 12 else "")
