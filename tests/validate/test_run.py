"""Many knees, and the command."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from kneeline import cli
from kneeline.labels import Label
from kneeline.validate import run
from kneeline.validate.plan import plan
from kneeline.validate.plot import reliability_svg
from kneeline.validate.reliability import reliability


@pytest.fixture
def knees(make_case, monkeypatch):
    """Knees whose Dice follows from their number, in place of simulated ones."""

    def measure(number, twice):
        asked.append(number in twice)
        promised = np.linspace(0.05, 0.95, 10)
        sure = {Label.FEMUR: reliability(promised, promised > 0.5, 1.0)}
        return make_case(9000 + number, dice=0.8 + 0.01 * number, reliability=sure)

    asked = []
    monkeypatch.setattr(run, "measure", measure)
    return asked


def test_processes_give_the_answers_in_order_whoever_is_first():
    done = []
    plans = run.each(plan, 5, 2, lambda count, result: done.append((count, result)))
    assert plans == [plan(number) for number in range(5)]
    assert [count for count, _ in done] == [1, 2, 3, 4, 5]
    assert {result.seed for _, result in done} == {p.seed for p in plans}


def test_a_line_a_knee(knees, make_case):
    lines = []
    cases = run.measure_knees(2, tell=lines.append)
    assert [case.plan.seed for case in cases] == [9000, 9001]
    assert lines[1] == "[2/2] seed 9001, PDFS, 3 mm: ok, lowest Dice 0.81 (femur)"
    assert run.summary(make_case(refused="not_a_knee")) == "seed 9000, PDFS, 3 mm: refused (not_a_knee)"


def test_the_command_writes_the_page_and_the_plot_beside_it(knees, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call = ["validate", "--knees", "3", "--retest", "1", "--plot", "docs/plots/reliability.svg"]
    call += ["--worst", "docs/worst.md", "-o", "docs/validation.md"]
    assert cli.main(call) == 0
    text = (tmp_path / "docs/validation.md").read_text()
    assert f"Made by `kneeline {' '.join(call)}`" in text
    assert "](plots/reliability.svg)" in text
    assert "](worst.md)" in text
    assert f"Made by `kneeline {' '.join(call)}`" in (tmp_path / "docs/worst.md").read_text()
    assert knees == [True, False, False]
    assert (tmp_path / "docs/plots/reliability.svg").is_file()
    assert len(capsys.readouterr().err.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--knees", "0"], "at least 1"),
        (["--jobs", "0"], "at least 1"),
        (["--retest", "-1"], "at least 0"),
        (["--plot", "x.png"], "must end in .svg"),
        (["--worst", "x"], "must end in .md"),
    ],
)
def test_wrong_calls_end_with_2_before_any_work(knees, capsys, arguments, expected):
    assert cli.main(["validate", *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_the_same_cases_give_the_same_picture(knees):
    cases = run.measure_knees(3)
    first = reliability_svg(cases)
    assert first == reliability_svg(cases)
    assert ET.fromstring(first).tag.endswith("svg")
    assert reliability_svg([]) != first
