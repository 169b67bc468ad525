"""The odds ratios at each cut: from a model with the exposures free, and against the model that holds them together."""

import numpy as np
import pytest

from kneeline.cohort.design import Data
from kneeline.cohort.families import fit_ordinal, fit_partial
from kneeline.cohort.proportionality import partial_rows
from kneeline.cohort.settings import Settings
from kneeline.statistics.ordinal import fit_cumulative_logit


def _data(cut_effects, seed=3, n=1500):
    """Knees whose log odds of grade j or more rise with strike by cut_effects[j - 1]; a covariate with slope 0.5."""
    rng = np.random.default_rng(seed)
    strike, other = rng.integers(0, 2, n), rng.normal(size=n)
    chance = 1 / (1 + np.exp(-(np.array([0.8, -0.6, -2.0]) + strike[:, None] * cut_effects + 0.5 * other[:, None])))
    y = (rng.random((n, 1)) < chance).sum(axis=1)
    return Data(y, np.column_stack([strike, other]).astype(float), ("rearfoot", "age_years"), np.arange(n))


def test_odds_ratios_that_differ_by_cut_are_found():
    truth = np.array([0.2, 1.0, 1.6])
    answer = fit_partial(_data(truth), ["rearfoot"])
    for level, effect in enumerate(truth, start=1):
        found = answer[f"rearfoot at grade >= {level}"]
        assert found.low < effect < found.high
        assert found.high - found.low < 1.2
    assert answer["age_years"].low < 0.5 < answer["age_years"].high


def test_with_nothing_freed_it_is_the_proportional_model():
    data = _data(np.array([0.5, 0.5, 0.5]))
    free, bound = fit_partial(data, []), fit_ordinal(data)
    assert [term.value for term in free.terms] == pytest.approx([term.value for term in bound.terms])
    assert free.covariance == pytest.approx(bound.covariance)


def test_with_everything_freed_each_cut_is_near_its_own_binary_logit():
    data = _data(np.array([0.2, 1.0, 1.6]))
    answer = fit_partial(data, data.terms)
    for level in (1, 2, 3):
        alone = fit_cumulative_logit((data.y >= level).astype(int), data.x, data.terms)
        for i, name in enumerate(data.terms, start=1):
            assert answer[f"{name} at grade >= {level}"].value == pytest.approx(alone.params[i], abs=0.05)


def _knees(cut_effects, n=1500):
    data = _data(cut_effects, n=n)
    rng = np.random.default_rng(8)
    return [
        {"participant_id": f"sub-{i}", "strike_style": "rearfoot" if x[0] else "forefoot", "strike_method": "video",
         "weekly_distance_km": float(rng.uniform(10, 60)), "age_years": float(x[1]), "signal_grade": int(y)}
        for i, (x, y) in enumerate(zip(data.x, data.y, strict=True))
    ]  # fmt: skip


def test_rows_of_the_exposures_and_whether_the_cuts_differ():
    settings = Settings(adjustment={"main": ("age_years",)})
    bent = {row["term"]: row for row in partial_rows(_knees(np.array([0.2, 1.0, 1.6])), "signal_grade", settings)}
    assert bent["rearfoot, same at every cut"]["p_value"] < 1e-3
    assert bent["rearfoot at grade >= 3"]["estimate"] > bent["rearfoot at grade >= 1"]["estimate"]
    assert bent["distance_per_10_km, same at every cut"]["p_value"] > 0.01
    straight = {row["term"]: row for row in partial_rows(_knees(np.array([0.7] * 3)), "signal_grade", settings)}
    assert straight["rearfoot, same at every cut"]["p_value"] > 0.05


def test_refusals_keep_a_row_for_each_exposure():
    settings = Settings(adjustment={"main": ("age_years",)})
    rows = partial_rows(_knees(np.zeros(3), n=12), "signal_grade", settings)
    assert [row["term"] for row in rows] == ["rearfoot", "distance_per_10_km"]
    assert all("too_few_runners: 12 runners for a model of" in row["reason"] for row in rows)
    two = [row | {"signal_grade": min(row["signal_grade"], 1)} for row in _knees(np.zeros(3), n=100)]
    assert all(row["reason"].startswith("one_cut") for row in partial_rows(two, "signal_grade", settings))
