"""Tags of a frame: in multi-frame files they lie in functional groups, per frame or shared by all.

The order of the frames in the file means nothing here: each frame carries its own position.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kneeline.ingest.headers import ENHANCED_CLASSES, File, items_of, value_of

_GROUP_OF = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "FrameLaterality": "FrameAnatomySequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "EchoTrainLength": "MRTimingAndRelatedParametersSequence",
    "SpectrallySelectedSuppression": "MRModifierSequence",
    "InversionTimes": "MRModifierSequence",
    "PixelBandwidth": "MRImagingModifierSequence",
}


def is_multiframe(file: File) -> bool:
    return file.get("SOPClassUID") in ENHANCED_CLASSES


class FrameTags:
    """Tags of each frame of a file: per-frame group, else shared group, else the file's own."""

    def __init__(self, file: File):
        self.file = file
        multiframe = is_multiframe(file)
        self._per_frame = items_of(file.get("PerFrameFunctionalGroupsSequence")) if multiframe else []
        shared = items_of(file.get("SharedFunctionalGroupsSequence")) if multiframe else []
        self._shared = shared[0] if shared else None

    @property
    def described(self) -> int:
        """How many frames have a group of their own."""
        return len(self._per_frame)

    def get(self, keyword: str, index: int = 0) -> Any:
        """Value of a tag for the frame, None when nothing holds it."""
        for place in self._places(keyword, index):
            value = self.file.get(keyword) if place is self.file.header else value_of(place, keyword)
            if value is not None:
                return value
        return None

    def holds(self, keyword: str, index: int = 0) -> bool:
        """Whether anything stands in a tag of the frame, be it what its type says or not."""
        return any(_is_filled(place, keyword) for place in self._places(keyword, index))

    def _places(self, keyword: str, index: int) -> Iterator[Any]:
        """The data sets that may hold a tag of the frame, the nearest first."""
        group = _GROUP_OF.get(keyword)
        own = self._per_frame[index] if index < len(self._per_frame) else None
        for groups in (own, self._shared) if group else ():
            if groups is not None:
                yield from items_of(value_of(groups, group))[:1]
        yield self.file.header


def _is_filled(dataset: Any, keyword: str) -> bool:
    try:
        return keyword in dataset and dataset.get_item(keyword).value not in (None, b"", "")
    except Exception:  # a damaged value can fail in many ways inside the parser
        return True
