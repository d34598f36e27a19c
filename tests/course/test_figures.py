"""House style of figures: sharp, whole steps on the axes, described in their own words; and films that fit."""

import io

import imageio_ffmpeg
import matplotlib.pyplot as plt
import mediapy
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from polygrad_edu.course.figures import as_output, count_in_whole_numbers, described, fitted, house_style
from tests.support.browser import chromium, needs_chromium


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


def film(**options):
    return mediapy.show_video(np.zeros((3, 16, 32, 3), np.uint8), codec="h264", return_html=True, **options)


def test_a_film_is_as_narrow_as_its_column():
    mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
    html = fitted(film())
    assert html.count("max-width:100%; height:auto") == html.count("table-layout:fixed") == 1  # mediapy still styles so
    assert fitted(html) == html
    assert fitted('<img style="object-fit:cover;">') == '<img style="object-fit:cover;">'


@needs_chromium
def test_a_wide_film_fits_a_narrow_page_and_a_small_one_keeps_its_size():
    mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 330, "height": 600})
        for width, shown in ((600, 300), (120, 120)):
            page.set_content(f'<div style="width: 300px">{fitted(film(width=width, height=width // 2))}</div>')
            box = page.locator("video").bounding_box()
            assert box["width"] == pytest.approx(shown, abs=4)
            assert box["height"] == pytest.approx(box["width"] / 2, abs=2)
            assert page.evaluate("document.documentElement.scrollWidth") <= 330


def test_a_notebook_in_house_style_shows_films_so(tmp_path):
    show = "import mediapy, numpy, imageio_ffmpeg\nfrom polygrad_edu.course import house_style\nhouse_style()\n"
    show += "mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())\n"
    show += "mediapy.show_video(numpy.zeros((3, 16, 32, 3), 'uint8'), codec='h264')"
    notebook = new_notebook(cells=[new_code_cell(show)])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    (shown,) = [output.data["text/html"] for output in notebook.cells[0].outputs if "data" in output]
    assert fitted(shown) == shown
    assert "max-width:100%" in shown
