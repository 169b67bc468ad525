"""Label descriptions as the editor programs read them, by readers of their formats written here."""

import re

from kneeline import labels
from kneeline.labels import Label


def rgb(label):
    code = labels.color(label).lstrip("#")
    return tuple(bytes.fromhex(code))


def test_itk_snap_descriptions_hold_every_label_with_its_name_and_colour():
    """IDX R G B A VIS MSH "LABEL"; comments begin with #; 0 is clear."""
    lines = [line for line in labels.itksnap_descriptions().splitlines() if not line.startswith("#")]
    form = re.compile(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([01](?:\.\d+)?)\s+([01])\s+([01])\s+"([^"]*)"\s*')
    found = {}
    for line in lines:
        index, red, green, blue, alpha, seen, mesh, name = form.fullmatch(line).groups()
        found[int(index)] = (name, (int(red), int(green), int(blue)), float(alpha), seen, mesh)
    assert found.pop(0) == ("Clear Label", (0, 0, 0), 0.0, "0", "0")
    assert found == {int(label): (label.words, rgb(label), 1.0, "1", "1") for label in Label if label}


def test_the_slicer_colour_table_holds_every_label_with_its_name_and_colour():
    """Its header names it; then index, name without blanks, red, green, blue, opacity of 255."""
    head, count, *lines = labels.slicer_colors().splitlines()
    assert head.startswith("# Color table file")
    assert count == f"# {len(lines)} values"
    found = {}
    for line in lines:
        index, name, red, green, blue, opacity = line.split(" ")
        found[int(index)] = (name, (int(red), int(green), int(blue)), int(opacity))
    assert found.pop(0)[2] == 0
    assert found == {int(label): (label.label_name, rgb(label), 255) for label in Label if label}
