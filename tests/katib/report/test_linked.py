"""The linked page in a real browser: brushing, pointing, comparing, sorting, filtering and copying, by mouse and by keys;
the contrast of every mark; and the size of the file.
"""

import csv
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from katib.manifest.experiment import load_experiment
from katib.report.audio import Listening
from katib.report.page import page
from katib.report.summary import conclude
from katib.table.trial_table import Point, TrialTable
from tests.browser import MISSING, PROGRAM, SECONDS, Page
from tests.katib.report.simulated import searched
from tests.katib.report.test_in_a_browser import written
from tests.verbs import katib

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)
SHOWN = "[...document.querySelectorAll('#trials tbody tr')].filter(row => !row.classList.contains('off'))"
CONTRAST = """(() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(one => one / 255)
      .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const between = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const beneath = mark => {
    while (!mark.matches(".bar")) mark = mark.previousElementSibling;
    return light(getComputedStyle(mark).fill);
  };
  const ground = light(getComputedStyle(document.body).backgroundColor), worst = {};
  for (const mark of document.querySelectorAll("svg.drawn :is(path, circle, rect)")) {
    if (mark.matches(".grid, .area, .hit, .range") || !mark.getBoundingClientRect().width) continue;
    const style = getComputedStyle(mark);
    const drawn = mark.matches(".dot:not(.hollow):not(.ring), .bar:not(.hollow)") ? style.fill : style.stroke;
    const kind = mark.getAttribute("class");
    const ratio = mark.matches(".epoch") ? between(light(drawn), beneath(mark)) : between(light(drawn), ground);
    worst[kind] = Math.min(worst[kind] ?? 99, style.opacity < 1 ? 0 : ratio);
  }
  for (const words of document.querySelectorAll("svg.drawn text")) {
    const on = words.matches(".on-bar") ? beneath(words) : ground;
    worst.text = Math.min(worst.text ?? 99, between(light(getComputedStyle(words).fill), on));
  }
  return worst;
})()"""


def measured(found: TrialTable) -> TrialTable:
    """Returns the search with ten metrics of each epoch, as our trainer reports them."""
    names = ("train_loss", "lr", "grad_norm", "seconds", "mixtures", "waited", "nonfinite", "val_SE", "val_SER")
    rows = []
    for number, row in enumerate(found.rows):
        metrics = dict(row.metrics)
        for place, name in enumerate(names):
            metrics[name] = tuple(
                Point(point.step, 1 + place + (point.step * (number + place) % 17) / 7, point.time)
                for point in row.curve
            )
        rows.append(replace(row, metrics=metrics))
    return replace(found, rows=tuple(rows))


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the report of a search with ten metrics. Not to be changed."""
    return written(tmp_path_factory.mktemp("linked"), measured(searched(30, epochs=12)))


def names(reader: Page) -> list[str]:
    """Returns the trials that the table shows, in its order."""
    found: list[str] = reader.evaluate(f"{SHOWN}.map(row => row.dataset.trial)")
    return found


def press(reader: Page, key: str, *, shift: bool = False) -> None:
    """Presses and releases a key."""
    codes = {"ArrowUp": 38, "ArrowDown": 40, "Enter": 13, "Escape": 27, "PageDown": 34, "End": 35, "Home": 36}
    for kind in ("keyDown", "keyUp"):
        reader.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=codes[key],
            modifiers=8 * shift,
        )


def mouse(reader: Page, kind: str, x: float, y: float) -> None:
    """Sends an event of the mouse, the left button of which is down while it is pressed or dragged."""
    down = kind != "mouseReleased"
    reader.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(down), clickCount=1)


def box(reader: Page, selector: str) -> dict[str, Any]:
    """Returns where an element lies in the window, scrolled to its middle."""
    found: dict[str, Any] = reader.evaluate(
        f"""(() => {{ const one = document.querySelector({selector!r});
        one.scrollIntoView({{block: "center", behavior: "instant"}});
        const {{x, y, width, height}} = one.getBoundingClientRect(); return {{x, y, width, height}}; }})()"""
    )
    return found


def off(reader: Page, figure: str) -> set[str]:
    """Returns the trials that are dimmed in a figure."""
    return set(
        reader.evaluate(
            f"[...document.querySelectorAll('#figure-{figure} [data-trial].off')].map(one => one.dataset.trial)"
        )
    )


def test_brushing_an_axis_selects_in_every_figure_and_in_the_table(reader: Page, linked: Path) -> None:
    reader.open(linked)
    everything = names(reader)
    axis = box(reader, "svg.across g.brush[data-axis=lr] .hit")
    x, top = axis["x"] + axis["width"] / 2, axis["y"]
    mouse(reader, "mousePressed", x, top + 0.75 * axis["height"])
    mouse(reader, "mouseMoved", x, top + 0.5 * axis["height"])
    mouse(reader, "mouseMoved", x, top + 0.25 * axis["height"])
    mouse(reader, "mouseReleased", x, top + 0.25 * axis["height"])
    kept = names(reader)
    assert 0 < len(kept) < len(everything)
    rates = reader.evaluate(f"{SHOWN}.map(row => Number(sepsweep.trial(row.dataset.trial).settings.lr))")
    assert all(1e-4 * 100**0.22 < rate < 1e-4 * 100**0.78 for rate in rates)
    for figure in ("parallel", "history", "curves", "slice-lr_factor", "metric-train_loss"):
        dimmed = off(reader, figure)
        assert dimmed, figure
        assert dimmed.isdisjoint(kept), figure
    press(reader, "Escape")
    assert names(reader) == everything
    assert not off(reader, "curves")
    assert reader.complaints() == []


def test_the_keys_brush_too(reader: Page, linked: Path) -> None:
    reader.open(linked)
    everything = len(names(reader))
    reader.evaluate("document.querySelector('svg.across g.brush[data-axis=lr]').focus()")
    for _ in range(6):
        press(reader, "ArrowUp")
    for _ in range(4):
        press(reader, "ArrowDown", shift=True)
    assert reader.evaluate("document.activeElement.getAttribute('aria-valuetext')") == "30 to 80 % of the axis"
    assert 0 < len(names(reader)) < everything


def test_pointing_at_a_mark_tells_of_its_trial_and_highlights_it_everywhere(reader: Page, linked: Path) -> None:
    reader.open(linked)
    dot = box(reader, "#figure-history svg.across circle[data-trial]")
    mouse(reader, "mouseMoved", dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
    name = reader.evaluate("document.querySelector('#figure-history circle.hot').dataset.trial")
    for figure in ("parallel", "curves", "slice-lr"):
        hot = reader.evaluate(
            f"[...document.querySelectorAll('#figure-{figure} .hot')].every(one => one.dataset.trial === {name!r})"
        )
        assert hot
        assert reader.evaluate(f"document.querySelectorAll('#figure-{figure} .hot').length") > 0
    assert name in reader.evaluate("document.getElementById('tip').textContent")
    assert "lr 0.0" in reader.evaluate("document.getElementById('tip').textContent")


def test_two_trials_are_compared_and_copied_by_mouse_and_by_keys(reader: Page, linked: Path) -> None:
    reader.open(linked)
    # A page that still glides towards the row would move it from under the mouse.
    reader.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    reader.evaluate("document.querySelector('#trials tbody tr').focus()")
    press(reader, "ArrowDown")
    press(reader, "Enter")
    row = box(reader, "#trials tbody tr:nth-child(4) td:nth-child(3)")
    for kind in ("mousePressed", "mouseReleased"):
        mouse(reader, kind, row["x"] + 4, row["y"] + 4)
    listed = names(reader)
    heads = reader.evaluate("[...document.querySelectorAll('#compare thead th')].map(one => one.textContent)")
    assert heads[1:] == [listed[place].removeprefix("series3-sepformer-") for place in (1, 3)]
    rows = reader.evaluate("[...document.querySelectorAll('#compare tbody tr')].map(one => one.textContent)")
    assert rows[0].startswith("copy flags")
    assert any(row.startswith("val_si_snr (dB)") for row in rows)
    assert reader.evaluate("document.querySelectorAll('#compare .differs').length") > 3
    words = reader.evaluate("[...document.querySelectorAll('#compare [data-copy]')].map(one => one.dataset.copy)")
    assert words[0].startswith("--lr 0.00")
    assert "--grad-clip-norm " in words[0]
    assert words[1].startswith("fixed:\n  lr: 0.00")
    press(reader, "Escape")
    assert reader.evaluate("document.getElementById('compare').hidden")


def test_the_table_is_sorted_by_numbers_and_filtered_by_comparisons(reader: Page, linked: Path) -> None:
    reader.open(linked)
    heading = "[...document.querySelectorAll('#trials th button')].find(one => one.textContent === 'weight_decay')"
    values = f"{SHOWN}.map(row => Number(sepsweep.trial(row.dataset.trial).settings.weight_decay))"
    reader.evaluate(f"{heading}.click()")
    up = reader.evaluate(values)
    reader.evaluate(f"{heading}.click()")
    assert up == sorted(up)
    assert reader.evaluate(values) == sorted(up, reverse=True)
    enter = """(words => { const input = document.querySelector('input.filter'); input.value = words;
        input.dispatchEvent(new Event('input', {bubbles: true})); })"""
    reader.evaluate(f"{enter}('lr < 0.001 state=Succeeded')")
    kept = reader.evaluate(f"{SHOWN}.map(row => sepsweep.trial(row.dataset.trial))")
    assert kept
    assert all(float(one["settings"]["lr"]) < 1e-3 and one["values"]["state"] == "Succeeded" for one in kept)
    assert off(reader, "slice-lr").isdisjoint(one["name"] for one in kept)
    # A section that is put in anew, as on a live page, keeps order, filter and selection.
    before = names(reader)
    reader.evaluate("""(() => { const all = document.getElementById('all'), text = all.cloneNode(true);
        for (const row of text.querySelectorAll('tr')) row.removeAttribute('class');
        text.querySelector('.tools').remove(); all.innerHTML = text.innerHTML; sepsweep.refresh(all); })()""")
    assert names(reader) == before
    reader.evaluate(f"{enter}('nothing is called this')")
    assert names(reader) == []
    assert reader.evaluate("document.querySelector('output.shown').textContent") == "0 of 30 trials"
    assert reader.complaints() == []


@pytest.mark.parametrize("form", ["csv", "json"])
def test_the_trials_shown_are_saved_as_a_file(reader: Page, tmp_path: Path, form: str) -> None:
    """With their numbers in full, and no text that a spreadsheet would take for a formula."""
    found = searched(12, epochs=5)
    rows = [replace(row, reason='=1+"1", <b>\n') if row.state == "Failed" else row for row in found.rows]
    reader.open(written(tmp_path, replace(found, rows=tuple(rows))))
    reader.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    reader.evaluate("sepsweep.filterBy(trial => trial.values.state !== 'EarlyStopped')")
    reader.evaluate(
        f"[...document.querySelectorAll('.tools button')].find(one => /{form}/i.test(one.innerText)).click()"
    )
    file = tmp_path / f"series3-sepformer-trials.{form}"
    end = time.monotonic() + SECONDS
    while not file.is_file():
        assert time.monotonic() < end, sorted(tmp_path.iterdir())
        time.sleep(0.02)
    text = file.read_text(encoding="utf-8")
    read = json.loads(text) if form == "json" else list(csv.DictReader(text.splitlines()))
    kept = [row for row in rows if row.state != "EarlyStopped"]
    assert [one["trial"] for one in read] == [row.trial for row in kept]
    for one, row in zip(read, kept, strict=True):
        assert float(one["lr"]) == float(row.assignments["lr"])
        assert (float(one["val_si_snr"]) if one["val_si_snr"] else None) == row.value
        if row.state == "Failed":
            assert one["reason"] == ("" if form == "json" else "'") + '=1+"1", <b>'
    assert reader.complaints() == []


def test_a_compared_trial_is_saved_as_a_manifest_that_trains_it_alone(
    reader: Page, linked: Path, tmp_path: Path
) -> None:
    reader.open(linked)
    reader.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    reader.evaluate(f"{SHOWN}[1].click()")
    reader.evaluate("[...document.querySelectorAll('#compare button')].find(one => /FILE/.test(one.innerText)).click()")
    (trial,) = reader.evaluate("sepsweep.compared")
    file = tmp_path / f"{trial}.yaml"
    end = time.monotonic() + SECONDS
    while not file.is_file():
        assert time.monotonic() < end, sorted(tmp_path.iterdir())
        time.sleep(0.02)
    experiment = load_experiment(file.read_text(encoding="utf-8"), str(file))
    settings = reader.evaluate(f"sepsweep.trial('{trial}').settings")
    assert {one.name: list(one.values) for one in experiment.search.parameters} == {
        name: [text] for name, text in settings.items()
    }
    assert (experiment.name, experiment.search.configurations) == (trial, 1)
    assert f"/runs/{trial}/" in file.read_text()
    assert katib("check", str(file)).returncode == 0


@pytest.mark.parametrize("key", ["PageDown", "End"])
def test_the_keys_turn_the_pages_of_the_table(reader: Page, linked: Path, key: str) -> None:
    reader.open(linked)
    reader.evaluate("document.querySelector('#trials tbody tr').focus()")
    press(reader, key)
    focused = reader.evaluate("document.activeElement.dataset.trial")
    assert focused == names(reader)[15 if key == "PageDown" else -1]
    press(reader, "Home")
    assert reader.evaluate("document.activeElement.dataset.trial") == names(reader)[0]


@pytest.mark.parametrize("dark", [False, True])
def test_every_mark_stands_out_from_the_ground(reader: Page, linked: Path, dark: bool) -> None:
    """By 3:1 (WCAG 2.2, 1.4.11), and letters by 4.5:1 (1.4.3); lines of the grid and the tint of a band are no marks."""
    reader.open(linked, dark=dark)
    found = reader.evaluate(CONTRAST)
    assert len(found) > 15
    assert {kind: ratio for kind, ratio in found.items() if ratio < (4.5 if kind == "text" else 3.0)} == {}


def test_on_paper_no_heading_is_alone_at_the_foot_of_a_page(reader: Page, linked: Path) -> None:
    """What follows a heading may not be separated from it, and no figure is broken."""
    reader.open(linked)
    reader.call("Emulation.setEmulatedMedia", media="print")
    broken = """[...document.querySelectorAll("h2, h3")].filter(one =>
        getComputedStyle(one).breakAfter !== "avoid" && getComputedStyle(one.parentNode).breakInside !== "avoid")"""
    assert reader.evaluate(f"{broken}.length") == 0
    assert reader.evaluate("getComputedStyle(document.querySelector('figure')).breakInside") == "avoid"
    reader.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize(("trials", "epochs", "most"), [(6, 7, 300_000), (200, 50, 1_500_000)])
def test_a_report_is_small(trials: int, epochs: int, most: int) -> None:
    """That of a search of the demo's size, and that of 200 trials of 50 epochs with ten metrics."""
    found = measured(searched(trials, epochs))
    assert len(page(found, conclude(found, None), Listening("Nothing.")).encode()) < most
