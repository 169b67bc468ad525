"""Start the Snakemake workflow, and tell at the end what became of every scan."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kneeline import tables
from kneeline.cohort.runners import read_runners
from kneeline.config import read_config, workflow_folder
from kneeline.errors import UsageError

_OURS = ".snakemake/kneeline.lock"


def run(
    config: Path, directory: Path, cores: str, dry_run: bool = False, strict: bool = False, more: Sequence[str] = ()
) -> int:
    """Run the workflow in `directory`; returns the exit code of the command.

    The config and the sheets are checked first, so that a mistake stops the run before its first job. `config` and the
    paths in it are relative to `directory`.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such folder")
    if not (cores == "all" or cores.isdigit() and int(cores) > 0):
        raise UsageError(f"--cores takes a number or 'all', not {cores!r}")
    from kneeline.segment.engine import check_environment

    check_environment()
    config = directory / config
    if not check_sheets(read_config(config), directory):
        raise UsageError("the scans table holds no scan; `kneeline inventory DICOM_ROOT` writes it from a folder")

    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile"),
        "--directory", str(directory), "--configfile", str(config.resolve()), "--replace-workflow-config",
        "--cores", cores, "--keep-going", "--rerun-incomplete", "--quiet", "rules", "reason", "host",
        *(["--dry-run"] if dry_run else []), *more,
    ]  # fmt: skip
    environment = {
        **os.environ,
        # The rules call `kneeline`: this one, whether or not its environment is activated.
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        # Each job computes on the one core that Snakemake counts for it.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    }
    with _only_run_in(directory) as lock:
        # Snakemake inherits our lock: it stays held if only we are killed and Snakemake works on.
        code = _wait(subprocess.Popen(command, env=environment, pass_fds=(lock,)))
    if code == 2:
        return 2
    if code:
        print(
            f"kneeline: the workflow stopped (exit code {code}); the failed steps are named above and their logs are "
            "in logs/. The same command goes on where it was.",
            file=sys.stderr,
        )
        return 1
    scans = directory / "results" / "ingest" / "scans.tsv"
    if dry_run or not scans.exists():
        return 0
    return 1 if _summary(directory, scans) and strict else 0


def check_sheets(settings: dict, directory: Path) -> list[tables.Scan]:
    """Read all sheets of a config as the stages will; the scans.

    Raises
    ------
    UsageError
        With the faults of the first sheet that has any.
    """
    read_runners(directory / settings["participants"])
    if settings["readings"]:
        tables.read_table(directory / settings["readings"], tables.READINGS)
    return tables.read_scans(directory / settings["scans"])


def _wait(process: subprocess.Popen) -> int:
    """Exit code of Snakemake. Ctrl-C reaches it too: it stops its jobs and frees its lock, so we wait for it."""
    interrupted = False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return code


def _summary(directory: Path, scans: Path) -> int:
    """Print what became of the scans; return how many were set aside."""
    rows = tables.read_table(scans, tables.INGEST_SCANS)
    set_aside = [row for row in rows if row["status"] != "ok"]
    print(f"\n{len(rows) - len(set_aside)} of {len(rows)} scans scored, {len(set_aside)} set aside")
    for row in set_aside:
        print(f"  {row['scan_id']}: {row['reason_code']}: {row['reason']}")
    print(f"report: {directory / 'results' / 'report' / 'report.html'}")
    return len(set_aside)


@contextlib.contextmanager
def _only_run_in(directory: Path) -> Iterator[int]:
    """Hold the folder for one `kneeline run`; gives the descriptor of the lock.

    The kernel frees our lock when the last process that holds it dies, however it dies. So if we get it while
    Snakemake's own lock is still there and the marker says that a kneeline run made it, that run was killed and its
    lock is stale.
    """
    import fcntl

    path = directory / _OURS
    path.parent.mkdir(exist_ok=True)
    locks = directory / ".snakemake" / "locks"
    with open(path, "a+", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another kneeline run is at work in {directory.resolve()}; wait for it") from None
        held.seek(0)
        if _any_lock(locks):
            if held.read() != "running":
                raise UsageError(
                    f"Snakemake holds a lock on {directory.resolve()} that kneeline did not set. If no snakemake is "
                    "running there, free it with `snakemake --unlock` and start again"
                )
            print("kneeline: the last run was killed; its lock is removed and the run goes on", file=sys.stderr)
            shutil.rmtree(locks)
        _mark(held, "running")
        try:
            yield held.fileno()
        finally:
            # A lock that is left now is one of a Snakemake that was killed under us.
            if not _any_lock(locks):
                _mark(held, "done")


def _any_lock(locks: Path) -> bool:
    return locks.is_dir() and any(locks.iterdir())


def _mark(held, word: str) -> None:
    held.seek(0)
    held.truncate()
    held.write(word)
    held.flush()
