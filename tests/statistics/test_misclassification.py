import math

import numpy as np
import pytest

from kneeline.errors import Refusal
from kneeline.statistics.misclassification import (
    Knees,
    _Likelihood,
    confusion_shares,
    fit_corrected,
    matrix_prevalence,
    overimpute,
    predictive_prevalence,
)
from kneeline.statistics.ordinal import fit_cumulative_logit

M = np.array([[0.85, 0.12, 0.03, 0.0], [0.15, 0.70, 0.12, 0.03], [0.02, 0.18, 0.70, 0.10], [0.0, 0.05, 0.20, 0.75]])
SLOPES = np.array([0.8, 0.5])


def _draw(n_runners, n_read, seed, m=M, slopes=SLOPES):
    """True grades, knees (two a runner, those of the first runners read) and runners."""
    rng = np.random.default_rng(seed)
    strike, far = (rng.random(n_runners) < 0.6).astype(float), rng.normal(size=n_runners)
    x = np.column_stack([strike, far]).repeat(2, axis=0)
    luck = rng.random(n_runners).repeat(2)
    u = np.where(rng.random(len(luck)) < 0.4, luck, rng.random(len(luck)))
    latent = np.log(u / (1 - u)) + x @ slopes
    truth = (latent[:, None] > np.array([0.0, 1.2, 2.4])).sum(axis=1)
    machine = (rng.random(len(truth))[:, None] > np.cumsum(m, axis=1)[truth][:, :-1]).sum(axis=1)
    runners = np.arange(n_runners).repeat(2)
    reader = np.where(runners < n_read, truth, -1)
    return truth, Knees(machine, reader, x, np.zeros(len(x), dtype=int), np.ones(len(x))), runners


# --- prevalence -------------------------------------------------------------------------------------------------------


def test_rogan_and_gladen():
    # Apparent 0.30, sensitivity 0.85, specificity 0.90: (0.30 + 0.90 - 1) / (0.85 + 0.90 - 1).
    found = matrix_prevalence(np.array([0.70, 0.30]), np.array([[0.90, 0.10], [0.15, 0.85]]))
    assert found[1] == pytest.approx(0.266667, abs=1e-6)


def test_the_matrix_method_turns_the_confusion_round():
    truth = np.array([0.5, 0.3, 0.15, 0.05])
    assert matrix_prevalence(truth @ M, M) == pytest.approx(truth)
    several = matrix_prevalence(np.stack([truth @ M, M[0]]), np.stack([M, M]))
    assert several[1] == pytest.approx([1, 0, 0, 0], abs=1e-9)


def test_a_solution_outside_the_possible_is_brought_in():
    """Fewer findings than the false positives alone would make: the likeliest prevalence is 0."""
    found = matrix_prevalence(np.array([0.95, 0.05]), np.array([[0.90, 0.10], [0.15, 0.85]]))
    assert found == pytest.approx([1, 0], abs=1e-6)
    assert np.isnan(matrix_prevalence(np.array([0.5, 0.5]), np.array([[0.5, 0.5], [0.5, 0.5]]))).all()


def test_predictive_values():
    counts = np.array([[40, 5], [4, 20]])
    shares = np.array([0.7, 0.3])
    assert predictive_prevalence(shares, counts)[1] == pytest.approx(0.7 * 4 / 44 + 0.3 * 20 / 25)
    assert np.isnan(predictive_prevalence(shares, np.array([[40, 0], [4, 0]]))).any()


def test_both_methods_agree_when_the_read_knees_have_the_shares_of_all():
    joint = np.array([0.5, 0.3, 0.15, 0.05])[:, None] * M
    shares = joint.sum(axis=0)
    assert matrix_prevalence(shares, confusion_shares(joint)) == pytest.approx(predictive_prevalence(shares, joint))


# --- odds ratios ------------------------------------------------------------------------------------------------------


def test_the_naive_odds_ratio_is_too_near_to_one_and_the_corrected_is_not():
    _, many, runners = _draw(4000, 0, seed=3)
    naive = fit_cumulative_logit(many.machine, many.x, ["strike", "far"])
    assert np.all(naive.params[-2:] < SLOPES - 3 * np.sqrt(np.diag(naive.cluster_covariance(runners)))[-2:])
    _, knees, runners = _draw(900, 200, seed=3)
    naive = fit_cumulative_logit(knees.machine, knees.x, ["strike", "far"])
    corrected = fit_corrected(knees, runners)
    errors = np.sqrt(np.diag(corrected.covariance))
    plain = np.sqrt(np.diag(naive.cluster_covariance(runners)))[-2:]
    assert np.all(naive.params[-2:] < corrected.coefficients)
    assert np.all(np.abs(corrected.coefficients - SLOPES) < 3 * errors)
    assert corrected.confusion[0] == pytest.approx(M, abs=0.1)
    # Not knowing the grades costs precision, which the interval admits.
    assert np.all(errors > plain)


def test_estimates_over_many_cohorts_are_centred_and_spread_as_they_say():
    found, errors = [], []
    for seed in range(24):
        _, knees, runners = _draw(150, 70, seed)
        corrected = fit_corrected(knees, runners)
        found.append(corrected.coefficients)
        errors.append(np.sqrt(np.diag(corrected.covariance)))
    away = np.abs(np.mean(found, axis=0) - SLOPES) / (np.std(found, axis=0) / math.sqrt(24))
    assert np.all(away < 3.5)
    assert np.mean(errors, axis=0) == pytest.approx(np.std(found, axis=0), rel=0.4)


def test_when_every_knee_was_read_the_machine_does_not_matter():
    truth, knees, runners = _draw(150, 150, seed=5)
    exact = fit_cumulative_logit(truth, knees.x, ["strike", "far"])
    corrected = fit_corrected(knees, runners)
    assert corrected.coefficients == pytest.approx(exact.params[-2:], abs=1e-3)
    plain = np.sqrt(np.diag(exact.cluster_covariance(runners)))[-2:]
    assert np.sqrt(np.diag(corrected.covariance)) == pytest.approx(plain, rel=0.05)
    np.testing.assert_array_equal(overimpute(knees, runners, 2, seed=1), np.stack([truth, truth]))


def test_a_machine_that_does_not_err_changes_nothing():
    truth, knees, runners = _draw(300, 200, seed=6, m=np.eye(4))
    exact = fit_cumulative_logit(truth, knees.x, ["strike", "far"])
    corrected = fit_corrected(knees, runners)
    assert corrected.coefficients == pytest.approx(exact.params[-2:], abs=0.08)


def test_error_that_differs_between_groups_needs_a_matrix_of_its_own():
    """The machine misses in the rearfoot group alone, so that strike seems to have no association."""
    truth, knees, runners = _draw(900, 400, seed=7)
    rng = np.random.default_rng(0)
    strike = knees.x[:, 0].astype(int)
    missed = (strike == 1) & (truth > 0) & (rng.random(len(truth)) < 0.4)
    machine = np.where(missed, 0, truth)
    alike = Knees(machine, knees.reader, knees.x, knees.group, knees.weights)
    apart = Knees(machine, knees.reader, knees.x, strike, knees.weights)
    wrong, right = fit_corrected(alike, runners), fit_corrected(apart, runners)
    error = math.sqrt(right.covariance[0, 0])
    assert wrong.coefficients[0] < 0.8 - 3 * error
    assert abs(right.coefficients[0] - 0.8) < 3 * error
    assert right.confusion[0] == pytest.approx(np.eye(4), abs=0.04)
    assert right.confusion[1][:, 0] == pytest.approx([1, 0.4, 0.4, 0.4], abs=0.12)


def test_over_imputed_grades_give_the_same_answer():
    """Another way to the same estimate: draw the unread grades, fit, average."""
    _, knees, runners = _draw(300, 120, seed=8)
    sets = overimpute(knees, runners, 5, seed=1)
    read = knees.reader >= 0
    assert np.all(sets[:, read] == knees.reader[read])
    found = np.mean([fit_cumulative_logit(grades, knees.x, ["a", "b"]).params[-2:] for grades in sets], axis=0)
    corrected = fit_corrected(knees, runners)
    assert found == pytest.approx(corrected.coefficients, abs=2 * np.sqrt(np.diag(corrected.covariance)).max())
    np.testing.assert_array_equal(sets[:2], overimpute(knees, runners, 2, seed=1))


def test_a_machine_that_guesses_is_refused():
    guess = np.full((4, 4), 0.25)
    _, knees, runners = _draw(300, 200, seed=9, m=guess)
    with pytest.raises(Refusal) as refusal:
        fit_corrected(knees, runners)
    assert refusal.value.code in ("uninformative", "not_converged")


def test_a_grade_that_the_machine_never_gives_is_refused():
    _, knees, runners = _draw(100, 60, seed=10)
    machine = np.where(knees.machine == 2, 1, knees.machine)
    with pytest.raises(Refusal, match="join grades"):
        fit_corrected(Knees(machine, knees.reader, knees.x, knees.group, knees.weights), runners)


def test_the_gradient_is_the_slope_of_the_likelihood():
    """Central differences of the value are the oracle; the sum of the knees' scores is the gradient without prior."""
    _, knees, _ = _draw(40, 20, seed=11)
    knees = Knees(knees.machine, knees.reader, knees.x, knees.x[:, 0].astype(int), np.linspace(0.5, 2, 80))
    likelihood = _Likelihood(knees, knees.x, 4, 2, 2)
    params = np.concatenate([[-0.4, 0.1, 0.2, 0.5, -0.3], np.random.default_rng(0).normal(-1, 1, 24)])
    slopes = [(likelihood.loss(params + h)[0] - likelihood.loss(params - h)[0]) / 2e-6 for h in 1e-6 * np.eye(29)]
    assert likelihood.loss(params)[1] == pytest.approx(slopes, abs=1e-7)
    summed = knees.weights @ likelihood.scores(params)
    _, confusion, _ = likelihood.parts(params)
    prior = (0.25 - confusion)[:, ~np.eye(4, dtype=bool)].ravel()
    assert summed + np.concatenate([np.zeros(5), prior]) == pytest.approx(-likelihood.loss(params)[1] * 100)
