"""What `kneeline read` does, and what it says about it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kneeline import tables
from kneeline.errors import UsageError


def give_out(
    first: Path,
    out: Path | None,
    *,
    rater: str | None,
    seed: int | None,
    repeats: float,
    scans: Sequence[str],
    number: int | None,
    serve: bool,
    port: int,
    assisted: bool = False,
    after: Path | None = None,
) -> int:
    """Make a package of a results folder, or serve one that is there; or make it and serve it."""
    package = first
    if assisted != (after is not None):
        raise UsageError(
            "--assisted and --after READINGS go together: the machine's results are shown only after a blind reading"
        )
    if not (first / "index.html").is_file():
        missing = [name for name, value in (("-o", out), ("--rater", rater), ("--seed", seed)) if value is None]
        if serve and len(missing) == 3:
            raise UsageError(
                f"{first} is no reading package; kneeline read RESULTS -o FOLDER --rater ID --seed N makes one"
            )
        if missing:
            raise UsageError(f"a reading package of {first} needs {', '.join(missing)}; see kneeline read --help")
        package = out
        _build(first, out, rater, seed, repeats=repeats, scans=scans, number=number, after=after)
    elif not serve:
        raise UsageError(f"{first} is a reading package: open {first / 'index.html'}, or add --serve")
    if serve:
        from kneeline.read.serve import serve_package

        serve_package(package, port)
    return 0


def _build(results: Path, out: Path, rater: str, seed: int, **which) -> None:
    from kneeline.read.package import build_package

    built = build_package(results, out, rater, seed, **which)
    twice = built.n_cases - built.n_knees
    how = "read blind before, now with the machine's results" if which["after"] else f"{twice} of them twice"
    print(f"{built.page}: {built.n_knees} knees for reader {rater}, {how}")
    print(f"the largest knee takes {built.largest_bytes / 1e6:.1f} MB")
    if built.n_rounded:
        print(f"{built.n_rounded} case(s) with grey levels rounded to fit; the page says how far")
    print(f"{built.key}: the key; keep it, and keep it from the reader")


def take_back(files: Sequence[Path], out: Path | None) -> int:
    """Write the readings table of keys and exports."""
    if out is None:
        raise UsageError("kneeline read import needs -o READINGS, the table to write")
    from kneeline.read.gather import GATHERED, gather

    rows = gather(files)
    tables.write_table(out, rows, GATHERED)
    for rater in sorted({row["rater_id"] for row in rows}):
        mine = [row for row in rows if row["rater_id"] == rater]
        cases = len({row["case_id"] for row in mine})
        blind = sum(row["status"] == "not_readable" for row in mine)
        print(f"reader {rater}: {len(mine)} answers in {cases} cases, {blind} of them not readable")
    print(f"{out}: name it under `readings` in config.yaml", file=sys.stderr)
    return 0
