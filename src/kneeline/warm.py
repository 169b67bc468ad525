"""A process that has imported what the jobs of one scan need, and forks itself for each of them.

By itself such a job spends a sixth to a third of its time on imports. `kneeline run` keeps this process while Snakemake
works on this machine, and names its socket in the environment. A job's own process then only asks and waits, and stands
for the one that works: same folder, environment and output, same exit code, and a SIGTERM is passed on. Without such a
process, or with one of another kneeline (in a container, in another environment), a job does its work itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

VARIABLE = "KNEELINE_WARM"

# All that the steps of a scan import, at once or when they come to it. None of it may start a thread: a process of
# several should not be forked. (ONNX Runtime does not, since `kneeline` keeps it from telling its maker how it fares.)
NEEDED = (
    "kneeline.chain", "kneeline.workers", "kneeline.edit.registry", "kneeline.simulate.run", "kneeline.ingest.run",
    "kneeline.segment.run", "kneeline.score.run", "kneeline.report.pictures", "pydicom.pixels", "nibabel", "SimpleITK",
    "skimage.measure", "skimage.morphology", "onnxruntime",
)  # fmt: skip
_LENGTH = struct.Struct("<I")
_REQUEST_S = 10.0
_CTRL_C_S = 2.0  # a terminal sends it to all at once; if the process that works did not hear it, it is told
_STREAMS = (0, 1, 2)
_STOP = b"T"


# --- who asks ---------------------------------------------------------------------------------------------------------


def ask(argv: Sequence[str]) -> int | None:
    """Exit code of a `kneeline` command that the process named by the environment ran, or of a stop meanwhile.

    None where there is none, or it did not answer: then the work is still to be done. If it began before it died,
    whoever does it now waits for what is left of that (`progress.held`).

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, if there came no answer.
    """
    where = os.environ.get(VARIABLE)
    if not where:
        return None
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    wish = {"kneeline": _identity(), "argv": list(argv), "folder": os.getcwd(), "environment": environment}
    text = json.dumps(wish).encode()
    unanswered = None

    def stop(number, frame) -> None:
        nonlocal unanswered
        unanswered = 128 + number
        with contextlib.suppress(OSError):
            line.send(_STOP)

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(where)
        socket.send_fds(line, [_LENGTH.pack(len(text))], _STREAMS)
        line.sendall(text)
        before = signal.signal(signal.SIGTERM, stop)
        try:
            answer = _wait(line)
        finally:
            signal.signal(signal.SIGTERM, before)
        return int(answer) if answer else unanswered
    return unanswered


def _wait(line: socket.socket) -> bytes:
    """The answer; empty if there comes none."""
    try:
        return line.recv(16)
    except KeyboardInterrupt:
        answer = b""
        with contextlib.suppress(OSError):
            answer = _after_ctrl_c(line)
        if not answer:
            raise
        return answer


def _after_ctrl_c(line: socket.socket) -> bytes:
    line.settimeout(_CTRL_C_S)
    with contextlib.suppress(TimeoutError):
        return line.recv(16)
    line.settimeout(None)
    line.send(_STOP)
    return line.recv(16)


def _identity() -> list:
    """Which kneeline, of which Python: inside a container the same path may be another file."""
    file = os.stat(__file__)
    return [sys.executable, __file__, file.st_dev, file.st_ino, file.st_mtime_ns]


# --- who keeps it -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def kept(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Keep such a process, which ends with us; gives the environment with the name of its socket."""
    if sys.platform == "darwin":  # its frameworks do not survive a fork once they are loaded
        yield environment
        return
    with contextlib.ExitStack() as stack:
        try:
            # Only this user can enter the folder, so only this user's jobs are done.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kneeline-"))
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(Path(folder) / "jobs"))
            listening.listen(128)
        except OSError:  # no room, or a folder whose name is too long for a socket
            yield environment
            return
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kneeline.warm", str(listening.fileno())],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(listening.fileno(),),
        )  # fmt: skip
        where = listening.getsockname()
        listening.close()
        try:
            yield environment | {VARIABLE: where}
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a scan may still be at work if we were stopped
                process.wait(5)


# --- what it does -----------------------------------------------------------------------------------------------------


def _serve(listening: socket.socket) -> None:
    """Fork for each that asks, until nobody keeps us; then wait for those at work. Imports when first asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    imported = False
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        if 0 in ready:  # nobody writes to it: it was closed
            break
        line, _ = listening.accept()
        if not imported:
            for name in NEEDED:
                import_module(name)
            gc.freeze()  # what is shared with those that are forked stays so
            imported = True
        if os.fork() == 0:
            listening.close()
            os._exit(_work(line))
        line.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    where = Path(listening.getsockname())
    listening.close()
    with contextlib.suppress(OSError):  # whoever kept us may have been killed
        where.unlink()
        where.parent.rmdir()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _work(line: socket.socket) -> int:
    """Run what is asked for, as the process that asks would; tell it the exit code."""
    wish = _read(line)
    if wish["kneeline"] != _identity():
        return 0
    os.environ.clear()
    os.environ.update(wish["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        os.chdir(wish["folder"])
        with _stopped_by(line):
            from kneeline.cli import main

            code = main(wish["argv"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    with contextlib.suppress(OSError):
        line.sendall(str(code).encode())
    return code


def _read(line: socket.socket) -> dict:
    """The request; the standard streams of who asks become ours."""
    line.settimeout(_REQUEST_S)
    head, streams, _, _ = socket.recv_fds(line, _LENGTH.size, len(_STREAMS))
    (left,) = _LENGTH.unpack(head)
    text = b""
    while left > len(text):
        part = line.recv(left - len(text))
        if not part:
            raise ConnectionError("who asked is gone")
        text += part
    line.settimeout(None)
    for theirs, ours in zip(streams, _STREAMS, strict=True):
        os.dup2(theirs, ours)
        os.close(theirs)
    return json.loads(text)


@contextlib.contextmanager
def _stopped_by(line: socket.socket) -> Iterator[None]:
    """End as by SIGTERM when who asked says so, or is gone."""

    def look(number=None, frame=None) -> None:
        with contextlib.suppress(BlockingIOError):
            line.recv(1, socket.MSG_DONTWAIT)
            sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGIO, look)
    flags = fcntl.fcntl(line, fcntl.F_GETFL)
    fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        look()  # it may have been said already
        yield
    finally:
        fcntl.fcntl(line, fcntl.F_SETFL, flags)
        signal.signal(signal.SIGIO, before)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
