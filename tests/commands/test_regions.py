"""`vqa prepare regions`, and what `vqa cache` and `vqa submit` say of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.data.regions.made import DIM, Made, detect_all, write_tsv
from vqa.cli import main
from vqa.config import load_experiment
from vqa.data.store import Store


@pytest.fixture
def store(scenes_store: Path, tmp_path: Path) -> Path:
    shutil.copytree(scenes_store, tmp_path / "store", ignore=shutil.ignore_patterns("cache"))
    return tmp_path / "store"


@pytest.fixture
def found(store: Path) -> list[Made]:
    return detect_all(Store.open(store).images.data.column("image_id").to_pylist())


def words(store: Path, file: Path, *options: object) -> tuple[object, ...]:
    return ("prepare", "regions", store, file, "--count", 4, "--dim", DIM, *options)


def test_it_says_what_it_found(command, store: Path, found: list[Made], tmp_path: Path) -> None:
    file = write_tsv(tmp_path / "f.tsv", [*found[:50], *detect_all(["x", "y"])])
    said = command(*words(store, file))
    assert said.code == 2
    assert "10 of 60 pictures have no regions ('test-000000', 'test-000001'" in said.err
    assert "2 records are of other pictures, such as 'y'" in said.err
    facts = command(*words(store, file, "--allow-missing", "--json")).json
    wanted = {"pictures": 60, "found": 50, "made": 0, "kept": 50, "others": 2, "missing": 10}
    assert {name: facts[name] for name in wanted} == wanted
    assert (facts["shape"], facts["dtype"], facts["source"]) == ([4, 11], "float16", "bottom-up")
    said = command(*words(store, file, "--split", "train", "--split", "val"))
    assert said.code == 0
    assert "50 of 50 pictures have regions 'bottom-up', 4×11 float16 each" in said.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--count", 0), "count: input should be greater than or equal to 1"),
        (("--source", "../x"), "source: string should match"),
        (("--split", "dev"), "no split 'dev'"),
        (("--dim", 7), "line 1: features of 4×5, and regions of 7 values were expected"),
        (("--count", 5), "line 1: 4 regions, and 5 are wanted"),
    ],
)
def test_what_does_not_fit_is_told(
    command, store: Path, found: list[Made], tmp_path: Path, options: tuple[object, ...], says: str
) -> None:
    said = command(*words(store, write_tsv(tmp_path / "f.tsv", found), *options))
    assert said.code == 2
    assert says in said.err.lower()
    assert not list((store / "cache").glob("regions-*"))


def test_padding(command, store: Path, found: list[Made], tmp_path: Path) -> None:
    file = write_tsv(tmp_path / "f.tsv", found)
    assert command(*words(store, file, "--count", 6, "--pad", "--json")).json["shape"] == [6, 11]


def test_they_are_listed_and_kept_when_others_are_deleted(
    command, store: Path, found: list[Made], tmp_path: Path
) -> None:
    command(*words(store, write_tsv(tmp_path / "f.tsv", found)))
    assert "bottom-up: 60 of 60 rows of 4×11 float16" in command("cache", store).out
    [listed] = command("cache", store, "--verify", "--json").json
    assert (listed["kind"], listed["damaged"]) == ("regions", 0)
    assert command("cache", store, "--prune", "--json").json == []
    assert command("cache", store, "--regions").code == 2
    [gone] = command("cache", store, "--prune", "--regions", "--json").json
    assert not Path(gone["path"]).exists()


def test_a_store_without_them_queues_nothing(command, jobs, config: Path, tmp_path: Path) -> None:
    fields = load_experiment(config).to_dict()
    fields["model"]["image_encoder"] = {"name": "regions"}
    file = tmp_path / "regions.yaml"
    file.write_text(yaml.safe_dump(fields))
    said = command("submit", file)
    assert said.code == 2
    store = load_experiment(config).data.store
    assert f"vqa prepare regions {store} FILE… --count 36 --dim 2048 --source bottom-up" in said.err
    assert jobs.queue.find() == []


def test_help_and_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["prepare", "regions", "--help"])
    assert caught.value.code == 0
    assert "--allow-missing" in capsys.readouterr().out
    assert main(["prepare", "region", "x"]) == 2
    assert "did you mean 'regions'?" in capsys.readouterr().err
    assert main(["list", "encoders", "--filter", "detector", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["regions"]
    assert main(["prepare", "features", "configs/recipes/vqa2_butd.yaml"]) == 2
    assert "brought in by `vqa prepare regions`" in capsys.readouterr().err
