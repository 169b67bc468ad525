"""What a simulated knee is made of, and how it relaxes at 3 T.

A simulated knee is two volumes on one grid: `labels` (kneeline.labels.Label, the truth) and `tissue` (this module,
what the scanner sees). The cortex of the femur is label FEMUR and tissue CORTEX; mucoid signal inside a meniscus is
label MEDIAL_MENISCUS and tissue MENISCAL_SIGNAL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Tissue(IntEnum):
    AIR = 0
    MARROW = 1  # fatty bone marrow
    CORTEX = 2  # cortical bone, also the subchondral plate
    CARTILAGE = 3
    MENISCUS = 4  # dark fibrocartilage
    MENISCAL_SIGNAL = 5  # mucoid change or tear inside a meniscus
    FLUID = 6
    LIGAMENT = 7  # ligaments, tendons, retinacula, capsule
    MUSCLE = 8
    FAT = 9  # subcutaneous fat, fat pads, fat between muscles
    SKIN = 10
    VESSEL = 11
    NERVE = 12
    SYNOVIUM = 13
    RED_MARROW = 14
    MARROW_LESION = 15


@dataclass(frozen=True)
class Relaxation:
    """T1 and T2 in ms, proton density relative to water, fat fraction (what fat suppression removes)."""

    t1_ms: float
    t2_ms: float
    proton_density: float
    fat_fraction: float = 0.0


# Gold et al. 2004 (3 T) for cartilage, fluid, muscle and marrow; meniscus T2 from Rauscher 2008 and Chiang 2013;
# the rest are set between their neighbours to give the usual order of grey values.
RELAXATION = {
    Tissue.AIR: Relaxation(1000, 1, 0.0),
    Tissue.MARROW: Relaxation(365, 133, 0.95, 0.92),
    Tissue.CORTEX: Relaxation(1000, 1, 0.10),
    Tissue.CARTILAGE: Relaxation(1240, 37, 0.80),
    Tissue.MENISCUS: Relaxation(1000, 11, 0.45),
    Tissue.MENISCAL_SIGNAL: Relaxation(1200, 40, 0.70),
    Tissue.FLUID: Relaxation(3620, 767, 1.00),
    Tissue.LIGAMENT: Relaxation(1000, 7, 0.45),
    Tissue.MUSCLE: Relaxation(1420, 32, 0.70),
    Tissue.FAT: Relaxation(371, 133, 1.00, 0.95),
    Tissue.SKIN: Relaxation(900, 25, 0.60),
    Tissue.VESSEL: Relaxation(1900, 180, 0.90),
    Tissue.NERVE: Relaxation(1080, 50, 0.60),
    Tissue.SYNOVIUM: Relaxation(1500, 60, 0.75),
    Tissue.RED_MARROW: Relaxation(586, 60, 0.90, 0.70),
    Tissue.MARROW_LESION: Relaxation(1200, 90, 0.90, 0.35),
}
