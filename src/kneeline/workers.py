"""Processes that take one scan after another: what they import and the network they load is paid for once each.

A scan whose process dies, or that fails for a reason that is the machine's, is named at the end; the others go on.
Whoever started a process outlives it and says in the scan's record that it died: killed for its memory, most likely.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from kneeline import progress
from kneeline.errors import UsageError
from kneeline.tables import Row, Scan

Outcome = Row | str  # the status of a scan, or in plain words why it has none


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    scan: Scan | None = None


def each(
    scans: Sequence[Scan],
    results: Path,
    workers: int,
    work: Callable[[Scan, Path], Row] | None = None,
    *,
    start: str = "spawn",
) -> Iterator[tuple[Scan, Outcome]]:
    """Process every scan, `workers` at a time; gives each with what became of it as soon as it is known.

    Parameters
    ----------
    work
        What is done to a scan; `chain.process` unless given. A function of a module, as it is called elsewhere.
    start
        As `multiprocessing` takes it. "fork" is quicker for one worker while nothing heavy is loaded here.

    Raises
    ------
    UsageError
        As `work` does: the call is wrong, for all scans alike.
    """
    context = multiprocessing.get_context(start)
    waiting = list(reversed(scans))
    staff: list[_Worker] = []
    try:
        while waiting or any(worker.scan for worker in staff):
            idle = sum(worker.scan is None for worker in staff)
            for _ in range(min(len(waiting) - idle, workers - len(staff))):
                staff.append(_hire(context, results, work))
            for worker in staff:
                if worker.scan is None and waiting:
                    worker.scan = waiting.pop()
                    with contextlib.suppress(ConnectionError):  # one that died idle is found out below
                        worker.line.send(worker.scan)
            busy = {worker.line: worker for worker in staff if worker.scan}
            for line in wait(list(busy)):
                worker = busy[line]
                scan, worker.scan = worker.scan, None
                try:
                    outcome = line.recv()
                    if isinstance(outcome, UsageError):
                        raise outcome
                    yield scan, outcome
                except (EOFError, ConnectionError):
                    staff.remove(worker)
                    worker.process.join()
                    with contextlib.suppress(OSError):
                        progress.count_death(results, scan.scan_id, worker.process.pid)
                    yield scan, f"its process died ({_how(worker.process.exitcode)})"
    finally:
        for worker in staff:
            worker.line.close()  # an idle worker ends when it hears no more
            if worker.scan:
                worker.process.terminate()
        for worker in staff:
            worker.process.join()


def _hire(context, results: Path, work) -> _Worker:
    ours, theirs = context.Pipe()
    forked = context.get_start_method() == "fork"
    arguments = (theirs, results, work, os.getpid(), ours if forked else None)
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(line: Connection, results: Path, work, parent: int, inherited: Connection | None) -> None:
    if inherited:
        inherited.close()  # the parent's end: as long as we hold it, we do not hear that the parent is gone
    if work is None:
        from kneeline.chain import process as work
    from kneeline.stopping import stop_orderly

    stop_orderly()
    with contextlib.suppress(KeyboardInterrupt, EOFError, ConnectionError):
        while os.getppid() == parent:  # else nobody listens: what is done is recorded, the rest is for the next run
            line.send(_attempt(work, line.recv(), results))


def _attempt(work, scan: Scan, results: Path) -> Outcome | UsageError:
    try:
        return work(scan, results)
    except UsageError as error:
        return error
    except Exception as error:  # the machine's: what is wrong with a scan is in its status
        return f"{type(error).__name__}: {error}"


def _how(exit_code: int | None) -> str:
    return f"signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
