"""The `kneeline` command: one small subcommand per question a person asks.

Exit codes: 0 done; 1 some scans were set aside and --strict was asked for, or the workflow failed; 2 the call, the
config or a sheet is wrong. Each subcommand imports what it needs when it runs, so that `--help` stays quick.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kneeline import __version__
from kneeline.errors import Refusal, UsageError
from kneeline.places import new_file, new_folder, new_place

DONE, SET_ASIDE, BAD_USAGE = 0, 1, 2
MACHINE_FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    try:
        arguments = _parser().parse_args(argv)
        done = _done_elsewhere(arguments, sys.argv[1:] if argv is None else argv)
        return arguments.call(arguments) if done is None else done
    except UsageError as error:
        print(f"kneeline: {error}", file=sys.stderr)
        return BAD_USAGE
    except Refusal as refusal:
        print(f"kneeline: refused ({refusal.code}): {refusal.reason}", file=sys.stderr)
        return SET_ASIDE
    except KeyboardInterrupt:
        print("kneeline: stopped; `kneeline run` goes on where it was, other commands begin again", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as error:  # a folder that cannot be written, a full disk
        where = f": {error.filename}" if error.filename else ""
        print(f"kneeline: {error.strerror or error}{where}", file=sys.stderr)
        return BAD_USAGE


def _done_elsewhere(arguments, argv: Sequence[str]) -> int | None:
    """Exit code of a workflow's job of one scan, if the run that started it keeps a process for such."""
    if arguments.call in (_process, _simulate_scan) and arguments.scan:
        from kneeline import warm

        return warm.ask(argv)
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kneeline",
        description="From a folder of knee MRI and a table of runners to lesion scores and an honest cohort analysis.",
        epilog="Data flow one way: ingest, segment, score, cohort, report. `kneeline COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action="version", version=f"kneeline {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, call: Callable, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(call=call)
        if name in ("run", "rerun-failed", "segment", "score", "validate"):
            sub.epilog = (
                "Environment: KNEELINE_THREADS=n, threads of network and scores; "
                "KNEELINE_ENGINE=openvino, another engine for it."
            )
        return sub

    sub = command("run", _run, "run the whole workflow on the scans and participants of a config")
    _add_run(sub)
    sub.add_argument("--unlock", action="store_true", help="only remove the lock that a killed snakemake left")
    sub = command("rerun-failed", _rerun_failed, "run the workflow, beginning anew with the scans that were set aside")
    _add_run(sub)
    sub.add_argument("--reason", metavar="CODE", help="only those set aside for this reason_code")

    sub = command("status", _status, "say how a run stands, also while it works and after it crashed")
    sub.add_argument("results", type=Path, nargs="?", default=Path("results"), metavar="RESULTS")

    sub = command("export-edit", _export_edit, "write a knee's image and outlines for ITK-SNAP or 3D Slicer to correct")
    sub.add_argument("knee", metavar="KNEE", help="scan id, such as sub-001_ses-01_knee-L")
    sub.add_argument("-o", "--out", type=new_folder, help="folder to write (default: edits/drafts/KNEE)")
    _add_config(sub)
    _add_directory(sub)

    sub = command("import-edit", _import_edit, "take corrected outlines of a knee back, or return to the machine's")
    sub.usage = (
        "kneeline import-edit KNEE LABEL_MAP --editor CODE [--as-meant]\n       kneeline import-edit KNEE --remove"
    )
    sub.add_argument("knee", metavar="KNEE", help="scan id")
    sub.add_argument("labels", type=Path, nargs="?", metavar="LABEL_MAP", help="corrected label map (.nii.gz)")
    sub.add_argument("--editor", metavar="CODE", help="who corrected it: a code, not a name")
    sub.add_argument(
        "--as-meant", action="store_true", help="structures were renamed, or all was drawn anew, on purpose"
    )
    sub.add_argument("--remove", action="store_true", help="return to the machine's outlines")
    _add_config(sub)
    _add_directory(sub)

    sub = command("forget", _forget, "remove every trace of a participant from results and logs")
    sub.add_argument("participant", metavar="PARTICIPANT", help="such as sub-001")
    _add_config(sub)
    _add_directory(sub)

    sub = command("check", _check, "say what would run and what is wrong; nothing is written")
    _add_config(sub)
    sub.add_argument("--images", action="store_true", help="also read every scan, as ingest would")
    _add_strict(sub)

    sub = command("inventory", _inventory, "list the knee series under a folder as a scans table")
    sub.add_argument("root", type=Path, metavar="DICOM_ROOT")
    sub.add_argument("-o", "--out", type=new_file, help="file to write (default: print)")

    sub = command("score", _score, "score one knee: a DICOM folder or a NIfTI file; prints a table")
    sub.add_argument("series", type=Path, metavar="SERIES")
    sub.add_argument("--laterality", choices=("L", "R"), help="side of the knee, if you know it")
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub.add_argument(
        "-o",
        "--out",
        type=new_folder,
        help="also write image, labels, scores (JSON), cartilage map and picture to this folder",
    )

    sub = command("segment", _segment, "segment one image")
    sub.add_argument("image", type=Path, metavar="IMAGE", help="NIfTI file or DICOM folder, sagittal")
    sub.add_argument("-o", "--out", type=new_file, required=True, metavar="DSEG", help="labels to write (.nii.gz)")
    sub.add_argument("--laterality", choices=("L", "R"), help="side of the knee, if you know it")

    sub = command("simulate", _simulate_cohort, "make simulated knees, whose truth is known")
    kinds = sub.add_subparsers(metavar="KIND", required=True)
    cohort = kinds.add_parser("cohort", help="write participants.tsv, scans.tsv and config.yaml of a simulated cohort")
    cohort.add_argument("--out", type=new_folder, required=True, help="folder for config/")
    knee = kinds.add_parser("scan", help="write one scan of a simulated cohort as DICOM, and its truth")
    knee.add_argument("--scan", required=True, help="scan id, e.g. sub-001_ses-01_knee-L")
    knee.add_argument("--out", type=new_folder, required=True, help="folder for the scan's DICOM folder and truth")
    for kind, call in ((cohort, _simulate_cohort), (knee, _simulate_scan)):
        kind.add_argument("--runners", type=int, default=26)
        kind.add_argument("--seed", type=int, default=2006)
        kind.set_defaults(call=call)

    sub = command("ingest", _ingest, "read scans from DICOM or NIfTI, check them, write images without identity")
    _add_scans(sub)
    sub.add_argument("--out", type=new_folder, default=Path("results/ingest"))

    sub = command("process", _process, "take scans through ingest, segment, score and picture (a step of the workflow)")
    _add_scans(sub)
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--chunk", metavar="N-of-M", help="only the scans of this chunk")
    which.add_argument("--only", choices=("ingest", "segment", "score", "report"), help="only this step, done or not")
    sub.add_argument("--results", type=Path, default=Path("results"))
    sub.add_argument("--edits", type=Path, default=Path("edits"), help="folder of corrected outlines (default: edits)")
    sub.add_argument("--workers", type=int, default=1, help="processes, one scan each at a time (default: 1)")
    sub.add_argument("--no-viewer", action="store_true", help="pages of knees without their slices: small")
    sub.add_argument("--stamp", type=Path, help="file to write when every scan is done")

    sub = command("collect", _collect, "gather the rows of all scans into tables (a step of the workflow)")
    _add_scans(sub)
    sub.add_argument("--results", type=Path, default=Path("results"))

    sub = command("cohort", _cohort, "relate scores to foot strike and distance")
    _add_config(sub)
    sub.add_argument(
        "--knees", type=Path, metavar="TABLE", help="analyse this one table of knees, by whomever they were scored"
    )
    sub.add_argument("--readings", type=Path, metavar="TABLE", help="with --knees: what readers graded")
    sub.add_argument("--results", type=Path, default=Path("results"))

    sub = command("power", _power, "say what a planned study of so many runners could show, or how many it needs")
    sub.add_argument("--grades", type=_numbers, default="50,30,15,5", help="grade mix, per cent (default: %(default)s)")
    sub.add_argument("--odds-ratio", type=_numbers, default="2,3,4", help="true odds ratios (default: %(default)s)")
    sought = sub.add_mutually_exclusive_group()
    sought.add_argument("--runners", type=_whole_numbers, default=(), help="numbers of runners, such as 26,100")
    sought.add_argument("--power", type=float, default=0.8, help="power sought, if no number is given (default: 0.8)")
    sub.add_argument("--rearfoot", type=float, default=0.9, help="share that lands on the heel (default: 0.9)")
    sub.add_argument("--knees", type=int, default=2, help="knees scanned of each runner (default: 2)")
    sub.add_argument("--icc", type=float, default=0.5, help="correlation of a runner's two knees (default: 0.5)")
    sub.add_argument("--alpha", type=float, default=0.05, help="p-value that counts as shown (default: 0.05)")
    sub.add_argument("--simulations", type=int, default=200, help="studies to simulate a line; 0: formula only")
    sub.add_argument("--seed", type=int, default=2006)
    sub.add_argument("--jobs", type=int, default=1, help="processes; the figures do not depend on it (default: 1)")
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub.add_argument("-o", "--out", type=new_file, help="also write the table (.tsv)")

    sub = command("report", _report, "write the report page from the results folder")
    _add_config(sub)
    sub.add_argument("--results", type=Path, default=Path("results"))
    sub.add_argument(
        "--pdf",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="FILE",
        help="also print it to a PDF (default: report.pdf beside it) with Chromium, Chrome or Edge",
    )
    sub.epilog = "Environment: KNEELINE_BROWSER=path, the browser that prints the PDF."

    sub = command("read", _read, "make a page on which a reader grades knees blindly, or take a reading back")
    sub.usage = (
        "kneeline read RESULTS -o FOLDER --rater ID --seed N [--repeats SHARE] [--scans ID ...]\n"
        "                     [--number N] [--serve] [--assisted --after READINGS]\n"
        "       kneeline read FOLDER --serve [--port N]\n"
        "       kneeline read import KEY EXPORT ... -o readings.tsv"
    )
    sub.add_argument("what", nargs="+", type=Path, metavar="RESULTS", help="results; a package; or import and files")
    sub.add_argument("-o", "--out", type=new_place, help="folder of the package to make, or readings table to write")
    sub.add_argument("--rater", metavar="ID", help="code of the reader: letters, digits, - and _")
    sub.add_argument("--seed", type=int, help="seed of the order in which this reader sees the knees")
    sub.add_argument("--repeats", type=float, default=0.1, metavar="SHARE", help="share read twice (default: 0.1)")
    sub.add_argument("--scans", nargs="+", default=(), metavar="ID", help="only these (default: all complete)")
    sub.add_argument("--number", type=int, metavar="N", help="so many of them by chance, the same for one seed")
    sub.add_argument("--assisted", action="store_true", help="a second phase, with the machine's results in view")
    sub.add_argument("--after", type=Path, metavar="READINGS", help="of knees that this reader read blind: the table")
    sub.add_argument("--serve", action="store_true", help="serve the page on this computer and keep answers in a file")
    sub.add_argument("--port", type=int, default=0, help="port of --serve (default: any free one)")

    sub = command("validate", _validate, "measure accuracy on simulated knees that the network never saw")
    sub.add_argument("--knees", type=int, default=15, help="how many knees; fifteen make a round (default: 15)")
    sub.add_argument("--retest", type=int, default=0, help="how many of them are scanned a second time (default: 0)")
    sub.add_argument("--jobs", type=int, default=1, help="processes; the figures do not depend on it (default: 1)")
    sub.add_argument("--plot", type=new_file, help="also write the reliability plot (.svg)")
    sub.add_argument(
        "--worst", type=new_file, help="also write a page of the worst cases (.md), pictures in a folder beside it"
    )
    sub.add_argument("-o", "--out", type=new_file, help="Markdown file to write (default: print)")
    return parser


def _add_config(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--config",
        type=Path,
        default=Path("config/config.yaml"),
        help="default: config/config.yaml; paths in it are relative to where the run starts",
    )


def _add_directory(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--directory", type=Path, default=Path("."), help="where the run was started")


def _add_run(sub: argparse.ArgumentParser) -> None:
    _add_config(sub)
    sub.add_argument("--directory", type=Path, default=Path("."), help="where paths are relative to and results/ goes")
    sub.add_argument("--profile", default="default", help="default, slurm, or a folder with a profile.yaml of your own")
    sub.add_argument("--cores", help="how many cores (default: all here, the profile's choice on a cluster)")
    sub.add_argument("-n", "--dry-run", action="store_true", help="say what would run")
    sub.add_argument(
        "--trust-inputs",
        action="store_true",
        help="do not look whether files of scans that were read have changed: for slow disks",
    )
    _add_strict(sub)
    sub.add_argument("snakemake", nargs="*", help="more options for snakemake, after --")


def _add_strict(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--strict", action="store_true", help="exit with 1 if any scan was set aside")


def _add_scans(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--scans", type=Path, default=Path("config/scans.tsv"), help="scans table")
    sub.add_argument("--scan", help="only this scan id (default: all)")
    _add_strict(sub)


# --- the whole workflow -----------------------------------------------------------------------------------------------


def _run(arguments) -> int:
    from kneeline import launch

    if arguments.unlock:
        launch.unlock(arguments.directory)
        return DONE
    return launch.run(_call(arguments))


def _rerun_failed(arguments) -> int:
    from kneeline import launch

    return launch.run(_call(arguments), launch.set_aside(arguments.reason))


def _call(arguments):
    from kneeline.launch import Call

    return Call(
        config=arguments.config,
        directory=arguments.directory,
        cores=arguments.cores,
        profile=arguments.profile,
        trust_inputs=arguments.trust_inputs,
        dry_run=arguments.dry_run,
        strict=arguments.strict,
        more=arguments.snakemake,
    )


def _status(arguments) -> int:
    import time

    from kneeline import launch, status

    found = status.standing(arguments.results)
    sys.stdout.write(status.text(found, launch.is_running(arguments.results.resolve().parent), time.time()))
    return DONE


def _forget(arguments) -> int:
    from kneeline.forget import forget

    rows = forget(arguments.participant, arguments.directory, arguments.config)
    return SET_ASIDE if rows else DONE


def _export_edit(arguments) -> int:
    from kneeline.edit.commands import export_edit

    return export_edit(arguments.knee, arguments.directory, arguments.config, arguments.out)


def _import_edit(arguments) -> int:
    from kneeline.edit.commands import import_edit, remove_edit

    where = arguments.directory, arguments.config
    if arguments.remove == (arguments.labels is not None):
        raise UsageError("import-edit takes the corrected label map, or --remove; see kneeline import-edit --help")
    if arguments.remove:
        return remove_edit(arguments.knee, arguments.editor, *where)
    return import_edit(arguments.knee, arguments.labels, arguments.editor, *where, as_meant=arguments.as_meant)


def _check(arguments) -> int:
    from kneeline import check

    faults = check.check(arguments.config, images=arguments.images)
    return SET_ASIDE if faults and arguments.strict else DONE


def _inventory(arguments) -> int:
    from kneeline import tables
    from kneeline.ingest.run import inventory

    if not arguments.root.is_dir():
        raise UsageError(f"{arguments.root}: no such folder")
    rows = inventory(arguments.root)
    if arguments.out:
        tables.write_table(arguments.out, rows, tables.SCANS)
        print(f"{len(rows)} row(s) written to {arguments.out}", file=sys.stderr)
    else:
        sys.stdout.write(tables.format_table(rows, tables.SCANS))
    return DONE


# --- one knee ---------------------------------------------------------------------------------------------------------


def _score(arguments) -> int:
    from kneeline import single

    knee = single.score_series(arguments.series, arguments.laterality)
    if arguments.out:
        single.write(knee, arguments.out)
    sys.stdout.write(single.as_json(knee) if arguments.json else single.as_text(knee))
    return DONE


def _segment(arguments) -> int:
    from kneeline import single

    if not arguments.out.name.endswith(".nii.gz"):
        raise UsageError(f"{arguments.out}: the label volume's name must end in .nii.gz")
    sys.stdout.write(single.segment_image(arguments.image, arguments.out, arguments.laterality))
    return DONE


# --- steps of the workflow --------------------------------------------------------------------------------------------


def _simulate_cohort(arguments) -> int:
    from kneeline.simulate.sheets import write_cohort

    folder = write_cohort(arguments.out, arguments.runners, arguments.seed)
    print(f"wrote {folder}; run it with: kneeline run --directory {shlex.quote(str(arguments.out))}")
    return DONE


def _simulate_scan(arguments) -> int:
    from kneeline.simulate.run import simulate_scan

    simulate_scan(arguments.scan, arguments.runners, arguments.seed, arguments.out)
    return DONE


def _chosen_scans(arguments) -> list:
    from kneeline import tables

    scans = tables.read_scans(arguments.scans)
    if arguments.scan is None:
        return scans
    chosen = [scan for scan in scans if scan.scan_id == arguments.scan]
    if not chosen:
        raise UsageError(
            f"{arguments.scans} has no scan {arguments.scan!r}; it has {len(scans)}, such as "
            f"{', '.join(scan.scan_id for scan in scans[:3])}"
        )
    return chosen


def _each_scan(arguments, step: Callable) -> int:
    """Run `step(scan)` on each scan; one that is set aside is named and does not stop the others."""
    set_aside = 0
    scans = _chosen_scans(arguments)
    for number, scan in enumerate(scans, start=1):
        row = step(scan)
        aside = row is not None and row["status"] != "ok"
        set_aside += aside
        outcome = f"set aside ({row['reason_code']}): {row['reason']}" if aside else "ok"
        print(f"[{number}/{len(scans)}] {scan.scan_id}: {outcome}", flush=True)
    return SET_ASIDE if set_aside and arguments.strict else DONE


def _ingest(arguments) -> int:
    from kneeline.ingest.run import ingest_scan

    return _each_scan(arguments, lambda scan: ingest_scan(scan, arguments.out))


def _process(arguments) -> int:
    from kneeline import progress
    from kneeline.edit.registry import with_edits
    from kneeline.stopping import stop_orderly

    if arguments.workers < 1:
        raise UsageError("--workers takes a number of at least 1")
    stop_orderly()
    scans = with_edits(_chosen_scans(arguments), arguments.edits)
    if arguments.chunk:
        scans = _scans_of_chunk(scans, arguments.chunk)
    set_aside, failed = 0, []
    for number, (scan, outcome) in enumerate(_outcomes(arguments, scans), start=1):
        if isinstance(outcome, str):
            failed.append(scan.scan_id)
            said = f"failed: {outcome}"
        elif outcome["status"] != "ok":
            set_aside += 1
            said = f"set aside ({outcome['reason_code']}): {outcome['reason']}"
        else:
            said = "ok"
        print(f"[{number}/{len(scans)}] {scan.scan_id}: {said}", flush=True)
    if failed:
        print(f"{len(failed)} scan(s) not done; the same command goes on with them", file=sys.stderr)
        return MACHINE_FAILED
    if arguments.stamp:
        progress.write_stamp(arguments.stamp, arguments.results, [scan.scan_id for scan in scans])
    return SET_ASIDE if set_aside and arguments.strict else DONE


def _outcomes(arguments, scans: list):
    """Each scan with its status or what failed, done by processes that this one outlives."""
    from functools import partial

    from kneeline import chain, workers

    work = partial(chain.process, only=arguments.only, viewer=not arguments.no_viewer)
    start = "fork" if len(scans) == 1 else "spawn"
    yield from workers.each(scans, arguments.results, arguments.workers, work, start=start)


def _scans_of_chunk(scans: list, chunk: str) -> list:
    import re

    from kneeline import progress

    told = re.fullmatch(r"0*(\d+)-of-([1-9]\d*)", chunk)
    if not told or not 1 <= int(told[1]) <= int(told[2]):
        raise UsageError(f"--chunk takes a number such as 3-of-40, not {chunk!r}")
    number, chunks = map(int, told.groups())
    return [scan for scan in scans if int(progress.chunk_of(scan.scan_id, chunks).split("-")[0]) == number]


def _collect(arguments) -> int:
    from kneeline import collect, labels, tables

    scans = tables.read_scans(arguments.scans)
    rows = collect.collect(scans, arguments.results)
    labels.write_dseg_tsv(arguments.results / "segment" / "dseg.tsv")
    truth = arguments.results / "simulate"
    if truth.is_dir():
        collect.collect_truth(scans, truth)
    set_aside = [row for row in rows if row["status"] != "ok"]
    print(f"{len(rows) - len(set_aside)} of {len(rows)} scans complete, {len(set_aside)} set aside")
    return SET_ASIDE if set_aside and arguments.strict else DONE


def _cohort(arguments) -> int:
    from kneeline.cohort.doubts import doubts
    from kneeline.cohort.run import run_cohort, run_table
    from kneeline.cohort.runners import read_runners
    from kneeline.config import read_config

    results = arguments.results
    if arguments.readings and not arguments.knees:
        raise UsageError("--readings goes with --knees; a run of scans names its readings in the config")
    if arguments.knees:
        settings = read_config(arguments.config)["analysis"] if arguments.config.exists() else {}
        cohort = run_table(arguments.knees, results / "cohort", settings, arguments.readings)
        _tell(doubts(cohort.runners))
        print(f"{len(cohort.knees)} knees of {len(cohort.runners)} runners; tables in {results / 'cohort'}")
        return DONE
    config = read_config(arguments.config)
    _tell(doubts(read_runners(config["participants"])))
    run_cohort(
        Path(config["participants"]),
        results / "ingest" / "scans.tsv",
        results / "score",
        results / "cohort",
        config["analysis"],
        Path(config["readings"]) if config["readings"] else None,
    )
    return DONE


def _tell(doubts: Sequence[str]) -> None:
    for doubt in doubts:
        print(f"kneeline: please check: {doubt}", file=sys.stderr)


def _power(arguments) -> int:
    from kneeline import tables
    from kneeline.cohort.plan import Plan, as_json, as_text, power_rows

    if arguments.jobs < 1 or arguments.seed < 0:
        raise UsageError("--jobs takes a number of at least 1, --seed one of at least 0")
    if arguments.out and arguments.out.suffix != ".tsv":
        raise UsageError(f"{arguments.out}: the name must end in .tsv")
    plan = Plan(
        grades=arguments.grades,
        odds_ratios=arguments.odds_ratio,
        **{name: getattr(arguments, name) for name in ("runners", "power", "rearfoot", "knees", "icc", "alpha")},
        **{name: getattr(arguments, name) for name in ("simulations", "seed")},
    )
    rows = power_rows(plan, arguments.jobs)
    if arguments.out:
        tables.write_table(arguments.out, rows, tables.POWER)
    sys.stdout.write(as_json(plan, rows) if arguments.json else as_text(plan, rows))
    return DONE


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers with commas between, got {text!r}") from None


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between, got {text!r}") from None


def _report(arguments) -> int:
    from kneeline.config import read_config
    from kneeline.report import paper
    from kneeline.report.page import build_report

    # Looked for first: who has no browser should know before the page is built.
    browser = paper.find_browser() if arguments.pdf is not None else None
    config, results = read_config(arguments.config), arguments.results
    truth = results / "simulate" / "truth.tsv" if config["simulate"] else None
    readings = Path(config["readings"]) if config["readings"] else None
    page = build_report(results, results / "report", config, truth, readings=readings)
    print(page)
    if browser:
        pdf = page.with_suffix(".pdf") if arguments.pdf == Path() else arguments.pdf
        print(paper.print_page(page, pdf, browser))
    return DONE


def _read(arguments) -> int:
    from kneeline.read import commands

    first, *more = arguments.what
    if first.name == "import" and more:
        return commands.take_back(more, arguments.out)
    if more:
        raise UsageError(f"expected one results folder or package, got {' '.join(map(str, arguments.what))}")
    return commands.give_out(
        first,
        arguments.out,
        rater=arguments.rater,
        seed=arguments.seed,
        repeats=arguments.repeats,
        scans=arguments.scans,
        number=arguments.number,
        serve=arguments.serve,
        port=arguments.port,
        assisted=arguments.assisted,
        after=arguments.after,
    )


def _validate(arguments) -> int:
    if arguments.knees < 1 or arguments.jobs < 1 or arguments.retest < 0:
        raise UsageError("--knees and --jobs take a number of at least 1, --retest one of at least 0")
    for path, suffix in ((arguments.plot, ".svg"), (arguments.worst, ".md")):
        if path and path.suffix != suffix:
            raise UsageError(f"{path}: the name must end in {suffix}")

    from kneeline.tables import write_text
    from kneeline.validate.page import page
    from kneeline.validate.plot import reliability_svg
    from kneeline.validate.run import measure_knees
    from kneeline.validate.worst import write_worst

    knees, retest = arguments.knees, arguments.retest
    cases = measure_knees(knees, arguments.jobs, lambda line: print(line, file=sys.stderr, flush=True), retest)
    options = {"--plot": arguments.plot, "--worst": arguments.worst, "-o": arguments.out}
    command = f"kneeline validate --knees {knees}" + (f" --retest {retest}" if retest else "")
    command += "".join(f" {option} {shlex.quote(path.as_posix())}" for option, path in options.items() if path)
    folder = arguments.out.parent if arguments.out else Path()
    if arguments.plot:
        write_text(arguments.plot, reliability_svg(cases))
    if arguments.worst:
        write_worst(arguments.worst, cases, command)
    links = (path and Path(os.path.relpath(path, folder)).as_posix() for path in (arguments.plot, arguments.worst))
    text = page(cases, command, *links)
    if arguments.out:
        write_text(arguments.out, text)
    else:
        sys.stdout.write(text)
    return DONE


if __name__ == "__main__":
    raise SystemExit(main())
