"""The regular files of a scan, whatever its folders hold: links, circles of links, pipes, folders without access."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kneeline.errors import Refusal
from kneeline.ingest.limits import MAX_FILES, too_many_files


def files_below(path: Path) -> Iterator[Path]:
    """A file itself, or all files below a folder: those of a folder by name, then its folders by name.

    Links to folders are followed, each real folder is entered once. Hidden files are left out, and so is what is no
    file: opening a pipe would wait for ever. Links that lead nowhere are kept: they may stand for a slice.

    Raises
    ------
    Refusal
        `missing_path` when nothing is there, `unreadable_folder`, `too_many_files`.
    """
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError:
        raise _unreadable() from None
    except (OSError, ValueError):  # ValueError: a name that no file can have
        raise Refusal(
            "missing_path",
            "expected a DICOM folder or a NIfTI file, but nothing is at the path of the scans table; correct the path",
        ) from None
    if not is_folder and path.name.upper() != "DICOMDIR":
        return iter([path] if is_file(path) else [])
    # The index of a DICOM disc stands for the disc.
    return _walk(path if is_folder else path.parent)


def is_file(path: str | os.PathLike) -> bool:
    """Whether a path may be opened without waiting; a link to nowhere may."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _walk(top: Path) -> Iterator[Path]:
    entered, waiting, count = set(), [top], 0
    while waiting:
        folder = waiting.pop()
        folders = []
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except OSError:
            raise _unreadable() from None
        count += len(entries)
        if count > MAX_FILES:
            raise too_many_files()
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if _is_folder(entry):
                folders.append(folder / entry.name)
            elif is_file(entry.path):
                yield folder / entry.name
        waiting += reversed(folders)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _unreadable() -> Refusal:
    return Refusal(
        "unreadable_folder",
        "expected folders that can be listed, one at or below the path of the scans table cannot; "
        "give access to it (`find FOLDER ! -readable` names it)",
    )
