"""A page for each knee: its slices with what was outlined and measured in them, and the tables beside.

Made in the step that draws the knee's picture, from the volumes that it has read. `knees/SCAN.html` holds page and
tables, `knees/SCAN_pixels.js` slices, labels and T2 as a script, since a page opened as a file may not read others;
without it the page shows the picture. Style and script of all pages stand once beside them, under a name that is their
digest. Nothing of exposure or identity is on a page: it knows its scan's own files only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from kneeline import __version__, grading, tables
from kneeline.report import words
from kneeline.report.views import Cell, View, fixed, grade_cell, plain, view
from kneeline.tables import Row, Table
from kneeline.viewer import assets, overlay
from kneeline.viewer.knee import pack_knee
from kneeline.viewer.pixels import MAX_BYTES, as_script_text
from kneeline.volume import Volume, read_volume

FOLDER = "knees"
_PAGES = Path(__file__).parent / "pages"
_SCRIPTS = ("pixels.js", "viewer.js", "overlay.js", "frame.js", _PAGES / "list.js", _PAGES / "knee.js")
_STYLES = ("theme.css", "viewer.css", _PAGES / "common.css", _PAGES / "knee.css")
_TABLES = (tables.MENISCUS, tables.EXTRUSION, tables.EFFUSION, tables.CARTILAGE, tables.MARROW)
SIDES = {"L": "left knee", "R": "right knee"}
_DEPTHS = {"midline_depth_mm": "pouch on the midline", "lateral_depth_mm": "pouch lateral of it"}


@dataclass(frozen=True)
class Found:
    """What the stages wrote of one scan. rows by table; geometry as `score` tells it, without any where none is."""

    status: Row
    rows: Mapping[str, Sequence[Row]]
    quality: Row = field(default_factory=dict)
    geometry: Mapping[str, Any] = field(default_factory=lambda: {"lines": [], "components": []})
    t2_s: Volume | None = None

    def of(self, table: Table) -> Sequence[Row]:
        return self.rows.get(table.name, ())


def read_found(scan_id: str, status: Row, ingest_dir: Path, score_dir: Path) -> Found:
    """The scan's own tables, geometry and T2 map; what was not written is absent."""

    def rows(folder: Path, table: Table) -> list[Row]:
        path = Path(folder) / f"{scan_id}_{table.name.split('/')[-1]}.tsv"
        return tables.read_table(path, table) if path.exists() else []

    more: dict[str, Any] = {"quality": next(iter(rows(ingest_dir, tables.QUALITY)), {})}
    geometry, t2 = (Path(score_dir) / f"{scan_id}_{name}" for name in ("geometry.json", "T2map.nii.gz"))
    if geometry.exists():
        more["geometry"] = json.loads(geometry.read_text(encoding="utf-8"))
    if t2.exists():
        more["t2_s"] = read_volume(t2)
    return Found(status, {table.name: rows(score_dir, table) for table in _TABLES}, **more)


@lru_cache
def shared_files() -> dict[str, bytes]:
    """Style and script of the pages, by name: another version of them has another name."""
    parts = {".css": assets.joined(*_STYLES), ".js": "const kneeline = {};\n" + assets.joined(*_SCRIPTS)}
    return {f"page-{hashlib.sha256(text.encode()).hexdigest()[:12]}{end}": text.encode() for end, text in parts.items()}


def make_page(scan_id: str, found: Found, image: Volume, labels: Volume, *, viewer: bool) -> dict[str, bytes]:
    """The files of a knee's page by name; without a viewer the page alone. They need `shared_files` beside them.

    Raises
    ------
    ValueError
        If the side is not known, or a map does not lie on the image's grid.
    """
    if found.t2_s is not None and not found.t2_s.geometry.same_as(image.geometry):
        raise ValueError("the T2 map does not lie on the grid of the image")
    files: dict[str, bytes] = {}
    info: dict[str, Any] = {"scan": scan_id, "version": __version__, "viewer": viewer}
    if viewer:
        side = found.status["laterality"]
        packed = {"labels": overlay.pack_labels(labels, side)}
        if found.t2_s is not None:
            packed["t2"] = overlay.pack_t2(found.t2_s, side)
        knee, pixels = pack_knee(image, side, MAX_BYTES - sum(map(len, packed.values())))
        packed["image"] = pixels.data
        script, digest = _script(packed)
        files[f"{scan_id}_pixels.js"] = script
        places = [_told(place, found) for place in overlay.in_stack(found.geometry, labels, side)]
        info |= {
            "knee": knee, "digest": digest, "structures": overlay.structures(labels), "places": places,
            "t2Step": overlay.T2_STEP_MS if "t2" in packed else None,
        }  # fmt: skip
    files[f"{scan_id}.html"] = _render(scan_id, found, info).encode()
    return files


def _script(packed: Mapping[str, bytes]) -> tuple[bytes, str]:
    """Deflated volumes as a script (windows-1252), and the digest by which the page knows that they are its own."""
    digest = hashlib.sha256(b"".join(packed.values())).hexdigest()
    parts = b",".join(name.encode() + b':"' + as_script_text(data) + b'"' for name, data in packed.items())
    return b'kneelinePixels("' + digest.encode() + b'",{' + parts + b"});\n", digest


# --- places and the rows that they belong to --------------------------------------------------------------------------


def row_id(table: str, row: Mapping[str, Any], column: str = "") -> str:
    """Where a row's number stands on the page.

    >>> row_id("meniscus", {"meniscus": "medial", "region": "body"})
    'meniscus-medial-body'
    >>> row_id("effusion", {}, "midline_depth_mm")
    'effusion-midline_depth_mm'
    """
    keys = [row[name] for name in ("meniscus", "region", "plate", "bone") if name in row]
    return "-".join([table, *(keys or [column])])


def _told(place: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """A place with its words and the ids of its rows; experimental ones are quiet, drawn only where they are chosen."""
    ids = [row_id(place["table"], row, place["column"]) for row in place["rows"]]
    told = {name: place[name] for name in place if name != "rows"} | {"ids": ids, "words": _words(place, found)}
    return told | {"quiet": place["table"] in ("cartilage", "marrow")}


def _words(place: Mapping[str, Any], found: Found) -> str:
    if place["table"] == "effusion":
        return f"{_DEPTHS.get(place['column'], place['column'])}: {place['mm']:.1f} mm deep"
    where = " and ".join(" ".join(row.values()).replace("_", " ") for row in place["rows"])
    if place["table"] == "cartilage":
        own = next((r for r in found.of(tables.CARTILAGE) if r["plate"] == place["rows"][0]["plate"]), {})
        area, depth = (words.number(own.get(f"defect_{name}")) for name in ("area_mm2", "depth_pct"))
        return f"{where}: defect, {area} mm², {depth} % deep"
    if place["table"] == "marrow":
        return f"{where}: bright marrow, {place['mm3']:.0f} mm³"
    if "ends" in place:
        return f"{where}: {place['mm']:.1f} mm to the surface"
    size = f"bright signal, {place['mm3']:.1f} mm³"
    if not place["counted"]:
        return f"{where}: {size}, too small to count"
    grades = {(r["meniscus"], r["region"]): r["signal_grade"] for r in found.of(tables.MENISCUS)}
    known = [g for row in place["rows"] if (g := grades.get((row["meniscus"], row["region"]))) is not None]
    return f"{where}: {size}" + (f", grade {max(known)}" if known else "")


# --- the page's text --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of the findings: its id on the page, what it is called, cells."""

    id: str
    name: str
    cells: Sequence[Cell]


def meniscus_lines(rows: Sequence[Row]) -> list[tuple[str, list[Line]]]:
    """Regions of each meniscus: grade, bright signal, its extent, how far from the surface, on how many images."""
    with_t2 = any(row["t2_ms"] is not None for row in rows)
    return [
        (
            meniscus,
            [
                Line(
                    row_id("meniscus", {"meniscus": meniscus, "region": row["region"]}),
                    row["region"].replace("_", " "),
                    [
                        grade_cell(row["signal_grade"]),
                        fixed(row["hyperintense_mm3"], ".1f"),
                        fixed(row["signal_extent_mm"], ".1f"),
                        fixed(row["surface_distance_mm"], ".1f"),
                        Cell(tables.MISSING if row["surface_slices"] is None else str(row["surface_slices"]), True),
                        *([fixed(row["t2_ms"], ".0f")] if with_t2 else []),
                    ],
                )
                for row in rows
                if row["meniscus"] == meniscus
            ],
        )
        for meniscus in grading.MENISCI
    ]


def experimental_lines(found: Found) -> list[Line]:
    """Plates of cartilage and bones: grade, and what it was made from."""
    lines = []
    for table, key, grade, size in (
        (tables.CARTILAGE, "plate", "cartilage_grade", "defect_area_mm2"),
        (tables.MARROW, "bone", "marrow_grade", "hyperintense_mm3"),
    ):
        name = table.name.split("/")[-1]
        what = "{} mm² of defect" if name == "cartilage" else "{} mm³ of bright marrow"
        lines += [
            Line(
                row_id(name, {key: row[key]}),
                row[key].replace("_", " "),
                [
                    grade_cell(row[grade]),
                    Cell(tables.MISSING if row[size] is None else what.format(words.number(row[size]))),
                ],
            )
            for row in found.of(table)
        ]
    return lines


def flag_words(found: Found) -> list[str]:
    """Flags in words, each with where it was raised.

    Those of cartilage and marrow stand with their measurements.
    """
    flags: dict[str, list[str]] = {}
    raised = [(f"{r['meniscus']} {r['region']}", r["flags"]) for r in found.of(tables.MENISCUS)]
    raised += [("fluid", r["flags"]) for r in found.of(tables.EFFUSION)]
    raised += [("image", found.quality.get("flags"))]
    for where, text in raised:
        for flag in filter(None, (text or "").split(",")):
            flags.setdefault(flag.replace("_", " "), []).append(where.replace("_", " "))
    regions = {f"{r['meniscus']} {r['region']}".replace("_", " ") for r in found.of(tables.MENISCUS)}
    short = {
        flag: ["menisci", *(w for w in where if w not in regions)] if regions and regions <= set(where) else where
        for flag, where in flags.items()
    }
    return [f"{flag} ({', '.join(where)})" for flag, where in short.items()]


def measurement_views(found: Found) -> list[View]:
    skip = (*tables.KNEE_KEYS, "scan_id", "verdict", "outlined_by")
    return [
        plain(caption, table, rows, skip)
        for caption, table, rows in (
            ("Menisci by region", tables.MENISCUS, found.of(tables.MENISCUS)),
            ("Menisci whole (extrusion and coverage experimental)", tables.EXTRUSION, found.of(tables.EXTRUSION)),
            ("Joint fluid", tables.EFFUSION, found.of(tables.EFFUSION)),
            ("Cartilage (experimental)", tables.CARTILAGE, found.of(tables.CARTILAGE)),
            ("Marrow (experimental)", tables.MARROW, found.of(tables.MARROW)),
        )
        if rows
    ] + ([_upright("Image", tables.QUALITY, found.quality, skip)] if found.quality else [])


def _upright(caption: str, table: Table, row: Row, skip: Sequence[str]) -> View:
    flat = plain(caption, table, [row], skip)
    pairs = list(zip(flat.headings, flat.rows[0], strict=True))
    return view(caption, [("what", lambda p: p[0].text), ("value", lambda p: Cell(p[1].text, True))], pairs)


def _render(scan_id: str, found: Found, info: Mapping[str, Any]) -> str:
    effusion = next(iter(found.of(tables.EFFUSION)), None)
    return page_template("knee.html").render(
        scan_id=scan_id,
        status=found.status,
        side=SIDES.get(found.status["laterality"], "side n/a"),
        by_hand=tables.is_edited(found.status),
        menisci=meniscus_lines(found.of(tables.MENISCUS)),
        with_t2=any(row["t2_ms"] is not None for row in found.of(tables.MENISCUS)),
        effusion=effusion,
        experimental=experimental_lines(found),
        depths=[(row_id("effusion", {}, name), told, name) for name, told in _DEPTHS.items()],
        flags=flag_words(found),
        views=measurement_views(found),
        scored=bool(found.of(tables.MENISCUS)),
        info=markup(assets.in_script(json.dumps(info, separators=(",", ":"), ensure_ascii=False))),
        viewer=markup(assets.joined("viewer.html")),
        shared={Path(name).suffix: name for name in shared_files()},
        MISSING=tables.MISSING,
    )


def _mm(value: float | None) -> str:
    return tables.MISSING if value is None else f"{value:.1f}\xa0mm"


def markup(text: str):
    """Text of our own that is not escaped."""
    from markupsafe import Markup

    return Markup(text)


@lru_cache
def page_template(name: str):
    """A page's template: everything in it is text until marked otherwise."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": words.amount, "words": words.cell, "grade_cell": grade_cell, "mm": _mm}
    return environment.get_template(name)
