"""How far simulated images are from a real one: grey values, texture, noise, edges, shading, tissue by tissue.

    python bench/real_echoes.py FOLDER --keep echoes.npz
    python bench/real_gap.py echoes.npz --anatomies WORK/train [--document docs/real-scan.md]

Three tables. (1) Grey value of each tissue over that of femoral marrow: the real one, and the range that the training
world and `kneeline.simulate` draw; a real value outside the world's range is something the network never saw.
(2) Texture, noise, edges and shading, by the same rules on real and simulated images. (3) What decays like fluid: from
the early to the late echo, fluid keeps its signal, fat and marrow lose a quarter, cartilage and muscle more. That tells
fluid from fat without any reference outline, and the network does not use it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from real_tables import figure, show
from scipy import ndimage

from kneeline import markdown
from kneeline.labels import BONES, CARTILAGES, MENISCI, Label
from kneeline.segment.classes import CLASS_BY_LABEL, Class
from kneeline.simulate.contrast import SEQUENCES, signal_table
from kneeline.simulate.tissues import Tissue
from kneeline.volume import Volume, reorient

EARLY, LATE = 2, 8  # echoes that look like PD and like T2
DRAWS = 400
FLUID_KEEPS = 0.85  # share of the early echo's signal left in the late one; marrow and fat keep about 0.75
SHORT_KEEPS = 0.65  # below: cartilage, muscle, capsule, meniscus
_MENISCI = tuple(MENISCI.values())


@dataclass(frozen=True)
class Picture:
    """One sagittal stack, `image` (n, rows, columns) over the median of femoral marrow, and its classes."""

    image: np.ndarray
    classes: np.ndarray
    marrow: float  # grey value of femoral marrow before

    def inside(self, cls: Class, pixels: int) -> np.ndarray:
        """The class without its outer `pixels`, within each slice."""
        return _within_slice(ndimage.binary_erosion, self.classes == cls, 2 * pixels + 1)


def picture(image: np.ndarray, classes: np.ndarray) -> Picture:
    marrow = _within_slice(ndimage.binary_erosion, classes == Class.FEMUR, 9)
    grey = float(np.median(image[marrow]))
    return Picture(image / grey, classes, grey)


def _within_slice(operation, mask: np.ndarray, size: int) -> np.ndarray:
    return operation(mask, np.ones((1, size, size), bool))


# --- real images -----------------------------------------------------------------------------------------------------


def real_picture(kept, echo: int) -> Picture:
    affine = kept["affine"]
    image = reorient(Volume(np.ascontiguousarray(kept["echoes"][..., echo - 1]), affine)).array.astype(np.float32)
    labels = reorient(Volume(np.ascontiguousarray(kept["labels"][..., EARLY - 1]), affine)).array
    return picture(image, CLASS_BY_LABEL[labels])


# --- table 1: grey values --------------------------------------------------------------------------------------------

# Tissue, where to look in the real image, what it is in the world (fabric) and in kneeline.simulate.
TISSUES = (
    ("fat behind the femur, under the skin, in Hoffa's pad", "fat", "FAT", Tissue.FAT),
    ("fat in front of the femoral shaft", "deep_fat", "FAT", Tissue.FAT),
    ("muscle", "muscle", "MUSCLE", Tissue.MUSCLE),
    ("femoral cartilage", "femoral_cartilage", "CARTILAGE", Tissue.CARTILAGE),
    ("menisci", "menisci", "MENISCUS", Tissue.MENISCUS),
    ("fluid (by its decay)", "fluid", "FLUID", Tissue.FLUID),
    ("cortex before the femoral shaft", "cortex", "CORTEX", Tissue.CORTEX),
)


def real_tissues(early: Picture, late: Picture) -> dict[str, np.ndarray]:
    """Masks of tissues in the real series; soft tissue by how its signal decays, whatever its place."""
    keeps = _keeps(early, late)
    calm = ndimage.uniform_filter(keeps, (0, 3, 3))
    background = early.classes == Class.BACKGROUND
    body = background & (ndimage.uniform_filter(early.image, (0, 5, 5)) > 0.15)
    fat = body & (calm > 0.66) & (calm < 0.80) & (early.image > 0.4)
    fat = _within_slice(ndimage.binary_erosion, fat, 3)
    muscle = _within_slice(ndimage.binary_erosion, body & (calm > 0.2) & (calm < 0.45), 7)
    return {
        "fat": fat & ~_before_shaft(early),
        "deep_fat": fat & _before_shaft(early),
        "muscle": muscle,
        "femoral_cartilage": early.inside(Class.FEMORAL_CARTILAGE, 1) & (calm < 0.60),  # without fat under the outline
        "menisci": early.inside(Class.MENISCUS, 1),
        "fluid": fluid_by_decay(early, late),
        "cortex": _cortex(early),
    }


def _keeps(early: Picture, late: Picture) -> np.ndarray:
    """Share of the early echo's signal that is left in the late one."""
    return late.image * late.marrow / (np.maximum(early.image, 0.02) * early.marrow)


def _before_shaft(picture: Picture) -> np.ndarray:
    """Up to 12 pixels in front of the femur, above the upper edge of its cartilage."""
    out = np.zeros(picture.classes.shape, bool)
    for i, plane in enumerate(picture.classes):
        femur, cartilage = plane == Class.FEMUR, plane == Class.FEMORAL_CARTILAGE
        if not (femur.any() and cartilage.any()):
            continue
        top = np.nonzero(cartilage)[0].min()
        for row in range(top):
            columns = np.flatnonzero(femur[row])
            if columns.size:
                out[i, row, max(columns[0] - 12, 0) : columns[0]] = True
    return out & (picture.classes != Class.FEMUR)


def _cortex(picture: Picture) -> np.ndarray:
    """Darkest voxel across the front of the femoral shaft, row by row above the cartilage."""
    out = np.zeros(picture.classes.shape, bool)
    for i, plane in enumerate(picture.classes):
        femur, cartilage = plane == Class.FEMUR, plane == Class.FEMORAL_CARTILAGE
        if not cartilage.any():
            continue
        for row in np.flatnonzero(femur[: np.nonzero(cartilage)[0].min()].sum(1) > 30):
            start = max(int(np.flatnonzero(femur[row])[0]) - 2, 0)
            out[i, row, start + int(picture.image[i, row, start : start + 7].argmin())] = True
    return out


def fluid_by_decay(early: Picture, late: Picture) -> np.ndarray:
    """Voxels that keep their signal, bright enough to tell, in clumps, near cartilage and outside bone."""
    joint = np.isin(early.classes, [Class.FEMORAL_CARTILAGE, Class.TIBIAL_CARTILAGE, Class.PATELLAR_CARTILAGE])
    near = ndimage.binary_dilation(joint, np.ones((1, 25, 25), bool)) | _before_shaft(early)
    bone = np.isin(early.classes, CLASS_BY_LABEL[list(BONES)])
    wet = (_keeps(early, late) > FLUID_KEEPS) & (early.image > 0.25) & near & ~bone
    clumps, n = ndimage.label(wet, np.ones((3, 3, 3)))
    size = np.bincount(clumps.ravel(), minlength=n + 1)
    return wet & (size[clumps] >= 5)


def world_greys(family: str) -> np.ndarray:
    """(DRAWS, fabrics) over marrow."""
    from kneeline.segment.training import world
    from kneeline.segment.training.anatomies import Fabric

    values = np.stack([world.grey_values(np.random.default_rng(seed), family) for seed in range(DRAWS)])
    return values / values[:, [Fabric.MARROW]]


def simulated_greys(name: str) -> np.ndarray:
    table = np.stack([signal_table(SEQUENCES[name], np.random.default_rng(seed)) for seed in range(DRAWS)])
    return table / table[:, [Tissue.MARROW]]


def grey_table(early: Picture, late: Picture) -> str:
    from kneeline.segment.training.anatomies import Fabric

    masks = real_tissues(early, late)
    pd, t2, simulated = world_greys("PD"), world_greys("T2"), simulated_greys("PD")
    rows = []
    for words, key, fabric, tissue in TISSUES:
        at = masks[key]
        cells = [words, str(int(at.sum()))]
        for real, drawn in ((early, pd), (late, t2)):
            low, high = np.quantile(drawn[:, Fabric[fabric]], (0.05, 0.95))
            value = float(np.median(real.image[at])) if at.sum() >= 20 else None
            spread = "" if value is None else " ({:.2f} to {:.2f})".format(*np.quantile(real.image[at], (0.1, 0.9)))
            verdict = "n/a" if value is None else "inside" if low <= value <= high else "**outside**"
            cells += [figure(value) + spread, f"{low:.2f} to {high:.2f}", verdict]
        low, high = np.quantile(simulated[:, tissue], (0.05, 0.95))
        rows.append([*cells, f"{low:.2f} to {high:.2f}"])
    header = [
        "tissue",
        "voxels",
        f"real, echo {EARLY} (10-90 %)",
        "world PD (5-95 % of draws)",
        "",
        f"real, echo {LATE}",
    ]
    return markdown.table([*header, "world T2", "", "kneeline.simulate PD"], rows)


# --- table 2: texture, noise, edges, shading -------------------------------------------------------------------------


def residual(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Image less its local mean inside the mask (Gaussian of 4 pixels), over that mean; 0 outside."""
    weight = ndimage.gaussian_filter(mask.astype(np.float32), (0, 4, 4))
    mean = ndimage.gaussian_filter(np.where(mask, image, 0).astype(np.float32), (0, 4, 4)) / np.maximum(weight, 1e-3)
    return np.where(mask, image / np.maximum(mean, 1e-3) - 1, 0)


def correlation_length(deviation: np.ndarray, mask: np.ndarray, axis: int) -> float | None:
    """Lag in pixels at which the autocorrelation falls below 1/e; None when it does not within 12."""
    before = 1.0
    power = float((deviation[mask] ** 2).mean())
    for lag in range(1, 13):
        a, b = np.take(mask, range(lag, mask.shape[axis]), axis), np.take(mask, range(mask.shape[axis] - lag), axis)
        both = a & b
        da = np.take(deviation, range(lag, mask.shape[axis]), axis)[both]
        db = np.take(deviation, range(mask.shape[axis] - lag), axis)[both]
        now = float((da * db).mean()) / power
        if now < np.exp(-1):
            return lag - 1 + (before - np.exp(-1)) / (before - now)
        before = now
    return None


def bright_background(picture: Picture) -> np.ndarray:
    """Fat by its look: background whose surroundings are bright. Its dark lines and dots belong to it."""
    smooth = ndimage.median_filter(picture.image, (1, 5, 5))
    mask = (picture.classes == Class.BACKGROUND) & (smooth > 0.6)
    return _within_slice(ndimage.binary_erosion, mask, 5)


def specks(picture: Picture, fat: np.ndarray) -> float | None:
    """Share of fat in dark dots: voxels 30 % below their surroundings in flecks of at most 4 voxels of a slice."""
    if not fat.sum():
        return None
    dark = (residual(picture.image, fat) < -0.3) & fat
    flecks, n = ndimage.label(dark, [[[0] * 3] * 3, [[1] * 3] * 3, [[0] * 3] * 3])
    size = np.bincount(flecks.ravel(), minlength=n + 1)
    return float((dark & (size[flecks] <= 4)).sum() / fat.sum())


def noise(picture: Picture) -> float:
    """Standard deviation per channel over marrow, from the quietest 32 x 32 patch (Rician noise in air)."""
    i = len(picture.image) // 2
    plane = picture.image[i]
    patches = [
        plane[r : r + 32, c : c + 32]
        for r in range(0, plane.shape[0] - 31, 16)
        for c in range(0, plane.shape[1] - 31, 16)
    ]
    power = [float((p**2).mean()) for p in patches if (p > 0).mean() > 0.5]  # all zero is no air but padding
    return float(np.sqrt(min(power) / 2)) if power else 0.0


def edge_width(picture: Picture) -> float | None:
    """10-90 % width, pixels, from marrow to the plate under femoral cartilage; median over columns.

    1.02 of the fall over its steepest slope, as for an edge blurred by a Gaussian."""
    found = []
    for plane, classes in zip(picture.image, picture.classes, strict=True):
        under = classes == Class.FEMORAL_CARTILAGE
        for column in range(0, plane.shape[1], 2):
            rows = np.flatnonzero(under[:, column])
            if rows.size < 2 or not (classes[max(rows[0] - 12, 0) : rows[0] - 1, column] == Class.FEMUR).all():
                continue
            profile = plane[rows[0] - 9 : rows[0] + 4, column]
            if profile.size < 13:
                continue
            bottom = int(profile[4:].argmin()) + 4
            fall, slope = float(profile[:4].mean() - profile[bottom]), float(-np.diff(profile[: bottom + 1]).min())
            if fall > 0.4 and slope > 0:
                found.append(1.02 * fall / slope)
    return float(np.median(found)) if len(found) >= 20 else None


def shading(picture: Picture) -> float | None:
    """Brightest over darkest slice: medians of femoral marrow."""
    marrow = picture.inside(Class.FEMUR, 4)
    medians = [float(np.median(i[m])) for i, m in zip(picture.image, marrow, strict=True) if m.sum() > 200]
    return max(medians) / min(medians) if medians else None


def looks(picture: Picture) -> dict[str, float | None]:
    marrow, fat = picture.inside(Class.FEMUR, 4), bright_background(picture)
    uneven = residual(picture.image, marrow)
    z = uneven[marrow] / uneven[marrow].std()
    grain = residual(picture.image, fat)[fat]
    return {
        "marrow: SD / mean": float(uneven[marrow].std()),
        "marrow: skew": float((z**3).mean()),
        "marrow: correlation along rows, px": correlation_length(uneven, marrow, 2),
        "marrow: correlation along columns, px": correlation_length(uneven, marrow, 1),
        "fat: SD / mean": float(grain.std()) if grain.size else None,
        "fat: share in dark specks, %": None if (share := specks(picture, fat)) is None else 100 * share,
        "noise SD / marrow, %": 100 * noise(picture),
        "edge 10-90 %, px": edge_width(picture),
        "marrow, brightest / darkest slice": shading(picture),
    }


def world_pictures(folder: Path, family: str, stacks: int) -> list[Picture]:
    """Stacks like the real one (3 mm every 4 mm, 0.625 mm pixels), from anatomies spread over the folder."""
    from kneeline.segment.training import world

    anatomies = world.load_anatomies(folder)
    out = []
    for number in range(stacks):
        anatomy = anatomies[(number * len(anatomies)) // stacks]
        middle = np.array([(anatomy.low_mm[0] + anatomy.high_mm[0]) / 2, -8.0, 0.0])
        image, truth = world.simulate_stack(
            anatomy, world.Acquisition(24, 4.0, 3.0, family), np.random.default_rng(number), world.noise_bank(),
            side=256, centre_mm=middle, strength=0.3, mirrored=False, pixel_mm=0.625, cropped=False,
        )  # fmt: skip
        out.append(picture(image.numpy(), truth[:, 0].numpy()))
    return out


def simulated_picture(seed: int) -> Picture:
    from kneeline.simulate.run import simulate_knee

    scan = simulate_knee(
        seed, "PD", laterality="R", fluid_ml=3.0, spacing_mm=1.0, n_slices=24, matrix=256, pixel_mm=0.625,
        slice_thickness_mm=3.0, slice_gap_mm=1.0,
    )  # fmt: skip
    return picture(reorient(scan.image).array.astype(np.float32), CLASS_BY_LABEL[reorient(scan.labels).array])


def looks_table(early: Picture, late: Picture, folder: Path, stacks: int) -> str:
    columns = {
        f"real, echo {EARLY}": [looks(early)],
        f"real, echo {LATE}": [looks(late)],
        f"world PD, {stacks} stacks": [looks(p) for p in world_pictures(folder, "PD", stacks)],
        f"world T2, {stacks} stacks": [looks(p) for p in world_pictures(folder, "T2", stacks)],
        "kneeline.simulate PD": [looks(simulated_picture(9000))],
    }
    rows = []
    for measure in columns[f"real, echo {EARLY}"][0]:
        cells = [measure]
        for measured in columns.values():
            values = [m[measure] for m in measured if m[measure] is not None]
            if not values:
                cells.append("n/a")
            elif len(values) == 1:
                cells.append(f"{values[0]:.2f}")
            else:
                cells.append(f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        rows.append(cells)
    return markdown.table(["", *columns], rows)


# --- table 3: what decays like fluid ---------------------------------------------------------------------------------


def decay_table(kept, early: Picture, late: Picture) -> str:
    affine = kept["affine"]
    labels = reorient(Volume(np.ascontiguousarray(kept["labels"][..., EARLY - 1]), affine)).array
    voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
    keeps, wet = _keeps(early, late), fluid_by_decay(early, late)
    rows = []
    for label in (Label.JOINT_FLUID, *CARTILAGES, *_MENISCI, Label.FEMUR):
        at = labels == label
        if not at.any():
            continue
        k = keeps[at]
        shares = [(k > FLUID_KEEPS).mean(), ((k <= FLUID_KEEPS) & (k >= SHORT_KEEPS)).mean(), (k < SHORT_KEEPS).mean()]
        rows.append([label.label_name, f"{at.sum() * voxel_ml:.1f}", *(f"{100 * s:.0f} %" for s in shares)])
    found = (wet & (labels == Label.JOINT_FLUID)).sum() / max(wet.sum(), 1)
    table = markdown.table(["label", "mL", "like fluid", "like fat or marrow", "shorter"], rows)
    return (
        f"{table}\n\nBy decay, {wet.sum() * voxel_ml:.2f} mL near the joint is fluid (clumps of 5 voxels and more; "
        f"films thinner than a voxel escape it); {100 * found:.0f} % of that is called joint fluid."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kept", type=Path, help="file written by real_echoes.py --keep")
    parser.add_argument("--anatomies", type=Path, help="folder of training anatomies; without it no tables 1 and 2")
    parser.add_argument("--stacks", type=int, default=4, help="of the world, for each contrast")
    parser.add_argument("--document", type=Path, help="Markdown file with the blocks `greys`, `looks` and `decay`")
    arguments = parser.parse_args()
    kept = dict(np.load(arguments.kept))
    early, late = real_picture(kept, EARLY), real_picture(kept, LATE)
    show("decay", decay_table(kept, early, late), arguments.document)
    if arguments.anatomies:
        show("greys", grey_table(early, late), arguments.document)
        show("looks", looks_table(early, late, arguments.anatomies, arguments.stacks), arguments.document)


if __name__ == "__main__":
    main()
