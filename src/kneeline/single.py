"""One knee at the command line: the same stages as the workflow, in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kneeline import labels, tables, threads
from kneeline.errors import UsageError
from kneeline.tables import Row
from kneeline.volume import Volume, write_volume

# Columns of the tables that tell a knee of a study from others, and from one that a person outlined; the verdict is
# told once.
_NOT_HERE = (*tables.KNEE_KEYS, "scan_id", "outlined_by", "verdict")


@dataclass(frozen=True)
class ScoredKnee:
    """Everything known about one knee. Rows are without participant and session."""

    image: Volume
    labels: Volume
    laterality: str
    laterality_source: str
    verdict: str
    verdict_reason: str | None
    confidence: dict[str, float]
    meniscus: list[Row]
    extrusion: list[Row]
    effusion: Row
    cartilage: list[Row]
    marrow: list[Row]
    contrast: str | None  # class, as in tables.SERIES
    echo_time_ms: float | None  # of the image
    series: list[Row]  # every series found, without scan_id; the one that was read is `chosen`


def score_series(path: Path, laterality: str | None = None) -> ScoredKnee:
    """Read, segment and score one series.

    Raises
    ------
    Refusal
        If the series cannot be used, its side is not known, or two sources name different sides.
    """
    knee, segmentation = _load_and_segment(path, laterality)
    from kneeline.score.run import echo_time_ms, score_knee

    echo_ms = echo_time_ms(knee.sidecar)
    scores = score_knee(
        knee.image,
        segmentation.labels,
        segmentation.laterality,
        knee.echoes,
        knee.echo_times_ms,
        contrast=knee.sidecar.get("ContrastClass"),
        echo_time_ms=echo_ms,
        threads=threads.for_one_knee(),
    )
    source = knee.laterality_source or "fibula"
    return ScoredKnee(
        image=knee.image,
        labels=segmentation.labels,
        laterality=segmentation.laterality,
        laterality_source="command line" if source == "table" else source,
        verdict=segmentation.verdict,
        verdict_reason=segmentation.reason,
        confidence={label.label_name: value for label, value in segmentation.confidence.items()},
        meniscus=scores.meniscus,
        extrusion=scores.extrusion,
        effusion=scores.effusion,
        cartilage=scores.cartilage,
        marrow=scores.marrow,
        contrast=knee.sidecar.get("ContrastClass"),
        echo_time_ms=echo_ms,
        series=knee.series,
    )


def segment_image(path: Path, out: Path, laterality: str | None = None) -> str:
    """Segment one image, write the label volume and its `dseg.tsv`; return a table of volumes to print."""
    knee, segmentation = _load_and_segment(path, laterality)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_volume(out, segmentation.labels)
    labels.write_dseg_tsv(out.parent / "dseg.tsv")
    lines = [
        f"side {segmentation.laterality}, verdict {segmentation.verdict}"
        + (f": {segmentation.reason}" if segmentation.reason else ""),
        series_words(knee.series),
    ]
    array, voxel = segmentation.labels.array, segmentation.labels.voxel_mm3
    for label in list(labels.Label)[1:]:
        millilitres = (array == label).sum() * voxel / 1000
        lines.append(f"{label.label_name:28s}{millilitres:9.2f} mL")
    return "\n".join(lines) + "\n"


def _load_and_segment(path: Path, laterality: str | None):
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; expected a DICOM folder or a NIfTI file")
    from kneeline.ingest.run import load_knee
    from kneeline.segment.predict import segment

    knee = load_knee(path, laterality)
    return knee, segment(knee.image, knee.laterality, threads.for_one_knee())


def series_words(series: list[Row], echo_time_ms: float | None = None) -> str:
    """Which of the series found was read: a folder may hold several, and their grades differ."""
    read = next(row for row in series if row["chosen"])
    facts = [
        read.get("contrast") or "contrast not known",
        f"{read['n_slices']} slices every {read['slice_spacing_mm']:.3g} mm",
        f"pixels of {read['pixel_mm']:.3g} mm",
    ]
    if echo_time_ms is not None:
        facts.append(f"echo time {echo_time_ms:.3g} ms")
    if len(series) > 1:
        facts.append(f"number {read['series']} of {len(series)} series found")
    return "read: " + ", ".join(facts)


def as_dict(knee: ScoredKnee) -> dict[str, Any]:
    return {
        "laterality": knee.laterality,
        "laterality_source": knee.laterality_source,
        "verdict": knee.verdict,
        "verdict_reason": knee.verdict_reason,
        "echo_time_ms": knee.echo_time_ms,
        "series": [_plain(row, tables.SERIES) for row in knee.series],
        "confidence": {name: round(value, 4) for name, value in knee.confidence.items()},
        "meniscus": [_plain(row, tables.MENISCUS) for row in knee.meniscus],
        "extrusion": [_plain(row, tables.EXTRUSION) for row in knee.extrusion],
        "effusion": _plain(knee.effusion, tables.EFFUSION),
        "cartilage": [_plain(row, tables.CARTILAGE) for row in knee.cartilage],
        "marrow": [_plain(row, tables.MARROW) for row in knee.marrow],
    }


def as_json(knee: ScoredKnee) -> str:
    return json.dumps(as_dict(knee), indent=1) + "\n"


def as_text(knee: ScoredKnee) -> str:
    """Tables for a terminal."""
    side = "left" if knee.laterality == "L" else "right"
    title = f"{side} knee (side from {knee.laterality_source}), verdict {knee.verdict}"
    title += f": {knee.verdict_reason}" if knee.verdict_reason else ""
    parts = [f"{title}\n{series_words(knee.series, knee.echo_time_ms)}"]
    for rows, table in (
        (knee.meniscus, tables.MENISCUS),
        (knee.extrusion, tables.EXTRUSION),
        ([knee.effusion], tables.EFFUSION),
        (knee.cartilage, tables.CARTILAGE),
        (knee.marrow, tables.MARROW),
    ):
        columns = [c for c in table.columns if c.name not in _NOT_HERE]
        cells = [[c.name for c in columns]] + [[c.format(row.get(c.name)) for c in columns] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        parts.append(
            "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells)
        )
    return "\n\n".join(parts) + "\n"


def write(knee: ScoredKnee, folder: Path) -> None:
    """Image, labels, tables (as JSON), thickness of cartilage point by point, and picture of one knee."""
    from kneeline.report.pictures import draw
    from kneeline.score.cartilage import thickness_rows

    folder.mkdir(parents=True, exist_ok=True)
    write_volume(folder / f"knee-{knee.laterality}_image.nii.gz", knee.image)
    write_volume(folder / f"knee-{knee.laterality}_dseg.nii.gz", knee.labels)
    labels.write_dseg_tsv(folder / "dseg.tsv")
    tables.write_text(folder / f"knee-{knee.laterality}_scores.json", as_json(knee))
    thickness = thickness_rows(knee.image, knee.labels, knee.laterality, knee.contrast)
    tables.write_table(folder / f"knee-{knee.laterality}_thickness.tsv", thickness, tables.THICKNESS)
    draw(
        folder / f"knee-{knee.laterality}_overlay.png",
        knee.image,
        knee.labels,
        knee.laterality,
        knee.meniscus,
        knee.effusion,
        knee.verdict,
    )


def _plain(row: Row, table: tables.Table) -> Row:
    """The columns of a row that are not keys of scan or knee, numbers as numbers of six digits."""
    names = [c.name for c in table.columns if c.name not in _NOT_HERE]
    return {
        name: None
        if table[name].format(row.get(name)) == tables.MISSING
        else table[name].parse(table[name].format(row[name]))
        for name in names
    }
