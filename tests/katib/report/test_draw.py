"""What the drawing layer writes: positions, ticks, labels that leave each other free, and text from outside as text."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from katib.draw.drawing import Drawing, element, escaped, number
from katib.draw.frame import Frame
from katib.draw.labels import Entry, Label, apart, broken, free, legend, width_of
from katib.draw.marks import band, dot, interval, line, path, rect, rug, text, whisker
from katib.draw.scale import Category, Clock, Linear, Log

HOSTILE = "</svg><script>alert(1)</script>\"'&\x00\x1b"


def test_a_value_lies_where_its_scale_says() -> None:
    assert [Linear(2, 6).place(one) for one in (2, 3, 6, 8)] == [0, 0.25, 1, 1.5]
    assert Log(1e-4, 1e-2).place(1e-3) == pytest.approx(0.5)
    assert [Category(("a", "b")).place(one) for one in "ab"] == [0.25, 0.75]
    assert Linear(3, 3).place(3) == 0.5
    assert Linear(-1e308, 1e308).place(1e308) == 1
    assert Linear(0, 1).place(1e300) == 50, "a position stays a number of pixels"
    assert Linear(-1e308, 1e308).ticks() == [(0, "-1e+308"), (1, "1e+308")]
    assert len(Linear(0, 5e-324).ticks()) == 2


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (Linear(0.3, 0.8), ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]),
        (Linear(-1e6, 2e6), ["-1e+06", "0", "1e+06", "2e+06"]),
        (Log(1e-4, 1e-2), ["0.0001", "0.001", "0.01"]),
        (Category(("relu", "gelu")), ["relu", "gelu"]),
        (Clock(1_790_000_000, 1_790_000_000 + 9_000), ["Mon 21 Sep", "15:00", "15:30", "16:00"]),
    ],
)
def test_an_axis_is_labelled_with_round_numbers(scale: Linear | Log | Category | Clock, expected: list[str]) -> None:
    found = scale.ticks()
    if isinstance(scale, Clock):
        assert [words for _, words in found][1:4] == expected[1:]
    else:
        assert [words for _, words in found] == expected
    assert all(-1e-9 <= share <= 1 + 1e-9 for share, _ in found)


def test_a_path_of_many_points_ends_where_it_should() -> None:
    """Rounding errors of thousands of relative numbers must not add up."""
    points = [(index * 1.04, 100 - index * 0.033) for index in range(3000)]
    found = [float(one) for one in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", path(points))]
    assert sum(found[0::2]) == pytest.approx(points[-1][0], abs=0.06)
    assert sum(found[1::2]) == pytest.approx(points[-1][1], abs=0.06)
    assert path([(1, 2), (3, 1)], steps=True) == "M1 2h2v-1"


def test_every_mark_is_xml_and_keeps_its_trial_and_no_text_becomes_markup() -> None:
    marks = [
        line([(0, 0), (1, 1)], "v1", HOSTILE),
        *(dot(1, 2, "s-Failed", HOSTILE, shape=shape, tip=HOSTILE) for shape in ("circle", "cross", "star")),
        whisker(1, 2, 3, "", HOSTILE),
        interval(1, 2, 3),
        band([(0, 1, 2), (1, 1, 3)]),
        rect(0, 0, 3, 4, "", HOSTILE),
        rug(1, 2, "", HOSTILE),
        text(1, 2, HOSTILE),
        element("g", {"title": HOSTILE}),
    ]
    frame = Frame(400, 200, Linear(0, 1), Category((HOSTILE, "b")), HOSTILE, HOSTILE, (Entry(HOSTILE, "v1", "line"),))
    made = str(frame.drawing(HOSTILE, HOSTILE, [frame.inside(marks), frame.rule("b", HOSTILE)]))
    found = ElementTree.fromstring(made)
    names = {one.tag.removeprefix("{http://www.w3.org/2000/svg}") for one in found.iter()}
    assert names <= {"svg", "title", "desc", "path", "circle", "rect", "text", "g"}
    plain = HOSTILE.replace("\x00", "").replace("\x1b", "")
    assert [one.get("data-trial") for one in found.iter() if one.get("data-trial")] == [plain] * 7


def test_a_drawing_has_words_for_those_who_do_not_see_it() -> None:
    made = str(Drawing(10.0, 20.04, "History", "It rose.", ()))
    assert 'role="img" aria-label="History: It rose."' in made
    assert 'viewBox="0 0 10 20"' in made
    assert "<title>History</title><desc>It rose.</desc>" in made
    assert (number(-0.04), number(1.25), escaped(None)) == ("0", "1.2", "")


def test_labels_leave_each_other_free() -> None:
    moved = apart([Label(0, 50, "a"), Label(0, 51, "b"), Label(0, 99, "c")], 0, 100)
    places = sorted(label.y for label in moved)
    assert all(later - one >= 14 for one, later in pairwise(places))
    assert max(places) <= 100
    points = [(50.0, 50.0), (56.0, 50.0), (60.0, 52.0)]
    placed = free([Label(x, y, "0.0001") for x, y in points], points, 200, 100)
    boxes = [(label.x, label.x + width_of(label.words), label.y) for label in placed]
    for index, (low, high, y) in enumerate(boxes):
        assert all(high <= left or low >= right or abs(y - other) >= 14 for left, right, other in boxes[:index])
    assert free([Label(5, 5, "a word that is wider than the figure")], [], 20, 20) == []


def test_a_legend_is_broken_into_rows() -> None:
    entries = [Entry(f"entry {index}", "v1", "line") for index in range(6)]
    assert legend(entries, 2000)[1] < legend(entries, 200)[1]
    assert legend((), 200) == ("", 0.0)
    assert broken("grad_clip_norm of all") == ["grad_clip_", "norm of all"]
