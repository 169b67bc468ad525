"""Signal equations: the order of grey values that radiologists know, and two closed forms."""

import numpy as np
import pytest

from kneeline.simulate.contrast import SEQUENCES, Sequence, signal_table, tissue_signal
from kneeline.simulate.tissues import Relaxation, Tissue


def test_fat_suppressed_proton_density_orders_tissues():
    s = signal_table(SEQUENCES["PDFS"])
    order = [Tissue.FLUID, Tissue.CARTILAGE, Tissue.MUSCLE, Tissue.MENISCUS, Tissue.CORTEX]
    assert (np.diff(s[order]) < 0).all()
    assert s[Tissue.MENISCAL_SIGNAL] > 1.8 * s[Tissue.MENISCUS]
    assert s[Tissue.LIGAMENT] < s[Tissue.MENISCUS]


@pytest.mark.parametrize(("bright", "dark"), [("PD", "PDFS"), ("T1", "T2FS"), ("T1", "DESS")])
def test_marrow_is_dark_only_with_fat_suppression(bright, dark):
    with_fat, without = signal_table(SEQUENCES[bright]), signal_table(SEQUENCES[dark])
    assert with_fat[Tissue.MARROW] > 1.5 * with_fat[Tissue.MUSCLE]
    assert without[Tissue.MARROW] < without[Tissue.MUSCLE]


def test_fluid_is_dark_on_t1_and_brightest_on_t2():
    t1, t2 = signal_table(SEQUENCES["T1"]), signal_table(SEQUENCES["T2FS"])
    assert t1[Tissue.FLUID] < t1[Tissue.CARTILAGE]
    assert t2.argmax() == Tissue.FLUID
    assert t2[Tissue.FLUID] > 2.5 * t2[Tissue.CARTILAGE]


def test_spin_echo_halves_signal_after_one_t2_of_ln2():
    tissue = Relaxation(t1_ms=1.0, t2_ms=50.0, proton_density=0.8)
    sequence = Sequence("x", "spin_echo", 5000, 50 * np.log(2))
    assert tissue_signal(tissue, sequence) == pytest.approx(0.4)


def test_dess_first_echo_is_the_balanced_steady_state_against_bloch_simulation():
    # Independent oracle: Bloch isochromats driven to the steady state, dephased fully within each TR.
    t1, t2, tr, flip = 1240.0, 37.0, 16.3, np.deg2rad(25)
    phases = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    m = np.tile([0.0, 0.0, 1.0], (phases.size, 1))
    e1, e2 = np.exp(-tr / t1), np.exp(-tr / t2)
    c, s = np.cos(flip), np.sin(flip)
    for _ in range(600):
        after = np.stack([m[:, 0], c * m[:, 1] + s * m[:, 2], -s * m[:, 1] + c * m[:, 2]], 1)
        x = (np.cos(phases) * after[:, 0] - np.sin(phases) * after[:, 1]) * e2
        y = (np.sin(phases) * after[:, 0] + np.cos(phases) * after[:, 1]) * e2
        m = np.stack([x, y, 1 + (after[:, 2] - 1) * e1], 1)
    fisp = np.hypot(after[:, 0].mean(), after[:, 1].mean())
    sequence = Sequence("x", "dess", tr, 0.0, 25.0)
    ratio = 1 + np.exp(-2 * tr / t2)
    assert tissue_signal(Relaxation(t1, t2, 1.0), sequence) / ratio == pytest.approx(fisp, rel=0.01)
