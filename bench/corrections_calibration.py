"""How often intervals of the corrected analyses hold the truth: imputation, additive interaction, machine error.

    python bench/corrections_calibration.py -o FOLDER [--only impute additive error] [--replicates 100]

Every cohort is drawn from a cumulative logit (two knees a runner that share their luck with probability 0.4, which
keeps the odds ratios over all runners those that are written down). A line of FOLDER/corrections.jsonl a replicate; a
replicate that is there is not run again, and the table is printed from all lines.

- impute: distance is missing from 60 % of rearfoot runners with a grade of 2 or more in a knee and from 5 % of others,
  age from 10 %; log odds ratio of strike 0.8, of 10 km 0.5, of their product 0.
- additive: RERI of risks 0.3, 0.4, 0.45, 0.7 with one knee a runner.
- error: a machine with quadratic kappa of about 0.75, its effusion grade beside the reader's in a part of the runners.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

from kneeline.cohort.asking import ask
from kneeline.cohort.families import family
from kneeline.cohort.impute import imputed_rows
from kneeline.cohort.interaction import additive_rows
from kneeline.cohort.machine_error import machine_error_rows
from kneeline.cohort.questions import questions
from kneeline.cohort.settings import Settings
from kneeline.tables import Row

SETTINGS = Settings(adjustment={"main": ("age_years",)}, outcomes=("effusion_grade", "signal_grade"), n_bootstrap=1000)
STRIKE, PER_10_KM = math.log(2.2255), 0.5  # 0.8 and 0.5 on the log scale
CUTS = (0.0, 1.2, 2.4)
CONFUSION = np.array(
    [[0.85, 0.12, 0.03, 0.0], [0.15, 0.70, 0.12, 0.03], [0.02, 0.18, 0.70, 0.10], [0.0, 0.05, 0.20, 0.75]]
)


def draw(n: int, rng: np.random.Generator) -> list[Row]:
    """Rows of KNEES with the true grade."""
    rows = []
    for i in range(n):
        age, strike, far, luck = rng.normal(40, 8), float(rng.random() < 0.6), rng.normal(), rng.random()
        for side in "LR":
            u = luck if rng.random() < 0.4 else rng.random()
            latent = math.log(u / (1 - u)) + STRIKE * strike + PER_10_KM * far + 0.02 * (age - 40)
            key = {"participant_id": f"sub-{i:04d}", "session_id": "ses-01", "laterality": side}
            style = {"strike_style": "rearfoot" if strike else "forefoot", "strike_method": "video"}
            rows.append(
                {**key, **style, "age_years": age, "weekly_distance_km": 32 + 10 * far, "signal_grade": None}
                | {"effusion_grade": int(sum(latent > cut for cut in CUTS))}
            )
    return rows


def impute(n: int, rng: np.random.Generator) -> dict[str, bool | None]:
    knees = draw(n, rng)
    for i in range(0, 2 * n, 2):
        pair = knees[i : i + 2]
        bad = max(row["effusion_grade"] for row in pair) >= 2 and pair[0]["strike_style"] == "rearfoot"
        gone = {"weekly_distance_km": rng.random() < (0.6 if bad else 0.05), "age_years": rng.random() < 0.1}
        for row in pair:
            row.update({name: None for name, lost in gone.items() if lost})
    asked = [question for question in questions(SETTINGS) if question.name in ("adjusted", "interaction")]
    rows = [row for question in asked for row in ask(family, knees, "effusion_grade", question, SETTINGS)]
    rows += imputed_rows(knees, "effusion_grade", SETTINGS)
    found = {}
    for way, ending in (("complete cases", ""), ("imputed", "_imputed")):
        for model, term, truth in (
            ("adjusted", "rearfoot", STRIKE),
            ("adjusted", SETTINGS.distance_term, PER_10_KM),
            ("interaction", SETTINGS.product_term, 0.0),
        ):
            name = f"cumulative_logit_{model}{ending}"
            found[f"{way}: {term}"] = holds(rows, math.exp(truth), model=name, term=term)
    return found


def additive(n: int, rng: np.random.Generator) -> dict[str, bool | None]:
    risks = {("forefoot", 20.0): 0.3, ("rearfoot", 20.0): 0.4, ("forefoot", 50.0): 0.45, ("rearfoot", 50.0): 0.7}
    knees = []
    for i in range(n):
        style, distance = list(risks)[rng.integers(4)]
        finding = int(rng.random() < risks[style, distance])
        knees.append(
            {"participant_id": f"sub-{i:04d}", "strike_style": style, "weekly_distance_km": distance}
            | {"effusion_grade": finding, "age_years": rng.normal(40, 8)}
        )
    rows = additive_rows(knees, "effusion_grade", SETTINGS)
    truth = (0.7 - 0.4 - 0.45 + 0.3) / 0.3
    ways = {"delta": "", "MOVER": "_mover", "BCa": "_bootstrap"}
    return {
        f"{kind} {way}": holds(rows, truth, model=f"additive_interaction{middle}{ending}", term="RERI")
        for kind, middle in (("crude", ""), ("adjusted", "_adjusted"))
        for way, ending in ways.items()
    }


def error(n: int, rng: np.random.Generator) -> dict[str, bool | None]:
    knees = draw(n, rng)
    readings = []
    for i, row in enumerate(knees):
        if i < n:  # half of the runners
            keys = {name: row[name] for name in ("participant_id", "session_id", "laterality")}
            given = {"rater_id": "reader", "reading": 1, "structure": "effusion", "region": None}
            readings.append(keys | given | {"grade": row["effusion_grade"]})
        row["effusion_grade"] = int(rng.choice(4, p=CONFUSION[row["effusion_grade"]]))
    rows = machine_error_rows(knees, readings, SETTINGS)
    found = {}
    for term, value in (("rearfoot", STRIKE), (SETTINGS.distance_term, PER_10_KM)):
        quantity = f"odds ratio, adjusted: {term}"
        for way in ("maximum likelihood", "the same", "multiple over-imputation"):
            picked = [row for row in rows if row["quantity"] == quantity and row["method"].startswith(way)]
            found[f"{way}: {term}"] = holds(picked, math.exp(value))
            if way == "maximum likelihood":
                naive = [row | {"ci_low": row.get("naive_low"), "ci_high": row.get("naive_high")} for row in picked]
                found[f"naive: {term}"] = holds(naive, math.exp(value))
    return found


BLOCKS = {"impute": (impute, (100, 400)), "additive": (additive, (100, 400)), "error": (error, (200,))}


def holds(rows: list[Row], truth: float, **wanted: str) -> bool | None:
    """Whether the one row that is wanted holds the truth; None when it was refused."""
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    if not found or found[0]["status"] == "refused":
        return None
    return bool(found[0]["ci_low"] < truth < found[0]["ci_high"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=BLOCKS, default=list(BLOCKS))
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--runners", type=int, nargs="*", help="instead of each block's own numbers")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "corrections.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(line["block"], line["runners"], line["replicate"]) for line in lines}
    with path.open("a") as file:
        for block in chosen.only:
            run, sizes = BLOCKS[block]
            for n in chosen.runners or sizes:
                for replicate in range(chosen.replicates):
                    if (block, n, replicate) in done:
                        continue
                    found = run(n, np.random.default_rng([replicate, n]))
                    lines.append({"block": block, "runners": n, "replicate": replicate, "found": found})
                    file.write(json.dumps(lines[-1]) + "\n")
                    file.flush()
    print(table(lines))


def table(lines: list[dict]) -> str:
    """Markdown: a row a quantity, the share of intervals that hold the truth."""
    out = ["| block | runners | interval | cohorts | holds the truth, % | refused |", "|---|---|---|---|---|---|"]
    for block, n in dict.fromkeys((line["block"], line["runners"]) for line in lines):
        some = [line["found"] for line in lines if (line["block"], line["runners"]) == (block, n)]
        for name in some[0]:
            given = [found[name] for found in some if found[name] is not None]
            share = f"{100 * np.mean(given):.1f}" if given else "n/a"
            out.append(f"| {block} | {n} | {name} | {len(given)} | {share} | {len(some) - len(given)} |")
    return "\n".join(out)


if __name__ == "__main__":
    main()
