"""The report as a reader meets it: opened from a file by a real browser, on a desk, on a phone, in the dark and on
paper.

The pictures are kept in build/report/, for a look at them: the whole pages, and each figure by itself.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from katib.conclude.verdict import Verdict, judge
from katib.report.audio import Example, Listening, Player
from katib.report.page import page
from katib.report.summary import conclude
from katib.table.trial_table import CLUSTER, TrialTable
from tests.browser import MISSING, PROGRAM, Page
from tests.katib.report.simulated import row, searched, table

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)
PICTURES = Path("build/report")
PHONE = 390
PAPER = 688
"""Pixels of 182 mm, the width of an A4 page between its margins."""
SILENCE = "data:audio/wav;base64,UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQgAAAAAAAAAAAAAAA=="
SOUNDS = Listening("Two sounds.", (Example("Mixture 1", (Player("mixture", SILENCE), Player("estimate 1", SILENCE))),))
BOXES = """[...document.querySelectorAll("[data-figure]")].filter(one => one.querySelector("svg.drawn")).map(holder => {
    const shown = [...holder.querySelectorAll("svg.drawn")].filter(svg => svg.getBoundingClientRect().height > 0);
    const box = shown.length === 1 ? shown[0].getBoundingClientRect() : {width: 0, height: 0};
    return [holder.dataset.figure, box.width, box.height, holder.querySelectorAll("path, circle, rect").length, box.right];
})"""


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the report of a search of which nothing is missing. Not to be changed."""
    return written(tmp_path_factory.mktemp("usual"), searched(40, epochs=20), verdict())


def verdict() -> Verdict:
    return judge(
        {"lr": "0.002", "weight_decay": "1e-05"},
        {42: 5.7, 123: 5.6, 456: 5.65},
        others=[],
        baseline={42: 5.14, 123: 5.26, 456: 4.89},
        seen=[42],
    )


def written(folder: Path, found: TrialTable, verdict: Verdict | None = None) -> Path:
    file = folder / "report.html"
    file.write_text(page(found, conclude(found, verdict), SOUNDS), encoding="utf-8", newline="\n")
    return file


def drawn(reader: Page) -> list[str]:
    """Returns the figures, each of which has an area and lines in it."""
    boxes = reader.evaluate(BOXES)
    for name, width, height, paths, _ in boxes:
        assert width > 100, name
        assert height > 100, name
        assert paths > 5, name
    return [name for name, *_ in boxes]


PLACES = """[...document.querySelectorAll("[data-figure]")].filter(one => one.querySelector("svg.drawn")).map(holder => {
    const box = holder.getBoundingClientRect();
    return [holder.dataset.figure, box.left, box.top + scrollY, box.right, box.bottom + scrollY];
})"""


def kept(reader: Page, look: str) -> None:
    """Keeps a picture of the page as it looks, and cuts one of each figure from it, which is quicker than to take it."""
    whole, folder = PICTURES / f"{look}.png", PICTURES / look
    folder.mkdir(parents=True, exist_ok=True)
    reader.screenshot(whole)
    with Image.open(whole) as picture:
        scale = picture.width / reader.evaluate("document.documentElement.scrollWidth")
        for name, *box in reader.evaluate(PLACES):
            picture.crop(tuple(round(scale * one) for one in box)).save(folder / f"{name}.png", compress_level=1)


ALL = [
    "seeds",
    "parallel",
    "history",
    "history-spent",
    "history-passed",
    "curves",
    *(f"slice-{name}" for name in ("lr", "weight_decay", "grad_clip_norm", "lr_factor")),
    "contour",
    "importance",
    "cost",
]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (PHONE, False)])
def test_every_figure_is_drawn_without_a_word_in_the_console_or_a_request(
    reader: Page, usual: Path, width: int, dark: bool
) -> None:
    reader.open(usual, width=width, dark=dark)
    assert drawn(reader) == ALL
    assert reader.evaluate("document.documentElement.scrollWidth") == width
    players = reader.evaluate(
        """Promise.all([...document.querySelectorAll("audio")].map(async sound => {
            sound.muted = true;
            await sound.play();
            return [sound.duration > 0, sound.error];
        }))"""
    )
    assert players == [[True, None], [True, None]]
    kept(reader, "phone" if width == PHONE else "dark" if dark else "desktop")
    assert reader.complaints() == []
    assert reader.requests() == [usual.resolve().as_uri()]


def test_every_figure_has_words_for_those_who_do_not_see_it(reader: Page, usual: Path) -> None:
    reader.open(usual)
    texts = reader.evaluate(
        """[...document.querySelectorAll("svg.drawn")].map(svg => [
            svg.getAttribute("role"), svg.getAttribute("aria-label"),
            svg.closest("figure").querySelector("figcaption").innerText])"""
    )
    assert len(texts) > len(ALL)
    for role, label, caption in texts:
        assert role == ("group" if label.startswith("Parallel") else "img")
        assert len(label.split(": ", 1)[1]) > 20
        assert label.split(": ", 1)[1] in caption


def test_every_figure_shows_without_scripts(reader: Page, usual: Path, tmp_path: Path) -> None:
    """As in a mail, where none runs."""
    file = tmp_path / "report.html"
    file.write_text(re.sub(r"<script.*?</script>", "", usual.read_text(encoding="utf-8"), flags=re.DOTALL))
    reader.open(file)
    assert drawn(reader) == ALL
    assert not reader.evaluate("document.querySelector('.script-only').offsetHeight")


def test_a_change_of_the_colour_scheme_reaches_the_figures(reader: Page, usual: Path) -> None:
    reader.open(usual)
    colour = """getComputedStyle(document.querySelector("#figure-history .dot")).fill"""
    before = reader.evaluate(colour)
    reader.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert reader.evaluate(colour) != before


def test_on_paper_every_figure_is_there_and_within_the_page(reader: Page, usual: Path) -> None:
    """Chromium's PDF, and the same page as the print style lays it out."""
    reader.open(usual)
    PICTURES.mkdir(parents=True, exist_ok=True)
    reader.pdf(PICTURES / "print.pdf")
    content = (PICTURES / "print.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 4
    reader.call("Emulation.setEmulatedMedia", media="print")
    reader.call("Emulation.setDeviceMetricsOverride", width=PAPER, height=1000, deviceScaleFactor=1, mobile=False)
    reader.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert drawn(reader) == ALL
    assert all(right <= PAPER for *_, right in reader.evaluate(BOXES))
    assert reader.evaluate("document.documentElement.scrollWidth") == PAPER
    assert reader.evaluate("document.querySelector('details').open")
    kept(reader, "print")
    reader.evaluate("dispatchEvent(new Event('afterprint'))")
    reader.call("Emulation.setEmulatedMedia", media="")
    assert not reader.evaluate("document.querySelector('details').open")


HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>\u2028<b>&amp;"


def test_text_from_outside_stays_text(reader: Page, tmp_path: Path) -> None:
    """In names, reasons, settings and addresses; a link that is no web address is none."""
    found = searched(20, epochs=10)
    rows = [
        replace(one, reason=HOSTILE, fix=HOSTILE, node=HOSTILE, wandb="javascript:window.broken = 3")
        for one in found.rows
    ]
    rows[0] = replace(rows[0], trial=HOSTILE, wandb="https://wandb.ai/team/project/runs/1")
    reader.open(written(tmp_path, replace(found, rows=tuple(rows), notes=(HOSTILE,))))
    assert drawn(reader) == [name for name in ALL if name != "seeds"]
    assert reader.evaluate("window.broken") is None
    assert reader.complaints() == []
    assert reader.evaluate("document.querySelectorAll('img').length") == 0
    links = reader.evaluate("[...document.querySelectorAll('#trials a')].map(link => link.href)")
    assert links == ["https://wandb.ai/team/project/runs/1"]
    assert HOSTILE.replace("\u2028", "") in reader.evaluate("document.querySelector('#trials').textContent").replace(
        "\u2028", ""
    )


ODD = {
    "no trial": (table(), "no trial yet"),
    "one trial": (table(row(1, [1.0, 2.0])), "one trial has a value, with nothing to compare it with"),
    "all failed": (
        table(*(row(number, [], state="Failed", reason="out of memory") for number in range(4))),
        "all 4 trials failed",
    ),
    "all equal": (table(*(row(number, [3.0, 3.0]) for number in range(20))), "all 20 values are 3.00 dB"),
    "none finished": (table(row(1, [1.0], state="Running")), "no trial has run to its end"),
    "partly missing": (
        table(row(1, [1.0, float("nan"), 2.0]), row(2, [float("nan")] * 3, state="Failed"), row(3, [0.5])),
        "2 trials with epochs whose val_si_snr is no finite number",
    ),
    "no baseline, from a cluster": (
        table(row(1, [1.0]), row(2, [2.0]), spec=None, budget=None, venue=CLUSTER),
        "no baseline: the settings match no spec",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_search_that_lacks_something_says_so_and_shows_the_rest(reader: Page, tmp_path: Path, name: str) -> None:
    found, words = ODD[name]
    reader.open(written(tmp_path, found), width=PHONE)
    drawn(reader)
    assert reader.complaints() == []
    assert words in reader.evaluate("document.body.textContent")
    assert reader.evaluate("document.documentElement.scrollWidth") == PHONE
    shown = reader.evaluate("document.querySelectorAll('#trials tbody tr').length")
    assert shown == len(found.rows)


def test_a_report_that_tried_to_load_something_would_be_caught(reader: Page, usual: Path, tmp_path: Path) -> None:
    """The other tests do not pass for want of a sense: a foreign picture, a script of no checksum."""
    file, text = tmp_path / "report.html", usual.read_text(encoding="utf-8")
    file.write_text(
        text.replace("<main>", "<main><img src='http://127.0.0.1:9/x.png'><script>window.broken = 1</script>", 1),
        encoding="utf-8",
    )
    reader.open(file)
    assert len(reader.complaints()) >= 2
    assert reader.evaluate("window.broken") is None
