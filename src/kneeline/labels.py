"""Anatomy: the names of what is segmented. Indices and colours live here and nowhere else."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class Label(IntEnum):
    """Values of a kneeline label volume (`dseg`); 0 is everything else."""

    BACKGROUND = 0
    FEMUR = 1
    TIBIA = 2
    PATELLA = 3
    FIBULA = 4
    FEMORAL_CARTILAGE = 5
    MEDIAL_TIBIAL_CARTILAGE = 6
    LATERAL_TIBIAL_CARTILAGE = 7
    PATELLAR_CARTILAGE = 8
    MEDIAL_MENISCUS = 9
    LATERAL_MENISCUS = 10
    JOINT_FLUID = 11  # with synovium: they cannot be told apart without contrast agent

    @property
    def words(self) -> str:
        """Its name as people write it.

        >>> Label.MEDIAL_MENISCUS.words
        'medial meniscus'
        """
        return self.label_name.replace("_", " ")

    @property
    def label_name(self) -> str:
        return self.name.lower()


# Chosen to stay apart for colour-blind readers; menisci and fluid, which are scored, are the loudest.
_LOOK = {
    Label.BACKGROUND: ("BG", "#000000"),
    Label.FEMUR: ("F", "#d9c6a5"),
    Label.TIBIA: ("T", "#c9b28a"),
    Label.PATELLA: ("P", "#e3d6bd"),
    Label.FIBULA: ("FI", "#a8946f"),
    Label.FEMORAL_CARTILAGE: ("FC", "#56b4e9"),
    Label.MEDIAL_TIBIAL_CARTILAGE: ("MTC", "#0072b2"),
    Label.LATERAL_TIBIAL_CARTILAGE: ("LTC", "#009e73"),
    Label.PATELLAR_CARTILAGE: ("PC", "#7fd0c0"),
    Label.MEDIAL_MENISCUS: ("MM", "#e69f00"),
    Label.LATERAL_MENISCUS: ("LM", "#d55e00"),
    Label.JOINT_FLUID: ("JF", "#f0e442"),
}

BONES = (Label.FEMUR, Label.TIBIA, Label.PATELLA, Label.FIBULA)
CARTILAGES = (
    Label.FEMORAL_CARTILAGE,
    Label.MEDIAL_TIBIAL_CARTILAGE,
    Label.LATERAL_TIBIAL_CARTILAGE,
    Label.PATELLAR_CARTILAGE,
)
MENISCI = {"medial": Label.MEDIAL_MENISCUS, "lateral": Label.LATERAL_MENISCUS}


def abbreviation(label: Label) -> str:
    return _LOOK[label][0]


def color(label: Label) -> str:
    """Hex colour, e.g. `#e69f00`."""
    return _LOOK[label][1]


def write_dseg_tsv(path: Path) -> None:
    """Write the look-up table that goes with label volumes (BIDS columns)."""
    lines = ["index\tname\tabbreviation\tcolor"]
    lines += [f"{int(v)}\t{v.label_name}\t{abbreviation(v)}\t{color(v)}" for v in Label]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


_ITK_SNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    IDX:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


def itksnap_descriptions() -> str:
    """Label descriptions as ITK-SNAP imports them."""
    lines = []
    for label in Label:
        red, green, blue = _rgb(label)
        seen = int(label != Label.BACKGROUND)
        name = label.words if seen else "Clear Label"
        lines.append(f'{label:5d}   {red:3d}  {green:3d}  {blue:3d}  {seen:7d}  {seen}  {seen}    "{name}"')
    return _ITK_SNAP_HEAD + "\n".join(lines) + "\n"


def slicer_colors() -> str:
    """Colour table (.ctbl) as 3D Slicer loads it; it shows underscores as blanks."""
    lines = ["# Color table file", f"# {len(Label)} values"]
    for label in Label:
        opacity = 255 if label else 0
        lines.append(" ".join(map(str, (int(label), label.label_name, *_rgb(label), opacity))))
    return "\n".join(lines) + "\n"


def _rgb(label: Label) -> tuple[int, int, int]:
    code = color(label)
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)
