"""One real knee: GE 3 T, eight echoes in one series, big endian, oblique, no side in the header. Oracle: SimpleITK."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from tests.ingest.vendors import assert_same_image

from kneeline.ingest.run import load_knee
from kneeline.volume import Volume

SHARED = Path(os.environ.get("KNEELINE_SHARED", Path(__file__).parents[2].parent / "shared"))
FOLDER = SHARED / "data" / "real" / "ge-mese-t2"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the shared data folder with the real knee is absent")


@pytest.fixture(scope="module")
def knee():
    return load_knee(FOLDER)


def test_shape_spacing_and_echoes(knee):
    assert knee.image.shape == (24, 256, 256)
    assert knee.echoes.shape == (24, 256, 256, 8)
    assert knee.image.spacing_mm == pytest.approx((4, 0.625, 0.625), abs=1e-4)
    assert knee.echo_times_ms == pytest.approx([6.312 * n for n in range(1, 9)])
    assert knee.image.orientation == "RIP"
    assert knee.quality["slice_thickness_mm"] == 3


def test_the_header_names_no_side(knee):
    assert (knee.laterality, knee.laterality_source, knee.laterality_sources) == (None, None, None)


def test_the_anatomical_echo_is_the_one_nearest_to_18_ms(knee):
    assert knee.sidecar["EchoTime"] == pytest.approx(0.018936)
    assert np.array_equal(knee.image.array, knee.echoes[..., 2])
    assert knee.quality["contrast"] == "PD"


def test_signal_falls_from_echo_to_echo_and_is_well_above_noise(knee):
    means = knee.echoes.reshape(-1, 8).mean(axis=0)
    assert (np.diff(means[1:]) < 0).all()
    assert 10 < knee.quality["snr"] < 100


@pytest.mark.parametrize("echo", [1, 8])
def test_voxels_and_affine_agree_with_simpleitk(knee, echo):
    headers = {p: pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(FOLDER.iterdir())}
    chosen = [p for p, h in headers.items() if int(h.EchoNumbers) == echo]
    chosen.sort(key=lambda p: headers[p].ImagePositionPatient[0], reverse=True)  # LPS x: from left to right
    read = sitk.ReadImage([str(p) for p in chosen])
    affine = np.eye(4)
    affine[:3, :3] = np.array(read.GetDirection()).reshape(3, 3) * read.GetSpacing()
    affine[:3, 3] = read.GetOrigin()
    theirs = Volume(sitk.GetArrayFromImage(read).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine)
    # Positions in the header have four decimals.
    assert_same_image(Volume(knee.echoes[..., echo - 1], knee.image.affine), theirs, tolerance_mm=1e-3)
