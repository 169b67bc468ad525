"""The worst cases on one page: what was true, what was found, and a picture of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from kneeline import tables
from kneeline.report.pictures import (
    Box,
    built_in_font,
    grey_panel,
    outline,
    outlines_of,
    pack_png,
    placed,
    stroke,
    window,
    with_outlines,
)  # fmt: skip
from kneeline.validate.exhibit import Exhibit, Kind
from kneeline.validate.measure import Case

# How many of each kind are shown, no knee twice in one.
SHOWN: dict[Kind, int] = {"grade": 4, "fluid": 2, "dice": 2}
TITLES: dict[Kind, str] = {
    "grade": "Largest errors of the signal grade",
    "fluid": "Largest errors of the fluid volume",
    "dice": "Lowest Dice",
}
PANEL_PX = 270
SIGNAL_INK = "#ff4fd8"  # of the planted signal; no label has it
_HEAD, _GAP = 22, 6
_BACK, _INK = (16, 18, 22), (232, 234, 238)


def worst(cases: Iterable[Case]) -> dict[Kind, list[tuple[Case, Exhibit]]]:
    """The worst of each kind, worst first."""
    all_of = [(case, exhibit) for case in cases for exhibit in case.exhibits]
    ranked = sorted(all_of, key=lambda pair: -pair[1].size)
    return {kind: [pair for pair in ranked if pair[1].kind == kind][:count] for kind, count in SHOWN.items()}


def write_worst(page: Path, cases: Sequence[Case], command: str) -> None:
    """Write the page and, in a folder of its name without suffix, its pictures; nothing else may be in that folder."""
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    sections = [_opening(cases, command)]
    for kind, shown in worst(cases).items():
        sections.append(f"## {TITLES[kind]}")
        for number, (case, exhibit) in enumerate(shown, start=1):
            name = f"{kind}-{number}.png"
            (folder / name).write_bytes(picture(exhibit))
            title = f"{case.plan.name}, {case.plan.laterality} knee: {exhibit.what}"
            sections.append(
                f"**{title}.** {exhibit.said[0].upper()}{exhibit.said[1:]}.\n\n![{title}]({folder.name}/{name})"
            )
        if not shown:
            sections.append("None.")
    tables.write_text(page, "\n\n".join(sections) + "\n")


def _opening(cases: Sequence[Case], command: str) -> str:
    refused = [f"{case.plan.name} ({case.refused})" for case in cases if case.refused]
    return f"""# The worst cases

Made by `{command}`: of {len(cases)} simulated knees those that came out worst. From left to right the image, the true \
labels and the network's; menisci orange (medial) and red-orange (lateral), fluid yellow, cartilage and bones fainter, \
planted signal pink in the middle picture. Superior is up, anterior left; the bar is 10 mm. \
Refused knees have no picture: {", ".join(refused) or "none"}."""


def picture(exhibit: Exhibit) -> bytes:
    """PNG: the plain image, with true outlines and with those found, side by side."""
    rows, columns = exhibit.image.shape
    box = Box((0, rows), (0, columns), rows * exhibit.pixel_mm[0], columns * exhibit.pixel_mm[1])
    width, height = PANEL_PX, round(PANEL_PX * box.height_mm / box.width_mm)
    plain = grey_panel(exhibit.image, box, (width, height), *window(exhibit.image.astype(np.float32)))
    true, found = (with_outlines(plain, outlines_of(labels), box) for labels in (exhibit.true, exhibit.found))
    planted = placed(outline(exhibit.signal), box, plain.size)
    if planted:
        stroke(true, planted, SIGNAL_INK, 1.5, 1.0)
    sheet = Image.new("RGB", (3 * width + 2 * _GAP, _HEAD + height), _BACK)
    pen = ImageDraw.Draw(sheet)
    for k, (name, panel) in enumerate((("image", plain), ("true", true), ("found", found))):
        x = k * (width + _GAP)
        sheet.paste(panel, (x, _HEAD))
        pen.text((x + 4, 3), name, fill=_INK, font=built_in_font(13))
    bar = 10 * width / box.width_mm
    pen.rectangle((7, _HEAD + height - 11, 9 + bar, _HEAD + height - 7), fill=(0, 0, 0))
    pen.rectangle((8, _HEAD + height - 10, 8 + bar, _HEAD + height - 8), fill=_INK)
    return pack_png(sheet, [SIGNAL_INK])
