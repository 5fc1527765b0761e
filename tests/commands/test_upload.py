"""`vqa upload` against a real `vqa serve` in another process."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.test_remote import Server, serving, until
from vqa.data.prepare import prepare
from vqa.data.record import Example, ImageInput, Row
from vqa.data.store import Store
from vqa.data.store_writer import StoreWriter
from vqa.jobs.uploads import sending
from vqa.jobs.uploads.remote import RemoteUploads
from vqa.jobs.uploads.shapes import UploadRequest, UploadView


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server without a store."""
    with serving(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def table(command: Callable[..., object], tmp_path: Path) -> Path:
    """A person's own pictures and questions, some of which were left out; pictures stay where they are."""
    photos, rows = tmp_path / "photos", []
    photos.mkdir()
    for number in range(24):
        name, colour = f"bild {number:02}.jpg", ("red", "blue")[number % 2]
        Image.new("RGB", (40 + number, 30), colour).save(photos / name, "JPEG")
        rows.append({"pic": name, "q": f"Welche Farbe hat „{number}“?", "a": colour})
    rows.append({"pic": "gone.jpg", "q": "what?", "a": "red"})
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(rows))
    words = ["--map", "image=pic", "--map", "question=q", "--map", "answer=a"]
    words += ["--images", photos, "--split-by-image", "train=0.6,val=0.4", "--max-bad", 1]
    said = command("prepare", "table", file, *words, "--link-images", "--to", tmp_path / "table")
    assert said.code == 0, said
    return tmp_path / "table"


def config(tmp_path: Path, store: str) -> Path:
    file = tmp_path / "tiny.yaml"
    fields = {
        "data": {"store": store, "batch_size": 8, "image_size": 16},
        "model": {
            "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2]},
            "question_encoder": {"name": "lstm", "dim": 8, "embedding_dim": 8},
            "fusion": {"name": "multiply", "dim": 8},
            "head": "classifier",
        },
        "trainer": {"max_steps": 1, "accelerator": "cpu"},
    }
    file.write_text(json.dumps(fields))
    return file


def test_a_table_of_ones_own_is_sent_and_trained_on(
    command, server: Server, table: Path, tmp_path: Path
) -> None:
    said = command("upload", table, "--as", "farben", "--json")
    assert said.code == 0, said
    here, there = Store.open(table), Store.open(server.home.stores / "farben")
    assert said.json["fingerprint"] == here.fingerprint == there.fingerprint
    assert (said.json["was_there"], said.json["pictures_sent"]) == (False, 24)
    assert said.json["not_sent"] == ["cache", "regions", "rejected.jsonl"]
    assert "0 of 24 pictures" in said.err
    assert "24 of 24 pictures" in said.err
    assert "24 of 24 questions sent" in said.err
    assert "\r" not in said.err
    assert list(there.records()) == list(here.records())
    assert [there.image_bytes(row) for row in range(24)] == [
        here.image_bytes(row) for row in range(24)
    ]
    assert (here.manifest.rejected, there.manifest.rejected) == (1, 0)
    shutil.rmtree(tmp_path / "photos")  # the server's store has them
    listed = command("list", "stores").out
    assert listed.startswith("farben  (source table)  24 images")
    assert "uploaded by" in listed
    job = command("submit", config(tmp_path, "farben"), "--wait", "--json")
    assert (job.code, job.json["state"]) == (0, "succeeded"), (job, server.home.path)
    gone = command("upload", table, "--as", "farben")
    assert (gone.code, "image is gone" in gone.err) == (2, True)
    assert "is deleted; that freed" in command("upload", "--delete", "farben").out
    refused = command("upload", "--delete", "farben")
    assert (refused.code, "no store 'farben' was uploaded" in refused.err) == (2, True)


def test_a_store_that_is_there_is_not_sent_again(
    command, server: Server, scenes_store: Path, tmp_path: Path
) -> None:
    assert command("upload", scenes_store).code == 0
    again = command("upload", scenes_store, "--json").json
    assert (again["was_there"], again["pictures_sent"]) == (True, 0)
    assert "stands on" in command("upload", scenes_store).out
    other = tmp_path / "scenes"
    prepare(One(), other)
    taken = command("upload", other)
    assert taken.code == 2
    assert "another store is called 'scenes' — choose another name with --as NAME" in taken.err
    assert command("upload", other, "--as", "one").code == 0


class One:
    """A single record without a picture."""

    def rows(self) -> Iterator[Row]:
        yield Row(Example("1", "i", "what?", ["red"]), ImageInput(data=pixel()), "x, record 1")


def pixel() -> bytes:
    from vqa.data.prepare import PIXEL

    return PIXEL


class Odd:
    """Records as other programs write them: ids of any length."""

    def rows(self) -> Iterator[Row]:
        for number, name in enumerate(("1", "x" * 17_000)):
            yield Row(
                Example(name, "i", "what?", ["red"]), ImageInput(data=pixel()), f"x, {number}"
            )


def test_what_no_server_takes_is_said_with_its_place(
    command, server: Server, tmp_path: Path
) -> None:
    prepare(Odd(), tmp_path / "ids")
    prepare(One(), tmp_path / "names", name="hub:somebody/colours")
    for store, message in (
        ("ids", "ids, record 2: cannot be sent: its question_id: String should have at most"),
        ("names", "names: cannot be sent: its source: Value error, should be letters"),
    ):
        said = command("upload", tmp_path / store)
        assert (said.code, message in said.err) == (2, True), said


def test_a_text_only_store(command, server: Server, tmp_path: Path) -> None:
    prepare(One(), tmp_path / "text", text_only=True)
    said = command("upload", tmp_path / "text", "--json").json
    assert (said["pictures_sent"], said["fingerprint"]) == (
        0,
        Store.open(tmp_path / "text").fingerprint,
    )
    assert Store.open(server.home.stores / "text").manifest.text_only


def test_a_server_that_is_killed_in_the_middle_goes_on_where_it_was(
    command, server: Server, scenes_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, count, killed = RemoteUploads.send_picture, [0], threading.Event()

    def sends(self: RemoteUploads, store: str, sha256: str, data: bytes) -> None:
        count[0] += 1
        if count[0] == 25:
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            killed.set()
        send(self, store, sha256, data)

    monkeypatch.setattr(RemoteUploads, "send_picture", sends)
    monkeypatch.setattr(sending, "THREADS", 1)
    monkeypatch.setattr("vqa.jobs.remote.DELAYS", ())
    broken = command("upload", scenes_store, "--as", "mine")
    assert (broken.code, "cannot be reached" in broken.err) == (1, True), broken
    assert "once it answers again, the same command goes on" in broken.err
    assert killed.is_set()
    assert not (server.home.stores / "mine").exists()
    server.start()
    said = command("upload", scenes_store, "--as", "mine", "--json")
    assert said.code == 0, said
    assert said.json["pictures_sent"] == 60 - 24
    assert "24 of 60 pictures" in said.err
    store = Store.open(server.home.stores / "mine")
    assert store.fingerprint == said.json["fingerprint"] == Store.open(scenes_store).fingerprint


def test_a_server_that_is_killed_while_it_makes_the_store(
    command, server: Server, scenes_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = RemoteUploads.look, [0]

    def looked(self: RemoteUploads, store: str) -> object:
        looks[0] += 1
        if looks[0] == 1:
            server.stop(signal.SIGKILL)
            server.start()
        return look(self, store)

    monkeypatch.setattr(RemoteUploads, "look", looked)
    said = command("upload", scenes_store, "--as", "mine", "--json")
    assert said.code == 0, said
    assert looks[0] > 0
    assert Store.open(server.home.stores / "mine").fingerprint == said.json["fingerprint"]
    command("list", "stores")
    until(lambda: not list((server.home.path / "uploads").iterdir()))
    assert [path.name for path in server.home.stores.iterdir()] == ["mine"]


def test_what_is_refused_before_anything_is_sent(
    command, server: Server, scenes_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(scenes_store, damaged)
    manifest = json.loads((damaged / "store.json").read_text())
    (damaged / "store.json").write_text(json.dumps(manifest | {"fingerprint": "0" * 64}))
    with StoreWriter(tmp_path / "loose") as writer:
        writer.add_example(Example("1", "nowhere", "what?", ["red"]))
        writer.commit("table")
    for words, message in (
        ([damaged], "its content is not what its fingerprint says"),
        ([tmp_path / "loose"], "has no image 'nowhere'"),
        ([tmp_path], "no prepared store here"),
        ([scenes_store, "--as", "../x"], "'../x' is no name of a store"),
        ([scenes_store, "--as", "größe"], "'größe' is no name of a store"),
        ([scenes_store, "--as", "n" * 121], "is no name of a store"),
        ([], "give a STORE to send, or --delete NAME"),
        ([scenes_store, "--delete", "x"], "give a STORE to send, or --delete NAME"),
        (["--delete", "../x"], "'../x' is no name of a store"),
    ):
        said = command("upload", *words)
        assert (said.code, said.out) == (2, ""), said
        assert message in said.err
        assert len(said.err.strip().split("\n")) == 1
    assert not list((server.home.path / "uploads").iterdir())
    monkeypatch.delenv("VQA_SERVER")
    said = command("upload", scenes_store)
    assert (said.code, "set VQA_SERVER" in said.err) == (2, True)


class Older(BaseHTTPRequestHandler):
    """A server of ours from before there were uploads."""

    def _answer(self) -> None:
        me = self.path == "/api/v1/me"
        body = {"name": "ann"} if me else {"detail": "Not Found", "kind": "not-found"}
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        self.send_response(200 if me else 405 if self.path.startswith("/api/v1/stores/") else 404)
        content = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_DELETE = _answer

    def log_message(self, *words: object) -> None:
        pass


def test_a_server_from_before_there_were_uploads(
    command, scenes_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HTTPServer(("127.0.0.1", 0), Older) as older:
        threading.Thread(target=older.serve_forever, daemon=True).start()
        token = tmp_path / "token"
        token.write_text("vqa_x")
        token.chmod(0o600)
        monkeypatch.setenv("VQA_SERVER", f"http://127.0.0.1:{older.server_port}")
        monkeypatch.setenv("VQA_TOKEN_FILE", str(token))
        for words in (["upload", scenes_store], ["upload", "--delete", "mine"]):
            said = command(*words)
            assert said.code == 1
            assert "takes no uploads: its program is older than this one" in said.err
        older.shutdown()


class Twins:
    """Two images that are one picture."""

    def rows(self) -> Iterator[Row]:
        for name in ("a", "b"):
            picture = ImageInput(data=pixel())
            yield Row(Example(name, name, "what?", ["red"]), picture, f"x, record {name}")


def test_the_size_that_is_told_is_that_of_the_store_to_come(
    command, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, told = RemoteUploads.begin, []

    def begins(self: RemoteUploads, store: str, request: UploadRequest) -> UploadView:
        told.append(request.bytes)
        return begin(self, store, request)

    monkeypatch.setattr(RemoteUploads, "begin", begins)
    prepare(Twins(), tmp_path / "twins")
    said = command("upload", tmp_path / "twins", "--json").json
    assert (said["pictures_sent"], said["bytes_sent"]) == (1, len(pixel()))
    assert told == [2 * len(pixel())]


def test_examples_are_sent_in_pieces_that_a_body_may_hold() -> None:
    records = [{"question": "x" * 300_000}] * 8 + [{"question": ""}] * 4500
    pieces = list(sending._pieces(iter(records)))
    assert [one for piece in pieces for one in piece] == records
    assert max(map(len, pieces)) == sending.MOST_AT_ONCE
    assert max(len(json.dumps(piece)) for piece in pieces) < 2 * sending.PIECE_BYTES
