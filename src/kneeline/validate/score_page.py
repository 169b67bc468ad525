"""The page's chapters on scores: grades, lesions, measured values, and two scans of one knee."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kneeline import grading
from kneeline.markdown import interval, number, table
from kneeline.statistics.agreement import GradeAgreement, agree_on_grades
from kneeline.validate.compare import (
    EFFUSION_RULES,
    LESION_VALUES,
    QUANTITIES,
    SIGNAL_RATIO,
    SOURCES,
    Quantity,
    Source,
    effusion_agreement,
    lesion_agreement,
    lesions,
    signal_agreement,
    value_agreement,
    value_pairs,
)
from kneeline.validate.groups import Group, by_contrast, by_thickness, main, volume_icc
from kneeline.validate.measure import Case
from kneeline.validate.plan import MAIN_NAME, USUAL_MM
from kneeline.validate.repeat import Repeatability, repeatability
from kneeline.validate.rescan import SHIFT_MM, TURN_DEGREES

Section = tuple[str, str]


def score_sections(cases: Sequence[Case]) -> list[Section]:
    """Titles and Markdown, in the order of the page."""
    return [
        ("Signal grade", _signal(cases)),
        ("Lesions, planted and found", _lesions(cases)),
        ("Effusion grade", _effusion(cases)),
        ("Measured values", _values(cases)),
        ("The same knee scanned twice", _twice(cases)),
    ]


# --- grades -----------------------------------------------------------------------------------------------------------

_COUNTS = " / ".join(f"{g}" for g in grading.GRADES)
_GRADE_HEADER = [
    "", "labels", "knees", *(f"true {g}: graded {_COUNTS}" for g in grading.GRADES), "not graded", "exact", "kappa",
]  # fmt: skip


def _signal(cases: Sequence[Case]) -> str:
    usual, others = main(cases), _other_groups(cases)
    rows = _grade_rows(MAIN_NAME, usual, signal_agreement) + _region_rows(MAIN_NAME, usual)
    for name, members in others:
        rows += _grade_rows(name, members, signal_agreement)
    rows += _grade_rows("all knees", cases, signal_agreement) + _region_rows("all knees", cases)
    few = [row for name, members in others for row in _region_rows(name, members)]
    return (
        "A region each. On true labels what is lost is lost by scoring and imaging, on the network's also by "
        "segmentation. Kappa has quadratic weights; its 95 % interval is from resampled knees, as the regions of a "
        "knee are not independent (none with fewer than five knees).\n\n"
        f"{_side_by_side(usual)}\n\n"
        "All groups; of the regions of each true grade, how many were graded "
        f"{_COUNTS}:\n\n" + table(_GRADE_HEADER, rows) + "\n\n"
        "Region by region in each of the other contrasts and thicknesses. A row has as many regions as knees: "
        "look at the counts, its kappa says next to nothing.\n\n" + table(_GRADE_HEADER, few)
    )


def _region_rows(name: str, cases: Sequence[Case]) -> list[list[str]]:
    """Both sources in each of the six regions."""
    rows = []
    for region in ((m, r) for m in grading.MENISCI for r in grading.REGIONS):
        words = f"{name}: {' '.join(region).replace('_', ' ')}"
        rows += _grade_rows(words, cases, lambda members, source, r=region: signal_agreement(members, source, r))
    return rows


def _side_by_side(cases: Sequence[Case]) -> str:
    """Confusion matrices of both sources beside one another."""
    found = {name: signal_agreement(cases, source).confusion for name, source in SOURCES.items()}
    header = [MAIN_NAME, *(f"{name}: {g}" for name in found for g in grading.GRADES)]
    rows = [[f"true {g}", *(str(n) for counts in found.values() for n in counts[g])] for g in grading.GRADES]
    return table(header, rows)


def _other_groups(cases: Sequence[Case]) -> list[Group]:
    """Other contrasts at the usual thickness, then other thicknesses."""
    others = [case for case in cases if not case.plan.main]
    return [
        *((f"{name}, {USUAL_MM:g} mm", members) for name, members in by_contrast(others)),
        *((name, members) for name, members in by_thickness(others) if name != f"{USUAL_MM:g} mm"),
    ]


def _grade_rows(
    name: str, cases: Sequence[Case], agreement: Callable[[Sequence[Case], Source], GradeAgreement]
) -> list[list[str]]:
    return [
        [name, labels, str(len(cases)), *_grade_cells(agreement(cases, source))] for labels, source in SOURCES.items()
    ]


def _grade_cells(found: GradeAgreement) -> list[str]:
    return [
        *(" / ".join(map(str, found.confusion[g])) for g in grading.GRADES),
        str(found.n_missing),
        number(found.exact, ".2f"),
        interval(found.kappa, found.ci_low, found.ci_high),
    ]


def _effusion(cases: Sequence[Case]) -> str:
    rows = []
    for column, rule in EFFUSION_RULES.items():
        for name, members in [(MAIN_NAME, main(cases)), *_other_groups(cases), ("all knees", list(cases))]:
            rows += _grade_rows(f"{rule}, {name}", members, lambda m, s, c=column: effusion_agreement(m, s, c))
    return (
        "The true grade is that of the knee's own fluid: its volume as built, its depths as under Measured values. A "
        "knee whose pouch is cut off by the image is not graded.\n\n" + table(_GRADE_HEADER, rows)
    )


# --- millimetres and millilitres --------------------------------------------------------------------------------------


def _lesions(cases: Sequence[Case]) -> str:
    rows = []
    for name, members in ((MAIN_NAME, main(cases)), ("all knees", list(cases))):
        for grade in grading.GRADES[1:]:
            for labels, source in SOURCES.items():
                pairs = lesions(members, source, grade)
                found = sum(row is not None for _, row in pairs)
                cells = [_bias_and_error(lesion_agreement(pairs, column), column) for column in LESION_VALUES]
                rows.append([name, f"grade {grade}", labels, str(len(pairs)), str(found), *cells])
    header = ["", "planted", "labels", "regions", "with a lesion found"]
    header += [f"{words} ({unit}): bias (mean absolute error)" for words, unit in LESION_VALUES.values()]
    return (
        "Found: graded 1 or more, whichever. Errors are of the lesions that were found: the graded component against "
        "the planted signal, whose extent is along its longest axis and whose distance is that of its nearest voxel "
        "to the articular surface, on a grid of 0.8 mm.\n\n" + table(header, rows)
    )


def _bias_and_error(agreement, column: str) -> str:
    form = ".0f" if column.endswith("mm3") else ".2f"
    error = agreement.mean_absolute_error
    return number(agreement.bias, "+" + form) + ("" if error is None else f" ({error:{form}})")


def _values(cases: Sequence[Case]) -> str:
    parts = []
    for name, members in ((MAIN_NAME, main(cases)), ("all knees, all contrasts and slices", list(cases))):
        rows = [
            [f"{q.name} ({q.unit})", labels, *_value_cells(members, source, q)]
            for q in QUANTITIES
            for labels, source in SOURCES.items()
        ]
        header = ["", "labels", "knees", "mean true", "bias", "95 % limits of agreement", "mean absolute error"]
        parts.append(f"{name[0].upper()}{name[1:]}:\n\n" + table([*header, "ICC(A,1)"], rows))
    return (
        "Found minus true. True is what the simulator measured of what it built, and where it does not measure it, "
        "the same definition on the knee's own grid of 0.8 mm. So what images of thick slices cannot show counts as "
        "an error. ICC(A,1), absolute agreement, with its 95 % interval.\n\n" + "\n\n".join(parts)
    )


def _value_cells(cases: Sequence[Case], source: Source, measured: Quantity) -> list[str]:
    found, form = value_agreement(cases, source, measured), measured.form
    limits = "n/a" if found.limit_low is None else f"{found.limit_low:+{form}} to {found.limit_high:+{form}}"
    known = [pair for pair in value_pairs(cases, source, measured) if None not in pair]
    icc = volume_icc(known)
    return [
        str(found.n),
        number(sum(found.true) / found.n if found.n else None, form),
        number(found.bias, "+" + form),
        limits,
        number(found.mean_absolute_error, form),
        interval(icc.estimate, icc.low, icc.high, ".3f") if icc else "n/a",
    ]


# --- two scans --------------------------------------------------------------------------------------------------------


def _twice(cases: Sequence[Case]) -> str:
    cases = [case for case in cases if case.again]
    if not cases:
        return "No knee was scanned twice (`--retest`)."
    values = [
        [f"{q.name}{f' ({q.unit})' if q.unit else ''}", labels, *_repeat_cells(_repeat(cases, labels, q), q.form)]
        for q in (*QUANTITIES, SIGNAL_RATIO)
        for labels in SOURCES
    ]
    header = ["", "labels", "knees", "mean", "within-knee SD", "reproducibility coefficient"]
    return (
        f"{len(cases)} knees ({MAIN_NAME}) imaged a second time: the stack planned anew (angles, place and offset of "
        "the slices, pixels, noise, shading), the knee turned and moved in the scanner (SD "
        f"{TURN_DEGREES:g} degrees about and {SHIFT_MM:g} mm along each axis). "
        "The coefficient is 1.96 sqrt(2) times the within-knee SD: 95 % of differences of two scans of an unchanged "
        "knee are smaller; its 95 % interval (chi-square) counts knees.\n\n"
        + table(header, values)
        + "\n\nGrades of the first scan (down) and the second (across):\n\n"
        + table(["", *(h.replace("true", "first") for h in _GRADE_HEADER[1:])], _repeated_grades(cases))
    )


def _both(case: Case, labels: str) -> tuple:
    """Scores of both scans; None where the scan was refused."""
    again = case.again.found if labels == "network" else case.again.on_true_labels
    return SOURCES[labels](case), again


def _repeat(cases: Iterable[Case], labels: str, measured: Quantity) -> Repeatability | None:
    knees = []
    for case in cases:
        both = _both(case, labels)
        knees.append(list(zip(*map(measured.of, both), strict=True)) if all(both) else [])
    return repeatability(knees)


def _repeat_cells(found: Repeatability | None, form: str) -> list[str]:
    if found is None:
        return ["0", *["n/a"] * 3]
    coefficient = interval(found.coefficient, found.low, found.high, form)
    return [str(found.n_knees), f"{found.mean:{form}}", f"{found.within_sd:{form}}", coefficient]


def _repeated_grades(cases: Sequence[Case]) -> list[list[str]]:
    rows = []
    for name, grades in (
        ("signal grade of a region", lambda scores: [row["signal_grade"] for row in scores.meniscus]),
        *((f"effusion grade, {rule}", lambda s, c=column: [s.effusion[c]]) for column, rule in EFFUSION_RULES.items()),
    ):
        for labels in SOURCES:
            both = [_both(case, labels) for case in cases]
            pairs = [list(zip(*map(grades, pair), strict=True)) for pair in both if all(pair)]
            rows.append([name, labels, str(len(pairs)), *_grade_cells(agree_on_grades(name, pairs))])
    return rows
