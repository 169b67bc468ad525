"""One simulated knee that training never saw, segmented once for all tests of this folder."""

from __future__ import annotations

import pytest

from kneeline.segment.predict import segment
from kneeline.simulate.run import simulate_knee
from kneeline.volume import Volume

# Seeds from 9000 on are kept out of training.
HELD_OUT_SEED = 9001


@pytest.fixture(scope="session")
def scan():
    """A right knee: PD-FS, 30 slices of 3 mm, the joint with 8 mL of fluid."""
    return simulate_knee(
        HELD_OUT_SEED, "PDFS", laterality="R", fluid_ml=8.0, spacing_mm=0.9, matrix=224, pixel_mm=0.66, n_slices=28
    )


@pytest.fixture(scope="session")
def found(scan):
    return segment(scan.image)


@pytest.fixture(scope="session")
def coarse(scan):
    """Every other slice of it: laws that hold for any image are tried on this one, in half the time."""
    affine = scan.image.affine.copy()
    affine[:3, 0] *= 2
    return Volume(scan.image.array[::2], affine)


@pytest.fixture(scope="session")
def found_coarse(coarse):
    return segment(coarse)
