"""The cohort stage: score tables and the participants sheet in, tables of estimates out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kneeline import tables
from kneeline.cohort.agreement import compare_raters
from kneeline.cohort.assemble import Cohort, check_scored, read_cohort, to_analyse, usable
from kneeline.cohort.assisted import compare_assisted
from kneeline.cohort.completeness import model_flow
from kneeline.cohort.dose import dose_response
from kneeline.cohort.input_checks import reading_faults, refuse
from kneeline.cohort.joint import joint_cells
from kneeline.cohort.knee_table import read_knee_table
from kneeline.cohort.machine_error import machine_error_rows
from kneeline.cohort.multiplicity import adjust_p_values
from kneeline.cohort.prevalence import prevalence
from kneeline.cohort.published import CLAIMS, published
from kneeline.cohort.read_values import read_values
from kneeline.cohort.readings import of_phase
from kneeline.cohort.relate import has_outcome, relate
from kneeline.cohort.settings import DISTANCE, Settings, read_settings
from kneeline.cohort.table_one import table_one
from kneeline.cohort.total import add_totals, runner_totals
from kneeline.statistics.resampled import Resampling
from kneeline.tables import Row, Table


def run_cohort(
    participants: Path,
    scans: Path,
    score_dir: Path,
    out: Path,
    config: Mapping[str, Any],
    readings: Path | None = None,
) -> None:
    """Write every cohort table into `out`.

    Parameters
    ----------
    participants
        The participants sheet.
    scans
        `ingest/scans.tsv`: what became of each scan.
    score_dir
        Folder of `meniscus.tsv`, `effusion.tsv`, `cartilage.tsv` and `marrow.tsv`.
    config
        The `analysis` block of config.yaml.
    readings
        What readers graded, if there is such a table.

    Raises
    ------
    UsageError
        A sheet, the settings or the score tables are wrong; nothing is written then.
    """
    settings = read_settings(config)
    cohort = read_cohort(Path(participants), Path(scans), Path(score_dir))
    cartilage = tables.read_table(Path(score_dir) / "cartilage.tsv", tables.CARTILAGE)
    marrow = tables.read_table(Path(score_dir) / "marrow.tsv", tables.MARROW)
    check_scored({"cartilage": cartilage, "marrow": marrow}, cohort.scored, all_needed=False)
    read, assisted = _read_readings(readings, cohort)
    cohort = replace(cohort, knees=add_totals(cohort.knees, cartilage, marrow, read, settings))
    _write(cohort, read, assisted, cartilage, marrow, settings, Path(out))


def run_table(knees: Path, out: Path, config: Mapping[str, Any], readings: Path | None = None) -> Cohort:
    """The same from one table of knees, by whomever they were scored; see `knee_table`. Returns what was read."""
    settings = read_settings(config)
    cohort = read_knee_table(knees)
    _write(cohort, *_read_readings(readings, cohort), (), (), settings, Path(out))
    return cohort


def _read_readings(path: Path | None, cohort: Cohort) -> tuple[list[Row] | None, list[Row]]:
    """Rows of READINGS that fit the cohort, blind (None without a table) and assisted: the two are never mixed."""
    if path is None:
        return None, []
    read = tables.read_table(path, tables.READINGS)
    refuse(str(path), reading_faults(read, cohort.scanned, {row["participant_id"] for row in cohort.runners}))
    return of_phase(read, assisted=False), of_phase(read, assisted=True)


def _write(
    cohort: Cohort,
    read: Sequence[Row] | None,
    assisted: Sequence[Row],
    cartilage: Sequence[Row],
    marrow: Sequence[Row],
    settings: Settings,
    out: Path,
) -> None:
    """Compute everything, then write every table."""
    knees = to_analyse(cohort)
    studied = {row["participant_id"] for row in knees}
    estimates, curves = estimate(knees, settings)
    resampling = Resampling(settings.n_bootstrap, settings.seed)
    scored = [row for row in cohort.knees if usable(row)]
    agreement, confusion = compare_raters(scored, read, cartilage, marrow, resampling)
    aided, aided_counts = compare_assisted(scored, read or [], assisted, cartilage, marrow, resampling)
    written: list[tuple[Table, list[Row]]] = [
        (tables.KNEES, cohort.knees),
        (tables.RUNNERS, runner_totals(knees)),
        (tables.FLOW, cohort.flow + model_flow(knees, settings)),
        (tables.TABLE_ONE, table_one([row for row in cohort.runners if row["participant_id"] in studied], settings)),
        (tables.PREVALENCE, prevalence(knees)),
        (tables.JOINT_CELLS, joint_rows(knees, settings)),
        (tables.DOSE_RESPONSE, curves),
        (tables.ESTIMATES, estimates),
        (tables.PUBLISHED, published()),
        (tables.CLAIMS, [vars(claim) for claim in CLAIMS]),
        (tables.AGREEMENT, agreement + aided),
        (tables.CONFUSION, confusion + aided_counts),
        (tables.READ_VALUES, read_values(scored, read)),
        (tables.MACHINE_ERROR, machine_error_rows(knees, read, settings)),
    ]
    for table, rows in written:
        tables.write_table(Path(out) / f"{table.name.removeprefix('cohort/')}.tsv", rows, table)


def estimate(knees: Sequence[Row], settings: Settings) -> tuple[list[Row], list[Row]]:
    """Rows of ESTIMATES and of DOSE_RESPONSE from the knees to analyse (rows of KNEES); reads and writes no file."""
    rows, curves = relate(knees, settings), []
    if DISTANCE in settings.exposures:
        for outcome in settings.ordered_outcomes:
            if has_outcome(knees, outcome):
                tests, curve = dose_response(knees, outcome, settings)
                rows += tests
                curves += curve
    for row in rows:
        row["role"] = settings.role(row["outcome"])
    adjust_p_values(rows, settings)
    return rows, curves


def joint_rows(knees: Sequence[Row], settings: Settings) -> list[Row]:
    """Rows of JOINT_CELLS of every graded outcome that some knee has, if both exposures are studied."""
    outcomes = settings.graded_outcomes if len(settings.exposures) == 2 else ()
    return [row for name in outcomes if has_outcome(knees, name) for row in joint_cells(knees, name, settings)]
