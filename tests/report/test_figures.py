import math
import re
from xml.etree import ElementTree

import pytest

from trainwell.report.canvas import Key, swatches
from trainwell.report.figures import Band, Curve, Dots, bars, heat_table, line_chart, scatter
from trainwell.report.scales import Axis

EVIL = '<script>alert("x")</script>&'


def parsed(svg: str) -> ElementTree.Element:
    """The drawing as a tree; raises where it is not well-formed."""
    return ElementTree.fromstring(svg)


def of_class(svg: str, tag: str, style: str) -> list[ElementTree.Element]:
    return [e for e in parsed(svg).iter(tag) if style in (e.get("class") or "").split()]


def numbers(path: str | None) -> list[tuple[float, float]]:
    pairs = re.findall(r"[ML]([\d.]+) ([\d.]+)", path or "")
    return [(float(x), float(y)) for x, y in pairs]


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in parsed(svg).iter("text")]


def test_a_curve_is_drawn_to_scale_with_higher_values_higher_up() -> None:
    svg = line_chart([Curve([0, 1, 2], [0, 5, 10])], Axis(low=0, high=2), Axis(low=0, high=10), label="line")
    (curve,) = of_class(svg, "path", "curve")
    (x0, y0), (x1, y1), (x2, y2) = numbers(curve.get("d"))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11) and x1 > x0
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11) and y1 < y0


def test_a_curve_is_broken_where_a_value_is_missing() -> None:
    svg = line_chart([Curve([0, 1, 2, 3], [1, math.nan, 2, 3])], Axis(), Axis(), label="line")
    (curve,) = of_class(svg, "path", "curve")
    assert (curve.get("d") or "").count("M") == 2 and len(numbers(curve.get("d"))) == 3


def test_a_long_curve_keeps_its_first_and_last_point_and_few_between() -> None:
    svg = line_chart([Curve(range(5000), range(5000))], Axis(low=0, high=4999), Axis(), label="line")
    (curve,) = of_class(svg, "path", "curve")
    points = numbers(curve.get("d"))
    whole = numbers(
        of_class(line_chart([Curve([0, 4999], [0, 4999])], Axis(low=0, high=4999), Axis(), label="x"), "path", "curve")[
            0
        ].get("d")
    )
    assert len(points) <= 400 and [points[0], points[-1]] == whole


def test_the_legend_names_what_has_a_text() -> None:
    svg = line_chart([Curve([0, 1], [0, 1], "training"), Curve([0, 1], [1, 0])], Axis("epoch"), Axis("loss"), label="l")
    shown = texts(svg)
    assert {"training", "epoch", "loss"} <= set(shown)
    assert len(of_class(svg, "text", "legend")) == 1


def test_levels_and_bands_stand_behind_the_data() -> None:
    bands = [Band(level=0.5, text="chance"), Band(low=0.2, high=0.4, text="useful")]
    svg = line_chart([Curve([0, 1], [0, 1])], Axis(low=0, high=1), Axis(low=0, high=1), label="l", bands=bands)
    assert {"chance", "useful"} <= set(texts(svg))
    assert svg.index('class="band"') < svg.index('class="curve')


def test_points_of_a_scatter_are_as_many_as_there_are_and_carry_their_hints() -> None:
    svg = scatter([Dots([1, 2, 3], [1, 4, 9], hints=("a", "b", EVIL))], Axis(), Axis(), label="s")
    circles = of_class(svg, "circle", "fill")
    assert [c.findtext("title") for c in circles] == ["a", "b", EVIL]


def test_a_point_without_a_finite_height_is_a_cross_on_the_upper_edge() -> None:
    svg = scatter([Dots([1, 2], [1.0, math.inf], shape="dot")], Axis(), Axis(low=0, high=2), label="s")
    (cross,) = of_class(svg, "path", "cross")
    top = min(float(line.get("y1") or 0) for line in of_class(svg, "line", "grid"))
    assert float((cross.get("d") or "")[1:].split()[1].split("l")[0]) == pytest.approx(top, abs=6)


def test_bars_are_as_long_as_their_values() -> None:
    svg = bars(["a", "b", "c"], [1.0, 2.0, 4.0], label="bars")
    widths = [float(e.get("width") or 0) for e in of_class(svg, "rect", "fill")]
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.01) and widths[2] / widths[0] == pytest.approx(4, rel=0.01)
    assert {"a", "b", "c", "1", "2", "4"} <= set(texts(svg))


def test_a_bar_of_nothing_and_of_nan_is_drawn_too() -> None:
    assert len(of_class(bars(["a", "b"], [0.0, math.nan], label="bars"), "rect", "fill")) == 2


def test_cells_of_a_heat_table_are_darker_for_larger_shares() -> None:
    svg = heat_table(["a", "b"], ["a", "b"], [[0.9, 0.1], [0.0, 1.0]], [["9", "1"], ["0", "10"]], label="heat")
    strengths = [float(e.get("fill-opacity") or 0) for e in of_class(svg, "rect", "fill")]
    assert strengths[3] > strengths[0] > strengths[1] > strengths[2] == 0
    assert {"9", "1", "0", "10"} <= set(texts(svg))


@pytest.mark.parametrize(
    "svg",
    [
        line_chart(
            [Curve([0, 1], [0, 1], EVIL)], Axis(EVIL), Axis(EVIL), label=EVIL, bands=[Band(level=0.5, text=EVIL)]
        ),
        scatter([Dots([0], [1], EVIL, hints=(EVIL,))], Axis(categories=(EVIL,)), Axis(EVIL), label=EVIL),
        bars([EVIL], [1.0], label=EVIL, texts=[EVIL]),
        heat_table([EVIL], [EVIL], [[1.0]], [[EVIL]], label=EVIL, down=EVIL, over=EVIL),
        swatches([Key(EVIL, "c0")])[0][0],
    ],
    ids=["line chart", "scatter", "bars", "heat table", "swatch"],
)
def test_labels_of_strangers_are_text_and_nothing_else(svg: str) -> None:
    assert {e.tag for e in parsed(svg).iter()} <= {"svg", "g", "path", "line", "rect", "circle", "text", "title"}
    assert parsed(svg).get("aria-label") == EVIL


def test_nothing_to_draw_is_an_empty_drawing_and_no_error() -> None:
    for svg in (
        line_chart([], Axis(), Axis(), label="l"),
        line_chart([Curve([math.nan], [math.nan])], Axis(log=True), Axis(log=True), label="l"),
        scatter([Dots([], [])], Axis(), Axis(), label="s"),
        bars([], [], label="b"),
        heat_table([], [], [], [], label="h"),
    ):
        assert parsed(svg).tag == "svg"
