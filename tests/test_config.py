"""The schema of an experiment: files, overrides, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vqa.config import (
    Experiment,
    load_experiment,
    parse_experiment,
    parse_override,
    set_value,
)
from vqa.errors import ConfigError

MINIMAL = {"data": {"store": "stores/x"}}


def write(path: Path, text: str) -> Path:
    file = path / "experiment.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_experiment_survives_its_own_file(tmp_path: Path) -> None:
    made = parse_experiment(
        MINIMAL | {"model": {"fusion": "concat", "attention": {"name": "soft", "glimpses": 2}}}
    )
    again = load_experiment(write(tmp_path, made.to_yaml()))
    assert again == made
    assert again.digest() == made.digest()
    assert yaml.safe_load(made.to_yaml())["schema_version"] == 1


def test_overrides_apply_in_order_and_reach_into_bricks(tmp_path: Path) -> None:
    file = write(tmp_path, "data: {store: x}\nmodel: {fusion: multiply}\n")
    made = load_experiment(
        file, ["model.fusion.dim=7", "optimizer.lr=0.1", "optimizer.lr=1e-2", "data.image_size=32"]
    )
    assert made.model.fusion.name == "multiply"
    assert made.model.fusion.dim == 7
    assert made.optimizer.lr == pytest.approx(0.01)
    assert made.data.image_size == (32, 32)
    assert load_experiment(file, ["model.fusion=concat"]).model.fusion.name == "concat"


def test_tracking_is_no_part_of_the_digest() -> None:
    plain, tracked = (
        parse_experiment(MINIMAL),
        parse_experiment(MINIMAL | {"tracking": {"group": "g"}}),
    )
    assert plain.digest() == tracked.digest()
    assert plain.digest() != parse_experiment(MINIMAL | {"seed": 1}).digest()


FAULTS = [
    ({"data": {"store": "x"}, "modle": {}}, r"modle: no such key; did you mean 'model'\?"),
    (
        {"data": {"store": "x", "batchsize": 3}},
        r"data\.batchsize: no such key; did you mean 'batch_size'\?",
    ),
    (
        {"data": {"store": "x"}, "fusion": "concat"},
        r"^experiment: fusion: no such key; did you mean 'model\.fusion'\?$",
    ),
    (
        {"data": {"store": "x"}, "trainer": {"batch_size": 3}},
        r"batch_size: no such key; did you mean 'data\.batch_size' or 'evaluation\.batch_size'\?",
    ),
    (
        {"data": {"store": "x"}, "model": {"fusion": {"name": "concat", "normalize": 3}}},
        r"model\.fusion\.normalize: no such key; known: name, hidden, ",
    ),
    ({"data": {}}, r"data\.store: missing"),
    (
        {"data": {"store": "x", "batch_size": 0}},
        r"data\.batch_size: .*greater than or equal to 1, not 0",
    ),
    (
        {"data": {"store": "x"}, "model": {"fusion": {"name:mcb": None, "dim": 8}}},
        r"model\.fusion: has no name; write \{name: NAME, key: value\}, a space behind each colon",
    ),
    (
        {"data": {"store": "x"}, "model": {"image_encoder": {"name": "small", "strides": 2}}},
        r"strides: .*a list, not 2",
    ),
    (
        {"data": {"store": "x"}, "model": {"fusion": "multpily"}},
        r"model\.fusion: no 'multpily'; did you mean 'multiply'\?",
    ),
    (
        {"data": {"store": "x"}, "model": {"fusion": "film"}},
        r"model\.fusion: no 'film'; it is one of model\.attention; known: concat, ",
    ),
    (
        {"data": {"store": "x"}, "model": {"fusion": "none"}},
        r"model\.fusion: no 'none'; it is one of model\.image_encoder, .*model\.attention; ",
    ),
    (
        {"data": {"store": "x"}, "model": {"question_encoder": {"name": "timm"}}},
        r"model\.question_encoder: no 'timm'; it is one of model\.image_encoder",
    ),
    (
        {"data": {"store": "x"}, "model": {"fusion": {"name": "multiply", "dimm": 3}}},
        r"model\.fusion\.dimm: no such key; did you mean 'dim'\?",
    ),
    ({"data": {"store": "x"}, "optimizer": {"lr": "fast"}}, r"optimizer\.lr: .*number"),
    ({"data": {"store": "x", "image_size": 4}}, r"image_size: each side lies between 8 and 4096"),
    (
        {"data": {"store": "x", "group_by_image": True, "group_by_length": True}},
        "by image or by length, not by both",
    ),
    (
        {"data": {"store": "x", "image_size": [64, 40], "augmentation": {"shift": 20}}},
        "augmentation.shift: 20 pixels would move the middle of pictures of 64×40 out of sight",
    ),
    ({"data": {"store": "x"}, "optimizer": {"betas": [2, 0.9]}}, "less than 1"),
    ({"data": {"store": "x", "group_size": 4}}, "group_size: is read with group_by_image=true"),
    (
        {"data": {"store": "x", "batch_size": 7}, "trainer": {"devices": 2}},
        "does not divide among 2 processes",
    ),
    (
        {"data": {"store": "x"}, "model": {"image_encoder": {"name": "small", "channels": [0]}}},
        r"channels\.0: input should be greater than or equal to 1, not 0$",  # it is not too short
    ),
]


@pytest.mark.parametrize(("fields", "message"), FAULTS)
def test_a_fault_is_named_by_its_key(fields: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_experiment(fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [", "not valid YAML"),
        ("data: {store: x}\ndata: {store: y}", "stands twice"),
        ("- a\n- b", "mapping of sections"),
        ("data: !!python/object/apply:os.system ['touch hacked']", "not valid YAML"),
        ("", "mapping of sections"),
        ("? [a]\n: 1", "not valid YAML"),
    ],
)
def test_a_broken_file_is_one_clear_error(
    text: str, message: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, text))
    assert not (tmp_path / "hacked").exists()


def test_an_ablation_is_told_from_an_experiment(tmp_path: Path) -> None:
    file = write(tmp_path, "group: g\nbase: a.yaml\naxes: {seed: [1, 2]}\n")
    with pytest.raises(ConfigError, match=f"is an ablation — vqa ablate {file}$"):
        load_experiment(file)


def test_home_is_read_in_a_file_and_in_an_override(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    file = write(tmp_path, "data: {store: ~/a}\ntracking: {tags: [~/b, c~/d]}\n")
    read = load_experiment(file)
    assert (str(read.data.store), read.tracking.tags) == ("/somewhere/a", ("~/b", "c~/d"))
    small = load_experiment(file, ["model.image_encoder={name: small, weights: ~/w}"])
    assert getattr(small.model.image_encoder, "weights", None) == "/somewhere/w"
    assert str(load_experiment(file, ["data.store=~/e"]).data.store) == "/somewhere/e"


def test_a_folder_is_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)$"):
        load_experiment(tmp_path)


@pytest.mark.parametrize(
    "override", ["nonsense", "=3", "data..x=1", "seed.x=1", "data.store=[", "model.fusion.name.x=3"]
)
def test_a_broken_override_is_refused(override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_experiment(
            write(tmp_path, "data: {store: x}\nseed: 3\nmodel: {fusion: concat}\n"), [override]
        )


def test_a_fault_is_told_of_the_override_that_it_came_with(tmp_path: Path) -> None:
    file = write(tmp_path, "trainer: {max_epochs: 3}")
    given = ["data.store=x"]
    for words, message in (
        (
            [*given, "model.fusoin=concat"],
            f"override of {file}: model.fusoin: no such key; did you",
        ),
        ([*given, "seed=-1"], f"override of {file}: seed: "),
        (["data.store="], f"override of {file}: data.store: a path is expected, not nothing"),
        (["data=3"], f"override of {file}: data: a section of keys is expected, not 3"),
        (["seed=3"], f"{file}: data: missing"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_experiment(file, words)
        assert str(caught.value).startswith(message)
    wrong = write(tmp_path, "data: {store: x, batchsize: 3}")
    with pytest.raises(ConfigError) as caught:
        load_experiment(wrong, ["seed=3"])
    assert str(caught.value).startswith(f"{wrong}: data.batchsize: no such key")


def test_a_value_is_set_within_a_brick_that_is_a_bare_name() -> None:
    fields = {"model": {"fusion": "concat"}}
    set_value(fields, "model.fusion.hidden", [8], where="here")
    assert fields == {"model": {"fusion": {"name": "concat", "hidden": [8]}}}
    assert parse_override("a.b={c: [1, x]}") == ("a.b", {"c": [1, "x"]})


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(list(Experiment.model_fields)), inner)
        ),
        max_leaves=12,
    )
)
def test_hostile_fields_are_refused_or_valid(fields: object) -> None:
    try:
        made = parse_experiment(fields if isinstance(fields, dict) else {"data": fields})
    except ConfigError:
        return
    assert parse_experiment(made.to_dict()) == made


def test_every_shipped_experiment_is_valid() -> None:
    files = sorted((Path(__file__).resolve().parents[1] / "configs" / "experiments").glob("*.yaml"))
    assert files
    for file in files:
        load_experiment(file)


def test_nothing_heavy_is_imported_to_check_an_experiment() -> None:
    code = (
        "import sys; from vqa.config import parse_experiment; parse_experiment({'data': {'store': 'x'}});"
        "print([m for m in ('torch', 'numpy', 'datasets', 'transformers', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_off_is_a_word_for_tracking(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("data: {store: s}\ntracking: {wandb: off}\n")
    assert load_experiment(file).tracking.wandb == "off"
    assert load_experiment(file, ["tracking.wandb=off"]).tracking.wandb == "off"


@pytest.mark.parametrize(
    "path",
    [
        "trainer.max_steps",
        "optimizer.lr",
        "optimizer.betas",
        "seed",
        "schema_version",
        "data.image_size",
        "model.octaves",
        "trainer.gradient_clip_val",
        "data.augmentation.zoom",
        "model.fusion.dim",
    ],
)
def test_true_is_no_number(path: str, tmp_path: Path) -> None:
    file = write(tmp_path, yaml.safe_dump(MINIMAL | {"model": {"fusion": "multiply"}}))
    for word in ("true", "[0.5, false]") if path == "optimizer.betas" else ("true", "false"):
        with pytest.raises(ConfigError, match=rf"{path}.*not '(true|false)'"):
            load_experiment(file, [f"{path}={word}"])


def test_numbers_as_text_and_switches_are_what_they_were(tmp_path: Path) -> None:
    """Sweeps hand numbers over as text."""
    words = ["trainer.max_steps='5'", "optimizer.lr='1e-3'", "data.group_by_image=true"]
    made = load_experiment(write(tmp_path, yaml.safe_dump(MINIMAL)), words)
    assert (made.trainer.max_steps, made.optimizer.lr) == (5, 1e-3)
    assert made.data.group_by_image
