"""T2 of a region: its median, how sure it is, and what the train of a knee says of itself."""

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.score.echo_train import EchoTrain, median_and_error, read_train, region_t2
from kneeline.score.frame import canonical
from kneeline.score.stimulated import echo_trains
from kneeline.volume import Volume

TE = 6.3 * np.arange(1, 9)


def test_the_error_matches_the_spread_of_repeated_medians():
    rng = np.random.default_rng(3)
    found = np.array([median_and_error(rng.normal(11, 2.5, 150)) for _ in range(400)])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.15)


def test_a_median_beyond_what_could_be_measured_is_missing():
    assert median_and_error(np.array([0.0] * 6 + [9.0] * 5)) == (None, None)
    assert median_and_error(np.array([np.inf] * 6 + [9.0] * 5)) == (None, None)
    assert median_and_error(np.array([])) == (None, None)
    assert median_and_error(np.array([9.0, 10.0, 11.0])) == (10.0, None)


@pytest.fixture(scope="module")
def knee_and_echoes():
    """Air, a layer of cartilage (45 ms) and a meniscus (11 ms); pulses of 155 degrees, noisy tissue, quiet air."""
    labels = np.zeros((12, 48, 48), np.uint8)
    labels[:, 20:30, 8:40] = Label.FEMORAL_CARTILAGE
    labels[:, 32:40, 10:30] = Label.MEDIAL_MENISCUS
    clean = np.zeros((*labels.shape, len(TE)))
    for label, t2, amplitude in ((Label.FEMORAL_CARTILAGE, 45.0, 2000.0), (Label.MEDIAL_MENISCUS, 11.0, 1500.0)):
        clean[labels == label] = amplitude * echo_trains(np.array([t2]), 155.0, 6.3, len(TE))[0]
    rng = np.random.default_rng(0)
    sd = np.where(labels > 0, 55.0, 5.0)[..., None]
    echoes = np.hypot(clean + sd * rng.normal(size=clean.shape), sd * rng.normal(size=clean.shape))
    affine = np.diag([3.0, 0.6, 0.6, 1.0])
    image = Volume(echoes[..., 1].astype(np.float32), affine)
    return image, Volume(labels, affine), echoes


def test_noise_is_that_of_tissue_and_t2_is_right(knee_and_echoes):
    image, labels, echoes = knee_and_echoes
    knee = canonical(image, labels, "R")
    shuffled = [5, 0, 3, 1, 7, 2, 6, 4]
    train = read_train(knee, image, "R", echoes[..., shuffled], TE[shuffled].tolist())
    assert train.times_ms.tolist() == TE.tolist()
    assert train.refocusing_deg == pytest.approx(155, abs=3)
    assert train.noise_sd == pytest.approx(55, rel=0.1)
    inside = knee.mask(Label.MEDIAL_MENISCUS)
    row = region_t2(train, (slice(None),) * 3, inside)
    assert row["t2_epg_ms"] == pytest.approx(11, rel=0.05)
    # Two echoes above the noise and a second one that is too high: the plain fit is off by more.
    assert abs(row["t2_ms"] - 11) > 1
    assert 0 < row["t2_se_ms"] < 0.3
    # With the noise of the air the late echoes, which are noise, would pass for slow decay.
    fooled = region_t2(EchoTrain(train.echoes, train.times_ms, 5.0), (slice(None),) * 3, inside)
    assert fooled["t2_ms"] > row["t2_ms"] + 2
    assert fooled["t2_epg_ms"] is None


def test_unequal_echoes_have_no_model_of_stimulated_ones(knee_and_echoes):
    image, labels, echoes = knee_and_echoes
    knee = canonical(image, labels, "R")
    train = read_train(knee, image, "R", echoes[..., [0, 1, 3, 6]], TE[[0, 1, 3, 6]].tolist())
    assert train.refocusing_deg is None
    assert region_t2(train, (slice(None),) * 3, knee.mask(Label.MEDIAL_MENISCUS))["t2_epg_ms"] is None


def test_too_few_echoes_or_none(knee_and_echoes):
    image, labels, echoes = knee_and_echoes
    knee = canonical(image, labels, "R")
    assert read_train(knee, image, "R", None, None) is None
    assert read_train(knee, image, "R", echoes[..., :2], TE[:2].tolist()) is None
    assert set(region_t2(None, (slice(None),) * 3, knee.mask(Label.MEDIAL_MENISCUS)).values()) == {None}
