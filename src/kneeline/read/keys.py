"""The key of a reading package: which case is which knee. It stays with the researcher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kneeline.errors import UsageError
from kneeline.tables import INGEST_SCANS, KNEE_KEYS, READINGS, Column, Row, Table, read_table

# What a key no longer says of a case whose participant withdrew.
FORGOTTEN = ("scan_id", *KNEE_KEYS)
_SHA256 = r"[0-9a-f]{64}"
CASE = Column("case_id", "text", "name of the case on the page; says nothing about the knee", needed=True)
PACKAGE = Column("package_sha256", "text", "SHA-256 of the page", pattern=_SHA256, needed=True)
IMAGE = Column("image_sha256", "text", "SHA-256 of the case's name and pixels", pattern=_SHA256, needed=True)

BLIND, ASSISTED = READINGS["phase"].allowed

KEY = Table(
    "reading key",
    "the key of a reading package: which case is which knee",
    (
        PACKAGE,
        READINGS["rater_id"],
        Column("position", "int", "place in the reader's order, from 1", low=1, needed=True),
        CASE,
        READINGS["reading"],
        *(replace(INGEST_SCANS[name], needed=False) for name in FORGOTTEN),
        IMAGE,
        READINGS["phase"],
    ),
    key=("case_id",),
)


def key_path(folder: Path) -> Path:
    """Where the key of a package goes: beside the package's folder, never into it."""
    return folder.with_name(folder.name + "_key.tsv")


def is_key(path: Path) -> bool:
    """Whether a file has the header of a key.

    Raises
    ------
    OSError, UnicodeDecodeError
    """
    with open(path, encoding="utf-8-sig") as file:
        return set(KEY.header) <= set(file.readline().rstrip("\r\n").split("\t"))


def read_key(path: Path) -> list[Row]:
    """Rows of a key.

    Raises
    ------
    UsageError
        If it is no key, or holds more than one package or reader.
    """
    rows = read_table(path, KEY)
    for name in ("package_sha256", "rater_id"):
        if len({row[name] for row in rows}) != 1:
            raise UsageError(f"{path}: a key holds one {name}; keys are not to be joined")
    return rows
