"""Cases with known answers: knees in which every structure came out with a chosen Dice, and scores as chosen."""

from dataclasses import fields

import pytest

from kneeline import grading, tables
from kneeline.labels import CARTILAGES, MENISCI, Label
from kneeline.score.run import Scores
from kneeline.simulate.knee import Lesion
from kneeline.simulate.run import simulate_knee
from kneeline.validate.measure import STRUCTURES, Case, Found, Rescan, Structure, Truth
from kneeline.validate.plan import Plan

PLACES = [(m, r) for m in grading.MENISCI for r in grading.REGIONS]


def empty(table):
    return dict.fromkeys(name for name in table.header if name not in tables.KNEE_KEYS)


def make_scores(signal=(0,) * 6, fluid=10.0, regions=(), cartilage_mm=2.0, **effusion):
    """Rows with these grades of the six regions, more columns of regions by their place, and columns of the fluid."""
    regions = dict(regions)
    meniscus = [
        empty(tables.MENISCUS)
        | {"meniscus": m, "region": r, "signal_grade": grade, "volume_mm3": 700.0, "signal_ratio": 0.1}
        | regions.get((m, r), {})
        for (m, r), grade in zip(PLACES, signal, strict=True)
    ]
    row = empty(tables.EFFUSION) | {"fluid_ml": fluid, "midline_depth_mm": 5.0, "lateral_depth_mm": 6.0} | effusion
    row["effusion_grade"] = grading.grade_effusion_depth(row["midline_depth_mm"], row["lateral_depth_mm"])
    row["effusion_grade_volume"] = grading.grade_effusion_volume(row["fluid_ml"])
    sizes = [empty(tables.EXTRUSION) | {"meniscus": m, "volume_mm3": 2100.0} for m in grading.MENISCI]
    plates = [empty(tables.CARTILAGE) | {"plate": p.label_name, "thickness_mean_mm": cartilage_mm} for p in CARTILAGES]
    given = {"meniscus": meniscus, "extrusion": sizes, "effusion": row | effusion, "cartilage": plates}
    return Scores(**{field.name: given.get(field.name, []) for field in fields(Scores)})


@pytest.fixture(scope="session")
def planned():
    return Plan(1, "PDFS", 3.0, "R", (Lesion("medial", "posterior_horn", 3), Lesion("lateral", "body", 1)), 10.0)


@pytest.fixture(scope="session")
def scan(planned):
    """A small coarse scan of a knee with a tear, a globule and 10 mL."""
    return simulate_knee(
        planned.seed, "PDFS", laterality="R", lesions=planned.lesions, fluid_ml=planned.fluid_ml, spacing_mm=1.5,
        n_slices=30, matrix=128, pixel_mm=1.17,
    )  # fmt: skip


@pytest.fixture(scope="session")
def scores():
    return make_scores


@pytest.fixture(scope="session")
def make_case():
    def make(seed=9000, contrast="PDFS", thickness=3.0, dice=0.9, fluid=(10.0, 10.0), lesion=0, refused=None, **more):
        """All structures with one Dice, but for `more`: a Structure, or a Dice, by the label's name.

        `true`, `by_truth` and `by_network` (of make_scores) are the scores; `again` the pair of a second scan.
        """
        knee = Plan(seed, contrast, thickness, "R", (), fluid[0])
        true = more.get("true") or make_scores(fluid=fluid[0])
        menisci = MENISCI.values()
        truth = Truth(fluid[0], dict.fromkeys(menisci, 2000.0), dict.fromkeys(menisci, lesion), true)
        by_truth = more.get("by_truth") or true
        again = Rescan(*more["again"]) if "again" in more else None
        if refused:
            return Case(knee, truth, by_truth, None, refused, again)
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
            more.get("by_network") or make_scores(fluid=fluid[1]),
        )
        return Case(knee, truth, by_truth, found, None, again, more.get("exhibits", ()))

    def structure(dice):
        if dice == 0:
            return Structure(1000.0, 0.0, 0.0)
        return Structure(1000.0, 1000.0, dice, dice, 1.0, 0.5, dice)

    assert Label.BACKGROUND not in STRUCTURES
    return make
