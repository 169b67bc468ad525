"""Fabricated score tables and sheets with known content, as the stages before would have left them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kneeline import grading, tables
from kneeline.tables import Row


def runner(number: int, **values) -> Row:
    """A participants row: rearfoot for odd numbers, distance, age and body mass index that vary with the number."""
    row: Row = {
        "participant_id": f"sub-{number:03d}",
        "age_years": 30 + (number * 7) % 23,
        "sex": "FM"[number // 2 % 2],
        "bmi_kg_m2": 20 + (number * 5) % 9 / 2,
        "strike_style": "rearfoot" if number % 2 else "forefoot",
        "strike_method": "video",
        "weekly_distance_km": 20 + (number * 11) % 31,
        "distance_source": "gps",
    }
    return row | values


def knee(number: int, side: str, grade: int | None, effusion: int | None, fluid_ml: float = 6.0) -> Row:
    """What `write_results` needs to know about one scored knee; `grade` sits in the medial posterior horn."""
    return {
        "participant_id": f"sub-{number:03d}",
        "session_id": "ses-01",
        "laterality": side,
        "grade": grade,
        "effusion_grade": effusion,
        "fluid_ml": fluid_ml,
    }


def draw_knees(n_runners: int, sides: str, seed: int) -> list[Row]:
    """Knees whose grades depend on nothing."""
    rng = np.random.default_rng(seed)
    return [
        knee(i, side, int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])), int(rng.integers(0, 3)), float(rng.uniform(2, 20)))
        for i in range(1, n_runners + 1)
        for side in sides
    ]


def one_a_runner(counts) -> list[Row]:
    """Knees, one a runner: (without, with the finding) for non-rearfoot below, from the cut; then rearfoot the same."""
    knees = []
    for cell, (without, having) in enumerate(counts):
        for grade in [0] * without + [2] * having:
            knees.append(
                {
                    "participant_id": f"sub-{len(knees):03d}",
                    "strike_style": "rearfoot" if cell >= 2 else "forefoot",
                    "weekly_distance_km": 50.0 if cell % 2 else 20.0,
                    "signal_grade": grade,
                }
            )
    return knees


def write_results(folder: Path, runners: list[Row], knees: list[Row], statuses: list[Row] = ()) -> dict[str, Path]:
    """Write participants.tsv, ingest/scans.tsv and score/*.tsv; returns the path arguments of `run_cohort`."""
    keys = [{k: row[k] for k in tables.KNEE_KEYS} for row in knees]
    good = [
        {**key, "scan_id": tables.scan_id(*key.values()), "status": "ok", "verdict": knee.get("verdict", "ok")}
        for key, knee in zip(keys, knees, strict=True)
    ]
    meniscus, effusion = [], []
    for key, row in zip(keys, knees, strict=True):
        for part in grading.MENISCI:
            for region in grading.REGIONS:
                worst = (part, region) == ("medial", "posterior_horn")
                meniscus.append(
                    {**key, "meniscus": part, "region": region, "signal_grade": row["grade"] if worst else 0}
                )
        fluid = {name: row[name] for name in ("fluid_ml", "effusion_grade")}
        effusion.append({**key, **fluid, "pouch_in_view": row.get("pouch_in_view", True)})
    paths = {
        "participants": folder / "participants.tsv",
        "scans": folder / "ingest" / "scans.tsv",
        "score_dir": folder / "score",
    }
    tables.write_table(paths["participants"], runners, tables.PARTICIPANTS)
    tables.write_table(paths["scans"], [*good, *statuses], tables.INGEST_SCANS)
    tables.write_table(paths["score_dir"] / "meniscus.tsv", meniscus, tables.MENISCUS)
    tables.write_table(paths["score_dir"] / "effusion.tsv", effusion, tables.EFFUSION)
    plates = [
        {**key, "plate": plate, "cartilage_grade": knee.get("cartilage_grade", 0)}
        for key, knee in zip(keys, knees, strict=True)
        for plate in tables.CARTILAGE["plate"].allowed
    ]
    bones = [
        {**key, "bone": bone, "marrow_grade": knee.get("marrow_grade", 0)}
        for key, knee in zip(keys, knees, strict=True)
        for bone in tables.MARROW["bone"].allowed
    ]
    tables.write_table(paths["score_dir"] / "cartilage.tsv", plates, tables.CARTILAGE)
    tables.write_table(paths["score_dir"] / "marrow.tsv", bones, tables.MARROW)
    return paths


@pytest.fixture(scope="session")
def fabricate() -> SimpleNamespace:
    """The functions of this file."""
    return SimpleNamespace(runner=runner, knee=knee, draw_knees=draw_knees, write_results=write_results)


@pytest.fixture
def analyse(tmp_path):
    """Write fabricated results, run the cohort stage on them, return its tables by name."""
    from kneeline.cohort.run import run_cohort

    def call(runners, knees, statuses=(), config=None, readings=None, out="cohort") -> SimpleNamespace:
        paths = write_results(tmp_path, runners, knees, statuses)
        if readings is not None:
            tables.write_table(tmp_path / "readings.tsv", readings, tables.READINGS)
            readings = tmp_path / "readings.tsv"
        few = {"n_imputations": 2, "n_bootstrap": 100}
        run_cohort(**paths, out=tmp_path / out, config=few | (config or {}), readings=readings)
        written = {
            table.name.removeprefix("cohort/"): tables.read_table(
                tmp_path / out / f"{table.name.removeprefix('cohort/')}.tsv", table
            )
            for table in tables.TABLES
            if table.name.startswith("cohort/")
        }
        return SimpleNamespace(folder=tmp_path / out, **written)

    return call
