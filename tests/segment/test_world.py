"""The training world: needs the extra `train` (torch), which running and testing kneeline does not."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: it is for training only")

from kneeline.segment.classes import Class  # noqa: E402
from kneeline.segment.training import world  # noqa: E402
from kneeline.segment.training.anatomies import CLASS_BY_CODE, CODE, Fabric, from_simulated  # noqa: E402
from kneeline.segment.training.lesions import Scene, add_lesions  # noqa: E402
from kneeline.simulate.knee import build_knee, sample_parameters  # noqa: E402
from kneeline.volume import SAGITTAL, reorient  # noqa: E402


@pytest.fixture(scope="module")
def bank():
    return world.noise_bank()


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory):
    knee = build_knee(sample_parameters(np.random.default_rng(1), "R"), (), fluid_ml=15, spacing_mm=1.0)
    labels, tissue = (reorient(v, SAGITTAL).array for v in (knee.labels, knee.tissue))
    folder = tmp_path_factory.mktemp("anatomy")
    codes = from_simulated(labels, tissue)
    np.save(folder / "parametric-0001.npy", codes)
    return world.load_anatomies(folder)[0]


def stack(anatomy, bank, seed, **options):
    rng = np.random.default_rng(seed)
    return world.simulate_stack(anatomy, world.draw_acquisition(rng), rng, bank, **options)


def test_the_same_seed_makes_the_same_sample_and_another_seed_another(anatomy, bank):
    one, again, other = (stack(anatomy, bank, seed) for seed in (3, 3, 4))
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[0], other[0])


def test_images_are_finite_and_scaled_as_inference_scales_them(anatomy, bank):
    for seed in range(6):
        image, truth = world.training_images(*stack(anatomy, bank, seed))
        assert torch.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() <= 4
        assert truth[:, :2].max() < len(Class)
        assert 0.5 < image.flatten()[::3].quantile(0.97) < 1.5


def test_without_deformation_and_noise_labels_lie_where_the_anatomy_has_them(anatomy, bank):
    acquisition = world.Acquisition(5, 4.0, 0.8, "PDFS")
    middle = (anatomy.low_mm + anatomy.high_mm) / 2
    _, truth = world.simulate_stack(
        anatomy, acquisition, np.random.default_rng(0), bank, centre_mm=np.array([middle[0], 0.0, 0.0]),
        strength=0.0, mirrored=False, cropped=False,
    )  # fmt: skip
    # Slice 2 of 5 is the middle one; one training pixel is PIXEL_MM, one voxel spacing_mm.
    half = (np.array(anatomy.codes.shape) - 1) / 2
    x = round(float(half[0] + middle[0] / anatomy.spacing_mm))
    at = (np.arange(world.SIDE) - (world.SIDE - 1) / 2) * world.PIXEL_MM / anatomy.spacing_mm
    z, y = (np.clip((half[a] + at).round().astype(int), 0, anatomy.codes.shape[a] - 1) for a in (1, 2))
    expected = CLASS_BY_CODE[anatomy.codes[x][np.ix_(z, y)]]
    for bone in (Class.FEMUR, Class.TIBIA):
        a, b = truth[2, 0].numpy() == bone, expected == bone
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.95


def test_a_border_within_a_pixel_is_told_by_its_share(anatomy, bank):
    """A flat border across voxels: where the deformed grid cuts a pixel in two, shares sum to the area below it."""
    codes = np.full((40, 200, 200), CODE[Class.BACKGROUND, Fabric.FAT], np.uint8)
    codes[:, 100:] = CODE[Class.FEMUR, Fabric.MARROW]
    flat = world.Anatomy("flat", codes, world.PIXEL_MM, np.zeros(3), np.zeros(3))
    for down in (0.0, 0.25, -0.4):  # of a pixel
        _, truth = world.simulate_stack(
            flat, world.Acquisition(12, 1.0, 1.0, "PD"), np.random.default_rng(0), bank, strength=0.0, cropped=False,
            centre_mm=np.array([0.0, down * world.PIXEL_MM, 0.0]),
        )  # fmt: skip
        first, share = truth[:, 0].numpy(), truth[:, 2].numpy() / world.WHOLE
        femur = np.where(first == Class.FEMUR, share, 1 - share)[:, :, 20:-20]
        femur[first[:, :, 20:-20] > Class.FEMUR] = 0
        # The anatomy's middle is the edge between voxels 99 and 100, the image's that between pixels 95 and 96.
        assert femur.sum(1).mean() == pytest.approx(world.SIDE / 2 + down, abs=0.02)


def test_the_loss_is_least_where_the_answer_is_the_true_share(bank):
    from kneeline.segment.training.train import CLASS_WEIGHT, loss_of

    weight = torch.tensor([CLASS_WEIGHT[c] for c in Class])
    truth = torch.zeros(1, 3, 16, 16, dtype=torch.int64)
    truth[:, 0], truth[:, 1], truth[:, 2] = Class.MENISCUS, Class.BACKGROUND, round(0.7 * world.WHOLE)
    losses = {}
    for share in (0.55, 0.65, 0.7, 0.75, 0.85, 0.99):
        p = torch.full((1, len(Class), 16, 16), 1e-6)
        p[:, Class.MENISCUS], p[:, Class.BACKGROUND] = share, 1 - share
        losses[share] = float(loss_of(p.log(), truth, weight))
    assert min(losses, key=losses.get) == 0.7


def scene(codes, seed, bank):
    n = len(codes)
    points = torch.rand(3, n, generator=torch.Generator().manual_seed(1)) * 60 - 30
    index = torch.arange(n) % bank.shape[1]
    return Scene(torch.tensor(codes), points, index, index.flip(0), bank, np.random.default_rng(seed))


def test_lesions_of_bone_stay_bone_and_cysts_outside_the_joint_stay_background(bank):
    bone, fat = CODE[Class.FEMUR, Fabric.MARROW], CODE[Class.BACKGROUND, Fabric.FAT]
    codes = np.repeat(np.array([bone, fat], np.uint8), 20_000)
    changed = np.zeros(2, bool)
    for seed in range(40):
        place = scene(codes, seed, bank)
        add_lesions(place, 20.0)
        after = place.code.numpy()
        assert (CLASS_BY_CODE[after[:20_000]] == Class.FEMUR).all()
        assert (CLASS_BY_CODE[after[20_000:]] == Class.BACKGROUND).all()
        changed |= [(after[:20_000] != bone).any(), (after[20_000:] != fat).any()]
    assert changed.all()


def test_signal_and_tears_stay_meniscus_and_only_maceration_removes_some(bank):
    own = CODE[Class.MENISCUS, Fabric.MENISCUS]
    codes = np.full(20_000, own, np.uint8)
    kept, signal = [], 0
    for seed in range(60):
        place = scene(codes, seed, bank)
        add_lesions(place, 20.0)
        after = place.code.numpy()
        kept.append((CLASS_BY_CODE[after] == Class.MENISCUS).mean())
        signal += (after == CODE[Class.MENISCUS, Fabric.MENISCAL_SIGNAL]).any()
    assert 15 < signal < 55
    assert 0.75 < np.mean(np.array(kept) == 1) < 1
