"""Sentences that the page generates from the numbers: what was run, what was found, what the data cannot show."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from kneeline import __version__, tables
from kneeline.report.gather import Results
from kneeline.report.plots import RATIOS, is_exposure, outcome_words, strike_group
from kneeline.report.words import amount, estimate, interval, p_value, percent, term_words
from kneeline.tables import Row


def counted(n: int, word: str, plural: str | None = None) -> str:
    """
    >>> counted(1, "knee"), counted(0, "knee"), counted(2, "study", "studies")
    ('1 knee', '0 knees', '2 studies')
    """
    return f"{n} {word if n == 1 else plural or word + 's'}"


def what_was_run(results: Results) -> str:
    runners = len({row["participant_id"] for row in results.scans})
    review = sum(row["verdict"] not in (None, "ok") for row in results.good)
    text = (
        f"kneeline {__version__} was given {counted(len(results.scans), 'scan')} of {counted(runners, 'runner')}: "
        f"{_were(len(results.good), 'knee')} segmented and scored, {_were(len(results.set_aside), 'scan')} set aside"
    )
    if results.set_aside:
        text += ", each with its reason"
    if review:
        text += f"; {counted(review, 'segmentation')} should be looked at before the scores are trusted"
    if edited := edited_knees(results):
        text += f"; the outlines of {counted(len(edited), 'knee')} were corrected by hand"
    return f"{text}."


def edited_knees(results: Results) -> list[Row]:
    """Statuses of the scored knees whose outlines a person corrected."""
    return [row for row in results.good if tables.is_edited(row)]


def _were(n: int, word: str) -> str:
    return f"{counted(n, word)} {'was' if n == 1 else 'were'}"


def what_was_found(results: Results, config: Mapping[str, Any]) -> str:
    """Prevalence of the primary outcome and its adjusted association with strike and with distance, or the refusal."""
    outcome = config["analysis"]["primary_outcome"]
    column = {"log_fluid_ml": "fluid_ml"}.get(outcome, outcome)
    known = [row[column] for row in results.analysed if row.get(column) is not None]
    if not known:
        return f"No knee has a {outcome_words(outcome)}, so nothing can be said about how common findings are."
    if outcome.endswith("_grade"):
        with_it = sum(grade >= 1 for grade in known)
        text = (
            f"{_with_article(outcome_words(outcome))} of 1 or more was found in {with_it} of "
            f"{counted(len(known), 'knee')} ({percent(with_it / len(known))}{_share_interval(results, outcome)})"
        )
    else:
        middle = amount(median(known), "mL" if column == "fluid_ml" else "").strip()
        text = f"The median {outcome_words(outcome)} of {counted(len(known), 'knee')} is {middle}"
    exposures = [row for row in results[tables.ESTIMATES] if is_exposure(row)]
    adjusted = [row for row in exposures if row["model"].endswith("_adjusted") and row["outcome"] == outcome]
    for start, of, refusal in (
        ("rearfoot", "a rearfoot strike against the others", "foot strike"),
        ("distance", "", "weekly distance"),
    ):
        row = next((row for row in adjusted if row["term"].startswith(start) and ":" not in row["term"]), None)
        if row and row["status"] == "estimated":
            text += (
                f"; the adjusted {RATIOS[row['scale']]} of {of or term_words(row['term']) + ' a week'} is "
                f"{estimate(row['estimate'])} "
                f"(95 % interval {interval(row['ci_low'], row['ci_high'])}, p {_equals(row['p_value'])})"
            )
        elif row:
            text += f"; the adjusted model of {refusal} was refused"
    refused = sum(row["status"] == "refused" for row in exposures)
    if refused:
        asked = counted(len(exposures), "contrast")
        text += f"; {refused} of {asked} of strike and distance were refused, each with its reason"
    return text + "."


def _share_interval(results: Results, outcome: str) -> str:
    """Wilson's interval of the share of knees with grade 1 or more, as the analysis has it."""
    wanted = (outcome, ">=1", "knees", "overall")
    for row in results[tables.PREVALENCE]:
        if (row["outcome"], row["level"], row["unit"], row["group"]) == wanted and row["wilson_low"] is not None:
            return f", 95 % interval {percent(row['wilson_low'])[:-2]} to {percent(row['wilson_high'])}"
    return ""


def _with_article(words: str) -> str:
    return f"{'An' if words[0] in 'aeiou' else 'A'} {words}"


def _equals(value: float | None) -> str:
    shown = p_value(value)
    return shown if shown.startswith("<") else f"= {shown}"


def what_it_cannot_show(results: Results) -> str:
    runners = {row["participant_id"]: row for row in results.analysed}
    others = sum(strike_group(row) == "other strike" for row in runners.values())
    return (
        f"With {counted(len(runners), 'runner')} in the analysis, {others} of whom are known not to land on the heel, "
        "these data can describe how common findings are and whether they go together with foot strike and distance; "
        "they cannot show that running, distance or foot strike causes a lesion or prevents one."
    )


def limits(results: Results, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(short name, sentence) pairs; those that depend on the data carry its numbers."""
    knees = results.analysed
    runners = list({row["participant_id"]: row for row in knees}.values())
    n = len(runners)
    said = [
        (
            "Cross-sectional",
            "Each knee was imaged at one time. What is reported is prevalence and association, never incidence, cause "
            "or prevention; findings may have come before the running habit.",
        ),
        (
            "Self-selected",
            "Runners who volunteer, and who can still run, are seen; those who stopped because of their knees are not. "
            "There is no group of people who do not run.",
        ),
    ]
    if n:
        guessed = sum(row["strike_method"] == "self_report" for row in runners)
        unknown = sum(row["strike_style"] is None for row in runners)
        others = sum(strike_group(row) == "other strike" for row in runners)
        said.append(
            (
                "Foot strike",
                f"Measured once and at one speed, though it changes with speed and fatigue. Of {counted(n, 'runner')}, "
                f"{others} do not strike with the rearfoot, {unknown} have no strike style, and {guessed} reported it "
                "themselves, which is right in fewer than half (43 % of 710 runners, Vincent 2024).",
            )
        )
    power = [
        row
        for row in results[tables.ESTIMATES]
        if row["model"].startswith("power") and row["outcome"] == config["analysis"]["primary_outcome"]
    ]
    if any(row["status"] == "estimated" for row in power):
        shown = ", ".join(f"{percent(row['estimate'])} {row['term']}" for row in power if row["estimate"] is not None)
        said.append(
            ("Size", f"The chance of finding p < 0.05 between strike groups with this many runners: {shown}. "
                     "An interval that includes 1 is no evidence that there is no difference.")
        )  # fmt: skip
    if n:
        rest = sum(row["hours_since_run"] is None for row in runners)
        said.append(
            (
                "Time since the last run",
                "A run changes joint fluid and meniscal signal for hours to days. "
                f"{counted(n - rest, 'runner')} of {n} {'has' if n - rest == 1 else 'have'} this time recorded; "
                "it is not adjusted for unless the config says so.",
            )
        )
        no_grade = sum(row["signal_grade"] is None for row in knees)
        no_effusion = sum(row["effusion_grade"] is None for row in knees)
        said.append(
            (
                "Missing values",
                f"{counted(no_grade, 'knee')} without a signal grade and {no_effusion} without an effusion grade are "
                "shown as n/a, left out of the models that need them, and never counted as 0.",
            )
        )
    said += [
        (
            "Distance cut",
            f"A cut at {config['analysis']['distance_cut_km']:g} km a week is shown because a popular account of the "
            "2006 study uses one. The study's own abstract has no such cut, and no foot strike.",
        ),
        (
            "Machine-made grades",
            "Grades follow from measurements by fixed thresholds, on labels drawn by a network trained on simulated "
            "knees. They are for research, not for diagnosis; a change of threshold changes a grade.",
        ),
    ]
    return said
