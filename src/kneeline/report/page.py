"""The report: one page that holds everything, for a radiologist and for a reviewer of methods.

No outside address, no script, no time or place of the run: the same results give the same bytes. Every text that comes
from a table is escaped by the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kneeline import __version__, labels, tables
from kneeline.report import machine_error, plots, published, readers, summary, words
from kneeline.report.agreement_plots import confusion_plots, difference_plots
from kneeline.report.analysis import (
    grades_view,
    joint_cells_view,
    model_blocks,
    prevalence_view,
    rules_view,
    table_one_view,
)
from kneeline.report.appendix import validation_block
from kneeline.report.cases import RULE, choose_cases
from kneeline.report.checklist import checklist_view, checklists
from kneeline.report.dose import dose_figures
from kneeline.report.flow import draw_flow, trace_steps
from kneeline.report.gather import Results, gather
from kneeline.report.images import (
    acquisition_view,
    quality_summary,
    quality_view,
    set_aside_counts,
    set_aside_view,
    structures_view,
    verdict_words,
)
from kneeline.report.index_page import write_index
from kneeline.report.knees import cases_view, glance_view, knee_cards
from kneeline.report.methods import methods, refusals_view
from kneeline.report.provenance import citation, networks_view, provenance, shown_config
from kneeline.report.references import REFERENCES
from kneeline.report.validation import validate
from kneeline.report.views import Cell, plain, view
from kneeline.tables import MISSING

# A table of a line a scan is shown whole up to so many lines, beyond it its file is named.
MOST_LINES = 200
# The table of all knees is on the page however long it is; on paper up to so many lines.
MOST_ON_PAPER = 60


def build_report(
    results: Path,
    out: Path,
    config: Mapping[str, Any],
    truth: Path | None = None,
    model: Path | None = None,
    readings: Path | None = None,
) -> Path:
    """Write `out/report.html` from the tables under `results` and the pictures in `out`; return its path.

    Parameters
    ----------
    config
        The run's configuration with defaults filled in.
    truth
        Truth table of simulated knees; adds the validation appendix.
    model
        The network's file, whose checksum is shown; by default the one in the package.
    readings
        What readers graded, if anybody did: says who read how, and gives the points of the agreement plots.
    """
    import jinja2

    found = gather(Path(results), Path(out), truth, readings)
    write_index(found, Path(out), simulated=bool(config.get("simulate")))
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "amount": words.amount, "percent": words.percent, "p_value": words.p_value, "words": words.cell
    }  # fmt: skip
    page = environment.get_template("template.html").render(**contents(found, config, model))
    path = Path(out) / "report.html"
    tables.write_text(path, page)
    return path


# --- contents ---------------------------------------------------------------------------------------------------------


def contents(found: Results, config: Mapping[str, Any], model: Path | None = None) -> dict[str, Any]:
    """Everything the template shows."""
    knees = found.analysed
    cut_km = config["analysis"]["distance_cut_km"]
    cases = choose_cases(found)
    cards, other_cards, not_shown = knee_cards(found, cases)
    written = methods(found, config)
    checked = validate(found)
    return {
        "version": __version__,
        "simulated": config.get("simulate"),
        "summary": [
            summary.what_was_run(found),
            summary.what_was_found(found, config),
            summary.what_it_cannot_show(found),
        ],
        "facts": facts(found),
        "methods": written,
        "refusals": refusals_view(found),
        "flow": draw_flow(trace_steps(found)),
        "set_aside": set_aside_view(found),
        "set_aside_counts": set_aside_counts(found),
        "acquisition": acquisition_view(found),
        "quality_summary": quality_summary(found),
        "cohort_flow": plain("Flow as the cohort analysis counted it", tables.FLOW, found[tables.FLOW]),
        "quality": quality_view(found),
        "series": plain(
            "Every series found, and which was used",
            tables.SERIES,
            found[tables.SERIES],
            skip=("reason_code", "score_parts"),
        ),
        "structures": structures_view(found),
        "verdicts": verdict_words(found),
        "edited": plain(
            "Knees whose outlines a person corrected",
            tables.EDITED,
            found[tables.EDITED],
            skip=(*tables.KNEE_KEYS, "before_sha256", "after_sha256", "network", "machine_sha256", "machine_network"),
        ),
        "colours": [(label.label_name.replace("_", " "), labels.color(label)) for label in labels.Label if label],
        "case_rule": RULE,
        "cases": cases_view(cases, cards),
        "cards": cards,
        "other_cards": other_cards,
        "not_shown": not_shown,
        "glance": glance_view(found, [*cards, *other_cards]),
        "prevalence": grades_view(found),
        "prevalence_full": prevalence_view(found),
        "rules": rules_view(),
        "table_one": table_one_view(found),
        "grade_plots": [
            plots.plot_grades(knees, column, cut_km, f"grades-{column.split('_')[0]}", title)
            for column, title in (
                ("signal_grade", "Meniscal signal grade of the knee by foot strike and weekly distance"),
                ("effusion_grade", "Effusion grade by foot strike and weekly distance"),
            )
        ]
        if knees
        else [],
        "fluid_plot": plots.plot_fluid(knees, cut_km, "fluid", "Joint fluid against weekly distance, a point a knee")
        if knees
        else None,
        "forests": [
            (
                plots.outcome_words(outcome),
                plots.plot_forest(
                    [row for row in found[tables.ESTIMATES] if row["outcome"] == outcome],
                    f"forest-{k}-{outcome}",
                    f"Forest plot of ratios for {plots.outcome_words(outcome)}; its figures are in the table below",
                ),
            )
            for k, outcome in enumerate(plots.outcomes_in_order(found[tables.ESTIMATES]))
        ],
        "doses": dose_figures(found, config),
        "models": model_blocks(found[tables.ESTIMATES]),
        "joint_cells": joint_cells_view(found),
        "published": [
            make(found[tables.PUBLISHED])
            for make in (published.counts_view, published.groups_view, published.tests_view)
        ],
        "published_plot": published.plot_counts(found[tables.PUBLISHED]),
        "published_full": plain("Every quantity that was computed", tables.PUBLISHED, found[tables.PUBLISHED]),
        "claims": plain("Claims beside evidence", tables.CLAIMS, found[tables.CLAIMS]),
        "agreement": [
            made
            for make in (readers.grades_view, readers.many_view, readers.values_view)
            if (made := make(found[tables.AGREEMENT])).rows
        ],
        "agreement_notes": readers.notes(found[tables.AGREEMENT]),
        "agreement_full": plain("Every coefficient, with its method", tables.AGREEMENT, found[tables.AGREEMENT]),
        "confusion": readers.confusion_view(found[tables.CONFUSION]),
        "confusion_plots": confusion_plots(found[tables.CONFUSION]),
        "difference_plots": difference_plots(found),
        "machine_error": [
            made
            for make in (machine_error.prevalence_view, machine_error.odds_ratio_view, machine_error.difference_view)
            if (made := make(found[tables.MACHINE_ERROR])).rows
        ],
        "machine_error_notes": machine_error.notes(found[tables.MACHINE_ERROR]),
        "machine_error_full": plain("Every row, with its method", tables.MACHINE_ERROR, found[tables.MACHINE_ERROR]),
        "limits": summary.limits(found, config),
        "validation": validation_block(checked) if checked else None,
        "codebook": [
            (
                table,
                view(
                    f"Columns of {table.name}",
                    [
                        ("column", lambda c: c.name),
                        (
                            "kind",
                            lambda c: {"int": "whole number", "float": "number", "bool": "true or false"}.get(
                                c.kind, c.kind
                            ),
                        ),
                        ("meaning", lambda c: c.meaning),
                        ("values", lambda c: _values(c)),
                    ],
                    table.columns,
                ),
            )
            for table in tables.TABLES
        ],
        "provenance": provenance(config, model),
        "config": shown_config(config),
        "networks": networks_view(found),
        "citation": citation(found, config),
        "checksums": view(
            "Tables that this page was made from",
            [("file", lambda r: r[0]), ("SHA-256", lambda r: Cell(r[1], kind="hash"))],
            found.checksums,
        ),
        "checklists": [(each.name, checklist_view(each)) for each in checklists(found, config)],
        "checklist_references": " and ".join(
            f"[{written.references.index(REFERENCES[key]) + 1}]" for key in ("strobe", "claim")
        ),
        "MISSING": MISSING,
        "MOST_LINES": MOST_LINES,
        "MOST_ON_PAPER": MOST_ON_PAPER,
    }


def facts(found: Results) -> list[tuple[str, str]]:
    """The four numbers at the top of the page."""
    return [
        (str(len(found.scans)), "scans given"),
        (str(len(found.good)), "knees scored"),
        (str(len(found.set_aside)), "set aside"),
        (str(len({row["participant_id"] for row in found.analysed})), "runners analysed"),
    ]


def _values(column: tables.Column) -> str:
    if column.allowed:
        return ", ".join(map(str, column.allowed))
    if column.low is not None or column.high is not None:
        ends = [MISSING if v is None else words.number(v) for v in (column.low, column.high)]
        return (
            f"{ends[0]} to {ends[1]}"
            if MISSING not in ends
            else f"at least {ends[0]}"
            if ends[0] != MISSING
            else f"at most {ends[1]}"
        )
    return ""
