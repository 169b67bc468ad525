"""Free text of a header as words; the text itself goes no further than the functions that look for known words."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from kneeline.ingest.headers import File

# No text that names a series is longer; a hostile one may be, and unfolds to many times its length.
_LONGEST = 2000


def words_in(text: object) -> list[str]:
    """Runs of letters and digits, upper case, without accents: "Sag PD-fs_Li" is SAG, PD, FS, LI."""
    return list(_words(str(text or "")[:_LONGEST]))


@lru_cache(maxsize=256)  # the files of a series have the same texts
def _words(text: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().upper()
    return tuple(re.findall(r"[A-Z0-9]+", plain))


def series_words(file: File) -> set[str]:
    """Words of the texts that name a series."""
    texts = (file.get(k) for k in ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName"))
    return {word for text in texts for word in words_in(text)}
