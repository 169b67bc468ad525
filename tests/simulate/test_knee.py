"""Simulated knees: what was asked for is what is there, and left is right in a mirror."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from kneeline import grading
from kneeline.labels import BONES, Label
from kneeline.simulate.knee import Lesion, build_knee, sample_parameters
from kneeline.simulate.tissues import Tissue
from kneeline.volume import medial_sign

SPACING = 1.2


@pytest.fixture(scope="module")
def parameters():
    return sample_parameters(np.random.default_rng(4), "R", sex="M")


@pytest.fixture(scope="module")
def knee(parameters):
    return build_knee(parameters, [Lesion("medial", "posterior_horn", 3)], fluid_ml=12.0, spacing_mm=SPACING)


def centre_mm(knee, label):
    return knee.labels.geometry.to_world(np.argwhere(knee.labels.array == label).mean(0))


def volume_ml(knee, label):
    return (knee.labels.array == label).sum() * knee.labels.voxel_mm3 / 1000


@pytest.mark.parametrize("fluid_ml", [0.5, 60.0])
def test_fluid_has_the_volume_asked_for_to_a_voxel(parameters, fluid_ml):
    knee = build_knee(parameters, fluid_ml=fluid_ml, spacing_mm=1.6)
    assert volume_ml(knee, Label.JOINT_FLUID) == pytest.approx(fluid_ml, abs=1.6**3 / 2000 + 1e-6)
    assert knee.truth.fluid_ml == pytest.approx(volume_ml(knee, Label.JOINT_FLUID))
    assert 0 <= knee.truth.suprapatellar_ml < knee.truth.fluid_ml
    recesses = [knee.truth.effusion()[f"{name}_ml"] for name in grading.RECESSES]
    assert sum(recesses) == pytest.approx(knee.truth.fluid_ml)
    assert (knee.truth.midline_depth_mm > 10) == (knee.truth.lateral_depth_mm > 10) == (fluid_ml > 10)


def test_more_than_the_joint_holds_is_refused(parameters):
    with pytest.raises(ValueError, match="holds at most"):
        build_knee(parameters, fluid_ml=600, spacing_mm=2.4)


def test_truth_counts_what_the_volumes_hold(knee):
    array = knee.labels.array
    assert knee.truth.medial_meniscus_mm3 == pytest.approx((array == Label.MEDIAL_MENISCUS).sum() * SPACING**3)
    assert knee.truth.lateral_meniscus_mm3 == pytest.approx((array == Label.LATERAL_MENISCUS).sum() * SPACING**3)
    signal = knee.tissue.array == Tissue.MENISCAL_SIGNAL
    assert knee.truth.lesions[0].volume_mm3 == pytest.approx(signal.sum() * SPACING**3)
    assert set(array[signal]) == {Label.MEDIAL_MENISCUS}


def test_sizes_are_those_of_people(knee):
    # Label maps of four real knees: femoral cartilage 12-15 mL, tibial 1.9-4, patellar 1.2-3.9, menisci 1.9-2.4.
    for label, low, high in (
        (Label.MEDIAL_MENISCUS, 1.4, 3.6),
        (Label.LATERAL_MENISCUS, 1.4, 3.6),
        (Label.FEMORAL_CARTILAGE, 8, 22),
        (Label.MEDIAL_TIBIAL_CARTILAGE, 1.0, 4),
        (Label.LATERAL_TIBIAL_CARTILAGE, 1.0, 4.5),
        (Label.PATELLAR_CARTILAGE, 1.0, 5),
        (Label.PATELLA, 10, 30),
    ):
        assert low < volume_ml(knee, label) < high, label.label_name


def test_everything_lies_where_it_should(knee):
    inward = medial_sign("R")
    at = {label: centre_mm(knee, label) for label in Label if label}
    assert (at[Label.MEDIAL_MENISCUS] - at[Label.LATERAL_MENISCUS])[0] * inward > 20
    assert at[Label.FIBULA][0] * inward < -20
    assert at[Label.FIBULA][1] < at[Label.TIBIA][1]
    assert at[Label.PATELLA][1] > at[Label.FEMUR][1] + 20
    for meniscus in (Label.MEDIAL_MENISCUS, Label.LATERAL_MENISCUS):
        assert at[Label.TIBIA][2] < at[meniscus][2] < at[Label.FEMUR][2]
    assert at[Label.JOINT_FLUID][2] > at[Label.FEMORAL_CARTILAGE][2]


def test_each_bone_and_meniscus_is_one_piece(knee):
    for label in (*BONES, Label.MEDIAL_MENISCUS, Label.LATERAL_MENISCUS):
        pieces, n = ndimage.label(knee.labels.array == label, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() > 0.985 * sizes.sum(), (label.label_name, n)


def test_an_extruded_meniscus_does_not_hang_down_beside_the_tibia(parameters):
    """It overhangs the plateau at the plateau's level, no taller than at its periphery (plus the slope it lies on)."""
    out = replace(parameters, medial_extrusion_mm=4.0)
    meniscus = build_knee(out, fluid_ml=3, spacing_mm=0.8).labels.array == Label.MEDIAL_MENISCUS
    assert meniscus.any((1, 2)).sum() * 0.8 > 15
    assert meniscus.sum(2).max() * 0.8 < 1.6 * out.meniscus_height_mm


def test_a_full_recess_is_round(parameters):
    """Beside the condyles a cut through it fills no more of its frame than an ellipse (0.79)."""
    array = build_knee(parameters, fluid_ml=55, spacing_mm=SPACING).labels.array
    beside = (array == Label.JOINT_FLUID) & ~(array == Label.FEMUR).any((1, 2))[:, None, None]
    cuts = [cut[cut.any(1)][:, cut.any(0)] for cut in beside if cut.sum() > 60]
    assert cuts
    assert max(cut.mean() for cut in cuts) < 0.8


def test_cartilage_keeps_the_bones_apart(knee):
    femur = ndimage.binary_dilation(knee.labels.array == Label.FEMUR)
    for other in (Label.TIBIA, Label.PATELLA):
        assert not (femur & (knee.labels.array == other)).any()


def test_a_left_knee_is_the_mirrored_right_knee(parameters, knee):
    left = build_knee(
        replace(parameters, laterality="L"), [Lesion("medial", "posterior_horn", 3)], fluid_ml=12.0, spacing_mm=SPACING
    )
    assert left.labels.orientation == knee.labels.orientation == "RAS"
    assert np.array_equal(left.labels.array[::-1], knee.labels.array)
    assert np.array_equal(left.tissue.array[::-1], knee.tissue.array)
    assert left.truth == knee.truth
    assert centre_mm(left, Label.MEDIAL_MENISCUS)[0] * medial_sign("L") > 10
    np.testing.assert_allclose(centre_mm(left, Label.FIBULA), centre_mm(knee, Label.FIBULA) * [-1, 1, 1], atol=1e-6)


def test_the_same_parameters_give_the_same_bytes(parameters, knee):
    again = build_knee(parameters, [Lesion("medial", "posterior_horn", 3)], fluid_ml=12.0, spacing_mm=SPACING)
    assert again.labels.array.tobytes() == knee.labels.array.tobytes()
    assert again.tissue.array.tobytes() == knee.tissue.array.tobytes()


def test_thinning_takes_medial_cartilage_only(parameters, knee):
    thin = build_knee(replace(parameters, medial_thinning=0.5), fluid_ml=3, spacing_mm=SPACING)
    assert volume_ml(thin, Label.MEDIAL_TIBIAL_CARTILAGE) < 0.7 * volume_ml(knee, Label.MEDIAL_TIBIAL_CARTILAGE)
    assert volume_ml(thin, Label.LATERAL_TIBIAL_CARTILAGE) > 0.8 * volume_ml(knee, Label.LATERAL_TIBIAL_CARTILAGE)


def test_sampled_parameters_stay_in_range_and_follow_the_seed():
    knees = [sample_parameters(np.random.default_rng(i)) for i in range(200)]
    widths = np.array([k.epicondylar_width_mm for k in knees])
    assert 71 <= widths.min() < 76
    assert 86 < widths.max() <= 93
    assert {k.laterality for k in knees} == {"L", "R"}
    assert all(0 <= k.flexion_deg <= 20 for k in knees)
    assert sample_parameters(np.random.default_rng(7)) == knees[7]
    with pytest.raises(TypeError, match="no parameter toe_mm"):
        sample_parameters(np.random.default_rng(0), toe_mm=3)


@pytest.mark.parametrize("arguments", [("medial", "root", 2), ("central", "body", 2), ("medial", "body", 0)])
def test_an_impossible_lesion_is_refused(arguments):
    with pytest.raises(ValueError, match="no such lesion"):
        Lesion(*arguments)


def test_every_lesion_has_the_grade_it_was_asked_for():
    # Measured from the volumes alone, by the definition in grading: size, longest extent, distance to the surface.
    built = build_knee(
        sample_parameters(np.random.default_rng(5), "R"),
        [
            Lesion("medial", "anterior_horn", 1),
            Lesion("medial", "body", 2),
            Lesion("medial", "posterior_horn", 3),
            Lesion("lateral", "anterior_horn", 2),
            Lesion("lateral", "body", 3),
            Lesion("lateral", "posterior_horn", 1),
        ],
        spacing_mm=0.7,
    )
    assert built.truth.signal_grade == 3
    signal = built.tissue.array == Tissue.MENISCAL_SIGNAL
    for name in grading.MENISCI:
        meniscus = built.labels.array == Label[f"{name.upper()}_MENISCUS"]
        pieces, n = ndimage.label(signal & meniscus, np.ones((3, 3, 3)))
        assert n == 3
        wanted = sorted(built.truth.grade(name, region) for region in grading.REGIONS)
        assert sorted(_grade(pieces == i + 1, meniscus, 0.7) for i in range(n)) == wanted


def _grade(lesion, meniscus, spacing_mm):
    """Grade of a component straight from voxels: an oracle that knows nothing of how lesions are made."""
    points = np.argwhere(lesion) * spacing_mm
    extent = max(np.linalg.norm(points - p, axis=1).max() for p in points) + spacing_mm
    # A voxel touches the superior or inferior surface where the next voxel up or down is not meniscus.
    open_ = lesion & ~(np.roll(meniscus, 1, 2) & np.roll(meniscus, -1, 2))
    columns = np.unique(np.argwhere(open_)[:, 0])
    slices = int(columns.size * spacing_mm // 3.0) if columns.size else 0
    return grading.grade_signal(len(points) * spacing_mm**3, extent, slices)
