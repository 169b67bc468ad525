"""One mutant through the ingest stage, in a process with limits, and a judgement of what came of it.

What counts as wrong: an accepted scan whose image is neither the image before the damage (voxels equal, corners within
0.1 mm) nor, with as many voxels along each axis, what the damaged files say to an independent reader
(`tests.ingest.oracle`); a side other than the true one; anything written beside the output; an input that changed;
a planted text in an output.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.ingest import oracle
from tests.ingest.mutants import MARK, Mutant

from kneeline.tables import Scan
from kneeline.volume import Volume, read_volume, reorient

# Of computing; on a busy machine the clock says little, so it only ends what waits for ever.
SECONDS = 30
_CLOCK_SECONDS = 600
MEGABYTES = 2048
_CLOSE_MM = 0.1
_STEM = "sub-001_ses-01_knee-R"
# Above this a file is sparse: its size and time stand for its bytes.
_MOST_HASHED = 1 << 26


@dataclass(frozen=True)
class Outcome:
    """`verdict` is one of as_before, as_the_file_says, refused, wrong, crashed, hung, too_much_memory."""

    verdict: str
    detail: str
    cpu_s: float
    peak_mb: float


def run(mutant: Mutant) -> Outcome:
    """Ingest a mutant and judge it. Its root must hold nothing else."""
    out = mutant.root.parent / f"{mutant.root.name}-out"
    before, around = state(mutant.root), sorted(os.listdir(mutant.root.parent))
    row, cpu, peak, ended = _apart(lambda: _ingest(mutant.path, out))
    if ended == "hung":
        return Outcome("hung", "", cpu, peak)
    if ended or row is None:
        return Outcome("crashed", ended or "no answer", cpu, peak)
    if peak > MEGABYTES:
        return Outcome("too_much_memory", row["reason_code"] or "", cpu, peak)
    if state(mutant.root) != before:
        return Outcome("wrong", "an input changed", cpu, peak)
    if sorted({*os.listdir(mutant.root.parent)} - {out.name}) != around:
        return Outcome("wrong", "something was written beside the output", cpu, peak)
    said = _bytes_below(out)
    if MARK.encode() in said or MARK.upper().encode() in said or MARK.lower().encode() in said:
        return Outcome("wrong", "a planted text is in the output", cpu, peak)
    if row["status"] != "ok":
        plain = len((row["reason"] or "").split()) > 6
        return Outcome("refused" if plain else "wrong", row["reason_code"] if plain else "no reason", cpu, peak)
    if row["laterality"] not in (None, "R"):
        return Outcome("wrong", "the side", cpu, peak)
    verdict, _, _, ended = _apart(lambda: _judge(mutant, out))
    return Outcome(*(verdict or ("wrong", f"the judge died: {ended}")), cpu, peak)


def state(root: Path) -> dict[str, tuple]:
    """Kind, size, time and digest of all below a folder; links are not followed."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            digest = None
            if os.path.isfile(path) and not os.path.islink(path) and status.st_size < _MOST_HASHED:
                with open(path, "rb") as stream:
                    digest = hashlib.sha256(stream.read()).hexdigest()
            found[os.fsdecode(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
    return found


def _ingest(path: Path, out: Path) -> dict:
    from kneeline.ingest.run import ingest_scan

    return ingest_scan(Scan(_STEM, "sub-001", "ses-01", None, (str(path),)), out)


def _judge(mutant: Mutant, out: Path) -> tuple[str, str]:
    image = read_volume(out / f"{_STEM}_image.nii.gz")
    if differs(image, mutant.truth) is None:
        return "as_before", ""
    if reorient(image).shape != reorient(mutant.truth).shape:
        return "wrong", f"shape {image.shape}"
    try:
        says = oracle.read(mutant.path)
    except Exception as error:
        return "wrong", f"the other reader cannot read it ({type(error).__name__})"
    difference = differs(image, says)
    return ("as_the_file_says", "") if difference is None else ("wrong", difference)


def differs(image: Volume, truth: Volume) -> str | None:
    """In what two images differ, whatever the order of their axes."""
    a, b = reorient(image), reorient(truth)
    if a.shape != b.shape:
        return f"shape {a.shape} for {b.shape}"
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in a.shape])).reshape(3, -1).T
    away = np.abs(a.geometry.to_world(corners) - b.geometry.to_world(corners)).max()
    if not away <= _CLOSE_MM:
        return f"{away:.3g} mm away"
    equal = np.isclose(a.array.astype(np.float64), b.array.astype(np.float64), rtol=1e-5, atol=1e-4)
    return None if equal.all() else f"{int((~equal).sum())} voxels"


def _bytes_below(folder: Path) -> bytes:
    found = []
    for path in sorted(folder.rglob("*")):
        body = path.read_bytes()
        found += [path.name.encode(), gzip.decompress(body) if path.suffix == ".gz" else body]
    return b"\n".join(found)


def _apart(call: Callable[[], object]) -> tuple:
    """Result, CPU seconds, peak of resident megabytes and how it ended (None when well), of a call in a fork."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.close(read_end)
            os.setsid()
            limit = _virtual_bytes() + MEGABYTES * (1 << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with os.fdopen(write_end, "w") as answer:
                result = call()
                children = resource.getrusage(resource.RUSAGE_CHILDREN)
                json.dump([result, children.ru_maxrss, children.ru_utime + children.ru_stime], answer)
            code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode()[:500])
        finally:
            os._exit(code)
    os.close(write_end)
    os.set_blocking(read_end, False)
    body, pid, until = b"", 0, time.monotonic() + _CLOCK_SECONDS
    while not pid and time.monotonic() < until:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        body += _available(read_end)
        if not pid:
            time.sleep(0.002)
    hung = not pid
    if hung:
        os.killpg(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
    body += _available(read_end)
    os.close(read_end)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    hung = hung or os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
    if hung or status:
        return None, cpu, peak, "hung" if hung else f"status {status}"
    result, others_peak, others_cpu = json.loads(body)
    return result, cpu + others_cpu, peak + others_peak / 1024, None


def _available(descriptor: int) -> bytes:
    found = []
    while True:
        try:
            block = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return b"".join(found)
        if not block:
            return b"".join(found)
        found.append(block)


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
