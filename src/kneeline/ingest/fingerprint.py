"""Whether a scan's input changed, without reading it: for workflows that must notice a repair made in place.

Standard library only, so that it may run for every scan each time a workflow is planned.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator

ABSENT = "absent"
_NIFTI_NAMES = (b".nii.gz", b".nii")


def fingerprint(paths: Iterable[str | os.PathLike]) -> str:
    """Digest of the names, sizes and times of change of the files that ingest would find: 16 hex characters.

    Names are relative to each path, so a tree that is moved as it is keeps its fingerprint. Files are looked for as
    ingest looks for them: hidden ones do not count, links to folders are followed and each real folder entered once, a
    DICOMDIR stands for its folder, a NIfTI file for itself and its sidecar. What cannot be listed counts as such, so
    giving access changes the fingerprint. A file replaced by one of equal size and equal time of change is not noticed.

    Parameters
    ----------
    paths
        Files and folders of one scan, in the order of the scans table.

    Returns
    -------
    str
        "absent" when nothing is at any of the paths.
    """
    digest, absent = hashlib.sha256(), True
    for path in paths:
        # Each record ends in NUL, which no name can hold: no two trees give one stream of bytes.
        digest.update(b"path\0")
        for name, facts in _found_at(path):
            absent = False
            digest.update(b"%s\0%s\0" % (name, facts))
    return ABSENT if absent else digest.hexdigest()[:16]


def _found_at(path: str | os.PathLike) -> Iterator[tuple[bytes, bytes]]:
    try:
        place = os.fsencode(path)
        is_folder = stat.S_ISDIR(os.stat(place).st_mode)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return
    if is_folder:
        yield from _walk(place)
    elif os.path.basename(place).upper() == b"DICOMDIR":
        yield from _walk(os.path.dirname(place) or b".")
    else:
        yield b".", _facts(place)
        suffix = next((s for s in _NIFTI_NAMES if place.lower().endswith(s)), None)
        if suffix:
            yield b"sidecar", _facts(place[: -len(suffix)] + b".json")


def _walk(top: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every file below a folder, and every folder itself: relative name and facts, in the order of names."""
    entered, waiting = set(), [(top, b".")]
    while waiting:
        folder, name = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name, reverse=True)
        except OSError:
            yield name, b"unreadable"
            continue
        yield name, b"folder"
        for entry in entries:
            if entry.name.startswith(b".") or entry.name == b"__MACOSX":
                continue
            relative = name + b"/" + entry.name
            if _is_folder(entry):
                waiting.append((entry.path, relative))
            else:
                yield relative, _facts(entry.path)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _facts(path: bytes) -> bytes:
    """Size and time of change (ns); links are followed."""
    try:
        status = os.stat(path)
    except OSError:
        return b"unreadable"
    return b"%d %d" % (status.st_size, status.st_mtime_ns)
