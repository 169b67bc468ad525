"""How bright each tissue is under a pulse sequence: the signal equations of spin echo and DESS."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kneeline.simulate.tissues import RELAXATION, Relaxation, Tissue

# Blood that moves leaves the slice between a spin echo's pulses; what is left of its signal. Project decision.
_FLOW_VOID = 0.30


@dataclass(frozen=True)
class Sequence:
    """A pulse sequence. `fat_left` is the share of fat's signal that survives fat suppression (1: none suppressed)."""

    name: str
    kind: str  # "spin_echo" or "dess"
    repetition_time_ms: float
    echo_time_ms: float
    flip_deg: float = 90.0
    fat_left: float = 1.0


# Times of clinical knee protocols at 3 T; DESS as in the Osteoarthritis Initiative (Peterfy 2008).
SEQUENCES = {
    "PD": Sequence("PD", "spin_echo", 3000, 25),
    "PDFS": Sequence("PDFS", "spin_echo", 3200, 30, fat_left=0.07),
    "T2": Sequence("T2", "spin_echo", 4200, 80),
    "T2FS": Sequence("T2FS", "spin_echo", 4200, 65, fat_left=0.07),
    "T1": Sequence("T1", "spin_echo", 620, 12),
    "DESS": Sequence("DESS", "dess", 16.3, 4.7, 25, fat_left=0.10),
}


def tissue_signal(relaxation: Relaxation, sequence: Sequence) -> float:
    """Signal of a tissue, relative to fully relaxed water.

    Spin echo: PD (1 - exp(-TR/T1)) exp(-TE/T2). DESS: the sum of the FISP and PSIF echoes of the steady state
    (Bruder 1988), the second being exp(-2 (TR - TE)/T2) of the first (Welsch 2009).
    """
    water = relaxation.proton_density * (1 - relaxation.fat_fraction * (1 - sequence.fat_left))
    tr, te, t1, t2 = sequence.repetition_time_ms, sequence.echo_time_ms, relaxation.t1_ms, relaxation.t2_ms
    if sequence.kind == "spin_echo":
        return float(water * (1 - np.exp(-tr / t1)) * np.exp(-te / t2))
    e1, e2, c = np.exp(-tr / t1), np.exp(-tr / t2), np.cos(np.deg2rad(sequence.flip_deg))
    root = np.sqrt((1 - e2**2) / ((1 - e1 * c) ** 2 - e2**2 * (e1 - c) ** 2))
    fisp = np.tan(np.deg2rad(sequence.flip_deg) / 2) * (1 - (e1 - c) * root) * np.exp(-te / t2)
    return float(water * fisp * (1 + np.exp(-2 * (tr - te) / t2)))


def signal_table(sequence: Sequence, rng: np.random.Generator | None = None, spread: float = 0.06) -> np.ndarray:
    """Signal by Tissue value, (16,) float32. With `rng`, T1, T2 and proton density vary by `spread` from person to
    person."""
    table = np.zeros(max(Tissue) + 1, np.float32)
    for tissue, relaxation in RELAXATION.items():
        if rng is not None:
            t1, t2, density = np.exp(rng.normal(0, spread, 3))
            relaxation = replace(
                relaxation,
                t1_ms=relaxation.t1_ms * t1,
                t2_ms=relaxation.t2_ms * t2,
                proton_density=relaxation.proton_density * density,
            )
        table[tissue] = tissue_signal(relaxation, sequence)
    if sequence.kind == "spin_echo":
        table[Tissue.VESSEL] *= _FLOW_VOID
    return table
