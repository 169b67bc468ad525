"""The assisted phase: only after a blind reading, with the machine's results in view, and never in its place."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.browser import nameless, poor_contrast
from tests.read.test_page import answers_of, begin, shown, wait_for

from kneeline import tables
from kneeline.cli import main
from kneeline.errors import UsageError
from kneeline.labels import Label, color
from kneeline.read.assisted import EXPERIMENTAL, blind_answers, machine_grades
from kneeline.read.form import ITEMS
from kneeline.read.gather import GATHERED, gather
from kneeline.read.keys import read_key
from kneeline.viewer.knee import stack_of
from kneeline.volume import read_volume, write_volume

REGIONS = [(m, r) for m in ("medial", "lateral") for r in ("anterior_horn", "body", "posterior_horn")]
PLATES, BONES = tables.CARTILAGE["plate"].allowed, tables.MARROW["bone"].allowed


def grades_of(number: int) -> dict[str, int | None]:
    """What the machine says of a knee: other grades in each knee and each part; one without a grade."""
    found: dict[str, int | None] = {f"{m}_meniscus/{r}": (number + n) % 4 for n, (m, r) in enumerate(REGIONS)}
    found |= {"effusion": None if number == 1 else number % 4}
    found |= {plate: (number + n) % 5 for n, plate in enumerate(PLATES)}
    return found | {f"marrow/{bone}": (number + n) % 3 for n, bone in enumerate(BONES)}


def add_machine(results, scan, number):
    """The machine's label map and score tables of a scan."""
    image = read_volume(results / "ingest" / f"{scan}_image.nii.gz")
    labels = np.zeros(image.shape, np.uint8)
    labels[1:3, 5:20, 4:20] = Label.FEMUR
    labels[4:6, 10:14, 8:16] = Label.MEDIAL_MENISCUS
    (results / "segment").mkdir(exist_ok=True)
    write_volume(results / "segment" / f"{scan}_dseg.nii.gz", image.with_array(labels))
    grades = grades_of(number)
    keys = dict(zip(tables.KNEE_KEYS, [*scan.split("_knee-")[0].split("_"), scan[-1]], strict=True))
    for name, table, rows in (
        ("meniscus", tables.MENISCUS,
         [{"meniscus": m, "region": r, "signal_grade": grades[f"{m}_meniscus/{r}"]} for m, r in REGIONS]),
        ("effusion", tables.EFFUSION, [{"effusion_grade": grades["effusion"]}]),
        ("cartilage", tables.CARTILAGE, [{"plate": plate, "cartilage_grade": grades[plate]} for plate in PLATES]),
        ("marrow", tables.MARROW, [{"bone": bone, "marrow_grade": grades[f"marrow/{bone}"]} for bone in BONES]),
    ):  # fmt: skip
        tables.write_table(results / "score" / f"{scan}_{name}.tsv", [row | keys for row in rows], table)


@pytest.fixture(scope="module")
def study(made, tmp_path_factory):
    """Three knees with the machine's results; reader anna has read two of them blind to the end, the third in part."""
    folder = tmp_path_factory.mktemp("assisted")
    results = made.results(folder / "results", 3)
    scans = [row["scan_id"] for row in tables.read_table(results / "ingest/scans.tsv", tables.INGEST_SCANS)][:3]
    for number, scan in enumerate(scans, start=1):
        add_machine(results, scan, number)
    blind = made.package(results, folder / "blind", "anna", 3, repeats=0)
    answers = {}
    for row in blind.key:
        answers |= made.all_items(row["case_id"], 1)
        answers[row["case_id"], "acl", None] = "x"
        if row["scan_id"] == scans[2]:
            del answers[row["case_id"], "pcl", None]
    export = folder / "blind.tsv"
    export.write_text(made.export(blind.key, answers))
    readings = folder / "readings.tsv"
    tables.write_table(readings, gather([blind.built.key, export]), GATHERED)
    return SimpleNamespace(
        folder=folder, results=results, scans=scans, blind=blind, export=export, readings=readings, made=made
    )


@pytest.fixture(scope="module")
def package(study):
    """At the command line."""
    folder = study.folder / "second"
    call = ["read", study.results, "-o", folder, "--rater", "anna", "--seed", "5"]
    assert main([str(word) for word in (*call, "--assisted", "--after", study.readings)]) == 0
    key = read_key(folder.with_name("second_key.tsv"))
    return SimpleNamespace(folder=folder, url=(folder / "index.html").as_uri(), key=key, page=folder / "index.html")


def test_it_holds_the_knees_that_were_read_to_the_end_once_each(study, package):
    assert sorted(row["scan_id"] for row in package.key) == sorted(study.scans[:2])
    assert {(row["reading"], row["phase"]) for row in package.key} == {(1, "assisted")}
    index = study.made.index(package.page)
    for row, case in zip(package.key, index["cases"], strict=True):
        number = study.scans.index(row["scan_id"]) + 1
        assert case["assist"]["machine"] == {name: g for name, g in grades_of(number).items() if g is not None}
        assert case["assist"]["first"] == {item.name: "x" if item.name == "acl" else 1 for item in ITEMS}


def test_the_blind_package_of_the_same_study_has_nothing_of_it(study):
    for path in study.blind.folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="latin-1")
            for word in ("assist", "kneeline.aid =", "Overlay", color(Label.MEDIAL_MENISCUS), "experimental"):
                assert word not in text, path.name
    case = study.made.index(study.blind.built.page)["cases"][0]
    of_the_image = {"axes", "shape", "spacing", "low", "step", "highest", "window", "error"}
    assert set(case) == {"id", "image", "laterality"} | of_the_image


def test_a_reading_with_the_machine_s_help(profile, study, package, tmp_path):
    """By keyboard: the blind answer kept, another given; nothing set beforehand; the blind reading stays as it was."""
    profile.downloads(tmp_path)
    tab = begin(profile, package)
    index = study.made.index(package.page)
    expected = {}
    for number, case in enumerate(index["cases"]):
        shown(tab, number)
        assert tab.js("document.querySelectorAll('.item [aria-pressed=true]').length") == 0
        for item in ITEMS:
            first, machine = case["assist"]["first"][item.name], case["assist"]["machine"].get(item.name)
            at = f"[data-item='{item.name}']"
            marked = [
                tab.js(f'[...document.querySelectorAll("{at} [data-{who}]")].map((b) => b.dataset.value)')
                for who in ("first", "machine")
            ]
            assert marked == [[str(first)], [] if machine is None else [str(machine)]]
            told = tab.js("document.querySelector('#scale .told').textContent")
            assert told.startswith(f"blind: {'not readable' if first == 'x' else first} (K keeps it)")
            assert told.endswith(
                "machine: no grade" if machine is None
                else f"machine: {machine}" + (" (experimental)" if item.name in EXPERIMENTAL else "")
            )  # fmt: skip
            tab.key("k" if machine is None else str(machine))
            expected[case["id"], item.name] = first if machine is None else machine
        tab.keys("3", "Enter")
    held = {(case, name): value for case, given in answers_of(tab).items() for name, value in given.items()}
    assert {key: value for key, value in held.items() if key[1] != "confidence"} == expected
    assert tab.complaints() == []
    tab.key("e")
    export = wait_for(tmp_path, "readings_anna_*.tsv")

    rows = gather([study.blind.built.key, package.folder.with_name("second_key.tsv"), study.export, export])
    blind = [row for row in rows if row["phase"] == "blind"]
    assert blind == gather([study.blind.built.key, study.export])
    assisted = {(row["case_id"], f"{row['structure']}/{row['region']}" if row["region"] else row["structure"]): row
                for row in rows if row["phase"] == "assisted"}  # fmt: skip
    assert {key: "x" if row["status"] == "not_readable" else row["grade"] for key, row in assisted.items()} == expected
    tables.write_table(tmp_path / "readings.tsv", rows, GATHERED)
    assert len(tables.read_table(tmp_path / "readings.tsv", tables.READINGS)) == len(rows)


def test_outlines_lie_where_the_labels_are_and_can_be_switched_off(profile, study, package):
    tab = begin(profile, package)
    row = package.key[0]
    labels = stack_of(read_volume(study.results / "segment" / f"{row['scan_id']}_dseg.nii.gz"), row["laterality"]).array
    assert tab.js("Array.from(kneeline.page.viewer.over.labels)") == labels.ravel().tolist()
    inside = int(np.argwhere(labels == Label.FEMUR)[0, 0])
    painted = (
        f"(() => {{ const v = kneeline.page.viewer; v.go({inside}); v.paint(); const c = v.canvas;"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height - 60).data; let n = 0;"
        " for (let i = 0; i < d.length; i += 4) n += Math.abs(d[i] - d[i + 2]) > 24; return n; })()"
    )
    assert tab.js(painted) > 8  # coloured: the slice itself is grey, and bone has a thin line
    tab.key("o")
    assert tab.js("document.getElementById('outlines').getAttribute('aria-pressed')") == "false"
    off = tab.js(painted)
    tab.click("#outlines")
    assert off < tab.js(painted) / 4  # what is left is the page's own scale
    assert nameless(tab) == []
    assert poor_contrast(tab) == []
    assert tab.js("document.documentElement.scrollWidth <= 1366 && document.documentElement.scrollHeight <= 768")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--assisted"], "go together"),
        (["--after", "READINGS"], "go together"),
        (["--assisted", "--after", "READINGS", "--rater", "ben"], "reader ben has read no knee blind"),
        (["--assisted", "--after", "READINGS", "--scans", "THIRD"], "no blind reading to the end by this reader"),
    ],
)
def test_there_is_no_assisted_phase_before_the_blind_one(study, tmp_path, capsys, arguments, words):
    named = {"READINGS": str(study.readings), "THIRD": study.scans[2]}
    more = [named.get(word, word) for word in arguments]
    rater = [] if "--rater" in more else ["--rater", "anna"]
    assert main(["read", str(study.results), "-o", str(tmp_path / "out"), "--seed", "1", *rater, *more]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_assisted_reading_does_not_count_as_the_blind_one(study, tmp_path):
    rows = tables.read_table(study.readings, GATHERED)
    tables.write_table(tmp_path / "only.tsv", [row | {"phase": "assisted"} for row in rows], GATHERED)
    with pytest.raises(UsageError, match="has read no knee blind"):
        blind_answers(tmp_path / "only.tsv", "anna")


def test_grades_of_the_machine_are_under_the_names_of_the_form(study):
    found = machine_grades(study.results / "score", study.scans[1])
    assert set(found) == {item.name for item in ITEMS} - {"acl", "pcl", "mcl", "lcl"}
    assert set(EXPERIMENTAL) == {*PLATES, *(f"marrow/{bone}" for bone in BONES)}
