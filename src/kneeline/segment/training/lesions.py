"""What may be wrong in a knee, and what looks like joint fluid but is not: painted into a stack at random.

Everything works on material codes, flat, beside the place of each sample in the anatomy (x lateral, z inferior,
y posterior; mm about the joint) and noise looked up there. Labels follow: signal and tears inside a meniscus stay
meniscus; cysts in bone stay bone; popliteal and parameniscal cysts are background.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from kneeline.segment.classes import Class
from kneeline.segment.training.anatomies import CODE, Fabric

_BONES = (Class.FEMUR, Class.TIBIA, Class.PATELLA, Class.FIBULA)
_MENISCUS = CODE[Class.MENISCUS, Fabric.MENISCUS]
_SIGNAL = CODE[Class.MENISCUS, Fabric.MENISCAL_SIGNAL]
_FLUID = CODE[Class.JOINT_FLUID, Fabric.FLUID]
_SOFT = tuple(
    CODE[Class.BACKGROUND, f]
    for f in (Fabric.FAT, Fabric.FAT_PAD, Fabric.MUSCLE, Fabric.MUSCLE_B, Fabric.LIGAMENT, Fabric.SYNOVIUM)
)


@dataclass
class Scene:
    """One stack before it is imaged; all arrays flat and of one length."""

    code: torch.Tensor  # uint8, changed in place
    points: torch.Tensor  # (3, n) mm
    fine: torch.Tensor  # indices into the noise bank here, and at an unrelated place
    shifted: torch.Tensor
    bank: torch.Tensor  # (3, ...) noise of unit variance, fine to coarse
    rng: np.random.Generator

    def where(self, *codes: int) -> torch.Tensor:
        """Indices of the samples of these materials."""
        table = torch.zeros(256, dtype=torch.bool)
        table[list(codes)] = True
        return table[self.code.long()].nonzero()[:, 0]

    def paint(self, at: torch.Tensor, cls: Class, fabric: Fabric) -> None:
        self.code[at] = CODE[cls, fabric]

    def distance(self, at: torch.Tensor, centre: torch.Tensor, radii_mm) -> torch.Tensor:
        """Squared, 1 on the surface of an ellipsoid."""
        radii = torch.as_tensor(radii_mm, dtype=torch.float32)[:, None]
        return (((self.points[:, at] - centre[:, None]) / radii) ** 2).sum(0)


def add_lesions(scene: Scene, posterior_mm: float) -> None:
    """Paint what the dice say. `posterior_mm` is the back of the condyles."""
    _menisci(scene)
    _marrow(scene)
    _cysts(scene, posterior_mm)
    _fluid_or_fat(scene)
    _soft_tissue(scene)


def add_linings(scene: Scene, side: int) -> None:
    """Capsule and synovium between cartilage or bone and fat, a fringe of capsule round the menisci.

    In the plane of the image, by pixels: label maps leave these sheets out, and fat that touches the joint would
    look like fluid. `side` is that of the square images.
    """
    rng = scene.rng
    code = scene.code.view(-1, side, side)
    background = _table(Class.BACKGROUND, *Fabric)[code.long()]
    fat = _table(Class.BACKGROUND, Fabric.FAT, Fabric.FAT_PAD)[code.long()]

    def near(mask: torch.Tensor, pixels: int) -> torch.Tensor:
        return F.max_pool2d(mask[:, None].float(), 2 * pixels + 1, 1, pixels)[:, 0] > 0

    if rng.random() < 0.6:
        joint = _table(Class.FEMORAL_CARTILAGE, Fabric.CARTILAGE) | _table(Class.PATELLAR_CARTILAGE, Fabric.CARTILAGE)
        joint |= _table(Class.JOINT_FLUID, Fabric.FLUID, Fabric.SYNOVIUM)
        lining = Fabric.LIGAMENT if rng.random() < 0.6 else Fabric.SYNOVIUM
        code[near(joint[code.long()], 1) & fat] = CODE[Class.BACKGROUND, lining]
    if rng.random() < 0.4:
        bone = _table(Class.FEMUR, Fabric.CORTEX)
        layer = near(bone[code.long()], int(rng.integers(1, 4))) & fat
        layer &= (scene.bank[2][scene.shifted] > rng.uniform(-0.8, 1.2)).view_as(code)
        code[layer] = CODE[Class.BACKGROUND, Fabric.CRUCIATE if rng.random() < 0.5 else Fabric.LIGAMENT]
    if rng.random() < 0.55:
        menisci = _table(Class.MENISCUS, Fabric.MENISCUS, Fabric.MENISCAL_SIGNAL)[code.long()]
        fringe = near(menisci, int(rng.integers(1, 6))) & background
        striped = (scene.bank[0][scene.fine] > rng.uniform(-1.2, 1.2)).view_as(code)
        kinds = (Fabric.SYNOVIUM, Fabric.LIGAMENT, Fabric.CRUCIATE, Fabric.FAT, Fabric.VESSEL)
        for part, kind in zip((fringe & striped, fringe & ~striped), rng.choice(kinds, 2), strict=True):
            code[part] = CODE[Class.BACKGROUND, Fabric(int(kind))]


def _table(cls: Class, *fabrics: Fabric) -> torch.Tensor:
    """Of each material code: is it of this class and one of these fabrics?"""
    table = torch.zeros(256, dtype=torch.bool)
    table[[CODE[cls, f] for f in fabrics]] = True
    return table


def _menisci(scene: Scene) -> None:
    """Degeneration by noise, globular and linear signal, tears through the wedge, maceration."""
    rng, bank = scene.rng, scene.bank
    own = scene.where(_MENISCUS, _SIGNAL)
    if not len(own):
        return
    if rng.random() < 0.35:
        high = bank[1][scene.fine[own]] > rng.uniform(0.4, 1.8)
        scene.paint(own[high], Class.MENISCUS, Fabric.MENISCAL_SIGNAL)
    for _ in range(int(rng.integers(4)) if rng.random() < 0.5 else 0):
        centre = scene.points[:, own[int(rng.integers(len(own)))]]
        kind = rng.integers(3)
        if kind == 0:  # globular
            inside = scene.distance(own, centre, rng.uniform(0.9, 3.0, 3)) < 1
        elif kind == 1:  # linear, along the wedge
            inside = scene.distance(own, centre, (rng.uniform(3, 10), rng.uniform(0.5, 1.2), rng.uniform(2, 10))) < 1
        else:  # a tear: a thin plane, steep or flat
            normal = rng.standard_normal(3)
            normal = torch.tensor(normal / np.linalg.norm(normal), dtype=torch.float32)
            off = ((scene.points[:, own] - centre[:, None]) * normal[:, None]).sum(0).abs()
            inside = (off < rng.uniform(0.3, 0.9)) & (scene.distance(own, centre, (rng.uniform(4, 14),) * 3) < 1)
        scene.paint(own[inside], Class.MENISCUS, Fabric.MENISCAL_SIGNAL)
    if rng.random() < 0.1:  # a piece is gone, fluid or synovium in its place
        centre = scene.points[:, own[int(rng.integers(len(own)))]]
        gone = own[scene.distance(own, centre, rng.uniform(2, 7, 3)) + 0.3 * bank[0][scene.fine[own]] < 1]
        if rng.random() < 0.5:
            scene.paint(gone, Class.JOINT_FLUID, Fabric.FLUID)
        else:
            scene.paint(gone, Class.BACKGROUND, Fabric.SYNOVIUM)


def _marrow(scene: Scene) -> None:
    """Red marrow, oedema-like lesions, trabeculae and bone islands, cysts under the joint surface."""
    rng, bank = scene.rng, scene.bank
    for bone in _BONES:
        marrow = scene.where(CODE[bone, Fabric.MARROW])
        if not len(marrow):
            continue
        if rng.random() < 0.45:
            high = bank[2][scene.fine[marrow]] > rng.uniform(0.0, 1.8)
            scene.paint(marrow[high], bone, Fabric.RED_MARROW)
        if rng.random() < 0.25:
            high = bank[2][scene.shifted[marrow]] > rng.uniform(1.6, 2.6)
            scene.paint(marrow[high], bone, Fabric.MARROW_LESION)
        if rng.random() < 0.4:
            high = bank[0][scene.shifted[marrow]] > rng.uniform(2.2, 3.2)
            scene.paint(marrow[high], bone, Fabric.CORTEX)
        if rng.random() < 0.1:
            centre = scene.points[:, marrow[int(rng.integers(len(marrow)))]]
            cyst = scene.distance(marrow, centre, rng.uniform(1.5, 6, 3)) < 1
            scene.paint(marrow[cyst], bone, Fabric.MARROW_LESION)


def _cysts(scene: Scene, posterior_mm: float) -> None:
    """Popliteal (Baker's) and parameniscal cysts, ganglia: fluid outside the joint, so background."""
    rng = scene.rng
    places = []
    if rng.random() < 0.12:
        centre = (rng.uniform(-28, -8), rng.uniform(-30, 25), posterior_mm + rng.uniform(0, 14))
        places.append((centre, (rng.uniform(3, 9), rng.uniform(8, 26), rng.uniform(3, 9))))
    menisci = scene.where(_MENISCUS, _SIGNAL)
    if rng.random() < 0.08 and len(menisci):
        centre = scene.points[:, menisci[int(rng.integers(len(menisci)))]].numpy().astype(float)
        outward = centre * (1, 0, 1)
        centre = centre + outward / max(np.linalg.norm(outward), 1.0) * rng.uniform(3, 8)
        places.append((centre, rng.uniform(2, 6, 3)))
    if rng.random() < 0.08:
        places.append((rng.uniform((-30, -30, -30), (30, 30, 40)), rng.uniform(1.5, 6, 3)))
    for centre, radii in places:
        soft = scene.where(*_SOFT)
        d = scene.distance(soft, torch.tensor(np.asarray(centre), dtype=torch.float32), radii)
        d = d * (1 + 0.25 * scene.bank[2][scene.fine[soft]]).clamp(min=0.4)
        scene.paint(soft[(d >= 1) & (d < 1.35)], Class.BACKGROUND, Fabric.LIGAMENT)
        scene.paint(soft[d < 1], Class.BACKGROUND, Fabric.FLUID)


def _fluid_or_fat(scene: Scene) -> None:
    """In many scans a dry joint, other tissue where fluid could be: the tissue has to decide, not the place."""
    rng = scene.rng
    if rng.random() < 0.1:  # muscle and capsule lie on the condyles where there is no posterior recess
        behind = scene.where(_FLUID)
        behind = behind[scene.points[2, behind] > rng.uniform(5, 15)]
        scene.paint(behind, Class.BACKGROUND, Fabric.MUSCLE if rng.random() < 0.7 else Fabric.LIGAMENT)
    share = rng.random()
    if share < 0.36:
        fluid = scene.where(_FLUID)
        noise = scene.bank[2][scene.fine[fluid]]
        swapped = fluid[noise > (-9.0 if share < 0.26 else rng.uniform(-0.3, 0.9))]
        # Mostly fat: without fat suppression fibrous tissue and muscle may be as grey as fluid, and nothing decides.
        instead = (Fabric.FAT, Fabric.SYNOVIUM, Fabric.LIGAMENT, Fabric.MUSCLE)
        scene.paint(swapped, Class.BACKGROUND, instead[rng.choice(4, p=(0.76, 0.08, 0.08, 0.08))])
    elif share < 0.48:  # folds of synovium and loose tissue in the fluid
        fluid = scene.where(_FLUID)
        thin = scene.bank[1][scene.shifted[fluid]].abs() < rng.uniform(0.03, 0.12)
        scene.paint(fluid[thin], Class.JOINT_FLUID, Fabric.SYNOVIUM)


def _soft_tissue(scene: Scene) -> None:
    """Septa and oedema in fat pads, fat between muscle fibres, oedema in muscle."""
    rng, bank = scene.rng, scene.bank
    if rng.random() < 0.65:
        for fabric in (Fabric.FAT, Fabric.FAT_PAD):
            fat = scene.where(CODE[Class.BACKGROUND, fabric])
            thin = bank[2][scene.shifted[fat]].abs() < rng.uniform(0.03, 0.12)
            scene.paint(fat[thin], Class.BACKGROUND, Fabric.LIGAMENT)
    if rng.random() < 0.2:
        pad = scene.where(CODE[Class.BACKGROUND, Fabric.FAT_PAD])
        high = bank[2][scene.shifted[pad]] > rng.uniform(0.5, 2.0)
        scene.paint(pad[high], Class.BACKGROUND, Fabric.SYNOVIUM)
    for fabric in (Fabric.MUSCLE, Fabric.MUSCLE_B):
        if rng.random() < 0.25:
            muscle = scene.where(CODE[Class.BACKGROUND, fabric])
            high = bank[0][scene.fine[muscle]] > rng.uniform(1.6, 3.0)
            scene.paint(muscle[high], Class.BACKGROUND, Fabric.FAT)
        if rng.random() < 0.06:
            muscle = scene.where(CODE[Class.BACKGROUND, fabric])
            high = bank[2][scene.shifted[muscle]] > rng.uniform(1.2, 2.4)
            scene.paint(muscle[high], Class.BACKGROUND, Fabric.SYNOVIUM)
