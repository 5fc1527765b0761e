"""What becomes of uploads: making that is followed, refused, failed, forgotten; and whose uploads count for whom."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.jobs.test_uploads import piece, request, send_picture, uploads
from vqa.data.store import Store
from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.uploads import service
from vqa.jobs.uploads.service import Uploads
from vqa.jobs.uploads.shapes import UploadView
from vqa.jobs.uploads.staging import Staging

Outcome = dict[str, Any]


def finished(server: Uploads, store: Store, name: str = "mine") -> UploadView:
    """Two questions of ann's, sent and made."""
    server.begin("ann", name, request(store).model_copy(update={"questions": 2}))
    server.add_examples("ann", name, piece(store, 0, 2))
    server.finish("ann", name)
    until = time.monotonic() + 60
    while (view := server.look("ann", name)).state == "making":
        assert time.monotonic() < until
    return view


def refused(staging: Staging, tell: Any) -> Outcome:
    return {"state": "refused", "error": "no"}


def failed(staging: Staging, tell: Any) -> Outcome:
    return {"state": "failed", "error": "no"}


def test_how_far_the_making_is_can_be_followed(home: Home, store: Store) -> None:
    seen, go_on = list[UploadView](), threading.Event()

    def counts(staging: Staging, tell: Any) -> Outcome:
        for done in (1, 2):
            tell({"done": done})
            seen.append(server.look("ann", "mine"))
        go_on.set()
        return {"state": "refused", "error": "no"}

    server = uploads(home, counts)
    assert finished(server, store).state == "refused"
    assert go_on.is_set()
    assert [(view.state, view.done) for view in seen] == [("making", 1), ("making", 2)]


def test_a_refusal_can_be_forgotten(home: Home, store: Store) -> None:
    server = uploads(home, refused)
    assert finished(server, store).error == "no"
    server.abandon("ann", "mine")
    with pytest.raises(JobError, match="no upload 'mine'"):
        server.look("ann", "mine")


def test_what_has_failed_can_be_forgotten_with_all_that_has_come(home: Home, store: Store) -> None:
    server = uploads(home, failed)
    assert finished(server, store).state == "failed"
    server.abandon("ann", "mine")
    assert server.begin("ann", "mine", request(store)).questions == 0


def test_what_was_damaged_while_it_was_made_begins_anew(home: Home, store: Store) -> None:
    def damages(staging: Staging, tell: Any) -> Outcome:
        (staging.folder / "upload.json").write_text("{")
        return {"state": "failed", "error": "no"}

    server = uploads(home, damages)
    assert finished(server, store).state == "failed"
    assert server.begin("ann", "mine", request(store)).questions == 0


def test_old_outcomes_are_forgotten(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_OUTCOMES", 2)
    server = uploads(home, refused)
    for name in ("a", "b", "c"):
        assert finished(server, store, name).state == "refused"
    assert [server.look("ann", name).state for name in ("b", "c")] == ["refused"] * 2
    with pytest.raises(JobError, match="no upload 'a'"):
        server.look("ann", "a")


def test_what_others_send_counts_for_nobody_else(home: Home, store: Store) -> None:
    server, small = uploads(home), request(store).model_copy(update={"images": 1})
    for number in range(20):
        server.begin("ann", f"n{number}", small)
    with pytest.raises(JobError, match="20 unfinished uploads, such as 'n0'"):
        server.begin("ann", "mine", small)
    server.close()
    [*folders] = (home.path / "uploads").iterdir()
    (folders[0] / "pictures" / "large").write_bytes(bytes(1 << 20))
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0, upload_mb_per_user: 1}\n")
    server = uploads(Home(home.path))
    with pytest.raises(JobError, match="the uploads of ann take 1 MiB"):
        server.begin("ann", "n1", small.model_copy(update={"bytes": 1 << 20}))
    assert server.begin("ben", "mine", small).state == "open"
    assert server.add_examples("ben", "mine", piece(store, 0, 2)).questions == 2


def test_a_text_only_store_takes_no_pictures(home: Home, store: Store) -> None:
    server = uploads(home)
    server.begin("ann", "mine", request(store).model_copy(update={"text_only": True}))
    with pytest.raises(JobError, match="the store is text only"):
        send_picture(server, store, 0)
