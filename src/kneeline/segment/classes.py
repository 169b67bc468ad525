"""What the network tells apart: side-free classes, in the order of its output channels.

A sagittal slice does not show whether it is medial or lateral, and a mirrored knee must give mirrored labels;
so the network knows one tibial cartilage and one meniscus, and `cleanup` splits them by side and place afterwards.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from kneeline.labels import Label


class Class(IntEnum):
    BACKGROUND = 0
    FEMUR = 1
    TIBIA = 2
    PATELLA = 3
    FIBULA = 4
    FEMORAL_CARTILAGE = 5
    TIBIAL_CARTILAGE = 6
    PATELLAR_CARTILAGE = 7
    MENISCUS = 8
    JOINT_FLUID = 9


# Probabilities are kept as whole numbers of this many parts, uint16: exact to 0.00001 in half of float32's memory, and
# made forty times as fast as float16, whose smallest numbers processors convert one by one.
CERTAIN = 65535


# The class of each label; several labels may share one.
CLASS_OF = {
    Label.BACKGROUND: Class.BACKGROUND,
    Label.FEMUR: Class.FEMUR,
    Label.TIBIA: Class.TIBIA,
    Label.PATELLA: Class.PATELLA,
    Label.FIBULA: Class.FIBULA,
    Label.FEMORAL_CARTILAGE: Class.FEMORAL_CARTILAGE,
    Label.MEDIAL_TIBIAL_CARTILAGE: Class.TIBIAL_CARTILAGE,
    Label.LATERAL_TIBIAL_CARTILAGE: Class.TIBIAL_CARTILAGE,
    Label.PATELLAR_CARTILAGE: Class.PATELLAR_CARTILAGE,
    Label.MEDIAL_MENISCUS: Class.MENISCUS,
    Label.LATERAL_MENISCUS: Class.MENISCUS,
    Label.JOINT_FLUID: Class.JOINT_FLUID,
}
# The same for whole arrays of labels: CLASS_BY_LABEL[labels].
CLASS_BY_LABEL = np.array([CLASS_OF[label] for label in Label], np.uint8)
