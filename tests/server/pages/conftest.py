"""A real browser on a real server: what it shows, what its console says, whether everybody can use it."""

from __future__ import annotations

import importlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.pages.people import AXE_RULES, Site, trained_job
from vqa.config import Experiment
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import State
from vqa.server.app import create_app
from vqa.server.codes import Codes
from vqa.server.guard import Hosts
from vqa.server.serve import Server, listen
from vqa.server.tokens import ensure_owner

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {
    "wide": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844},
    "small": {"width": 360, "height": 740},
}


@contextmanager
def serving(home: Home) -> Iterator[Site]:
    """The server of a home in a thread, without a dispatcher."""
    stop, codes = threading.Event(), Codes(ensure_owner(home.make()))
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = Server(create_app(home, Hosts.of(port), stop, codes, warm=False), stop)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield Site(f"http://127.0.0.1:{port}", home, codes)
        stop.set()
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def site(home: Home) -> Iterator[Site]:
    """The server of this test's home."""
    with serving(home) as made:
        yield made


@pytest.fixture(scope="session")
def finished_home(
    tmp_path_factory: pytest.TempPathFactory, scenes_store: Path
) -> tuple[Home, list[str]]:
    """A home with the group `fusion`: two fusions with attention, two seeds each, trained for real; for reading alone.

    Returns:
        The home and its jobs, in the order multiply 0, multiply 1, concat 0, concat 1.
    """
    home = Home(tmp_path_factory.mktemp("finished") / "home").make()
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}\n")
    shutil.copytree(scenes_store, home.stores / "scenes")
    service = LocalService(home, "ann")
    jobs = [
        trained_job(service, fusion, seed) for fusion in ("multiply", "concat") for seed in (0, 1)
    ]
    return home, jobs


@pytest.fixture(scope="session")
def finished_site(finished_home: tuple[Home, list[str]]) -> Iterator[Site]:
    """Its server."""
    with serving(finished_home[0]) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window.

    For a file of tests and no longer: while Playwright runs, no other event loop can run in this thread.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium; scripts/test installs it as root")
    playwright = pytest.importorskip("playwright.sync_api", reason="the dev extra brings it")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_OPTIONS), timeout=120_000
        )
        yield started
        started.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page of a site, signed in; the test fails on anything that the browser complains of."""
    contexts, complaints = [], []

    def make(
        site: Site, path: str, *, size: str = "wide", scheme: Any = "light", signed_in: bool = True
    ) -> Page:
        context = browser.new_context(
            viewport=SIZES[size],  # type: ignore[arg-type]
            color_scheme=scheme,
            has_touch=size != "wide",
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        if signed_in:
            context.add_cookies([{"name": "vqa_token", "value": site.token, "url": site.address}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", lambda said: _note(complaints, said.type, said.text))
        page.goto(site.address + path)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not complaints


def _note(complaints: list[str], kind: str, text: str) -> None:
    """Refused requests are said twice, and tests that make them look at the page itself."""
    if kind in ("error", "warning") and "Failed to load resource" not in text:
        complaints.append(f"{kind}: {text}")


@pytest.fixture
def shoot() -> Callable[..., Path]:
    """Keeps a picture of a page under build/screenshots."""

    def take(page: Page, name: str) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = SCREENSHOTS / f"{name}.png"
        page.screenshot(path=file, full_page=True)
        return file

    return take


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of the accessibility checker axe-core."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None or package.origin is None:
        pytest.skip("there is no axe-core; the dev extra brings it")
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def check_accessible(axe: str) -> Callable[[Page], None]:
    """Fails on any violation of WCAG 2.2 A and AA or of good practice that axe-core finds, and on a page that is
    wider than its window."""

    def check(page: Page) -> None:
        page.evaluate(axe)
        found: dict[str, Sequence[Any]] = page.evaluate(f"axe.run(document, {AXE_RULES})")
        shown = [
            (v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found["violations"]
        ]
        assert not shown
        wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window

    return check


@pytest.fixture
def queued(home: Home, experiment: Callable[..., Experiment]) -> Callable[..., str]:
    """Queues a tiny job in this test's home; gives its id."""
    from vqa.jobs.views import SubmitRequest

    service = LocalService(home, "ann")

    def make(state: State | None = None, reason: str = "", **fields: Any) -> str:
        body = experiment().to_dict()
        body["data"]["store"] = "scenes"
        job = service.submit(SubmitRequest(experiment=body, **fields)).id
        if state is not None:
            claimed = service.queue.claim(service.queue.get(job))
            assert claimed is not None
            assert service.queue.move(claimed, state, reason)
        return job

    return make
