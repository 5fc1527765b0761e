"""What a submission may name: no key of the schema escapes the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from vqa.config import Experiment
from vqa.jobs.home import Home
from vqa.jobs.library import STORE, TEXT_ENCODER, VECTORS, WEIGHTS, Library

NEVER_OPENED = {
    "data.train_split",
    "data.validation_split",
    "evaluation.split",
    "evaluation.protocol",
    "model.image_encoder.model",  # a library's own word; where it may be a folder, `Library` asks
    "model.image_encoder.stage",
    "model.image_encoder.settings",
    "model.image_encoder.source",
    "tracking.project",
    "tracking.entity",
    "tracking.group",
    "tracking.tags",
}


def fields_of(model: type[BaseModel], kind: type, path: str = "") -> set[str]:
    """The key paths of a schema whose values may be of this type."""
    found: set[str] = set()
    for name, info in model.model_fields.items():
        parts = [info.annotation, *parts_of(info.annotation)]
        if kind in parts:
            found.add(f"{path}{name}")
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= fields_of(part, kind, f"{path}{name}.")
    return found


def parts_of(annotation: Any) -> list[Any]:
    return [inner for part in get_args(annotation) for inner in (part, *parts_of(part))]


def test_every_key_that_could_name_a_file_is_known() -> None:
    """Whoever adds a path or a free text to the schema says here that nobody opens it, or teaches `Library`."""
    known = {".".join(keys) for keys in (STORE, WEIGHTS, *VECTORS, TEXT_ENCODER)}
    paths, texts = fields_of(Experiment, Path), fields_of(Experiment, str)
    assert "data.store" in paths
    assert "model.head.encoder.vectors" in paths
    assert paths <= known
    assert texts <= known | NEVER_OPENED


def test_names_are_those_of_the_settings_and_of_the_folders(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    (home.path / "settings.yaml").write_text(
        f"stores: {{big: {tmp_path}/big, gone: {tmp_path}/gone}}\n"
    )
    for store in (tmp_path / "big", home.stores / "small", home.stores / "with blank"):
        store.mkdir()
        (store / "store.json").write_text("{}")
    (home.stores / "empty").mkdir()
    library = Library(home)
    assert library.stores() == {"big": tmp_path / "big", "small": home.stores / "small"}
    said = library.without_paths(
        f"{tmp_path}/big: no such split; {home.stores}/small; {home.path}/x"
    )
    assert said == "big: no such split; small; x"


@pytest.mark.parametrize(("encoder", "is_folder"), [("backbone", True), ("torchvision", False)])
def test_the_model_of_a_backbone_alone_may_be_a_folder(
    encoder: str, is_folder: bool, tmp_path: Path, experiment: Callable[..., Experiment]
) -> None:
    home = Home(tmp_path / "home").make()
    (home.weights / "resnet18").mkdir()
    fields = experiment().to_dict()
    fields["model"]["image_encoder"] = {"name": encoder, "model": "resnet18"}
    made = Library(home).resolve(fields, paths_allowed=True)["model"]["image_encoder"]
    assert made["model"] == (str(home.weights / "resnet18") if is_folder else "resnet18")


def test_a_store_of_the_settings_may_stand_in_ones_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "store.json").write_text("{}")
    home = Home(tmp_path / "service").make()
    (home.path / "settings.yaml").write_text("stores: {big: ~/big}\n")
    assert Library(home).stores() == {"big": tmp_path / "big"}


def test_a_store_elsewhere_is_not_taken_for_the_one_of_its_name_here(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    (tmp_path / "linked").symlink_to(home.stores / "scenes")
    for store in (home.stores / "scenes", tmp_path / "scenes", tmp_path / "other"):
        store.mkdir()
        (store / "store.json").write_text("{}")
    named = {
        path: Library(home).named({"data": {"store": str(path)}})["data"]["store"]
        for path in (home.stores / "scenes", *map(tmp_path.joinpath, ("linked", "scenes", "other")))
    }
    assert list(named.values()) == ["scenes", "scenes", "scenes (elsewhere)", "other"]
