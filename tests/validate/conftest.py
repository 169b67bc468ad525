"""Cases with known answers: knees in which every structure came out with a chosen Dice."""

import pytest

from kneeline.labels import MENISCI, Label
from kneeline.validate.measure import STRUCTURES, Case, Found, Structure, Truth
from kneeline.validate.plan import Plan


@pytest.fixture
def make_case():
    def make(seed=9000, contrast="PDFS", thickness=3.0, dice=0.9, fluid=(10.0, 10.0), lesion=0, refused=None, **more):
        """All structures with one Dice, but for `more`: a Structure, or a Dice, by the label's name."""
        knee = Plan(seed, contrast, thickness, "R", (), fluid[0])
        truth = Truth(fluid[0], dict.fromkeys(MENISCI.values(), 2000.0), dict.fromkeys(MENISCI.values(), lesion))
        if refused:
            return Case(knee, truth, None, refused, [(0, 0)])
        structures = {
            label: value if isinstance(value := more.get(label.label_name, dice), Structure) else structure(value)
            for label in STRUCTURES
        }
        found = Found(
            more.get("verdict", "ok"),
            more.get("reason"),
            structures,
            more.get("invented", {}),
            more.get("reliability", {}),
            fluid[1],
            more.get("grades", []),
        )
        return Case(knee, truth, found, None, [(0, 0)])

    def structure(dice):
        if dice == 0:
            return Structure(1000.0, 0.0, 0.0)
        return Structure(1000.0, 1000.0, dice, dice, 1.0, 0.5, dice)

    assert Label.BACKGROUND not in STRUCTURES
    return make
