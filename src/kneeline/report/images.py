"""What came in and what was outlined: scans set aside, acquisition, quality, volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from kneeline import tables
from kneeline.report.gather import Results
from kneeline.report.methods import scanner, spread, words_of_code
from kneeline.report.views import Cell, View, fixed, ml, plain, view
from kneeline.tables import MISSING, Row


def set_aside_view(found: Results) -> View:
    return view(
        "Scans that were set aside, and why",
        [
            ("scan", lambda r: Cell(r["scan_id"], kind="id")),
            ("at", lambda r: r["stage"]),
            ("rule", lambda r: Cell(r["reason_code"] or MISSING, kind="code")),
            ("reason", lambda r: r["reason"]),
        ],
        found.set_aside,
    )


def set_aside_counts(found: Results) -> View:
    """A rule a line."""
    counts = Counter((row["stage"], row["reason_code"]) for row in found.set_aside)
    order = ("ingest", "segment", "score")
    return view(
        "Scans that were set aside, by rule",
        [
            ("at", lambda line: line[0][0]),
            ("rule", lambda line: words_of_code(line[0][1])),
            ("scans", lambda line: line[1]),
        ],
        sorted(
            counts.items(),
            key=lambda item: (order.index(item[0][0]) if item[0][0] in order else 9, -item[1], item[0][1] or ""),
        ),
    )


def acquisition_view(found: Results) -> View:
    """How the images were made: a scanner and kind of sequence a line, from what ingest kept of the headers."""
    contrast = {row["scan_id"]: row for row in found[tables.QUALITY]}
    groups: dict[tuple, list[tuple[Row, dict]]] = {}
    for scan, sidecar in found.sidecars.items():
        quality = contrast.get(scan, {})
        shown = quality.get("contrast") or sidecar.get("ContrastClass") or MISSING
        kind = f"{sidecar.get('MRAcquisitionType') or ''} {shown}"
        groups.setdefault((scanner(sidecar) or MISSING, kind.strip()), []).append((quality, sidecar))

    def of(get: Callable[[Row, dict], Any]) -> Callable[[Any], Cell]:
        def cell(line) -> Cell:
            known = [v for pair in line[1] if isinstance(v := get(*pair), int | float)]
            return Cell(spread(known) if known else MISSING, True)

        return cell

    def ms(name: str) -> Callable[[Row, dict], float | None]:
        return lambda _, sidecar: 1000 * sidecar[name] if isinstance(sidecar.get(name), int | float) else None

    return view(
        "Acquisition, as the headers tell: median, and lowest to highest where they differ",
        [
            ("scanner", lambda line: line[0][0]),
            ("sequence", lambda line: line[0][1]),
            ("scans", lambda line: len(line[1])),
            ("echo time (ms)", of(ms("EchoTime"))),
            ("repetition time (ms)", of(ms("RepetitionTime"))),
            ("slice thickness (mm)", of(lambda quality, _: quality.get("slice_thickness_mm"))),
            ("slice spacing (mm)", of(lambda quality, _: quality.get("slice_spacing_mm"))),
            ("pixel (mm)", of(lambda quality, _: quality.get("pixel_mm"))),
        ],
        sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])),
    )


def quality_summary(found: Results) -> View:
    """Signal-to-noise, coverage and flags by contrast."""
    groups: dict[str, list[Row]] = {}
    for row in found[tables.QUALITY]:
        groups.setdefault(row["contrast"] or MISSING, []).append(row)

    def of(name: str) -> Callable[[Any], Cell]:
        def cell(line) -> Cell:
            known = [row[name] for row in line[1] if row[name] is not None]
            return Cell(spread(known) if known else MISSING, True)

        return cell

    def flags(line) -> str:
        counts = Counter(
            flag.strip().replace("_", " ") for row in line[1] for flag in (row["flags"] or "").split(",") if flag
        )
        return ", ".join(f"{flag} ({n})" for flag, n in sorted(counts.items())) or "none"

    return view(
        "Image quality by contrast: median, and lowest to highest",
        [
            ("contrast", lambda line: line[0]),
            ("scans", lambda line: len(line[1])),
            ("slices", of("n_slices")),
            ("coverage (mm)", of("coverage_mm")),
            ("signal-to-noise", of("snr")),
            ("flags", flags),
        ],
        sorted(groups.items()),
    )


def quality_view(found: Results) -> View:
    return plain(
        "Image quality of each scan that went on", tables.QUALITY, found[tables.QUALITY],
        skip=("participant_id", "session_id"),
    )  # fmt: skip


def structures_view(found: Results) -> View:
    """Median volume and confidence of each structure over the knees, lowest and highest volume beside it."""
    groups: dict[str, list[Row]] = {}
    for row in found[tables.SEGMENT]:
        groups.setdefault(row["structure"] or MISSING, []).append(row)

    def of(rows: Sequence[Row], column: str, take: Callable) -> float | None:
        values = [row[column] for row in rows if row[column] is not None]
        return take(values) if values else None

    return view(
        "Volume and confidence of each structure over the knees",
        [
            ("structure", lambda g: g[0].replace("_", " ")),
            ("knees", lambda g: sum(row["volume_mm3"] is not None for row in g[1])),
            ("median volume (mL)", lambda g: fixed(ml(of(g[1], "volume_mm3", median)), ".2f")),
            ("lowest (mL)", lambda g: fixed(ml(of(g[1], "volume_mm3", min)), ".2f")),
            ("highest (mL)", lambda g: fixed(ml(of(g[1], "volume_mm3", max)), ".2f")),
            ("median confidence", lambda g: fixed(of(g[1], "confidence", median), ".2f")),
            ("lowest confidence", lambda g: fixed(of(g[1], "confidence", min), ".2f")),
        ],
        list(groups.items()),
    )


def verdict_words(found: Results) -> str:
    counts = {v: sum(row["verdict"] == v for row in found.good) for v in ("ok", "review", "unusable", None)}
    names = {
        "ok": "may be used",
        "review": "should be looked at",
        "unusable": "cannot be used",
        None: "have no verdict",
    }
    return ", ".join(f"{n} {names[v]}" for v, n in counts.items() if n) or "there are none"
