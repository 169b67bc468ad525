"""Compressed pixels, decoded in a process of their own.

Decoders are large programs in C++ that parse what strangers wrote. One that crashes, hangs or asks for endless memory
on a damaged stream must cost one scan, not the run: it dies alone here, and the scan is set aside.

Run as a module this is that process: it reads requests from standard input and writes frames to standard output.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

# For one frame, which takes milliseconds; and for all a decoder holds at a time. Project decisions.
_CPU_SECONDS = 10
_MEMORY_BYTES = 1 << 30
_FRAME = struct.Struct("<4sII")


class DecoderError(Exception):
    """The stream cannot be decoded, or its decoder died of it."""


def decode(files: Sequence[tuple[Path, str, Sequence[int]]]) -> Iterator[np.ndarray]:
    """(rows, columns) stored values of chosen frames of several files, in the order asked for.

    Parameters
    ----------
    files
        Path, transfer syntax and frame numbers of each file.

    Raises
    ------
    DecoderError
    """
    command = [sys.executable, "-P", "-m", "kneeline.ingest.isolated"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    request = json.dumps([[os.fspath(path), syntax, list(indices)] for path, syntax, indices in files]).encode()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        try:
            process.stdin.write(request)
            process.stdin.close()
        except BrokenPipeError:
            raise DecoderError from None
        for _ in range(sum(len(indices) for _, _, indices in files)):
            yield _receive(process.stdout)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _receive(stream) -> np.ndarray:
    head = stream.read(_FRAME.size)
    if len(head) < _FRAME.size:
        raise DecoderError
    dtype, rows, columns = _FRAME.unpack(head)
    dtype = np.dtype(dtype.decode().strip())
    values = np.empty((rows, columns), dtype)
    if stream.readinto(values.data.cast("B")) < values.nbytes:
        raise DecoderError
    return values


# --- the other process ----------------------------------------------------------------------------------------------


def _main() -> None:
    # What a decoder prints must not pass for a frame.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    requests = json.load(sys.stdin)
    _limit_memory()
    for path, syntax, indices in requests:
        for array in _frames(path, syntax, indices):
            values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            rows, columns = values.shape
            out.write(_FRAME.pack(f"{values.dtype.kind}{values.dtype.itemsize}".ljust(4).encode(), rows, columns))
            out.write(values.data.cast("B"))
            _limit_time()
    out.flush()


def _frames(path: str, syntax: str, indices: Sequence[int]) -> Iterable[np.ndarray]:
    from pydicom.pixels import get_decoder

    _limit_time()
    dataset = _read(path)
    shape = int(dataset.Rows), int(dataset.Columns)
    if syntax == "1.2.840.10008.1.2.1.99":  # deflated as a whole, the values are plain
        array = dataset.pixel_array.reshape(-1, *shape)
        yield from (array[i] for i in indices)
        return
    _check_sizes(dataset, shape)
    for array, _ in get_decoder(syntax).iter_array(dataset, indices=indices, raw=True):
        if array.shape != shape:
            raise ValueError("a frame of another size")
        yield array


def _read(path: str):
    """The data set up to its pixels; what comes behind may be endless."""
    from pydicom.filereader import read_partial

    seen = []

    def behind_pixels(tag, _vr, _length) -> bool:
        if seen:
            return True
        if tag == 0x7FE00010:
            seen.append(tag)
        return False

    with open(path, "rb") as stream:
        return read_partial(stream, behind_pixels, force=True)


def _check_sizes(dataset, shape: tuple[int, int]) -> None:
    """Streams that state their own size must state the header's: a decoder would fill wrong rows without a word."""
    from pydicom.encaps import generate_frames

    count = int(dataset.get("NumberOfFrames") or 1)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    if len(frames) != count or any(size_in_stream(frame) not in (None, shape) for frame in frames):
        raise ValueError("the header declares another number or size of frames than the stream holds")


def size_in_stream(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where it is none of these."""
    if stream[:4] == b"\xff\x4f\xff\x51":
        width, height, x, y = struct.unpack(">IIII", stream[8:24])
        return height - y, width - x
    if stream[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 9 <= len(stream) and stream[place] == 0xFF:
        marker, length = stream[place + 1], int.from_bytes(stream[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker == 0xF7 or 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return struct.unpack(">HH", stream[place + 5 : place + 9])
        else:
            place += 2 + length
    raise ValueError("a stream without a size")


def _limit_memory() -> None:
    import contextlib
    import resource

    import gdcm  # noqa: F401  (counts towards what is there already)
    import pydicom.pixels  # noqa: F401

    present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (present + _MEMORY_BYTES, resource.RLIM_INFINITY))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time() -> None:
    """The kernel ends this process after so much more computing."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + _CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    _main()
