"""The contrast class of a series: physics (echo and repetition time) first, words only where physics is silent."""

from __future__ import annotations

from dataclasses import dataclass

from kneeline.ingest.enhanced import FrameTags
from kneeline.ingest.frames import Frame
from kneeline.ingest.headers import number
from kneeline.ingest.words import series_words, words_in

_DESS = {"DESS", "MENSA", "3DDESS", "DE3D", "DE3D1"}
_FAT_SUPPRESSED = {
    "FS", "FATSAT", "FSAT", "FATSUP", "SPAIR", "SPIR", "SPECIAL", "STIR", "TIRM", "WE", "WATS", "PROSET", "PDFS",
    "T2FS", "PDWFS", "FATSUPPRESSED", "CHESS",
}  # fmt: skip
_T1 = {"T1", "T1W", "FLASH", "SPGR", "MPRAGE"}
_T2 = {"T2", "T2W", "T2FS", "T2WFS"}
_PD = {"PD", "PDW", "PDFS", "PDWFS", "IW", "INTERMEDIATE", "DP", "PROTON"}

# Spin echo: below this repetition time and echo time T1-weighted, from this echo time on T2-weighted.
T1_MAX_TR_MS = 1000.0
T1_MAX_TE_MS = 35.0
T2_MIN_TE_MS = 55.0


@dataclass(frozen=True)
class Contrast:
    """`name` is one of the SERIES table's contrast classes."""

    name: str
    fat_suppressed: bool


def contrast_of(frame: Frame) -> Contrast:
    """Contrast of the image that `frame` belongs to."""
    file, tags = frame.file, FrameTags(frame.file)
    words = series_words(file)
    inversion = number(tags.get("InversionTime"))
    fat = (
        bool(words & _FAT_SUPPRESSED)
        or {"FAT", "SAT"} <= words
        or bool({"FS", "FATSAT"} & set(words_in(_joined(file.get("ScanOptions")))))
        or str(tags.get("SpectrallySelectedSuppression")).upper() in ("FAT", "FAT_AND_WATER")
        or inversion is not None
        and 100 <= inversion <= 300
    )
    repetition = number(tags.get("RepetitionTime", frame.index or 0))
    return classify(
        words,
        echo_time_ms=frame.echo_time_ms,
        repetition_time_ms=repetition,
        spin_echo=_is_spin_echo(frame, repetition),
        fat_suppressed=fat,
    )


def classify(
    words: set[str],
    *,
    echo_time_ms: float | None,
    repetition_time_ms: float | None,
    spin_echo: bool,
    fat_suppressed: bool = False,
) -> Contrast:
    """Contrast class from the words of a series' name and its timing."""
    fat = fat_suppressed or bool(words & _FAT_SUPPRESSED)
    if words & _DESS:
        return Contrast("DESS", fat)
    if spin_echo and echo_time_ms and repetition_time_ms:
        if echo_time_ms >= T2_MIN_TE_MS:
            return Contrast("T2FS" if fat else "T2", fat)
        if repetition_time_ms < T1_MAX_TR_MS and echo_time_ms <= T1_MAX_TE_MS:
            return Contrast("T1", fat)
        return Contrast("PDFS" if fat else "PD", fat)
    named = [name for name, known in (("T1", _T1), ("T2", _T2), ("PD", _PD)) if words & known]
    if len(named) != 1:
        return Contrast("other", fat)
    return Contrast(named[0] + "FS" if fat and named[0] != "T1" else named[0], fat)


def _is_spin_echo(frame: Frame, repetition_time_ms: float | None) -> bool:
    """By the tag; where no tag tells, a long repetition time means spin echo (gradient echoes are fast)."""
    sequence = words_in(_joined(frame.file.get("ScanningSequence"))) + words_in(frame.file.get("EchoPulseSequence"))
    if sequence:
        return "SE" in sequence or "SPIN" in sequence
    return (repetition_time_ms or 0) >= T1_MAX_TR_MS


def _joined(value) -> str:
    return value if isinstance(value, str) else " ".join(str(v) for v in value or ())
