"""The eight failures of an early trial of this recipe, each measured on the shipped network.

    python bench/known_failures.py [--knees 14] [--jobs 1]

Simulated knees of seeds from 8600 on, which neither training, calibration nor validation uses, in all contrasts, thin
and thick slices, as `kneeline.segment.training.calibrate` draws them, with a marrow lesion in each bone.
What each voxel is made of is looked up in the knee's own fine grid. The failures: suprapatellar fat called fluid; bone
beyond bone; holes in bone; a small patella; fluid called cartilage on DESS; thin cartilage; outlines that fit only the
shapes of training (left-out anatomies: docs/model-card.md); menisci named by the wrong side.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy import ndimage

from kneeline import markdown
from kneeline.labels import BONES, CARTILAGES, Label
from kneeline.segment.training.calibrate import scan_of
from kneeline.simulate.acquire import acquire
from kneeline.simulate.marrow import MarrowLesion, add_marrow_lesions
from kneeline.simulate.tissues import Tissue
from kneeline.volume import SAGITTAL, reorient

SEED = 8600
FAR_MM = 2.0  # beyond bone's true surface
THIN_MM = 1.5
LESION_RADIUS_MM = 7.0
MARROW_BONES = (Label.FEMUR, Label.TIBIA, Label.PATELLA)
_MARROW = (Tissue.MARROW, Tissue.RED_MARROW, Tissue.MARROW_LESION)


def measure(number: int) -> dict[str, float | str | None]:
    """The eight figures of one knee; None where there is nothing to measure."""
    from kneeline.errors import Refusal
    from kneeline.segment.predict import segment
    from kneeline.validate.masks import dice

    scan = scan_of(SEED + number, number)
    places = np.random.default_rng(SEED + number).random(3)
    lesions = [MarrowLesion(bone, LESION_RADIUS_MM, place) for bone, place in zip(MARROW_BONES, places, strict=True)]
    knee, _ = add_marrow_lesions(scan.knee, lesions)
    acquired = acquire(knee, scan.acquisition, seed=SEED + number)
    truth = reorient(acquired.labels, SAGITTAL)
    tissue = at_voxels(knee.tissue, truth)
    try:
        found = segment(acquired.image)
        unnamed = False
    except Refusal as refusal:
        if refusal.code != "laterality_unknown":
            raise
        found, unnamed = segment(acquired.image, scan.knee.parameters.laterality), True
    labels, true = reorient(found.labels, SAGITTAL).array, truth.array
    ml = truth.voxel_mm3 / 1000

    pole = np.nonzero((true == Label.PATELLA).any((0, 2)))[0][0]
    above = np.arange(true.shape[1])[None, :, None] < pole
    pad = above & (tissue == Tissue.FAT) & near(true == Label.FEMUR, truth.spacing_mm, 12.0)
    bones = np.isin(labels, (Label.FEMUR, Label.TIBIA))
    true_bones = np.isin(true, (Label.FEMUR, Label.TIBIA))
    beyond = bones & ~near(true_bones, truth.spacing_mm, FAR_MM)
    empty = ~true_bones.any((1, 2))
    marrow = np.isin(true, BONES) & np.isin(tissue, _MARROW)
    lesion = marrow & (tissue == Tissue.MARROW_LESION)
    fluid, cartilage = true == Label.JOINT_FLUID, np.isin(true, CARTILAGES)
    # Thin: what an opening by this thickness takes away, in the plane of the slice.
    radius = max(1, round(THIN_MM / 2 / truth.spacing_mm[1]))
    disc = np.hypot(*np.ogrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    thin = cartilage & ~ndimage.binary_opening(cartilage, disc[None])
    return {
        "contrast": scan.acquisition.sequence.name,
        "fat_as_fluid": share(labels == Label.JOINT_FLUID, pad),
        "beyond_ml": float(beyond.sum() * ml),
        "end_ml": float(bones[empty].sum() * ml),
        "holes": 1 - share(np.isin(labels, BONES), marrow),
        "lesion_holes": None if lesion.sum() < 50 else 1 - share(np.isin(labels, BONES), lesion),
        "patella": dice(labels == Label.PATELLA, true == Label.PATELLA),
        "patella_volume": (labels == Label.PATELLA).sum() / max((true == Label.PATELLA).sum(), 1) - 1,
        "fluid_as_cartilage": share(np.isin(labels, CARTILAGES), fluid),
        "cartilage_as_fluid": share(labels == Label.JOINT_FLUID, cartilage),
        "thin_found": share(np.isin(labels, CARTILAGES), thin),
        "thick_found": share(np.isin(labels, CARTILAGES), cartilage & ~thin),
        "side": "unnamed" if unnamed else "right" if found.laterality == scan.knee.parameters.laterality else "wrong",
    }


def at_voxels(fine, grid) -> np.ndarray:
    """Values of a volume at the voxels of another one, nearest neighbour; 0 outside."""
    index = np.indices(grid.shape).reshape(3, -1).T
    place = np.rint(fine.geometry.to_voxel(grid.geometry.to_world(index))).astype(int)
    inside = ((place >= 0) & (place < fine.shape)).all(1)
    out = np.zeros(len(index), fine.array.dtype)
    out[inside] = fine.array[tuple(place[inside].T)]
    return out.reshape(grid.shape)


def near(mask: np.ndarray, spacing_mm, mm: float) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= mm


def share(mask: np.ndarray, of: np.ndarray) -> float:
    return float(mask[of].mean()) if of.any() else np.nan


def table(found: list[dict]) -> str:
    def values(key, *contrasts):
        kept = [row[key] for row in found if not contrasts or row["contrast"] in contrasts]
        return np.array([value for value in kept if value is not None and not np.isnan(value)])

    def line(key, form, *contrasts):
        own = values(key, *contrasts)
        return (
            f"{np.mean(own):{form}} (worst {own[np.abs(own).argmax()]:{form}}, {own.size} scans)" if own.size else "n/a"
        )

    suppressed = ("PDFS", "T2FS", "DESS")
    bright = ("PD", "T2", "T1")
    sides = [row["side"] for row in found]
    rows = [
        ["1", "suprapatellar fat within 12 mm of the femur called fluid, fat suppressed or DESS",
         line("fat_as_fluid", ".2%", *suppressed)],
        ["1", "the same, PD, T2, T1", line("fat_as_fluid", ".2%", *bright)],
        ["2", f"femur and tibia more than {FAR_MM:g} mm beyond true bone (mL; a knee has about 300)",
         line("beyond_ml", ".2f")],
        ["2", "femur and tibia in slices that have none (mL)", line("end_ml", ".2f")],
        ["3", "marrow not called bone", line("holes", ".2%")],
        ["3", "marrow lesions not called bone", line("lesion_holes", ".2%")],
        ["4", "patella, Dice", f"{values('patella').mean():.3f} (least {values('patella').min():.3f})"],
        ["4", "patella, volume error", line("patella_volume", "+.1%")],
        ["5", "fluid called cartilage, DESS", line("fluid_as_cartilage", ".1%", "DESS")],
        ["5", "fluid called cartilage, all", line("fluid_as_cartilage", ".1%")],
        ["5", "cartilage called fluid, all", line("cartilage_as_fluid", ".1%")],
        ["6", f"cartilage thinner than {THIN_MM:g} mm that was found (thicker: {values('thick_found').mean():.1%})",
         f"{values('thin_found').mean():.1%} (least {values('thin_found').min():.1%})"],
        ["8", "side told by the fibula", ", ".join(f"{sides.count(w)} {w}" for w in ("right", "wrong", "unnamed"))],
    ]  # fmt: skip
    return markdown.table(["failure", "what", "mean"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=14)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(measure, range(arguments.knees)))
    print(f"{arguments.knees} knees, seeds {SEED} to {SEED + arguments.knees - 1}\n\n{table(found)}")


if __name__ == "__main__":
    main()
