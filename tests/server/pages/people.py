"""Who looks at pages, at which server, and runs to look at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqa.config import parse_experiment
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import State
from vqa.jobs.views import SubmitRequest
from vqa.server.codes import Codes
from vqa.training.run import train

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE_RULES = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}"


@dataclass(frozen=True)
class Site:
    """A server that answers."""

    address: str
    home: Home
    codes: Codes

    @property
    def token(self) -> str:
        """The owner's."""
        return (self.home.path / "token").read_text().strip()


def trained_job(service: LocalService, fusion: str, seed: int) -> str:
    """A job of the group `fusion`, trained in this process."""
    fields: dict[str, Any] = {
        "data": {"store": "scenes", "batch_size": 32, "image_size": 16},
        "model": {
            "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2]},
            "question_encoder": {"name": "lstm", "dim": 8, "embedding_dim": 8},
            "attention": {"name": "soft", "glimpses": 2},
            "fusion": {"name": fusion, **({"dim": 8} if fusion == "multiply" else {"hidden": [8]})},
        },
        "trainer": {"max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu"},
        "tracking": {"tags": [f"model.fusion={fusion}"]},
        "seed": seed,
    }
    name = f"{fusion}.s{seed}"
    job = service.submit(SubmitRequest(experiment=fields, name=name, group="fusion")).id
    queued = service.queue.claim(service.queue.get(job))
    assert queued is not None
    service.queue.move(queued, State.RUNNING)
    train(parse_experiment(queued.submission.experiment), service.home.run_dir(job))
    assert service.queue.move(queued, State.SUCCEEDED) is not None
    return job


def until(page: Page, expression: str, seconds: float = 60.0) -> None:
    """Wait until a page says yes; asked from here, since the pages' policy forbids their own polling by eval."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(100)


def await_pictures(page: Page, selector: str, count: int) -> None:
    """Wait until so many pictures are there and loaded."""
    until(
        page,
        f"(all => all.length === {count} && all.every(one => one.naturalWidth > 50))"
        f"([...document.querySelectorAll({selector!r})])",
    )


def too_wide(page: Page) -> list[str]:
    """Names of the open parts of a page that can be scrolled to the side."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll(".scroll, td, tbody th")]
            .filter(one => one.scrollWidth > one.clientWidth && !one.closest("details:not([open])"))
            .map(one => one.getAttribute("aria-label") || one.textContent.trim())"""
    )
    return found
