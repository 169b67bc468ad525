import math

import numpy as np
import pytest

from kneeline import tables
from kneeline.cohort.published import CLAIMS, EJR, ER, RSNA, published


@pytest.fixture(scope="module")
def rows():
    return published()


def _find(rows, finding, quantity, group="all", assumption="", study=None):
    found = [
        row
        for row in rows
        if row["finding"] == finding
        and row["quantity"].startswith(quantity)
        and row["group"] == group
        and (row["assumption"] or "").startswith(assumption)
        and study in (None, row["study"])
    ]
    assert len(found) == 1, found
    return found[0]


# Counts of the abstracts, as read: study, finding, runners with it, of how many.
@pytest.mark.parametrize(
    ("study", "finding", "count", "n"),
    [
        (ER, "meniscus grade 1, before the marathon", 8, 22),
        (ER, "meniscus grade 2, before the marathon", 5, 22),
        (ER, "cartilage grade 1", 3, 22),
        (ER, "cartilage grade 2", 1, 22),
        (ER, "bone marrow oedema", 3, 22),
        (ER, "anterior cruciate ligament grade 1", 2, 22),
        (ER, "effusion, before the marathon", 13, 22),
        (ER, "effusion, after the marathon", 14, 22),
        (ER, "effusion slightly increased", 4, 22),
        (ER, "effusion new after the marathon", 1, 22),
        (ER, "meniscus grade rose from 1 to 2 after the marathon", 1, 22),
        (ER, "meniscus grade 1, after the marathon", 7, 22),
        (ER, "meniscus grade 2, after the marathon", 6, 22),
        (ER, "total score increased", 2, 22),
        (ER, "total score improved", 0, 22),
        (RSNA, "meniscal lesion, before the run", 0, 20),
        (RSNA, "effusion, before the run", 18, 20),
        (RSNA, "cartilage defect", 0, 20),
        (RSNA, "punctate ligament change after the run", 1, 20),
        (EJR, "meniscus grade 1", 10, 26),
        (EJR, "cartilage grade 1", 4, 26),
        (EJR, "cartilage grade 2", 3, 26),
        (EJR, "anterior cruciate ligament grade 1", 5, 26),
    ],
)
def test_every_published_count_is_there(rows, study, finding, count, n):
    row = _find(rows, finding, "proportion, Wilson", study=study)
    assert (row["count"], row["n"]) == (count, n)
    assert row["estimate"] == count / n
    assert row["ci_low"] <= count / n <= row["ci_high"]


def test_effusion_before_the_marathon(rows):
    wilson = _find(rows, "effusion, before the marathon", "proportion, Wilson")
    assert (wilson["ci_low"], wilson["ci_high"]) == pytest.approx((0.387348, 0.767442), rel=1e-4)
    exact = _find(rows, "effusion, before the marathon", "exact binomial")
    assert exact["p_value"] == pytest.approx(0.523467, rel=1e-4)


def test_meniscus_by_training_level(rows):
    find = lambda quantity: _find(rows, "meniscus grade 1", quantity, "high against low", "13")  # noqa: E731
    exact = find("odds ratio, conditional")
    assert (exact["estimate"], exact["p_value"]) == pytest.approx((1.879760, 0.688168), rel=1e-4)
    assert math.log(find("odds ratio, Firth")["estimate"]) == pytest.approx(0.604114, rel=1e-4)
    assert find("odds ratio, mid-p")["estimate"] == pytest.approx(1.863502, rel=1e-4)
    assert find("risk difference")["estimate"] == pytest.approx(0.153846, rel=1e-4)


def test_other_group_sizes_turn_the_direction_round(rows):
    row = _find(rows, "meniscus grade 1", "odds ratio, sample", "high against low", "16")
    assert row["estimate"] == pytest.approx(0.9)
    assert _find(rows, "meniscus grade 1", "odds ratio, conditional", "high against low", "16")["p_value"] == 1


def test_changes_over_the_marathon(rows):
    assert _find(rows, "effusion, change", "sign test")["p_value"] == pytest.approx(0.0625)
    corrected = _find(rows, "effusion, change", "McNemar")
    assert (corrected["estimate"], corrected["p_value"]) == pytest.approx((3.2, 0.073638), rel=1e-4)
    total = _find(rows, "total score, change", "Wilcoxon signed-rank V, exact")
    assert (total["estimate"], total["p_value"]) == (3, pytest.approx(0.5))
    for words, z, p in (("z, corrected", 1.41421, 0.157299), ("z, not corrected", 1.34164, 0.179712)):
        row = _find(rows, "total score, change", f"Wilcoxon signed-rank {words}")
        assert (row["estimate"], row["p_value"]) == pytest.approx((z, p), rel=1e-4)


def test_cartilage_as_an_ordered_outcome(rows):
    find = lambda quantity: _find(rows, "cartilage as grades 0, 1, 2", quantity, "high against low")  # noqa: E731
    logit = find("odds ratio, cumulative logit")
    assert math.log(logit["estimate"]) == pytest.approx(0.236961, rel=1e-4)
    assert logit["p_value"] == pytest.approx(0.787909, rel=1e-4)
    # A trend's chi-square is n r-squared of group and grade.
    r = np.corrcoef(np.repeat([1, 0], 13), [0] * 9 + [1] * 3 + [2] + [0] * 10 + [1] + [2] * 2)[0, 1]
    assert find("trend")["estimate"] == pytest.approx(26 * r**2)
    assert find("trend")["p_value"] == pytest.approx(math.erfc(abs(r) * (26 / 2) ** 0.5))
    assert find("Fisher")["p_value"] == pytest.approx(0.6802, rel=1e-4)


def test_every_group_comparison_states_its_assumption(rows):
    assert all(row["assumption"] for row in rows if row["group"] in ("high", "low", "high against low"))


def test_over_all_group_sizes_p_is_no_larger_than_at_equal_ones_and_the_direction_may_turn(rows):
    """13/13 is one of the splits, so its p can be no smaller; 16/10 turns the meniscus round."""
    over = [row for row in rows if row["quantity"].startswith("smallest Fisher's p")]
    assert {row["finding"] for row in over} == {
        "meniscus grade 1", "cartilage grade 1", "cartilage grade 2", "cartilage, any grade",
        "anterior cruciate ligament grade 1",
    }  # fmt: skip
    for row in over:
        at_equal = _find(rows, row["finding"], "odds ratio, conditional", "high against low", "13")
        assert row["p_value"] <= at_equal["p_value"]
    meniscus = next(row for row in over if row["finding"] == "meniscus grade 1")
    low, high = meniscus["note"].split("runs from ")[1].split(" to ")
    assert float(low) < 1 < float(high)


def test_power_of_the_published_comparison(rows):
    assert _find(rows, "meniscus grade 1", "power of Fisher", "high against low")["estimate"] == pytest.approx(
        0.077, abs=5e-4
    )


def test_what_is_out_of_reach_is_said(rows):
    missing = [row for row in rows if row["quantity"] == "not possible"]
    assert {row["finding"] for row in missing} == {
        "total lesion score, high against low",
        "effusion by training level",
        "foot strike",
    }
    assert all(row["note"] and "estimate" not in row for row in missing)


def test_the_table_keeps_its_contract(rows, tmp_path):
    tables.write_table(tmp_path / "published.tsv", rows, tables.PUBLISHED)
    assert len(tables.read_table(tmp_path / "published.tsv", tables.PUBLISHED)) == len(rows)


def test_claims_are_complete_and_in_plain_words():
    assert len(CLAIMS) == 8
    assert all(claim.claim and claim.evidence and len(claim.verdict) < 60 for claim in CLAIMS)


def test_the_figures_of_the_claims_are_those_of_the_table(rows):
    """Every number in a claim's evidence that can be computed is the re-created one."""
    said = {claim.claim: claim.evidence for claim in CLAIMS}
    mucoid = said["Running brings subtle mucoid change inside the meniscus."]
    menisci = _find(rows, "meniscus grade 1", "odds ratio, conditional", "high against low", "13")
    assert "6 runners with high, 4 with low" in mucoid
    assert f"Fisher p {menisci['p_value']:.2f} if both groups had 13" in mucoid
    effusion = _find(rows, "effusion, before the marathon", "proportion, Wilson")
    share, low, high = (round(100 * effusion[name]) for name in ("estimate", "ci_low", "ci_high"))
    mild = said["More than half of the runners had a mild effusion."]
    assert f"13 of 22 ({share} %, Wilson {low} to {high} %)" in mild
    assert "18 of 20" in mild
    transient = said["Transient lesions appear in the meniscus right after running."]
    assert _find(rows, "meniscus grade rose from 1 to 2 after the marathon", "proportion, Wilson")["count"] == 1
    for words in ("One of 22", "P > 0.05", "5 of 10 volunteers (1990)", "none of 5 trained runners (1991)"):
        assert words in transient
    cartilage = said["More kilometres go with more slight cartilage lesions."]
    for finding, words in (
        ("cartilage grade 1", "grade 1 in 3 and 1"),
        ("cartilage grade 2", "grade 2 in 1 and 2"),
        ("cartilage, any grade", "any grade in 4 and 3"),
    ):
        counts = [_find(rows, finding, "proportion, Wilson", group, "13")["count"] for group in ("high", "low")]
        assert words.endswith(f"in {counts[0]} and {counts[1]}")
        assert words in cartilage
    heel = said["Joggers who land on the heel and run more than 32 km a week had more lesions."]
    assert "Neither abstract has a strike variable" in heel
    assert f"{20 * 1.609344:.1f} km" in heel
    # None of them says that something brings about, or prevents, what was counted, but in the article's own words.
    assert not any(word in claim.verdict for claim in CLAIMS for word in ("cause", "prove", "prevent"))
