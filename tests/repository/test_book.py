"""The book: built with every warning an error, every link and script its own, and read in a real browser offline."""

import functools
import http.server
import importlib.util
import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import numpy as np
import pytest
import yaml
from PIL import Image

from polygrad_edu import widgets
from polygrad_edu.course.source_view import source
from polygrad_edu.settings import RULES
from tests.support.book_scripts import load_book_script
from tests.support.browser import needs_chromium, offline_page
from tests.support.reader import Reader, check_same, check_same_words, read_plot

ROOT = Path(__file__).parents[2]

book_build = load_book_script("build")
sphinx_parts = load_book_script("sphinx_parts")


class Links(HTMLParser):
    """Links of a page, the files that it loads by itself, and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.links = []
        self.loads = []
        self.anchors = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.add(attrs.get("id"))
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag in ("script", "img", "iframe", "source") and attrs.get("src"):
            self.loads.append(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "preload", "icon") and attrs.get("href"):
            self.loads.append(attrs["href"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The built pages by name, and the folder that they lie in."""
    out = tmp_path_factory.mktemp("book")
    assert book_build.build(out) == 0
    html = out / "_build" / "html"
    return {
        path.relative_to(html).as_posix(): Links(path) for path in html.rglob("*.html") if "_static" not in path.parts
    }, html


def test_every_lesson_and_page_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    listed = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    written = [
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path in sorted(ROOT.glob("book/**/*.md"))
        if "_build" not in path.parts
    ]
    lessons = [f"notebooks/{path.stem}" for path in sorted(ROOT.glob("notebooks/[0-9]*.ipynb"))]
    assert sorted(listed) == sorted(written + lessons)
    assert [name for name in listed if name.startswith("notebooks/")] == lessons


def test_every_module_of_the_package_is_in_the_reference():
    shown = {
        name
        for page in ROOT.glob("book/reference/*.md")
        for name in re.findall(r"automodule:: polygrad_edu\.([\w.]+)", page.read_text(encoding="utf-8"))
    }
    package = ROOT / "polygrad_edu"
    modules = {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        for path in package.rglob("*.py")
    }
    # the command line has a page of words, and the checks of single lessons and assignments would give answers away
    elsewhere = re.compile(r"__init__|__main__|cli(\..+)?|checks\.(lesson|assignment)_\w+")
    assert {name for name in modules if not elsewhere.fullmatch(name)} == shown


def test_pages_load_nothing_from_outside_and_no_link_is_dead(pages):
    pages, html = pages
    assert len(pages) > 20
    for name, page in pages.items():
        for address in page.loads:
            assert urlparse(address).scheme in ("", "data"), f"{name} loads {address[:80]}"  # data: a film in the page
        for address in page.links + page.loads:
            target, anchor = urldefrag(address)
            if urlparse(target).scheme or (address.startswith("#") and not anchor):
                continue
            path = (html / name).parent / unquote(target.split("?")[0]) if target else html / name
            assert path.exists(), f"{name} links to {address}"
            inside = path.resolve().relative_to(html.resolve()).as_posix()
            if anchor and inside in pages and not name.startswith("_modules") and not inside.startswith("_modules"):
                assert unquote(anchor) in pages[inside].anchors, f"{name} links to {address}"


@pytest.mark.parametrize("remote", ["git@github.com:someone/course.git", "https://github.com/someone/course"])
def test_buttons_open_the_lessons_of_the_repository_they_are_in(remote):
    address = book_build.repository(remote)
    assert address == "https://github.com/someone/course"
    config = book_build.with_buttons({"html": {"use_edit_page_button": False}}, address)
    assert config["repository"]["url"] == address
    assert config["launch_buttons"]["colab_url"].startswith("https://colab.")
    assert config["html"]["baseurl"] == "https://someone.github.io/course/"


@pytest.mark.parametrize(
    "remote", ["", "/srv/git/course.git", "https://example.org/a/b", "https://github.com.evil.org/a/b"]
)
def test_a_clone_from_elsewhere_gets_no_buttons(remote):
    assert book_build.repository(remote) is None


def test_links_show_a_title_and_a_picture_of_the_size_that_they_want():
    tags = sphinx_parts.open_graph('Noise & "signal"', "https://someone.github.io/course/", "notebooks/02.html")
    assert '<meta property="og:title" content="Noise &amp; &quot;signal&quot;" />' in tags
    assert '"og:url" content="https://someone.github.io/course/notebooks/02.html"' in tags
    assert '"og:image" content="https://someone.github.io/course/link_picture.png"' in tags
    with Image.open(ROOT / "book" / "vendor" / "link_picture.png") as picture:
        assert picture.size == (1200, 630)


def test_no_page_is_heavy_and_the_book_is_light(pages):
    names, html = pages
    assert max((html / name).stat().st_size for name in names) < 2_500_000
    assert sum(path.stat().st_size for path in html.rglob("*") if path.is_file()) < 40_000_000


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_first_page_imagines_and_has_one_search_box(pages, browser, width, scheme):
    _, html = pages
    page, outside, errors = offline_page(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto((html / "book" / "index.html").as_uri())
    slider = page.locator(".pg [data-control=strength] input")
    before = page.locator(".pg .pg-text").first.inner_text()
    slider.focus()
    for _ in range(5):
        page.keyboard.press("PageUp")
    page.wait_for_function("document.querySelector('.pg').dataset.by === 'page'")
    page.wait_for_function("(text) => document.querySelector('.pg .pg-text').innerText !== text", arg=before)
    assert sum(button.is_visible() for button in page.locator(".search-button__button").all()) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (outside, errors) == ([], [])
    page.context.close()


@pytest.fixture(scope="module")
def served(pages):
    """The book's address on a server of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(pages[1])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def barriers(page):
    """Findings of axe-core on a page that would stop or seriously hinder a reader: rule and first place of each."""
    if importlib.util.find_spec("axe_playwright_python") is None:
        return None
    from axe_playwright_python.sync_playwright import Axe

    # with preload it would ask for style sheets of style sheets at addresses of its own making; what it says on regions
    # is never more than moderate, and takes it a fifth of its time
    options = {"resultTypes": ["violations"], "preload": False, "rules": {"region": {"enabled": False}}}
    found = Axe().run(page, options=options).response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")]


def stored(page):
    """Titles of the widgets on a page that move through stored frames, or show one of them."""
    stored = "all => all.filter((widget) => /stored setting/i.test(widget.querySelector('.pg-note')?.textContent))"
    return page.locator(".pg").evaluate_all(f"{stored}.map((widget) => widget.getAttribute('aria-label'))")


@pytest.fixture(scope="module")
def visited(pages, served, browser):
    """Every page as a browser finds it.

    What it asked for outside, errors, formulas, barriers for some readers, and titles of widgets that compute nothing.
    """
    page, outside, errors = offline_page(browser, served)
    found = {}
    for name in pages[0]:
        if name.startswith("_modules") or name == "index.html":  # the last leads to the first page
            continue
        page.goto(served + name, wait_until="load")
        formulas = 0
        if page.query_selector(".math"):
            page.wait_for_selector("mjx-container", state="attached")
            formulas = len(page.query_selector_all("mjx-container"))
        # thousands of names, all made by one template: one page of them is looked at
        generated = name.startswith(("book/reference/", "genindex")) and name != "book/reference/widgets.html"
        found[name] = (list(outside), list(errors), formulas, None if generated else barriers(page), stored(page))
    page.context.close()
    return found


@needs_chromium
def test_every_page_opens_offline_in_a_browser_without_an_error(visited):
    for name, (outside, errors, *_) in visited.items():
        assert (name, outside, errors) == (name, [], [])
    assert any(name.startswith("notebooks/") and formulas for name, (_, _, formulas, *_) in visited.items())


@needs_chromium
def test_frames_are_stored_only_where_the_book_says_why(visited):
    words = (ROOT / "book" / "widgets.md").read_text(encoding="utf-8").split("Three widgets of this book show")[1]
    told = re.findall(r"^\| ([\w ]+) \| \[.+?\]\(\.\./(notebooks/\w+)\.ipynb\)", words, re.M)
    found = [(title.lower(), name.removesuffix(".html")) for name, (*_, titles) in visited.items() for title in titles]
    assert len(told) == 3
    assert sorted(found) == sorted(told)


def opened(browser, served, name, width, height):
    """A page of the book that can load nothing from outside, and the lists of what it asked for and of its errors."""
    page, outside, errors = offline_page(
        browser, served, viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    page.goto(served + name, wait_until="load", timeout=120_000)
    return page, outside, errors


@pytest.fixture(scope="module")
def on_guidance(browser, served):
    """The book's page of the lesson on guidance."""
    page, outside, errors = opened(browser, served, "notebooks/05_score_guidance.html", 1280, 900)
    yield page
    assert (outside, errors) == ([], [])
    page.context.close()


@needs_chromium
@pytest.mark.parametrize("kind", ["polygrad", "another convention", "another rule"])
def test_dragged_to_strengths_that_nobody_stored_the_book_draws_what_the_package_samples(on_guidance, kind):
    reader = Reader(on_guidance, "Guidance explorer", kind)
    for name in ("policy_std", "sampling_steps", "turn", "seed"):
        reader.move(name)
    if kind == "another convention":
        reader.choose("convention", "diffuser", "policy-guided")
    if kind == "another rule":
        reader.choose("rule", *(rule for rule in RULES if rule != "gradient"))
    for handle in ("starts 3", "goal 0"):
        reader.drag_handle(*handle.split(), reader.random.randint(-60, 60), reader.random.randint(-60, 60))
    # to strengths up to a quarter of the policy's variance: near its whole and beyond it, each step overshoots the mean
    # and multiplies whatever rounding left
    reach = np.log(reader.settled()["state"]["policy_std"] ** 2 / 4 / 1e-4) / np.log(3e4)
    seen = []
    for frame in reader.drag("strength", *(reach * (third + reader.random.random()) / 3 for third in range(3))):
        arena = read_plot(reader.widget, "Trajectories in the arena")
        seen.append((frame["state"]["strength"], arena["lines"]["blue"]))
    state = frame["state"]
    told, ours = reader.told(state), widgets.GuidanceExplorer(**state).frame["data"]
    (first, before), _, (last, after) = seen
    assert first < last, told
    assert kind == "another rule" or before != after, told
    for colour, name in (("blue", "imagined"), ("grey", "real")):
        lines = arena["lines"][colour][-8:]  # the first grey line is the arena's wall
        for line, wanted in zip(lines, ours["paths"][name], strict=True):
            until = len(line[0])  # after its end an episode shows nothing
            np.testing.assert_allclose(line, [part[:until] for part in wanted], atol=2e-3, err_msg=told)
            assert wanted[0][until:] == [None] * (len(wanted[0]) - until), told
    spread = read_plot(reader.widget, "Standardised")
    two = 2 / 640 * len(ours["histogram"]) / 8  # of all actions, in the next bin
    np.testing.assert_allclose(spread["bars"]["blue"], ours["histogram"], atol=two, err_msg=told)
    title = f"Standardised: std {ours['strength']['std']:.2f}, KS {ours['strength']['ks']:.2f}"
    check_same_words(reader.widget.locator("figcaption", has_text="Standardised").inner_text(), title, told)
    about = read_plot(reader.widget, "Actions about")
    np.testing.assert_allclose(np.transpose(about["dots"]["blue"]), ours["actions"], atol=2e-2, err_msg=told)
    error = read_plot(reader.widget, "Dynamics error")
    np.testing.assert_allclose(error["lines"]["blue"][0][1], ours["errors"], rtol=1e-2, atol=1e-3, err_msg=told)
    check_same_words(reader.widget.locator(".pg-text").first.inner_text(), ours["text"], told)
    if ours["expected"]:
        reader.widget.get_by_role("button", name="Show the answer").click()
        curve = read_plot(reader.widget, "Where the right strength lies")
        np.testing.assert_allclose(curve["lines"]["orange"][0], ours["expected"], rtol=1e-2, err_msg=told)
        check_same_words(reader.widget.locator(".pg-answer .pg-text").inner_text(), ours["answer"], told)
        reader.widget.get_by_role("button", name="Hide the answer").click()


MOVED = {  # widget, page, and the controls that are moved
    "HopperFromNoise": ("book/index.html", ["seed", "strength", "visit"]),
    "ScoreField": ("notebooks/01b_why_diffusion.html", ["seed", "eta", "progress"]),
    "SchedulePlayground": ("notebooks/02_the_noise_schedule.html", ["tau", "progress", "sampling_steps"]),
    "DenoisingScrubber": ("notebooks/04_trajectory_diffusion.html", ["seed", "visit"]),
    "ReturnExplorer": ("notebooks/07_the_actor_critic.html", ["lambda_", "gamma", "terminal"]),
    "DelayExplorer": ("book/measured/delay.html", ["seed", "visits", "delay", "place"]),
    "GuidedPendulum": ("book/measured/delay.html", ["seed", "delay", "policy_std", "strength"]),
}


@needs_chromium
@pytest.mark.parametrize("kind", MOVED)
def test_at_settings_drawn_at_random_each_widget_of_the_book_shows_the_packages_numbers(served, browser, kind):
    name, controls = MOVED[kind]
    page, outside, errors = opened(browser, served, name, 390, 844)
    made = getattr(widgets, kind)
    reader = Reader(page, made.title)
    for _ in range(3):
        for control in controls:
            reader.move(control)
        found = reader.settled()
        check_same(found["data"], made(**found["state"]).frame["data"], reader.told(found["state"]))
        assert reader.widget.get_attribute("data-by") == "page"
        assert reader.widget.locator(".pg-text").first.inner_text() == found["data"]["text"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert (outside, errors) == ([], [])
    page.context.close()


@needs_chromium
@pytest.mark.skipif(
    importlib.util.find_spec("axe_playwright_python") is None,
    reason="axe-core looks for barriers (axe-playwright-python, in the extra test)",
)
def test_no_page_has_a_barrier_for_readers_with_keyboard_or_screen_reader(visited):
    assert {name: found for name, (_, _, _, found, _) in visited.items() if found} == {}


@needs_chromium
@pytest.mark.parametrize("lesson", sorted(ROOT.glob("notebooks/[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_no_answer_is_in_sight_before_its_question_is_settled(served, browser, lesson):
    page, _, errors = offline_page(browser, served)
    page.goto(f"{served}notebooks/{lesson.stem}.html", wait_until="load")
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    asked = re.findall(r'predict\(\s*"([^"]+)"', text)
    answers = {name: page.locator(f".guess-answer[data-question='{name}']") for name in asked}
    for place, name in enumerate(asked):
        cells = [page.locator(".cell", has=answer) for answer in answers.values()]
        assert [cell.is_visible() for cell in cells] == [True] * place + [False] * (len(asked) - place)
        question = page.get_by_role("group", name=f"Question {name}")
        question.get_by_role("button", name="Show without a guess").click()
        assert answers[name].is_visible()
    assert page.locator("article > section > *:visible, article > section > section > *:visible").count() > 10
    assert errors == []
    page.context.close()


@needs_chromium
def test_a_link_to_code_opens_the_page_that_shows_it_and_lines_unfold_as_they_are_today(served, browser):
    page, _, errors = offline_page(browser, served)
    page.goto(served + "notebooks/02_the_noise_schedule.html", wait_until="load")
    while (skip := page.get_by_role("button", name="Show without a guess")).count():
        skip.first.click()
    page.locator(".package-source summary").click()
    assert page.locator(".package-source pre").inner_text().strip() == source("noise_schedule.posterior").code.strip()
    page.get_by_role("link", name="noise_schedule.py").first.click()
    page.wait_for_url("**/_modules/polygrad_edu/noise_schedule.html")
    assert "class NoiseSchedule" in page.locator("article pre").first.inner_text()
    assert errors == []
    page.context.close()


def test_lessons_link_to_files_that_are_there():
    for path in ROOT.glob("notebooks/*.ipynb"):
        text = "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
