"""How a report tells times and differences, colours its methods and places their names, whatever it compares."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.report import charts, labels
from foreword.util import phrases

STYLE = (Path(charts.__file__).parent / "page.css").read_text(encoding="utf-8")


# --- words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0000305, "30.5 µs"), (0.0081, "8.1 ms"), (0.412, "412 ms"), (12.4, "12.4 s"), (59.97, "1 min"), (190, "3 min 10 s"),
     (3599.7, "1 h"), (7500, "2 h 5 min"), (86399, "1 d"), (273600, "3 d 4 h")],
)  # fmt: skip
def test_times_are_told_as_people_tell_them(seconds: float, text: str) -> None:
    assert phrases.duration(seconds) == text


@given(st.floats(1e-7, 1e8))
def test_a_time_as_told_is_near_the_time(seconds: float) -> None:
    sizes = {"µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
    parts = phrases.duration(seconds).replace(",", "").split()
    total = sum(float(number) * sizes[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    assert total == pytest.approx(seconds, rel=0.06)


def test_small_differences_keep_a_figure_and_nought_has_no_sign() -> None:
    assert [phrases.points(x) for x in (2.14, 0.04, -0.3, -0.001, 0.0)] == ["2.1", "0.04", "-0.3", "0.0", "0.0"]
    assert phrases.score(-0.01) == "0.0"
    assert [phrases.p_value(p) for p in (0.0001, 0.0042, 0.18)] == ["p < 0.001", "p = 0.004", "p = 0.18"]


# --- colours and names -------------------------------------------------------------------------------


def test_colours_are_a_method_s_own() -> None:
    usual = charts.colour_numbers(["zero", "icl", "pt", "ipt"])
    assert charts.colour_numbers(["ipt", "pt"]) == {"ipt": usual["ipt"], "pt": usual["pt"]}
    many = charts.colour_numbers(["icl:bm25:3", "icl", "pt", "icl:dense:1", "zero", "few", "ipt", "ipt-fixed"])
    assert many["icl"] == usual["icl"]
    assert sorted(many.values()) == list(range(8))
    assert set(charts.colour_numbers([f"icl:bm25:{k}" for k in range(11)]).values()) == set(range(charts.COLOURS))


def _luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour: str, other: str) -> float:
    light, dark = sorted((_luminance(colour), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_can_be_read_in_light_dark_and_print() -> None:
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)]
    assert len(themes) == 3
    for theme in themes:
        for ground in ("paper", "card", "tint"):
            assert all(contrast(theme[text], theme[ground]) >= 4.5 for text in ("ink", "muted")), (theme, ground)
        assert all(contrast(theme[f"m{n}"], theme["card"]) >= 4.5 for n in range(charts.COLOURS)), theme
        assert contrast(theme["accent"], theme["card"]) >= 4.5
        assert contrast(theme["ink"], theme["mark"]) >= 4.5


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 270)), min_size=1, max_size=6))
def test_names_beside_points_do_not_lie_on_each_other(points: list[tuple[float, float]]) -> None:
    names = ["zero", "icl:bm25:3", "pt", "ipt", "ipt-fixed", "few"][: len(points)]
    boxes = [
        labels._box(place, name) for place, name in zip(labels.places(points, names, 400, 270), names, strict=True)
    ]
    assert all(labels._overlap(box, earlier) == 0 for n, box in enumerate(boxes) for earlier in boxes[:n])
    assert all(box[0] >= -1 and box[2] <= 401 for box in boxes)


def test_a_lone_name_stands_right_beside_its_point() -> None:
    assert labels.places([(100.0, 50.0)], ["pt"], 400, 270) == [labels.Place(115.0, 50.0, "left", False)]
    assert labels.places([(395.0, 50.0)], ["pt"], 400, 270)[0].align == "right"
