"""A results folder made up row by row from the declared tables: 26 knees, three of them set aside, refused models."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from kneeline import grading, tables
from kneeline.labels import Label
from kneeline.report import page, pictures
from kneeline.tables import scan_id
from kneeline.volume import Volume

CONFIG = {
    "participants": "config/participants.tsv",
    "scans": "config/scans.tsv",
    "readings": None,
    "simulate": {"runners": 26, "seed": 2006},
    "analysis": {
        "primary_outcome": "signal_grade",
        "distance_unit_km": 10,
        "distance_cut_km": 32,
        "adjustment": {"main": ["age_years", "sex", "bmi_kg_m2"]},
        "min_joint_cell": 5,
    },
}
HOSTILE = '<script>alert("x")</script> & "quoted" $\\frac$ {{ 7 * 7 }}'
SET_ASIDE = {
    4: ("ingest", "missing_slice", "one slice is missing between 12 and 13; export the whole series again"),
    11: ("ingest", "burned_in", HOSTILE),
    19: ("segment", "not_a_knee", "no femur and tibia were found; give a sagittal knee series"),
}

SIDECAR = {
    "Manufacturer": "Acme", "ManufacturersModelName": "Knee 3", "MagneticFieldStrength": 3.0,
    "MRAcquisitionType": "2D", "EchoTime": 0.03, "RepetitionTime": 3.2,
}  # fmt: skip
NETWORK = {"network": "ab" * 32, "engine": "onnxruntime", "version": "1.2.3", "precision": "float32"}

TOTAL_PARTS = "menisci=missing (not graded),cartilage=machine+reader:anna,effusion=machine"


def fake_results(folder, n=26, set_aside=SET_ASIDE, draw=3):
    """Write the tables (and `draw` pictures) of a run of `n` knees; return the truth's path."""
    rng = np.random.default_rng(7)
    status, quality, series, structures, meniscus, effusion, cartilage, marrow, knees, truth = ([] for _ in range(10))
    for i in range(1, n + 1):
        side = "LR"[i % 2]
        keys = {"participant_id": f"sub-{i:03}", "session_id": "ses-01", "laterality": side}
        scan = scan_id(*keys.values())
        stage, code, reason = set_aside.get(i, (None, None, None))
        verdict = None if stage else "review" if i == 8 else "ok"
        status.append(
            {"scan_id": scan, **keys, "status": "quarantined" if stage else "ok", "stage": stage, "reason_code": code}
            | {"reason": reason, "laterality_source": "table", "laterality_sources": f"table={side}"}
            | {"verdict": verdict}
        )
        regions = [(m, r) for m in grading.MENISCI for r in grading.REGIONS]
        grades = dict(zip(regions, map(int, rng.choice(4, 6, p=(0.8, 0.1, 0.07, 0.03))), strict=True))
        fluid = float(rng.gamma(2, 5))
        named = {f"{m}_{r}_signal_grade": g for (m, r), g in grades.items()}
        truth.append(
            {"scan_id": scan, **keys, **named, "signal_grade": max(grades.values()), "fluid_ml": fluid}
            | {"suprapatellar_ml": fluid / 2, "medial_meniscus_mm3": 2300.0, "lateral_meniscus_mm3": 2100.0}
            | {"contrast": "PDFS", "slice_thickness_mm": 3.0}
        )
        if stage:
            continue
        seen = {k: min(3, g + int(rng.random() < 0.2)) for k, g in grades.items()}
        if i == 8:
            seen["lateral", "body"] = None
        found_ml = max(0.0, fluid * float(rng.normal(0.9, 0.1)))
        quality.append(
            {"scan_id": scan, **keys, "contrast": "PDFS", "n_slices": 30, "pixel_mm": 0.4, "slice_spacing_mm": 3.3}
            | {"slice_thickness_mm": 3.0, "coverage_mm": 99.0, "in_plane_mm": 160.0, "snr": 21.4}
            | {"flags": "low_snr" if i == 8 else None}
        )
        series.append({"scan_id": scan, "series": 1, "chosen": True, "score": 8.5, "plane": "sagittal"})
        for name in ("femur", "medial_meniscus", "lateral_meniscus", "joint_fluid"):
            structures.append(
                {
                    "scan_id": scan,
                    **keys,
                    "structure": name,
                    "volume_mm3": float(rng.normal(2300, 90)),
                    "confidence": 0.9,
                }
            )
        for (m, r), grade in seen.items():
            meniscus.append(
                {**keys, "meniscus": m, "region": r, "volume_mm3": 760.0, "signal_ratio": 0.2, "hyperintense_mm3": 0.0}
                | {"hyperintense_pct": 0.0, "signal_extent_mm": 0.0, "surface_slices": 0, "signal_grade": grade}
                | {"flags": "network_uncertain" if grade is None else None}
            )
        in_view = i % 9 != 0
        effusion.append(
            {**keys, "fluid_ml": found_ml, "suprapatellar_ml": found_ml / 2, "midline_depth_mm": found_ml / 3}
            | {"lateral_depth_mm": None, "pouch_in_view": in_view, "flags": None if in_view else "pouch_cut_off"}
            | {"effusion_grade": grading.grade_effusion_depth(found_ml / 3, None) if in_view else None}
            | {"effusion_grade_volume": grading.grade_effusion_volume(found_ml)}
        )
        cartilage.append({**keys, "plate": "femoral_cartilage", "thickness_mean_mm": 2.1, "flags": "experimental"})
        totals = {}
        if i == 8:
            marrow.append({**keys, "bone": "femur", "marrow_grade": 1, "flags": "experimental"})
            totals = {"cartilage_score": 3, "effusion_score": 1, "total_parts": TOTAL_PARTS}
        known = [g for g in seen.values() if g is not None]
        knees.append(
            {**keys, "signal_grade": None if i == 8 else max(known), "verdict": verdict, "analysed": True}
            | {f"{m}_{r}_signal_grade": g for (m, r), g in seen.items()}
            | {k: v for k, v in effusion[-1].items() if k not in (*keys, "flags")}
            | totals
            | {"age_years": 30.0 + i, "sex": "FM"[i % 2], "bmi_kg_m2": 22.5, "running_years": 8.0}
            | {
                "strike_style": "rearfoot" if i % 4 else "forefoot",
                "strike_method": "video" if i % 3 else "self_report",
            }
            | {"weekly_distance_km": float(10 + 2 * i), "distance_source": "gps"}
        )
    good = [row for row in status if row["status"] == "ok"]
    for row in good:
        tables.write_text(folder / "ingest" / f"{row['scan_id']}_image.json", json.dumps(SIDECAR))
        tables.write_text(folder / "segment" / f"{row['scan_id']}_dseg.json", json.dumps(NETWORK))
    write = lambda table, rows: tables.write_table(folder / f"{table.name}.tsv", rows, table)  # noqa: E731
    for table, rows in (
        (tables.INGEST_SCANS, status), (tables.QUALITY, quality), (tables.SERIES, series), (tables.SEGMENT, structures),
        (tables.MENISCUS, meniscus), (tables.EFFUSION, effusion), (tables.CARTILAGE, cartilage),
        (tables.MARROW, marrow), (tables.KNEES, knees), (tables.TRUTH, truth),
    ):  # fmt: skip
        write(table, rows)
    write(
        tables.FLOW,
        [
            {"step": "runners in the participants sheet", "n_participants": n},
            {"step": "scans in the scans table", "n_participants": n, "n_scans": n},
            {"step": "scored knees", "n_participants": len(good), "n_scans": len(good)},
            {"step": "knees to analyse", "n_participants": len(good), "n_scans": len(good)},
            {"step": "knees complete for the adjusted model of signal_grade", "n_participants": len(good[:-1]),
             "n_scans": len(good[:-1]), "reason": "1 without signal_grade"},
        ],
    )  # fmt: skip
    write(tables.ESTIMATES, fake_estimates(len(good)) if n else [])
    write(tables.PREVALENCE, fake_prevalence(knees))
    write(
        tables.TABLE_ONE,
        [
            {"variable": "age (years)", "level": "mean (SD)", "group": g, "n": 11, "missing": 1, "value": v,
             "standardised_difference": 0.31}
            for g, v in (("overall", "43.1 (7.6)"), ("rearfoot", "44.0 (7.2)"), ("non_rearfoot", "41.2 (8.0)"))
        ] + [
            {"variable": "sex", "level": level, "group": g, "n": 12, "missing": 0, "value": v}
            for level in "FM" for g, v in (("overall", "12 (52 %)"), ("rearfoot", "8"), ("non_rearfoot", "4"))
        ] if n else [],
    )  # fmt: skip
    write(
        tables.JOINT_CELLS,
        [
            {"outcome": "signal_grade >= 1", "strike_group": s, "distance_group": d, "n_participants": 5, "n_knees": 5,
             "count": 2, "risk": 0.4, "wilson_low": 0.12, "wilson_high": 0.77, "status": "refused", "reason": "sparse"}
            for s in ("non_rearfoot", "rearfoot") for d in ("below_32_km", "from_32_km")
        ] if n else [],
    )  # fmt: skip
    write(
        tables.PUBLISHED,
        [
            {"study": "Schueller-Weidekamm 2006", "finding": "menisci grade 1", "group": "high against low", "count": 6,
             "n": 13, "assumption": "13 runners a group; sizes are not in the abstract", "quantity": "odds ratio",
             "estimate": 1.93, "ci_low": 0.39, "ci_high": 9.6, "p_value": 0.69, "note": "cannot tell the groups apart"}
        ],
    )  # fmt: skip
    write(
        tables.CLAIMS, [{"claim": "forefoot running prevents lesions", "evidence": "no data", "verdict": "unsupported"}]
    )
    write(tables.AGREEMENT, [])
    error = {"outcome": "effusion_grade", "status": "estimated", "method": "matrix method", "n_knees": n}
    write(
        tables.MACHINE_ERROR,
        [
            error
            | {"quantity": "prevalence of grade 1 or more", "scale": "proportion", "naive": 0.5, "estimate": 0.4}
            | {"ci_low": 0.3, "ci_high": 0.55, "naive_low": 0.4, "naive_high": 0.6, "n_validated": 12},
            {"outcome": "signal_grade", "quantity": "all", "method": "all", "status": "refused"}
            | {"reason": "few_validated: 9 knees were read"},
        ],
    )
    for row in good[:draw]:
        draw_picture(folder / "report", row)
    return folder / "simulate" / "truth.tsv"


def fake_estimates(n):
    rows = []
    for outcome in ("signal_grade", "effusion_grade"):
        for model, terms in (
            ("cumulative_logit_crude_distance", ("distance_per_10_km",)),
            ("cumulative_logit_adjusted", ("rearfoot", "distance_per_10_km", "age_years", "sex_male", "bmi_kg_m2")),
        ):
            for k, term in enumerate(terms):
                rows.append(
                    {"model": model, "outcome": outcome, "term": term, "scale": "odds_ratio", "estimate": 1.1 + 0.6 * k,
                     "ci_low": 0.4 + 0.1 * k, "ci_high": 3.0 + 12 * k, "p_value": 0.3,
                     "n_participants": n, "n_knees": n,
                     "status": "estimated", "method": "cumulative logit (proportional odds), clustered by runner"}
                )  # fmt: skip
        rows.append(
            {"model": "cumulative_logit_interaction", "outcome": outcome, "term": "rearfoot:distance_per_10_km",
             "scale": "odds_ratio", "n_participants": n, "n_knees": n, "status": "refused",
             "reason": "sparse: fewer than 5 runners in a compared group: non_rearfoot below_32_km holds 3"}
        )  # fmt: skip
        rows.append(
            {"model": "power_crude_strike", "outcome": outcome, "term": "if the odds ratio were 2", "scale": "other",
             "estimate": 0.145, "n_participants": n, "n_knees": n, "status": "estimated", "method": "Whitehead 1993",
             "reason": "probability of p < 0.05 with 17 rearfoot and 6 other runners"}
        )  # fmt: skip
    return rows


def fake_prevalence(knees):
    rows = []
    for outcome in ("signal_grade", "effusion_grade"):
        known = [k[outcome] for k in knees if k[outcome] is not None]
        for level in ("0", "1", "2", "3", ">=1"):
            count = sum(g >= 1 for g in known) if level == ">=1" else known.count(int(level))
            for unit in ("knees", "participants"):
                rows.append(
                    {
                        "outcome": outcome,
                        "level": level,
                        "unit": unit,
                        "group": "overall",
                        "count": count,
                        "n": len(known),
                    }
                    | {"proportion": count / len(known) if known else None, "wilson_low": 0.05, "wilson_high": 0.5}
                    | {"exact_low": 0.04, "exact_high": 0.52}
                )
    return rows


def draw_picture(folder, row):
    """A small picture through the real drawing code."""
    labels = np.zeros((12, 120, 120), np.uint8)
    labels[4, 60:70, 30:60] = Label.MEDIAL_MENISCUS
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = 3, -1, -1, 1
    volume = Volume(labels, affine)
    panels = pictures.choose_panels(volume)
    name = f"{row['scan_id']}_overlay.png"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(pictures.draw_knee(volume, volume, panels, row["laterality"], ["one", "two"]))
    marker = {"scan_id": row["scan_id"], "picture": name, "panels": [{"slice": 5, "title": "medial meniscus"}]}
    tables.write_text(folder / f"{row['scan_id']}_picture.json", json.dumps(marker))


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "results"
    truth = fake_results(folder)
    return folder, truth


@pytest.fixture(scope="session")
def built(results):
    """Path and text of the page of the run."""
    folder, truth = results
    path = page.build_report(folder, folder / "report", CONFIG, truth)
    return path, path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def made():
    """What the tests need of this file, without importing it."""
    return SimpleNamespace(results=fake_results, CONFIG=CONFIG, HOSTILE=HOSTILE, SET_ASIDE=SET_ASIDE, NETWORK=NETWORK)
