"""The methods section in plain words, made from what this run did: only what has rows in its tables is claimed.

Numbers, versions and refusals come from the tables; a reference stands where its method was used and nowhere else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from kneeline import __version__, grading, tables
from kneeline.report.gather import Results
from kneeline.report.plots import is_exposure, model_words, outcome_words
from kneeline.report.references import Citations
from kneeline.report.summary import counted, edited_knees
from kneeline.report.views import View, view
from kneeline.report.words import number, refusal, term_words
from kneeline.tables import Row

STRIKE_METHODS = {
    "video": "from video",
    "foot_strike_angle": "from the foot-strike angle",
    "strike_index": "from the strike index",
    "self_report": "by the runners' own report",
}
COVARIATES = {
    "age_years": "age", "sex": "sex", "bmi_kg_m2": "body mass index", "running_years": "years of running",
    "sessions_per_week": "sessions a week", "pace_min_per_km": "pace", "shoe_drop_mm": "heel-to-toe drop of the shoe",
    "hours_since_run": "hours since the last run", "foot_strike_angle_deg": "foot-strike angle",
    "strike_index_pct": "strike index",
}  # fmt: skip
DISTANCE_SOURCES = {"gps": "GPS", "diary": "a diary", "recall": "recall"}


@dataclass(frozen=True)
class Methods:
    """Paragraphs as (heading, text), and what they cite in the order of its numbers."""

    paragraphs: tuple[tuple[str, str], ...]
    references: tuple[str, ...]


def methods(found: Results, config: Mapping[str, Any]) -> Methods:
    """The methods section of this run."""
    cite = Citations()
    written = (
        ("Scans", _scans(found, config)),
        ("Outlines", _outlines(found)),
        ("Grades", _grades(found, cite)),
        ("Foot strike and distance", _exposures(found, cite)),
        ("Readers", _readers(found, cite)),
        ("Statistical analysis", _analysis(found, config, cite)),
        ("Further models", _further(found, config, cite)),
        ("Missing values", _missing(found, config, cite)),
        ("What was refused", _refused(found)),
        ("Software", _software(found, config, cite)),
    )
    paragraphs = [(heading, " ".join(filter(None, sentences))) for heading, sentences in written]
    return Methods(tuple((heading, text) for heading, text in paragraphs if text), tuple(cite.listed))


# --- images -----------------------------------------------------------------------------------------------------------


def _scans(found: Results, config: Mapping[str, Any]) -> Iterable[str]:
    runners = len({row["participant_id"] for row in found.scans})
    simulated = config.get("simulate")
    if simulated:
        yield (
            f"The knees are simulated (seed {simulated['seed']}); there are no participants, and nothing here is "
            "evidence about people."
        )
    were = "was" if len(found.scans) == 1 else "were"
    yield f"{counted(len(found.scans), 'knee MRI scan')} of {counted(runners, 'runner')} {were} given to the analysis."
    quality = [row for row in found[tables.QUALITY] if row["contrast"]]
    if quality:
        contrasts = Counter(row["contrast"] for row in quality)
        yield f"Contrast of the series that were read: {listed(contrasts)}{_slices(quality)}."
    scanners = Counter(filter(None, map(scanner, found.sidecars.values())))
    if scanners:
        yield f"Scanners: {listed(scanners)}."
    if found.set_aside:
        why = Counter((row["stage"] or tables.MISSING, words_of_code(row["reason_code"])) for row in found.set_aside)
        reasons = listed(Counter({f"{code} (at {stage})": n for (stage, code), n in why.items()}))
        n = len(found.set_aside)
        were = "was" if n == 1 else "were"
        yield f"{counted(n, 'scan')} {were} set aside by rule, without looking at any result: {reasons}."
    elif found.scans:
        yield "None was set aside."
    sources = Counter(row["laterality_source"] for row in found.good)
    names = {
        "table": "given in the scans table", "tag": "read from the DICOM header", "text": "read from the series' text",
        "fibula": "found from the place of the fibula", None: "not known",
    }  # fmt: skip
    if sources:
        yield f"The side of the knee was {listed(Counter({names[k]: n for k, n in sources.items()}), 'in')}."


def _slices(quality: Sequence[Row]) -> str:
    thick = sorted(row["slice_thickness_mm"] for row in quality if row["slice_thickness_mm"] is not None)
    pixel = sorted(row["pixel_mm"] for row in quality if row["pixel_mm"] is not None)
    parts = [f"{name} {spread(values)} mm" for name, values in (("slice thickness", thick), ("pixel", pixel)) if values]
    return "; " + ", ".join(parts) if parts else ""


def spread(values: Sequence[float]) -> str:
    """Median with range, or the one value.

    >>> spread([3.0, 3.0]), spread([2.5, 3.0, 4.0])
    ('3', '3 (2.50 to 4)')
    """
    low, middle, high = min(values), median(values), max(values)
    return number(middle) if low == high else f"{number(middle)} ({number(low)} to {number(high)})"


def scanner(sidecar: Mapping[str, Any]) -> str | None:
    """`Siemens Skyra, 3 T`; None if the file says nothing."""
    name = " ".join(str(sidecar[k]) for k in ("Manufacturer", "ManufacturersModelName") if sidecar.get(k))
    field = sidecar.get("MagneticFieldStrength")
    return ", ".join(filter(None, (name, f"{number(field)} T" if isinstance(field, int | float) else ""))) or None


def words_of_code(code: str | None) -> str:
    return (code or "no reason code").replace("_", " ")


def listed(counts: Mapping[str, int], word: str = "") -> str:
    """Commonest first; the count is left out where there is one thing only.

    >>> listed({"PD": 3, "T1": 1}), listed({"PD": 3}), listed({"given": 2, "read": 1}, "in")
    ('PD (3), T1 (1)', 'PD (all)', 'given in 2, read in 1')
    """
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if word:
        return ", ".join(f"{name} {word} {'all' if len(order) == 1 else n}" for name, n in order)
    return ", ".join(f"{name} ({'all' if len(order) == 1 else n})" for name, n in order)


def network_names(found: Results) -> dict[tuple[str, str], int]:
    """Scans by (network's SHA-256, engine with version and precision) as each scan's own file records it."""
    made = (
        (note["network"], " ".join(str(note[k]) for k in ("engine", "version", "precision") if note.get(k)))
        for note in found.networks.values()
        if note.get("network")
    )
    return dict(sorted(Counter(made).items()))


def _outlines(found: Results) -> Iterable[str]:
    if not found.good:
        return
    networks = network_names(found)
    named = [f"SHA-256 {digest[:12]}…, {engine}" for digest, engine in networks]
    yield (
        "Bones, cartilage, menisci and joint fluid were outlined by a convolutional network (2.5-D, trained on "
        f"simulated images only{'; ' + ' and '.join(named) if named else ''}); fluid and synovium are one class."
    )
    if len(networks) > 1:
        yield "Not all scans were outlined by the same network or engine."
    verdicts = Counter(row["verdict"] for row in found.good)
    names = {
        "ok": "may be used", "review": "should be looked at", "unusable": "cannot be used", None: "without a verdict",
    }  # fmt: skip
    said = ", ".join(f"{verdicts[v]} {name}" for v, name in names.items() if verdicts[v])
    yield (
        "By fixed bounds on anatomy, sharpness and calibrated confidence, of "
        f"{counted(len(found.good), 'segmentation')} {said}; "
        "a knee that cannot be used enters no prevalence and no model."
    )
    edited = edited_knees(found)
    if edited:
        yield (
            f"The outlines of {counted(len(edited), 'knee')} were corrected by hand; they count in place of the "
            "network's, and these knees take no part in what is said about the machine's agreement and error."
        )
    else:
        yield "No outline was corrected by hand."


def _grades(found: Results, cite: Citations) -> Iterable[str]:
    if found[tables.MENISCUS]:
        yield (
            "Meniscal signal was graded 0 to 3 in six regions by fixed thresholds on the measured signal (0 uniformly "
            "dark, 1 focal, 2 linear, 3 reaching an articular surface on at least "
            f"{grading.SIGNAL.touch_slices} images {cite('shellock', 'de_smet')}; rule version "
            f"{grading.SIGNAL.version}); the grade of a knee is the highest of its regions, and missing while an "
            "ungraded region could be higher."
        )
    if found[tables.EFFUSION]:
        cuts = ", ".join(number(mm) for mm in grading.EFFUSION_DEPTH.midline_mm)
        yield (
            f"Effusion was graded 0 to 3 from the depth of the suprapatellar pouch (steps at {cuts} mm on the midline; "
            f"the first after {cite('schweitzer')}, the others a project decision; rule version "
            f"{grading.EFFUSION_DEPTH.version}); it is missing where the pouch is cut off."
        )
    yield "Grading saw neither foot strike nor distance." if found.good else ""


# --- who runs how -----------------------------------------------------------------------------------------------------


def analysed_runners(found: Results) -> list[Row]:
    """A row of KNEES for each runner in the analysis."""
    return list({row["participant_id"]: row for row in found.analysed}.values())


def _exposures(found: Results, cite: Citations) -> Iterable[str]:
    runners = analysed_runners(found)
    if not runners:
        return
    styles = Counter(row["strike_style"] for row in runners if row["strike_style"])
    if styles:
        how = Counter(STRIKE_METHODS.get(row["strike_method"], "by a method that is not recorded") for row in runners
                      if row["strike_style"])  # fmt: skip
        unknown = len(runners) - sum(styles.values())
        yield (
            f"Foot strike of {counted(len(runners), 'runner')}: {listed(styles)}"
            f"{f', not known of {unknown}' if unknown else ''}; it was found {listed(how)}. The comparison is "
            "rearfoot against all other styles."
        )
        if any(row["strike_method"] in ("foot_strike_angle", "strike_index") for row in runners):
            yield f"Cut-offs of angle and index are those of {cite('altman', 'cavanagh')}."
        if any(row["strike_method"] == "self_report" for row in runners):
            yield f"Self-reported strike is right in fewer than half of runners {cite('vincent')}."
    else:
        yield "Foot strike was not recorded of any runner."
    km = [row["weekly_distance_km"] for row in runners if row["weekly_distance_km"] is not None]
    if km:
        sources = Counter(
            DISTANCE_SOURCES.get(row["distance_source"], "a source that is not recorded")
            for row in runners
            if row["weekly_distance_km"] is not None
        )
        yield (
            f"Weekly distance was known of {counted(len(km), 'runner')}, median {number(median(km))} km "
            f"({number(min(km))} to {number(max(km))}), from {listed(sources)}."
        )
    else:
        yield "Weekly distance was not recorded of any runner."


# --- readers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What the readers' table says about how it came to be; assisted readings are counted apart."""

    raters: tuple[str, ...]
    knees: int
    twice: int  # knees that a reader has read more than once
    blind: int  # rows that come from a blinded page, or are said to be blind
    rows: int
    assisted: int  # knees that were graded with the machine's results in view

    @property
    def blinded(self) -> bool | None:
        """Whether all was read blind; None when the table does not say."""
        return True if self.rows and self.blind == self.rows else None


def reading(found: Results) -> Reading | None:
    """None when nobody read without the machine's results."""
    every = found[tables.READINGS]
    rows = [row for row in every if row.get("phase") != "assisted"]
    if not rows:
        return None
    seen = {(row["rater_id"], *(row[k] for k in tables.KNEE_KEYS), row["reading"]) for row in rows}
    times = Counter((key[0], *key[1:4]) for key in seen)
    return Reading(
        tuple(sorted({row["rater_id"] for row in rows})),
        len({key[1:4] for key in seen}),
        len({key[1:] for key, n in times.items() if n > 1}),
        sum(row.get("phase") == "blind" or len(row.get("package_sha256") or "") == 64 for row in rows),
        len(rows),
        len({tuple(row[k] for k in tables.KNEE_KEYS) for row in every if row.get("phase") == "assisted"}),
    )


def _readers(found: Results, cite: Citations) -> Iterable[str]:
    read = reading(found)
    if read is None:
        aided = " without the machine's results in view" if found[tables.READINGS] else ""
        yield (
            f"No reader graded these knees{aided}: agreement of machine and reader, and the machine's error in this "
            "cohort, are not known."
        )
        return
    again = f", {read.twice} of them twice by the same reader" if read.twice else ""
    yield f"{counted(len(read.raters), 'reader')} graded {counted(read.knees, 'knee')}{again}."
    if read.blinded:
        yield "They read blind: the pages, or the table, held neither identity, exposure nor machine grade."
    else:
        yield "The table does not say whether they were blind to the machine's grades and to how the person runs."
    if read.assisted:
        were = "was" if read.assisted == 1 else "were"
        yield (
            f"{counted(read.assisted, 'knee')} {were} graded again with the machine's results in view; these grades "
            "are compared apart and never stand for a blind one."
        )
    made = {row["statistic"] for row in found[tables.AGREEMENT] if row["estimate"] is not None}
    kinds = [
        ("quadratic-weighted kappa", ("cohen",), "weighted_kappa_quadratic"),
        ("Gwet's AC2", ("gwet",), "gwet_ac2_quadratic"),
        ("intraclass correlation (A,1)", ("shrout",), "icc_a1"),
        ("bias with limits of agreement", ("bland",), "bias"),
    ]
    used = [f"{name} {cite(*keys)}" for name, keys, statistic in kinds if statistic in made]
    if used:
        yield (
            f"Agreement is given as {', '.join(used)}, with intervals from resampled runners"
            f"{'' if 'bias' not in made else ' (limits with one knee a runner: exact)'}."
        )
    if any(row["status"] == "estimated" for row in found[tables.MACHINE_ERROR]):
        yield (
            "Prevalences and odds ratios were also corrected for the machine's error as the readers' grades show it, "
            f"the reader taken for the truth (matrix method; maximum likelihood; multiple over-imputation "
            f"{cite('blackwell')})."
        )


# --- the analysis -----------------------------------------------------------------------------------------------------


def _analysis(found: Results, config: Mapping[str, Any], cite: Citations) -> Iterable[str]:
    rows = [row for row in found[tables.ESTIMATES] if row["status"] == "estimated"]
    plan = config["analysis"]
    if not found[tables.ESTIMATES]:
        yield "No model was fitted."
        return
    yield _outcomes(plan)
    if any(row["n"] for row in found[tables.PREVALENCE]):
        yield f"Prevalences carry Wilson {cite('wilson')} and Clopper-Pearson {cite('clopper')} 95 % intervals."
    if not rows:
        yield "No model of this plan could be fitted: every one was refused, for the reasons below."
        return
    has = {row["model"] for row in rows}

    def fitted(*starts: str) -> bool:
        return any(model.startswith(starts) for model in has)

    if fitted("cumulative_logit_"):
        yield (
            f"Grades were related to foot strike and weekly distance (per {plan['distance_unit_km']:g} km) by "
            f"cumulative logit models (proportional odds {cite('mccullagh')}), crude and adjusted."
        )
    if fitted("linear_"):
        kinds = {row["scale"] for row in rows if row["model"].startswith("linear_")}
        what = "the logarithm of joint fluid" if "mean_ratio" in kinds else ""
        score = "the total lesion score" if "mean_difference" in kinds else ""
        yield f"A linear model was used for {' and '.join(filter(None, (what, score)))}."
    if any(row["method"] and "CR2" in row["method"] for row in rows):
        yield (
            "Standard errors are clustered by runner and corrected for leverage (CR2) "
            f"{cite('bell', 'kauermann')}, with t on the number of runners less one."
        )
    yield _adjustment(plan, rows)
    yield _multiplicity(found, plan, cite)
    yield "No p-value compares the groups of the table of runners."


def _further(found: Results, config: Mapping[str, Any], cite: Citations) -> Iterable[str]:
    rows = [row for row in found[tables.ESTIMATES] if row["status"] == "estimated"]
    plan = config["analysis"]
    has = {row["model"] for row in rows}

    def fitted(*starts: str) -> bool:
        return any(model.startswith(starts) for model in has)

    if fitted("cumulative_logit_spline", "linear_spline"):
        yield (
            f"Distance was also fitted as a restricted cubic spline {cite('harrell')}"
            f"{_knots(rows)}; the {plan['distance_cut_km']:g} km cut stands beside it, not alone."
        )
    if fitted("proportional_odds_check"):
        yield (
            f"Proportional odds were checked {cite('brant')}"
            + (
                f" and relaxed for strike and distance {cite('peterson')}"
                if fitted("partial_proportional_odds")
                else ""
            )
            + "; the check did not choose the model."
        )
    if fitted("random_intercept"):
        yield "A cumulative logit with a normal intercept for each runner gives associations within a runner."
    if fitted("gee_"):
        yield (
            "Grade 1 or more against grade 0 was fitted by generalised estimating equations with Mancl-DeRouen errors "
            f"{cite('liang', 'mancl')}."
        )
    if fitted("firth_"):
        yield (
            "Where cells were sparse, grade 1 or more against grade 0 was fitted by Firth's penalised logit with "
            f"profile intervals {cite('firth')}."
        )
    if fitted("exact_"):
        yield "Crude strike also has an exact 2 × 2 odds ratio and Fisher's p, a runner counted once."
    if any(row["status"] == "estimated" for row in found[tables.JOINT_CELLS]):
        yield (
            "The four cells of strike by distance are compared with one reference (non-rearfoot below "
            f"{plan['distance_cut_km']:g} km), as is recommended for interaction {cite('knol')}."
        )
    if fitted("additive_interaction"):
        kinds = ["delta method"]
        kinds += (
            [f"MOVER {cite('zou')}"]
            if fitted("additive_interaction_mover", "additive_interaction_adjusted_mover")
            else []
        )
        if fitted("additive_interaction_bootstrap", "additive_interaction_adjusted_bootstrap"):
            kinds.append(f"BCa {cite('efron')} from {plan['n_bootstrap']} resamples of runners")
        yield f"Additive interaction (RERI, AP, S) is of risk ratios, with intervals by {', '.join(kinds)}."
    if fitted("e_value"):
        yield f"E-values {cite('e_value')} say how strong an unmeasured confounder would have to be."
    if fitted("power"):
        yield (
            "The chance of p < 0.05 at the strike groups found here was computed for odds ratios of 2, 3 and 4 "
            f"{cite('whitehead')}; it is not used to judge the results."
        )


def _outcomes(plan: Mapping[str, Any]) -> str:
    primary = outcome_words(plan["primary_outcome"])
    shared = [outcome_words(name) for name in plan.get("co_primary", ())]
    others = [
        outcome_words(name)
        for name in plan.get("outcomes", ())
        if name != plan["primary_outcome"] and name not in plan.get("co_primary", ())
    ]
    text = f"The settings name {primary} as the primary outcome"
    text += f", {_and(shared)} as co-primary" if shared else ""
    return f"{text}; all others are exploratory{f' ({_and(others)})' if others else ''}."


def _and(names: Sequence[str]) -> str:
    """
    >>> _and(["a"]), _and(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def _adjustment(plan: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The covariates that estimated models really hold; one that nobody has, or all alike, was left out of them."""
    sets = {"main": plan.get("adjustment", {}).get("main", ())} | dict(plan.get("adjustment", {}))

    def used(model: str, names: Sequence[str]) -> list[str]:
        terms = {row["term"] for row in rows if row["model"].endswith(model)}
        return [name for name in names if any(term == name or term.startswith(f"{name}_") for term in terms)]

    def plain(names: Sequence[str]) -> str:
        return _and([COVARIATES.get(name, term_words(name)) for name in names])

    main = used("_adjusted", sets["main"])
    if not any(row["model"].endswith("_adjusted") for row in rows):
        return "No adjusted model could be fitted."
    text = f"Adjusted models hold {plain(main) or 'no covariate'}"
    left = [name for name in sets["main"] if name not in main]
    text += f" (not {plain(left)}: nobody's value is known, or all are alike)" if left else ""
    for name in sorted(set(sets) - {"main"}):
        more = [v for v in used(f"_adjusted_{name}", sets[name]) if v not in main]
        text += f"; a second set ({name}) holds {plain(more)} besides" if more else ""
    return text + "."


def _knots(rows: Sequence[Row]) -> str:
    knots = {
        match[1]
        for row in rows
        if row["model"].endswith("_spline") and (match := re.search(r"knots at ([\d., ]+) km", row["method"] or ""))
    }
    return f", knots at {next(iter(knots))} km" if len(knots) == 1 else ", knots at Harrell's quantiles"


def _multiplicity(found: Results, plan: Mapping[str, Any], cite: Citations) -> str:
    adjusted = Counter(row.get("role") for row in found[tables.ESTIMATES] if row.get("p_adjusted") is not None)
    first = "P-values of the primary outcome are not adjusted for multiplicity"
    if adjusted["primary"] or adjusted["co_primary"]:
        first = f"P-values of the primary and co-primary outcomes are adjusted by Holm {cite('holm')}"
    if not adjusted["secondary"]:
        return f"{first}."
    return (
        f"{first}; those of {counted(adjusted['secondary'], 'exploratory contrast')} of strike and distance are "
        f"adjusted by Benjamini-Hochberg {cite('benjamini')}."
    )


def _missing(found: Results, config: Mapping[str, Any], cite: Citations) -> Iterable[str]:
    if not any(row["status"] == "estimated" for row in found[tables.ESTIMATES]):
        return
    primary = config["analysis"]["primary_outcome"]
    step = f"knees complete for the adjusted model of {primary}"
    row = next((row for row in found[tables.FLOW] if row["step"] == step), None)
    if row is not None:
        analysed = len(found.analysed)
        left = analysed - (row["n_scans"] or 0)
        yield (
            f"Models use complete cases: {counted(row['n_scans'] or 0, 'knee')} of {analysed} for the adjusted model "
            f"of {outcome_words(primary)}{f' ({left} left out)' if left else ''}."
        )
    imputed = [row for row in found[tables.ESTIMATES] if row["model"].endswith("_imputed")]
    done = [row for row in imputed if row["status"] == "estimated"]
    if done:
        sets = sorted({int(m[1]) for row in done if (m := re.search(r"(\d+) imputed data sets", row["method"] or ""))})
        how_many = f"{sets[0]} to {sets[-1]}" if len(sets) > 1 else str(sets[0]) if sets else "several"
        yield (
            f"Beside them, missing exposures and covariates, but no outcome {cite('von_hippel')}, were imputed "
            f"{how_many} times by chained equations and pooled by Rubin's rules {cite('rubin', 'barnard')} (seed "
            f"{config['analysis'].get('seed', tables.MISSING)}), on the assumption that they are missing at random."
        )
    elif any("nothing_missing" in (row["reason"] or "") for row in imputed):
        yield "Nothing was imputed: no exposure or covariate of a runner with a known outcome is missing."
    else:
        yield "Nothing was imputed."


# --- refusals ---------------------------------------------------------------------------------------------------------


def refusals(found: Results) -> list[tuple[str, str]]:
    """(reason, what was refused for it), the reason that concerns most models first.

    Imputation with nothing to impute is not counted: nothing was asked of the data in vain.
    """
    groups: dict[str, dict[str, set[str]]] = {}
    for row in found[tables.ESTIMATES]:
        if row["status"] == "refused" and not (row["reason"] or "").startswith("nothing_missing"):
            models = groups.setdefault(_sentence(row["reason"]), {})
            models.setdefault(outcome_words(row["outcome"]), set()).add(_short(row["model"]))
    told = [
        (
            sum(map(len, models.values())),
            reason,
            "; ".join(f"{outcome}: {_some(_bases(names))}" for outcome, names in models.items()),
        )
        for reason, models in groups.items()
    ]
    return [(reason, what) for _, reason, what in sorted(told, key=lambda item: (-item[0], item[1]))]


def refusals_view(found: Results) -> View:
    return view(
        "What was refused, and why",
        [("because", lambda line: line[0]), ("refused", lambda line: line[1])],
        refusals(found),
    )


def _some(names: Sequence[str], most: int = 5) -> str:
    """
    >>> _some(["a", "b"]), _some(list("abcdefg"))
    ('a and b', 'a, b, c, d and 3 more')
    """
    return _and(names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"])


def _bases(names: Iterable[str]) -> list[str]:
    """Without those that are another one with a word more: the same model with another interval.

    >>> _bases({"interaction", "interaction mover", "spline"})
    ['interaction', 'spline']
    """
    names = sorted(names)
    return [name for name in names if not any(name.startswith(f"{other} ") for other in names)]


def _short(model: str) -> str:
    if model == "all models":
        return "every model"
    name = model_words(model)
    return name if name.startswith(("GEE", "E-value")) else name[:1].lower() + name[1:]


def _sentence(reason: str | None) -> str:
    """Refusals that differ in a count alone are one reason.

    >>> _sentence("undefined: not defined in 23 of 200 resamples of the runners")
    'not defined in too many of 200 resamples of the runners'
    """
    return re.sub(r"(not defined in) \d+ of (\d+)", r"\1 too many of \2", refusal(reason))


def _refused(found: Results) -> Iterable[str]:
    if not found[tables.ESTIMATES]:
        return
    asked = [row for row in found[tables.ESTIMATES] if is_exposure(row)]
    refused = sum(row["status"] == "refused" for row in asked)
    if asked:
        yield (
            f"Of {counted(len(asked), 'ratio')} of strike and distance {refused or 'none'} "
            f"{'were' if refused > 1 else 'was'} refused."
        )
    if refusals(found):
        yield (
            "A contrast that compares too small a group of runners, a model that the data cannot "
            "carry and a question without data keep their line and say why; the table below gathers them."
        )


def _software(found: Results, config: Mapping[str, Any], cite: Citations) -> Iterable[str]:
    yield (
        f"Everything was computed by kneeline {__version__} from the configuration and the tables whose checksums this "
        f"report lists; what is drawn at random has the seed {config['analysis'].get('seed', tables.MISSING)}."
    )
    yield (
        "Reporting follows STROBE " + cite("strobe") + " for the cohort and CLAIM 2024 " + cite("claim") + " for the "
        "imaging model, as far as the appendix says."
    )
    if found[tables.PUBLISHED]:
        yield f"The published counts that were re-created are those of {cite('sw_chronic', 'sw_marathon')}."
