"""Carry the soft tissue of one knee onto the bones of another.

Distance maps of bones and cartilages (clipped, six channels) are matched by an affine and then a displacement grid,
fitted by Adam on the squared difference plus a smoothness term, at 2.6 mm: coarse, but soft tissue needs no more,
and half of the displacement gives a knee between the two.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from kneeline.segment.training import anatomies as a

_STEP = 4  # of the common grid: 2.6 mm
_CLIP_MM = 15.0
_MATCHED = (
    (a.FEMUR,),
    (a.TIBIA,),
    (a.PATELLA,),
    (a.FEMORAL_CARTILAGE,),
    (a.LATERAL_TIBIAL_CARTILAGE, a.MEDIAL_TIBIAL_CARTILAGE),
    (a.PATELLAR_CARTILAGE,),
)


def _distance_maps(structures: np.ndarray) -> torch.Tensor:
    coarse = structures[_STEP // 2 :: _STEP, _STEP // 2 :: _STEP, _STEP // 2 :: _STEP]
    maps = []
    for group in _MATCHED:
        inside = np.isin(coarse, group)
        signed = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
        maps.append(np.clip(signed * _STEP * a.GRID_MM, -_CLIP_MM, _CLIP_MM) / _CLIP_MM)
    return torch.tensor(np.stack(maps)[None], dtype=torch.float32)


def _identity(shape: tuple[int, ...]) -> torch.Tensor:
    axes = [torch.linspace(-1, 1, n) for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1)
    return grid[None]


def find_warp(moving: np.ndarray, fixed: np.ndarray, steps: tuple[int, int] = (60, 120)) -> np.ndarray:
    """Where each point of `fixed` lies in `moving`: displacement (3, ...) in units of the grid's half-extent (x, z, y)
    on a coarse grid, to be applied by `apply_warp`."""
    source, target = _distance_maps(moving), _distance_maps(fixed)
    shape = tuple(target.shape[2:])
    base = _identity(shape)
    affine = torch.eye(3, 4)[None].clone().requires_grad_()
    optimiser = torch.optim.Adam([affine], lr=0.01)

    def mismatch(grid):
        return ((F.grid_sample(source, grid, padding_mode="border", align_corners=True) - target) ** 2).mean()

    for _ in range(steps[0]):
        optimiser.zero_grad()
        loss = mismatch(base @ affine[0, :, :3].T + affine[0, :, 3])
        loss.backward()
        optimiser.step()
    start = (base @ affine[0, :, :3].T + affine[0, :, 3]).detach()
    knots = torch.zeros(1, 3, *(n // 5 + 2 for n in shape), requires_grad=True)
    optimiser = torch.optim.Adam([knots], lr=0.004)
    for _ in range(steps[1]):
        optimiser.zero_grad()
        field = F.interpolate(knots, size=shape, mode="trilinear", align_corners=True)
        rough = sum((knots.diff(dim=d) ** 2).mean() for d in (2, 3, 4))
        (mismatch(start + field.permute(0, 2, 3, 4, 1)) + 20 * rough).backward()
        optimiser.step()
    with torch.no_grad():
        field = F.interpolate(knots, size=shape, mode="trilinear", align_corners=True).permute(0, 2, 3, 4, 1)
        displacement = (start + field - base)[0].flip(-1).permute(3, 0, 1, 2)
    return displacement.numpy()


def apply_warp(structures: np.ndarray, displacement: np.ndarray, share: float = 1.0) -> np.ndarray:
    """`structures` carried along, nearest neighbour; `share` of the way."""
    shape = structures.shape
    field = F.interpolate(torch.tensor(displacement)[None], size=shape, mode="trilinear", align_corners=True)[0]
    index = []
    for axis, n in enumerate(shape):
        view = [1, 1, 1]
        view[axis] = n
        at = torch.arange(n, dtype=torch.float32).view(view) + share * field[axis] * (n - 1) / 2
        index.append(at.round_().clamp_(0, n - 1).to(torch.int32).numpy())
    return structures[tuple(index)]


def complete(own: np.ndarray, donor: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """The structures of `own` and, where it has none, the soft tissue of `donor` warped in.

    Hard structures of the donor are dropped where `own` has that structure anywhere; menisci and fibula come
    along when `own` has none.
    """
    warped = apply_warp(donor, displacement)
    hard = [s for s in a.HARD if (own == s).any()]
    warped[np.isin(warped, hard)] = 0
    return np.where(own > 0, own, warped)
