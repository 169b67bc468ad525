"""The knees on the page: a line each in one table, and a card each with picture, grades and measurements."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kneeline import grading, tables
from kneeline.report import words
from kneeline.report.gather import Results
from kneeline.report.validation import REGIONS
from kneeline.report.views import Cell, Spec, View, fixed, grade_cell, plain, view
from kneeline.tables import Row

# The whole page stays near 10 MB: pictures beyond this are named, not shown.
PICTURE_BYTES = 7_000_000  # as files; a third more as data URIs
MAX_KNEES_SHOWN = 200


def knee_cards(found: Results) -> tuple[list[dict], list[str]]:
    """A card a scored knee in the order of the scans table, and the ids for which there was no room.

    Knees to be looked at and knees with flags have the first claim on the room.
    """
    knees = [_card(row, found) for row in found.good]
    room, shown = PICTURE_BYTES, set()
    for card in sorted(knees, key=lambda c: not (c["verdict"] != "ok" or c["flags"])):
        path = card["picture"].path
        size = path.stat().st_size if path else 0
        if size <= room and len(shown) < MAX_KNEES_SHOWN:
            room -= size
            shown.add(card["scan_id"])
    cards = [card for card in knees if card["scan_id"] in shown]
    for number, card in enumerate(cards, start=1):
        path = card["picture"].path
        card["anchor"] = f"knee-{number}"
        card["image"] = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode() if path else None
        card["size"] = _png_size(path) if path else None
    return cards, [card["scan_id"] for card in knees if card["scan_id"] not in shown]


def _png_size(path: Path) -> tuple[int, int]:
    """Width and height from the PNG's header, so that the page does not jump while pictures load."""
    with open(path, "rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _card(row: Row, found: Results) -> dict:
    meniscus = found.of_knee(tables.MENISCUS, row)
    effusion = (found.of_knee(tables.EFFUSION, row) or [{}])[0]
    by_region = {(r["meniscus"], r["region"]): r["signal_grade"] for r in meniscus}
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
    side = {"L": "left", "R": "right"}.get(row["laterality"], "side n/a")
    skip = (*tables.KNEE_KEYS,)
    return {
        "scan_id": row["scan_id"],
        "title": f"{row['participant_id']}, {side} knee",
        "session": row["session_id"],
        "side_from": row["laterality_source"],
        "verdict": row["verdict"],
        "reason": row["reason"],
        "picture": found.pictures[row["scan_id"]],
        "grades": view(
            "Signal grade",
            [
                ("meniscus", lambda m: m),
                *((region.replace("_", " "), _grade_of(by_region, region)) for region in grading.REGIONS),
            ],
            grading.MENISCI,
        ),
        "by_region": by_region,
        "effusion": effusion,
        "effusion_cell": grade_cell(effusion.get("effusion_grade")),
        "total": _total((found.of_knee(tables.KNEES, row) or [{}])[0]),
        "flags": [f"{flag} ({', '.join(places)})" for flag, places in flags.items()],
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
    """Every knee in a line."""
    anchors = {card["scan_id"]: card["anchor"] for card in cards}
    short = {"anterior_horn": "anterior", "body": "body", "posterior_horn": "posterior"}

    def grade(m: str, r: str) -> Spec:
        return (
            f"{m} {short[r]}",
            lambda c: grade_cell(c["by_region"].get((m, r))),
        )

    return view(
        "All scored knees: meniscal signal grades, effusion grade and fluid",
        [
            ("knee", lambda c: Cell(c["scan_id"], kind="id", link=anchors.get(c["scan_id"], ""))),
            *(grade(m, r) for m, r in REGIONS),
            ("effusion", lambda c: c["effusion_cell"]),
            ("fluid (mL)", lambda c: fixed(c["effusion"].get("fluid_ml"), ".1f")),
            ("segmentation", lambda c: c["verdict"]),
            ("flags", lambda c: Cell(str(len(c["flags"])) if c["flags"] else "none")),
        ],
        [_card(row, found) for row in found.good],
    )
