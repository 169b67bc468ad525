"""A participant withdraws: remove every trace of them from what a run wrote.

The sheets are inputs and stay as they are; the rows to delete there are told. Corrected outlines and their rows go, and
so do their knees in reading packages, of which the others' cases stay.
What all participants share (cohort tables, report, chunk stamps, Snakemake's own notes) is removed where it names the
participant, and the next run makes it again without them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path

from kneeline import launch, progress, tables
from kneeline.config import read_config
from kneeline.edit import registry
from kneeline.errors import UsageError
from kneeline.places import new_folder
from kneeline.read import withdraw

WRITTEN = ("results", "logs", ".snakemake")
# Never named in a header or a text of ours, and large: their names tell whose they are.
_PIXELS = (".nii.gz", ".dcm", ".png", "_pixels.js")
# Environments, not notes of a run.
_FOREIGN = {"conda", "conda-archive", "singularity", "apptainer"}


def forget(participant: str, directory: Path, config: Path) -> list[str]:
    """Remove the participant and print what was done; the rows of the sheets that are still to be deleted by hand.

    Raises
    ------
    UsageError
        If the id is none, if a run is at work, or if something could not be removed: then it is named.
    """
    directory = Path(directory)
    if not re.fullmatch(tables.PARTICIPANTS["participant_id"].pattern, participant):
        raise UsageError(f"{participant!r} is no participant id; expected sub- and letters or digits, such as sub-001")
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such folder")
    for written in (directory, *filter(Path.is_dir, (directory / top for top in WRITTEN))):
        new_folder(str(written))
    settings = read_config(directory / config)
    with launch.only_run_in(directory):
        if progress.anyone_at_work(directory / "results"):
            raise UsageError("jobs of a run are still at work; wait for them or end them, then try again")
        keys = withdraw.keys_of(participant, directory)
        for key in keys:
            withdraw.withdraw(participant, key)
        _remove_cohort_tables(directory / "results")
        removed = 0
        edits = directory / settings["edits"]
        registry.forget_rows(participant, edits)
        for path in [*traces(participant, directory), *registry.traces_of(participant, edits)]:
            _remove(path)
            removed += 1
        left = [*traces(participant, directory), *registry.traces_of(participant, edits)]
    if left:
        shown = "\n  ".join(str(path) for path in left[:20])
        raise UsageError(f"{len(left)} trace(s) of {participant} could not be removed:\n  {shown}")
    sheets = [settings[name] for name in ("participants", "scans", "readings") if settings[name]]
    rows = [told for sheet in sheets for told in _rows_of(participant, directory / sheet)]
    places = ", ".join([*WRITTEN, *([settings["edits"]] if edits.is_dir() else [])])
    print(f"{removed} file(s) and folder(s) removed; nothing names {participant} in {places} any more")
    for key in keys:
        print(f"their knees are out of the reading package of {key}; a copy that a reader has is yours to delete")
    if rows:
        print("still to be deleted by you, or the next run scores the participant again:\n  " + "\n  ".join(rows))
    print("the next `kneeline run` makes the cohort tables and the report again")
    return rows


def traces(participant: str, directory: Path) -> Iterator[Path]:
    """Files and folders that a run wrote and that are of the participant or name them."""
    named = re.compile(rf"(?<![A-Za-z0-9]){re.escape(participant)}(?![A-Za-z0-9])")
    named_bytes = re.compile(named.pattern.encode())
    for top in WRITTEN:
        for folder, folders, files in os.walk(directory / top):
            here = Path(folder)
            if top == ".snakemake":
                folders[:] = [name for name in folders if name not in _FOREIGN]
            for name in [name for name in folders if named.search(name)]:
                folders.remove(name)
                yield here / name
            for name in files:
                path = here / name
                if (
                    named.search(name)
                    or (top == ".snakemake" and named.search(_plain_name(path, directory)))
                    or (not name.endswith(_PIXELS) and named_bytes.search(path.read_bytes()))
                ):
                    yield path


def _plain_name(path: Path, directory: Path) -> str:
    """What a note of Snakemake is about: it names its notes by the output's path in base64, cut where too long."""
    parts = path.relative_to(directory / ".snakemake").parts[1:]
    try:
        return urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode(errors="replace")
    except ValueError:
        return ""


def _remove_cohort_tables(results: Path) -> None:
    """Counts and means hold a participant without naming them."""
    for pattern in ("cohort/*", "report/*.html", "report/knees.js", "report/*.pdf", "*/*.tsv"):
        for path in results.glob(pattern):
            # Per-scan tables carry a scan id; the shared ones have a bare name.
            if path.is_file() and not path.name.startswith("sub-"):
                path.unlink()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # looked for again, and told
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _rows_of(participant: str, sheet: Path) -> list[str]:
    """`config/scans.tsv line 7`, for every row of the participant."""
    lines = sheet.read_text(encoding="utf-8-sig").splitlines()
    named = re.compile(rf"(?<![A-Za-z0-9-]){re.escape(participant)}(?![A-Za-z0-9])")
    return [f"{sheet} line {number}" for number, line in enumerate(lines, start=1) if named.search(line)]
