"""House style of figures: sharp, whole steps on the axes, and a description made of the figure's own words."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from polygrad_edu.course.figures import as_output, count_in_whole_numbers, described, house_style


@pytest.fixture(autouse=True)
def as_before():
    with plt.rc_context():
        yield
    plt.close("all")


def drawn(**words):
    figure, axes = plt.subplots(figsize=(4, 3), layout="constrained")
    axes.plot([0, 1, 2, 3], [1, 2, 4, 8], label="a model")
    axes.set(**words)
    return figure, axes


def test_a_figure_is_shown_at_its_width_with_twice_the_pixels():
    house_style()
    png, about = as_output(drawn(xlabel="steps ahead", ylabel="error")[0])
    picture = Image.open(io.BytesIO(png))
    assert picture.width == pytest.approx(2 * about["width"], abs=1)
    assert about["width"] == pytest.approx(400, rel=0.1)
    assert about["alt"] == "error against steps ahead"
    corner = np.asarray(picture.convert("RGBA"))[0, 0]
    assert corner.tolist() == [255, 255, 255, 255]  # white, not see-through: black words stay legible on a dark page


@pytest.mark.parametrize("label", ["steps ahead", "time step", "visit", "update", "real steps", "seeds tried, k"])
def test_what_is_counted_gets_whole_numbers(label):
    _, axes = drawn(xlabel=label, xlim=(0, 3))
    count_in_whole_numbers(axes)
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_other_axes_and_ticks_that_were_chosen_stay():
    _, axes = drawn(xlabel="time (s)", xlim=(0, 1))
    count_in_whole_numbers(axes)
    assert 0.2 in axes.get_xticks().round(3)
    axes.set(xlabel="steps", xticks=[0.5, 1.5])
    count_in_whole_numbers(axes)
    assert axes.get_xticks().tolist() == [0.5, 1.5]
    axes.set(xscale="log", xlabel="steps")
    locator = axes.xaxis.get_major_locator()
    count_in_whole_numbers(axes)
    assert axes.xaxis.get_major_locator() is locator


def test_the_description_says_title_axes_and_legend():
    figure, axes = drawn(xlabel="x (m)", ylabel="y (m)", title="where\nit went")
    axes.legend()
    assert described(figure) == "where it went: y (m) against x (m): a model"
    axes.set(title="", ylabel="")
    axes.get_legend().remove()
    assert described(figure) == "along x (m)"
    figure.suptitle("All of them")
    assert described(figure) == "All of them; along x (m)"
    figure.set_label("A mass that goes round in a circle.")
    assert described(figure) == "A mass that goes round in a circle."
    assert described(plt.figure()) == "A picture without words"
