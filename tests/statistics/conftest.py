"""Published data sets that several methods are checked on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

# Madsen 1976 (R MASS::housing): counts of low, medium, high satisfaction; influence within type within contact.
_HOUSING = """21,21,28 34,22,36 10,11,36 61,23,17 43,35,40 26,18,54 13,9,10 8,8,12 6,7,9 18,6,7 15,13,13 7,5,11
              14,19,37 17,23,40 3,5,23 78,46,43 48,45,86 15,25,62 20,23,20 10,22,24 7,10,21 57,23,13 31,21,13 5,6,13"""


@pytest.fixture(scope="session")
def housing() -> SimpleNamespace:
    """grades, x, weights (a row a cell of the table) and names of the housing data, n = 1681."""
    grades, x, weights = [], [], []
    for row, cell in enumerate(_HOUSING.split()):
        contact, kind, influence = row // 12, row // 3 % 4, row % 3
        for grade, count in enumerate(cell.split(",")):
            grades.append(grade)
            x.append([influence == 1, influence == 2, kind == 1, kind == 2, kind == 3, contact == 1])
            weights.append(int(count))
    names = ["InflMedium", "InflHigh", "Apartment", "Atrium", "Terrace", "ContHigh"]
    return SimpleNamespace(grades=np.array(grades), x=np.array(x, dtype=float), weights=np.array(weights), names=names)
