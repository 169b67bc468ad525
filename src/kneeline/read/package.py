"""A reading package: one folder with a page for one reader, and beside it the key.

The folder holds `index.html` (page, form, order) and one script of pixels a case, since a page opened as a file may
load scripts but not read files. Nothing in it tells whose a knee is, what it was exposed to, or, unless it is of the
assisted phase, what the machine found.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kneeline import __version__, tables
from kneeline.errors import UsageError
from kneeline.read import assisted, form
from kneeline.read.keys import ASSISTED, BLIND, KEY, key_path
from kneeline.read.order import draw_order, draw_sample
from kneeline.tables import INGEST_SCANS, KNEE_KEYS, READINGS, Row
from kneeline.viewer import assets
from kneeline.viewer.knee import pack_knee
from kneeline.viewer.pixels import as_script_text
from kneeline.volume import read_volume

_PAGE = Path(__file__).parent / "page"
_STYLES = ("theme.css", "viewer.css", _PAGE / "page.css")
_SCRIPTS = (
    "pixels.js",
    "viewer.js",
    "frame.js",
    *(_PAGE / f"{name}.js" for name in ("loader", "store", "table", "form")),
)
# What the assisted phase has besides; none of it is in a blind page.
_AID = ("overlay.js", _PAGE / "assisted.js")
_AID_STYLE = _PAGE / "assisted.css"


@dataclass(frozen=True)
class Built:
    """What was written."""

    page: Path
    key: Path
    n_knees: int
    n_cases: int
    n_rounded: int  # cases whose grey levels had to be rounded to fit
    largest_bytes: int


def build_package(
    results: Path,
    folder: Path,
    rater_id: str,
    seed: int,
    repeats: float = 0.1,
    scans: Sequence[str] = (),
    number: int | None = None,
    new_name: Callable[[], str] = lambda: secrets.token_hex(4),
    after: Path | None = None,
) -> Built:
    """Write a package of the complete scans of `results` (or of those named, or of `number` of them) for one reader.

    The order follows from reader and seed; names of cases come from `new_name` and from nothing else. With `after`, a
    table of readings, it is a package of the assisted phase: of the knees that this reader has read blind to the end.

    Raises
    ------
    UsageError
        If a scan or an argument is wrong, or if the folder or its key exists: a key is never overwritten.
    """
    folder = Path(folder)
    if not re.fullmatch(READINGS["rater_id"].pattern, rater_id):
        raise UsageError(f"--rater takes letters, digits, - and _, got {rater_id!r}; use a code, not a name")
    for path in (folder, key_path(folder)):
        if path.exists():
            raise UsageError(f"{path} exists already; without its key a reading is lost, so choose another folder")
    first = assisted.blind_answers(after, rater_id) if after else {}
    knees = choose_scans(results, scans)
    if after:
        knees = _read_blind(knees, first, scans, after)
    turns = draw_order(draw_sample(knees, number, seed), 0 if after else repeats, rater_id, seed)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    (partial / "cases").mkdir(parents=True)
    try:
        cases, rows, rounded, sizes = [], [], 0, []
        names: set[str] = set()
        for position, turn in enumerate(turns, start=1):
            scan: Row = turn.knee
            name = _unused(new_name, names)
            image = read_volume(_image_path(results, scan["scan_id"]))
            case, pixels = pack_knee(image, scan["laterality"])
            found = assisted.find(results, scan, first[_key(scan)]) if after else None
            script, digest = case_script(name, pixels.data, found.labels if found else None)
            (partial / "cases" / f"{name}.js").write_bytes(script)
            cases.append({"id": name, "image": digest, **case, **({"assist": found.shown} if found else {})})
            rounded += not pixels.exact
            sizes.append(len(script))
            rows.append(
                {"rater_id": rater_id, "position": position, "case_id": name, "reading": turn.reading}
                | {k: scan[k] for k in ("scan_id", *KNEE_KEYS)}
                | {"image_sha256": digest, "phase": ASSISTED if after else BLIND}
            )
        page, package = render(rater_id, cases, ASSISTED if after else BLIND)
        (partial / "index.html").write_text(page, encoding="utf-8")
        tables.write_table(key_path(folder), [{"package_sha256": package, **row} for row in rows], KEY)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    n_knees = len({row["scan_id"] for row in rows})
    return Built(folder / "index.html", key_path(folder), n_knees, len(rows), rounded, max(sizes))


def choose_scans(results: Path, wanted: Sequence[str] = ()) -> list[Row]:
    """Rows of INGEST_SCANS to read, in the order of their ids: all that are complete, or those named.

    A scan that a later stage set aside may be named: a reader may see what the machine does not. Its side must be
    known.
    """
    rows = {row["scan_id"]: row for row in tables.read_table(Path(results) / "ingest" / "scans.tsv", INGEST_SCANS)}
    unknown = sorted(set(wanted) - set(rows))
    if unknown:
        raise UsageError(f"{results} has no scan {', '.join(unknown)}; it has {len(rows)}, such as {next(iter(rows))}")
    chosen = sorted(set(wanted)) or sorted(name for name, row in rows.items() if row["status"] == "ok")
    if not chosen:
        raise UsageError(f"{results} has no complete scan to read; see {results}/ingest/scans.tsv for the reasons")
    for name in chosen:
        if rows[name]["laterality"] is None:
            raise UsageError(f"{name}: its side is not known; write it into the scans table and run again")
        if not _image_path(results, name).exists():
            reason = rows[name]["reason"] or "it is not there"
            raise UsageError(f"{name}: there is no image to read ({reason})")
    return [rows[name] for name in chosen]


def _read_blind(knees: Sequence[Row], first: dict, named: Sequence[str], after: Path) -> list[Row]:
    """Of the scans, those that the reader has read blind to the end and the machine has outlined."""
    read = [row for row in knees if _key(row) in first and row["status"] == "ok"]
    missing = sorted({row["scan_id"] for row in knees} - {row["scan_id"] for row in read}) if named else []
    if missing or not read:
        which = ", ".join(missing) or "any scan"
        raise UsageError(f"{after}: no blind reading to the end by this reader, or no outlines, of {which}")
    return read


def _key(row: Row) -> tuple:
    return tuple(row[name] for name in KNEE_KEYS)


def _image_path(results: Path, scan_id: str) -> Path:
    return Path(results) / "ingest" / f"{scan_id}_image.nii.gz"


def _unused(new_name: Callable[[], str], names: set[str]) -> str:
    while (name := new_name()) in names:
        pass
    names.add(name)
    return name


# --- one case ---------------------------------------------------------------------------------------------------------


def case_script(name: str, data: bytes, over: bytes | None = None) -> tuple[bytes, str]:
    """The script (windows-1252) that hands a case's pixels to the page, and the SHA-256 of its name and pixels.

    The name makes the digest of a repeated knee another one, and blanks its size: neither tells that it is a repeat.
    `over` is what the assisted phase draws over the slices.
    """
    digest = hashlib.sha256(name.encode() + data).hexdigest()
    texts = [as_script_text(part) for part in (data, over) if part is not None]
    head = f'kneelineCase("{name}","{digest}","'.encode()
    return head + b'","'.join(texts) + b'");' + b" " * int(digest[:3], 16) + b"\n", digest


# --- the page ---------------------------------------------------------------------------------------------------------


def render(rater_id: str, cases: Sequence[dict], phase: str = BLIND) -> tuple[str, str]:
    """The page's text, and its SHA-256 before that digest is written into it."""
    aided = phase == ASSISTED
    index = {
        "version": __version__,
        "phase": phase,
        "rater": rater_id,
        "confidence": form.CONFIDENCE.words,
        "form": form.as_json(),
        "cases": list(cases),
        **({"experimental": assisted.EXPERIMENTAL} if aided else {}),
    }
    template = (_PAGE / "page.html").read_text(encoding="utf-8")
    parts = {
        "viewer": assets.joined("viewer.html"),
        "style": assets.joined(*_STYLES, *([_AID_STYLE] if aided else [])),
        "index": assets.in_script(json.dumps(index, separators=(",", ":"))),
        "script": assets.joined(*_SCRIPTS, *(_AID if aided else []), _PAGE / "app.js"),
    }
    text = assets.fill(template, parts)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("/* package */", digest), digest
