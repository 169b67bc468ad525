"""The page that opens a cohort: every scan in a line, to be filtered and sorted, with its pictures and a link.

`index.html` is the page, `knees.js` the list, as a script so that pages opened as files can load it: a knee's own page
takes from it which knee comes next. No exposure is in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from kneeline import __version__, grading, tables
from kneeline.report.gather import Results
from kneeline.report.knee_page import FOLDER, markup, page_template
from kneeline.tables import Row
from kneeline.viewer import assets

_PAGES = Path(__file__).parent / "pages"
_SCRIPTS = (_PAGES / "list.js", "frame.js", _PAGES / "index.js")
_STYLES = ("theme.css", _PAGES / "common.css", _PAGES / "index.css")
INDEX, LIST = "index.html", "knees.js"
COLUMNS = (
    "at", "id", "side", "status", "stage", "verdict", "reason", "hand", "grades", "signal", "effusion", "ml",
    "cartilage", "marrow", "flags", "page",
)  # fmt: skip


def write_index(found: Results, out: Path, *, simulated: bool = False) -> Path:
    """Write page and list into `out`; the page's path."""
    here = [
        row["scan_id"] for row in found.good if (Path(out) / FOLDER / f"{Path(row['scan_id']).name}.html").is_file()
    ]
    tables.write_text(Path(out) / LIST, list_script(found, frozenset(here)))
    page = page_template("index.html").render(
        simulated=simulated,
        folder=FOLDER,
        regions=[(m, r.replace("_", " ")) for m in grading.MENISCI for r in grading.REGIONS],
        version=__version__,
        style=markup(assets.joined(*_STYLES)),
        script=markup(assets.joined(*_SCRIPTS)),
    )
    tables.write_text(Path(out) / INDEX, page)
    return Path(out) / INDEX


def list_script(found: Results, pages: Set[str]) -> str:
    """The list as a call: rows of COLUMNS, flags as numbers of a list of their own. pages: scans that have one."""
    rows = [
        _row(number, status, found) | {"page": int(status["scan_id"] in pages)}
        for number, status in enumerate(found.scans)
    ]
    flags = sorted({flag for row in rows for flag in row["flags"]})
    number_of = {flag: number for number, flag in enumerate(flags)}
    lines = [
        json.dumps(
            [[number_of[flag] for flag in row[name]] if name == "flags" else row[name] for name in COLUMNS],
            separators=(",", ":"),
        )
        for row in rows
    ]
    head = json.dumps({"columns": COLUMNS, "flags": flags}, separators=(",", ":")).removesuffix("}")
    return f'kneelineKnees({head},"rows":[\n' + ",\n".join(lines) + "\n]});\n"


def _row(number: int, status: Row, found: Results) -> dict[str, Any]:
    ok = status["status"] == "ok"
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {
        "at": number,
        "id": status["scan_id"],
        "side": status["laterality"],
        "status": status["status"],
        "stage": status["stage"],
        "verdict": status["verdict"],
        "reason": status["reason"],
        "hand": int(tables.is_edited(status)),
        "grades": [None] * 6,
        "flags": [],
    }
    if not ok:
        return row
    meniscus = {(r["meniscus"], r["region"]): r for r in found.of_knee(tables.MENISCUS, status)}
    effusion = next(iter(found.of_knee(tables.EFFUSION, status)), {})
    grades = [meniscus.get((m, r), {}).get("signal_grade") for m in grading.MENISCI for r in grading.REGIONS]
    told = [*meniscus.values(), effusion, *found.of_knee(tables.QUALITY, status)]
    return row | {
        "grades": grades,
        "signal": grading.highest_grade(grades),
        "effusion": effusion.get("effusion_grade"),
        "ml": None if effusion.get("fluid_ml") is None else round(effusion["fluid_ml"], 1),
        "cartilage": grading.highest_grade(r["cartilage_grade"] for r in found.of_knee(tables.CARTILAGE, status)),
        "marrow": grading.highest_grade(r["marrow_grade"] for r in found.of_knee(tables.MARROW, status)),
        "flags": _flags(told),
    }


def _flags(rows: Sequence[Row]) -> list[str]:
    return sorted({flag.replace("_", " ") for row in rows for flag in (row.get("flags") or "").split(",") if flag})
