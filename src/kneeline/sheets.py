"""The cells of a TSV or CSV file as people and spreadsheets leave it: right, or refused with line, cell and way out.

Nothing is guessed. Text that is not UTF-8, quotation marks that swallow rows, dates that a spreadsheet made of
numbers: each is told where it stands.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kneeline.errors import UsageError

# A table of a million rows is smaller; what is larger is something else.
_MOST_BYTES = 1 << 29
_FAULTS_SHOWN = 20
_WAY_OUT = "save it as 'CSV UTF-8' or as tab-separated UTF-8"
# What a spreadsheet leaves where a formula failed.
SHEET_ERRORS = {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!"}
# Python alone would take 1_5 for fifteen, and digits of any script.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(
    r"\d{1,4}[-./ ]([A-Za-z]{3,9}|\d{1,2})([-./ ]\d{2,4})?\.?(\s+\d{1,2}:\d\d(:\d\d)?)?|[A-Za-z]{3,9}[-./ ]\d{1,4}"
)


class Faults:
    """All faults are counted, the first are told: a million rows may hold a million."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def append(self, fault: str) -> None:
        self._count += 1
        if len(self._first) < _FAULTS_SHOWN:
            self._first.append(fault)

    def __bool__(self) -> bool:
        return self._count > 0

    def __str__(self) -> str:
        more = self._count - len(self._first)
        shown = self._first + ([f"... and {more} more"] if more else [])
        return f"{self._count} fault(s)\n  " + "\n  ".join(shown)


def delimiter_of(path: Path) -> str:
    return "," if path.suffix.lower() == ".csv" else "\t"


def read_lines(path: Path, meaning: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each line that is not blank, the header first.

    Raises
    ------
    UsageError
        When the file is not UTF-8 text, or its quotation marks do not match.
    """
    body = _body(path, meaning)
    # A quotation mark that is never closed would swallow the rows behind it.
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    lines = csv.reader(text, delimiter=delimiter_of(path), strict=True)
    line = 1
    try:
        for cells in lines:
            if line == 1 or any(cell.strip() for cell in cells):
                yield line, cells
            line = lines.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}: line {line}: {_quotes_fault(error)}") from None


def check_cell(text: str) -> None:
    """
    Raises
    ------
    ValueError
        For a line break, and for the mark of a failed formula.
    """
    if "\n" in text or "\r" in text:
        raise ValueError(
            "a line break inside the cell, or a quotation mark opens it that is closed further down; remove it"
        )
    if text.strip() in SHEET_ERRORS:
        raise ValueError(f"holds a spreadsheet's error, {text.strip()}; correct the cell or leave it empty")


def is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def shown(text: str) -> str:
    """A cell in an error text: quoted, escaped and not endless."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def date_hint(text: str) -> str:
    """Ending of a sentence about a cell that looks like a date."""
    if _DATE.fullmatch(text):
        return "; a spreadsheet may have made a date of it, format the column as text"
    return ""


def remembering(parse: Callable[[str], Any], most: int = 10_000) -> Callable[[str], Any]:
    """`parse`, which reads equal cells of a column once; their values share their memory."""
    known: dict[str, Any] = {}

    def parse_once(text: str) -> Any:
        if text in known:
            return known[text]
        check_cell(text)
        value = parse(text)
        if len(known) < most:
            known[text] = value
        return value

    return parse_once


def separator_hint(header: list[str]) -> str:
    """Ending of a sentence about a header in one cell."""
    other = re.search(r"[,;\t]", header[0]) if len(header) == 1 else None
    if other is None:
        return ""
    name = {",": "comma", ";": "semicolon", "\t": "tab"}[other[0]]
    way_out = "name it .csv or save it tab-separated" if name == "comma" else "save it tab-separated and name it .tsv"
    return f"; the file looks {name}-separated, {way_out}"


def _body(path: Path, meaning: str) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: larger than {_MOST_BYTES >> 20} MB; expected the table of {meaning}")
        body = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; expected the table of {meaning}") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UsageError(f"{path}: is not UTF-8 but UTF-16 text (Excel's 'Unicode Text'); {_WAY_OUT}")
    if b"\0" in body:
        line = body.count(b"\n", 0, body.index(b"\0")) + 1
        raise UsageError(f"{path}: line {line} holds a NUL byte, the file is UTF-16 or damaged; {_WAY_OUT}")
    try:
        body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start]
        line = before.count(b"\n") + 1
        cell = before.count(delimiter_of(path).encode(), before.rfind(b"\n") + 1) + 1
        raise UsageError(f"{path}: is not UTF-8 text (line {line}, cell {cell}, perhaps Latin-1); {_WAY_OUT}") from None
    return body


def _quotes_fault(error: csv.Error) -> str:
    if "limit" in str(error):
        return "a cell of more than 131072 characters; a quotation mark may open it that is never closed"
    return (
        f"quotation marks do not match ({error}); a cell that starts with one must end with one, and those inside are "
        "doubled"
    )
