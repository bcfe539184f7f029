"""The playground in a real Chromium: it asks, streams and shows, by keyboard, on a phone and in the dark, and calls nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import entry
import serving
import tiny
from foreword.prompts import store
from foreword.registry import Registry


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Running]:
    backbone, where = tiny.backbone("llama"), tmp_path_factory.mktemp("page")
    registry = Registry(where / "store")
    for number, name in enumerate(("reviews", "tickets")):
        scores = {"bleu": 41.5}
        store.save(serving.soft(backbone, 4, number, scores=scores, task="mini"), where / name)
        serving.keep(registry, name, where / name, choices=("red", "green") if number else ())
    registry.tag("reviews@1", "production")
    hostile = entry.rows(3)
    hostile[0]["input"] = "<img src=x onerror=alert(1)>"
    pool = entry.save_rows(where / "pool.jsonl", hostile)
    from foreword.registry.adding import NewVersion, writer

    registry.add("shown", writer(NewVersion(method="icl:bm25:1", demonstrations=str(pool), max_new_tokens=9)))
    with serving.server(backbone, store=registry.folder) as server:
        yield server


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        pytest.param(390, "dark", marks=pytest.mark.slow),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(390, "light", marks=pytest.mark.slow),
    ],
)
def test_the_page_asks_and_shows(
    browser: Any, running: serving.Running, width: int, scheme: str, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    called: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: called.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.goto(running.url)
    page.wait_for_selector("#prompts input")
    for name in ("reviews", "tickets", "shown", "tiny-llama-0"):
        page.locator(f'#prompts input[value="{name}"]').check()
    assert page.locator("#prompts input:disabled").count() == page.locator("#prompts input:not(:checked)").count()
    page.locator("#input").focus()
    page.keyboard.type("<img src=x onerror=alert(1)> 1")
    page.locator("#tokens").fill("9")
    page.keyboard.press("Control+Enter")
    page.locator("#recent tbody tr").nth(3).wait_for(timeout=120_000)
    answers = {
        card.locator("h3").inner_text(): card.locator(".text").inner_text() for card in page.locator("article").all()
    }
    text = "<img src=x onerror=alert(1)> 1"
    assert answers["reviews"].strip() == running.text("reviews", text, max_tokens=9).strip()
    assert answers["tickets"] in ("red", "green")
    page.locator("article", has_text="shown").locator("summary").click()
    page.wait_for_selector("article pre")
    assert "onerror" in page.locator("article pre").inner_text() and page.locator("article img").count() == 0
    page.locator("article", has_text="reviews").locator("summary").click()
    page.wait_for_selector("article .soft")
    assert page.locator("article .soft").inner_text() == "4 soft positions"
    assert page.locator("#store tbody tr").first.inner_text().startswith("reviews@1")
    assert "production" in page.locator("#store").inner_text() and "bleu 41.5" in page.locator("#store").inner_text()
    assert not wrong, wrong
    assert all(url.startswith(running.url) for url in called), called
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), (
        "nothing is wider than the window"
    )
    page.screenshot(path=str(tmp_path / f"{width}-{scheme}.png"), full_page=True)
    page.close()


def test_a_refusal_is_told_on_the_page(browser: Any, running: serving.Running) -> None:
    page = browser.new_page()
    page.goto(running.url)
    page.wait_for_selector("#prompts input")
    page.locator("#input").fill("bana " * 300)
    page.locator("#ask").click()
    page.wait_for_selector("article .bad")
    assert "positions" in page.locator("article .bad").inner_text()
    page.close()


def test_with_keys_the_page_asks_for_one(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = entry.foreword("keys", path, "--name", "a", "--json").json["key"]
    with serving.server(tiny.backbone("llama"), keys=path) as running:
        page = browser.new_page()
        page.goto(running.url)
        page.wait_for_selector("#locked:not([hidden])")
        page.locator("#key").fill(key)
        page.locator("#key").press("Enter")
        page.wait_for_selector("#prompts input")
        assert page.locator("#said").inner_text() == ""
        page.close()
