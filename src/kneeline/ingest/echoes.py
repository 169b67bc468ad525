"""Which echo of a multi-echo series is looked at as the anatomical image."""

from __future__ import annotations

import numpy as np

# Menisci are dark and cartilage is bright near this echo time (proton-density weighting); earlier echoes blur the two,
# later ones lose the menisci in noise. Project decision, within the usual 12-25 ms.
ANATOMICAL_ECHO_MS = 18.0
ANATOMICAL_ECHO_RULE = "echo time nearest to 18 ms"


def anatomical_echo(echo_times_ms: list[float]) -> int:
    """Index of the anatomical echo; of two equally near the earlier, which has more signal."""
    return int(np.argmin(np.abs(np.array(echo_times_ms) - ANATOMICAL_ECHO_MS)))
