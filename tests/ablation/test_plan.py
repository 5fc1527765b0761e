"""`vqa ablate` does not take runs of other data for those of its grid."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vqa import cli
from vqa.config import Experiment
from vqa.data.prepare import prepare
from vqa.data.sources.scenes import Scenes
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService

Make = Callable[..., Experiment]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalService:
    """That of this machine; nothing is trained."""
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    home = Home.here().make()
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}\n")
    made = LocalService(home)
    monkeypatch.setattr("vqa.commands.ablate.connect", lambda: made)
    return made


@pytest.fixture
def other_store(tmp_path: Path) -> Path:
    path = tmp_path / "other"
    prepare(Scenes({"train": 8, "val": 4, "test": 4}, questions_per_image=2), path, name="other")
    return path


def ablate(folder: Path, experiment: Make, *words: str) -> int:
    base = experiment(data={"store": "stores/scenes", "batch_size": 32, "image_size": 16}).to_dict()
    axes = {"model.fusion": ["concat", "multiply"]}
    file = folder / "ablation.yaml"
    given = {"group": "g", "base": base, "axes": axes, "seeds": 1, "baselines": []}
    file.write_text(yaml.safe_dump(given))
    return cli.main(["ablate", str(file), *words])


def place(store: Path, folder: Path) -> None:
    shutil.copytree(store, folder / "stores" / "scenes")


def end_first(service: LocalService, status: str, fingerprint: str) -> None:
    """Write the first job's result."""
    folder = service.home.run_dir(service.queue.find()[0].id)
    folder.mkdir(parents=True, exist_ok=True)
    result = {"status": status, "data_fingerprint": fingerprint}
    (folder / "result.json").write_text(json.dumps(result))


def test_the_same_words_in_another_directory_may_name_another_store(
    tmp_path: Path,
    scenes_store: Path,
    other_store: Path,
    service: LocalService,
    experiment: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, store in (("one", scenes_store), ("two", other_store), ("copy", scenes_store)):
        place(store, tmp_path / name)
    monkeypatch.chdir(tmp_path / "one")
    assert ablate(tmp_path / "one", experiment) == 0
    monkeypatch.chdir(tmp_path / "two")
    for words in ([], ["--dry-run"]):
        assert ablate(tmp_path / "two", experiment, *words) == 2
        said = capsys.readouterr().err
        assert "g: 2 of its runs are of other data than stores/scenes holds now" in said
        assert "--group NAME" in said
    assert ablate(tmp_path / "two", experiment, "--group", "h") == 0
    monkeypatch.chdir(tmp_path / "copy")
    assert ablate(tmp_path / "copy", experiment) == 0
    assert "2 there before" in capsys.readouterr().err


def test_a_store_that_was_prepared_anew_is_another_one(
    tmp_path: Path,
    scenes_store: Path,
    other_store: Path,
    service: LocalService,
    experiment: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place(scenes_store, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert ablate(tmp_path, experiment) == 0
    fingerprint = json.loads((scenes_store / "store.json").read_text())["fingerprint"]
    end_first(service, "succeeded", fingerprint)
    assert ablate(tmp_path, experiment) == 0
    shutil.rmtree(tmp_path / "stores")
    assert ablate(tmp_path, experiment) == 0  # nothing is missing, and nobody can tell
    place(other_store, tmp_path)
    assert ablate(tmp_path, experiment) == 2
    assert "g: 1 of its runs are of other data" in capsys.readouterr().err


def test_a_run_that_failed_on_a_store_which_was_then_mended_keeps_none_back(
    tmp_path: Path,
    scenes_store: Path,
    service: LocalService,
    experiment: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place(scenes_store, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert ablate(tmp_path, experiment) == 0
    end_first(service, "failed", "of the store as it was")
    assert ablate(tmp_path, experiment) == 0
