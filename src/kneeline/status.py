"""How a run stands: read from the scans' records alone, so also while it works and after it crashed."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kneeline import progress
from kneeline.errors import UsageError
from kneeline.tables import Row, write_text

_SHOWN = 20


@dataclass
class Standing:
    """`scans` are those of the run. What is known of each is kept from one `look` to the next."""

    results: Path
    scans: list[str]
    began: float  # seconds since the epoch
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Read the records that changed."""
        wanted = {progress.record_path(self.results, scan).name: scan for scan in self.scans}
        try:
            listing = list(os.scandir(self.results / progress.FOLDER))
        except FileNotFoundError:
            return
        for entry in listing:
            scan = wanted.get(entry.name)
            if scan is None:
                continue
            try:
                changed = entry.stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if self._times.get(scan) != changed:
                self._times[scan] = changed
                self.records[scan] = progress.read_record(self.results, scan)

    @property
    def done(self) -> list[str]:
        return [scan for scan in self.scans if scan in self.records and progress.is_done(self.records[scan])]

    @property
    def set_aside(self) -> list[tuple[str, Row]]:
        """Scans that were refused at some step, whether the steps after it have run or not."""
        told = ((scan, self.records[scan]["outcome"]) for scan in self.scans if scan in self.records)
        return [(scan, outcome) for scan, outcome in told if outcome and outcome["status"] != "ok"]

    @property
    def edited(self) -> list[str]:
        """Scans of which a person's outlines were taken."""
        return [scan for scan in self.scans if scan in self.records and progress.is_edited(self.records[scan])]

    @property
    def at_work(self) -> list[tuple[str, dict[str, Any]]]:
        found = ((scan, self.records[scan]["running"]) for scan in self.scans if scan in self.records)
        return [(scan, running) for scan, running in found if running]

    def seconds_left(self, now: float) -> float | None:
        """At the pace of this run; None before its first scan is done, 0 when none is left."""
        done = self.done
        left = len(self.scans) - len(done)
        times = [self._times[scan] / 1e9 for scan in done]
        fresh = sum(t >= self.began for t in times)
        if not left:
            return 0.0
        return (now - self.began) * left / fresh if fresh else None

    def work_left_s(self) -> float | None:
        """Seconds of work that are left, on one core, as the scans that are done took; None when none is."""
        done = self.done
        if not done:
            return None
        took = sum(step["seconds"] for scan in done for step in self.records[scan]["steps"].values())
        return took / len(done) * (len(self.scans) - len(done))

    def cpu_seconds(self) -> dict[str, float]:
        """What a scan that was scored cost so far, step by step, on average; nothing where none was."""
        spent = [
            {step: done["cpu_seconds"] for step, done in record["steps"].items() if "cpu_seconds" in done}
            for record in self.records.values()
            if progress.is_done(record) and record["outcome"]["status"] == "ok"
        ]
        whole = [steps for steps in spent if set(steps) >= set(progress.LAST)]
        return {step: sum(steps[step] for steps in whole) / len(whole) for step in progress.LAST} if whole else {}


def write_plan(results: Path, scans: list[str], began: float) -> None:
    """Say which scans a run is about, before its first job."""
    write_text(_plan(results), json.dumps({"began": began, "scans": scans}, indent=1) + "\n")


def standing(results: Path) -> Standing:
    """How the last run stands; of a run without a plan (plain snakemake), the scans that were begun.

    Raises
    ------
    UsageError
        If the folder holds no run.
    """
    results = Path(results)
    folder = results / progress.FOLDER
    if not folder.is_dir():
        raise UsageError(f"{results}: holds no run; expected the results folder of one, such as results")
    try:
        plan = json.loads(_plan(results).read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = sorted(path.name.removesuffix("_steps.json") for path in folder.glob("*_steps.json"))
        plan = {"began": min((p.stat().st_mtime for p in folder.iterdir()), default=time.time()), "scans": names}
    found = Standing(results, plan["scans"], plan["began"])
    found.look()
    return found


def _plan(results: Path) -> Path:
    return Path(results) / progress.FOLDER / "plan.json"


# --- as text ----------------------------------------------------------------------------------------------------------


def line(found: Standing, now: float) -> str:
    """One line: `120 of 10000 scans, 3 set aside, about 2 h 10 min left`."""
    done = len(found.done)
    parts = [f"{done} of {len(found.scans)} scans"]
    if found.set_aside:
        parts.append(f"{len(found.set_aside)} set aside")
    left = found.seconds_left(now)
    if left == 0:
        parts.append("all done")
    elif left is not None:
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def bar(found: Standing, now: float, width: int) -> str:
    """The same with a bar before it, for a terminal of so many columns."""
    text = line(found, now)
    room = min(40, width - len(text) - 4)
    if room < 5:
        return text[: max(width - 1, 0)]
    full = round(room * len(found.done) / max(len(found.scans), 1))
    return f"[{'#' * full}{'.' * (room - full)}] {text}"


def text(found: Standing, running: bool, now: float) -> str:
    """Everything `kneeline status` says."""
    done, aside, at_work = found.done, found.set_aside, found.at_work
    good = len(set(done) - {scan for scan, _ in aside})
    lines = [
        f"run at work for {duration(now - found.began)}" if running else "no run at work",
        f"{good} done, {len(aside)} set aside, {len(at_work)} {'at work' if running else 'interrupted'}, "
        f"{len(found.scans) - len(done)} of {len(found.scans)} to go",
    ]
    if found.edited:
        lines.append(f"{len(found.edited)} with outlines that were corrected by hand")
    left, work = found.seconds_left(now), found.work_left_s()
    if running and left:
        lines.append(f"about {duration(left)} left")
    elif not running and work:
        lines.append(f"about {duration(work)} of work left on one core; `kneeline run` goes on")
    elif not running and len(done) < len(found.scans):
        lines.append("`kneeline run` goes on")
    spent = found.cpu_seconds()
    if total := sum(spent.values()):
        shares = ", ".join(f"{step} {100 * seconds / total:.0f} %" for step, seconds in spent.items())
        lines.append(f"{total:.1f} CPU seconds a scored scan: {shares}")
    if at_work:
        lines.append("at work:" if running else "interrupted:")
        lines += _some([
            f"  {scan}: {now_at['step']} for {duration(now - now_at['since'])} on {now_at['host']} ({now_at['pid']})"
            if running
            else f"  {scan}: {now_at['step']}"
            for scan, now_at in at_work
        ])  # fmt: skip
    if aside:
        lines.append("set aside:")
        codes = sorted({outcome["reason_code"] for _, outcome in aside})
        for code in codes:
            of_code = [(scan, outcome) for scan, outcome in aside if outcome["reason_code"] == code]
            lines.append(f"  {code} ({len(of_code)}):")
            lines += _some([f"    {scan}: {outcome['reason']}" for scan, outcome in of_code])
    return "\n".join(lines) + "\n"


def _some(lines: list[str]) -> list[str]:
    indent = " " * (len(lines[0]) - len(lines[0].lstrip()))
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"{indent}... and {more} more"] if more > 0 else [])


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `2 h 10 min`, `3 d 4 h`."""
    s = max(round(seconds), 0)
    if s < 60:
        return f"{s} s"
    minutes = round(s / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
