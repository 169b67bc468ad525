import re
from collections import Counter
from dataclasses import replace

import pytest
from tests.conftest import ROOT

from kneeline.simulate.acquire import PROTOCOLS
from kneeline.validate.plan import CONTRASTS, FIRST_SEED, _acquisition, plan, twice


def test_two_rounds_hold_each_contrast_twice_at_three_millimetres_and_the_main_one_seven_times_as_often():
    plans = [plan(number) for number in range(30)]
    usual = Counter(p.contrast for p in plans if p.slice_thickness_mm == 3)
    assert usual == dict.fromkeys(CONTRASTS, 2) | {"PDFS": 14}
    assert Counter(p.slice_thickness_mm for p in plans) == {3.0: 24, 2.0: 2, 4.0: 2, 0.7: 2}
    assert sum(p.main for p in plans) == 14
    for members in (plans, [p for p in plans if p.main]):
        sides = Counter(p.laterality for p in members)
        assert abs(sides["L"] - sides["R"]) <= 2


def test_knees_imaged_twice_are_main_ones():
    assert twice(60, 3) == {0, 2, 4}
    assert all(plan(number).main for number in twice(60, 100))
    assert len(twice(60, 100)) == 28
    assert twice(60, 0) == frozenset()


def test_other_slices_go_through_all_flat_contrasts():
    for thickness in (2.0, 4.0):
        seen = {p.contrast for p in map(plan, range(75)) if p.slice_thickness_mm == thickness}
        assert seen == set(CONTRASTS) - {"DESS"}


def test_a_number_is_always_the_same_knee_and_no_two_are_alike():
    assert plan(5) == plan(5)
    assert len({(p.seed, p.fluid_ml) for p in map(plan, range(50))}) == 50


def test_no_knee_is_one_of_training():
    """Training needs torch, so its first test seed is read, not imported."""
    source = (ROOT / "src/kneeline/segment/training/prepare.py").read_text()
    assert int(re.search(r"^TEST_SEED = (\d+)", source, re.MULTILINE)[1]) <= FIRST_SEED


def test_small_middle_and_large_effusions_and_all_grades_occur():
    plans = [plan(number) for number in range(75)]
    assert {sum(p.fluid_ml > cut for cut in (5, 15)) for p in plans} == {0, 1, 2}
    assert {lesion.grade for p in plans for lesion in p.lesions} == {1, 2, 3}


@pytest.mark.parametrize(("contrast", "thickness"), {(p.contrast, p.slice_thickness_mm) for p in map(plan, range(75))})
def test_every_stack_has_its_contrast_and_covers_the_knee(contrast, thickness):
    protocol, differs = _acquisition(contrast, thickness)
    acquisition = replace(PROTOCOLS[protocol], **differs)
    assert (acquisition.sequence.name, acquisition.slice_thickness_mm) == (contrast, thickness)
    assert 98 <= acquisition.n_slices * acquisition.slice_spacing_mm <= 110
