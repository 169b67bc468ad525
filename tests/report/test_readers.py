"""The compact tables of agreement and of the published study, from rows as the cohort stage writes them."""

from kneeline.cohort.agreement import compare_raters
from kneeline.cohort.published import published
from kneeline.report import published as chapter
from kneeline.report import readers
from kneeline.tables import AGREEMENT, PUBLISHED


def _filled(rows, table):
    return [dict.fromkeys(table.header) | row for row in rows]


def _texts(view):
    return [[cell.text for cell in row] for row in view.rows]


def _knee(number, grade):
    regions = {f"{m}_{r}_signal_grade": 0 for m in ("medial", "lateral") for r in ("anterior_horn", "body",
               "posterior_horn")}  # fmt: skip
    keys = {"participant_id": f"sub-{number}", "session_id": "ses-01", "laterality": "L"}
    return keys | regions | {"effusion_grade": grade, "fluid_ml": 2.0 + number, "pouch_in_view": True}


def _agreement(n=12):
    knees = [_knee(i, i % 4) for i in range(n)]
    keys = ("participant_id", "session_id", "laterality")
    common = {"reading": 1, "region": None, "grade": None, "value": None}
    read = [
        {k: knee[k] for k in keys} | common | {"rater_id": rater, "structure": "effusion", "grade": i % 3}
        for rater in ("anna", "ben", "cleo")
        for i, knee in enumerate(knees)
    ]
    read += [
        {k: knee[k] for k in keys} | common | {"rater_id": "anna", "structure": "fluid_ml", "value": knee["fluid_ml"]}
        for knee in knees
    ]
    return _filled(compare_raters(knees, read)[0], AGREEMENT)


def test_a_line_a_comparison_with_its_headline_figures():
    rows = _agreement()
    lines = _texts(readers.grades_view(rows))
    assert ["machine with anna reading 1", "effusion", "12", "12"] in [line[:4] for line in lines]
    assert len(lines) == 6  # the machine with three readers, three pairs of readers
    assert _texts(readers.many_view(rows))[0][0].startswith("all readers")
    (value,) = _texts(readers.values_view(rows))
    assert value[1] == "fluid (mL)"
    assert value[5].startswith("0.00")


def test_confusion_matrices_keep_every_pair():
    knees = [_knee(i, i % 3) for i in range(6)]
    keys = ("participant_id", "session_id", "laterality")
    common = {"rater_id": "anna", "reading": 1, "structure": "effusion", "region": None}
    read = [{k: knee[k] for k in keys} | common | {"grade": min(3, knee["effusion_grade"] + 1)} for knee in knees]
    view = readers.confusion_view(compare_raters(knees, read)[1])
    assert [cell.text for cell in view.headings][2:] == ["first", "second 0", "second 1", "second 2", "second 3"]
    counts = [[int(text) for text in line[3:]] for line in _texts(view)]
    assert counts == [[0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2], [0, 0, 0, 0]]
    assert readers.confusion_view([]).rows == ()


def test_few_runners_are_shown_as_refused():
    lines = _texts(readers.grades_view(_agreement(3)))
    assert all("refused" in line for line in lines)


def test_without_readings_the_reason_is_told():
    rows = _filled(compare_raters([_knee(1, 0)], None)[0], AGREEMENT)
    assert readers.grades_view(rows).rows == ()
    assert readers.notes(rows) == [
        "machine with reader: no readings were given; agreement of machine and reader is not known for this cohort"
    ]


def test_the_chapter_holds_every_row_once():
    rows = _filled(published(), PUBLISHED)
    counts, groups, tests = (f(rows) for f in (chapter.counts_view, chapter.groups_view, chapter.tests_view))
    lines = _texts(counts)
    effusion = next(line for line in lines if line[1] == "effusion, before the marathon")
    assert effusion[2:5] == ["13 of 22", "59\xa0%", "39\xa0% to 77\xa0%"]
    assert len(lines) == len(
        {(r["study"], r["finding"]) for r in rows if r["group"] == "all" and "Wilson" in r["quantity"]}
    )
    compared = _texts(groups)
    assert [line[:3] for line in compared][0] == ["meniscus grade 1", "6 of 13", "4 of 13"]
    assert [line[:3] for line in compared][-1] == ["meniscus grade 1", "6 of 16", "4 of 10"]
    assert compared[0][4] == "0.69"
    shown = {(line[1], line[2]) for line in _texts(tests)}
    assert ("foot strike", "not possible") in shown
    assert ("cartilage as grades 0, 1, 2", "odds ratio, cumulative logit (profile; Wald p)") in shown
    assert not any("Wilson" in what for _, what in shown)
