"""One picture a knee: four telling sagittal slices, plain above, with outlines below.

As a radiologist shows a knee: superior up, anterior to the left. Pixels have their true aspect ratio, every slice of
a picture has the same scale. Outlines are half-level contours of the label masks: they lie between voxels.
Drawn with Pillow: the same bytes for the same input, and no matplotlib to load in each job.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kneeline import tables
from kneeline.labels import BONES, CARTILAGES, MENISCI, Label, color
from kneeline.report import knee_page
from kneeline.tables import Row
from kneeline.volume import SAGITTAL, Volume, read_volume, reorient

# 26 pictures as data URIs (a third longer) stay below 10 MB with the page around them.
MAX_BYTES = 265_000
# With page and thumbnail a knee stays below 300 kB, its slices aside.
THUMBNAIL_BYTES, THUMBNAIL_PX = 14_000, 120
PANEL_MM_PER_PX = 0.36  # scale of the largest picture that is tried
MAX_PANEL_PX = (320, 380)  # width, height
MARGIN_MM = 9.0  # kept around the joint
STRAY = 0.004
LEAST_MM = (100.0, 110.0)  # anterior-posterior, superior-inferior
GREYS = 64  # finer steps only store noise
HORN_MM2 = 12.0  # a smaller cut of a meniscus is partial volume, not a horn

_BACK, _INK, _FAINT = (16, 18, 22), (232, 234, 238), (150, 156, 166)
_GAP, _HEAD, _FOOT = 6, 46, 58
_SUPER = 3  # lines are drawn at three times the size and averaged down


@dataclass(frozen=True)
class Panel:
    """A slice to show: its place in the sagittal stack (0 = the patient's leftmost) and why it was chosen."""

    index: int
    title: str


def picture_scan(
    scan_id: str, ingest_dir: Path, segment_dir: Path, score_dir: Path, out: Path, *, viewer: bool = True
) -> None:
    """Write `{scan_id}_overlay.png`, thumbnail and page of the knee under `knees/`, last `{scan_id}_picture.json`,
    which says what is shown or why nothing is.

    The marker holds the SHA-256 of the PNG and of the page. Without `viewer` the page has no slices, only the picture.
    A scan that was set aside gets no picture. Grades are written below the slices when the score tables exist.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    marker: dict = {"scan_id": scan_id, "picture": None, "panels": [], "reason": None}
    made = {f"{scan_id}_overlay.png": b"", **dict.fromkeys(_of_page(scan_id), b"")}
    status = _latest_status(scan_id, (score_dir, segment_dir, ingest_dir))
    if status is None:
        marker["reason"] = "no status file of this scan was found"
    elif status["status"] != "ok":
        marker["reason"] = f"set aside: {status['reason']}"
    else:
        try:
            image = read_volume(Path(ingest_dir) / f"{scan_id}_image.nii.gz")
            labels = read_volume(Path(segment_dir) / f"{scan_id}_dseg.nii.gz")
            panels = choose_panels(labels)
            packed = draw_knee(image, labels, panels, status["laterality"], caption(scan_id, Path(score_dir), status))
            found = knee_page.read_found(scan_id, status, Path(ingest_dir), Path(score_dir))
            page = knee_page.make_page(scan_id, found, image, labels, viewer=viewer)
            page[f"{scan_id}_thumbnail.png"] = draw_thumbnail(image, labels, panels)
        except OSError:
            raise
        except Exception as error:
            # A picture is an illustration: one that cannot be drawn must not stop the run, and it must not pass unseen.
            marker["reason"] = f"the picture could not be drawn ({type(error).__name__})"
        else:
            made[f"{scan_id}_overlay.png"] = packed
            made |= {f"{knee_page.FOLDER}/{name}": content for name, content in page.items()}
            marker["picture"] = f"{scan_id}_overlay.png"
            # The workflow rebuilds the report when this file's bytes change: they change with picture and page.
            marker["sha256"] = hashlib.sha256(packed).hexdigest()
            together = b"".join(hashlib.sha256(page[name]).digest() for name in sorted(page))
            marker["page"] = {
                "path": f"{knee_page.FOLDER}/{scan_id}.html",
                "thumbnail": f"{knee_page.FOLDER}/{scan_id}_thumbnail.png",
                "sha256": hashlib.sha256(together).hexdigest(),
            }
            marker["panels"] = [{"slice": p.index + 1, "title": p.title} for p in panels]
    if marker["picture"]:
        _write_shared(out / knee_page.FOLDER)
    for name, content in made.items():
        if content:
            tables.write_bytes(out / name, content)
        else:
            (out / name).unlink(missing_ok=True)
    tables.write_text(out / f"{scan_id}_picture.json", json.dumps(marker, indent=1) + "\n")


def _of_page(scan_id: str) -> list[str]:
    return [f"{knee_page.FOLDER}/{scan_id}{end}" for end in (".html", "_pixels.js", "_thumbnail.png")]


def _write_shared(folder: Path) -> None:
    """What all pages need, once: the name is the digest, so what is there is right, whichever job wrote it."""
    for name, content in knee_page.shared_files().items():
        if not (folder / name).exists():
            try:
                tables.write_bytes(folder / name, content)
            except FileNotFoundError:
                if not (folder / name).exists():
                    raise


def draw(
    path: Path,
    image: Volume,
    labels: Volume,
    laterality: str | None,
    meniscus: Sequence[Row] = (),
    effusion: Row | None = None,
    verdict: str | None = None,
) -> None:
    """Write the picture of one knee that is in memory; its name is the file's."""
    lines = caption_lines(path.name.removesuffix("_overlay.png"), verdict, meniscus, effusion)
    Path(path).write_bytes(draw_knee(image, labels, choose_panels(labels), laterality, lines))


def _latest_status(scan_id: str, folders: Sequence[Path]) -> Row | None:
    for folder in folders:
        if tables.status_path(folder, scan_id).exists():
            return tables.read_status(folder, scan_id)
    return None


# --- which slices -----------------------------------------------------------------------------------------------------


def choose_panels(labels: Volume) -> list[Panel]:
    """Medial meniscus, midline of the patella, lateral meniscus, most fluid; no slice twice, none for what is absent.

    A meniscus is shown where both horns are cut, on the slice where they are largest.
    """
    stack = reorient(labels, SAGITTAL)
    slice_mm2 = stack.spacing_mm[1] * stack.spacing_mm[2]
    areas = {label: (stack.array == label).sum(axis=(1, 2)) * slice_mm2 for label in (*MENISCI.values(), *_SINGLES)}
    wanted = [
        ("medial meniscus", _horns(stack, Label.MEDIAL_MENISCUS, areas[Label.MEDIAL_MENISCUS])),
        ("midline of the patella", _middle(areas[Label.PATELLA])),
        ("lateral meniscus", _horns(stack, Label.LATERAL_MENISCUS, areas[Label.LATERAL_MENISCUS])),
    ]
    panels: list[Panel] = []
    for title, index in wanted:
        if index is not None and index not in {p.index for p in panels}:
            panels.append(Panel(index, title))
    fluid = areas[Label.JOINT_FLUID].copy()
    fluid[[p.index for p in panels]] = 0
    if fluid.any():
        panels.append(Panel(int(fluid.argmax()), "most fluid"))
    return panels or [Panel(stack.shape[0] // 2, "middle slice")]


_SINGLES = (Label.PATELLA, Label.JOINT_FLUID)


def _horns(stack: Volume, label: Label, area_mm2: np.ndarray) -> int | None:
    """The slice with the largest area among those that cut two horns, else the one with the largest area.

    Two horns are two runs of columns (front and back) with empty columns between them.
    """
    if not area_mm2.any():
        return None
    best, best_area = int(area_mm2.argmax()), 0.0
    pixel_mm2 = stack.spacing_mm[1] * stack.spacing_mm[2]
    for i in np.flatnonzero(area_mm2 >= 2 * HORN_MM2):
        column_mm2 = np.pad((stack.array[i] == label).sum(axis=0) * pixel_mm2, 1)
        ends = np.flatnonzero(np.diff(column_mm2 > 0)) + 1
        runs = [column_mm2[a:b].sum() for a, b in ends.reshape(-1, 2)]
        if sum(run >= HORN_MM2 for run in runs) >= 2 and area_mm2[i] > best_area:
            best, best_area = int(i), float(area_mm2[i])
    return best


def _middle(area_mm2: np.ndarray) -> int | None:
    return round(float(np.average(np.arange(len(area_mm2)), weights=area_mm2))) if area_mm2.any() else None


# --- what is written below --------------------------------------------------------------------------------------------


def caption(scan_id: str, score_dir: Path, status: Row) -> list[str]:
    """Lines below the slices, from a scan's status and its score tables if they exist."""
    meniscus, effusion = (score_dir / f"{scan_id}_{name}.tsv" for name in ("meniscus", "effusion"))
    if not (meniscus.exists() and effusion.exists()):
        return caption_lines(scan_id, _trust(status))
    rows = tables.read_table(effusion, tables.EFFUSION)
    return caption_lines(scan_id, _trust(status), tables.read_table(meniscus, tables.MENISCUS), rows[0] if rows else {})


def _trust(status: Row) -> str | None:
    """The verdict, and who is behind the outlines if it is not the machine."""
    edited = f"outlines {status['outlined_by']}" if tables.is_edited(status) else None
    return ", ".join(filter(None, (status.get("verdict"), edited))) or None


def caption_lines(
    name: str, verdict: str | None, meniscus: Sequence[Row] = (), effusion: Row | None = None
) -> list[str]:
    """Who and how far to trust it; then the grades, n/a where one is missing, if there are score rows."""
    lines = [f"{name}    segmentation: {verdict or tables.MISSING}"]
    if effusion is None:
        return lines
    grades = {(r["meniscus"], r["region"]): r["signal_grade"] for r in meniscus}
    parts = [
        f"{side} {' / '.join(_shown(grades.get((side, region))) for region in tables.grading.REGIONS)}"
        for side in MENISCI
    ]
    text = f"signal grade (anterior horn / body / posterior horn): {parts[0]},  {parts[1]}"
    text += f"    effusion grade {_shown(effusion.get('effusion_grade'))}, {_shown(effusion.get('fluid_ml'), '.1f')} mL"
    return [*lines, text]


def _shown(value: float | None, form: str = "") -> str:
    return tables.MISSING if value is None else format(value, form)


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw_knee(
    image: Volume, labels: Volume, panels: Sequence[Panel], laterality: str | None, lines: Sequence[str] = ()
) -> bytes:
    """The picture as PNG bytes, at most MAX_BYTES: drawn smaller until it fits.

    Raises
    ------
    ValueError
        If image and labels are not on one grid.
    """
    if not image.geometry.same_as(labels.geometry):
        raise ValueError(f"image {image.shape} and labels {labels.shape} are not on one grid")
    image, labels = reorient(image, SAGITTAL), reorient(labels, SAGITTAL)
    box = joint_box(labels)
    mm_per_px = PANEL_MM_PER_PX
    for side, limit in zip((box.width_mm, box.height_mm), MAX_PANEL_PX, strict=True):
        mm_per_px = max(mm_per_px, side / limit)
    shown = image.array[[p.index for p in panels], slice(*box.row), slice(*box.column)]
    low, high = window(shown.astype(np.float32))
    drawn = [outlines_of(labels.array[panel.index]) for panel in panels]
    while True:
        packed = pack_png(_compose(image, drawn, panels, laterality, lines, box, mm_per_px, low, high))
        if len(packed) <= MAX_BYTES or mm_per_px > 3:
            return packed
        mm_per_px *= max(1.06, (len(packed) / MAX_BYTES) ** 0.6)


def draw_thumbnail(image: Volume, labels: Volume, panels: Sequence[Panel]) -> bytes:
    """The outlined slices of the picture in a row, small: a PNG of at most THUMBNAIL_BYTES."""
    image, labels = reorient(image, SAGITTAL), reorient(labels, SAGITTAL)
    box = joint_box(labels)
    low, high = window(image.array[[p.index for p in panels], slice(*box.row), slice(*box.column)].astype(np.float32))
    height = THUMBNAIL_PX
    drawn = [outlines_of(labels.array[panel.index]) for panel in panels]
    while True:
        width = max(1, round(height * box.width_mm / box.height_mm))
        sheet = Image.new("RGB", (len(panels) * (width + 2) - 2, height), _BACK)
        for k, panel in enumerate(panels):
            plain = grey_panel(image.array[panel.index], box, (width, height), low, high)
            sheet.paste(with_outlines(plain, drawn[k], box), (k * (width + 2), 0))
        packed = pack_png(sheet)
        if len(packed) <= THUMBNAIL_BYTES or height < 24:
            return packed
        height = int(height * min(0.95, (THUMBNAIL_BYTES / len(packed)) ** 0.5))


@dataclass(frozen=True)
class Box:
    """Rows and columns of the sagittal slices that are shown (half-open voxel ranges), and their size."""

    row: tuple[int, int]
    column: tuple[int, int]
    height_mm: float
    width_mm: float


def joint_box(labels: Volume) -> Box:
    """The joint (all but the shafts of the bones) with a margin, at least LEAST_MM, inside the image.

    `labels` is in SAGITTAL orientation. The outermost STRAY of the voxels do not count: a speck of a label far away
    must not make the joint small.
    """
    spacing = labels.spacing_mm[1:]
    of_joint = np.zeros(256, np.uint16)
    of_joint[[*CARTILAGES, *MENISCI.values(), Label.PATELLA, Label.JOINT_FLUID]] = 1
    joint = sum(of_joint[image] for image in labels.array)
    ranges = []
    for axis, least in ((0, LEAST_MM[1]), (1, LEAST_MM[0])):
        size = joint.shape[axis]
        counts = joint.sum(axis=1 - axis)
        upto, stray = np.cumsum(counts), STRAY * counts.sum()
        hit = np.flatnonzero((upto > stray) & (upto - counts < upto[-1] - stray))
        first, last = (int(hit[0]), int(hit[-1]) + 1) if len(hit) else (0, size)
        margin = max(MARGIN_MM / spacing[axis], (least / spacing[axis] - (last - first)) / 2)
        ranges.append((max(0, round(first - margin)), min(size, round(last + margin))))
    (r0, r1), (c0, c1) = ranges
    return Box((r0, r1), (c0, c1), (r1 - r0) * spacing[0], (c1 - c0) * spacing[1])


def window(pixels: np.ndarray) -> tuple[float, float]:
    """Grey limits: 0.5th and 99th percentile of what is shown; a large effusion may saturate, cartilage does not."""
    values = pixels[np.isfinite(pixels)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.0)))
    return low, high if high > low else low + 1.0


def _compose(image, drawn, panels, laterality, lines, box, mm_per_px, low, high) -> Image.Image:
    width, height = max(1, round(box.width_mm / mm_per_px)), max(1, round(box.height_mm / mm_per_px))
    total = max(4 * width + 5 * _GAP, 640)
    sheet = Image.new("RGB", (total, _HEAD + 2 * height + 3 * _GAP + _FOOT), _BACK)
    pen = ImageDraw.Draw(sheet)
    for k, panel in enumerate(panels):
        x = _GAP + k * (width + _GAP)
        plain = grey_panel(image.array[panel.index], box, (width, height), low, high)
        outlined = with_outlines(plain, drawn[k], box)
        pen.text((x + 1, 6), panel.title, fill=_INK, font=built_in_font(15))
        pen.text((x + 1, 26), f"slice {panel.index + 1} of {image.shape[0]}", fill=_FAINT, font=built_in_font(12))
        sheet.paste(plain, (x, _HEAD))
        sheet.paste(outlined, (x, _HEAD + height + _GAP))
        if k == 0:
            _marks(pen, (x, _HEAD), (width, height), laterality, mm_per_px)
    _foot(pen, (_GAP, _HEAD + 2 * height + 2 * _GAP), total, lines)
    return sheet


def grey_panel(pixels: np.ndarray, box: Box, size: tuple[int, int], low: float, high: float) -> Image.Image:
    crop = np.nan_to_num(
        pixels[slice(*box.row), slice(*box.column)].astype(np.float32), nan=low, posinf=high, neginf=low
    )
    grey = np.clip((crop - low) / (high - low) * 255, 0, 255)
    resized = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(resized) + 0.5, 0, 255).astype(np.uint8)).convert("RGB")


# Faint first, so that what is scored lies on top: (labels, line width in pixels, opacity, dark edge).
_STROKES = (
    (BONES, 1.0, 0.55, False),
    (CARTILAGES, 1.0, 0.7, False),
    ((Label.JOINT_FLUID,), 1.5, 1.0, True),
    (tuple(MENISCI.values()), 1.5, 1.0, True),
)


# Closed half-level outlines of the labels of one slice, each (n, 2) rows and columns in voxels.
Outlines = dict[Label, list[np.ndarray]]


def outlines_of(labels: np.ndarray) -> Outlines:
    found = {label: outline(labels == label) for group, *_ in _STROKES for label in group}
    return {label: lines for label, lines in found.items() if lines}


def outline(mask: np.ndarray) -> list[np.ndarray]:
    """Closed half-level outlines of a slice's mask, each (n, 2) rows and columns in voxels."""
    from skimage.measure import find_contours

    if not mask.any():
        return []
    hit = np.argwhere(mask)
    first, last = hit.min(0), hit.max(0)
    part = mask[first[0] : last[0] + 1, first[1] : last[1] + 1]
    # One voxel of padding closes outlines at the edge.
    return [line - 1 + first for line in find_contours(np.pad(part, 1).astype(np.float32), 0.5)]


def with_outlines(plain: Image.Image, outlines: Outlines, box: Box) -> Image.Image:
    picture = plain.copy()
    for group, width, opacity, edged in _STROKES:
        for label in group:
            lines = placed(outlines.get(label, []), box, plain.size)
            if lines and edged:
                stroke(picture, lines, "#000000", width + 1.6, 0.45)
            if lines:
                stroke(picture, lines, color(label), width, opacity)
    return picture


def placed(lines: list[np.ndarray], box: Box, size: tuple[int, int]) -> list[np.ndarray]:
    """Outlines in picture coordinates, each (n, 2) x and y; the picture shows the box and has this size."""
    corner = np.array([box.row[0], box.column[0]])
    scale = np.array([size[1] / (box.row[1] - box.row[0]), size[0] / (box.column[1] - box.column[0])])
    # +0.5 because a pixel's centre is not its corner.
    return [((line + 0.5 - corner) * scale)[:, ::-1] for line in lines]


def stroke(picture: Image.Image, lines: list[np.ndarray], ink: str, width: float, opacity: float) -> None:
    """Draw lines into a picture; only the part that they reach is touched."""
    reach = width / 2 + 2
    low = np.maximum(np.floor(np.min([line.min(0) for line in lines], axis=0) - reach), 0).astype(int)
    high = np.minimum(np.ceil(np.max([line.max(0) for line in lines], axis=0) + reach), picture.size).astype(int)
    if (high <= low).any():
        return
    large = Image.new("L", tuple(int(n) * _SUPER for n in high - low), 0)
    pen = ImageDraw.Draw(large)
    for line in lines:
        points = ((line - low) * _SUPER - 0.5).ravel().tolist()
        pen.line(points, fill=round(255 * opacity), width=round(width * _SUPER), joint="curve")
    strength = large.reduce(_SUPER)
    picture.paste(Image.new("RGB", strength.size, ink), tuple(low.tolist()), strength)


def _marks(pen: ImageDraw.ImageDraw, corner, size, laterality: str | None, mm_per_px: float) -> None:
    """Side, directions and a scale bar of 20 mm in the first panel; all panels have the same scale."""
    (x, y), (width, height) = corner, size
    _haloed(pen, (x + 6, y + 4), {"L": "L knee", "R": "R knee"}.get(laterality, "side n/a"), 14)
    _haloed(pen, (x + 6, y + height // 2 - 8), "A", 12)
    _haloed(pen, (x + width // 2 - 4, y + 4), "S", 12)
    bar = 20 / mm_per_px
    x0, y0 = x + 8, y + height - 10
    pen.rectangle((x0 - 1, y0 - 3, x0 + bar + 1, y0 + 1), fill=(0, 0, 0))
    pen.rectangle((x0, y0 - 2, x0 + bar, y0), fill=_INK)
    _haloed(pen, (x0, y0 - 19), "20 mm", 12)


def _foot(pen: ImageDraw.ImageDraw, corner, total: int, lines: Sequence[str]) -> None:
    x, y = corner
    for k, line in enumerate(lines):
        font = built_in_font(13)
        while font.getlength(line) > total - 2 * _GAP and font.size > 8:
            font = built_in_font(font.size - 0.5)
        pen.text((x, y + 18 * k), line, fill=_INK if k else _FAINT, font=font)
    key = [(label.label_name.replace("_", " "), color(label)) for label in (*MENISCI.values(), Label.JOINT_FLUID)]
    key += [("cartilage", color(CARTILAGES[0])), ("bone", color(BONES[0]))]
    y += 18 * len(lines) + 3
    for name, ink in key:
        pen.line((x, y + 8, x + 16, y + 8), fill=ink, width=2)
        pen.text((x + 21, y), name, fill=_FAINT, font=built_in_font(12))
        x += 21 + round(built_in_font(12).getlength(name)) + 16


def _haloed(pen: ImageDraw.ImageDraw, at, text: str, size: int) -> None:
    pen.text(at, text, fill=_INK, font=built_in_font(size), stroke_width=2, stroke_fill=(0, 0, 0))


def built_in_font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own built-in font: the same letters on every machine."""
    return ImageFont.load_default(size)


# --- packing ----------------------------------------------------------------------------------------------------------


def _palette(more_inks: Sequence[str]) -> list[int]:
    """256 colours: greys, and each label colour (and up to ten more) at three strengths over dark to bright."""
    inks = [tuple(bytes.fromhex(ink[1:])) for ink in (*(color(label) for label in Label if label), *more_inks)]
    colours = [(round(g),) * 3 for g in np.linspace(0, 255, GREYS)]
    for ink in inks:
        for strength in (1.0, 0.7, 0.4):
            for grey in (30, 90, 150, 220) if strength < 1 else (0,):
                colours.append(tuple(round(strength * i + (1 - strength) * grey) for i in ink))
    colours += [_BACK] * (256 - len(colours))
    return [v for c in colours[:256] for v in c]


def pack_png(sheet: Image.Image, more_inks: Sequence[str] = ()) -> bytes:
    """A small PNG of greys, the labels' colours and `more_inks` (hex)."""
    frame = Image.new("P", (1, 1))
    frame.putpalette(_palette(more_inks))
    out = io.BytesIO()
    sheet.quantize(palette=frame, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
