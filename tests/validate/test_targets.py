import pytest

from kneeline.validate.targets import targets


def by_name(cases):
    return {target.name: target for target in targets(cases)}


def test_a_target_is_the_mean_of_the_contrasts_means(make_case):
    """(0.99 + 0.93) / 2 and 0.92: over contrasts 0.94; over knees it would be 0.9467."""
    cases = [
        make_case(9000, "PDFS", dice=0.99),
        make_case(9001, "PDFS", dice=0.93),
        make_case(9002, "T1", dice=0.92),
        make_case(9003, "T1", 4.0, dice=0.1),
    ]
    found = by_name(cases)
    femur = found["femur, Dice"]
    assert femur.measured == pytest.approx(0.94)
    assert (femur.met, femur.n_knees, femur.detail) == (False, 3, "T1 0.920")
    assert found["medial meniscus, Dice"].met


def test_small_effusions_are_not_asked_for(make_case):
    cases = [make_case(9000 + i, fluid=(ml, ml), joint_fluid=d) for i, (ml, d) in enumerate([(4, 0.2), (6, 0.88)])]
    target = by_name(cases)["joint fluid, Dice, effusions above 5 mL"]
    assert (target.measured, target.n_knees, target.met) == (0.88, 1, True)


def test_the_volume_of_fluid_must_agree_in_value(make_case):
    """Volumes of 6, 10, 20 and 40 mL come out right, or all 12 mL too large: correlated, not in agreement."""
    for more, met in ((0.0, True), (12.0, False)):
        cases = [make_case(9000 + i, fluid=(ml, ml + more)) for i, ml in enumerate((6.0, 10.0, 20.0, 40.0))]
        target = by_name(cases)["joint fluid, volume ICC, effusions above 5 mL"]
        assert (target.met, target.n_knees) == (met, 4)


def test_the_icc_is_that_of_an_analysis_of_variance_by_hand(make_case):
    """Pairs (6, 8), (10, 10), (20, 24), (40, 36); McGraw and Wong's ICC(A,1) from sums of squares."""
    pairs = [(6.0, 8.0), (10.0, 10.0), (20.0, 24.0), (40.0, 36.0)]
    cases = [make_case(9000 + i, fluid=pair) for i, pair in enumerate(pairs)]
    means, grand, columns = [7, 10, 22, 38], 19.25, (19.0, 19.5)
    rows = 2 * sum((m - grand) ** 2 for m in means) / 3
    raters = 4 * sum((c - grand) ** 2 for c in columns)
    total = sum((v - grand) ** 2 for pair in pairs for v in pair)
    error = (total - 3 * rows - raters) / 3
    expected = (rows - error) / (rows + error + 2 * (raters - error) / 4)
    target = by_name(cases)["joint fluid, volume ICC, effusions above 5 mL"]
    assert target.measured == pytest.approx(expected)


def test_a_lost_structure_and_a_refusal_both_count_against_a_knee(make_case):
    cases = [make_case(), make_case(9001, medial_meniscus=0.0), make_case(9002, refused="not_a_knee"), make_case(9003)]
    target = by_name(cases)["no structure lost, share of knees"]
    assert (target.measured, target.met, target.n_knees) == (0.5, False, 4)
    assert target.detail == "95 % interval 0.068 to 0.932"  # Clopper-Pearson, 2 of 4


def graded(scores, true, found):
    """Six regions, all of one grade by truth and by the network."""
    return {"true": scores((true,) * 6), "by_network": scores((found,) * 6)}


def test_scores_are_held_to_their_targets_in_main_knees_only(make_case, scores):
    """Six knees that are graded as they are; others are graded 0 when they are 3."""
    cases = [make_case(9000 + i, **graded(scores, i % 4, i % 4)) for i in range(6)]
    cases += [make_case(9006 + i, "PD", **graded(scores, 3, 0)) for i in range(6)]
    cases += [make_case(9012 + i, "PDFS", 4.0, **graded(scores, 3, 0)) for i in range(6)]
    target = by_name(cases)["signal grade, kappa, network"]
    assert (target.measured, target.met, target.n_knees) == (1, True, 6)
    assert target.detail == "95 % interval 1.000 to 1.000"


def test_what_the_network_gets_wrong_is_not_blamed_on_true_labels(make_case, scores):
    cases = [make_case(9000 + i, **graded(scores, i % 4, 3 - i % 4)) for i in range(8)]
    found = by_name(cases)
    assert found["signal grade, kappa, network"].measured == pytest.approx(-1)
    assert found["signal grade, kappa, true labels"].measured == pytest.approx(1)


def test_a_refused_knee_is_not_graded_and_that_is_told(make_case, scores):
    cases = [make_case(9000 + i, **graded(scores, i % 4, i % 4)) for i in range(6)]
    cases.append(make_case(9006, refused="not_a_knee"))
    found = by_name(cases)
    assert found["signal grade, kappa, network"].detail.endswith("; 6 not graded")
    assert found["effusion grade, volume rule, kappa, network"].detail.endswith("; 1 not graded")


def test_depth_must_be_right_to_a_millimetre(make_case, scores):
    """Errors of -1.5, +0.5 and +0.4 mm: 0.8 on average, whatever their signs."""
    true = (8.0, 6.0, 4.0)
    found = (6.5, 6.5, 4.4)
    cases = [
        make_case(9000 + i, true=scores(midline_depth_mm=t), by_network=scores(midline_depth_mm=f))
        for i, (t, f) in enumerate(zip(true, found, strict=True))
    ]
    target = by_name(cases)["midline depth, mean absolute error (mm), network"]
    assert target.measured == pytest.approx(0.8)
    assert (target.met, target.at_most, target.n_knees) == (True, True, 3)
    worse = [make_case(true=scores(midline_depth_mm=8.0), by_network=scores(midline_depth_mm=9.01))]
    assert not by_name(worse)["midline depth, mean absolute error (mm), network"].met


def test_a_target_that_was_not_tried_is_not_met():
    assert not any(target.met for target in targets([]))
    assert all(target.measured is None for target in targets([]))
