"""Both menisci of a knee: region by region, volume, signal, T2 and the grade."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kneeline.grading import REGIONS, SIGNAL, SIGNAL_SHAPES, THICK_SLICE_MM, SignalRule, grade_signal
from kneeline.labels import MENISCI, Label
from kneeline.score import references
from kneeline.score.echo_train import EchoTrain, region_t2
from kneeline.score.frame import FAT_BRIGHT, Knee
from kneeline.score.mimics import mimic_flags
from kneeline.score.places import Place
from kneeline.score.references import Brightness, DarkLevel
from kneeline.score.regions import meniscus_regions
from kneeline.score.rows import as_stored
from kneeline.score.signal import Component, Tissue, box_within_reach, find_components, meniscus_tissue
from kneeline.tables import Row

# Surroundings of a meniscus that hold its reference tissue.
MARGIN_MM = 12.0
# Fewer inner voxels than this, or a smaller share of the region, make its signal unsure: it is too thin to look into.
FEW_VOXELS = 20
FEW_SHARE = 0.15
# A component belongs to the region that holds most of it, and to another that holds this share and a countable volume.
SHARED = 0.25


@dataclass(frozen=True, eq=False)
class _Meniscus:
    """What is known of one meniscus before it is compared with the other."""

    knee: Knee
    box: tuple[slice, slice, slice]
    tissue: Tissue
    region: np.ndarray  # index into REGIONS inside the mask, -1 outside
    labelled: np.ndarray  # the label's own voxels; the tissue has its holes filled
    brightness: Brightness | None
    dark: DarkLevel | None
    cortex: float | None


def measure_menisci(knee: Knee, train: EchoTrain | None = None, rule: SignalRule = SIGNAL, **of_image) -> list[Row]:
    """The rows of `find_menisci` alone."""
    return find_menisci(knee, train, rule, **of_image)[0]


def find_menisci(
    knee: Knee,
    train: EchoTrain | None = None,
    rule: SignalRule = SIGNAL,
    *,
    echo_time_ms: float | None = None,
    contrast: str | None = None,
) -> tuple[list[Row], list[Place]]:
    """Rows of tables.MENISCUS without knee keys: medial then lateral, front to back. With the bright components that
    the rows tell of, and how far the graded ones are from the surface.

    A meniscus that is not outlined has rows with missing values and the flag `not_segmented`. `contrast` is the
    contrast class of the image: where fat is bright, rows have the flag `not_fat_suppressed`.
    """
    inner = _inner_point(knee)
    flags = ["thick_slices"] if knee.slice_spacing_mm > THICK_SLICE_MM else []
    if contrast in FAT_BRIGHT:
        flags.append("not_fat_suppressed")
    found = {name: _look_at(knee, label, inner, rule) for name, label in MENISCI.items()}
    rows: list[Row] = []
    places: list[Place] = []
    for name in MENISCI:
        others = [m for n, m in found.items() if n != name and m is not None]
        meniscus = found[name]
        if meniscus is None:
            rows += [_empty_row(name, region) | {"flags": "not_segmented"} for region in REGIONS]
        else:
            other = others[0].dark if others else None
            own_rows, own_places = _rows(name, meniscus, other, train, rule, echo_time_ms, flags)
            rows += own_rows
            places += own_places
    return rows, places


def _inner_point(knee: Knee) -> np.ndarray:
    """A point between the menisci: to it both open."""
    parts = [(label, knee.crop(knee.box(label))) for label in MENISCI.values() if knee.holds(label)]
    centres = [part.world(part.mask(label)).mean(0) for label, part in parts]
    if len(centres) == 2:
        return np.mean(centres, axis=0)
    bone = knee.world(knee.mask(Label.TIBIA, Label.FEMUR), at_most=100_000)
    return bone.mean(0) if len(bone) else knee.labels.geometry.to_world((np.array(knee.labels.shape) - 1) / 2)


def _look_at(knee: Knee, label: Label, inner: np.ndarray, rule: SignalRule) -> _Meniscus | None:
    wide = knee.box(label, margin_mm=MARGIN_MM)
    if wide is None:
        return None
    surroundings = knee.crop(wide)
    brightness = references.measure_brightness(surroundings)
    cortex = None if brightness is None else references.measure_cortex(surroundings, brightness)
    close = box_within_reach(surroundings, label)
    part = surroundings.crop(close)
    tissue = meniscus_tissue(part, label, rule)
    region = np.full(part.image.shape, -1, np.int8)
    region[tissue.mask] = meniscus_regions(part.world(tissue.mask), inner)
    dark = None
    if brightness is not None:
        brightness = replace(brightness, level=brightness.level[close])
        dark = references.measure_dark(brightness.level[tissue.core])
    box = tuple(slice(w.start + c.start, w.start + c.stop) for w, c in zip(wide, close, strict=True))
    return _Meniscus(part, box, tissue, region, part.mask(label), brightness, dark, cortex)


def _empty_row(meniscus: str, region: str) -> Row:
    names = (
        "volume_mm3", "signal_ratio", "hyperintense_mm3", "hyperintense_pct", "signal_extent_mm",
        "signal_shape", "surface_distance_mm", "superior_distance_mm", "inferior_distance_mm", "surface",
        "surface_slices", "signal_grade",
        "t2_ms", "t2_se_ms", "t2_epg_ms",
    )  # fmt: skip
    return {"meniscus": meniscus, "region": region} | dict.fromkeys(names)


def _rows(
    name: str,
    meniscus: _Meniscus,
    other: DarkLevel | None,
    train: EchoTrain | None,
    rule: SignalRule,
    echo_time_ms: float | None,
    of_image: list[str],
) -> tuple[list[Row], list[Place]]:
    knee, tissue, flags = meniscus.knee, meniscus.tissue, list(of_image)
    ratio, components, worst = None, [], None
    if meniscus.brightness is None or meniscus.dark is None:
        flags.append("no_reference")
    else:
        dark, borrowed = references.choose_dark(meniscus.dark, other)
        if not references.has_contrast(dark, meniscus.cortex, rule):
            flags.append("low_contrast")
        else:
            if borrowed:
                flags.append("dark_reference_borrowed")
            if meniscus.brightness.source != "cartilage":
                flags.append(f"{meniscus.brightness.source}_reference")
            ratio = references.signal_ratio(meniscus.brightness.level, dark)
            components = find_components(ratio, tissue, knee, rule)
    shares = region_shares(components, meniscus.region, knee.image.voxel_mm3, rule)
    rows = []
    graded: dict[str, int] = {}
    for index, region in enumerate(REGIONS):
        here = meniscus.region == index
        inner = here & tissue.core
        row = _empty_row(name, region)
        row["volume_mm3"] = float((here & meniscus.labelled).sum()) * knee.image.voxel_mm3
        row |= region_t2(train, meniscus.box, inner)
        extra = ["few_voxels"] if inner.sum() < max(FEW_VOXELS, FEW_SHARE * here.sum()) else []
        if ratio is not None and inner.any():
            row["signal_ratio"] = _brightest_tenth(ratio[inner])
            worst = _worst(components, shares[index], rule)
            row |= _signal(components, shares[index], worst, row["volume_mm3"], rule)
            if worst is not None:
                graded[region] = worst
        row = as_stored(row)
        row["signal_grade"] = grade_row(row, rule)
        if row["signal_grade"] == 2 and row["surface_slices"]:
            extra.append("contact_one_slice")
        if row["signal_grade"]:
            extra += mimic_flags(name, region, components[worst], here, ratio, knee, echo_time_ms)
        rows.append(row | {"flags": ",".join(flags + extra) or None})
    return rows, _places(name, meniscus, components, shares, graded, rule)


def _places(
    name: str,
    meniscus: _Meniscus,
    components: list[Component],
    shares: list[dict[int, float]],
    graded: dict[str, int],
    rule: SignalRule,
) -> list[Place]:
    """Components that rows tell of, each once, and the way to the surface of those that were graded.

    graded: by region the component whose extent, distance and contact stand in the row.
    """
    first = [s.start for s in meniscus.box]
    places = []
    for k, component in enumerate(components):
        counted = {r: shares[i][k] >= rule.min_component_mm3 for i, r in enumerate(REGIONS) if k in shares[i]}
        told = [r for r, counts in counted.items() if r in graded and (counts or graded[r] == k)]
        if not told:
            continue
        facts = {"counted": any(counted[r] for r in told), "component_mm3": round(component.volume_mm3, 4)}
        rows = [{"meniscus": name, "region": r} for r in told]
        places.append(Place("meniscus", "hyperintense_mm3", rows, voxels=component.voxels + first, facts=facts))
        of_grade = [row for row in rows if graded[row["region"]] == k]
        if of_grade and component.way_mm is not None:
            places.append(Place("meniscus", "surface_distance_mm", of_grade, line=component.way_mm))
    return places


def grade_row(row: Row, rule: SignalRule = SIGNAL) -> int | None:
    """The grade of a row from its own measurements."""
    return grade_signal(row["hyperintense_mm3"], row["signal_extent_mm"], row["surface_slices"], rule)


def region_shares(
    components: list[Component], region: np.ndarray, voxel_mm3: float, rule: SignalRule = SIGNAL
) -> list[dict[int, float]]:
    """For each region the components that belong to it and their volume there (mm3).

    A spill into the next region that is neither a quarter of the component nor countable by itself stays with the
    region that holds most of it, so that volumes add up and no grade is made by a border drawn through a lesion.
    """
    shares: list[dict[int, float]] = [{} for _ in REGIONS]
    for k, component in enumerate(components):
        count = np.bincount(region[tuple(component.voxels.T)], minlength=len(REGIONS))
        main = int(count.argmax())
        spill = [
            r
            for r in range(len(REGIONS))
            if r != main and count[r] >= SHARED * count.sum() and count[r] * voxel_mm3 >= rule.min_component_mm3
        ]
        for r in spill:
            shares[r][k] = float(count[r] * voxel_mm3)
        shares[main][k] = float((count.sum() - count[spill].sum()) * voxel_mm3)
    return shares


def _worst(components: list[Component], share: dict[int, float], rule: SignalRule) -> int | None:
    """Of a region's components that count, the one graded highest; where none counts, the largest; None of none."""
    counted = {k: mm3 for k, mm3 in share.items() if mm3 >= rule.min_component_mm3}
    if counted:
        return max(counted, key=lambda k: _severity(components[k], share[k], rule))
    return max(share, key=share.get) if share else None


def _signal(
    components: list[Component], share: dict[int, float], worst: int | None, volume_mm3: float, rule: SignalRule
) -> Row:
    """Signal columns of a region: volume of all components that count, the rest from the one graded highest.

    Where none counts, the largest stands for what was seen: its volume grades as 0, and it has no shape.
    """
    if worst is None:
        return {"hyperintense_mm3": 0.0, "hyperintense_pct": 0.0, "signal_extent_mm": 0.0, "surface_slices": 0}
    component, counts = components[worst], share[worst] >= rule.min_component_mm3
    total = sum(mm3 for mm3 in share.values() if mm3 >= rule.min_component_mm3) if counts else share[worst]
    linear = component.extent_mm >= rule.linear_extent_mm
    return {
        "hyperintense_mm3": total,
        "hyperintense_pct": min(100 * total / volume_mm3, 100.0) if volume_mm3 else None,
        "signal_extent_mm": component.extent_mm,
        "signal_shape": SIGNAL_SHAPES[linear] if counts else None,
        "surface_distance_mm": component.surface_distance_mm,
        "superior_distance_mm": component.superior_mm,
        "inferior_distance_mm": component.inferior_mm,
        "surface": component.surface if counts else None,
        "surface_slices": len(component.contact_slices),
    }


def _severity(component: Component, volume_mm3: float, rule: SignalRule) -> tuple:
    slices = len(component.contact_slices)
    return (grade_signal(volume_mm3, component.extent_mm, slices, rule), slices, component.extent_mm)


def _brightest_tenth(values: np.ndarray) -> float:
    """Mean of the highest tenth of the values, at least one."""
    n = max(round(0.1 * values.size), 1)
    return float(np.sort(values.ravel())[-n:].mean(dtype=float))
