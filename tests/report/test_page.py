"""The page: self-contained, escaped, complete, honest about what is missing, the same twice."""

import hashlib
import re
import shutil
from html.parser import HTMLParser

import pytest

from kneeline import tables
from kneeline.report import knees, page
from kneeline.report.gather import read_picture


class Reader(HTMLParser):
    """Tags with attributes, visible text, and whether tags close in order."""

    VOID = {"meta", "img", "br", "link", "input", "hr"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def reader(built):
    return Reader(built[1])


def test_page_is_where_the_workflow_expects_it(built, results):
    assert built[0] == results[0] / "report" / "report.html"


def test_page_is_self_contained(built, reader):
    """No address of any kind, no script, nothing loaded but data: pictures; the browser is told so, too."""
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", built[1])
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in reader.tags}
    for _, attrs in reader.tags:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href"):
            if attrs.get(name):
                # Pages beside this one may be linked, never loaded.
                beside = name == "href" and attrs[name].startswith(("knees/", "index.html"))
                assert beside or attrs[name].startswith(("data:image/png;base64,", "#"))
    policy = next(m["content"] for m in reader.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_html_is_well_formed_and_links_lead_somewhere(reader):
    assert reader.open == []
    ids = [attrs["id"] for _, attrs in reader.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    for attrs in [*reader.all("a"), *reader.all("use")]:
        assert attrs["href"].removeprefix("#") in ids or attrs["href"] == "index.html"
    for _, attrs in reader.tags:
        for value in attrs.values():
            for used in re.findall(r"url\(#([^)]+)\)", value or ""):
                assert used in ids


def test_hostile_text_is_shown_as_text(built, reader, made):
    assert "<script>alert" not in built[1]
    assert "&lt;script&gt;alert" in built[1]
    assert made.HOSTILE in reader.text
    assert "49" not in re.findall(r"quoted[^<]{0,40}", built[1])[0]  # {{ 7 * 7 }} is not evaluated


def test_every_scan_set_aside_is_there_with_its_reason(results, reader, made):
    rows = tables.read_table(results[0] / "ingest/scans.tsv", tables.INGEST_SCANS)
    aside = [row for row in rows if row["status"] != "ok"]
    assert len(aside) == len(made.SET_ASIDE) == 3
    for row in aside:
        assert row["scan_id"] in reader.text
        assert row["reason"] in reader.text
        assert f"1 × {row['reason_code']}" in reader.text  # in the flow


def test_the_machines_own_error_is_told(reader):
    part = reader.text[reader.text.index("The machine's own error") :]
    assert "meniscal signal grade: 9 knees were read." in part
    assert "50\xa0% (40\xa0% to 60\xa0%)" in part.replace(" %", "\xa0%")
    assert "40\xa0% (30\xa0% to 55\xa0%)" in part.replace(" %", "\xa0%")


def test_every_row_of_estimates_is_there(built, results):
    """Counted in the markup: a line a row, under its model, refused ones with the reason."""
    rows = tables.read_table(results[0] / "cohort/estimates.tsv", tables.ESTIMATES)
    part = built[1][built[1].index("All estimates:") : built[1].index('id="published"')]
    assert part.count('<th scope="row"') == len(rows) == 16
    assert part.count("refused</td>") == sum(row["status"] == "refused" for row in rows) == 2
    assert part.count("holds 3</td>") == 2


def test_every_knee_has_its_card_and_pictures_have_words(results, reader, built):
    good = [r for r in tables.read_table(results[0] / "ingest/scans.tsv", tables.INGEST_SCANS) if r["status"] == "ok"]
    assert built[1].count('<article class="knee"') == len(good) == 23
    images = reader.all("img")
    assert len(images) == 3
    for image in images:
        assert image["alt"]
        assert image["loading"] == "lazy"
        assert int(image["width"]) > 300
    assert reader.text.count("No picture: no picture was drawn") == 20
    assert all(attrs.get("aria-label") for attrs in reader.all("svg"))


def test_missing_values_show_as_missing(results, built):
    """Knee 8 has an ungraded region and no knee grade, knee 9 no effusion grade, none has a lateral depth."""
    card = next(c for c in re.findall(r"<article.*?</article>", built[1], re.S) if "sub-008" in c)
    lateral = re.search(r'<th scope="row">lateral</th>(.*?)</tr>', card, re.S)[1]
    assert re.findall(r">([^<]+)</td>", lateral)[1] == "n/a"
    card = next(c for c in re.findall(r"<article.*?</article>", built[1], re.S) if "sub-009" in c)
    assert 'effusion grade</dt><dd><span class="grade grade-na">n/a</span>' in card
    assert "n/a lateral" in card
    assert ">nan<" not in built[1].lower()
    assert ">None<" not in built[1]


def test_headings_are_in_order(reader):
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_simulated_knees_are_announced_and_validated(reader):
    assert "These knees are simulated." in reader.text
    assert "23 of 26 simulated knees came through" in reader.text
    assert "The side was right in 23 of 23." in reader.text


def test_real_data_has_no_simulation_notice_and_no_validation(results, tmp_path, made):
    text = page.build_report(results[0], tmp_path, {**made.CONFIG, "simulate": None}).read_text(encoding="utf-8")
    assert "These knees are simulated" not in text
    assert "The knees are simulated" not in text
    assert 'id="validation"' not in text


def test_same_results_give_the_same_bytes_anywhere(tmp_path, made):
    """Two folders, two builds: nothing of time or place is in the page."""
    pages = []
    for name in ("one", "another/deeper"):
        truth = made.results(tmp_path / name)
        pages.append(page.build_report(tmp_path / name, tmp_path / name / "report", made.CONFIG, truth).read_bytes())
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]


def test_absolute_paths_of_the_config_stay_at_home(results, tmp_path, made):
    config = {
        **made.CONFIG,
        "participants": "/home/someone/participants.tsv",
        "readings": "C:\\Users\\someone\\readings.tsv",
    }
    text = page.build_report(results[0], tmp_path, config).read_text(encoding="utf-8")
    assert "someone" not in text
    assert "participants.tsv" in text
    assert "readings.tsv" in text


def test_network_is_named_by_its_checksum(results, tmp_path, made):
    model = tmp_path / "net.onnx"
    model.write_bytes(b"weights")
    text = page.build_report(results[0], tmp_path, made.CONFIG, model=model).read_text(encoding="utf-8")
    assert hashlib.sha256(b"weights").hexdigest() in text


def test_no_knees_at_all(tmp_path, made):
    truth = made.results(tmp_path / "r", n=0)
    text = page.build_report(tmp_path / "r", tmp_path / "r/report", made.CONFIG, truth).read_text(encoding="utf-8")
    assert Reader(text).open == []
    assert "given 0 scans of 0 runners" in text
    assert "nothing can be said about how common" in text


def test_all_set_aside_and_no_cohort_tables(tmp_path, made):
    made.results(tmp_path / "r", n=3, set_aside=dict.fromkeys((1, 2, 3), ("ingest", "not_mr", "not an MR image")))
    for path in (tmp_path / "r/cohort").iterdir():
        path.unlink()
    reader = Reader(page.build_report(tmp_path / "r", tmp_path / "r/report", made.CONFIG).read_text(encoding="utf-8"))
    assert "3 scans were set aside, each with its reason" in reader.text
    assert "3 × not_mr" in reader.text


def test_knees_without_exposures_are_counted_as_the_cohort_counted_them(results, tmp_path, made):
    """A sheet of ids only: every runner column is empty, the knees are analysed all the same, one marked out is not."""
    shutil.copytree(results[0], tmp_path / "r")
    path = tmp_path / "r/cohort/knees.tsv"
    rows = tables.read_table(path, tables.KNEES)
    exposures = [c.name for c in tables.PARTICIPANTS.columns if c.name != "participant_id"]
    bare = [{**row, **dict.fromkeys(exposures)} for row in rows]
    bare[0]["analysed"] = False
    tables.write_table(path, bare, tables.KNEES)
    text = page.build_report(tmp_path / "r", tmp_path / "r/report", made.CONFIG).read_text(encoding="utf-8")
    found = Reader(text).text
    assert "22 runners analysed" in found
    assert "With 22 runners in the analysis, 0 of whom are known" in found
    assert "nothing can be said about how common" not in found


def test_page_stays_small_and_names_what_it_leaves_out(results, tmp_path, monkeypatch, made):
    """With room for two pictures, the knees that stand for a grade come first, then the knee to be looked at."""
    folder, truth = results
    sizes = [p.stat().st_size for p in (folder / "report").glob("*_overlay.png")]
    monkeypatch.setattr(knees, "PICTURE_BYTES", 2 * max(sizes))
    text = page.build_report(folder, folder / "report", made.CONFIG, truth).read_text(encoding="utf-8")
    assert text.count("<img ") == 2
    assert text.count('<article class="knee"') == 22
    assert "1 more knee is in the table above" in text
    assert re.search(r"<article.*?sub-008.*?</article>", text, re.S)


def test_a_large_cohort_shows_the_knees_that_stand_for_a_grade_and_a_line_of_every_other(results, monkeypatch, made):
    folder, truth = results
    monkeypatch.setattr(knees, "SMALL_COHORT", 22)
    text = page.build_report(folder, folder / "report", made.CONFIG, truth).read_text(encoding="utf-8")
    chosen = set(re.findall(r"<h4>(sub-\d+)", text))
    assert 4 <= len(chosen) <= 16
    assert f"{23 - len(chosen)} more knees are in the table above" in text
    table = re.search(r"All scored knees:.*?</table>", text, re.S)[0]
    assert table.count("<tr>") == 1 + 23


def test_26_full_pictures_fit_into_ten_megabytes():
    from kneeline.report.pictures import MAX_BYTES

    assert 26 * MAX_BYTES <= knees.PICTURE_BYTES
    assert knees.PICTURE_BYTES * 4 / 3 < 9_400_000


def test_a_scan_id_does_not_reach_other_folders(tmp_path):
    (tmp_path / "x_picture.json").write_text('{"picture": "x_overlay.png", "panels": []}')
    (tmp_path / "report").mkdir()
    assert read_picture("../x", tmp_path / "report").path is None


def test_flags_say_where_and_cartilage_flags_stay_with_their_measurements(built):
    card = next(c for c in re.findall(r"<article.*?</article>", built[1], re.S) if "sub-008" in c)
    flags = re.search(r"<dt>flags</dt><dd>(.*?)</dd>", card, re.S)[1]
    assert flags == "network uncertain (lateral body); low snr (image)"


def test_rules_are_listed_for_all_that_is_graded(reader):
    rules = ["signal grade", "effusion depth", "effusion volume", "cartilage defect", "marrow", "strike style"]
    assert re.findall(rf"({'|'.join(rules)}), version \d", reader.text) == rules
    assert "graded too, experimentally" in reader.text


def test_a_card_tells_the_total_its_parts_and_the_experimental_grades(built):
    cards = re.findall(r"<article.*?</article>", built[1], re.S)
    card = next(c for c in cards if "sub-008" in c)
    total = re.search(r"<dt>total lesion score</dt><dd>(.*?)</dd>", card, re.S)[1]
    assert total == "n/a (menisci n/a, missing (not graded); cartilage 3, machine+reader:anna; effusion 1, machine)"
    assert re.search(r"Marrow \(experimental\).*?<td[^>]*>1</td>", card, re.S)
    other = next(c for c in cards if "sub-009" in c)
    assert "<dt>total lesion score</dt><dd>n/a</dd>" in other
    assert "Marrow (experimental)" not in other


def test_no_cell_of_the_models_can_reach_the_markup(results, tmp_path, made):
    """Hostile text in every text column, also where it ends in a figure, an id or a label."""
    shutil.copytree(results[0], tmp_path / "r")
    path = tmp_path / "r/cohort/estimates.tsv"
    rows = tables.read_table(path, tables.ESTIMATES)
    bad = '"><script>alert(1)</script>--><svg onload=alert(1)>$x$'
    for row in rows:
        row["model"] += bad
        row["outcome"] += bad
        row["term"] += bad
        row["reason"] = bad
    tables.write_table(path, rows, tables.ESTIMATES)
    text = page.build_report(tmp_path / "r", tmp_path / "r/report", made.CONFIG).read_text(encoding="utf-8")
    reader = Reader(text)
    assert reader.open == []
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    assert reader.text.count("<script>alert(1)</script>") > len(rows)
