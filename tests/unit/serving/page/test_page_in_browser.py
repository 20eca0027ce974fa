"""Presses every control of the page in Chromium, at the width of a desk and of a phone."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import dep
from dep.pipeline.personal.users import RunUsers
from dep.serving.page.latents import Latents
from dep.serving.page.reviews import RunReviews
from dep.serving.page.systems import Systems
from dep.serving.page.votes import Votes

if TYPE_CHECKING:
    import gradio  # takes seconds, which other workers of pytest would pay as well
    from playwright import sync_api

NEEDED = ("gradio", "playwright")
pytestmark = pytest.mark.skipif(None in map(importlib.util.find_spec, NEEDED), reason=f"needs {' and '.join(NEEDED)}")
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
needs_chromium = pytest.mark.skipif(not Path(CHROMIUM).is_file(), reason="needs Chromium")
MARKUP = "<script>window.attacked = 1</script><img src=x onerror='window.attacked = 1'> ${1 + 1} {{value}} &amp; "


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(__file__).parents[2] / "pipeline" / "library_run.py"
    spec = importlib.util.spec_from_file_location("library_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ARMS[:] = ["dep", "dep_memory"]
    folder: Path = module.build_run(tmp_path_factory.mktemp("page"))
    return folder


@pytest.fixture(scope="module")
def ours(run: Path) -> dep.Personalizer:
    return dep.Personalizer.from_pretrained(run)


@pytest.fixture(scope="module")
def users(ours: dep.Personalizer) -> RunUsers:
    assert ours.run_users is not None
    return ours.run_users


@pytest.fixture(scope="module")
def page(ours: dep.Personalizer, users: RunUsers) -> Iterator[gradio.Blocks]:
    from dep.serving.page.app import page_of

    for corpus in users.resources.prepared(users.config).corpora.values():
        corpus.reviews[:] = [replace(one, text=MARKUP + one.text, title=MARKUP[:40]) for one in corpus.reviews]
        corpus.items.update({name: replace(item, title=f"<b>{item.title}") for name, item in corpus.items.items()})
    built = page_of(ours)
    yield built
    built.close()


@pytest.fixture(scope="module")
def address(page: gradio.Blocks) -> str:
    from dep.serving.page.app import launch

    return launch(page, wait=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


class Hand:
    """Presses controls, and remembers which."""

    def __init__(self, tab: sync_api.Page) -> None:
        self.tab, self.pressed = tab, set[str]()

    def click(self, name: str, inside: str = "") -> None:
        self.pressed.add(name)
        self.tab.locator(f"#{name} {inside}".strip()).first.click()

    def choose(self, name: str, number: int) -> str:
        """Choose an option of a list; return its text."""
        self.click(name, "input")
        option = self.tab.locator("[role=option]").nth(number)
        text = option.inner_text().strip(" ✓\n")
        option.click()
        return text

    def write(self, name: str, text: str) -> None:
        self.pressed.add(name)
        field = self.tab.locator(f"#{name}").locator("textarea, input[type=number], input[type=text]").first
        field.fill(text)
        field.press("Tab")

    def value(self, name: str) -> str:
        return self.tab.locator(f"#{name}").locator("textarea, input").first.input_value()

    def wait(self, expression: str, *values: str) -> None:
        self.tab.wait_for_function(f"values => {expression}", arg=list(values))

    def wait_for_text(self, name: str, text: str) -> None:
        self.wait("document.querySelector(values[0])?.innerText.includes(values[1])", f"#{name}", text)

    def wait_for_value(self, name: str) -> None:
        self.wait("document.querySelector(values[0] + ' textarea')?.value", f"#{name}")


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_every_control_works_and_nothing_is_loaded_from_elsewhere(
    page: gradio.Blocks, address: str, browser: sync_api.Browser, run: Path, width: int
) -> None:
    import gradio

    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.set_default_timeout(60_000)
    hosts, errors = set[str | None](), list[str]()
    tab.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(address)
    hand = Hand(tab)
    hand.wait_for_value("real")

    first = hand.value("real")
    hand.choose("user", 1)
    hand.wait("document.querySelector('#real textarea')?.value != values[0]", first)
    second = hand.value("real")
    assert "<b>" in hand.choose("item", 1)
    hand.wait("document.querySelector('#real textarea')?.value != values[0]", second)
    assert hand.value("real").startswith(MARKUP)

    hand.write("title", "Loud")
    hand.write("rating", "2")
    hand.click("settings", "button")
    for name, number in (("his", "0.5"), ("diff", "2"), ("seed", "3"), *((f"latent-{at}", "0") for at in range(3))):
        hand.write(name, number)
    hand.click("write")
    for name in ("text-non_perso", "text-rag", "text-ours"):
        hand.wait_for_value(name)
    hand.click("score")
    hand.wait_for_text("likelihood", "nats per token")
    hand.write("real", " ")
    hand.click("score")
    hand.wait_for_text("likelihood", "Write a text first")
    hand.click("stop")

    tab.get_by_role("tab", name="Differences").click()
    hand.wait_for_text("history", "<script>window.attacked = 1</script><img src=x")
    hand.wait_for_text("history", "${1 + 1} {{value}} &amp;")
    hand.wait_for_text("words-more", ":")
    hand.wait_for_text("latents", "latent")
    tab.locator("#history summary").first.click()
    assert tab.locator("#history details[open] li").first.is_visible()

    tab.get_by_role("tab", name="Blind test").click()
    kinds = tab.locator("#kind label")
    before = len(Votes(run / "votes.sqlite").all())
    for kind, choice in ((0, "a"), (0, "neither"), (0, "b")):
        hand.pressed.add("kind")
        kinds.nth(kind).click()
        hand.click("draw")
        hand.wait_for_text("blind-asked", "A review of <b>")
        hand.wait("!document.querySelector(values[0]).disabled", f"#vote-{choice}")
        hand.click(f"vote-{choice}")
        hand.wait_for_text("outcome", "The vote is stored")
    kinds.nth(1).click()
    assert [vote.choice for vote in Votes(run / "votes.sqlite").all()[before:]] == ["a", "neither", "b"]

    controls = {
        block.elem_id
        for block in page.blocks.values()
        if isinstance(block, gradio.Button | gradio.Slider | gradio.Dropdown | gradio.Radio | gradio.Textbox)
        and not (isinstance(block, gradio.Textbox) and block.interactive is False)
    }
    assert controls <= hand.pressed
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert hosts == {"127.0.0.1"}
    assert not errors
    assert tab.evaluate("window.attacked") is None
    tab.close()


def test_an_adapter_at_the_llm_s_output_has_strengths_and_writes(run: Path) -> None:
    import gradio

    from dep.serving.page.app import page_of

    memory = dep.Personalizer.from_pretrained(run / "dep_memory")
    built = page_of(memory)
    by_name = {block.elem_id: block for block in built.blocks.values() if isinstance(block, gradio.blocks.Block)}
    assert by_name["his"].visible
    assert by_name["diff"].visible
    assert "no strength that could be changed" not in by_name["on-strength"].value
    assert by_name["seed"].visible
    assert memory.run_users is not None
    reviews, systems = RunReviews(memory.run_users), Systems(memory)
    name = reviews.tested[0]
    ask = reviews.ask(name, reviews.items(name)[0][1], 4.0, "fine")
    *_, texts = systems.write(ask, dep.Strength())
    assert len(texts) == len(systems.likelihoods(ask, dep.Strength(), "a fine drum .")) == 3
    built.close()


def test_the_page_lists_test_users_first_and_only_peers_of_others(users: RunUsers) -> None:
    reviews = RunReviews(users)
    assert list(reviews.users)[: len(reviews.tested)] == reviews.tested
    name = reviews.tested[0]
    newest = reviews.items(name)[0][1]
    before = reviews.before(name, newest)
    assert [one.review.time for one in before] == sorted((one.review.time for one in before), reverse=True)
    assert len(before) == len(reviews.items(name)) - 1
    assert all(peer.user != one.review.user for one in before for peer in one.peers)
    assert len(reviews.before(name, "an item that is not known")) == len(before) + 1


def test_a_scaled_latent_changes_the_likelihood_only_inside_the_with_statement(
    ours: dep.Personalizer, users: RunUsers
) -> None:
    reviews, latents = RunReviews(users), Latents(ours, users)
    name = reviews.tested[0]
    item = reviews.items(name)[0][1]
    ask = reviews.ask(name, item, 4.0, "fine")
    active = latents.active(*reviews.users[name], item, 3)
    assert [one.z for one in active] == sorted((one.z for one in active), reverse=True)
    before = ours.likelihood(ask, "a fine drum .")
    with latents.scaled({active[0].unit: 50.0}):
        assert ours.likelihood(ask, "a fine drum .") != pytest.approx(before, abs=1e-4)
        assert latents.active(*reviews.users[name], item, 3) == active
    assert ours.likelihood(ask, "a fine drum .") == pytest.approx(before, abs=1e-6)
