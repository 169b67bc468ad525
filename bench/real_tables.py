"""How figures and tables get into a document: what `real_echoes.py` and `real_gap.py` share."""

from __future__ import annotations

import os
from pathlib import Path


def figure(value: float | None, digits: int = 2) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def show(name: str, text: str, document: Path | None) -> None:
    """Print `text`, and put it into the document where it has the block `name`.

    A block lies between the lines `<!-- begin NAME -->` and `<!-- end NAME -->`; what stands outside stays.

    Raises
    ------
    SystemExit
        When the document has no such block, or two.
    """
    print(text)
    if document is None:
        return
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    whole = document.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise SystemExit(f"{document} should have the lines {begin.strip()} and {end} once each")
    before, rest = whole.split(begin)
    after = rest.split(end)[1]
    new = document.with_suffix(".new")
    new.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")
    os.replace(new, document)
