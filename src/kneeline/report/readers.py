"""Agreement on the page: the coefficients that are read first, a line a comparison; the rest is in the full table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kneeline.report import words
from kneeline.report.views import Cell, View, view
from kneeline.tables import MISSING, Row

Line = dict[str, Row]


def grades_view(rows: Sequence[Row]) -> View:
    """Two raters' grades; machine and reader beside reader and reader, which is the ceiling."""
    return view(
        "Agreement on grades (95 % intervals over runners)",
        [
            *_who(),
            ("exact", _share("exact_agreement")),
            ("within one grade", _share("within_one_grade")),
            ("weighted kappa", _value("weighted_kappa_quadratic")),
            ("Gwet's AC2", _value("gwet_ac2_quadratic")),
            ("Krippendorff's alpha", _value("krippendorff_alpha_ordinal")),
            ("same use of the scale, p", _p("marginal_homogeneity_chi2")),
        ],
        _lines(rows, "exact_agreement"),
    )


def many_view(rows: Sequence[Row]) -> View:
    """Grades of three or more readers together."""
    return view(
        "Agreement of all readers on grades (95 % intervals over runners)",
        [
            *_who(),
            ("Krippendorff's alpha", _value("krippendorff_alpha_ordinal")),
            ("Fleiss' kappa", _value("fleiss_kappa")),
            ("Gwet's AC2", _value("gwet_ac2_quadratic")),
            ("ICC(A,1)", _value("icc_a1")),
            ("Kendall's W", _value("kendall_w")),
        ],
        _lines(rows, "fleiss_kappa"),
    )


def values_view(rows: Sequence[Row]) -> View:
    """Measured values: intraclass correlation, bias and limits."""
    return view(
        "Agreement on measured values: first minus second, limits after Bland and Altman (95 % intervals)",
        [
            *_who(),
            ("ICC(A,1)", _value("icc_a1")),
            ("bias", _value("bias")),
            ("lower limit", _value("lower_limit")),
            ("upper limit", _value("upper_limit")),
            ("ratio", _value("ratio_bias")),
        ],
        _lines(rows, "bias"),
    )


def confusion_view(rows: Sequence[Row]) -> View:
    """Confusion matrices one below the other: a grade of the first rater a line, those of the second across."""
    matrices: dict[tuple, dict[int, int]] = {}
    for row in rows:
        matrices.setdefault((row["comparison"], row["structure"], row["grade_a"]), {})[row["grade_b"]] = row["n"]
    highest = max((row["grade_b"] for row in rows), default=-1)

    def count(grade: int) -> Callable:
        return lambda line: Cell("" if grade not in line[1] else str(line[1][grade]), True)

    return view(
        "How often each pair of grades was given: the first rater's grade a line, the second's across",
        [
            ("who", lambda line: line[0][0]),
            ("what", lambda line: words.heading(line[0][1])),
            ("first", lambda line: line[0][2]),
            *((f"second {grade}", count(grade)) for grade in range(highest + 1)),
        ],
        list(matrices.items()),
    )


def notes(rows: Sequence[Row]) -> list[str]:
    """Reasons that stand for a whole comparison, such as that nobody read."""
    said = (f"{row['comparison']}: {row['note']}" for row in rows if row["structure"] == "all" and row["note"])
    return list(dict.fromkeys(said))


def _lines(rows: Sequence[Row], needed: str) -> list[Line]:
    lines: dict[tuple, Line] = {}
    for row in rows:
        lines.setdefault((row["comparison"], row["structure"]), {})[row["statistic"]] = row
    return [line for line in lines.values() if needed in line]


def _who() -> list:
    def first(line: Line) -> Row:
        return next(iter(line.values()))

    return [
        ("who", lambda line: first(line)["comparison"]),
        ("what", lambda line: words.heading(first(line)["structure"])),
        ("rated", lambda line: first(line)["n"]),
        ("runners", lambda line: first(line).get("n_participants")),
    ]


def _value(name: str) -> Callable[[Line], Cell]:
    def cell(line: Line) -> Cell:
        row = line.get(name)
        if row is None or row["estimate"] is None:
            return Cell("refused" if row and row["note"] else MISSING, True)
        ends = f" ({words.interval(row['ci_low'], row['ci_high'])})" if row["ci_low"] is not None else ""
        return Cell(words.estimate(row["estimate"]) + ends, True)

    return cell


def _share(name: str) -> Callable[[Line], Cell]:
    def cell(line: Line) -> Cell:
        row = line.get(name)
        return Cell(words.percent(row["estimate"]) if row else MISSING, True)

    return cell


def _p(name: str) -> Callable[[Line], Cell]:
    return lambda line: Cell(words.p_value(line[name].get("p_value")) if name in line else MISSING, True)
