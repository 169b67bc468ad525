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
from kneeline.config import read_config, workflow_folder
from kneeline.errors import UsageError

_OURS = ".snakemake/kneeline.lock"


def run(
    config: Path, directory: Path, cores: str, dry_run: bool = False, strict: bool = False, more: Sequence[str] = ()
) -> int:
    """Run the workflow in `directory`; returns the exit code of the command.

    The config and the sheets are checked first, so that a mistake stops the run before its first job.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such folder")
    config = config if config.is_absolute() else directory / config
    settings = read_config(config)
    tables.read_table(directory / settings["participants"], tables.PARTICIPANTS)
    scans = tables.read_scans(directory / settings["scans"])
    if not scans:
        raise UsageError(f"{settings['scans']}: holds no scan; `kneeline inventory DICOM_ROOT` writes it from a folder")

    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile"),
        "--directory", str(directory), "--configfile", str(config.resolve()), "--cores", str(cores),
        "--keep-going", "--rerun-incomplete", "--quiet", "rules", "reason", "host",
        *(["--dry-run"] if dry_run else []), *more,
    ]  # fmt: skip
    environment = {
        **os.environ,
        # The rules call `kneeline`: this one, whether or not its environment is activated.
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        # Each job computes on the one core that Snakemake counts for it.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    }
    with _only_run_in(directory):
        code = subprocess.run(command, env=environment, check=False).returncode
    if dry_run:
        return code
    if code:
        print(
            f"kneeline: the workflow stopped (exit code {code}); the failed steps are named above and their logs are "
            "in logs/. The same command goes on where it was.",
            file=sys.stderr,
        )
        return 1
    return 1 if _summary(directory) and strict else 0


def _summary(directory: Path) -> int:
    """Print what became of the scans; return how many were set aside."""
    rows = tables.read_table(directory / "results" / "ingest" / "scans.tsv", tables.INGEST_SCANS)
    set_aside = [row for row in rows if row["status"] != "ok"]
    print(f"\n{len(rows) - len(set_aside)} of {len(rows)} scans scored, {len(set_aside)} set aside")
    for row in set_aside:
        print(f"  {row['scan_id']}: {row['reason_code']}: {row['reason']}")
    print(f"report: {directory / 'results' / 'report' / 'report.html'}")
    return len(set_aside)


@contextlib.contextmanager
def _only_run_in(directory: Path) -> Iterator[None]:
    """Hold the folder for one `kneeline run`.

    The kernel frees our lock when the process dies, however it dies. So if we get it while Snakemake's own lock is
    still there and the marker says that a kneeline run made it, that run was killed and its lock is stale.
    """
    import fcntl

    path = directory / _OURS
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another kneeline run is at work in {directory.resolve()}; wait for it") from None
        held.seek(0)
        locks = directory / ".snakemake" / "locks"
        if locks.is_dir() and any(locks.iterdir()):
            if held.read() != "running":
                raise UsageError(
                    f"Snakemake holds a lock on {directory.resolve()} that kneeline did not set. If no snakemake is "
                    "running there, free it with `snakemake --unlock` and start again"
                )
            print("kneeline: the last run was killed; its lock is removed and the run goes on", file=sys.stderr)
            shutil.rmtree(locks)
        _mark(held, "running")
        yield
        _mark(held, "done")


def _mark(held, word: str) -> None:
    held.seek(0)
    held.truncate()
    held.write(word)
    held.flush()
