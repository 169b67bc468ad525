"""The same knee imaged a second time, as on another day: lain down anew, planned anew, other noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from kneeline.simulate.acquire import PROTOCOLS, acquire
from kneeline.simulate.run import SimulatedScan, vary_acquisition
from kneeline.volume import Volume

# How differently a knee lies in the scanner (SD about each axis, along each axis). Project decision: a coil with
# cushions allows some degrees.
TURN_DEGREES, SHIFT_MM = 3.0, 5.0


def scan_again(scan: SimulatedScan, seed: int) -> SimulatedScan:
    """A second scan of the knee: the stack planned anew (angles, place and so the offset of the slices, pixels, noise,
    shading), and the knee, with its stack, turned and moved in the scanner. Thickness and contrast stay."""
    rng = np.random.default_rng((seed, 2))
    first = scan.acquisition
    base = replace(PROTOCOLS["PDFS"], sequence=first.sequence, slice_thickness_mm=first.slice_thickness_mm)
    planned = vary_acquisition(base, rng)
    acquired = acquire(scan.knee, planned, int(rng.integers(2**31)))
    lying = np.eye(4)
    lying[:3, :3] = Rotation.from_euler("xyz", rng.normal(0, TURN_DEGREES, 3), degrees=True).as_matrix()
    lying[:3, 3] = rng.normal(0, SHIFT_MM, 3)
    image, labels = (Volume(v.array, lying @ v.affine) for v in (acquired.image, acquired.labels))
    return SimulatedScan(scan.knee, image, labels, planned)
