"""What may be told about how an image was made: numbers, and words from closed lists. Nothing else leaves a header.

Keys and units follow BIDS (seconds, tesla, degrees, mm). A value that is not a finite number, or not in its list, is
left out: a name typed into a technical field is not copied. No date, no UID, no free text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kneeline.ingest.enhanced import FrameTags, is_multiframe
from kneeline.ingest.frames import Frame
from kneeline.ingest.headers import number
from kneeline.ingest.words import words_in

# BIDS key, DICOM keyword, factor from the DICOM unit, and the range in which a value is believed.
_NUMBERS = (
    ("MagneticFieldStrength", "MagneticFieldStrength", 1.0, 0.01, 20.0),
    ("EchoTime", "EchoTime", 1e-3, 0.0, 2.0),
    ("RepetitionTime", "RepetitionTime", 1e-3, 0.0, 100.0),
    ("InversionTime", "InversionTime", 1e-3, 0.0, 20.0),
    ("FlipAngle", "FlipAngle", 1.0, 0.0, 360.0),
    ("EchoTrainLength", "EchoTrainLength", 1.0, 0.0, 1000.0),
    ("SliceThickness", "SliceThickness", 1.0, 0.01, 50.0),
    ("PixelBandwidth", "PixelBandwidth", 1.0, 0.1, 1e5),
)
_WORDS = {
    "ScanningSequence": {"SE", "GR", "IR", "EP", "RM"},
    "SequenceVariant": {"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"},
    "MRAcquisitionType": {"2D", "3D"},
}
_MANUFACTURERS = {
    "SIEMENS": "Siemens", "GE": "GE", "PHILIPS": "Philips", "CANON": "Canon", "TOSHIBA": "Toshiba",
    "HITACHI": "Hitachi", "FUJIFILM": "Fujifilm", "UIH": "United Imaging", "ESAOTE": "Esaote", "BRUKER": "Bruker",
    "NEUSOFT": "Neusoft",
}  # fmt: skip
_MODELS = """
Aera Altea Amira Avanto Avanto_fit Biograph Cima Espree Essenza Free Lumina Magnetom Prisma Prisma_fit Skyra Skyra_fit
Sola Spectra Symphony Terra Trio TrioTim Verio Vida Vida_fit
Architect Artist Brivo Discovery Explorer Hero MR355 MR360 MR450 MR450w MR750 MR750w Optima Pioneer Premier Signa
Voyager HDx HDxt HDe
Achieva Ambition Elition Evolution Ingenia Intera Panorama Prodiva
Atlas Elan Galan Orian Titan Vantage Aperto Echelon Oasis uMR
"""
_MODEL_WORDS = {word.upper(): word for name in _MODELS.split() for word in name.split("_")}


def acquisition_of(frame: Frame) -> dict[str, Any]:
    """The whitelisted facts of the acquisition of a DICOM image."""
    file, tags, index = frame.file, FrameTags(frame.file), frame.index or 0
    facts: dict[str, Any] = {"Modality": "MR"}
    facts |= _known("Manufacturer", _MANUFACTURERS, file.get("Manufacturer"))
    facts |= _known("ManufacturersModelName", _MODEL_WORDS, file.get("ManufacturerModelName"))
    for keyword, allowed in _WORDS.items():
        found = [w for w in words_in(_text(file.get(keyword))) if w in allowed]
        if found:
            facts[keyword] = "\\".join(dict.fromkeys(found))
    for key, keyword, factor, low, high in _NUMBERS:
        value = frame.echo_time_ms if key == "EchoTime" else number(tags.get(keyword, index))
        if value is not None and low <= value * factor <= high:
            facts[key] = round(value * factor, 9)
    facts["Multiframe"] = is_multiframe(file)
    return facts


def acquisition_from_sidecar(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """The same from the JSON file beside a NIfTI (BIDS keys, seconds)."""
    facts: dict[str, Any] = {"Modality": "MR"}
    facts |= _known("Manufacturer", _MANUFACTURERS, sidecar.get("Manufacturer"))
    facts |= _known("ManufacturersModelName", _MODEL_WORDS, sidecar.get("ManufacturersModelName"))
    for key, allowed in _WORDS.items():
        found = [w for w in words_in(_text(sidecar.get(key))) if w in allowed]
        if found:
            facts[key] = "\\".join(dict.fromkeys(found))
    for key, _, _, low, high in _NUMBERS:
        value = None if isinstance(sidecar.get(key), bool) else number(sidecar.get(key))
        if value is not None and low <= value <= high:
            facts[key] = round(value, 9)
    return facts


def _known(key: str, known: Mapping[str, str], value: object) -> dict[str, str]:
    """The words of a text that a closed list holds, in its spelling."""
    found = [known[word] for word in words_in(value) if word in known]
    return {key: " ".join(dict.fromkeys(found))} if found else {}


def _text(value: object) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    return " ".join(map(str, value)) if hasattr(value, "__iter__") else str(value)
