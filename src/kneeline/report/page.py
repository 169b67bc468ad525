"""The report: one page that holds everything, for a radiologist and for a reviewer of methods.

No outside address, no script, no time or place of the run: the same results give the same bytes. Every text that comes
from a table is escaped by the template.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from kneeline import __version__, labels, tables
from kneeline.report import machine_error, plots, published, readers, summary, words
from kneeline.report.analysis import (
    grades_view,
    joint_cells_view,
    model_blocks,
    prevalence_view,
    rules_view,
    table_one_view,
)
from kneeline.report.appendix import validation_block
from kneeline.report.dose import dose_figures
from kneeline.report.flow import draw_flow, trace_steps
from kneeline.report.gather import Results, gather
from kneeline.report.index_page import write_index
from kneeline.report.knees import glance_view, knee_cards
from kneeline.report.validation import validate
from kneeline.report.views import Cell, View, fixed, ml, plain, view
from kneeline.tables import MISSING, Row

LIBRARIES = (
    "numpy", "scipy", "nibabel", "pydicom", "python-gdcm", "SimpleITK", "scikit-image", "onnxruntime", "pandas",
    "statsmodels", "matplotlib", "pillow", "jinja2", "snakemake",
)  # fmt: skip


def build_report(
    results: Path, out: Path, config: Mapping[str, Any], truth: Path | None = None, model: Path | None = None
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
    """
    import jinja2

    found = gather(Path(results), Path(out), truth)
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
    cards, not_shown = knee_cards(found)
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
        "flow": draw_flow(trace_steps(found)),
        "set_aside": set_aside_view(found),
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
        "colours": [(label.label_name.replace("_", " "), labels.color(label)) for label in labels.Label if label],
        "cards": cards,
        "not_shown": not_shown,
        "glance": glance_view(found, cards),
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
        "config": json.dumps(_without_places(config), indent=2, ensure_ascii=False),
        "checksums": view(
            "Tables that this page was made from",
            [("file", lambda r: r[0]), ("SHA-256", lambda r: Cell(r[1], kind="hash"))],
            found.checksums,
        ),
        "MISSING": MISSING,
    }


def facts(found: Results) -> list[tuple[str, str]]:
    """The four numbers at the top of the page."""
    return [
        (str(len(found.scans)), "scans given"),
        (str(len(found.good)), "knees scored"),
        (str(len(found.set_aside)), "set aside"),
        (str(len({row["participant_id"] for row in found.analysed})), "runners analysed"),
    ]


def set_aside_view(found: Results) -> View:
    return view(
        "Scans that were set aside, and why",
        [
            ("scan", lambda r: Cell(r["scan_id"], kind="id")),
            ("at", lambda r: r["stage"]),
            ("rule", lambda r: Cell(r["reason_code"] or MISSING, kind="code")),
            ("reason", lambda r: r["reason"]),
        ],
        found.set_aside,
    )


def quality_view(found: Results) -> View:
    return plain(
        "Image quality of each scan that went on", tables.QUALITY, found[tables.QUALITY],
        skip=("participant_id", "session_id"),
    )  # fmt: skip


def structures_view(found: Results) -> View:
    """Median volume and confidence of each structure over the knees, lowest and highest volume beside it."""
    from statistics import median

    groups: dict[str, list[Row]] = {}
    for row in found[tables.SEGMENT]:
        groups.setdefault(row["structure"] or MISSING, []).append(row)

    def of(rows: Sequence[Row], column: str, take: Callable) -> float | None:
        values = [row[column] for row in rows if row[column] is not None]
        return take(values) if values else None

    return view(
        "Volume and confidence of each structure over the knees",
        [
            ("structure", lambda g: g[0].replace("_", " ")),
            ("knees", lambda g: sum(row["volume_mm3"] is not None for row in g[1])),
            ("median volume (mL)", lambda g: fixed(ml(of(g[1], "volume_mm3", median)), ".2f")),
            ("lowest (mL)", lambda g: fixed(ml(of(g[1], "volume_mm3", min)), ".2f")),
            ("highest (mL)", lambda g: fixed(ml(of(g[1], "volume_mm3", max)), ".2f")),
            ("median confidence", lambda g: fixed(of(g[1], "confidence", median), ".2f")),
            ("lowest confidence", lambda g: fixed(of(g[1], "confidence", min), ".2f")),
        ],
        list(groups.items()),
    )


def verdict_words(found: Results) -> str:
    counts = {v: sum(row["verdict"] == v for row in found.good) for v in ("ok", "review", "unusable", None)}
    names = {
        "ok": "may be used",
        "review": "should be looked at",
        "unusable": "cannot be used",
        None: "have no verdict",
    }
    return ", ".join(f"{n} {names[v]}" for v, n in counts.items() if n) or "there are none"


# --- the end ----------------------------------------------------------------------------------------------------------


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


def provenance(config: Mapping[str, Any], model: Path | None) -> View:
    """Versions, checksum of the network, seeds. Nothing of when or where."""
    lines = [("kneeline", __version__), ("Python", platform.python_version())]
    for name in LIBRARIES:
        try:
            lines.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            lines.append((name, "not installed"))
    models = [Path(model)] if model else sorted((Path(__file__).parents[1] / "segment").glob("**/*.onnx"))
    lines += [(f"network {path.name}, SHA-256", hashlib.sha256(path.read_bytes()).hexdigest()) for path in models] or [
        ("network", MISSING)
    ]
    simulate = config.get("simulate") or {}
    lines.append(("seed of the simulated cohort", simulate.get("seed")))
    return view(
        "Versions", [("what", lambda r: r[0]), ("version", lambda r: Cell(words.cell(r[1]), kind="hash"))], lines
    )


def _without_places(value: Any) -> Any:
    """The config as run, with absolute paths cut to their last part: where a run took place is nobody's business."""
    if isinstance(value, Mapping):
        return {key: _without_places(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_places(v) for v in value]
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str) and (PurePath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return PureWindowsPath(value).name if "\\" in value else PurePath(value).name
    return value
