"""The edits of a study: a folder with one table, `edits.tsv`, and the corrected label maps.

The folder is an input like the sheets: only `import-edit` and `forget` write there, no step of a run does. The table is
a log. Of each scan the last row that is not an export counts, so an undone edit is a row more, not a row less, and a
label map is never overwritten: its name holds its digest. Standard library only: the Snakefile reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kneeline import __version__, tables
from kneeline.errors import UsageError
from kneeline.tables import EDITS, Edit, Row, Scan

TABLE = "edits.tsv"
# Where exports go unless told otherwise: one folder a knee.
DRAFTS = "drafts"


def read_edits(folder: Path, study: Path = Path()) -> dict[str, Edit]:
    """The edit in force of each scan that has one; none where there is no folder.

    `folder` is relative to the study, where runs start, and so are the paths of the edits.

    Raises
    ------
    UsageError
        If the table has faults.
    """
    found: dict[str, Edit] = {}
    for row in rows_of(Path(study) / folder):
        if row["action"] == "removed":
            found.pop(row["scan_id"], None)
        elif row["action"] == "imported":
            found[row["scan_id"]] = _edit(Path(folder), row)
    return found


def rows_of(folder: Path, scan_id: str | None = None) -> list[Row]:
    """Rows of EDITS, all or those of one scan."""
    path = Path(folder) / TABLE
    if not path.exists():
        return []
    rows = tables.read_table(path, EDITS)
    needed = ("editor_id", "file", "after_sha256")
    for line, row in enumerate(rows, start=2):
        absent = [name for name in needed if row["action"] == "imported" and row[name] is None]
        if absent:
            raise UsageError(f"{path}: line {line}: an imported edit without {', '.join(absent)}; restore the table")
    return [row for row in rows if scan_id in (None, row["scan_id"])]


def _edit(folder: Path, row: Row) -> Edit:
    names = ("editor_id", "after_sha256", "before_sha256", "network", "image_sha256", "laterality")
    return Edit(str(folder / row["file"]), edited_at=row["at"], **{name: row[name] for name in names})


def with_edits(scans: Sequence[Scan], folder: Path, study: Path = Path()) -> list[Scan]:
    """The scans, each with its edit if it has one; `folder` as for `read_edits`."""
    edits = read_edits(folder, study)
    return [replace(scan, edit=edits[scan.scan_id]) if scan.scan_id in edits else scan for scan in scans]


def faults_of(scans: Sequence[Scan], directory: Path) -> list[str]:
    """What would set edited scans aside: label maps that are gone or are not those that were imported."""
    faults = []
    for scan in scans:
        if scan.edit:
            path = directory / scan.edit.path
            if not path.is_file():
                faults.append(f"{scan.scan_id}: its corrected label map {path} is gone; restore it, or {undo(scan)}")
            elif digest_of(path) != scan.edit.after_sha256:
                faults.append(
                    f"{scan.scan_id}: {path} is not the corrected label map that was imported; restore it, import the "
                    f"new one with `kneeline import-edit`, or {undo(scan)}"
                )
    return faults


def doubts_of(scans: Sequence[Scan], folder: Path, study: Path) -> list[str]:
    """Edits that no scan takes: a row of the scans table that got another side or name is another scan."""
    known = {scan.scan_id for scan in scans}
    return [
        f"{scan_id}: its outlines were corrected ({edit.path}), but the scans table has no such scan any more; if it "
        "is there under another name, import the label map for that"
        for scan_id, edit in sorted(read_edits(folder, study).items())
        if scan_id not in known
    ]


def undo(scan: Scan) -> str:
    return f"`kneeline import-edit {scan.scan_id} --remove` to return to the machine's outlines"


def digest_of(path: Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# --- writing ----------------------------------------------------------------------------------------------------------


def add_row(folder: Path, row: Row) -> None:
    """Append a row to the table, with time and version."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with _held(folder):
        tables.write_table(folder / TABLE, [*rows_of(folder), {"at": now, "version": __version__} | row], EDITS)


def traces_of(participant: str, folder: Path) -> list[Path]:
    """Files and folders of a participant's edits and exports."""
    own = re.compile(rf"{re.escape(participant)}_")
    places = [place for place in (Path(folder), Path(folder) / DRAFTS) if place.is_dir()]
    return [path for place in places for path in sorted(place.iterdir()) if own.match(path.name)]


def forget_rows(participant: str, folder: Path) -> int:
    """Remove a participant's rows from the table; how many there were."""
    if not (Path(folder) / TABLE).exists():
        return 0
    with _held(folder):
        rows = rows_of(folder)
        kept = [row for row in rows if not row["scan_id"].startswith(f"{participant}_")]
        if len(kept) < len(rows):
            tables.write_table(Path(folder) / TABLE, kept, EDITS)
    return len(rows) - len(kept)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other imports off the table. A file system without locks goes without."""
    import fcntl

    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / ".lock", "a+b") as file:
        with contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield
