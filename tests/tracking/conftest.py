"""W&B without a network: its own offline files, read back, or a stand-in that writes what it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vqa.tracking.journal import Journal

STAND_IN = """
import json, os, time
FILE = os.environ["STAND_IN_FILE"]
BEHAVIOUR = os.environ.get("STAND_IN_DOES", "")
if BEHAVIOUR == "import": raise ImportError("half installed")
def note(**what):
    with open(FILE, "a") as file: file.write(json.dumps(what) + "\\n")
def login(**words): return True
class Settings:
    base_url = os.environ.get("STAND_IN_URL")
    def __init__(self, **words): note(settings=words)
class setup: settings = Settings
class Summary:
    def update(self, values): note(summary=values)
class Table:
    def __init__(self, columns, data, allow_mixed_types): self.shape = [len(data), len(columns)]
class Artifact:
    def __init__(self, name, **words): self.name, self.type = name, words["type"]
    def new_file(self, name): return open(os.devnull, "w")
    def add_dir(self, folder, **words): note(added=folder)
class Run:
    summary, url = Summary(), "https://example.org/run"
    def __init__(self, root): self.dir = root + "/wandb/run/files"
    def define_metric(self, *words, **more): note(metric=[list(words), more])
    def log(self, record):
        if BEHAVIOUR == "log": raise RuntimeError("broken inside")
        if BEHAVIOUR == "hang": time.sleep(600)
        if BEHAVIOUR == "die": os._exit(3)
        note(log={name: getattr(value, "shape", value) for name, value in record.items()})
    def use_artifact(self, artifact):
        if BEHAVIOUR == "artifacts": raise RuntimeError("no room")
        note(used=[artifact.name, artifact.type])
    def log_artifact(self, artifact, aliases):
        if BEHAVIOUR == "slow artifacts": time.sleep(600)
        if BEHAVIOUR == "artifacts": raise RuntimeError("no room")
        note(logged=[artifact.name, artifact.type, aliases])
    def finish(self, **words): note(finish=words)
def init(**words):
    words.pop("settings")
    note(init=words)
    if BEHAVIOUR == "offline only" and words["mode"] == "online": raise ValueError("no such server")
    return Run(os.environ["STAND_IN_ROOT"])
"""


@pytest.fixture(autouse=True, scope="module")
def _no_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No key, no settings, nobody to ask."""
    home = str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB")]:
            patch.delenv(name)
        for name in ("HOME", "NETRC", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, home)
        patch.setenv("WANDB_CONFIG_DIR", home)
        yield


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict]]:
    """Puts a stand-in for W&B in the sender's way; called again without words it tells what was noted."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    file = folder / "notes.jsonl"

    def call(does: str | None = None, root: Path = tmp_path, url: str = "") -> list[dict[str, Any]]:
        if does is not None:
            (folder / "wandb.py").write_text(STAND_IN)
            monkeypatch.setenv("PYTHONPATH", str(folder))
            monkeypatch.setenv("STAND_IN_FILE", str(file))
            monkeypatch.setenv("STAND_IN_ROOT", str(root))
            monkeypatch.setenv("STAND_IN_DOES", does)
            monkeypatch.setenv("STAND_IN_URL", url)
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return call


class Silent(BaseHTTPRequestHandler):
    """Answers everything with an error, and prints nothing."""

    def log_message(self, *words) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that knows nothing, but answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def records_of() -> Callable[[Path], list[dict]]:
    """Every record of an offline W&B run below a run directory, by W&B's own reader."""

    def read(run_dir: Path) -> list[dict[str, Any]]:
        (file,) = run_dir.glob("wandb/offline-run-*/run-*.wandb")
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return read


@pytest.fixture
def written_run(tmp_path: Path, experiment) -> Callable[..., Path]:
    """Makes a run directory as a trainer leaves it, without training."""

    def make(name: str = "run", records: int = 3) -> Path:
        run = tmp_path / name
        run.mkdir()
        tracking = {"wandb": "offline", "group": "fusions", "tags": ["a"]}
        (run / "experiment.yaml").write_text(experiment(tracking=tracking).to_yaml())
        journal = Journal(run / "metrics.jsonl")
        for step in range(1, records + 1):
            journal.log(step * 10, 0, {"train/loss": 1 / step, "forget_gate/layer_0": 0.7})
        journal.close()
        result = {"status": "succeeded", "overall": 75.0, "interval": {"low": 70.0, "high": 80.0}}
        (run / "result.json").write_text(json.dumps({**result, "notes": ["n"]}))
        return run

    return make
