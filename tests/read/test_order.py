"""The order is random, belongs to reader and seed, and repeats come late."""

import pytest

from kneeline.errors import UsageError
from kneeline.read.order import draw_order, draw_sample

KNEES = [f"knee {n}" for n in range(40)]


def test_every_knee_comes_once_and_the_repeats_half_a_list_later():
    turns = draw_order(KNEES, 0.1, "anna", 7)
    first = [t.knee for t in turns if t.reading == 1]
    again = [t.knee for t in turns if t.reading == 2]
    assert sorted(first) == sorted(KNEES)
    assert len(again) == len(set(again)) == 4
    knees = [t.knee for t in turns]
    for knee in again:
        one = knees.index(knee)
        assert knees.index(knee, one + 1) - one > len(KNEES) // 2


def test_the_order_follows_from_reader_and_seed_alone():
    order = draw_order(KNEES, 0.1, "anna", 7)
    assert draw_order(KNEES, 0.1, "anna", 7) == order
    assert draw_order(KNEES, 0.1, "ben", 7) != order
    assert draw_order(KNEES, 0.1, "anna", 8) != order
    assert [t.knee for t in order if t.reading == 1] != KNEES


def test_positions_are_uniform():
    """Over many seeds each knee is first about equally often: 4 000 draws of 4, three standard errors."""
    first = [draw_order("abcd", 0, "anna", seed)[0].knee for seed in range(4000)]
    for knee in "abcd":
        assert abs(first.count(knee) - 1000) < 3 * (4000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(("n", "share", "again"), [(6, 0.1, 1), (6, 0, 0), (1, 0.1, 0), (2, 0.5, 1), (40, 0.5, 20)])
def test_how_many_are_repeated(n, share, again):
    assert sum(t.reading == 2 for t in draw_order(KNEES[:n], share, "anna", 1)) == again


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UsageError, match="from 0 to 0.5"):
        draw_order(KNEES, share, "anna", 1)


def test_a_sample_belongs_to_the_seed():
    chosen = draw_sample(KNEES, 10, 7)
    assert len(set(chosen)) == 10
    assert set(chosen) <= set(KNEES)
    assert draw_sample(KNEES, 10, 7) == chosen != draw_sample(KNEES, 10, 8)
    assert draw_sample(KNEES, None, 7) == draw_sample(KNEES, 40, 7) == KNEES
    for number in (0, 41):
        with pytest.raises(UsageError, match="1 to 40"):
            draw_sample(KNEES, number, 7)
