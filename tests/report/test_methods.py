"""The methods section claims what has rows, cites what was used, and counts what was done."""

import re

import pytest

from kneeline import tables
from kneeline.report import references
from kneeline.report.gather import Results, gather
from kneeline.report.methods import methods, reading, refusals

SHA = "0" * 64


@pytest.fixture(scope="module")
def found(results):
    folder, truth = results
    return gather(folder, folder / "report", truth)


def paragraphs(found, config):
    return dict(methods(found, config).paragraphs)


def readings(*rows, **more):
    """Rows (rater, reading, participant) of READINGS, one grade each."""
    base = {"session_id": "ses-01", "laterality": "L", "structure": "effusion", "region": None, "grade": 1}
    return [base | {"rater_id": a, "reading": n, "participant_id": p} | more for a, n, p in rows]


def estimated(model, term="rearfoot", **more):
    row = dict.fromkeys(tables.ESTIMATES.header)
    return row | {"model": model, "outcome": "signal_grade", "term": term, "status": "estimated", "scale": "odds_ratio",
                  "estimate": 1.5} | more  # fmt: skip


def test_scans_are_counted_as_they_are(found, made):
    text = paragraphs(found, made.CONFIG)["Scans"]
    assert "26 knee MRI scans of 26 runners were given" in text
    assert "The knees are simulated (seed 2006)" in text
    assert "3 scans were set aside by rule" in text
    for reason in ("missing slice (at ingest) (1)", "burned in (at ingest) (1)", "not a knee (at segment) (1)"):
        assert reason in text
    assert "Acme Knee 3, 3 T (all)" in text
    assert "PDFS (all); slice thickness 3 mm" in text


def test_the_network_is_the_one_that_each_scan_records(found, made):
    assert (
        f"SHA-256 {made.NETWORK['network'][:12]}…, onnxruntime 1.2.3 float32"
        in (paragraphs(found, made.CONFIG)["Outlines"])
    )
    other = {**found.networks, next(iter(found.networks)): {**made.NETWORK, "network": "cd" * 32}}
    text = paragraphs(Results(found.rows, networks=other), made.CONFIG)["Outlines"]
    assert "abababababab" in text
    assert "cdcdcdcdcdcd" in text
    assert "Not all scans were outlined by the same network" in text
    assert "SHA-256" not in paragraphs(Results(found.rows), made.CONFIG)["Outlines"]


def test_corrected_outlines_are_told(found, made):
    assert "No outline was corrected by hand." in paragraphs(found, made.CONFIG)["Outlines"]
    scans = [dict(row) for row in found.scans]
    for row in scans[:2]:
        row["outlined_by"] = "edited by anna"
    edited = Results({**found.rows, tables.INGEST_SCANS.name: scans})
    assert "The outlines of 2 knees were corrected by hand" in paragraphs(edited, made.CONFIG)["Outlines"]


def test_every_reference_is_used_and_every_number_leads_to_one(found, made):
    written = methods(found, made.CONFIG)
    groups = [group for _, text in written.paragraphs for group in re.findall(r"\[([\d,]+)\]", text)]
    numbers = [int(n) for group in groups for n in group.split(",")]
    assert set(numbers) == set(range(1, len(written.references) + 1))
    first = list(dict.fromkeys(numbers))
    assert first == sorted(first)  # in the order of first mention
    assert len(set(written.references)) == len(written.references)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("cumulative_logit_adjusted", "mccullagh"), ("cumulative_logit_spline", "harrell"), ("firth_adjusted", "firth"),
        ("gee_adjusted", "mancl"), ("proportional_odds_check", "brant"), ("e_value_adjusted", "e_value"),
        ("additive_interaction_mover", "zou"), ("power_crude_strike", "whitehead"),
        ("cumulative_logit_adjusted_imputed", "rubin"),
    ],
)  # fmt: skip
def test_a_method_is_cited_where_it_has_an_estimate_and_nowhere_else(model, key, made):
    title = references.REFERENCES[key]

    def cited(rows):
        return title in methods(Results({tables.ESTIMATES.name: rows}), made.CONFIG).references

    assert cited([estimated(model)])
    assert not cited([estimated("exact_crude_strike")])
    assert not cited([estimated("exact_crude_strike"), estimated(model, status="refused", reason="sparse: few")])


def test_adjusted_models_name_the_covariates_that_they_hold(made):
    rows = [estimated("cumulative_logit_adjusted", term) for term in ("rearfoot", "age_years", "sex_M")]
    text = paragraphs(Results({tables.ESTIMATES.name: rows}), made.CONFIG)["Statistical analysis"]
    assert "Adjusted models hold age and sex (not body mass index:" in text


def test_multiplicity_is_told_as_it_was_done(made):
    def text(*rows):
        return paragraphs(Results({tables.ESTIMATES.name: list(rows)}), made.CONFIG)["Statistical analysis"]

    primary = estimated("cumulative_logit_adjusted", role="primary", p_adjusted=0.04)
    second = estimated("cumulative_logit_adjusted", role="secondary", p_adjusted=0.2)
    assert "P-values of the primary outcome are not adjusted for multiplicity." in text(estimated("linear_adjusted"))
    assert "adjusted by Holm" in text(primary)
    assert "those of 1 exploratory contrast" in text(second)
    assert "Holm" not in text(second)


def test_refusals_are_gathered_by_reason(made):
    rows = [
        estimated("additive_interaction", "reri", status="refused", reason="sparse: too few in a cell"),
        estimated("additive_interaction_mover", "reri", status="refused", reason="sparse: too few in a cell"),
        estimated("firth_adjusted", status="refused", reason="separation: by shoe_drop_mm"),
        estimated("cumulative_logit_adjusted_imputed", status="refused", reason="nothing_missing: nothing is missing"),
    ]
    assert refusals(Results({tables.ESTIMATES.name: rows})) == [
        ("too few in a cell", "meniscal signal grade: additive interaction"),
        ("by shoe drop (mm)", "meniscal signal grade: penalised logit of grade 1 or more: adjusted"),
    ]


def test_readers_are_counted_and_blinding_is_what_the_table_shows(found, made):
    assert "No reader graded these knees" in paragraphs(found, made.CONFIG)["Readers"]
    rows = readings(("anna", 1, "sub-001"), ("anna", 2, "sub-001"), ("anna", 1, "sub-002"), ("ben", 1, "sub-001"))
    for page, said in (
        (SHA, "They read blind"),
        (None, "does not say whether they were"),
    ):
        with_page = [{**row, "package_sha256": page} if page else row for row in rows]
        text = paragraphs(Results({**found.rows, tables.READINGS.name: with_page}), made.CONFIG)["Readers"]
        assert "2 readers graded 2 knees, 1 of them twice by the same reader." in text
        assert said in text
    mixed = [{**rows[0], "package_sha256": SHA}, *rows[1:]]
    assert reading(Results({tables.READINGS.name: mixed})).blinded is None


def test_nothing_at_all_still_makes_sentences(made):
    written = methods(Results({}), made.CONFIG)
    text = " ".join(text for _, text in written.paragraphs)
    assert "0 knee MRI scans of 0 runners were given" in text
    assert "No model was fitted." in text
    assert "None" not in text.replace("None was set aside", "")


def test_no_word_of_cause_or_incidence(found, made):
    text = " ".join(text for _, text in methods(found, made.CONFIG).paragraphs).lower()
    for word in ("incidence", "cause", "risk factor", "effect of", "significant", "*"):
        assert word not in text


def test_readings_with_the_machines_help_are_counted_apart(found, made):
    rows = readings(("anna", 1, "sub-001"), ("anna", 1, "sub-002"), phase="blind")
    rows += readings(("anna", 2, "sub-001"), phase="assisted")
    text = paragraphs(Results({**found.rows, tables.READINGS.name: rows}), made.CONFIG)["Readers"]
    assert "1 reader graded 2 knees. They read blind" in text
    assert "1 knee was graded again with the machine's results in view" in text
    assert reading(Results({tables.READINGS.name: rows[2:]})) is None


def test_a_run_whose_models_are_all_refused_claims_none(made):
    rows = [
        estimated(model, status="refused", reason="sparse: too few") for model in ("linear_adjusted", "gee_adjusted")
    ]
    written = paragraphs(Results({tables.ESTIMATES.name: rows}), made.CONFIG)
    assert "every one was refused" in written["Statistical analysis"]
    assert "adjusted" not in written["Statistical analysis"]
    assert "Further models" not in written
    assert "Missing values" not in written
