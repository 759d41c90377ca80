"""Whatever its names, a page fits its window, its labels leave each other free, and its tables can be read."""

import re
from collections import Counter
from pathlib import Path

import pytest

from katib.conclude.belief import Belief
from katib.draw.frame import Frame
from katib.draw.labels import broken, shortened, width_of
from katib.draw.scale import Category, Linear
from katib.report.history import history
from katib.report.parallel import parallel
from katib.report.slices import slices
from katib.report.tables import all_trials
from katib.table.trial_table import TrialTable
from tests.browser import MISSING, PROGRAM, Page
from tests.katib.report.simulated import foreign, searched
from tests.katib.report.test_in_a_browser import PHONE, verdict, written

LONG = "_of_the_very_long_named_hyperparameter_of_somebody"
SEARCHES = {
    "usual": searched(40, epochs=20),
    "few": searched(3, epochs=7),
    "listed values": foreign(),
    "long names": foreign(suffix=LONG, name="an-experiment-whose-name-has-forty-chars"),
}
# Texts that cover each other by more than the overhang of a letter, or that reach beyond the picture.
COVERED = """[...document.querySelectorAll("svg.drawn")].filter(svg => svg.getBoundingClientRect().height).flatMap(svg => {
  const edge = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll("text")];
  const boxes = texts.map(one => [one.textContent, one.getBoundingClientRect()]);
  return boxes.flatMap(([words, box], index) => [
    ...(box.left < edge.left - 3 || box.right > edge.right + 3 ? [[words, "reaches beyond the picture"]] : []),
    ...boxes.slice(index + 1).filter(([, other]) =>
      Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1 &&
      Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 4).map(([other]) => [words, other]),
  ]);
})"""


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
@pytest.mark.parametrize("name", SEARCHES)
def test_no_label_covers_another_and_the_page_fits_its_window(reader: Page, tmp_path: Path, name: str) -> None:
    file = written(tmp_path, SEARCHES[name], verdict() if name == "usual" else None)
    for width in (1280, PHONE):
        reader.open(file, width=width)
        assert reader.evaluate(COVERED) == []
        shortened = reader.evaluate("document.querySelectorAll('svg.drawn text[data-tip]').length")
        assert (shortened > 0) == (name == "long names")
        assert reader.evaluate("document.documentElement.scrollWidth") == width
        outside = """[...document.querySelectorAll("h1, h2, h3, dt, dd, p, li, figcaption")]
            .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"""
        assert reader.evaluate(outside) == []


def test_a_long_name_above_an_axis_takes_four_lines_at_most() -> None:
    across, narrow = parallel(SEARCHES["long names"], Belief()).drawings
    for drawing in (across, narrow):
        heads = re.findall(r'<text class="name" x="([\d.]+)"[^>]*>([^<]*)<', str(drawing))
        lines = Counter(place for place, _ in heads)
        assert len(lines) == 5
        assert max(lines.values()) == 4
    assert [words[0] + words[-1] for _, words in heads[3::4]] == ["…y"] * 5


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_a_heading_is_no_wider_than_its_column_needs(reader: Page, tmp_path: Path) -> None:
    """All numbers of the usual table are in a window of 1280 pixels, and a long name makes no column of values wide."""
    reader.open(written(tmp_path, searched(20, epochs=10)))
    ends = "[...document.querySelectorAll('#trials th.number')].map(one => one.getBoundingClientRect().right)"
    box = "document.querySelector('#trials').closest('.scroll').getBoundingClientRect().right"
    assert reader.evaluate(f"Math.max(...{ends}) <= {box}")
    reader.open(written(tmp_path, SEARCHES["long names"]))
    numbers = "[...document.querySelectorAll('#trials th')].filter(one => /^(lr|batch|val)_/.test(one.innerText))"
    widths = reader.evaluate(f"{numbers}.map(one => one.offsetWidth)")
    assert len(widths) == 3
    assert max(widths) < 220
    heads = reader.evaluate("[...document.querySelectorAll('#trials th button')].map(one => one.textContent)")
    assert f"lr{LONG}" in heads


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_a_screen_reader_is_told_names_as_they_are_written_and_rows_are_those_of_a_grid(
    reader: Page, tmp_path: Path
) -> None:
    reader.open(written(tmp_path, searched(6, epochs=7)))
    reader.call("Accessibility.enable")
    nodes = reader.call("Accessibility.getFullAXTree")["nodes"]
    reader.call("Accessibility.disable")
    names: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            names.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("columnheader", "button", "heading"):
        assert "weight_decay" in names[role], role
    assert names["grid"] == ["All trials"]
    assert names["link"][0] == "To the summary"
    assert all(names["slider"])
    assert all(names["image"])
    assert reader.evaluate("document.querySelector('.skip').hash === '#' + document.querySelector('section').id")


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_every_stop_of_the_tab_key_has_a_ring(reader: Page, tmp_path: Path) -> None:
    reader.open(written(tmp_path, searched(3, epochs=5)))
    stops = list[list[str]]()
    while len(stops) < 60 and (not stops or stops[-1][0] != "AUDIO"):
        for kind in ("rawKeyDown", "keyUp"):
            reader.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        now = "document.activeElement"
        stops.append(reader.evaluate(f"[{now}.nodeName, {now}.className, getComputedStyle({now}).outlineStyle]"))
    assert stops[0] == ["A", "skip", "solid"]
    assert {"A", "BUTTON", "INPUT", "TR", "DIV", "g"} <= {name for name, _, _ in stops}
    assert [stop for stop in stops if stop[2] == "none"] == []


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_on_paper_no_paragraph_is_torn_apart(reader: Page, tmp_path: Path) -> None:
    reader.open(written(tmp_path, searched(20, epochs=10)))
    reader.call("Emulation.setEmulatedMedia", media="print")
    torn = "[...document.querySelectorAll('p, pre')].filter(one => getComputedStyle(one).breakInside !== 'avoid')"
    assert reader.evaluate(f"{torn}.length") == 0
    reader.call("Emulation.setEmulatedMedia", media="")


def test_a_long_label_is_shortened_and_told_in_full() -> None:
    names = ("adam", "adamw-with-decoupled-weight-decay-and-warmup", "adamw-with-decoupled-weight-decay")
    made = str(Frame(490, 300, Category(names), Linear(0, 1), "optimizer").drawing("slice", "", []))
    for name in names[1:]:
        assert f'data-tip="{name}"' in made
        assert f">{name}<" not in made
    assert 'data-tip="adam"' not in made
    assert shortened("abcdefghijklmnop", width_of("12345678")) == "abcd…nop"
    assert shortened("abcdefgh", width_of("12345678")) == "abcdefgh"
    assert broken("hyperparameter_of", 9) == ["hyperpara", "meter_of"]


def test_the_trials_of_a_listed_value_lie_beside_each_other_and_the_models_mean_is_a_line() -> None:
    found: TrialTable = SEARCHES["listed values"]
    (figure,) = [one for one in slices(found) if one.key == "slice-optimizer"]
    places = [mark.split('cx="')[1].split('"')[0] for mark in figure.drawings[0].marks if "<circle" in mark]
    assert len(places) > 10
    assert len(set(places)) > len(places) / 2


def test_the_values_of_a_column_end_at_one_place() -> None:
    found = all_trials(SEARCHES["listed values"], 1000)
    index = [column.name for column in found.columns].index("val_loss")
    decimals = {len(row.cells[index].partition(".")[2]) for row in found.rows if row.cells[index]}
    assert decimals == {6}
    assert found.rows[0].sorts[index] == repr(SEARCHES["listed values"].rows[0].value)


def test_the_first_trial_is_number_1() -> None:
    drawing = str(history(SEARCHES["usual"]).drawings[0])
    assert ">10</text>" in drawing
    assert ">0</text>" not in drawing
