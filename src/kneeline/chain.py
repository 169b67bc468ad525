"""What is done to one scan, in order: the one definition behind every granularity.

A step is done again only when what it was made from changed: its declared version, or what the step before wrote, or
for ingest the scan's row and files. So a job that was killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from kneeline import progress, steps, tables
from kneeline.ingest.fingerprint import fingerprint
from kneeline.tables import Row, Scan

# What the last step makes of a scan besides its marker.
_OF_PICTURE = ("{}_overlay.png", "knees/{}.html", "knees/{}_pixels.js", "knees/{}_thumbnail.png")
# So often a scan's process may die alone at a step, before the scan is set aside: then memory it is.
MOST_TRIES = 3
# So often it may be lost without a witness, together with what started it: a node that lost its power, a whole run that
# was killed. That is no fault of the scan, unless it never ends.
MOST_LOST = 9


def _ingest(scan: Scan, results: Path) -> None:
    from kneeline.ingest.run import ingest_scan

    ingest_scan(scan, results / "ingest")


def _segment(scan: Scan, results: Path) -> None:
    from kneeline.segment.run import segment_scan

    segment_scan(scan.scan_id, results / "ingest", results / "segment", scan.edit)


def _score(scan: Scan, results: Path) -> None:
    from kneeline.score.run import score_scan

    score_scan(scan.scan_id, results / "ingest", results / "segment", results / "score")


def _picture(scan: Scan, results: Path, viewer: bool = True) -> None:
    from kneeline.report.pictures import picture_scan

    folders = (results / stage for stage in ("ingest", "segment", "score", "report"))
    picture_scan(scan.scan_id, *folders, viewer=viewer)


STEPS: dict[str, Callable[..., None]] = {
    "ingest": _ingest,
    "segment": _segment,
    "score": _score,
    "report": _picture,
}


def process(scan: Scan, results: Path, *, only: str | None = None, viewer: bool = True) -> Row:
    """Take a scan through every step that is not current, or through one, done or not; its status at the end.

    viewer: whether the knee's page holds its slices.
    """
    for step in [only] if only else STEPS:
        run_step(step, scan, results, again=bool(only), viewer=viewer)
    stage = only if only in tables.INGEST_SCANS["stage"].allowed else "score"
    return tables.read_status(results / stage, scan.scan_id)


def run_step(step: str, scan: Scan, results: Path, *, again: bool = True, viewer: bool = True) -> None:
    """Do one step of a scan and record it; unless `again`, only if it is not current.

    Raises
    ------
    MemoryError, OSError
        The machine's faults pass through. Running out of memory counts as a try, and so does a death of this process
        that another one saw (`workers`): a scan that does so time and again is set aside, so that it does not hold up
        all others for ever.
    UsageError
        If the step before has not been run.
    """
    results = Path(results)
    with progress.held(results, scan.scan_id):
        needs = needs_of(step, scan, results, viewer)
        record = progress.read_record(results, scan.scan_id)
        if not again and _is_current(step, record, needs, results):
            return
        if record["running"]:  # nobody holds the scan, and nobody told what became of whoever did
            record["lost"] += 1
        record["running"] = {"step": step, "since": time.time()} | progress.here()
        progress.write_record(results, record)
        start, cpu_start = time.monotonic(), _cpu_s()
        try:
            _do(step, scan, results, viewer, record)
        except BaseException as error:
            # It was heard of: stopped by somebody, or the disk is full. Only memory may be the scan's doing.
            with contextlib.suppress(OSError):
                tries = record["tries"] + isinstance(error, MemoryError)
                progress.write_record(results, record | {"running": None, "tries": tries})
            raise
        spent = {"seconds": round(time.monotonic() - start, 3), "cpu_seconds": round(_cpu_s() - cpu_start, 2)}
        record["steps"][step] = {"needs": needs} | spent
        record |= {"running": None, "tries": 0, "lost": 0}
        if step in tables.INGEST_SCANS["stage"].allowed:
            record["outcome"] = progress.outcome_of(tables.read_status(results / step, scan.scan_id))
        progress.write_record(results, record)


def _cpu_s() -> float:
    """Of this process and its children that have ended, such as a decoder of compressed pixels."""
    return sum(os.times()[:4])


def needs_of(step: str, scan: Scan, results: Path, viewer: bool = True) -> dict:
    """What a step of a scan is made from: equal needs, equal output."""
    if step == "ingest":
        return steps.declared(step) | {"row": progress.row_digest(scan), "files": fingerprint(scan.paths)}
    order = list(STEPS)
    before = order[order.index(step) - 1]
    tables.read_status(results / before, scan.scan_id)  # says in plain words when it is absent
    path = progress.last_file(results, before, scan.scan_id)
    needs = steps.declared(step, viewer) | {"before": hashlib.sha256(path.read_bytes()).hexdigest()}
    return needs | progress.edit_of(step, scan)


def _is_current(step: str, record: dict, needs: dict, results: Path) -> bool:
    done = record["steps"].get(step)
    return bool(done) and done["needs"] == needs and progress.last_file(results, step, record["scan_id"]).exists()


def _do(step: str, scan: Scan, results: Path, viewer: bool, record: dict) -> None:
    before = _status_before(step, scan, results)
    if before["status"] == "quarantined":
        # As each step does by itself, without importing what it works with: a refused scan costs next to nothing.
        _write_refused(step, scan, results, before, f"set aside: {before['reason']}")
    elif record["tries"] >= MOST_TRIES or record["lost"] >= MOST_LOST:
        died = record["tries"] >= MOST_TRIES
        reason = (
            "expected this step to end, its process died {} times while at it, as when memory runs out; give it more"
            if died
            else "expected this step to end, it was lost with its job {} times, as when a node fails or a cluster ends "
            "what takes too much; give it more memory and time"
        ).format(record["tries"] if died else record["lost"])
        reason += " and try again with `kneeline rerun-failed`"
        told = {"status": "quarantined", "stage": step, "reason_code": "process_died", "reason": reason}
        _write_refused(step, scan, results, before | told, reason)
    else:
        STEPS[step](scan, results, **({"viewer": False} if step == "report" and not viewer else {}))


def _status_before(step: str, scan: Scan, results: Path) -> Row:
    """Status of a scan as a step finds it."""
    if step == "ingest":
        names = ("scan_id", "participant_id", "session_id", "laterality")
        return {"status": "ok"} | {name: getattr(scan, name) for name in names}
    order = list(STEPS)
    return tables.read_status(results / order[order.index(step) - 1], scan.scan_id)


def _write_refused(step: str, scan: Scan, results: Path, status: Row, reason: str) -> None:
    """Write what a step writes of a scan that is not used; the picture's marker holds the reason."""
    for name in _OF_PICTURE if step == "report" else (f"{{}}_{end}" for end in tables.SCAN_FILES):
        (results / step / name.format(scan.scan_id)).unlink(missing_ok=True)
    if step == "report":
        marker = {"scan_id": scan.scan_id, "picture": None, "panels": [], "reason": reason}
        tables.write_text(progress.last_file(results, step, scan.scan_id), json.dumps(marker, indent=1) + "\n")
        return
    if step == "ingest":
        tables.write_table(results / step / f"{scan.scan_id}_series.tsv", [], tables.SERIES)
    tables.write_status(results / step, status)
