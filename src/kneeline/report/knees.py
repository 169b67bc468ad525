"""The knees on the page: a line each in one table, and a card each with picture, grades and measurements."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kneeline import grading, tables
from kneeline.report import words
from kneeline.report.cases import Case, chosen
from kneeline.report.gather import Results
from kneeline.report.knee_page import FOLDER
from kneeline.report.plots import outcome_words
from kneeline.report.validation import REGIONS
from kneeline.report.views import Cell, Spec, View, fixed, grade_cell, plain, view
from kneeline.tables import Row

# A cohort of so many knees shows each of them; of a larger one those that stand for a grade.
SMALL_COHORT = 30
# The whole page stays near 10 MB: pictures beyond this are named, not shown.
PICTURE_BYTES = 7_000_000  # as files; a third more as data URIs


def knee_cards(found: Results, cases: Sequence[Case]) -> tuple[list[dict], list[dict], list[str]]:
    """Cards of the knees that stand for a grade, in the order of the cases; cards of the others, in the order of the
    scans table, if the cohort is small; and the ids of the knees that have no card.

    Among the others, knees to be looked at and knees with flags have the first claim on the room for pictures.
    """
    roles = chosen(cases)
    knees = {row["scan_id"]: row for row in found.good}
    # Without an analysis no knee has a grade to stand for; a small cohort is shown all the same.
    first = [_card(knees[scan], found) for scan in roles]
    rest = [_card(row, found) for scan, row in knees.items() if scan not in roles] if len(knees) <= SMALL_COHORT else []
    room, shown = PICTURE_BYTES, set()
    for card in [*first, *sorted(rest, key=lambda c: not (c["verdict"] != "ok" or c["flags"]))]:
        path = card["picture"].path
        size = path.stat().st_size if path else 0
        if size <= room:
            room -= size
            shown.add(card["scan_id"])
    first, rest = ([card for card in cards if card["scan_id"] in shown] for cards in (first, rest))
    for number, card in enumerate([*first, *rest], start=1):
        path = card["picture"].path
        card["anchor"] = f"knee-{number}"
        card["roles"] = _roles(roles.get(card["scan_id"], ()))
        card["image"] = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode() if path else None
        card["size"] = _png_size(path) if path else None
    return first, rest, [scan for scan in knees if scan not in shown]


def _roles(roles: Sequence[tuple[str, str, int]]) -> str:
    """
    >>> _roles([("typical", "signal_grade", 2), ("least trusted", "effusion_grade", 1)])
    'typical of meniscal signal grade 2; least trusted of effusion grade 1'
    """
    return "; ".join(f"{name} of {outcome_words(outcome)} {grade}" for name, outcome, grade in roles)


def cases_view(cases: Sequence[Case], cards: Sequence[dict]) -> View:
    """A grade a line, with the knees that stand for it."""
    anchors = {card["scan_id"]: card["anchor"] for card in cards}

    def knee(scan: str | None, none: str) -> Cell:
        return Cell(scan, kind="id", link=anchors.get(scan, "")) if scan else Cell(none)

    return view(
        "Knees that stand for a grade",
        [
            ("finding", lambda c: outcome_words(c.outcome)),
            ("grade", lambda c: grade_cell(c.grade)),
            ("knees", lambda c: c.n),
            ("typical", lambda c: knee(c.typical, "no knee has this grade")),
            ("least trusted", lambda c: knee(c.worst, "the same knee" if c.n else "")),
            ("its confidence", lambda c: Cell("" if c.worst is None else words.number(c.worst_confidence, 2), True)),
        ],
        cases,
    )


def _png_size(path: Path) -> tuple[int, int]:
    """Width and height from the PNG's header, so that the page does not jump while pictures load."""
    with open(path, "rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _line(row: Row, found: Results) -> dict:
    """What the table of all knees needs of one."""
    meniscus = found.of_knee(tables.MENISCUS, row)
    effusion = (found.of_knee(tables.EFFUSION, row) or [{}])[0]
    # Flags of plates and bones stand with their measurements: their grades are experimental.
    flags: dict[str, list[str]] = {}
    for where, text in (
        *((f"{r['meniscus']} {r['region']}".replace("_", " "), r["flags"]) for r in meniscus),
        ("fluid", effusion.get("flags")),
        *(("image", r["flags"]) for r in found.of_knee(tables.QUALITY, row)),
    ):
        for flag in (text or "").split(","):
            if flag.strip():
                flags.setdefault(flag.strip().replace("_", " "), []).append(where)
    return {
        "scan_id": row["scan_id"],
        "verdict": row["verdict"],
        "by_region": {(r["meniscus"], r["region"]): r["signal_grade"] for r in meniscus},
        "effusion": effusion,
        "flags": [f"{flag} ({', '.join(places)})" for flag, places in flags.items()],
    }


def _card(row: Row, found: Results) -> dict:
    line = _line(row, found)
    side = {"L": "left", "R": "right"}.get(row["laterality"], "side n/a")
    skip = (*tables.KNEE_KEYS,)
    return line | {
        "title": f"{row['participant_id']}, {side} knee",
        "session": row["session_id"],
        "side_from": row["laterality_source"],
        "reason": row["reason"],
        "picture": found.pictures[row["scan_id"]],
        "page": f"{FOLDER}/{row['scan_id']}.html" if row["scan_id"] in found.pages else None,
        "grades": view(
            "Signal grade",
            [
                ("meniscus", lambda m: m),
                *((region.replace("_", " "), _grade_of(line["by_region"], region)) for region in grading.REGIONS),
            ],
            grading.MENISCI,
        ),
        "effusion_cell": grade_cell(line["effusion"].get("effusion_grade")),
        "total": _total((found.of_knee(tables.KNEES, row) or [{}])[0]),
        "measurements": [
            plain(caption, table, rows, skip)
            for caption, table in (
                ("Menisci by region", tables.MENISCUS),
                ("Menisci whole (extrusion and coverage experimental)", tables.EXTRUSION),
                ("Joint fluid", tables.EFFUSION),
                ("Cartilage (experimental)", tables.CARTILAGE),
                ("Marrow (experimental)", tables.MARROW),
            )
            if (rows := found.of_knee(table, row))
        ],
    }


def _total(knee: Row) -> dict[str, str]:
    """Total lesion score of a knee in words: the sum, that of each structure, and who graded it or why nobody did."""
    parts = dict(part.partition("=")[::2] for part in (knee.get("total_parts") or "").split(",") if part)
    return {
        "score": words.cell(knee.get("total_lesion_score")),
        "parts": "; ".join(f"{name} {words.cell(knee.get(f'{name}_score'))}, {who}" for name, who in parts.items()),
    }


def _grade_of(by_region: Mapping, region: str) -> Callable[[str], Cell]:
    return lambda m: grade_cell(by_region.get((m, region)))


def glance_view(found: Results, cards: Sequence[dict]) -> View:
    """Every knee in a line; its name leads to its card, or to its own page beside this one where there is one."""
    anchors = {card["scan_id"]: card["anchor"] for card in cards}
    short = {"anterior_horn": "anterior", "body": "body", "posterior_horn": "posterior"}

    def link(scan: str) -> str:
        return anchors.get(scan) or (f"{FOLDER}/{scan}.html" if scan in found.pages else "")

    def grade(m: str, r: str) -> Spec:
        return (
            f"{m} {short[r]}",
            lambda line: grade_cell(line["by_region"].get((m, r))),
        )

    return view(
        "All scored knees: meniscal signal grades, effusion grade and fluid",
        [
            ("knee", lambda line: Cell(line["scan_id"], kind="id", link=link(line["scan_id"]))),
            *(grade(m, r) for m, r in REGIONS),
            ("effusion", lambda line: grade_cell(line["effusion"].get("effusion_grade"))),
            ("fluid (mL)", lambda line: fixed(line["effusion"].get("fluid_ml"), ".1f")),
            ("segmentation", lambda line: line["verdict"]),
            ("flags", lambda line: Cell(str(len(line["flags"])) if line["flags"] else "none")),
        ],
        [_line(row, found) for row in found.good],
    )
