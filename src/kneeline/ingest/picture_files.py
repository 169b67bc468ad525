"""Pictures that somebody exported instead of the scan: known by how their files begin."""

from __future__ import annotations

from collections.abc import Iterable

from kneeline.errors import Refusal

_SIGNS = (
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("JPEG", b"\xff\xd8\xff"),
    ("GIF", b"GIF8"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("BMP", b"BM"),
    ("PDF", b"%PDF-"),
)


def picture_kind(start: bytes) -> str | None:
    """Format of a picture or page, from the first bytes of its file."""
    return next((kind for kind, sign in _SIGNS if start.startswith(sign)), None)


def only_pictures(kinds: Iterable[str]) -> Refusal:
    """What is said where pictures lie and no scan."""
    return Refusal(
        "no_series",
        f"expected a DICOM series or a NIfTI image, this is a picture ({', '.join(sorted(set(kinds)))}): it lacks the "
        "other slices, the size of a pixel and the signal that was measured; give the folder of DICOM files as the "
        "scanner or the archive exports it",
    )
