"""A series as a candidate for segmentation: what it is, its score, or why it cannot be used."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest import admit, nifti, pixels
from kneeline.ingest.choose import format_parts, score_parts
from kneeline.ingest.contrast import Contrast, classify, contrast_of
from kneeline.ingest.echoes import anatomical_echo
from kneeline.ingest.frames import Frame, frames_of
from kneeline.ingest.geometry import plane_of
from kneeline.ingest.headers import Broken, Found
from kneeline.ingest.laterality import text_votes, votes_of
from kneeline.ingest.limits import MAX_FRAMES, too_many_files
from kneeline.ingest.stacking import Stack, group_series, stack_echoes
from kneeline.ingest.strays import refuse_cut_series
from kneeline.ingest.whitelist import acquisition_from_sidecar, acquisition_of
from kneeline.ingest.words import words_in
from kneeline.tables import Row
from kneeline.volume import Geometry


@dataclass(eq=False)
class Candidate:
    """One series. Exactly one of `stacks` (DICOM, one an echo) and `source` (NIfTI) holds its images.

    A candidate with a `refusal` keeps whatever was known by then.
    """

    number: int
    frames: list[Frame] = field(default_factory=list)
    stacks: list[Stack] = field(default_factory=list)
    source: nifti.NiftiImage | None = None
    geometry: Geometry | None = None
    slice_axis: int = 0
    echo_times_ms: list[float] | None = None
    contrast: Contrast | None = None
    votes: dict[str, str] = field(default_factory=dict)
    acquisition: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, float] | None = None
    refusal: Refusal | None = None
    flags: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        return round(sum(self.parts.values()), 2) if self.parts else float("-inf")

    @property
    def plane(self) -> str | None:
        return plane_of(self.geometry.affine, self.slice_axis) if self.geometry else None

    @property
    def anatomical_echo(self) -> int:
        return anatomical_echo(self.echo_times_ms) if self.echo_times_ms else 0

    def row(self, chosen: bool) -> Row:
        """Columns of SERIES without the scan's key."""
        geometry, axis = self.geometry, self.slice_axis
        row = {
            "series": self.number,
            "chosen": chosen,
            "score": self.score if self.parts and not self.refusal else None,
            "score_parts": format_parts(self.parts) if self.parts else None,
            "reason_code": self.refusal.code if self.refusal else None,
            "reason": self.refusal.reason if self.refusal else None,
            "contrast": self.contrast.name if self.contrast else None,
            "n_echoes": len(self.echo_times_ms or [0]),
        }
        if geometry is None:
            return row | {"n_slices": len(self.frames) or None}
        n_slices, spacing = geometry.shape[axis], geometry.spacing_mm
        return row | {
            "plane": self.plane,
            "n_slices": n_slices,
            "slice_spacing_mm": spacing[axis],
            "pixel_mm": max(s for a, s in enumerate(spacing) if a != axis),
            "coverage_mm": n_slices * spacing[axis],
        }


def find_candidates(found: Found) -> list[Candidate]:
    """Every series that was found, examined as far as headers go. NIfTI files count where there is no DICOM."""
    candidates: list[Candidate] = []
    frames: list[Frame] = []
    for file in found.files:
        unusable = _examine(lambda _, file: frames.extend(list(frames_of(file))), Candidate(0), file)
        if unusable.refusal:
            candidates.append(unusable)
            found.broken.append(Broken(file.path.parent, file.series))
        if len(frames) > MAX_FRAMES:
            raise too_many_files()
    near = _Near.of(found)
    candidates += [_examine(_examine_dicom, Candidate(0, frames=group), near) for group in group_series(frames)]
    refuse_cut_series(candidates)
    if not found.files:
        candidates += [_examine(_examine_nifti, Candidate(0), path) for path in found.nifti]
    for number, candidate in enumerate(candidates, start=1):
        candidate.number = number
    return candidates


def read_candidate(candidate: Candidate) -> list[np.ndarray]:
    """One (I, J, K) array an echo, on `candidate.geometry`.

    Raises
    ------
    Refusal
        When the pixels are damaged, or show two legs.
    """
    if candidate.source is not None:
        array = nifti.read_nifti(candidate.source)
        arrays = [array[..., e] for e in range(array.shape[3])]
    else:
        arrays = [pixels.read_pixels(stack.ordered) for stack in candidate.stacks]
    if is_wide(candidate):
        from kneeline.ingest.legs import shows_two_legs

        if shows_two_legs(arrays[candidate.anatomical_echo], candidate.geometry.affine):
            width = admit.width_mm(candidate.geometry)
            raise admit.both_knees(f"this one is {width:.0f} mm wide with air between two parts")
    if arrays[0].min() == arrays[0].max():
        raise Refusal("no_pixels", "expected an image, all its pixels have one value; export the series again")
    return arrays


def is_wide(candidate: Candidate) -> bool:
    geometry = candidate.geometry
    return geometry is not None and admit.width_mm(geometry) > admit.MAX_KNEE_WIDTH_MM


def _examine(how, candidate: Candidate, about: Any) -> Candidate:
    try:
        how(candidate, about)
    except Refusal as refusal:
        candidate.refusal = refusal
    except MemoryError:
        raise
    except Exception as error:  # one odd series must not cost the others
        candidate.refusal = Refusal(
            "unexpected_error",
            f"expected a readable series, its header failed in a way nobody foresaw ({type(error).__name__}); "
            "look at the files, or report it",
        )
    return candidate


def _examine_dicom(candidate: Candidate, near: _Near) -> None:
    frames = candidate.frames
    candidate.contrast = contrast_of(frames[0])
    admit.check_kind(frames)
    candidate.votes = votes_of(frames)
    broken_near = _check_broken(frames, near)
    pixels.check_readable(frames)
    candidate.stacks = stack_echoes(frames)
    if len(candidate.stacks) > 1:
        candidate.echo_times_ms = [stack.echo_time_ms for stack in candidate.stacks]
    stack = candidate.stacks[candidate.anatomical_echo]
    candidate.geometry = Geometry(stack.shape, stack.placement.affine)
    if stack.frames[0] is not frames[0]:
        candidate.contrast = contrast_of(stack.frames[0])
    candidate.acquisition = acquisition_of(stack.ordered[0])
    if broken_near:
        candidate.flags.append("unreadable_file_nearby")
    _score(candidate, derived="DERIVED" in frames[0].image_type)
    admit.check_grid(candidate.geometry, 0)


def _examine_nifti(candidate: Candidate, path: Path) -> None:
    source = nifti.open_nifti(path)
    sidecar = source.sidecar
    candidate.source, candidate.geometry, candidate.slice_axis = source, source.geometry, source.slice_axis
    candidate.echo_times_ms = nifti.echo_times_ms(source)
    candidate.acquisition = acquisition_from_sidecar(sidecar)
    candidate.votes = nifti_votes(sidecar)
    candidate.contrast = _nifti_contrast(candidate)
    _score(candidate, derived=False)
    admit.check_grid(candidate.geometry, candidate.slice_axis)


def nifti_votes(sidecar: dict[str, Any]) -> dict[str, str]:
    """What a sidecar says: `tag` from Laterality (as kneeline writes it), and the votes of `text_votes`."""
    votes = {}
    side = str(sidecar.get("Laterality") or sidecar.get("ImageLaterality") or "").strip().upper()
    if side in ("L", "R"):
        votes["tag"] = side
    return votes | text_votes(lambda keyword: [sidecar.get(keyword)])


def _nifti_contrast(candidate: Candidate) -> Contrast:
    sidecar, facts = candidate.source.sidecar, candidate.acquisition
    words = {w for k in ("SeriesDescription", "ProtocolName", "SequenceName") for w in words_in(sidecar.get(k))}
    known = str(sidecar.get("ContrastClass", ""))
    if known in ("PD", "PDFS", "T2", "T2FS", "T1", "DESS", "other"):
        return Contrast(known, bool(sidecar.get("FatSuppressed")))
    times = candidate.echo_times_ms
    echo = times[candidate.anatomical_echo] if times else facts["EchoTime"] * 1000 if "EchoTime" in facts else None
    repetition = facts["RepetitionTime"] * 1000 if "RepetitionTime" in facts else None
    sequence = words_in(facts.get("ScanningSequence"))
    spin = "SE" in sequence if sequence else (repetition or 0) >= 1000
    fat = "FS" in words_in(" ".join(map(str, _as_list(sidecar.get("ScanOptions")))))
    return classify(words, echo_time_ms=echo, repetition_time_ms=repetition, spin_echo=spin, fat_suppressed=fat)


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _score(candidate: Candidate, derived: bool) -> None:
    row = candidate.row(chosen=False)
    candidate.parts = score_parts(
        plane=candidate.plane,
        contrast=candidate.contrast.name,
        pixel_mm=row["pixel_mm"],
        slice_spacing_mm=row["slice_spacing_mm"],
        coverage_mm=row["coverage_mm"],
        derived=derived,
    )


@dataclass(frozen=True)
class _Near:
    """What lies beside a series, counted once for all: there may be thousands of series, and of unreadable files.

    `owners` are the series of each folder's readable files; `lost` counts a folder's unreadable files whose series no
    readable file has, since that number is as damaged as its file, and `known` those of each folder and series.
    """

    owners: dict[Path, set[str | None]]
    lost: Counter[Path]
    known: Counter[tuple[Path, str | None]]

    @classmethod
    def of(cls, found: Found) -> _Near:
        owners = defaultdict(set)
        for file in found.files:
            owners[file.path.parent].add(file.series)
        every = set().union(*owners.values())
        lost = Counter(b.folder for b in found.broken if b.series not in every)
        return cls(owners, lost, Counter((b.folder, b.series) for b in found.broken if b.series in every))


def _check_broken(frames: list[Frame], near: _Near) -> bool:
    """Whether unreadable DICOM files lie near that need not belong to this series.

    One that does belong to it, by its UID or because the folder holds no other series, may be a slice of it: then the
    series is refused, since a slice lost at the end of a stack shows nowhere else.
    """
    series = frames[0].file.series
    folders = {f.file.path.parent for f in frames}
    alone = {folder for folder in folders if near.owners[folder] == {series}}
    ours = sum(near.known[folder, series] for folder in (folders if series else alone))
    ours += sum(near.lost[folder] for folder in alone)
    if ours:
        raise Refusal(
            "unreadable_file",
            f"expected readable DICOM files only, {ours} cannot be read and may be its slices; "
            "copy the series again, or remove files that do not belong to it",
        )
    return any(near.known[folder, series] or near.lost[folder] for folder in folders)
