"""What other programs make of the same data, and how far the pooled cumulative logit is from it.

GEE with local odds ratios (Touloumis, Agresti and Kateri 2013; R multgee 1.9.0), written here a second time: without an
association it solves the pooled cumulative logit's own equations, with one it gives multgee's figures. Links, scales
and freed terms of the wine data: R ordinal::clm 2022.11-16.
"""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit
from scipy.stats import chi2, norm
from tests.statistics.test_ordinal import BITTER, JUDGE, WARM_CONTACT

from kneeline.statistics.ordinal import fit_cumulative_logit

# R multgee::arthritis (Lipsitz, Kim and Zhao 1994): treatment, baseline grade, then the grades after 1, 3 and 5 months
# of a patient, . where missing; x how many patients are like that.
ARTHRITIS = """
11133 11211x2 11212x3 11221 11322 11333 11423 11534 12121 12122x3 12212 12221x3 12222 12223 12232 12233x6 12242 12322x3
12325 12332x2 12333x3 12343 12433 12434 12443x3 12444x2 13.33 1313. 13134 13143 13222x3 13232x3 13233x5 13244 13245
133.3 13312 13313 13322x5 13323x2 13332 13333x10 13334x7 13343x2 13344x4 13413 13433 13434x8 13444x9 14131 14243 14254
1432. 14323 14334x2 14423x2 14424 14433x3 14435 14443 14444x5 14445 14454x2 14455 14525 14545 14555x2 15444 15534 15543
15554 15555 21124 21223 213.2 2132. 21321 21323 21333 21335x2 21434 21443 21555 22.22 22222x3 22223 22243x2 223.. 22322
22323x3 22324 22332x4 22333x5 22334x2 22343 22344x2 2243. 22433 22435 22444x2 22445x2 22455x3 22554 23... 23143 232..
23214 23223 23232 23233 23235 23242 23243 233.. 23322x2 23323x4 23324x2 23332x2 23333x11 23334x7 23342 23343x4 23344x6
23345 23351 23413 23423 23433x2 23434x3 23443x2 23444x5 23454x2 23555 24222 24312 24323 24333 24334 24345x2 24354 24355
24432 24433 24434 24435 2444. 24443x2 24444x5 24445x3 24455x3 24545 25444 25445x3 25455 25555
"""


@pytest.fixture(scope="module")
def arthritis():
    """grades (n,) 0 to 4, x (n, 7) time 3, 5, treatment 2, baseline 2 to 5, patients (n,), visits (n,)."""
    grades, x, patients, visits = [], [], [], []
    for word in ARTHRITIS.split():
        kind, _, times = word.partition("x")
        for _ in range(int(times or 1)):
            patient = patients[-1] + 1 if patients else 0
            for visit, grade in enumerate(kind[2:]):
                if grade != ".":
                    grades.append(int(grade) - 1)
                    base = int(kind[1])
                    x.append([visit == 1, visit == 2, kind[0] == "2", *(base == level for level in (2, 3, 4, 5))])
                    patients.append(patient)
                    visits.append(visit)
    return np.array(grades), np.array(x, dtype=float), np.array(patients), np.array(visits)


NAMES = ["time3", "time5", "trt2", "base2", "base3", "base4", "base5"]


def fitted_to_margins(kernel, rows, columns):
    """The kernel scaled until its margins are those given (iterative proportional fitting)."""
    table = kernel.copy()
    for _ in range(5000):
        row = table.sum(axis=1)
        table *= np.divide(rows, row, out=np.zeros_like(row), where=row > 0)[:, None]
        column = table.sum(axis=0)
        table *= np.divide(columns, column, out=np.zeros_like(column), where=column > 0)
        if np.abs(table.sum(axis=1) - rows).max() < 1e-11:
            break
    return table


def uniform_association(tables):
    """The one log local odds ratio of all tables, margins of each kept: its score equation solved."""
    q = len(tables[0])
    product = np.outer(np.arange(q), np.arange(q))

    def score(phi):
        return sum(
            (product * (t - fitted_to_margins(np.exp(phi * (product - product.mean())), t.sum(1), t.sum(0)))).sum()
            for t in tables
        )

    return brentq(score, -3, 3, xtol=1e-10)


def local_odds_ratio_gee(grades, x, subjects, places, association):
    """Slopes and their sandwich errors. `association`: log local odds ratio by pair of places, or None."""
    q, p = int(grades.max()) + 1, x.shape[1]
    j = q - 1
    product = np.outer(np.arange(q), np.arange(q))
    start = fit_cumulative_logit(grades, x, [str(i) for i in range(p)])
    params = 0.9 * start.params
    for _ in range(60):
        bread, score, meat, known, joints = 0, 0, 0, {}, {}
        for subject in np.unique(subjects):
            mine = np.flatnonzero(subjects == subject)
            key = (tuple(places[mine]), x[mine].tobytes())
            if key not in known:
                below = expit(params[:j] - (x[mine] @ params[j:])[:, None])
                shares = np.diff(np.column_stack([np.zeros(len(mine)), below, np.ones(len(mine))]), axis=1)
                slope = below * (1 - below)
                d = np.zeros((len(mine), q, j + p))
                for t in range(len(mine)):
                    for cut in range(j):
                        row = slope[t, cut] * np.r_[np.eye(j)[cut], -x[mine[t]]]
                        d[t, cut] += row
                        d[t, cut + 1] -= row
                v = np.zeros((len(mine), j, len(mine), j))
                for t in range(len(mine)):
                    v[t, :, t] = np.diag(shares[t, :j]) - np.outer(shares[t, :j], shares[t, :j])
                for t, u in combinations(range(len(mine)), 2) if association else ():
                    phi = association[places[mine[t]], places[mine[u]]]
                    asked = (x[mine[t]].tobytes(), x[mine[u]].tobytes(), phi)
                    if asked not in joints:
                        kernel = np.exp(phi * (product - product.mean()))
                        joints[asked] = fitted_to_margins(kernel, shares[t], shares[u])
                    joint = joints[asked]
                    v[t, :, u] = joint[:j, :j] - np.outer(shares[t, :j], shares[u, :j])
                    v[u, :, t] = v[t, :, u].T
                flat = d[:, :j].reshape(-1, j + p)
                known[key] = shares, flat, np.linalg.solve(v.reshape(len(flat), -1), flat)
            shares, flat, weighted = known[key]
            told = np.eye(q)[grades[mine]][:, :j] - shares[:, :j]
            own = weighted.T @ told.ravel()
            bread, score, meat = bread + flat.T @ weighted, score + own, meat + np.outer(own, own)
        step = np.linalg.solve(bread, score)
        params = params + step
        if np.abs(step).max() < 1e-9:
            break
    inverse = np.linalg.inv(bread)
    return params[j:], np.sqrt(np.diag(inverse @ meat @ inverse))[j:]


def tables_of_pairs(grades, subjects, places):
    """Counts of grade pairs at each two places, over subjects that have both."""
    q = int(grades.max()) + 1
    found = {pair: np.zeros((q, q)) for pair in combinations(np.unique(places).tolist(), 2)}
    for subject in np.unique(subjects):
        mine = np.flatnonzero(subjects == subject)
        for a, b in combinations(mine, 2):
            found[places[a], places[b]][grades[a], grades[b]] += 1
    return found


def test_without_an_association_it_is_the_pooled_cumulative_logit(arthritis):
    grades, x, patients, visits = arthritis
    slopes, errors = local_odds_ratio_gee(grades, x, patients, visits, None)
    ours = fit_cumulative_logit(grades, x, NAMES)
    assert ours.params[4:] == pytest.approx(slopes, rel=1e-6)
    # multgee, independence; its sign is the other one.
    assert (ours.params[6], ours.params[5]) == pytest.approx((0.56425, 0.38518), rel=1e-4)
    assert (errors[2], errors[1]) == pytest.approx((0.16788, 0.11600), rel=1e-4)
    clustered = np.sqrt(np.diag(ours.plain_cluster_covariance(patients, small_sample=False)))[4:]
    assert clustered[:3] == pytest.approx(errors[:3], rel=0.02)  # observed instead of expected information


@pytest.mark.parametrize(
    ("structure", "slopes", "errors"),
    [
        ("uniform", (0.51212, 0.36172), (0.16799, 0.11395)),
        ("category_exchangeable", (0.50463, 0.36050), (0.16725, 0.11413)),
    ],
)
def test_local_odds_ratios_of_the_arthritis_data(arthritis, structure, slopes, errors):
    """The pooled slopes differ from them by less than half an error: another estimate of the same thing."""
    grades, x, patients, visits = arthritis
    tables = tables_of_pairs(grades, patients, visits)
    if structure == "uniform":
        association = dict.fromkeys(tables, uniform_association(list(tables.values())))
    else:
        association = {pair: uniform_association([table]) for pair, table in tables.items()}
    found, se = local_odds_ratio_gee(grades, x, patients, visits, association)
    assert (found[2], found[1]) == pytest.approx(slopes, rel=1e-4)
    assert (se[2], se[1]) == pytest.approx(errors, rel=1e-4)
    ours = fit_cumulative_logit(grades, x, NAMES).params[4:]
    assert np.all(np.abs(ours - found) < se / 2)


def test_local_odds_ratios_of_the_wine_data():
    grades, bottles = np.array(BITTER) - 1, np.tile(np.arange(8), 9)
    tables = tables_of_pairs(grades, JUDGE, bottles)
    association = dict.fromkeys(tables, uniform_association(list(tables.values())))
    found, se = local_odds_ratio_gee(grades, WARM_CONTACT, JUDGE, bottles, association)
    assert found == pytest.approx((2.49508, 1.49336), rel=1e-4)
    assert se == pytest.approx((0.35958, 0.40096), rel=1e-4)


def test_global_odds_ratios_of_statsmodels():
    from statsmodels.genmod.cov_struct import GlobalOddsRatio
    from statsmodels.genmod.generalized_estimating_equations import OrdinalGEE

    other = OrdinalGEE(np.array(BITTER), WARM_CONTACT, JUDGE, cov_struct=GlobalOddsRatio("ordinal")).fit()
    assert np.asarray(other.params)[-2:] == pytest.approx([2.533424, 1.547849], rel=1e-4)
    assert np.asarray(other.bse)[-2:] == pytest.approx([0.320679, 0.403391], rel=1e-4)
    assert float(np.atleast_1d(other.cov_struct.dep_params)[0]) == pytest.approx(2.390, rel=1e-3)
    ours = fit_cumulative_logit(BITTER, WARM_CONTACT, ["warm", "contact"]).params[4:]
    assert ours == pytest.approx(np.asarray(other.params)[-2:], rel=0.015)


# --- the wine data with other links, scales and freed terms -----------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    return fit_cumulative_logit(BITTER, WARM_CONTACT, ["warm", "contact"])


def peak(cdf, shift, scale, n_parameters, start):
    """Highest log-likelihood over thresholds (4), slopes and more: shares are cdf((threshold - shift) / scale)."""
    grades = np.array(BITTER) - 1

    def loss(point):
        cuts = np.r_[-np.inf, np.cumsum(np.r_[point[0], np.exp(point[1:4])]), np.inf]
        at = (cuts[None, :] - shift(point, len(cuts))) / scale(point)[:, None]
        shares = np.diff(cdf(at), axis=1)[np.arange(72), grades]
        return -np.log(np.maximum(shares, 1e-300)).sum()

    found = minimize(loss, np.r_[start, np.zeros(n_parameters - len(start))], method="BFGS", options={"gtol": 1e-7})
    return -found.fun, found.x


def beginning(fit):
    return np.r_[fit.params[0], np.log(np.diff(fit.params[:4])), fit.params[4:]]


@pytest.mark.parametrize(("column", "ratio", "p"), [(0, 0.10492, 0.7460), (1, 0.27330, 0.6011)])
def test_a_scale_of_its_own_adds_nothing(plain, column, ratio, p):
    value, _ = peak(
        expit,
        lambda point, n: (WARM_CONTACT @ point[4:6])[:, None],
        lambda point: np.exp(point[6] * WARM_CONTACT[:, column]),
        7,
        beginning(plain),
    )
    found = 2 * (value - plain.log_likelihood)
    assert (found, chi2.sf(found, 1)) == pytest.approx((ratio, p), abs=6e-5)


def test_temperature_free_at_every_cut_has_a_limit_but_no_peak(plain):
    """The likelihood that R prints is approached as two of the slopes run off; the fit itself is refused (above)."""

    def shift(point, n):
        slopes = np.r_[0, point[4], point[6:9], 0][None, :]
        return np.where(np.arange(n) > 0, WARM_CONTACT[:, :1] * slopes, 0) + (WARM_CONTACT[:, 1] * point[5])[:, None]

    begin = np.r_[beginning(plain), np.repeat(plain.params[4], 3)]
    value, point = peak(expit, shift, lambda point: np.ones(72), 9, begin)
    ratio = 2 * (value - plain.log_likelihood)
    assert value == pytest.approx(-84.904, abs=1e-3)
    assert (ratio, chi2.sf(ratio, 3)) == pytest.approx((3.1750, 0.3654), abs=1e-3)


def test_probit_link(plain):
    """R clm, and statsmodels' OrderedModel, which is an oracle of the logit elsewhere: it is right here as well."""
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    value, point = peak(
        norm.cdf, lambda point, n: (WARM_CONTACT @ point[4:6])[:, None], lambda point: np.ones(72), 6,
        beginning(plain) / 1.7,
    )  # fmt: skip
    model = OrderedModel(np.array(BITTER), WARM_CONTACT, distr="probit")
    other = model.fit(method="bfgs", disp=False, gtol=1e-8)
    assert (value, other.llf) == pytest.approx((-85.76115, -85.76115), rel=1e-6)
    assert point[4:6] == pytest.approx([1.4993746, 0.8677435], rel=1e-4)
    assert other.params[:2] == pytest.approx([1.4993746, 0.8677435], rel=1e-4)
    cuts = [-0.7732627, 0.7360215, 2.0446805, 2.9413450]
    assert np.cumsum(np.r_[point[0], np.exp(point[1:4])]) == pytest.approx(cuts, rel=1e-4)
    assert model.transform_threshold_params(other.params)[1:-1] == pytest.approx(cuts, rel=1e-4)
    assert value > plain.log_likelihood  # the data do not tell the two links apart
