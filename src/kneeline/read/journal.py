"""Answers of a served page: a file to which every answer is appended and forced to the disk before it is acknowledged.

The first line says whose answers they are and under which address they are taken; each other line holds the answers of
one case as the page had them. Of two versions of an answer the newer counts (as in page/store.js), so a line may come
twice or late. A server killed while it writes leaves at most a last line without an end, which nobody was told is kept.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

from kneeline.errors import UsageError
from kneeline.read.form import BY_NAME, CONFIDENCE

LONGEST_COMMENT = 500
_LATEST = 2**53  # ms; whole numbers beyond are not exact in a browser

Answers = dict[str, dict[str, Any]]


class Journal:
    """An open journal; no second process can open it."""

    def __init__(self, path: Path, head: dict[str, Any]):
        """Open or begin the journal at `path`; `head` is its first line if it begins, and must agree if it does not.

        `head` holds `package` and `rater`, which must agree, and what else the caller wants back in `self.head`.

        Raises
        ------
        UsageError
            If it belongs to another package or reader, is damaged, or is in use.
        """
        self.path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise UsageError(f"{path}: another server keeps answers there; stop it first") from None
        whole, _, rest = path.read_bytes().rpartition(b"\n")
        if rest:  # a line that was cut off by a kill was never acknowledged
            os.ftruncate(self._file, len(whole) + 1 if whole else 0)
        lines = whole.split(b"\n") if whole else []
        self.answers: dict[str, Answers] = {}
        try:
            self.head = json.loads(lines[0]) if lines else self._begin(head)
            for line in lines[1:]:
                self._take(**json.loads(line))
            fits = all(self.head[name] == head[name] for name in ("package", "rater"))
        except (ValueError, TypeError, KeyError):
            raise UsageError(f"{path}: is damaged, or no file of answers; move it away or restore it") from None
        if not fits:
            raise UsageError(f"{path}: holds the answers of another package or reader; keep it under another name")

    def _begin(self, head: dict[str, Any]) -> dict[str, Any]:
        self._append(head)
        return head

    def keep(self, case: str, answers: Answers) -> None:
        """Append the answers of a case; when this returns they are on the disk."""
        with self._lock:
            self._append({"case": case, "answers": answers})
            self._take(case, answers)

    def close(self) -> None:
        os.close(self._file)

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        end = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) != len(line):
                raise OSError("the disk is full")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, end)  # half a line must not swallow the next one
            raise

    def _take(self, case: str, answers: Answers) -> None:
        mine = self.answers.setdefault(case, {})
        for name, answer in answers.items():
            mine[name] = _newer(mine.get(name), answer)


def _newer(a: dict | None, b: dict) -> dict:
    if a is None:
        return b
    older, newer = sorted((a, b), key=lambda answer: (answer["at"], json.dumps(answer["value"])))
    return {**newer, "first": min(older["first"], newer["first"])}


def check_answers(answers: Any) -> Answers:
    """What a page sent, if it is answers to this form.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not isinstance(answers, dict):
        raise ValueError("expected an object of answers")
    for name, answer in answers.items():
        if not isinstance(answer, dict) or set(answer) != {"value", "at", "first"}:
            raise ValueError(f"an answer has value, at and first, that to {name!r} has not")
        if not all(type(answer[key]) is int and 0 <= answer[key] < _LATEST for key in ("at", "first")):
            raise ValueError(f"the times of {name!r} are no milliseconds")
        if not _allowed(name, answer["value"]):
            raise ValueError(f"no such answer to {name!r}")
    return answers


def _allowed(name: str, value: Any) -> bool:
    if value is None:
        return name in BY_NAME or name in ("confidence", "comment")
    if name == "comment":
        return isinstance(value, str) and 0 < len(value) <= LONGEST_COMMENT
    if name == "confidence":
        return type(value) is int and value in CONFIDENCE.grades
    return name in BY_NAME and (value == "x" or type(value) is int and value in BY_NAME[name].scale.grades)
