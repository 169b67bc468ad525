"""Oracles: R irr, vcd (kappa and its standard error), irrCAC (AC1, AC2)."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from kneeline.cohort.agreement import ALL_READERS, compare_raters
from kneeline.cohort.readings import item_of, machine_grades, possible_grades
from kneeline.statistics.agreement import gwet, kappa
from kneeline.statistics.icc import icc_agreement, icc_consistency, icc_oneway
from kneeline.statistics.resampled import Resampling

ABSTRACTORS = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]
FLEISS = [[44, 5, 1], [7, 20, 3], [9, 5, 6]]
VISION = [[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]]
SEXUAL_FUN = [[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]]
DIAGNOSIS = [[40, 6, 4, 15], [4, 25, 1, 5], [4, 2, 21, 9], [17, 13, 12, 45]]


@pytest.mark.parametrize(
    ("table", "kappas", "coefficients"),
    [
        (ABSTRACTORS, (0.796409, 0.842902, 0.892157), (0.849331, 0.900023, 0.940237)),
        (FLEISS, (0.491525, 0.473684, 0.454545), (0.575972, 0.609756, 0.638554)),
        (VISION, (0.595389, 0.652380, 0.702334), (0.616044, 0.717283, 0.795916)),
        (SEXUAL_FUN, (0.129330, 0.237381, 0.332046), (0.158191, 0.273003, 0.378020)),
        (DIAGNOSIS, (0.431501, None, 0.383186), (0.456158, None, 0.298573)),
    ],
)
def test_two_rater_tables(table, kappas, coefficients):
    for kind, k, ac in zip(("unweighted", "linear", "quadratic"), kappas, coefficients, strict=True):
        if k is not None:
            assert kappa(table, kind).estimate == pytest.approx(k, rel=1e-5)
            assert gwet(table, kind).estimate == pytest.approx(ac, rel=1e-5)


@pytest.mark.parametrize(
    ("table", "kind", "se"),
    [
        (ABSTRACTORS, "unweighted", 0.0589),
        (ABSTRACTORS, "quadratic", 0.035352),
        (SEXUAL_FUN, "unweighted", 0.068599),
        (SEXUAL_FUN, "linear", 0.078316),
        (SEXUAL_FUN, "quadratic", 0.097298),
        (DIAGNOSIS, "unweighted", 0.0460),
        (DIAGNOSIS, "quadratic", 0.0658),
    ],
)
def test_standard_error_of_kappa(table, kind, se):
    assert kappa(table, kind).se == pytest.approx(se, rel=1e-3)


@pytest.mark.parametrize(("kind", "se"), [("unweighted", 0.0432), ("linear", 0.0293), ("quadratic", 0.0179)])
def test_standard_error_of_gwet(kind, se):
    assert gwet(ABSTRACTORS, kind).se == pytest.approx(se, abs=5e-5)


@pytest.mark.parametrize(
    ("table", "k", "ac1"),
    [
        ([[40, 9], [6, 45]], 0.699519, 0.700748),
        ([[80, 10], [5, 5]], 0.318182, 0.808000),
        ([[118, 5], [2, 0]], -0.023392, 0.940776),
    ],
)
def test_prevalence_paradox(table, k, ac1):
    assert kappa(table).estimate == pytest.approx(k, rel=1e-4)
    assert gwet(table).estimate == pytest.approx(ac1, rel=1e-5)


@pytest.mark.parametrize(("kind", "wt"), [("linear", "linear"), ("quadratic", "quadratic")])
def test_statsmodels_agrees(kind, wt):
    other = cohens_kappa(np.array(SEXUAL_FUN), wt=wt)
    found = kappa(SEXUAL_FUN, kind)
    assert (found.estimate, found.se) == pytest.approx((other.kappa, other.std_kappa), rel=1e-6)


def test_identical_ratings_agree_fully():
    table = np.diag([5, 7, 2, 1])
    for statistic in (kappa, gwet):
        for kind in ("unweighted", "linear", "quadratic"):
            assert statistic(table, kind).estimate == pytest.approx(1)
            assert statistic(table, kind).se == pytest.approx(0, abs=1e-7)


def test_swapping_the_raters_changes_nothing():
    for statistic in (kappa, gwet):
        there, back = statistic(VISION, "quadratic"), statistic(np.transpose(VISION), "quadratic")
        assert (there.estimate, there.se) == pytest.approx((back.estimate, back.se))


def test_one_grade_only_leaves_kappa_undefined():
    assert kappa([[9, 0], [0, 0]]) is None
    assert gwet([[9, 0], [0, 0]]).estimate == 1


def _knee(number, side, grade):
    return {
        "participant_id": f"sub-{number}",
        "session_id": "ses-01",
        "laterality": side,
        "effusion_grade": grade,
        **{
            f"{m}_{r}_signal_grade": 0
            for m in ("medial", "lateral")
            for r in ("anterior_horn", "body", "posterior_horn")
        },
    }


def _reading(knee, grade, rater="anna", reading=1, structure="effusion", region=None):
    keys = {k: knee[k] for k in ("participant_id", "session_id", "laterality")}
    return {**keys, "rater_id": rater, "reading": reading, "structure": structure, "region": region, "grade": grade}


def test_without_readings_the_table_says_so():
    agreement, confusion = compare_raters([_knee(1, "L", 0)], None)
    assert confusion == []
    assert {row["statistic"] for row in agreement} == {"weighted_kappa_quadratic", "gwet_ac2_quadratic"}
    assert all("no readings were given" in row["note"] and "estimate" not in row for row in agreement)


def test_machine_against_reader_counts_each_pair():
    knees = [_knee(i, "L", grade) for i, grade in enumerate([0, 0, 1, 1, 2, 2, 3, 0])]
    readings = [_reading(knee, grade) for knee, grade in zip(knees, [0, 1, 1, 1, 2, 3, 3, None], strict=True)]
    agreement, confusion = compare_raters(knees, readings)
    cells = {(row["grade_a"], row["grade_b"]): row["n"] for row in confusion}
    assert sum(cells.values()) == 7
    assert (cells[0, 1], cells[2, 3], cells[3, 2]) == (1, 1, 0)
    row = next(row for row in agreement if row["statistic"] == "weighted_kappa_quadratic")
    assert row["comparison"] == "machine with anna reading 1"
    assert row["estimate"] == pytest.approx(
        kappa([[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], "quadratic").estimate
    )
    assert row["n"] == 7


def test_two_knees_a_runner_are_resampled_by_runner():
    knees = [_knee(i, side, i % 3) for i in range(12) for side in "LR"]
    rng = np.random.default_rng(3)
    readings = [_reading(knee, int(rng.integers(0, 3))) for knee in knees]
    first, again = compare_raters(knees, readings), compare_raters(knees, readings)
    assert first == again
    row = first[0][0]
    assert "12 runners" in row["method"]
    assert (row["n"], row["n_participants"]) == (24, 12)
    assert row["ci_low"] < row["estimate"] < row["ci_high"]


def test_readers_are_compared_with_each_other_and_with_themselves():
    knees = [_knee(i, "L", 1) for i in range(3)]
    readings = [
        _reading(knee, 1, rater, reading) for knee in knees for rater, reading in (("anna", 1), ("anna", 2), ("ben", 1))
    ]
    agreement, _ = compare_raters(knees, readings)
    assert {row["comparison"] for row in agreement} >= {
        "machine with anna reading 1",
        "anna reading 1 with anna reading 2",
        "anna reading 1 with ben reading 1",
    }


def test_meniscus_as_a_whole_is_its_highest_region():
    knee = _knee(1, "R", None) | {"medial_body_signal_grade": 2, "lateral_body_signal_grade": None}
    grades = {item: grade for (_, item), grade in machine_grades([knee]).items()}
    assert grades["medial_meniscus", None] == 2
    assert ("lateral_meniscus", None) not in grades
    assert ("menisci", None) not in grades
    assert ("effusion", None) not in grades


def _find(rows, statistic, **where):
    found = [r for r in rows if r["statistic"] == statistic and all(r[k] == v for k, v in where.items())]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def read_twice():
    """24 knees of 12 runners, machine against three readers, the first of whom reads twice."""
    rng = np.random.default_rng(5)
    knees = [_knee(i, side, int(rng.integers(0, 4))) for i in range(12) for side in "LR"]

    def near(grade):
        return int(np.clip(grade + rng.choice([-1, 0, 0, 0, 1]), 0, 3))

    readings = [
        _reading(knee, near(knee["effusion_grade"]), rater, reading)
        for knee in knees
        for rater, reading in (("anna", 1), ("anna", 2), ("ben", 1), ("cleo", 1))
    ]
    readings[3]["grade"] = None
    return knees, readings, *compare_raters(knees, readings)


def test_who_is_compared_with_whom(read_twice):
    _, _, agreement, _ = read_twice
    assert list(dict.fromkeys(row["comparison"] for row in agreement)) == [
        "machine with anna reading 1",
        "machine with ben reading 1",
        "machine with cleo reading 1",
        "anna reading 1 with ben reading 1",
        "anna reading 1 with cleo reading 1",
        "ben reading 1 with cleo reading 1",
        ALL_READERS,
        "anna reading 1 with anna reading 2",
    ]


def test_every_coefficient_has_an_interval_and_says_how(read_twice):
    _, _, agreement, _ = read_twice
    assert len({(r["comparison"], r["structure"], r["statistic"]) for r in agreement}) == len(agreement)
    for row in agreement:
        assert row["n_participants"] == 12
        assert row["method"]
        if row["statistic"] not in ("marginal_homogeneity_chi2", "kendall_w"):
            assert row["ci_low"] <= row["estimate"] <= row["ci_high"], row


def test_grades_as_numbers_give_the_intraclass_correlations_of_their_own_file(read_twice):
    knees, readings, agreement, _ = read_twice
    ben = [row["grade"] for row in readings if row["rater_id"] == "ben"]
    values = np.column_stack([[knee["effusion_grade"] for knee in knees], ben])
    for name, icc in (("icc_a1", icc_agreement), ("icc_c1", icc_consistency), ("icc_11", icc_oneway)):
        row = _find(agreement, name, comparison="machine with ben reading 1")
        assert row["estimate"] == pytest.approx(icc(values).estimate)


def test_a_missing_reading_is_left_out_of_what_needs_all(read_twice):
    _, _, agreement, _ = read_twice
    assert _find(agreement, "krippendorff_alpha_ordinal", comparison=ALL_READERS)["n"] == 24
    assert "1 readings missing" in _find(agreement, "fleiss_kappa", comparison=ALL_READERS)["method"]
    assert _find(agreement, "icc_a1", comparison=ALL_READERS)["n"] == 23
    assert _find(agreement, "conger_kappa", comparison=ALL_READERS)["n"] == 23


def test_neither_names_nor_order_of_the_runners_change_a_figure(read_twice):
    knees, readings, agreement, confusion = read_twice
    rename = {f"sub-{i}": f"sub-{(i * 7 + 3) % 12}" for i in range(12)}
    other = [row | {"participant_id": rename[row["participant_id"]]} for row in readings[::-1]]
    again = compare_raters([k | {"participant_id": rename[k["participant_id"]]} for k in knees[::-1]], other)
    assert again[1] == confusion
    for one, two in zip(agreement, again[0], strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)


def test_without_resamples_there_are_estimates_without_intervals(read_twice):
    knees, readings, agreement, _ = read_twice
    bare = compare_raters(knees, readings, resampling=Resampling(0))[0]
    row = _find(bare, "gwet_ac1", comparison="machine with ben reading 1")
    assert row["estimate"] == _find(agreement, "gwet_ac1", comparison="machine with ben reading 1")["estimate"]
    assert row["note"] == "no interval: n_bootstrap is 0"


def test_fewer_than_five_runners_are_refused_by_name():
    knees = [_knee(i, side, i % 3) for i in range(4) for side in "LR"]
    agreement, confusion = compare_raters(knees, [_reading(knee, knee["effusion_grade"]) for knee in knees])
    row = _find(agreement, "weighted_kappa_quadratic")
    assert "estimate" not in row
    assert row["note"] == "refused: 4 runners, fewer than 5"
    assert _find(agreement, "exact_agreement")["estimate"] == 1
    assert sum(cell["n"] for cell in confusion) == 8


def test_agreement_that_no_resample_breaks_has_no_interval():
    knees = [_knee(i, "L", i % 3) for i in range(20)]
    agreement, _ = compare_raters(knees, [_reading(knee, knee["effusion_grade"]) for knee in knees])
    row = _find(agreement, "weighted_kappa_quadratic")
    assert row["estimate"] == pytest.approx(1)
    assert (row["ci_low"], row["ci_high"]) == (None, None)
    assert "every resample gives the same" in row["note"]
    share = _find(agreement, "exact_agreement")
    assert (share["ci_low"], share["ci_high"]) == pytest.approx((1 / (1 + 1.959964**2 / 20), 1))


def test_volumes_are_compared_with_bias_limits_and_ratios():
    rng = np.random.default_rng(8)
    truth = rng.uniform(2, 40, 30)
    machine = [_knee(i, "L", 0) | {"fluid_ml": v, "pouch_in_view": True} for i, v in enumerate(truth * 1.1)]
    machine.append(_knee(99, "L", 0) | {"fluid_ml": 3.0, "pouch_in_view": False})
    reader = [_reading(k, None, structure="fluid_ml") | {"value": v} for k, v in zip(machine, [*truth, 9], strict=True)]
    rows, confusion = compare_raters(machine, reader)
    rows = [row for row in rows if row["structure"] == "fluid_ml"]
    assert confusion == []
    assert {row["n"] for row in rows} == {30}  # the volume of a cut-off pouch is no measurement of the knee's
    assert _find(rows, "bias")["estimate"] == pytest.approx(0.1 * truth.mean())
    assert _find(rows, "ratio_bias")["estimate"] == pytest.approx(1.1)
    assert _find(rows, "ratio_upper_limit")["estimate"] == pytest.approx(1.1, rel=1e-6)
    assert _find(rows, "difference_on_mean_slope")["estimate"] == pytest.approx(0.1 / 1.05)
    assert _find(rows, "icc_c1")["estimate"] > _find(rows, "icc_a1")["estimate"]
    assert "exact intervals" in _find(rows, "upper_limit")["method"]


def test_two_knees_a_runner_have_their_limits_resampled():
    rng = np.random.default_rng(8)
    knees = [_knee(i, s, 0) | {"lateral_depth_mm": rng.uniform(2, 9)} for i in range(10) for s in "LR"]
    reader = [
        _reading(k, None, structure="lateral_depth_mm") | {"value": k["lateral_depth_mm"] + rng.normal()} for k in knees
    ]
    rows = compare_raters(knees, reader)[0]
    upper = _find(rows, "upper_limit", structure="lateral_depth_mm")
    assert "10 runners" in upper["method"]
    assert upper["ci_low"] < upper["estimate"] < upper["ci_high"]
    assert not [row for row in rows if row["statistic"].startswith("ratio")]


def test_every_scored_structure_has_its_machine_grade():
    knee = _knee(1, "L", 1) | {"effusion_grade_volume": 2}
    key = {name: knee[name] for name in ("participant_id", "session_id", "laterality")}
    plates = ("femoral_cartilage", "medial_tibial_cartilage", "lateral_tibial_cartilage", "patellar_cartilage")
    cartilage = [{**key, "plate": plate, "cartilage_grade": g} for g, plate in enumerate(plates)]
    marrow = [{**key, "bone": bone, "marrow_grade": g} for bone, g in (("femur", 2), ("tibia", None), ("patella", 0))]
    stranger = {**cartilage[0], "laterality": "R"}
    grades = machine_grades([knee], [*cartilage, stranger], marrow)
    assert {k for k, _ in grades} == {("sub-1", "ses-01", "L")}
    found = {item: grade for (_, item), grade in grades.items()}
    assert found["cartilage", None] == 6
    assert found["lateral_tibial_cartilage", None] == 2
    assert found["marrow", "femur"] == 2
    assert ("marrow", None) not in found  # a bone without a grade
    assert found["effusion", "by the volume rule"] == 2
    readings = [
        _reading(knee, 3, structure=structure, region=region)
        for structure, region in (("cartilage", "femoral_cartilage"), ("femur", None), ("effusion", "effusion"))
    ]
    rows = compare_raters([knee], readings, cartilage, marrow)[0]
    assert {row["structure"] for row in rows} == {
        "femoral_cartilage", "marrow femur", "effusion", "effusion by the volume rule",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "item"),
    [
        (("cartilage", "femoral_cartilage"), ("femoral_cartilage", None)),
        (("femoral_cartilage", None), ("femoral_cartilage", None)),
        (("cartilage", None), ("cartilage", None)),
        (("marrow", "tibia"), ("marrow", "tibia")),
        (("tibia", None), ("marrow", "tibia")),
        (("ligaments", "acl"), ("acl", None)),
        (("acl", None), ("acl", None)),
        (("menisci", "medial_meniscus"), ("medial_meniscus", None)),
        (("medial_meniscus", "body"), ("medial_meniscus", "body")),
        (("effusion", None), ("effusion", None)),
        (("hoffa", "upper"), ("hoffa", "upper")),
    ],
)
def test_one_name_for_each_thing(given, item):
    assert item_of(*given) == item


def test_a_scale_has_all_its_grades_although_nobody_used_them():
    assert possible_grades(("effusion", None), [0, 1]) == 4
    assert possible_grades(("femoral_cartilage", None), [0]) == 5
    assert possible_grades(("marrow", "femur"), [0]) == 3
    assert possible_grades(("medial_meniscus", "body"), [0, 4]) == 5
    assert possible_grades(("hoffa", None), [0, 2]) == 3


def test_the_stage_compares_grades_of_every_table_and_values(fabricate, analyse):
    runners = [fabricate.runner(i) for i in range(1, 9)]
    knees = [fabricate.knee(i, "L", i % 3, i % 2, 3.0 + i) | {"cartilage_grade": 2 * (i % 2)} for i in range(1, 9)]
    common = {"rater_id": "anna", "reading": 1, "session_id": "ses-01", "laterality": "L"}
    readings = [
        common | {"participant_id": f"sub-{i:03d}", "structure": structure, "region": region} | given
        for i in range(1, 9)
        for structure, region, given in (
            ("cartilage", "femoral_cartilage", {"grade": i % 2}),
            ("medial_meniscus", "posterior_horn", {"grade": i % 3}),
            ("fluid_ml", None, {"value": 3.5 + i}),
        )
    ]
    config = {"outcomes": ["signal_grade"], "adjustment": {"main": []}, "n_bootstrap": 200, "n_imputations": 0}
    found = analyse(runners, knees, config=config, readings=readings).agreement
    assert _find(found, "exact_agreement", structure="medial_meniscus posterior_horn")["estimate"] == 1
    assert _find(found, "within_one_grade", structure="femoral_cartilage")["estimate"] == 1
    assert _find(found, "exact_agreement", structure="femoral_cartilage")["estimate"] == 0.5
    bias = _find(found, "bias", structure="fluid_ml")
    assert (bias["estimate"], bias["n"], bias["n_participants"]) == (pytest.approx(-0.5), 8, 8)
    assert "from 200 resamples of 8 runners, seed 2006" in _find(found, "icc_a1", structure="fluid_ml")["method"]


def test_three_readers_who_never_read_the_same_knee():
    """Each two share knees, all three none: what needs all is refused, what may miss readings is given."""
    knees = [_knee(i, side, i % 4) for i in range(12) for side in "LR"]
    pairs = (("anna", "ben"), ("ben", "cleo"), ("cleo", "anna"))
    readings = [_reading(knee, knee["effusion_grade"], who) for i, knee in enumerate(knees) for who in pairs[i % 3]]
    agreement, _ = compare_raters(knees, readings)
    everybody = {row["statistic"]: row for row in agreement if row["comparison"] == ALL_READERS}
    assert (everybody["krippendorff_alpha_ordinal"]["estimate"], everybody["krippendorff_alpha_ordinal"]["n"]) == (
        1,
        24,
    )
    for name in ("conger_kappa", "icc_a1"):
        assert (everybody[name]["n"], everybody[name].get("estimate")) == (0, None)
        assert everybody[name]["note"] == "refused: 0 runners, fewer than 5"
    assert "kendall_w" not in everybody


def test_kendalls_w_counts_the_runners_whom_all_have_read():
    rng = np.random.default_rng(3)
    knees = [_knee(i, "L", int(rng.integers(0, 4))) for i in range(20)]
    readings = [_reading(knee, int(rng.integers(0, 4)), who) for knee in knees for who in ("anna", "ben")]
    readings += [_reading(knee, int(rng.integers(0, 4)), "cleo") for knee in knees[:8]]
    agreement, _ = compare_raters(knees, readings)
    row = _find(agreement, "kendall_w", comparison=ALL_READERS)
    assert (row["n"], row["n_participants"]) == (8, 8)
