import pytest

from kneeline import tables
from kneeline.validate.compare import (
    QUANTITIES,
    SIGNAL_RATIO,
    by_network,
    effusion_agreement,
    lesion_agreement,
    lesions,
    on_true_labels,
    quantity,
    signal_agreement,
    value_agreement,
    value_pairs,
)

BODY = ("medial", "body")


@pytest.fixture
def cases(make_case, scores):
    """A knee read rightly on true labels and wrongly by the network, and one that was refused."""
    true = scores((0, 3, 0, 0, 1, 0), fluid=20.0, regions={BODY: {"signal_extent_mm": 12.0}})
    wrong = scores((0, 1, 0, 0, 0, None), fluid=17.0, regions={BODY: {"signal_extent_mm": 9.0}})
    return [
        make_case(9000, true=true, by_truth=true, by_network=wrong),
        make_case(9001, refused="not_a_knee", true=scores((2, 0, 0, 0, 0, 0), fluid=4.0)),
    ]


def test_each_source_has_its_own_grades_and_a_refused_knee_has_none(cases):
    perfect, network = (signal_agreement(cases, source) for source in (on_true_labels, by_network))
    assert (perfect.n, perfect.exact, perfect.n_missing) == (12, 1.0, 0)
    assert (network.n, network.n_missing) == (5, 7)
    assert network.confusion.tolist() == [[3, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_a_region_by_itself(cases):
    assert signal_agreement(cases, on_true_labels, BODY).confusion.trace() == 2
    assert signal_agreement(cases, by_network, BODY).confusion[3, 1] == 1


def test_effusion_by_either_rule(cases):
    volume = effusion_agreement(cases, by_network, "effusion_grade_volume")
    assert volume.confusion[2, 2] == volume.n == 1  # 20 and 17 mL
    assert volume.n_missing == 1
    assert effusion_agreement(cases, by_network, "effusion_grade").confusion[1, 1] == 1


def test_values_are_found_minus_true_knee_by_knee(cases):
    fluid = quantity("fluid")
    assert value_pairs(cases, by_network, fluid) == [(20.0, 17.0), (4.0, None)]
    assert value_agreement(cases, by_network, fluid).bias == pytest.approx(-3)
    assert value_agreement(cases, on_true_labels, fluid).mean_absolute_error == 0
    assert quantity("medial meniscus volume").of(cases[0].truth.scores) == [2100.0]
    assert quantity("lateral meniscus extrusion").of(cases[0].truth.scores) == [None]
    assert quantity("patellar cartilage thickness mean").of(cases[0].truth.scores) == [2.0]
    assert SIGNAL_RATIO.of(cases[0].truth.scores) == [0.1] * 6


def test_every_measure_of_fluid_and_of_either_meniscus_is_compared():
    names = {q.name for q in QUANTITIES}
    for table, subjects in ((tables.EFFUSION, [""]), (tables.EXTRUSION, ["medial meniscus ", "lateral meniscus "])):
        for column in table.columns:
            if column.kind == "float":
                words = column.name.rpartition("_")[0].replace("_", " ")
                assert {subject + words for subject in subjects} <= names
    assert {q.unit for q in QUANTITIES} >= {"mL", "mm", "mm3"}


def test_a_column_that_a_row_does_not_have_is_missing_not_an_error(make_case, scores):
    case = make_case(true=scores(), by_network=scores())
    for row in (case.truth.scores.effusion, case.found.scores.effusion):
        del row["lateral_depth_mm"]
    found = value_agreement([case], by_network, quantity("lateral depth"))
    assert (found.n, found.n_missing, found.bias) == (0, 1, None)


def test_lesions_pair_what_was_planted_with_what_was_found_there(cases):
    tears = lesions(cases, by_network, 3)
    assert [found["signal_extent_mm"] for _, found in tears] == [9.0]
    assert lesion_agreement(tears, "signal_extent_mm").bias == pytest.approx(-3)
    globules = lesions(cases, by_network, 1)
    assert [found for _, found in globules] == [None]  # graded 0
    assert lesion_agreement(globules, "signal_extent_mm").n_missing == 1
    assert [found for _, found in lesions(cases, by_network, 2)] == [None]  # refused
