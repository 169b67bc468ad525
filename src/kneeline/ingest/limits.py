"""How much of a scan is looked at: what goes beyond is a damaged header, a wrong path or an attack, not a knee.

All are project decisions. Together they keep one scan below 2 GB of memory, whatever its files declare.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from kneeline.errors import Refusal

# 512 x 512 x 512; the largest knee series in use (400 slices of 512 x 512) has 105 million.
MAX_VOXELS = 1 << 27
MAX_FRAMES = 1 << 15
MAX_DICOM_FILES = 20_000
MAX_FILES = 200_000
# Wanted header values of one file, and of all files of a scan that are larger than most.
MAX_HEADER_BYTES = 1 << 26
MAX_HEADERS_BYTES = 1 << 28
# No wanted value that is not a sequence comes near this.
MAX_VALUE_BYTES = 1 << 16
# A deflated or gzipped file may unfold to a thousand times its size.
MAX_INFLATED_BYTES = 1 << 28
# A compressed file is no larger than the values that it stands for.
MAX_PACKED_BYTES = 1 << 28
MAX_SIDECAR_BYTES = 1 << 20
# Reads that a parser may need for one header; an item costs more, because it becomes a data set of its own.
_MAX_READS = 1 << 19
_ITEM_COST = 8
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
# Coordinates and spacings that a scanner can write (mm).
MAX_PLACE_MM = 1e4
PIXEL_MM = (0.05, 10.0)


class HeaderStream(io.BufferedIOBase):
    """A file for a parser that believes declared lengths: reads end with the file, and with the budget for a header."""

    def __init__(self, stream: BinaryIO, size: int):
        self._stream, self._size = stream, size
        self._reads = _MAX_READS
        self.taken = 0

    def read(self, count: int = -1) -> bytes:
        """At most `count` bytes.

        Raises
        ------
        ValueError
            When the header takes more than any real one.
        """
        left = max(self._size - self._stream.tell(), 0)
        data = self._stream.read(left if count is None or count < 0 else min(count, left))
        self._reads -= _ITEM_COST if data[:4] in _ITEMS else 1
        self.taken += len(data)
        if self._reads < 0 or self.taken > MAX_HEADER_BYTES:
            raise ValueError("a header beyond all limits")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def too_large(voxels: float) -> Refusal:
    return Refusal(
        "too_large",
        f"expected at most {MAX_VOXELS // 10**6} million voxels, the headers declare {voxels / 1e6:.0f} million; "
        "the files are damaged or do not show one knee, export the series again",
    )


def too_many_files() -> Refusal:
    return Refusal(
        "too_many_files",
        f"expected the files of one study, there are more than {MAX_DICOM_FILES} DICOM files or {MAX_FILES} files "
        "below the path of the scans table; name the folder of the study or series",
    )
