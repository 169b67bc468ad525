"""Bytes of a plain or gzipped file, read forward and counted: what unfolds without end is read as far as asked."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20
# bgzip packs 64 kB to a member. Empty ones would go on for ever.
_MAX_MEMBERS = 1 << 16


class Damaged(Exception):
    """The gzip stream is cut, or its checksum is wrong."""


class Unpacked:
    """Reads a file that may be gzipped; use it as a context."""

    def __init__(self, path: Path):
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        self.size = os.fstat(self._file.fileno()).st_size
        self.packed = self._file.read(2) == b"\x1f\x8b"
        self._file.seek(0)
        self._inflate = zlib.decompressobj(31)  # gzip, with its checksum
        self._waiting = b""
        self._members = 0

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end.

        Raises
        ------
        Damaged
        """
        if not self.packed:
            return self._file.read(count)
        blocks, left = [], count
        while left > 0 and (block := self._some(min(left, _BLOCK))):
            blocks.append(block)
            left -= len(block)
        return b"".join(blocks)

    def _some(self, most: int) -> bytes:
        while True:
            if self._inflate.eof:
                self._waiting = self._inflate.unused_data or self._file.read(_BLOCK)
                self._members += 1
                # Some writers pad the file with zeros.
                if not self._waiting.strip(b"\0") or self._members > _MAX_MEMBERS:
                    return b""
                self._inflate = zlib.decompressobj(31)
            else:
                self._waiting = self._inflate.unconsumed_tail or self._waiting or self._file.read(_BLOCK)
                if not self._waiting:
                    raise Damaged
            packed, self._waiting = self._waiting, b""
            try:
                block = self._inflate.decompress(packed, most)
            except zlib.error:
                raise Damaged from None
            if block:
                return block
