"""A reading package: one folder with a page for one reader, and beside it the key.

The folder holds `index.html` (page, form, order) and one script of pixels a case, since a page opened as a file may
load scripts but not read files. Nothing in it tells whose a knee is, what it was exposed to, or what the machine found.
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
from kneeline.read import form
from kneeline.read.keys import KEY, key_path
from kneeline.read.order import draw_order, draw_sample
from kneeline.tables import INGEST_SCANS, KNEE_KEYS, READINGS, Row
from kneeline.viewer import assets
from kneeline.viewer.knee import pack_knee
from kneeline.viewer.pixels import as_script_text
from kneeline.volume import read_volume

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("pixels.js", "viewer.js", *(_PAGE / f"{name}.js" for name in ("loader", "store", "table", "form", "app")))


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
) -> Built:
    """Write a package of the complete scans of `results` (or of those named, or of `number` of them) for one reader.

    The order follows from reader and seed; names of cases come from `new_name` and from nothing else.

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
    knees = draw_sample(choose_scans(results, scans), number, seed)
    turns = draw_order(knees, repeats, rater_id, seed)
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
            script, digest = case_script(name, pixels.data)
            (partial / "cases" / f"{name}.js").write_bytes(script)
            cases.append({"id": name, "image": digest, **case})
            rounded += not pixels.exact
            sizes.append(len(script))
            rows.append(
                {"rater_id": rater_id, "position": position, "case_id": name, "reading": turn.reading}
                | {k: scan[k] for k in ("scan_id", *KNEE_KEYS)}
                | {"image_sha256": digest}
            )
        page, package = render(rater_id, cases)
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


def _image_path(results: Path, scan_id: str) -> Path:
    return Path(results) / "ingest" / f"{scan_id}_image.nii.gz"


def _unused(new_name: Callable[[], str], names: set[str]) -> str:
    while (name := new_name()) in names:
        pass
    names.add(name)
    return name


# --- one case ---------------------------------------------------------------------------------------------------------


def case_script(name: str, data: bytes) -> tuple[bytes, str]:
    """The script (windows-1252) that hands a case's pixels to the page, and the SHA-256 of its name and pixels.

    The name makes the digest of a repeated knee another one, and blanks its size: neither tells that it is a repeat.
    """
    digest = hashlib.sha256(name.encode() + data).hexdigest()
    head = f'kneelineCase("{name}","{digest}","'.encode()
    return head + as_script_text(data) + b'");' + b" " * int(digest[:3], 16) + b"\n", digest


# --- the page ---------------------------------------------------------------------------------------------------------


def render(rater_id: str, cases: Sequence[dict]) -> tuple[str, str]:
    """The page's text, and its SHA-256 before that digest is written into it."""
    index = {
        "version": __version__,
        "rater": rater_id,
        "confidence": form.CONFIDENCE.words,
        "form": form.as_json(),
        "cases": list(cases),
    }
    template = (_PAGE / "page.html").read_text(encoding="utf-8")
    parts = {
        "style": assets.joined("theme.css", "viewer.css", _PAGE / "page.css"),
        "index": assets.in_script(json.dumps(index, separators=(",", ":"))),
        "script": assets.joined(*_SCRIPTS),
    }
    text = assets.fill(template, parts)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("/* package */", digest), digest
