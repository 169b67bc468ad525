from kneeline import labels
from kneeline.labels import Label


def test_contracted_names_are_all_there():
    names = {label.label_name for label in Label}
    assert names >= {
        "femur", "tibia", "patella", "femoral_cartilage", "medial_tibial_cartilage", "lateral_tibial_cartilage",
        "patellar_cartilage", "medial_meniscus", "lateral_meniscus", "joint_fluid",
    }  # fmt: skip


def test_dseg_table_has_the_bids_columns_and_every_label_once(tmp_path):
    labels.write_dseg_tsv(tmp_path / "dseg.tsv")
    lines = [line.split("\t") for line in (tmp_path / "dseg.tsv").read_text().splitlines()]
    assert lines[0] == ["index", "name", "abbreviation", "color"]
    assert [int(line[0]) for line in lines[1:]] == [int(label) for label in Label]
    for column in (1, 2, 3):
        assert len({line[column] for line in lines[1:]}) == len(Label)
