"""Damaged and hostile scans through the ingest stage: python bench/hostile.py --count 2000 --log hostile.jsonl

Each mutant (`tests/ingest/mutants.py`) is ingested in a process of its own with 2 GB of memory and 30 s, and judged
(`tests/ingest/trial.py`). A line is added to the log for each, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="mutants in all")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--log", type=Path, default=Path("hostile.jsonl"), help="one line a mutant; resumed from")
    parser.add_argument("--part", default="0/1", help="this process takes every nth mutant, e.g. 1/2")
    parser.add_argument("--only", type=int, help="one mutant, kept in ./mutant for a look")
    parser.add_argument("--tiny", type=int, help="a folder of so many DICOM files of half a kilobyte, instead")
    asked = parser.parse_args()
    from tests.ingest import mutants, trial

    if asked.tiny:
        _warm()
        with tempfile.TemporaryDirectory() as top:
            print(trial.run(_tiny(Path(top) / "in", asked.tiny)))
        return
    if asked.only is not None:
        mutant = mutants.make(asked.only, asked.seed, Path("mutant"))
        print(mutant.base, mutant.mutation, trial.run(mutant))
        return
    part, parts = map(int, asked.part.split("/"))
    done = _records(asked.log)
    _warm()
    with tempfile.TemporaryDirectory() as top, open(asked.log, "a", encoding="utf-8") as log:
        for number in range(part, asked.count, parts):
            if number in done:
                continue
            root = Path(top) / f"m{number}" / "in"
            root.mkdir(parents=True)
            mutant = mutants.make(number, asked.seed, root)
            outcome = trial.run(mutant)
            record = {"number": number, "base": mutant.base, "mutation": mutant.mutation, **asdict(outcome)}
            log.write(json.dumps(record) + "\n")
            log.flush()
            if outcome.verdict in ("wrong", "crashed", "hung", "too_much_memory"):
                print(record, file=sys.stderr, flush=True)
            _remove(root.parent)
    print(table(list(_records(asked.log).values())))


def _tiny(root: Path, count: int):
    """One good series among `count` images that are each a series of their own, with one file that cannot be read."""
    from tests.ingest.mutants import Mutant, bases

    base = bases()["explicit"]
    folder = root / "scan"
    folder.mkdir(parents=True)
    for name, content in base.files.items():
        (folder / name).write_bytes(content)
    (root / "scan" / "more").mkdir()
    body = base.files["IM0003.dcm"][:-512]
    at = body.rindex(b"\x20\x00\x0e\x00UI")  # SeriesInstanceUID
    length = int.from_bytes(body[at + 6 : at + 8], "little")
    for number in range(count):
        uid = f"1.2.{number}".ljust(length, "0").encode()
        (folder / "more" / f"{number}.dcm").write_bytes(body[: at + 8] + uid + body[at + 8 + length :] + bytes(512))
    (folder / "more" / "cut.dcm").write_bytes(body[:300])
    return Mutant("explicit", "tiny files", root, folder, base.truth)


def _remove(folder: Path) -> None:
    # Unlike shutil, it removes folders of any depth.
    subprocess.run(["rm", "-rf", "--", folder], check=True)


def _records(log: Path) -> dict[int, dict]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return {record["number"]: record for record in map(json.loads, lines)}


def _warm() -> None:
    """Imports happen once, here, and not in every fork."""
    import nibabel  # noqa: F401
    import pydicom.pixels  # noqa: F401
    from tests.ingest.mutants import bases

    import kneeline.ingest.run

    bases()
    assert kneeline.ingest.run


def table(records: list[dict]) -> str:
    """What became of all, as Markdown."""
    verdicts = Counter(r["verdict"] for r in records)
    reasons = Counter(r["detail"] for r in records if r["verdict"] == "refused")
    lines = ["| what became of it | mutants |", "|---|---|"]
    names = {
        "as_before": "accepted, the image before the damage",
        "as_the_file_says": "accepted, the image that the damaged file says",
        "refused": "set aside with a reason",
        "wrong": "wrong",
        "crashed": "crashed",
        "hung": "over 30 s",
        "too_much_memory": "over 2 GB",
    }
    lines += [f"| {text} | {verdicts[name]} |" for name, text in names.items()]
    lines += [f"| all | {len(records)} |", "", "| reason code | mutants |", "|---|---|"]
    lines += [
        f"| `{code}` | {count} |" for code, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    most = max(records, key=lambda r: r["peak_mb"])
    slowest = max(records, key=lambda r: r["cpu_s"])
    lines += [
        "",
        f"Most memory: {most['peak_mb']:.0f} MB ({most['base']}, {most['mutation']}). "
        f"Slowest: {slowest['cpu_s']:.1f} CPU s ({slowest['base']}, {slowest['mutation']}). "
        f"All: {sum(r['cpu_s'] for r in records):.0f} CPU s.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
