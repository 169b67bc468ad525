"""The report as a PDF, printed by the browser that is on the computer: Chromium, Chrome or Edge, without a window.

No part of a run needs it. A PDF library that understands the page's style sheet would bring programs that pip cannot
install (Pango for WeasyPrint); a browser is on nearly every computer and prints the page as it shows it. The browser
writes into the file when it was made, and numbers from a counter that several of its threads share: both are taken out,
so that one browser makes the same bytes of the same page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from kneeline import tables
from kneeline.errors import UsageError

VARIABLE = "KNEELINE_BROWSER"
NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
    "microsoft-edge-stable", "msedge",
)  # fmt: skip
_MAC = (
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Chromium.app/Contents/MacOS/Chromium",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_WINDOWS = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
_OTHERWISE = "open report.html in any browser and print it to a PDF file there (Ctrl+P)"
# Printing takes seconds; a browser that hangs must not keep the caller for ever.
PATIENCE_S = 600
_MOMENT = re.compile(rb"/(?:CreationDate|ModDate) *\(D:[^)]*\)")
_NODE = re.compile(rb"\(node(\d{8})\)")  # as Chromium names parts of a page for readers of screens


def find_browser() -> str:
    """Path of a browser that can print: the one that KNEELINE_BROWSER names, or the first that is found.

    Raises
    ------
    UsageError
        If there is none; says what to do.
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise UsageError(f"{VARIABLE} names {named!r}, which cannot be run; name Chromium, Chrome or Edge there")
        return found
    for candidate in _candidates():
        if found := shutil.which(candidate):
            return found
    raise UsageError(
        "a PDF is printed by Chromium, Chrome or Edge, and none was found; install one, name it in "
        f"{VARIABLE}, or {_OTHERWISE}"
    )


def _candidates() -> Iterable[str]:
    yield from NAMES
    if sys.platform == "darwin":
        yield from (
            str(folder / name) for folder in (Path("/Applications"), Path.home() / "Applications") for name in _MAC
        )
    if sys.platform == "win32":
        folders = [os.environ.get(name) for name in ("ProgramFiles", "ProgramFiles(x86)", "LocalAppData")]
        yield from (str(Path(folder) / name) for folder in folders if folder for name in _WINDOWS)


def print_page(page: Path, pdf: Path, browser: str | None = None) -> Path:
    """Print an HTML file to `pdf`, complete or not at all; its path.

    Raises
    ------
    UsageError
        If there is no browser, or it makes no PDF.
    """
    browser = browser or find_browser()
    # A profile of its own: one that is open in a window would take the order over and print nothing.
    with tempfile.TemporaryDirectory(prefix="kneeline-", ignore_cleanup_errors=True) as home:
        printed = Path(home) / "page.pdf"
        order = [
            browser, "--headless=new", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
            f"--user-data-dir={Path(home) / 'profile'}", "--no-pdf-header-footer", "--generate-pdf-document-outline",
            f"--print-to-pdf={printed}", Path(page).resolve().as_uri(),
        ]  # fmt: skip
        # Root has no sandbox (containers); the page holds no script and loads nothing.
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            order.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(order, capture_output=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise UsageError(f"{browser} did not print within {PATIENCE_S} s; {_OTHERWISE}") from None
        content = printed.read_bytes() if printed.is_file() else b""
        if not content.startswith(b"%PDF-"):
            told = done.stderr.decode(errors="replace").strip().splitlines()
            last = f" ({told[-1][:200]})" if told else ""
            raise UsageError(f"{browser} made no PDF{last}; name another browser in {VARIABLE}, or {_OTHERWISE}")
    tables.write_bytes(Path(pdf), _renumbered(without_moment(content)))
    return Path(pdf)


def without_moment(content: bytes) -> bytes:
    """A PDF without the dates of its making; every offset stays, since blanks take their place.

    >>> without_moment(b"<< /CreationDate (D:20260102030405+00'00') /Title (x) >>")
    b'<<                                         /Title (x) >>'
    """
    return _MOMENT.sub(lambda found: b" " * len(found[0]), content)


def _renumbered(content: bytes) -> bytes:
    """A PDF whose parts are named 1, 2, ... in the order of their numbers; every offset stays.

    >>> _renumbered(b"/ID (node00000167) /Headers [(node00000119) (node00000167)]")
    b'/ID (node00000002) /Headers [(node00000001) (node00000002)]'
    """
    order = {number: rank for rank, number in enumerate(sorted(set(_NODE.findall(content))), start=1)}
    return _NODE.sub(lambda found: b"(node%08d)" % order[found[1]], content)
