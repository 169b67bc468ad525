"""What a person sees of a run at work: a bar on a terminal or plain lines in a log, and the faults Snakemake names."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from kneeline import status

_LOG_EVERY_S = 60
_FOLLOW_S = 0.1
# Said by Snakemake at every step of every run; its own log in .snakemake/log keeps it.
_CHATTER = re.compile(
    r"\s*$|Select jobs to execute|Execute \d+ jobs|Using shell|Building DAG|"
    r"(Conda environments|Singularity containers): ignored|"
    r"Using workflow specific profile|Config file .* is replaced|Assuming unrestricted shared|Provided cores|"
    r"Rules claiming more threads|Nothing to be done|Complete log|Elapsed time|Storing output in storage"
)


@contextlib.contextmanager
def watching(found: status.Standing, snakemake: Iterable[bytes], out=None) -> Iterator[None]:
    """Show how the run stands, and pass on what Snakemake says, line by line, until the block ends."""
    out = out or sys.stderr
    stop, turn = threading.Event(), threading.Lock()
    show = _draw if out.isatty() else _log
    threads = [
        threading.Thread(target=show, args=(found, out, stop, turn), daemon=True),
        threading.Thread(target=_pass_on, args=(snakemake, out, turn), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        threads[1].join(timeout=2)
        stop.set()
        threads[0].join()


def follow(file: IO[bytes], ended: Callable[[], object]) -> Iterator[bytes]:
    """Lines of a file as they are written to it, until `ended` is told not to be None and all are read."""
    rest = b""
    while True:
        over = ended() is not None  # asked first: what was written before is still read
        *lines, rest = (rest + file.read()).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if over:
            break
        time.sleep(_FOLLOW_S)
    if rest:
        yield rest


def _pass_on(snakemake: Iterable[bytes], out, turn: threading.Lock) -> None:
    for raw in snakemake:
        said = raw.decode(errors="replace")
        if not _CHATTER.match(said):
            with turn:
                out.write(("\r\033[K" if out.isatty() else "") + said)
                out.flush()


def _pause_s(found: status.Standing) -> float:
    return 1.0 if len(found.scans) < 1000 else 5.0


def _draw(found: status.Standing, out, stop: threading.Event, turn: threading.Lock) -> None:
    last = False
    while not last:
        last = stop.wait(_pause_s(found))
        found.look()
        shown = status.bar(found, time.time(), shutil.get_terminal_size().columns)
        with turn:
            out.write(f"\r\033[K{shown}" + ("\n" if last else ""))
            out.flush()


def _log(found: status.Standing, out, stop: threading.Event, turn: threading.Lock) -> None:
    """A line when something changed, at most one a minute, and one at the end."""
    said, at, last = "", time.monotonic(), False
    while not last:
        last = stop.wait(_pause_s(found))
        found.look()
        now = f"{len(found.done)} {len(found.set_aside)}"
        if last or now != said and time.monotonic() - at >= _LOG_EVERY_S:
            with turn:
                out.write(f"{time.strftime('%H:%M:%S')} {status.line(found, time.time())}\n")
                out.flush()
            said, at = now, time.monotonic()
