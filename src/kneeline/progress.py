"""How far each scan is: one small record per scan in `results/progress`, and the stamps that the workflow waits for.

A record says which steps are done and from what, what became of the scan, and which step is at work. It is written by
whatever carries a scan through its steps, so it is there during a run, after a crash, and at every granularity.
Standard library only: the Snakefile and `kneeline status` read it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kneeline import steps
from kneeline.ingest.fingerprint import fingerprint
from kneeline.tables import Row, Scan, write_text

FOLDER = "progress"
# What each step of one scan writes last, below `results`: its presence means that the step is done.
LAST = {
    "ingest": "ingest/{scan}_status.json",
    "segment": "segment/{scan}_status.json",
    "score": "score/{scan}_status.json",
    "report": "report/{scan}_picture.json",
}
# What each step leaves of a scan that came through. Somebody may tidy up; a table would then be short of rows.
LEFT = {
    "ingest": ("image.nii.gz", "image.json", "series.tsv", "quality.tsv"),
    "segment": ("dseg.nii.gz", "structures.tsv"),
    "score": ("meniscus.tsv", "extrusion.tsv", "effusion.tsv", "cartilage.tsv", "marrow.tsv"),
}


# --- records ----------------------------------------------------------------------------------------------------------


def record_path(results: Path, scan_id: str) -> Path:
    return Path(results) / FOLDER / f"{scan_id}_steps.json"


def read_record(results: Path, scan_id: str) -> dict[str, Any]:
    """The record of a scan, an empty one where there is none that can be read."""
    try:
        found = json.loads(record_path(results, scan_id).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        found = {}
    return {"scan_id": scan_id, "steps": {}, "outcome": None, "running": None, "tries": 0, "lost": 0} | found


def write_record(results: Path, record: dict[str, Any]) -> None:
    write_text(record_path(results, record["scan_id"]), json.dumps(record, indent=1) + "\n")


def count_death(results: Path, scan_id: str, pid: int | None) -> None:
    """Record that this machine's process `pid` died while at a scan, as whoever outlived it saw."""
    record = read_record(results, scan_id)
    at_work = record["running"]
    if at_work and (at_work["host"], at_work["pid"]) == (os.uname().nodename, pid):
        write_record(results, record | {"running": None, "tries": record["tries"] + 1})


def last_file(results: Path, step: str, scan_id: str) -> Path:
    return Path(results) / LAST[step].format(scan=scan_id)


def is_done(record: dict[str, Any]) -> bool:
    return record["running"] is None and record["outcome"] is not None and set(LAST) <= set(record["steps"])


def withdraw(results: Path, scan_id: str, step: str) -> None:
    """Make a step of a scan undone, so that the workflow does it again and what follows from it.

    The stamps that speak of the scan are the caller's to remove, of all such scans at once: `remove_stamps`.
    """
    last_file(results, step, scan_id).unlink(missing_ok=True)
    record = read_record(results, scan_id)
    if record["steps"].pop(step, None):
        write_record(results, record)


def stale_step(record: dict[str, Any], scan: Scan, look: bool, viewer: bool = True) -> str | None:
    """The first step of a scan that was made by another version, from another row, or (`look`) from other files.

    Only looking reads anything: the names, sizes and times of the scan's files.
    """
    for step in LAST:
        done = record["steps"].get(step)
        if done is None:
            return None  # not done yet: the workflow knows
        now = steps.declared(step, viewer)
        if step == "ingest":
            now |= {"row": row_digest(scan)} | ({"files": fingerprint(scan.paths)} if look else {})
        now |= edit_of(step, scan)
        if any(done["needs"].get(name) != value for name, value in now.items()):
            return step
    return None


def present(results: Path) -> dict[str, set[str]]:
    """Names of all files of each step: one listing each, not a question a file."""
    found = {step: set() for step in LEFT}
    for step, names in found.items():
        with contextlib.suppress(FileNotFoundError):
            names.update(os.listdir(Path(results) / step))
    return found


def lost_step(record: dict[str, Any], names: dict[str, set[str]]) -> str | None:
    """The first step of a scan that came through of which a file is gone; `names` as `present` gives them."""
    if (record["outcome"] or {}).get("status") != "ok":
        return None
    done = (step for step in LEFT if step in record["steps"])
    gone = (step for step in done if any(f"{record['scan_id']}_{end}" not in names[step] for end in LEFT[step]))
    return next(gone, None)


def edit_of(step: str, scan: Scan) -> dict[str, str | None]:
    """What a step needs of the outlines that a person corrected; only `segment` takes them."""
    return {"edit": scan.edit.digest if scan.edit else None} if step == "segment" else {}


def is_edited(record: dict[str, Any]) -> bool:
    """Whether a person's outlines were taken for a scan."""
    return bool(record["steps"].get("segment", {}).get("needs", {}).get("edit"))


# --- stamps: what the workflow declares as output when one job takes a scan, or many, through all steps --------------


def scan_stamp(scan_id: str) -> str:
    return f"{FOLDER}/{scan_id}_done.json"


def chunk_stamp(chunk: str) -> str:
    return f"{FOLDER}/chunk-{chunk}_done.json"


def output_of(settings: dict[str, Any], scan_id: str, step: str) -> str:
    """The output whose job does this step of this scan, at the config's granularity; relative to the run's folder."""
    if settings["granularity"] == "step":
        return "results/" + LAST[step].format(scan=scan_id)
    if settings["granularity"] == "scan":
        return f"results/{scan_stamp(scan_id)}"
    return f"results/{chunk_stamp(chunk_of(scan_id, settings['chunks']))}"


def chunk_of(scan_id: str, chunks: int) -> str:
    """Name of the chunk that a scan belongs to, such as `07-of-40`; no other scan has a say in it."""
    number = int.from_bytes(hashlib.sha256(scan_id.encode()).digest()[:8]) % chunks + 1
    return f"{number:0{len(str(chunks))}d}-of-{chunks}"


def members(scans: Iterable[Scan], chunks: int) -> dict[str, list[Scan]]:
    """Scans of each chunk that has any, in the order of the scans table; chunks in the order of their names."""
    found: dict[str, list[Scan]] = {}
    for scan in scans:
        found.setdefault(chunk_of(scan.scan_id, chunks), []).append(scan)
    return dict(sorted(found.items()))


def row_digest(scan: Scan) -> str:
    """Of what the scans table says of a scan. A digest, because paths may hold a name."""
    return hashlib.sha256(json.dumps([scan.scan_id, scan.laterality, *scan.paths]).encode()).hexdigest()[:16]


def write_stamp(path: Path, results: Path, scan_ids: Sequence[str]) -> None:
    """Say what was made of these scans; its bytes differ whenever something behind it does."""
    made = {scan_id: _digest_of_files(results, scan_id) for scan_id in scan_ids}
    write_text(path, json.dumps(made, indent=1) + "\n")


def _digest_of_files(results: Path, scan_id: str) -> str:
    together = hashlib.sha256()
    for step in ("score", "report"):
        together.update(last_file(results, step, scan_id).read_bytes())
    return together.hexdigest()


def remove_stamps(results: Path, scan_ids: Iterable[str]) -> None:
    """Remove every stamp that speaks of one of these scans."""
    gone = set(scan_ids)
    for scan_id in gone:
        (Path(results) / scan_stamp(scan_id)).unlink(missing_ok=True)
    for stamp in (Path(results) / FOLDER).glob("chunk-*_done.json"):
        with contextlib.suppress(ValueError, FileNotFoundError):
            if gone & set(json.loads(stamp.read_text(encoding="utf-8"))):
                stamp.unlink()


# --- who is at work ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def held(results: Path, scan_id: str) -> Iterator[None]:
    """Wait until no other process works on this scan, and keep others off meanwhile.

    A job that outlived its killed run, or one that a cluster started twice, is waited for instead of raced with.
    One byte of one file per scan; the kernel frees it when the process dies. A file system without locks goes without.
    """
    import fcntl

    byte = int.from_bytes(hashlib.sha256(scan_id.encode()).digest()[:7])
    with open(_lock_file(results), "a+b") as file:
        with contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
        yield


def anyone_at_work(results: Path) -> bool:
    """Whether a process on this machine, or on another where the file system knows locks, works on any scan."""
    import fcntl

    try:
        with open(Path(results) / FOLDER / ".lock", "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock_file(results: Path) -> Path:
    path = Path(results) / FOLDER / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def here() -> dict[str, Any]:
    """Which process this is, for whoever looks for it."""
    return {"host": os.uname().nodename, "pid": os.getpid()}


def outcome_of(status: Row) -> Row:
    return {name: status[name] for name in ("status", "stage", "reason_code", "reason", "verdict")}
