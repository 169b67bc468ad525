"""Start the Snakemake workflow, and tell at the end what became of every scan."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kneeline import progress, status, tables, warm, watch
from kneeline.cohort.doubts import doubts
from kneeline.cohort.input_checks import reading_faults, refuse
from kneeline.cohort.runners import read_runners
from kneeline.config import read_config, workflow_folder
from kneeline.edit import registry
from kneeline.errors import UsageError
from kneeline.places import new_folder

_OURS = ".snakemake/kneeline.lock"
_SAID = ".snakemake/kneeline.said"
_LAST_FILES = ("_truth.tsv", "_done.json", "_status.json", "_picture.json")
# A file server's clock may be that much ahead of ours.
_CLOCK_JITTER_S = 60
_LONG_AGO = 946684800  # the year 2000


@dataclass(frozen=True)
class Call:
    """What a person asks of a run. `config` and the paths in it are relative to `directory`."""

    config: Path = Path("config/config.yaml")
    directory: Path = Path(".")
    cores: str | None = None
    profile: str = "default"
    trust_inputs: bool = False
    dry_run: bool = False
    strict: bool = False
    more: Sequence[str] = ()


def run(call: Call, choose: Callable[[Path, list[str]], list[str]] | None = None) -> int:
    """Run the workflow; returns the exit code of the command.

    The config and the sheets are checked first, so that a mistake stops the run before its first job.

    Parameters
    ----------
    choose
        Gives, from the results folder and the ids of all scans, those to begin anew.
    """
    directory = Path(call.directory)
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such folder")
    new_folder(str(directory))
    if re.search(r"\{.*\}", str(directory.resolve()), re.DOTALL):
        raise UsageError(
            f"{directory.resolve()}: Snakemake takes what stands in {{}} for a pattern; rename that folder"
        )
    if call.cores and not (call.cores == "all" or call.cores.isdigit() and int(call.cores) > 0):
        raise UsageError(f"--cores takes a number or 'all', not {call.cores!r}")
    profile = profile_folder(call.profile, directory)
    from kneeline.segment.engine import check_environment

    check_environment()
    config = directory / call.config
    settings = read_config(config)
    scans = check_sheets(settings, directory)
    if not scans:
        raise UsageError("the scans table holds no scan; `kneeline inventory DICOM_ROOT` writes it from a folder")
    for doubt in sheet_doubts(settings, directory, scans):
        print(f"kneeline: please check: {doubt}", file=sys.stderr)
    results = directory / "results"
    with only_run_in(directory) as lock:
        with contextlib.chdir(directory):  # paths of the sheets
            look = not (call.trust_inputs or settings["simulate"])
            stale = _stale(scans, Path("results"), look, settings["report"]["viewer"])
        if choose:
            stale |= dict.fromkeys(choose(results, [scan.scan_id for scan in scans]))
        forced = _withdraw(stale, settings, results, call.dry_run)
        began = time.time()
        if not call.dry_run:
            if drop_times_to_come(results, began):
                print(
                    "kneeline: results bear times to come, so the clock was ahead when they were written; all inputs "
                    "are compared by content",
                    file=sys.stderr,
                )
            status.write_plan(results, [scan.scan_id for scan in scans], began)
        command = _command(call, profile, config, forced)
        # Snakemake inherits our lock: it stays held if only we are killed and Snakemake works on.
        warmed = contextlib.nullcontext if call.dry_run or _goes_elsewhere(call, profile) else warm.kept
        with warmed(_environment(directory)) as environment, _said_in(directory, call.dry_run) as (said, heard):
            process = subprocess.Popen(command, env=environment, pass_fds=(lock,), stderr=said)
            seen = status.Standing(results, [scan.scan_id for scan in scans], began)
            with watch.watching(seen, watch.follow(heard, process.poll)) if heard else contextlib.nullcontext():
                code = _wait(process)
    if code == 2:
        return 2
    if code:
        print(
            f"kneeline: the workflow stopped (exit code {code}); the failed steps are named above and their logs are "
            "in logs/. The same command goes on where it was.",
            file=sys.stderr,
        )
        return 1
    table = results / "ingest" / "scans.tsv"
    if call.dry_run or not table.exists():
        return 0
    return 1 if _summary(directory, table) and call.strict else 0


@contextlib.contextmanager
def _said_in(directory: Path, dry_run: bool) -> Iterator[tuple[IO | None, IO | None]]:
    """A file for what Snakemake says, open to write and to read; in a dry run it speaks for itself.

    A pipe would hang it at the first word that nobody hears, if only we are killed.
    """
    if dry_run:
        yield None, None
        return
    path = directory / _SAID
    with open(path, "wb") as said, open(path, "rb") as heard:
        yield said, heard


def set_aside(reason_code: str | None = None) -> Callable[[Path, list[str]], list[str]]:
    """For `run`: the scans that were set aside, by this rule if one is named."""

    def choose(results: Path, scan_ids: list[str]) -> list[str]:
        seen = status.Standing(results, scan_ids, began=0)
        seen.look()
        return [scan for scan, outcome in seen.set_aside if reason_code in (None, outcome["reason_code"])]

    return choose


def unlock(directory: Path) -> None:
    """Remove Snakemake's lock on a folder where nothing is at work."""
    directory = Path(directory)
    with _run_lock(directory):
        if progress.anyone_at_work(directory / "results"):
            raise UsageError(f"jobs of a run are still at work in {directory.resolve()}; wait for them or end them")
        shutil.rmtree(directory / ".snakemake" / "locks", ignore_errors=True)


def profile_folder(name: str, directory: Path) -> Path:
    """Folder of a profile: one of the workflow's own by its name, or a folder of the user's.

    Raises
    ------
    UsageError
        If there is none.
    """
    own = workflow_folder() / "profiles"
    for folder in (own / name, directory / name):
        if any((folder / file).is_file() for file in ("profile.yaml", "config.yaml")):
            return folder.resolve()
    known = ", ".join(sorted(p.name for p in own.iterdir() if p.is_dir()))
    raise UsageError(f"--profile takes one of {known}, or a folder with a profile.yaml, not {name!r}")


def _stale(scans: list[tables.Scan], results: Path, look: bool, viewer: bool) -> dict[str, str | None]:
    """Scans that are done, or partly done, from what is no longer so or with a file gone, and the step to begin at."""
    found, names, order = {}, progress.present(results), list(progress.LAST)
    known = {path.name for path in (results / progress.FOLDER).glob("*_steps.json")}
    for scan in scans:
        if progress.record_path(results, scan.scan_id).name in known:
            record = progress.read_record(results, scan.scan_id)
            steps = progress.stale_step(record, scan, look, viewer), progress.lost_step(record, names)
            if any(steps):
                found[scan.scan_id] = min(filter(None, steps), key=order.index)
    return found


def _withdraw(stale: dict[str, str | None], settings: dict, results: Path, dry_run: bool) -> list[str]:
    """Make steps undone (None: all of a scan); in a dry run touch nothing, but give the outputs to plan anew."""
    if stale:
        print(f"kneeline: {len(stale)} scan(s) are done again: changed, or asked for", file=sys.stderr)
    if dry_run:
        return sorted({progress.output_of(settings, scan, step or "ingest") for scan, step in stale.items()})
    progress.remove_stamps(results, stale)
    for scan, step in stale.items():
        order = list(progress.LAST)
        # Snakemake does not miss a file that only files already there were made from: one job a step needs all undone.
        after = settings["granularity"] == "step" or step is None
        for undone in order[order.index(step or order[0]) :] if after else [step]:
            progress.withdraw(results, scan, undone)
        if step is None:
            progress.record_path(results, scan).unlink(missing_ok=True)
    return []


def drop_times_to_come(results: Path, now: float) -> int:
    """If results are newer than now, give all a time long ago; how many are newer.

    Snakemake runs a rule when an input is newer than its outputs and differs from what was read. After a clock that was
    ahead is set right, outputs would be newer than every edit, and edits would pass unseen. All of them, and each older
    than what it is made from: else tables made before the clock went wrong would pass for newer than what it left.
    """
    times, ahead = {}, 0
    for folder in ("", "simulate", "ingest", "segment", "score", "cohort", "report", progress.FOLDER):
        with contextlib.suppress(FileNotFoundError), os.scandir(Path(results) / folder) as listing:
            for entry in listing:
                place = _place_in_chain(folder, entry.name)
                if place is not None and entry.is_file():
                    times[entry.path] = _LONG_AGO - place
                    ahead += entry.stat().st_mtime > now + _CLOCK_JITTER_S
    for path, time_s in times.items() if ahead else ():
        os.utime(path, (time_s, time_s))
    return ahead


def _place_in_chain(folder: str, name: str) -> int | None:
    """Higher for what is made later; None for what no rule declares."""
    if name.startswith("sub-") and not name.endswith(_LAST_FILES):
        return None
    order = ["simulate", *progress.LAST, progress.FOLDER, "tables", "cohort", "page"]
    if not name.startswith("sub-"):
        folder = {"report": "page"}.get(folder, folder if folder in ("cohort", progress.FOLDER) else "tables")
    return order.index(folder)


def _command(call: Call, profile: Path, config: Path, forced: list[str]) -> list[str]:
    cores = call.cores or ("all" if call.profile == "default" else None)
    return [
        # -P: what lies in the folder is not imported.
        sys.executable, "-P", "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile"),
        "--directory", str(call.directory), "--configfile", str(config.resolve()), "--replace-workflow-config",
        "--workflow-profile", str(profile),
        *(["--cores", cores] if cores else []),
        *(["--forcerun", *forced] if forced else []),
        "--quiet", "rules", "reason", "host", *(["--dry-run"] if call.dry_run else ["progress"]), *call.more,
    ]  # fmt: skip


def _goes_elsewhere(call: Call, profile: Path) -> bool:
    """Whether jobs may be given to a scheduler, which starts them on its machines and within its limits."""
    import yaml

    asked = {word.split("=")[0] for word in call.more} & {"--executor", "-e", "--profile"}
    files = (profile / name for name in ("profile.yaml", "config.yaml"))
    told = [yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in files if file.is_file()]
    executors = {str(options.get("executor", "local")) for options in told}
    return bool(asked or executors - {"local"} or os.environ.get("SNAKEMAKE_PROFILE"))


def _environment(directory: Path) -> dict[str, str]:
    cache = directory.resolve() / ".snakemake" / "cache"
    return {
        # Snakemake copies the rules there at each run, matplotlib lists the fonts: not in the home of whoever runs it.
        "XDG_CACHE_HOME": str(cache),
        "MPLCONFIGDIR": str(cache / "matplotlib"),
        **os.environ,
        # The rules call `kneeline`: this one, whether or not its environment is activated.
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        # Each job computes on the one core that Snakemake counts for it.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    }


def check_sheets(settings: dict, directory: Path) -> list[tables.Scan]:
    """Read all sheets of a config as the stages will; the scans, with their edits.

    Raises
    ------
    UsageError
        With the faults of the first sheet that has any.
    """
    runners = {row["participant_id"] for row in read_runners(directory / settings["participants"])}
    scans = tables.read_scans(directory / settings["scans"])
    if settings["readings"]:
        readings = tables.read_table(directory / settings["readings"], tables.READINGS)
        refuse(str(settings["readings"]), reading_faults(readings, [_knee(scan) for scan in scans], runners))
    scans = registry.with_edits(scans, settings["edits"], directory)
    refuse(str(settings["edits"]), registry.faults_of(scans, directory))
    return scans


def sheet_doubts(settings: dict, directory: Path, scans: Sequence[tables.Scan]) -> list[str]:
    """What a person should look at before a long run: unknown people, numbers that look like another unit, edits of
    no scan."""
    runners = read_runners(directory / settings["participants"])
    ids = {row["participant_id"] for row in runners}
    strangers = sorted({scan.participant_id for scan in scans} - ids)
    return [
        *(
            f"{person}: in the scans table but not in the participants table; scored, but the cohort analysis stops "
            "until it is there (a row with the id alone will do)"
            for person in strangers
        ),
        *(f"{settings['participants']}: {doubt}" for doubt in doubts(runners)),
        *registry.doubts_of(scans, settings["edits"], directory),
    ]


def _knee(scan: tables.Scan) -> tuple[str, str, str | None]:
    return scan.participant_id, scan.session_id, scan.laterality


def _wait(process: subprocess.Popen) -> int:
    """Exit code of Snakemake.

    Ctrl-C reaches it too: it stops its jobs and frees its lock, so we wait for it. SIGTERM is passed on: it starts no
    more jobs and ends when those at work have.
    """
    interrupted = False
    with _on_sigterm(lambda: process.terminate()):
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return code


@contextlib.contextmanager
def _on_sigterm(do: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: do())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _summary(directory: Path, scans: Path) -> int:
    """Print what became of the scans; return how many were set aside."""
    rows = tables.read_table(scans, tables.INGEST_SCANS)
    set_aside = [row for row in rows if row["status"] != "ok"]
    print(f"\n{len(rows) - len(set_aside)} of {len(rows)} scans scored, {len(set_aside)} set aside")
    for row in set_aside:
        print(f"  {row['scan_id']}: {row['reason_code']}: {row['reason']}")
    for what, name in (("report", "report.html"), ("knees, one by one", "index.html")):
        page = directory / "results" / "report" / name
        if page.exists():
            print(f"{what}: {page}")
    return len(set_aside)


@contextlib.contextmanager
def only_run_in(directory: Path) -> Iterator[int]:
    """Hold the folder for one `kneeline run`; gives the descriptor of the lock.

    The kernel frees our lock when the last process that holds it dies, however it dies. So if we get it while
    Snakemake's own lock is still there and the marker says that a kneeline run made it, that run was killed and its
    lock is stale.
    """
    locks = directory / ".snakemake" / "locks"
    with _run_lock(directory) as held:
        held.seek(0)
        if _any_lock(locks):
            if held.read() != "running":
                raise UsageError(
                    f"Snakemake holds a lock on {directory.resolve()} that kneeline did not set. If no snakemake is "
                    "running there, here or on another machine, free it with `kneeline run --unlock` and start again"
                )
            print("kneeline: the last run was killed; its lock is removed and the run goes on", file=sys.stderr)
            shutil.rmtree(locks)
            for run_id in _cluster_runs(directory):
                print(
                    f"kneeline: its jobs on the cluster may be left; `scancel --me --name {run_id}` ends them. If they "
                    "go on, this run waits for the scans that they work on",
                    file=sys.stderr,
                )
        _mark(held, "running")
        try:
            yield held.fileno()
        finally:
            # A lock that is left now is one of a Snakemake that was killed under us.
            if not _any_lock(locks):
                _mark(held, "done")


@contextlib.contextmanager
def _run_lock(directory: Path) -> Iterator:
    """The file of our lock, locked."""
    import fcntl

    path = directory / _OURS
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+", encoding="utf-8") as held:
        for attempt in range(3):
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if attempt == 2:
                    raise UsageError(f"another kneeline run is at work in {directory.resolve()}; wait for it") from None
                time.sleep(0.1)  # `kneeline status` may be looking
        yield held


def is_running(directory: Path) -> bool:
    """Whether a run, or a job of one, is at work in a folder."""
    import fcntl

    try:
        with open(directory / _OURS, encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return progress.anyone_at_work(directory / "results")


def _cluster_runs(directory: Path) -> list[str]:
    """Name under which the last run's jobs are known to SLURM, if it ran there."""
    logs = sorted((directory / ".snakemake" / "log").glob("*.snakemake.log"))
    return re.findall(r"SLURM run ID: (\S+)", logs[-1].read_text(errors="replace")) if logs else []


def _any_lock(locks: Path) -> bool:
    return locks.is_dir() and any(locks.iterdir())


def _mark(held, word: str) -> None:
    held.seek(0)
    held.truncate()
    held.write(word)
    held.flush()
