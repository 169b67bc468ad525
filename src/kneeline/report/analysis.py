"""The cohort's tables on the page: how common findings are, who was studied, what goes with what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kneeline import grading, tables
from kneeline.report import plots, words
from kneeline.report.gather import Results
from kneeline.report.views import Cell, Spec, View, fixed, view
from kneeline.tables import MISSING, Row


def grades_view(found: Results) -> View:
    """How many knees have each grade: an outcome a line, all knees together."""
    lines: dict[str, dict[str, Row]] = {}
    for row in found[tables.PREVALENCE]:
        if row["group"] == "overall" and row["unit"] == "knees":
            lines.setdefault(row["outcome"], {})[row["level"]] = row
    levels = sorted({level for line in lines.values() for level in line}, key=lambda level: (level[:1] == ">", level))

    def shown(level: str) -> Callable[[Any], Cell]:
        def cell(line) -> Cell:
            row = line[1].get(level)
            if row is None:
                return Cell(MISSING, True)
            if level.startswith(">"):
                return Cell(
                    f"{words.percent(row['proportion'])} ({_shares(row['wilson_low'], row['wilson_high'])})", True
                )
            return Cell(f"{words.cell(row['count'])} ({words.percent(row['proportion'])})", True)

        return cell

    return view(
        "How common: knees with each grade; shares with Wilson 95 % intervals",
        [
            ("finding", lambda line: plots.outcome_words(line[0])),
            ("graded", lambda line: next(iter(line[1].values()))["n"]),
            *((_level_words(level), shown(level)) for level in levels),
        ],
        list(lines.items()),
    )


def _level_words(level: str) -> str:
    return f"grade {level}" if level.isdigit() else level.replace(">=", "≥ ").replace("  ", " ").replace("_", " ")


def prevalence_view(found: Results) -> View:
    """Every row of PREVALENCE; knees before runners, all before the strike groups."""
    rows = sorted(found[tables.PREVALENCE], key=lambda r: (r["group"] != "overall", r["unit"] != "knees"))
    noted = any(row.get("note") for row in rows)
    columns: list[Spec] = [
        ("finding", lambda r: plots.outcome_words(r["outcome"])),
        ("grade", lambda r: Cell(_level_words(r["level"]).removeprefix("grade "))),
        ("counted in", lambda r: {"participants": "runners"}.get(r["unit"], r["unit"])),
        ("group", lambda r: (r["group"] or MISSING).replace("_", " ")),
        ("count", lambda r: r["count"]),
        ("of", lambda r: r["n"]),
        ("share", lambda r: Cell(words.percent(r["proportion"]), True)),
        ("95 % interval (Wilson)", lambda r: Cell(_shares(r["wilson_low"], r["wilson_high"]), True)),
        ("95 % interval (exact)", lambda r: Cell(_shares(r["exact_low"], r["exact_high"]), True)),
        *([("note", lambda r: r.get("note"))] if noted else []),
    ]
    return view("How common, in knees and in runners, for all and by foot strike", columns, rows)


def _shares(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"{words.percent(low)[:-2]} to {words.percent(high)}"


def rules_view() -> View:
    """The thresholds behind the grades, from `grading`."""
    rules = (
        grading.SIGNAL, grading.EFFUSION_DEPTH, grading.EFFUSION_VOLUME, grading.CARTILAGE, grading.MARROW,
        grading.STRIKE,
    )  # fmt: skip

    def thresholds(rule) -> str:
        shown = [
            f"{words.heading(f.name)}: {_joined(getattr(rule, f.name))}"
            for f in dataclasses.fields(rule)
            if f.name not in ("name", "version", "source")
        ]
        return "; ".join(shown) or MISSING

    return view(
        "Rules that turn measurements into grades",
        [
            ("rule", lambda r: f"{r.name.replace('_', ' ')}, version {r.version}"),
            ("thresholds", thresholds),
            ("source", lambda r: r.source),
        ],
        rules,
    )


def _joined(value: Any) -> str:
    return ", ".join(words.number(v) for v in value) if isinstance(value, tuple) else words.number(value)


def table_one_view(found: Results) -> View:
    """Variables down, groups across."""
    rows = found[tables.TABLE_ONE]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    lines: dict[tuple, dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row["variable"], row["level"]), {})[row["group"]] = row

    def shown(group: str) -> Callable[[Any], str]:
        def text(line) -> str:
            row = line[1].get(group)
            if row is None:
                return MISSING
            return f"{row['value'] or MISSING}" + (f" [{row['missing']} missing]" if row["missing"] else "")

        return text

    def difference(name: str) -> Callable[[Any], Cell | str]:
        return lambda line: fixed(line[1]["overall"].get(name) if "overall" in line[1] else None, ".2f")

    return view(
        "Who was studied. No p-values: groups are described, not tested",
        [
            ("variable", lambda line: words.heading(line[0][0])),
            ("shown", lambda line: (line[0][1] or "").replace("_", " ")),
            *((group.replace("non_", "non-").replace("_", " "), shown(group)) for group in groups),
            ("standardised difference, strike", difference("standardised_difference")),
            ("standardised difference, distance", difference("standardised_difference_distance")),
        ],
        list(lines.items()),
    )


@dataclass(frozen=True)
class Block:
    """A model's rows."""

    title: str
    method: str | None
    caution: str | None  # what holds for every estimate of the model
    view: View


@dataclass(frozen=True)
class Outcome:
    """The models of one outcome."""

    name: str
    blocks: tuple[Block, ...]

    @property
    def n(self) -> int:
        return sum(len(block.view.rows) for block in self.blocks)


def model_blocks(rows: Sequence[Row]) -> list[Outcome]:
    """Every row of ESTIMATES, gathered by outcome and model in the order of the table."""
    columns: list[Spec] = [
        ("term", lambda r: words.term_words(r["term"])),
        ("quantity", lambda r: (r["scale"] or MISSING).replace("_", "\xa0")),
        ("estimate", _estimate_cell),
        ("95 % interval", lambda r: Cell(words.interval(r["ci_low"], r["ci_high"]), True)),
        ("p", lambda r: Cell(words.p_value(r["p_value"]), True)),
        *([("p, adjusted", _adjusted_cell)] if any(row.get("p_adjusted") is not None for row in rows) else []),
        ("runners", lambda r: Cell(words.cell(r["n_participants"]), True)),
        ("knees", lambda r: Cell(words.cell(r["n_knees"]), True)),
    ]
    outcomes: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        outcomes.setdefault(plots.outcome_words(row["outcome"]), {}).setdefault(row["model"], []).append(row)
    return [
        Outcome(name, tuple(_block(model, members, columns) for model, members in models.items()))
        for name, models in outcomes.items()
    ]


def _block(model: str, rows: Sequence[Row], columns: Sequence[Spec]) -> Block:
    """What is to be said of every estimate of a model is said once, above them."""
    said = [_parts(row.get("warnings")) for row in rows if row["status"] == "estimated" and row.get("warnings")]
    shared = [part for part in said[0] if all(part in parts for parts in said)] if len(said) > 1 else []
    reasons = {row["reason"] for row in rows if row["status"] == "refused"}
    if len(rows) > 1 and len(reasons) == 1 and all(row["status"] == "refused" for row in rows):
        shared = [words.refusal(reasons.pop())]

    def caution(row: Row) -> str:
        own = [part for part in _parts(row.get("warnings")) if part not in shared]
        reason = words.refusal(row["reason"]) if row["reason"] else "; ".join(own)
        return "" if reason in shared else reason

    methods = dict.fromkeys(row["method"] for row in rows if row["method"])
    return Block(
        plots.model_words(model),
        "; ".join(methods) or None,
        f"All terms: {'; '.join(shared)}" if shared else None,
        view(plots.model_words(model), [*columns, ("reason or caution", caution)], rows),
    )


def _parts(text: str | None) -> list[str]:
    return text.split("; ") if text else []


def _adjusted_cell(row: Row) -> Cell:
    """For several questions of the same data: Holm, Benjamini-Hochberg; empty where it does not apply."""
    return Cell("" if row.get("p_adjusted") is None else words.p_value(row["p_adjusted"]), True)


def _estimate_cell(row: Row) -> Cell:
    return (
        Cell("refused", True, "refused") if row["status"] == "refused" else Cell(words.estimate(row["estimate"]), True)
    )


def joint_cells_view(found: Results) -> View:
    return view(
        "Strike by weekly distance: runners, risks and odds ratios in the four cells",
        [
            ("finding", lambda r: r["outcome"].replace("_", " ").replace(">= ", "≥ ")),
            ("strike", lambda r: r["strike_group"].replace("_", "-")),
            ("distance", lambda r: r["distance_group"].replace("_", " ")),
            ("runners", lambda r: r["n_participants"]),
            ("with finding", lambda r: r["count"]),
            ("risk", lambda r: Cell(words.percent(r["risk"]), True)),
            ("95 % interval", lambda r: Cell(_shares(r["wilson_low"], r["wilson_high"]), True)),
            (
                "odds ratio (95 % CI)",
                lambda r: (
                    Cell(r["status"], kind="refused" if r["status"] == "refused" else "")
                    if r["status"] != "estimated"
                    else Cell(f"{words.estimate(r['odds_ratio'])} ({words.interval(r['ci_low'], r['ci_high'])})")
                ),
            ),
            ("reason or caution", lambda r: r["reason"] or ""),
        ],
        found[tables.JOINT_CELLS],
    )
