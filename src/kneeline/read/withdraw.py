"""A participant withdraws: their knees leave the reading packages of a study, readings of the others stay.

Of each of their cases the pixels, the page's entry and the kept answers go. The key keeps the case's name, which says
nothing about anybody, with an empty row: so an export that still holds answers to it is known for what it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kneeline import tables
from kneeline.errors import UsageError
from kneeline.read.keys import FORGOTTEN, KEY, is_key, read_key
from kneeline.read.serve import INDEX, journal_path
from kneeline.tables import Row
from kneeline.viewer import assets

_ENDING = "_key.tsv"


def keys_of(participant: str, directory: Path) -> list[Path]:
    """Keys with cases of a participant: below results, or in the study's folder and the folders in it."""
    found = {path for where in ("*", "*/*", "results/**/*") for path in directory.glob(where + _ENDING)}
    return [path for path in sorted(found) if _may_be_key(path) and any(_cases(path, participant))]


def withdraw(participant: str, key: Path) -> None:
    """Take a participant's cases out of a package, the key last: so what was interrupted is begun again.

    Raises
    ------
    UsageError
        If the package is being served.
    """
    gone = {row["case_id"] for row in _cases(key, participant)}
    package = key.with_name(key.name.removesuffix(_ENDING))
    if journal_path(package).exists():
        _drop_from_journal(journal_path(package), gone)
    for case in gone:
        (package / "cases" / f"{case}.js").unlink(missing_ok=True)
    if (package / "index.html").exists():
        _drop_from_page(package / "index.html", gone)
    rows = [row | dict.fromkeys(FORGOTTEN) if row["case_id"] in gone else row for row in read_key(key)]
    if not any(row["scan_id"] for row in rows):
        shutil.rmtree(package, ignore_errors=True)
    tables.write_table(key, rows, KEY)


def _may_be_key(path: Path) -> bool:
    try:
        return path.is_file() and is_key(path)
    except (OSError, UnicodeDecodeError):
        return False


def _cases(key: Path, participant: str) -> Iterator[Row]:
    return (row for row in read_key(key) if row["participant_id"] == participant)


def _drop_from_page(page: Path, gone: set[str]) -> None:
    """The digest in the page stays: it names the package that browsers and exports know."""
    lines = page.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines):
        if line.startswith(INDEX):
            index = json.loads(line[len(INDEX) - 1 :].removesuffix(";"))
            index["cases"] = [case for case in index["cases"] if case["id"] not in gone]
            lines[number] = INDEX[:-1] + assets.in_script(json.dumps(index, separators=(",", ":"))) + ";"
    tables.write_text(page, "\n".join(lines))


def _drop_from_journal(path: Path, gone: set[str]) -> None:
    with open(path, "rb") as journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{path}: a server keeps answers there; stop it, then try again") from None
        head, *lines = journal.read().decode().splitlines(keepends=True)
        kept = head + "".join(line for line in lines if json.loads(line)["case"] not in gone)
        partial = path.with_name(f".{path.name}.partial")
        # The first line holds the token: for nobody else's eyes.
        with open(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as new:
            new.write(kept)
            new.flush()
            os.fsync(new.fileno())
        os.replace(partial, path)
