import numpy as np
import pytest

from kneeline.cohort.validated import joined_grades, reader_outcome, to_groups


def _reading(grade, structure, region=None, rater="anna", number=1, who="sub-001"):
    return {
        "participant_id": who, "session_id": "ses-01", "laterality": "L", "rater_id": rater, "reading": number,
        "structure": structure, "region": region, "grade": grade,
    }  # fmt: skip


KNEE = ("sub-001", "ses-01", "L")
REGIONS = ("anterior_horn", "body", "posterior_horn")


def _menisci(grades, **who):
    names = [(f"{side}_meniscus", region) for side in ("medial", "lateral") for region in REGIONS]
    return [_reading(grade, *name, **who) for grade, name in zip(grades, names, strict=True)]


def test_the_knee_has_the_highest_grade_of_its_regions():
    assert reader_outcome(_menisci([0, 1, 2, 0, 0, 1]), "signal_grade") == {KNEE: 2}
    assert reader_outcome([_reading(1, "effusion")], "effusion_grade") == {KNEE: 1}


def test_a_grade_of_the_whole_meniscus_stands_for_its_regions():
    rows = [_reading(1, "medial_meniscus"), *_menisci([0, 0, 0, 0, 2, 0])[3:]]
    assert reader_outcome(rows, "signal_grade") == {KNEE: 2}


def test_a_knee_read_in_part_has_no_grade_unless_nothing_can_be_higher():
    assert reader_outcome(_menisci([0, 1, 2, 0, 0, 1])[:5], "signal_grade") == {}
    assert reader_outcome(_menisci([0, 1, 3, 0, 0, 1])[:5], "signal_grade") == {KNEE: 3}
    assert reader_outcome([], "signal_grade") == {}


def test_the_first_reading_of_the_first_reader_counts():
    rows = [
        _reading(3, "effusion", number=2),
        _reading(2, "effusion", rater="ben"),
        _reading(1, "effusion", rater="anna"),
        _reading(0, "effusion", rater="ben", who="sub-002"),
    ]
    assert reader_outcome(rows[::-1], "effusion_grade") == {KNEE: 1, ("sub-002", "ses-01", "L"): 0}


@pytest.mark.parametrize(
    ("reader", "groups"),
    [
        ([9, 9, 9, 9], [(0,), (1,), (2,), (3,)]),
        ([9, 9, 9, 2], [(0,), (1,), (2, 3)]),
        ([9, 9, 2, 9], [(0,), (1, 2), (3,)]),
        ([2, 9, 9, 9], [(0, 1), (2,), (3,)]),
        ([20, 2, 2, 2], [(0,), (1, 2, 3)]),
        ([20, 2, 0, 0], [(0, 1, 2, 3)]),
    ],
)
def test_rare_grades_are_joined_with_a_neighbour(reader, groups):
    grades = np.arange(4).repeat(reader)
    assert joined_grades(np.arange(4).repeat(8), grades) == groups
    assert to_groups(np.array([-1]), groups).tolist() == [-1]


def test_a_grade_that_the_machine_never_gave_is_joined():
    assert joined_grades(np.array([0, 0, 2]), np.arange(3).repeat(9)) == [(0, 1), (2,)]
