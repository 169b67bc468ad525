"""Write the anatomies that training and evaluation read: `FOLDER/{train,test}/*.npy`, material codes, uint8.

    python -m kneeline.segment.training.prepare --shared SHARED_DATA --out FOLDER [--parametric 84] [--maps test]

The label maps `mskt_right` and `mskt_left_iso` and parametric seeds from 9000 on are for testing only.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
import torch

from kneeline import grading
from kneeline.segment.training import anatomies, warp
from kneeline.simulate.knee import Lesion, build_knee, sample_parameters
from kneeline.volume import SAGITTAL, reorient

EFFUSIONS = (0.05, 0.3, 0.6, 0.12, 0.9)
TEST_EFFUSIONS = (0.05, 0.4)
TEST_SEED = 9000
FIRST_KEPT_SEED = 8000  # from here on calibration, from TEST_SEED on validation


def save(path: Path, codes: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.save(file, codes)
    partial.rename(path)
    print(path.name, codes.shape, flush=True)


def dressed(name: str, structures: np.ndarray, effusions: tuple[float, ...], folder: Path) -> None:
    for effusion in effusions:
        path = folder / f"{name}_effusion-{effusion:g}.npy"
        if not path.exists():
            seed = zlib.crc32(path.stem.encode())
            save(path, anatomies.dress(structures, seed, effusion))


def training_maps(folder: Path, out: Path) -> None:
    spl = anatomies.read_structures(folder, "spl_left")
    dressed("spl", spl, EFFUSIONS[:2], out / "train")
    own = anatomies.read_structures(folder, "pymskt_dess_right")
    displacement = warp.find_warp(spl, own)
    dressed("pymskt", warp.complete(own, spl, displacement), EFFUSIONS[:3], out / "train")
    dressed("between", warp.apply_warp(spl, displacement, 0.55), EFFUSIONS, out / "train")
    dressed("spl", spl, EFFUSIONS, out / "train")
    dressed("pymskt", warp.complete(own, spl, displacement), EFFUSIONS, out / "train")


def test_maps(folder: Path, out: Path) -> None:
    spl = anatomies.read_structures(folder, "spl_left")
    for name in ("mskt_right", "mskt_left_iso"):
        own = anatomies.read_structures(folder, name)
        dressed(name, warp.complete(own, spl, warp.find_warp(spl, own)), TEST_EFFUSIONS, out / "test")


def left_out_maps(folder: Path, out: Path) -> None:
    """One of the two real knees with menisci for testing; training without it and all that derives from it."""
    spl = anatomies.read_structures(folder, "spl_left")
    dressed("spl", spl, EFFUSIONS, out / "train")
    own = anatomies.read_structures(folder, "pymskt_dess_right")
    dressed("pymskt", warp.complete(own, spl, warp.find_warp(spl, own)), EFFUSIONS, out / "test")


MAPS = {"train": training_maps, "test": test_maps, "left-out": left_out_maps, "none": lambda folder, out: None}


def unusual(rng: np.random.Generator) -> dict[str, float]:
    """Parameters beyond what `sample_parameters` draws, so that the network has seen more than the common knee.

    Discoid lateral menisci, menisci after resection, extrusion, worn cartilage, flat trochleae, thin and stout limbs,
    more flexion than a knee coil wants.
    """
    out = {
        "flexion_deg": rng.uniform(-2, 28),
        "fat_mm": rng.uniform(2, 24),
        "muscle_bulk": rng.uniform(0.7, 1.25),
        "trochlea_depth_mm": rng.uniform(1.0, 9.0),
        "patella_height_angle_deg": rng.uniform(0, 28),
        "prefemoral_fat_mm": rng.uniform(1.5, 10),
    }
    kind = rng.integers(5)
    if kind == 0:
        out |= {"lateral_width_mm": rng.uniform(15, 21), "lateral_opening_deg": rng.uniform(158, 172)}
    elif kind == 1:
        out |= {"medial_body_width_mm": rng.uniform(3.5, 8), "medial_posterior_width_mm": rng.uniform(5, 11)}
    elif kind == 2:
        out |= {"medial_extrusion_mm": rng.uniform(2.5, 6.5), "medial_thinning": rng.uniform(0.2, 0.85)}
    elif kind == 3:
        out |= {"meniscus_height_mm": rng.uniform(4.2, 6.0), "lateral_width_mm": rng.uniform(6, 10)}
    for name, low, high in (("femoral", 1.1, 3.2), ("trochlear", 1.2, 4.5), ("patellar", 1.2, 5.2)):
        out[f"{name}_cartilage_mm"] = rng.uniform(low, high)
    return out


def parametric(seed: int) -> np.ndarray:
    """Material codes of a simulated knee: parameters, effusion (1 to 70 mL) and lesions by its seed."""
    rng = np.random.default_rng(seed)
    parameters = sample_parameters(rng, "R", **(unusual(rng) if seed % 3 == 0 else {}))
    fluid_ml = float(np.exp(rng.uniform(np.log(1), np.log(70))))
    places = [(m, r) for m in grading.MENISCI for r in grading.REGIONS]
    lesions = [Lesion(m, r, int(rng.integers(1, 4))) for m, r in places if rng.random() < 0.15]
    try:
        knee = build_knee(parameters, lesions, fluid_ml=fluid_ml, spacing_mm=anatomies.GRID_MM)
    except ValueError:  # a meniscus too thin for its lesion: the world adds tears and signal of its own
        knee = build_knee(parameters, (), fluid_ml=fluid_ml, spacing_mm=anatomies.GRID_MM)
    labels, tissue = (reorient(v, SAGITTAL) for v in (knee.labels, knee.tissue))
    codes = anatomies.from_simulated(labels.array, tissue.array)
    # The joint line to the middle of the grid; shafts go on beyond it.
    joint = labels.geometry.to_voxel(np.zeros(3))[1]
    below, above = codes.shape[1] - 1 - joint, joint
    missing = round(abs(above - below))
    return np.pad(codes, ((0, 0), (0, missing) if above > below else (missing, 0), (0, 0)), mode="edge")


def prepare_parametric(seeds: range, folder: Path) -> None:
    for seed in seeds:
        path = folder / f"parametric-{seed:04d}.npy"
        if not path.exists():
            save(path, parametric(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds anatomy/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parametric", type=int, default=0, help="simulated knees to add, seeds 0, 1, ...")
    parser.add_argument("--maps", choices=MAPS, default="train")
    args = parser.parse_args()
    if args.parametric > FIRST_KEPT_SEED:
        parser.error(f"seeds from {FIRST_KEPT_SEED} on are kept for calibration and validation")
    torch.set_num_threads(1)
    prepare_parametric(range(args.parametric), args.out / "train")
    MAPS[args.maps](args.shared / "anatomy", args.out)


if __name__ == "__main__":
    main()
