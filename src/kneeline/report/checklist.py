"""Reporting checklists filled in for this run: STROBE for the cohort, CLAIM 2024 for the imaging model.

Item numbers are those of the checklists; what each asks is said in our own short words, and the original is the one to
submit with a paper. An answer that depends on the run is computed from its tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kneeline import tables
from kneeline.report.gather import Results
from kneeline.report.methods import Reading, analysed_runners, network_names, reading
from kneeline.report.plots import outcome_words
from kneeline.report.summary import counted
from kneeline.report.views import Cell, View, view
from kneeline.report.words import percent

HERE, PARTLY, ADD, NONE = "reported", "in part", "for the study", "not applicable"
STATES = (HERE, PARTLY, ADD, NONE)


@dataclass(frozen=True)
class Item:
    """One item: number, what it asks for, how far this run answers, where on the page, and what to know.

    `section` is the anchor of a section of the page, or empty.
    """

    number: str
    asks: str
    state: str
    section: str
    note: str


@dataclass(frozen=True)
class Checklist:
    name: str
    key: str  # in REFERENCES; empty for our own
    items: tuple[Item, ...]

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(item.state for item in self.items)
        return {state: found[state] for state in STATES if found[state]}


SECTIONS = {
    "summary": "Summary", "methods": "Methods", "flow": "Flow", "set-aside": "Set aside", "quality": "Quality",
    "segment": "Segment", "grades": "Grades", "cases": "Cases", "table-one": "Runners", "findings": "Findings",
    "associations": "Associations", "agreement": "Readers", "machine-error": "Machine's error", "limits": "Limits",
    "validation": "Validation", "codebook": "Codebook", "provenance": "Provenance",
}  # fmt: skip


def checklists(found: Results, config: Mapping[str, Any]) -> tuple[Checklist, ...]:
    """All appendices, filled in for this run."""
    run = Facts.of(found, config)
    return (
        Checklist("STROBE, for the cohort (cross-sectional items)", "strobe", tuple(_strobe(run))),
        Checklist("CLAIM 2024 update, for the imaging model", "claim", tuple(_claim(run))),
        Checklist("What a journal asks besides", "", tuple(_besides(run))),
    )


def checklist_view(checklist: Checklist) -> View:
    counts = ", ".join(f"{n} {state}" for state, n in checklist.counts.items())
    return view(
        f"{checklist.name}: {counts}, of {len(checklist.items)} items",
        [
            ("item", lambda i: i.number),
            ("asks for", lambda i: i.asks),
            ("here", lambda i: Cell(i.state, kind=f"state state-{STATES.index(i.state)}")),
            ("section", lambda i: Cell(SECTIONS.get(i.section, ""), link=i.section)),
            ("evidence, or what is missing", lambda i: i.note),
        ],
        checklist.items,
    )


@dataclass(frozen=True)
class Facts:
    """What the answers depend on."""

    found: Results
    config: Mapping[str, Any]
    read: Reading | None
    simulated: bool
    estimated: frozenset[str]  # models with an estimate

    @classmethod
    def of(cls, found: Results, config: Mapping[str, Any]) -> Facts:
        models = frozenset(row["model"] for row in found[tables.ESTIMATES] if row["status"] == "estimated")
        return cls(found, config, reading(found), bool(config.get("simulate")), models)

    def fitted(self, *parts: str) -> bool:
        return any(part in model for model in self.estimated for part in parts)

    @property
    def primary(self) -> str:
        return outcome_words(self.config["analysis"]["primary_outcome"])

    @property
    def truth(self) -> bool:
        return bool(self.found[tables.TRUTH])

    @property
    def corrected(self) -> bool:
        return any(row["status"] == "estimated" for row in self.found[tables.MACHINE_ERROR])

    def agreement(self, statistic: str, among_readers: bool) -> list[tables.Row]:
        """Rows of AGREEMENT with an estimate; of readers with readers, or of the machine with a reader."""
        return [
            row
            for row in self.found[tables.AGREEMENT]
            if row["statistic"] == statistic
            and row["estimate"] is not None
            and not row["comparison"].startswith("assisted")
            and row["comparison"].startswith("machine") != among_readers
        ]


def _item(number: str, asks: str, state: str, section: str, *notes: str) -> Item:
    return Item(number, asks, state, section, " ".join(filter(None, notes)))


# --- STROBE -----------------------------------------------------------------------------------------------------------


def _strobe(run: Facts) -> list[Item]:
    found, plan = run.found, run.config["analysis"]
    aside = len(found.set_aside)
    return [
        _item("1a", "design named in title or abstract", ADD, "limits", "Cross-sectional: one look at each knee."),
        _item("1b", "balanced summary of what was done and found", PARTLY, "summary",
              "The summary gives numbers; the abstract is the study's."),
        _item("2", "background and reason", ADD, ""),
        _item("3", "aims, and hypotheses fixed beforehand", PARTLY, "methods",
              f"The settings name {run.primary} as the primary outcome; the study says when that was decided, and what "
              "was expected."),
        _item("4", "design early in the paper", PARTLY, "limits", "Cross-sectional; the sentence is the study's."),
        _item("5", "place, and dates of recruitment, exposure and data", ADD, "",
              "On purpose this page holds no date and no place."),
        _item("6", "who could take part, how they were found", PARTLY, "set-aside",
              "Rules that set scans aside are told; recruitment and eligibility of runners are the study's."),
        _item("7", "definitions of outcomes, exposures, confounders, modifiers", HERE, "codebook",
              "Thresholds and their sources stand under Grades; docs/statistics.md has the definitions."),
        _measured(run),
        _item("9", "what was done about bias", PARTLY, "limits",
              "Scoring saw no exposure.",
              "Confounders are adjusted for." if run.fitted("_adjusted") else "No adjusted model could be fitted.",
              "E-values say how strong an unmeasured one would have to be." if run.fitted("e_value") else "",
              "Selection of runners is the study's to discuss."),
        _item("10", "how the size came about", ADD, "associations" if run.fitted("power") else "",
              "The power at this size is shown; it is no reason for the size." if run.fitted("power") else
              "`kneeline power` answers it before a study."),
        _item("11", "how numbers were used, which groups and why", HERE, "methods",
              f"Distance as it is, per {plan['distance_unit_km']:g} km; the cut at {plan['distance_cut_km']:g} km only "
              "beside it, because the popular account has one."),
        _item("12a", "statistical methods and control of confounding", *_if(run.estimated, "methods"),
              "" if run.estimated else "No model was fitted in this run."),
        _item("12b", "subgroups and interactions", *_if(run.fitted("interaction"), "associations"),
              "" if run.fitted("interaction") else "The product of strike and distance was refused or not asked for."),
        _item("12c", "missing data", *_if(found[tables.FLOW], "methods"),
              "Complete cases, and beside them imputed exposures and covariates." if run.fitted("_imputed") else
              "Complete cases; nothing was imputed."),
        _item("12d", "sampling taken into account", PARTLY, "methods",
              "Two knees of a runner are clustered; how runners were sampled is the study's."),
        _item("12e", "sensitivity analyses", *_if(_sensitivity(run), "associations"), _sensitivity(run)),
        _item("13a", "numbers at each stage", HERE, "flow", f"{counted(len(found.scans), 'scan')} given, "
              f"{len(found.good)} scored, {counted(len(found.analysed), 'knee')} analysed. People who were asked and "
              "did not come are the study's."),
        _item("13b", "reasons for not taking part", HERE if aside else PARTLY, "set-aside",
              f"{counted(aside, 'scan')} set aside, each with its reason." if aside else
              "No scan was set aside; people who declined are the study's."),
        _item("13c", "flow diagram", HERE, "flow"),
        _item("14a", "characteristics of participants", *_if(found[tables.TABLE_ONE], "table-one"),
              "No p-values between groups."),
        _item("14b", "missing values of each variable", *_if(found[tables.TABLE_ONE], "table-one"), "In brackets."),
        _item("15", "outcome data", *_if(found[tables.PREVALENCE], "grades"), "Knees and runners with each grade."),
        _item("16a", "crude and adjusted estimates with precision; why these confounders",
              PARTLY if run.estimated else ADD, "associations",
              "Estimates with 95 % intervals; why these confounders and no others is the study's to argue "
              "(docs/statistics.md gives the reasons of the default)." if run.estimated else "No model was fitted."),
        _item("16b", "bounds of categories", HERE, "grades", "Every threshold of a grade is listed."),
        _item("16c", "absolute risks where relative ones are given", *_if(found[tables.JOINT_CELLS], "findings"),
              "Risks of the four cells of strike by distance." if found[tables.JOINT_CELLS] else
              "No joint cells in this run."),
        _item("17", "other analyses", *_if(run.estimated, "associations"),
              "Secondary outcomes are marked as exploratory." if run.estimated else ""),
        _item("18", "key results against the aims", PARTLY, "summary", "In numbers; what they mean is the study's."),
        _item("19", "limits, with direction and size of bias", PARTLY, "limits",
              "Those that this run shows; the study adds its own.",
              "What the machine's error does is computed." if run.corrected else
              "What the machine's error does is not known here."),
        _item("20", "cautious interpretation", ADD, "limits", "The page speaks of prevalence and association only."),
        _item("21", "how far it generalises", ADD, "limits"),
        _item("22", "funding and its role", ADD, ""),
    ]  # fmt: skip


def _if(there: Any, section: str) -> tuple[str, str]:
    return (HERE, section) if there else (ADD, "")


def _measured(run: Facts) -> Item:
    runners = analysed_runners(run.found)
    bare = [row for row in runners if row["strike_style"] and not row["strike_method"]]
    bare += [row for row in runners if row["weekly_distance_km"] is not None and not row["distance_source"]]
    asks = "how each thing was measured, alike in all groups"
    if not any(row["strike_style"] or row["weekly_distance_km"] is not None for row in runners):
        return _item("8", asks, PARTLY, "grades", "Grades are measured alike in all; no exposure is recorded.")
    if bare:
        return _item("8", asks, PARTLY, "methods",
                     f"Of {counted(len({r['participant_id'] for r in bare}), 'runner')} the sheet does not say how "
                     "strike or distance was found.")  # fmt: skip
    return _item("8", asks, HERE, "methods", "Source of strike and distance are counted; one program graded all knees.")


def _sensitivity(run: Facts) -> str:
    kinds = (
        ("_adjusted_", "other adjustment sets"), ("_imputed", "imputed data"),
        ("proportional_odds", "odds ratios at each cut"),
        ("random_intercept", "within a runner"), ("firth_", "penalised logit"), ("gee_", "grade 1 or more by GEE"),
        ("exact_", "exact table"), ("e_value", "E-values"), ("_spline", "spline"),
    )  # fmt: skip
    made = [name for part, name in kinds if run.fitted(part)]
    made += ["correction for the machine's error"] if run.corrected else []
    return f"Made in this run: {', '.join(made)}." if made else ""


# --- CLAIM ------------------------------------------------------------------------------------------------------------

_CARD = "docs/model-card.md"


def _claim(run: Facts) -> list[Item]:
    found, read = run.found, run.read
    networks = network_names(found)
    digest = next(iter(networks))[0][:12] + "…" if len(networks) == 1 else ""
    standard, why = _standard(run)
    shown = "validation" if run.truth else "agreement" if read else ""
    return [
        _item("1", "named as AI, with its kind", ADD, "segment", "A convolutional network outlines; grades follow from "
              "measurements by fixed thresholds."),
        _item("2", "summary of design, methods, results", ADD, "summary"),
        _item("3", "background, intended use and role", PARTLY, "", f"Intended use and what it is not for: {_CARD}."),
        _item("4", "aims and hypotheses", ADD, ""),
        _item("5", "prospective or retrospective", ADD, "", "The program cannot know."),
        _item("6", "goal of the study", ADD, ""),
        _item("7", "where the data are from", PARTLY, "quality",
              f"Scans and scanners are counted; their origin is the study's. Training data: {_CARD}."),
        _item("8", "inclusion and exclusion", PARTLY, "set-aside", "Of scans by rule; of people by the study."),
        _item("9", "preprocessing", HERE, "", f"docs/ingest.md and {_CARD}."),
        _item("10", "how a part of the data was chosen", HERE, "quality",
              "Every series found is listed with the one that was read, and why not the others."),
        _item("11", "de-identification", PARTLY, "", "Results hold no name and no date of the headers "
              "(docs/ingest.md); what was done before the program saw the files is the study's."),
        _item("12", "missing data", HERE, "methods", "Missing is n/a and never 0; docs/statistics.md."),
        _item("13", "acquisition", HERE if found.sidecars else PARTLY, "quality",
              "Scanner, field, sequence, echo and repetition times, resolution." if found.sidecars else
              "Contrast and resolution; scanner and sequence are not in this run's files."),
        _item("14", "reference standard", standard, shown, why),
        _item("15", "why this reference standard", ADD if read else standard, shown,
              "The study argues for its readers." if read else why),
        _item("16", "who annotated, with what training", ADD if read else NONE, "agreement" if read else "",
              f"Readers by code: {', '.join(read.raters)}; qualification and experience are the study's." if read else
              "Nobody annotated these scans."),
        _annotation(read),
        _variability(run),
        _item("19", "how data were split", HERE, "", "No scan of this cohort was used to train or to choose the "
              f"network; training was on other, simulated images ({_CARD}).",
              "These knees come from the same simulator, so they test what it assumes." if run.simulated else ""),
        _item("20", "level at which the parts are apart", HERE, "", f"By anatomy and seed: {_CARD}."),
        _item("21", "size of the test set", ADD, "", f"{counted(read.knees, 'knee')} were read here; why so many is "
              "the study's." if read else "No test set with readers in this run."),
        _item("22", "the model in detail", HERE, "provenance", f"{_CARD}{f'; network {digest}' if digest else ''}."),
        _item("23", "software and versions", HERE, "provenance"),
        _item("24", "initial weights", HERE, "", f"{_CARD}, the recipe."),
        _item("25", "training", HERE, "", f"{_CARD}, the recipe with seeds, rates, hardware and losses."),
        _item("26", "how the final model was chosen", HERE, "", f"{_CARD} and docs/network-comparison.md; one real "
              "series took part in a choice and is said to."),
        _item("27", "ensembles", NONE, "", f"One network; how its weights were averaged: {_CARD}."),
        _item("28", "measures of performance", HERE, shown, "Dice, surface distance, volume error and kappa on "
              "simulated knees: docs/validation.md." + (" Agreement with readers here." if read else "")),
        _item("29", "uncertainty", HERE, shown or "associations", "95 % intervals throughout; runners, not knees, are "
              "resampled."),
        _item("30", "robustness", PARTLY, "", "By contrast, slice thickness and anatomy, on simulated knees: "
              "docs/validation.md."),
        _item("31", "explanations", HERE, "cases", "Each grade follows from stored measurements by a listed threshold; "
              "outlines are shown."),
        _item("32", "tests on internal data", HERE, "", "Simulated knees never seen in training: docs/validation.md."),
        _item("33", "tests on external data", *_external(run)),
        _item("34", "registration of a trial", ADD, ""),
        _item("35", "numbers included and excluded", HERE, "flow"),
        _item("36", "characteristics of the cases in each part", PARTLY, "table-one",
              "Of this cohort; training cases are simulated."),
        _item("37", "performance with its uncertainty", *_performance(run)),
        _item("38", "diagnostic performance with its precision", PARTLY if run.corrected else ADD,
              "machine-error" if run.corrected else "",
              "Machine's grade at each grade of the reader, who is taken for the truth." if run.corrected else
              "No knee was read by enough readers, or by none: sensitivity and specificity are not known here."),
        _item("39", "where it fails", HERE, "cases", "Least trusted knee of each grade, scans set aside; the worst of "
              "the simulated ones: docs/worst-cases.md."),
        _item("40", "limits", HERE, "limits", f"And {_CARD}."),
        _item("41", "what follows for practice", ADD, "", f"Not for diagnosis: {_CARD}."),
        _item("42", "full protocol or technical details", PARTLY, "provenance", "Configuration as run and docs/; the "
              "study's protocol is its own."),
        _item("43", "where software, model and data can be had", PARTLY, "provenance",
              "Program and network: Apache-2.0, in one package. The study's data are its own."),
        _item("44", "funding and its role", ADD, ""),
    ]  # fmt: skip


def _standard(run: Facts) -> tuple[str, str]:
    if run.read:
        return HERE, f"Grades by {counted(len(run.read.raters), 'reader')}, {counted(run.read.knees, 'knee')}."
    if run.truth:
        return HERE, "What was built into the simulated knees."
    return ADD, "None in this run: nobody read these knees."


def _annotation(read: Reading | None) -> Item:
    asks = "how the test set was annotated"
    if read is None:
        return _item("17", asks, NONE, "", "Nobody annotated these scans.")
    if read.blinded:
        return _item("17", asks, HERE, "agreement", "On the blinded reading page (docs/reading.md); digests of page "
                     "and images are in the readings table.")  # fmt: skip
    return _item("17", asks, ADD, "agreement", "The readings table does not say with what it was made.")


def _variability(run: Facts) -> Item:
    asks = "agreement between and within readers"
    between = [row for row in run.agreement("weighted_kappa_quadratic", True) if _two_readers(row)]
    within = [row for row in run.agreement("weighted_kappa_quadratic", True) if not _two_readers(row)]
    if between or within:
        kinds = [name for rows, name in ((between, "between readers"), (within, "of a reader with himself")) if rows]
        lacking = [name for rows, name in ((between, "between readers"), (within, "within a reader")) if not rows]
        return _item("18", asks, PARTLY if lacking else HERE, "agreement",
                     f"Shown: {', '.join(kinds)}.", f"Not known: {', '.join(lacking)}." if lacking else "")  # fmt: skip
    why = (
        "one reader, once" if run.read and len(run.read.raters) == 1 else "too few knees" if run.read else "nobody read"
    )
    return _item("18", asks, ADD, "agreement" if run.read else "", f"Not known: {why}.")


def _two_readers(row: tables.Row) -> bool:
    one, _, two = row["comparison"].partition(" with ")
    return one.rpartition(" reading ")[0] != two.rpartition(" reading ")[0]


def _external(run: Facts) -> tuple[str, str, str]:
    if run.simulated:
        return ADD, "", "None: these knees are simulated, and no real knees with reference outlines were at hand."
    if run.agreement("weighted_kappa_quadratic", False):
        return PARTLY, "agreement", "This run's own scans against its readers, for grades; outlines have no reference."
    return ADD, "", "None: no reader graded these knees, and no real knees with reference outlines were at hand."


def _performance(run: Facts) -> tuple[str, str, str]:
    rows = run.agreement("exact_agreement", False)
    if rows:
        best = max(rows, key=lambda row: row["n"] or 0)
        return (
            HERE,
            "agreement",
            (f"E.g. {best['structure'].replace('_', ' ')}: {percent(best['estimate'])} of {best['n']} exact."),
        )
    if run.truth:
        return HERE, "validation", "Against what was built into the simulated knees; an upper bound for real ones."
    return ADD, "", "Not known for this cohort: nobody read. On simulated knees: docs/validation.md."


# --- besides ----------------------------------------------------------------------------------------------------------


def _besides(run: Facts) -> Sequence[Item]:
    if run.read is None:
        blind = (NONE, "", "Nobody read these knees.")
    elif run.read.blinded:
        blind = (
            HERE,
            "agreement",
            "All readings are blind: from pages without identity, exposure or machine grade, or said to be so.",
        )
    else:
        blind = (ADD, "agreement", "The readings table does not say whether readers were blind.")
    return (
        _item("-", "ethics approval and consent", NONE if run.simulated else ADD, "",
              "Simulated knees; there are no participants." if run.simulated else "The program cannot know."),
        _item("-", "readers blind to exposure and to the machine", *blind),
        _item("-", "scoring blind to exposure", HERE, "methods",
              "By construction: only the cohort stage reads the participants' sheet."),
        _item("-", "analysis fixed beforehand", PARTLY, "provenance",
              "The configuration as run is here, with checksums; a date before the data is the study's to show."),
        _item("-", "same result from the same data", HERE, "provenance",
              "Same inputs and versions give the same bytes; seeds and checksums are listed."),
    )  # fmt: skip
