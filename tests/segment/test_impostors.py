"""Nothing but a knee from the side is trusted: other things, other planes, half a knee, wrong spacing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.segment import impostors

from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.segment.predict import segment
from kneeline.simulate.acquire import PROTOCOLS, acquire
from kneeline.volume import Volume

TRUSTED = ("ok", "review")
# A refusal sets the scan aside; an unusable knee keeps its labels to be looked at, and is not analysed.
NOT_TRUSTED = ("not_a_knee", "bad_geometry", "unusable")


def outcome(image: Volume) -> str:
    """Verdict, or the code of the refusal."""
    try:
        found = segment(image, "R")
    except Refusal as refusal:
        return refusal.code
    # What is no knee has no fibula to ask, and every doubt has words.
    assert found.verdict != "unusable" or found.fibula_laterality is None
    assert (found.verdict == "ok") == (found.reason is None)
    return found.verdict


@pytest.mark.parametrize("make", impostors.ALL, ids=lambda f: f.__name__)
def test_no_other_thing_passes_for_a_knee(make):
    assert outcome(make()) in NOT_TRUSTED


@pytest.mark.parametrize("angles", [(0, 0, 90.0), (0, 90.0, 0)], ids=["coronal", "axial"])
def test_a_knee_seen_from_elsewhere_under_a_sagittal_header_is_not_trusted(scan, angles):
    planned = replace(
        PROTOCOLS["PDFS"], n_slices=16, slice_thickness_mm=5.5, matrix=150, pixel_mm=1.0, angles_deg=angles
    )
    turned = acquire(scan.knee, planned, 1).image
    header = replace(planned, angles_deg=(0.0, 0.0, 0.0)).geometry().affine
    assert outcome(Volume(turned.array, header)) in NOT_TRUSTED


def test_upside_down_is_not_trusted(coarse):
    assert outcome(coarse.with_array(coarse.array[:, ::-1].copy())) in NOT_TRUSTED


@pytest.mark.parametrize("half", ["femur", "tibia"])
def test_half_a_knee_is_not_trusted(scan, coarse, half):
    rows = np.flatnonzero((scan.labels.array == Label.TIBIA).any((0, 2)))
    joint = int(rows[0])
    array = coarse.array[:, : joint - 12] if half == "femur" else coarse.array[:, joint + 12 :]
    assert outcome(Volume(array, coarse.affine)) in NOT_TRUSTED


@pytest.mark.parametrize("factor", [0.1, 0.45, 10])
def test_a_wrong_spacing_is_not_trusted(coarse, factor):
    affine = coarse.affine.copy()
    affine[:3, :3] *= factor
    assert outcome(Volume(coarse.array, affine)) in NOT_TRUSTED


def test_an_impostor_without_a_side_is_refused_as_what_it_is():
    with pytest.raises(Refusal) as refusal:
        segment(impostors.two_blocks())
    assert refusal.value.code == "not_a_knee"


def test_a_knee_with_every_other_slice_is_still_a_knee(found_coarse):
    """The images above are not trusted for what they show, not for being coarse."""
    assert found_coarse.verdict in TRUSTED


@pytest.mark.parametrize("part", ["without the patella", "60 mm from left to right", "little above and below"])
def test_a_knee_partly_in_view_is_never_unusable(scan, coarse, part):
    array = coarse.array
    n, h, _ = array.shape
    if part == "without the patella":
        front = np.flatnonzero((scan.labels.array == Label.FEMUR).any((0, 1)))[0]
        array = array[:, :, front + 4 :]
    elif part == "60 mm from left to right":
        across = round(60 / coarse.spacing_mm[0] / 2)
        array = array[n // 2 - across : n // 2 + across]
    else:
        joint = np.flatnonzero((scan.labels.array == Label.TIBIA).any((0, 2)))[0]
        margin = round(48 / scan.image.spacing_mm[1])
        array = array[:, max(joint - margin, 0) : min(joint + margin, h)]
    assert outcome(Volume(array, coarse.affine)) in TRUSTED
