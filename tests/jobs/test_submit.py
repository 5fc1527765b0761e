"""What is checked before a job is queued."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from vqa.config import Experiment
from vqa.errors import ConfigError, JobError, ModelError
from vqa.jobs.home import Home
from vqa.jobs.library import FILES
from vqa.jobs.record import Submission
from vqa.jobs.submit import Checker
from vqa.jobs.views import SubmitRequest
from vqa.model.config import ModelConfig

Check = Callable[..., Submission]
SETTINGS = """
quotas: {min_free_mb: 0}
local: {gpus: [], cores: 8, memory_mb: 4096}
"""


@pytest.fixture
def home(tmp_path: Path, scenes_store: Path) -> Home:
    """A home with the store `scenes` on a machine of eight cores."""
    home = Home(tmp_path / "home").make()
    (home.path / "settings.yaml").write_text(SETTINGS)
    shutil.copytree(scenes_store, home.stores / "scenes")
    return home


@pytest.fixture
def check(home: Home, experiment: Callable[..., Experiment]) -> Check:
    """Checks the tiny experiment on the store `scenes`; sections of it under `experiment`."""
    checker = Checker(home)

    def call(paths_allowed: bool = False, **fields: Any) -> Submission:
        sections = fields.pop("experiment", {})
        made = experiment(**sections).to_dict()
        made["data"]["store"] = sections.get("data", {}).get("store", "scenes")
        request = SubmitRequest(experiment=made, **fields)
        return checker.check(request, "ann", paths_allowed=paths_allowed)

    return call


def test_a_good_one_is_resolved_and_named(check: Check, home: Home) -> None:
    submission = check(group="g", key="k", experiment={"seed": 7})
    assert submission.experiment["data"]["store"] == str(home.stores / "scenes")
    assert (submission.user, submission.name) == ("ann", "multiply-none-7")
    assert (submission.engine, submission.group, submission.key) == ("local", "g", "k")
    assert submission.max_restarts == home.settings.max_restarts
    assert submission.resources.model_dump() == {
        "accelerator": "cpu",
        "nodes": 1,
        "devices": 1,
        "cores": 4,
        "memory_mb": 0,
        "time_minutes": 0,
    }


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"data": {"store": "nowhere"}}, "no store 'nowhere'"),
        ({"data": {"train_split": "all"}}, "no split 'all'; it has train, val, test"),
        ({"data": {"validation_split": "dev"}}, "no split 'dev'"),
        ({"evaluation": {"split": "final"}}, "no split 'final'"),
        ({"evaluation": {"protocol": "mine/1"}}, "no protocol 'mine/1'"),
        (
            {"data": {"fraction": 0.01, "batch_size": 64}, "trainer": {"devices": 64}},
            "fewer training questions",
        ),
        (
            {"model": {"image_encoder": {"name": "torchvision", "weights": "HUGE"}}},
            "resnet18 has no weights 'HUGE'",
        ),
        (
            {"model": {"image_encoder": {"name": "torchvision", "model": "resnet19"}}},
            "no image classifier 'resnet19'",
        ),
        (
            {"model": {"image_encoder": {"name": "torchvision", "stage": "layer9"}}},
            "has no stage 'layer9'",
        ),
        (
            {
                "data": {"image_size": 1024},
                "model": {"attention": {"name": "none", "pool": "flatten"}},
            },
            "flatten",
        ),
        ({"trainer": {"accelerator": "gpu"}}, "asks for 1 GPUs, and this machine has 0"),
        ({"trainer": {"num_nodes": 2}}, "asks for 2 nodes"),
    ],
)
def test_a_bad_experiment_is_refused_with_the_reason(
    sections: dict[str, Any], said: str, check: Check
) -> None:
    with pytest.raises(JobError, match=said) as caught:
        check(experiment=sections)
    assert caught.value.kind == "invalid"


def test_the_schema_is_asked_first(home: Home) -> None:
    request = SubmitRequest(experiment={"data": {"store": "scenes"}, "sead": 1})
    with pytest.raises(JobError, match="sead: no such key; did you mean 'seed'"):
        Checker(home).check(request, "ann", paths_allowed=False)


def test_a_store_without_pictures_is_for_networks_that_do_not_look(
    check: Check, home: Home
) -> None:
    manifest = home.stores / "scenes" / "store.json"
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**fields, "text_only": True}))
    with pytest.raises(JobError, match="has no pictures"):
        check()
    assert check(experiment={"model": {"image_encoder": "none"}})


def test_a_tracker_that_is_not_installed_is_refused(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqa.tracking.trackers.find_spec", lambda _: None)
    with pytest.raises(JobError, match=r"tracking\.loggers: trackio is not installed"):
        check(experiment={"tracking": {"loggers": ["trackio"]}})


@pytest.mark.parametrize("field", [{"cores": 9}, {"memory_mb": 5000}])
def test_what_can_never_fit_is_refused_with_the_numbers(
    field: dict[str, int], check: Check
) -> None:
    number = next(iter(field.values()))
    with pytest.raises(JobError, match=f"asks for {number} .*this machine has (8|4096)"):
        check(**field)
    assert check(**field, engine="slurm").engine == "slurm"


@pytest.mark.parametrize(
    "store",
    [
        "../scenes",
        "/etc",
        "scenes\x00",
        "sc\\enes",
        "~root",
        "",
        ".",
        "..",
        "%2e%2e/scenes",
    ],
)
def test_far_away_a_store_is_a_name_and_nothing_else(store: str, check: Check) -> None:
    with pytest.raises(JobError, match=r"no store|store") as caught:
        check(experiment={"data": {"store": store}})
    assert caught.value.kind == "invalid"


def test_here_a_store_may_be_a_path(
    check: Check, scenes_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scenes_store.parent)
    for text in (scenes_store.name, f"./{scenes_store.name}", str(scenes_store)):
        found = check(paths_allowed=True, experiment={"data": {"store": text}})
        assert Path(found.experiment["data"]["store"]) == scenes_store
    with pytest.raises(JobError, match="no prepared store"):
        check(paths_allowed=True, experiment={"data": {"store": "nothing"}})


def test_vectors_and_weights_are_names_of_files_there(check: Check, home: Home) -> None:
    (home.weights / "glove.txt").write_text("red " + "0.5 " * 7 + "0.5\n")
    (home.weights / "narrow.txt").write_text("red 0.5 0.5\n")
    (home.path / "secret.txt").write_text("red " + "0.5 " * 7 + "0.5\n")

    def vectors(name: str, where: str = "question_encoder") -> dict[str, Any]:
        encoder = {"name": "lstm", "dim": 8, "embedding_dim": 8, "vectors": name}
        chooser = {"name": "chooser", "encoder": encoder}
        return {"model": {where: encoder if where == "question_encoder" else chooser}}

    found = check(experiment=vectors("glove.txt"))
    assert found.experiment["model"]["question_encoder"]["vectors"] == str(
        home.weights / "glove.txt"
    )
    found = check(experiment=vectors("glove.txt", "head"))
    assert found.experiment["model"]["head"]["encoder"]["vectors"] == str(
        home.weights / "glove.txt"
    )
    bag = {"name": "bag", "embedding_dim": 8, "vectors": "narrow.txt"}
    with pytest.raises(JobError, match="has 2 values, not 8"):
        check(experiment={"model": {"question_encoder": bag}})
    with pytest.raises(JobError, match="has 2 values, not 8") as caught:
        check(experiment=vectors("narrow.txt"))
    assert str(home.path) not in str(caught.value)
    for name in ("../secret.txt", str(home.path / "secret.txt"), "secret.txt", "/etc/passwd"):
        for where in ("question_encoder", "head"):
            with pytest.raises(JobError, match="no file"):
                check(experiment=vectors(name, where))


def test_weight_files_are_names_and_text_encoders_folders_there(check: Check, home: Home) -> None:
    (home.weights / "mine.pth").write_bytes(b"\x80")

    def weights(name: str) -> dict[str, Any]:
        return {"model": {"image_encoder": {"name": "torchvision", "weights": name}}}

    found = check(experiment=weights("mine.pth"))
    assert found.experiment["model"]["image_encoder"]["weights"] == str(home.weights / "mine.pth")
    assert check(experiment=weights("DEFAULT"))
    for name in ("../mine.pth", "/etc/passwd", "other.pth", "sub/mine.pth"):
        with pytest.raises(JobError, match=r"no file|no such weight file"):
            check(experiment=weights(name))
    for name in ("bert-base-uncased", "owner/model", "../weights", str(home.weights)):
        encoder = {"name": "transformers", "model": name}
        with pytest.raises(JobError, match="no file"):
            check(experiment={"model": {"question_encoder": encoder}})


def test_a_network_that_this_machine_does_not_hold_is_refused_here_alone(check: Check) -> None:
    wide = {
        "attention": {"name": "none", "pool": "flatten"},
        "fusion": {"name": "concat", "hidden": [65536]},
        "head": {"name": "classifier", "hidden": [4096]},
    }
    told = r"parameters and takes [\d.]+ GiB while it learns .*, and there are 4\.00 GiB for it"
    with pytest.raises(JobError, match=told):
        check(experiment={"model": wide})
    assert check(experiment={"model": wide, "optimizer": {"name": "sgd", "momentum": 0.0}})
    assert check(experiment={"model": wide}, engine="slurm")


def test_what_was_held_before_is_checked_against_changed_settings(check: Check, home: Home) -> None:
    sections = {"model": {"fusion": {"name": "multiply", "dim": 1024}}}
    assert check(experiment=sections)
    settings = home.path / "settings.yaml"
    settings.write_text(SETTINGS.replace("memory_mb: 4096", "memory_mb: 1"))
    os.utime(settings, (time.time() - 60,) * 2)
    with pytest.raises(JobError, match=r"there are 0\.00 GiB for it"):
        check(experiment=sections)


def test_a_store_that_was_prepared_anew_is_looked_at_anew(check: Check, home: Home) -> None:
    assert check()
    manifest = home.stores / "scenes" / "store.json"
    fields = json.loads(manifest.read_text())
    del fields["splits"]["test"]
    manifest.write_text(json.dumps(fields))
    stat = manifest.stat()
    os.utime(manifest, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    with pytest.raises(JobError, match="no split 'test'"):
        check(experiment={"evaluation": {"split": "test"}})


def places(annotation: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Key paths below an annotation where any text at all is taken."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return {
            place
            for name, info in fields
            if not any(getattr(rule, "pattern", None) for rule in info.metadata)
            for place in places(info.annotation, (*path, name))
        }
    if annotation in (str, Path):
        return {path}
    return {place for part in get_args(annotation) for place in places(part, path)}


def test_every_place_for_free_text_in_a_model_is_known_to_the_library() -> None:
    """A new brick with a file in it must be closed to clients before it is open to anybody."""
    prefix = ("model",)
    words = {
        ("model", "image_encoder", "stage"),  # a node of a network that is built already
        ("model", "image_encoder", "settings"),  # refused, see below
    }
    free = {place for place in places(ModelConfig, prefix) if place[-1] != "name"}
    assert {place for place in free if "settings" not in place} - words == set(FILES)


@pytest.mark.parametrize("name", ["torchvision", "backbone", "timm"])
@pytest.mark.parametrize(
    "value", ["/etc/hostname", "../x", "a/b", "hf-hub:a/b", "local-dir:/etc", "setup.py", "gpt2"]
)
@pytest.mark.parametrize("field", ["model", "weights"])
def test_far_away_no_image_encoder_names_a_path_or_a_hub(
    name: str, value: str, field: str, check: Check
) -> None:
    if (name, field) == ("backbone", "weights"):
        value = "x"  # no such key there
    with pytest.raises((ConfigError, JobError, ModelError)):
        check(experiment={"model": {"image_encoder": {"name": name, field: value}}})


def test_a_backbone_is_a_kind_or_a_folder_there(check: Check, home: Home) -> None:
    size = {"data": {"image_size": 64, "store": "scenes"}}
    for kind in ("vit", "resnet"):
        encoder = {"name": "backbone", "model": kind}
        made = check(experiment={"model": {"image_encoder": encoder}, **size})
        assert made.experiment["model"]["image_encoder"]["model"] == kind
    sized = {**encoder, "settings": {"depths": [10**9]}}
    with pytest.raises(JobError, match="settings"):
        check(experiment={"model": {"image_encoder": sized}, **size})
