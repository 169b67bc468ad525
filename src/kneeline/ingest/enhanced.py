"""Tags of a frame: in multi-frame files they lie in functional groups, per frame or shared by all.

The order of the frames in the file means nothing here: each frame carries its own position.
"""

from __future__ import annotations

from typing import Any

from kneeline.ingest.headers import ENHANCED_CLASSES, File, value_of

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
        self._per_frame = (file.get("PerFrameFunctionalGroupsSequence") or []) if multiframe else []
        shared = (file.get("SharedFunctionalGroupsSequence") or []) if multiframe else []
        self._shared = shared[0] if len(shared) else None

    def get(self, keyword: str, index: int = 0) -> Any:
        """Value of a tag for the frame, None when nothing holds it."""
        group = _GROUP_OF.get(keyword)
        own = self._per_frame[index] if index < len(self._per_frame) else None
        for groups in (own, self._shared) if group else ():
            items = value_of(groups, group) if groups is not None else None
            if items is not None and len(items):
                value = value_of(items[0], keyword)
                if value is not None:
                    return value
        return self.file.get(keyword)
