"""The report: one page that holds everything, for a radiologist and for a reviewer of methods.

No outside address, no script, no time or place of the run: the same results give the same bytes. Every text that comes
from a table is escaped by the template.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from kneeline import __version__, grading, labels, tables
from kneeline.report import plots, summary, words
from kneeline.report.flow import draw_flow, trace_steps
from kneeline.report.gather import Results, gather
from kneeline.report.validation import REGIONS, Validation, validate
from kneeline.tables import MISSING, Row, Table

# The whole page stays near 10 MB: pictures beyond this are named, not shown.
PICTURE_BYTES = 7_000_000  # as files; a third more as data URIs
MAX_KNEES_SHOWN = 200
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
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number, "percent": words.percent, "p_value": words.p_value, "words": words.cell
    }  # fmt: skip
    page = environment.get_template("template.html").render(**contents(found, config, model))
    path = Path(out) / "report.html"
    tables.write_text(path, page)
    return path


# --- tables on the page -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    text: str
    number: bool = False
    kind: str = ""  # style class: a grade's shade, a refusal
    link: str = ""  # anchor on the page


@dataclass(frozen=True)
class View:
    """A table as shown: caption, headings, rows of cells. `heads` names rows that are headings of a block."""

    caption: str
    headings: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


Spec = tuple[str, Callable[[Row], Any]]


def view(caption: str, columns: Sequence[Spec], rows: Sequence[Row]) -> View:
    """A table from (heading, function of a row) pairs. Numbers and n/a in a column of numbers are set right."""
    cells = [[get(row) for _, get in columns] for row in rows]
    numeric = [
        bool(column) and all(_is_number(v) or v is None for v in column) and any(v is not None for v in column)
        for column in zip(*cells, strict=True)
    ] or [False] * len(columns)
    return View(
        caption,
        tuple(Cell(name, right) for (name, _), right in zip(columns, numeric, strict=True)),
        tuple(
            tuple(
                value if isinstance(value, Cell) else Cell(words.cell(value), right)
                for value, right in zip(line, numeric, strict=True)
            )
            for line in cells
        ),
    )


def _is_number(value: Any) -> bool:
    return value.number if isinstance(value, Cell) else isinstance(value, (int, float)) and not isinstance(value, bool)


def plain(caption: str, table: Table, rows: Sequence[Row], skip: Sequence[str] = ()) -> View:
    """All columns of a declared table but `skip`; a column that no row fills is left out if it may be missing."""
    names = [
        c.name
        for c in table.columns
        if c.name not in skip and (c.needed or any(r.get(c.name) is not None for r in rows))
    ]
    return view(caption, [(words.heading(name), _getter(name)) for name in names], rows)


def _getter(name: str) -> Callable[[Row], Any]:
    return lambda row: row.get(name)


def grade_cell(grade: int | None) -> Cell:
    return Cell(MISSING, True, "grade grade-na") if grade is None else Cell(str(grade), True, f"grade grade-{grade}")


def fixed(value: float | None, form: str) -> Cell:
    return Cell(MISSING if value is None else format(value, form).replace("-", "−"), True)


# --- contents ---------------------------------------------------------------------------------------------------------


def contents(found: Results, config: Mapping[str, Any], model: Path | None = None) -> dict[str, Any]:
    """Everything the template shows."""
    knees = found[tables.KNEES]
    cut_km = config["cohort"]["distance_cut_km"]
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
        "prevalence": prevalence_views(found),
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
                    f"forest-{outcome.replace('_', '-')}",
                    f"Forest plot of ratios for {plots.outcome_words(outcome)}; the same figures are in the table below",
                ),
            )
            for outcome in plots.outcomes_in_order(found[tables.ESTIMATES])
        ],
        "models": model_blocks(found[tables.ESTIMATES]),
        "joint_cells": joint_cells_view(found),
        "published": plain("Published counts with intervals and tests", tables.PUBLISHED, found[tables.PUBLISHED]),
        "claims": plain("Claims beside evidence", tables.CLAIMS, found[tables.CLAIMS]),
        "agreement": plain("Agreement", tables.AGREEMENT, found[tables.AGREEMENT]),
        "confusion": plain("Pairs of grades", tables.CONFUSION, found[tables.CONFUSION]),
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
            [("file", lambda r: r[0]), ("SHA-256", lambda r: Cell(r[1], kind="code"))],
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
        (str(len({row["participant_id"] for row in found[tables.KNEES]})), "runners in the analysis table"),
    ]


def set_aside_view(found: Results) -> View:
    return view(
        "Scans that were set aside, and why",
        [
            ("scan", lambda r: r["scan_id"]),
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
            ("knees", lambda g: len(g[1])),
            ("median volume (mL)", lambda g: fixed(_ml(of(g[1], "volume_mm3", median)), ".2f")),
            ("lowest (mL)", lambda g: fixed(_ml(of(g[1], "volume_mm3", min)), ".2f")),
            ("highest (mL)", lambda g: fixed(_ml(of(g[1], "volume_mm3", max)), ".2f")),
            ("median confidence", lambda g: fixed(of(g[1], "confidence", median), ".2f")),
            ("lowest confidence", lambda g: fixed(of(g[1], "confidence", min), ".2f")),
        ],
        list(groups.items()),
    )


def _ml(mm3: float | None) -> float | None:
    return None if mm3 is None else mm3 / 1000


def verdict_words(found: Results) -> str:
    counts = {v: sum(row["verdict"] == v for row in found.good) for v in ("ok", "review", "unusable", None)}
    names = {
        "ok": "may be used",
        "review": "should be looked at",
        "unusable": "cannot be used",
        None: "have no verdict",
    }
    return ", ".join(f"{n} {names[v]}" for v, n in counts.items() if n) or "there are none"


# --- the knees --------------------------------------------------------------------------------------------------------


def knee_cards(found: Results) -> tuple[list[dict], list[str]]:
    """A card a scored knee in the order of the scans table, and the ids for which there was no room.

    Knees to be looked at and knees with flags have the first claim on the room.
    """
    knees = [_card(row, found) for row in found.good]
    room, shown = PICTURE_BYTES, set()
    for card in sorted(knees, key=lambda c: not (c["verdict"] != "ok" or c["flags"])):
        path = card["picture"].path
        size = path.stat().st_size if path else 0
        if size <= room and len(shown) < MAX_KNEES_SHOWN:
            room -= size
            shown.add(card["scan_id"])
    cards = [card for card in knees if card["scan_id"] in shown]
    for number, card in enumerate(cards, start=1):
        path = card["picture"].path
        card["anchor"] = f"knee-{number}"
        card["image"] = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode() if path else None
        card["size"] = _png_size(path) if path else None
    return cards, [card["scan_id"] for card in knees if card["scan_id"] not in shown]


def _png_size(path: Path) -> tuple[int, int]:
    """Width and height from the PNG's header, so that the page does not jump while pictures load."""
    with open(path, "rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _card(row: Row, found: Results) -> dict:
    meniscus = found.of_knee(tables.MENISCUS, row)
    effusion = (found.of_knee(tables.EFFUSION, row) or [{}])[0]
    cartilage = found.of_knee(tables.CARTILAGE, row)
    by_region = {(r["meniscus"], r["region"]): r["signal_grade"] for r in meniscus}
    flags = [
        f"{where}: {flag.strip()}"
        for where, text in [
            *((f"{r['meniscus']} {r['region']}".replace("_", " "), r["flags"]) for r in meniscus),
            ("fluid", effusion.get("flags")),
            *((r["plate"].replace("_", " "), r["flags"]) for r in cartilage if r["plate"]),
            *(("image", r["flags"]) for r in found.of_knee(tables.QUALITY, row)),
        ]
        for flag in (text or "").split(",")
        if flag.strip()
    ]
    side = {"L": "left", "R": "right"}.get(row["laterality"], "side n/a")
    skip = (*tables.KNEE_KEYS,)
    return {
        "scan_id": row["scan_id"],
        "title": f"{row['participant_id']}, {side} knee",
        "session": row["session_id"],
        "side_from": row["laterality_source"],
        "verdict": row["verdict"],
        "picture": found.pictures[row["scan_id"]],
        "grades": view(
            "Signal grade",
            [
                ("meniscus", lambda m: m),
                *((region.replace("_", " "), _grade_of(by_region, region)) for region in grading.REGIONS),
            ],
            grading.MENISCI,
        ),
        "by_region": by_region,
        "effusion": effusion,
        "effusion_cell": grade_cell(effusion.get("effusion_grade")),
        "flags": flags,
        "measurements": [
            plain(caption, table, rows, skip)
            for caption, table, rows in (
                ("Menisci", tables.MENISCUS, meniscus),
                ("Joint fluid", tables.EFFUSION, [effusion] if effusion else []),
                ("Cartilage (experimental)", tables.CARTILAGE, cartilage),
            )
            if rows
        ],
    }


def _grade_of(by_region: Mapping, region: str) -> Callable[[str], Cell]:
    return lambda m: grade_cell(by_region.get((m, region)))


def glance_view(found: Results, cards: Sequence[dict]) -> View:
    """Every knee in a line."""
    anchors = {card["scan_id"]: card["anchor"] for card in cards}
    short = {"anterior_horn": "anterior", "body": "body", "posterior_horn": "posterior"}

    def grade(m: str, r: str) -> Spec:
        return (
            f"{m} {short[r]}",
            lambda c: grade_cell(c["by_region"].get((m, r))),
        )

    return view(
        "All scored knees: meniscal signal grades, effusion grade and fluid",
        [
            ("knee", lambda c: Cell(c["scan_id"], link=anchors.get(c["scan_id"], ""))),
            *(grade(m, r) for m, r in REGIONS),
            ("effusion", lambda c: c["effusion_cell"]),
            ("fluid (mL)", lambda c: fixed(c["effusion"].get("fluid_ml"), ".1f")),
            ("segmentation", lambda c: c["verdict"]),
            ("flags", lambda c: Cell(str(len(c["flags"])) if c["flags"] else "none")),
        ],
        [_card(row, found) for row in found.good],
    )


def prevalence_views(found: Results) -> list[tuple[str, View]]:
    """One table an outcome; knees before runners, all before the exposure groups."""
    rows = sorted(found[tables.PREVALENCE], key=lambda r: (r["group"] != "overall", r["unit"] != "knees"))
    noted = any(row.get("note") for row in rows)
    columns: list[Spec] = [
        ("grade", lambda r: Cell(r["level"].replace("_", " "))),
        ("counted in", lambda r: {"participants": "runners"}.get(r["unit"], r["unit"])),
        ("group", lambda r: (r["group"] or MISSING).replace("_", " ")),
        ("count", lambda r: r["count"]),
        ("of", lambda r: r["n"]),
        ("share", lambda r: Cell(words.percent(r["proportion"]), True)),
        ("95 % interval (Wilson)", lambda r: Cell(_shares(r["wilson_low"], r["wilson_high"]), True)),
        ("95 % interval (exact)", lambda r: Cell(_shares(r["exact_low"], r["exact_high"]), True)),
        *([("note", lambda r: r.get("note"))] if noted else []),
    ]
    return [
        (
            plots.outcome_words(outcome),
            view(f"How common: {plots.outcome_words(outcome)}", columns, [r for r in rows if r["outcome"] == outcome]),
        )
        for outcome in dict.fromkeys(row["outcome"] for row in rows)
    ]


def _shares(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"{words.percent(low)[:-2]} to {words.percent(high)}"


def rules_view() -> View:
    """The thresholds behind the grades, from `grading`."""
    rules = (
        grading.SIGNAL, grading.EFFUSION_DEPTH, grading.EFFUSION_VOLUME, grading.CARTILAGE, grading.STRIKE,
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


# --- the cohort -------------------------------------------------------------------------------------------------------


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

    def difference(line) -> float | None:
        return next(
            (r["standardised_difference"] for r in line[1].values() if r["standardised_difference"] is not None), None
        )

    return view(
        "Who was studied. No p-values: groups are described, not tested",
        [
            ("variable", lambda line: line[0][0]),
            ("shown", lambda line: line[0][1] or ""),
            *((group.replace("_", " "), shown(group)) for group in groups),
            ("standardised difference", lambda line: fixed(difference(line), ".2f")),
        ],
        list(lines.items()),
    )


@dataclass(frozen=True)
class Block:
    """A model's rows."""

    title: str
    method: str | None
    view: View


def model_blocks(rows: Sequence[Row]) -> list[Block]:
    """Every row of ESTIMATES, gathered by model and outcome."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row["outcome"], row["model"]), []).append(row)
    columns: list[Spec] = [
        ("term", lambda r: words.term_words(r["term"])),
        ("quantity", lambda r: (r["scale"] or MISSING).replace("_", " ")),
        (
            "estimate",
            lambda r: (
                Cell("refused", kind="refused") if r["status"] == "refused" else Cell(words.number(r["estimate"]), True)
            ),
        ),
        ("95 % interval", lambda r: Cell(words.interval(r["ci_low"], r["ci_high"]), True)),
        ("p", lambda r: Cell(words.p_value(r["p_value"]), True)),
        ("runners", lambda r: r["n_participants"]),
        ("knees", lambda r: r["n_knees"]),
        ("reason or caution", lambda r: r["reason"] or ""),
    ]
    return [
        Block(
            f"{plots.outcome_words(outcome)}: {plots.model_words(model)}",
            next((row["method"] for row in members if row["method"]), None),
            view(f"{plots.model_words(model)}, {plots.outcome_words(outcome)}", columns, members),
        )
        for (outcome, model), members in groups.items()
    ]


def joint_cells_view(found: Results) -> View:
    return view(
        "Strike by weekly distance: runners, risks and odds ratios in the four cells",
        [
            ("finding", lambda r: r["outcome"].replace("_", " ")),
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
                    else Cell(f"{words.number(r['odds_ratio'])} ({words.interval(r['ci_low'], r['ci_high'])})")
                ),
            ),
            ("reason or caution", lambda r: r["reason"] or ""),
        ],
        found[tables.JOINT_CELLS],
    )


# --- the end ----------------------------------------------------------------------------------------------------------


def validation_block(checked: Validation) -> dict[str, Any]:
    """Figures, statistics and the table by knee of the validation appendix."""
    return {
        "n_true": checked.n_true,
        "n_compared": checked.n_compared,
        "n_side_right": checked.n_side_right,
        "figures": [
            *((a.name, plots.plot_confusion(a, f"confusion-{k}")) for k, a in enumerate(checked.grades)),
            *((a.name, plots.plot_volumes(a, f"volumes-{k}")) for k, a in enumerate(checked.volumes) if a.n),
        ],
        "grades": view(
            "Grades, predicted against true",
            [
                ("what", lambda a: a.name),
                ("pairs", lambda a: a.n),
                ("without a prediction", lambda a: a.n_missing),
                ("exact", lambda a: Cell(words.percent(a.exact), True)),
                ("within one grade", lambda a: Cell(words.percent(a.within_one), True)),
                ("quadratic-weighted kappa", lambda a: fixed(a.kappa, ".2f")),
                ("95 % interval", lambda a: Cell(_two(a.ci_low, a.ci_high, ".2f"), True)),
            ],
            checked.grades,
        ),
        "volumes": view(
            "Volumes, predicted minus true",
            [
                ("what", lambda a: f"{a.name} ({a.unit})"),
                ("knees", lambda a: a.n),
                ("without a prediction", lambda a: a.n_missing),
                ("mean true", lambda a: sum(a.true) / a.n if a.n else None),
                ("bias", lambda a: fixed(a.bias, _form(a.unit))),
                ("95 % interval", lambda a: Cell(_two(a.bias_low, a.bias_high, _form(a.unit)), True)),
                ("95 % limits of agreement", lambda a: Cell(_two(a.limit_low, a.limit_high, _form(a.unit)), True)),
            ],
            checked.volumes,
        ),
        "knees": view(
            "Each simulated knee",
            [
                ("scan", lambda k: k["scan_id"]),
                ("contrast", lambda k: k["contrast"]),
                ("slice (mm)", lambda k: k["slice_thickness_mm"]),
                ("side true", lambda k: k["true_side"]),
                ("found", lambda k: k["found_side"]),
                ("knee grade true", lambda k: grade_cell(k["true_knee"])),
                ("found", lambda k: grade_cell(k["found_knee"])),
                ("regions right", lambda k: Cell(f"{k['n_right']} of {len(REGIONS)}" if k["compared"] else MISSING)),
                ("fluid true (mL)", lambda k: fixed(k["true_ml"], ".1f")),
                ("found (mL)", lambda k: fixed(k["found_ml"], ".1f")),
                ("medial true (mL)", lambda k: fixed(_ml(k["true_medial"]), ".2f")),
                ("found (mL)", lambda k: fixed(_ml(k["found_medial"]), ".2f")),
                ("lateral true (mL)", lambda k: fixed(_ml(k["true_lateral"]), ".2f")),
                ("found (mL)", lambda k: fixed(_ml(k["found_lateral"]), ".2f")),
                ("not compared because", lambda k: k["why_not"] or ""),
            ],
            checked.knees,
        ),
    }


def _form(unit: str) -> str:
    return ".2f" if unit == "mL" else ".0f"


def _two(low: float | None, high: float | None, form: str) -> str:
    return MISSING if low is None or high is None else f"{low:{form}} to {high:{form}}".replace("-", "−")


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
        "Versions", [("what", lambda r: r[0]), ("version", lambda r: Cell(words.cell(r[1]), kind="code"))], lines
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
