"""The page in a real browser, from a file, without GPU: a reading by keyboard; no answer is lost or mixed."""

import json
import random
import shutil

import numpy as np
import pytest
from tests.browser import CONTROL, SHIFT, nameless, poor_contrast

from kneeline import cli, tables
from kneeline.read.form import ITEMS
from kneeline.read.gather import GATHERED, gather
from kneeline.statistics.agreement import kappa
from kneeline.volume import reorient

STORE = "kneeline.page.store"


def begin(profile, package, **size):
    """Open a package's page and say who one is."""
    tab = profile.open(package.url, **size)
    tab.wait("document.body.dataset.shown")
    tab.key("Enter")
    tab.wait("!document.getElementById('start').open")
    return tab


def shown(tab, number):
    tab.wait(f"document.body.dataset.shown === kneeline.index.cases[{number}].id")


def answers_of(tab) -> dict:
    """{case: {item: value}} as the page holds it."""
    return tab.js(
        f"Object.fromEntries([...{STORE}.answers].map(([id, all]) => [id, Object.fromEntries(Object.entries(all)"
        ".filter(([, a]) => a.value !== null).map(([name, a]) => [name, a.value]))]))"
    )


def test_a_whole_reading_by_keyboard(profile, anna, tmp_path):
    """Answers drawn beforehand, a reload in the middle, export, import, and the kappa that the answers have."""
    chance = random.Random(5)
    truth, plan = {}, []
    for row in anna.key:  # the machine's grades are invented here; a reader who sees them differently now and then
        machine = truth.setdefault(row["scan_id"], {i.name: chance.choice(i.scale.grades) for i in ITEMS})
        plan.append({i.name: g if chance.random() < 0.7 else chance.choice(i.scale.grades)
                     for i, g in zip(ITEMS, machine.values(), strict=True)})  # fmt: skip
    plan[2]["acl"] = "x"
    profile.downloads(tmp_path)
    tab = begin(profile, anna)
    for number, planned in enumerate(plan):
        shown(tab, number)
        assert tab.js("document.getElementById('count').textContent") == f"{number} of 7 read"
        for item in ITEMS:
            tab.key(str(planned[item.name]))
        if number == 3:  # before confidence is given
            tab.reload()
            shown(tab, 3)
            tab.key("Enter")
            assert tab.js("kneeline.page.form.item.name") == "confidence"
        tab.key("2")
        if number == 1:
            tab.key("c")
            for letter in '12 "odd"':
                tab.key(letter)
            tab.key("Escape")
        tab.key("Enter")
    assert tab.js("document.getElementById('count').textContent") == "7 of 7 read"
    cases = [row["case_id"] for row in anna.key]
    held = answers_of(tab)
    for case, planned in zip(cases, plan, strict=True):
        assert {name: held[case][name] for name in planned} == planned
    tab.key("e")
    export = wait_for(tmp_path, "readings_anna_*.tsv")
    assert tab.complaints() == []

    rows = gather([anna.built.key, export])
    assert len(rows) == 7 * len(ITEMS)
    assert {row["comment"] for row in rows if row["position"] == 2} == {'12 "odd"'}
    out = tmp_path / "readings.tsv"
    tables.write_table(out, rows, GATHERED)
    by_scan = {row["scan_id"]: row for row in anna.key}
    knees, table = [], np.zeros((4, 4))
    for scan, machine in truth.items():
        grades = {f"{n.split('_')[0]}_{n.split('/')[1]}_signal_grade": g for n, g in machine.items() if "meniscus" in n}
        grades |= {"effusion_grade": machine["effusion"], "pouch_in_view": True, "analysed": True}
        knees.append({k: by_scan[scan][k] for k in tables.KNEE_KEYS} | grades)
    for row, planned in zip(anna.key, plan, strict=True):
        if row["reading"] == 1:
            table[truth[row["scan_id"]]["effusion"], planned["effusion"]] += 1
    tables.write_table(tmp_path / "knees.tsv", knees, tables.KNEES)
    tables.write_text(tmp_path / "config.yaml", _FEW)
    call = ["cohort", "--knees", tmp_path / "knees.tsv", "--readings", out, "--config", tmp_path / "config.yaml"]
    assert cli.main([str(word) for word in (*call, "--results", tmp_path / "results")]) == 0
    agreement = tables.read_table(tmp_path / "results/cohort/agreement.tsv", tables.AGREEMENT)
    confusion = tables.read_table(tmp_path / "results/cohort/confusion.tsv", tables.CONFUSION)
    found = next(row for row in agreement if (row["comparison"], row["structure"], row["statistic"])
                 == ("machine with anna reading 1", "effusion", "weighted_kappa_quadratic"))  # fmt: skip
    assert found["estimate"] == pytest.approx(kappa(table, "quadratic").estimate, rel=1e-5)
    counted = {(row["grade_a"], row["grade_b"]): row["n"] for row in confusion
               if (row["comparison"], row["structure"]) == ("machine with anna reading 1", "effusion")}  # fmt: skip
    assert counted == {(a, b): table[a, b] for a in range(4) for b in range(4)}
    assert any(row["comparison"] == "anna reading 1 with anna reading 2" for row in agreement)


_FEW = "participants: none.tsv\nscans: none.tsv\nanalysis: {n_bootstrap: 0, n_imputations: 0}\n"


def wait_for(folder, pattern):
    import time

    for _ in range(200):
        found = list(folder.glob(pattern))
        if found and found[0].stat().st_size:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} in {folder}")


def test_arrow_keys_scroll_and_never_change_an_answer(profile, anna):
    """Also right after a click on a grade, where a radio button would move."""
    tab = begin(profile, anna)
    for selector in ("[data-item=effusion] [data-value='1']", "[data-item='acl'] [data-value='x']"):
        tab.click(selector)
    before = answers_of(tab)
    assert before[anna.key[0]["case_id"]] == {"effusion": 1, "acl": "x"}
    tab.key("Home")
    for key, slice_ in (("ArrowDown", 1), ("ArrowRight", 2), ("ArrowDown", 3), ("ArrowLeft", 2), ("ArrowUp", 1)):
        tab.key(key)
        assert tab.js("kneeline.page.viewer.slice") == slice_
    tab.click("[data-item=effusion] [data-value='1']")
    tab.keys("ArrowDown", "ArrowDown", "PageDown")
    assert tab.js("kneeline.page.viewer.slice") == 6
    low = tab.js("kneeline.page.viewer.low")
    tab.key("ArrowUp", SHIFT)
    tab.key("ArrowRight", CONTROL)
    assert tab.js("kneeline.page.viewer.low") > low
    assert tab.js("kneeline.page.viewer.pan") == [30, 0]
    assert answers_of(tab) == before
    assert tab.js("document.querySelectorAll('input[type=radio], select').length") == 0


def test_mouse_wheel_drag_and_ruler(profile, anna):
    tab = begin(profile, anna)
    tab.key("Home")
    tab.wait("kneeline.page.viewer.scale")
    left, top, width, height = tab.box("#canvas")
    x, y = left + width / 2, top + height / 2
    tab.mouse("mouseWheel", x, y, deltaX=0, deltaY=100)
    tab.wait("kneeline.page.viewer.slice === 1")
    low, high = tab.js("[kneeline.page.viewer.low, kneeline.page.viewer.high]")
    tab.mouse("mousePressed", x, y, button="left", clickCount=1)
    tab.mouse("mouseMoved", x + 60, y, button="left", buttons=1)
    tab.mouse("mouseReleased", x + 60, y, button="left", clickCount=1)
    wide = tab.js("kneeline.page.viewer.high - kneeline.page.viewer.low")
    assert wide == pytest.approx((high - low) * 1.2)
    scale = tab.js("kneeline.page.viewer.scale")
    tab.mouse("mousePressed", x, y, button="left", clickCount=1, modifiers=SHIFT)
    tab.mouse("mouseMoved", x + 30, y + 40, button="left", buttons=1, modifiers=SHIFT)
    tab.mouse("mouseReleased", x + 30, y + 40, button="left", clickCount=1, modifiers=SHIFT)
    assert tab.js("kneeline.page.viewer.ruledLength") == pytest.approx(50 / scale, rel=1e-3)
    assert all(not answers for answers in answers_of(tab).values())


def test_slices_are_shown_as_they_are(profile, anna, made):
    """Greys of the drawn slice against the image itself, in all three planes, left and right knee; true pixel shape."""
    tab = begin(profile, anna)
    for number in (next(n for n, row in enumerate(anna.key) if row["laterality"] == side) for side in "LR"):
        row = anna.key[number]
        tab.js(f"kneeline.page.go({number})")
        shown(tab, number)
        # World axes: x to the right, y anterior, z superior; "RIP" is array[x, -z, -y].
        stack = reorient(made.volume(int(row["participant_id"][-2:]), row["laterality"]), "RIP").array.astype(float)
        outward = stack[::-1] if row["laterality"] == "R" else stack  # lateral first
        cuts = {
            "sagittal": outward[2],
            "coronal": stack[::-1, :, 2].T,  # the patient's right on the left
            "axial": stack[::-1, 2, :].T,
        }
        for plane, cut in cuts.items():
            grey = tab.js(
                "(() => { const v = kneeline.page.viewer; v.go(2); v.low = 0; v.high = v.image.highest; v.paint();"
                " const b = v.buffer, d = b.getContext('2d').getImageData(0, 0, b.width, b.height).data;"
                " return [v.planeName, b.width, b.height, [...d].filter((_, i) => i % 4 === 0)]; })()"
            )
            assert grey[0] == plane
            assert (grey[2], grey[1]) == cut.shape
            expected = (cut - stack.min()) / np.ptp(stack) * 255
            assert np.abs(np.reshape(grey[3], cut.shape) - expected).max() <= 0.51
            tab.key("v")
    tab.js("kneeline.page.viewer.paint()")
    across, down = made.SHAPE[2] * made.SPACING_MM[2], made.SHAPE[1] * made.SPACING_MM[1]
    _, _, width, height = tab.box("#canvas")
    assert tab.js("kneeline.page.viewer.scale") == pytest.approx(min(width / across, (height - 8) / down))
    assert tab.js("Object.values(kneeline.page.viewer.sides).join('')") == "SIAP"


def test_no_answer_is_set_beforehand_and_not_readable_is_not_zero(profile, anna):
    tab = begin(profile, anna)
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].filter(b => b.closest('.item')).length"
    assert tab.js(pressed) == 0
    tab.keys("x", "0")
    assert list(answers_of(tab)[anna.key[0]["case_id"]].values()) == ["x", 0]
    tab.keys("7", "9")  # no such grades
    assert tab.js(pressed) == 2
    assert "0 to 3" in tab.js("document.getElementById('hint').textContent")
    tab.key("n")
    shown(tab, 1)
    assert tab.js(pressed) == 0
    tab.key("p")
    shown(tab, 0)
    assert tab.js(pressed) == 2
    tab.js("kneeline.page.form.turn(1)")
    tab.key("Backspace")
    assert list(answers_of(tab)[anna.key[0]["case_id"]].values()) == ["x"]


def test_a_key_held_down_is_one_answer(profile, anna):
    tab = begin(profile, anna)
    for repeat in (False, True, True):
        tab.call("Input.dispatchKeyEvent", type="keyDown", key="1", code="Digit1", text="1", autoRepeat=repeat)
    assert len(answers_of(tab)[anna.key[0]["case_id"]]) == 1


# --- nothing is lost or mixed -----------------------------------------------------------------------------------------


def test_of_two_windows_one_records_and_the_other_says_so(profile, anna):
    one = begin(profile, anna)
    one.key("1")
    two = begin(profile, anna)
    two.key("3")
    assert "another window" in two.js("document.getElementById('alert').textContent")
    assert "Not recorded" in two.js("document.getElementById('hint').textContent")
    one.key("2")
    case = anna.key[0]["case_id"]
    two.wait(f"{STORE}.get('{case}', 'medial_meniscus/body') === 2")  # looks on
    two.click("#take-over")
    one.wait(f"!{STORE}.mayWrite")
    one.key("0")
    two.js("kneeline.page.form.turn(6)")
    two.key("3")
    expected = {"medial_meniscus/anterior_horn": 1, "medial_meniscus/body": 2, "effusion": 3}
    assert answers_of(two)[case] == expected
    one.wait(f"{STORE}.get('{case}', 'effusion') === 3")
    two.close()
    one.wait(f"{STORE}.mayWrite", seconds=60)  # the one that is left goes on by itself
    assert answers_of(one)[case] == expected


def test_writes_that_cross_are_both_kept(profile, anna):
    """Two windows that both believe they record (a frozen one awoke): by item, the newer answer counts."""
    one, two = begin(profile, anna), begin(profile, anna)
    case = anna.key[1]["case_id"]
    believe = f"{STORE}.checkTurn = () => {{ {STORE}.mayWrite = true; }}"
    for tab, name, grade in ((one, "acl", 1), (two, "pcl", 2), (one, "effusion", 0), (two, "effusion", 3)):
        tab.js(believe)
        tab.js(f"{STORE}.set('{case}', '{name}', {grade})")
    expected = {"acl": 1, "pcl": 2, "effusion": 3}
    for tab in (one, two):
        tab.wait(f"{STORE}.get('{case}', 'effusion') === 3 && {STORE}.get('{case}', 'pcl') === 2")
    kept = json.loads(one.js(f"localStorage.getItem({STORE}.prefix + '{case}')"))
    assert {name: answer["value"] for name, answer in kept.items()} == expected
    assert answers_of(one)[case] == answers_of(two)[case] == expected


def test_a_full_disk_is_told_and_answers_survive_it(profile, anna, tmp_path):
    """The browser's store is filled to the last byte, as on a full disk; an export still has everything."""
    profile.downloads(tmp_path)
    tab = begin(profile, anna)
    tab.key("1")
    assert tab.js(f"{STORE}.state") == "saved"
    tab.js(
        "(() => { for (let size = 1 << 22, n = 0; size >= 1; n++) {"
        " try { localStorage.setItem('filling' + n, 'x'.repeat(size)); } catch { size >>= 1; } } })()"
    )
    tab.keys("2", "3")
    assert tab.js(f"{STORE}.state") == "failed"
    assert "export now" in tab.js("document.getElementById('alert').textContent")
    assert tab.js("document.getElementById('saved').textContent") == "✗ NOT SAVED"
    tab.key("e")
    given = [row["answer"] for row in tables_of(wait_for(tmp_path, "readings_anna_*.tsv"))]
    assert given == ["1", "2", "3"]
    tab.js("Object.keys(localStorage).filter(k => k.startsWith('filling')).forEach(k => localStorage.removeItem(k))")
    tab.wait(f"{STORE}.state === 'saved'")
    tab.reload()
    tab.wait("document.body.dataset.shown")
    assert list(answers_of(tab)[anna.key[0]["case_id"]].values()) == [1, 2, 3]


def test_a_store_that_is_switched_off_is_told_before_the_first_answer(profile, anna):
    tab = profile.open("data:text/html,x")
    off = "Storage.prototype.setItem = () => { throw new DOMException('switched off'); }"
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=off)
    tab.go(anna.url)
    tab.wait("document.body.dataset.shown")
    assert tab.js(f"{STORE}.state") == "failed"
    assert "full or switched off" in tab.js("document.getElementById('alert').textContent")


def tables_of(path):
    from kneeline.read.gather import EXPORT

    return tables.read_table(path, EXPORT)


def test_answers_that_cannot_be_read_are_put_aside_and_told(profile, anna):
    tab = begin(profile, anna)
    tab.key("1")
    prefix, case = tab.js(f"{STORE}.prefix"), anna.key[0]["case_id"]
    tab.js(f"localStorage.setItem('{prefix}{case}', '{{cut off')")
    tab.js(f"{STORE}.answers.set('{case}', {{}})")
    tab.js("kneeline.page.store.save = () => {}")  # as after a crash: nobody writes before the next start
    tab.reload()
    tab.wait("document.body.dataset.shown")
    assert "put aside" in tab.js("document.getElementById('alert').textContent")
    assert tab.js(f"Object.keys(localStorage).filter(k => k.startsWith('{prefix}spoiled/{case}')).length") == 1


def test_a_second_reader_at_the_same_computer(profile, anna, results, made, tmp_path):
    ben = made.package(results, tmp_path / "ben", "ben", 3)
    one = begin(profile, anna)
    one.keys("1", "2")
    two = begin(profile, ben)
    assert two.js(f"{STORE}.mayWrite")
    assert all(not answers for answers in answers_of(two).values())
    two.keys("3", "3", "3")
    two.reload()
    two.wait("document.body.dataset.shown")
    assert list(answers_of(two)[ben.key[0]["case_id"]].values()) == [3, 3, 3]
    assert list(answers_of(one)[anna.key[0]["case_id"]].values()) == [1, 2]
    assert "I am ben" in two.js("document.getElementById('begin').textContent")


def test_a_reading_goes_on_at_another_computer(browser, profile, anna, results, made, tmp_path):
    profile.downloads(tmp_path)
    here = begin(profile, anna)
    here.keys("1", "2", "3")
    here.key("e")
    export = wait_for(tmp_path, "readings_anna_*.tsv")
    elsewhere = browser.profile()
    there = begin(elsewhere, anna)
    there.js("kneeline.page.form.turn(1)")
    there.key("0")  # newer than the export's answer to the same item
    case = anna.key[0]["case_id"]
    hint = "document.getElementById('hint').textContent"

    changed = tmp_path / "changed.tsv"
    changed.write_text(export.read_text().replace("\t1\tgiven", "\t3\tgiven"))
    ben = made.package(results, tmp_path / "ben", "ben", 3)
    foreign = tmp_path / "foreign.tsv"
    foreign.write_text(made.export(ben.key, {(ben.key[0]["case_id"], "acl", None): 1}))
    cut = tmp_path / "cut.tsv"
    cut.write_text("".join(export.read_text().splitlines(keepends=True)[:-1]))
    for path, why in ((changed, "changed after"), (foreign, "another package"), (cut, "should have 3 rows")):
        there.files("#file", path)
        there.wait(f"{hint}.includes({why!r}) && {hint}.includes({path.name!r})")
        assert answers_of(there)[case] == {"medial_meniscus/body": 0}
    there.files("#file", export)
    there.wait(f"{hint}.includes('2 answer(s) taken over')")
    expected = {"medial_meniscus/anterior_horn": 1, "medial_meniscus/body": 0, "medial_meniscus/posterior_horn": 3}
    assert answers_of(there)[case] == expected
    there.reload()
    there.wait("document.body.dataset.shown")
    assert answers_of(there)[case] == expected
    elsewhere.close()


def test_a_page_without_its_files_says_what_to_do(profile, anna, tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(anna.folder, folder)
    (folder / "cases" / f"{anna.key[0]['case_id']}.js").unlink()
    short, changed = (folder / "cases" / f"{row['case_id']}.js" for row in anna.key[1:3])
    short.write_bytes(short.read_bytes()[:150])
    whole = changed.read_bytes()
    end = whole.rindex(b'");') - 8  # inside the deflated pixels' checksum and what is before it
    changed.write_bytes(whole[:end] + (b"AA" if whole[end : end + 2] != b"AA" else b"BB") + whole[end + 2 :])
    tab = profile.open((folder / "index.html").as_uri())
    said = "document.getElementById('loading').textContent"
    tab.wait(f"{said}.includes('missing; copy the whole folder')")
    tab.key("Enter")
    tab.wait("!document.getElementById('start').open")
    tab.key("n")
    tab.wait(f"{said}.includes('damaged')")
    tab.key("n")
    tab.wait(f"{said}.includes('damaged')")
    tab.key("n")
    shown(tab, 3)
    assert tab.js("document.getElementById('loading').hidden") is True  # a whole case shows as if nothing were wrong


def test_it_fits_a_small_screen_and_asks_nothing_of_the_network(profile, anna):
    tab = begin(profile, anna, width=1366, height=768)
    assert tab.js("document.documentElement.scrollWidth <= 1366 && document.documentElement.scrollHeight <= 768")
    assert tab.js("(() => { const f = document.getElementById('form'); return f.scrollHeight <= f.clientHeight; })()")
    asked = tab.asked("document.body.dataset.shown")
    assert len(asked) >= 2  # the page and a case
    assert all(address.startswith(anna.url.removesuffix("index.html")) for address in asked)
    assert "http" not in anna.built.page.read_text().replace("http-equiv", "")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_contrast(profile, anna, scheme):
    """In both schemes; also of the first words and of an answer that was given."""
    tab = profile.open(anna.url)
    tab.scheme(scheme)
    tab.wait("document.body.dataset.shown")
    assert poor_contrast(tab) == []
    tab.key("Enter")
    tab.wait("!document.getElementById('start').open")
    tab.keys("0", "x")
    assert poor_contrast(tab) == []


def test_everything_that_can_be_used_has_a_name_and_shows_where_the_keyboard_is(profile, anna):
    """Names as the browser gives them to a screen reader; a focused control looks different from itself unfocused."""
    tab = profile.open(anna.url)
    tab.wait("document.body.dataset.shown")
    assert nameless(tab) == []  # the first words
    tab.key("Enter")
    tab.wait("!document.getElementById('start').open")
    assert nameless(tab) == []
    tab.key("Tab")  # from here on the browser knows that somebody uses the keyboard
    unseen = tab.js(
        """(() => {
        const look = (e) => {
          const s = getComputedStyle(e);
          return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.backgroundColor, s.borderColor].join();
        };
        const all = [...document.querySelectorAll("button, textarea, input, a[href], [tabindex]")];
        const reached = all.filter((e) => e.tabIndex >= 0 && !e.disabled && e.getClientRects().length);
        return [reached.length, ...reached.filter((e) => {
          document.activeElement.blur();
          const before = look(e);
          e.focus();
          return document.activeElement === e && look(e) === before;
        }).map((e) => e.id || e.className || e.outerHTML.slice(0, 60))];
        })()"""
    )
    assert unseen[0] > 10
    assert unseen[1:] == []


def test_it_needs_no_graphics_processor_nor_a_stand_in_for_one(profile, anna):
    """This browser has neither, and the slice is painted all the same: its greys are not one grey."""
    tab = begin(profile, anna)
    assert tab.js("document.createElement('canvas').getContext('webgl') === null")
    tab.js("kneeline.page.viewer.paint()")
    shades = tab.js(
        "(() => { const c = document.getElementById('canvas'), d = c.getContext('2d').getImageData(0, 0, c.width,"
        " c.height).data; return new Set(d.filter((_, i) => i % 4 === 0)).size; })()"
    )
    assert shades > 20
