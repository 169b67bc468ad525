"""Where a command is to write: looked at before anything is computed, as types of its options."""

from __future__ import annotations

import os
from pathlib import Path

from kneeline.errors import UsageError


def new_folder(text: str) -> Path:
    """A folder that is there or can be made, and may be written to.

    Raises
    ------
    UsageError
        With what stands in the way: a file, permissions, a read-only or full disk.
    """
    path = Path(text)
    place = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not place.is_dir():
        raise UsageError(f"{path}: expected a folder to write to, but {place} is none; name another")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(
            f"{path}: {place.absolute()} allows no writing (permissions, or a read-only disk); name another"
        )
    if os.statvfs(place).f_bavail == 0:
        raise UsageError(f"{path}: no space is left on that disk")
    return path


def new_file(text: str) -> Path:
    """A file that may be written, or written over, in such a folder.

    Raises
    ------
    UsageError
        As `new_folder` does, or if it is a folder.
    """
    path = Path(text)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; expected the name of a file to write")
    new_folder(str(path.parent))
    return path


def new_place(text: str) -> Path:
    """A file or a folder."""
    return new_folder(text) if Path(text).is_dir() else new_file(text)
