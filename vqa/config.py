"""The one schema of an experiment: a short YAML file, `key.path=value` overrides, and errors that say what to do.

Nothing here imports torch, so that a wrong experiment is refused before anything heavy is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from vqa.errors import ConfigError
from vqa.faults import explain, faults
from vqa.model.brick import Closed, from_name
from vqa.model.config import ModelConfig
from vqa.names import at_home
from vqa.tracking.trackers import Loggers
from vqa.yaml_file import read_yaml


class Section(Closed):
    """A part of an experiment beside the network."""


def _pair(value: Any) -> Any:
    """Let a square size be written as one number."""
    return (value, value) if isinstance(value, int) else value


class Augmentation(Section):
    """Changes to a training picture that leave the answers true. Which ones do depends on the questions:
    a flip makes "left" wrong, so everything is off by default.

    Attributes:
        horizontal_flip, vertical_flip: mirror with probability ½.
        quarter_turns: rotate by 0, 90, 180 or 270 degrees (square pictures only).
        shift: move by up to this many pixels each way; the edge is repeated.
        zoom: enlarge or shrink about the middle by up to this share: 0.1 for factors of 1/1.1 to 1.1.
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    quarter_turns: bool = False
    shift: int = Field(default=0, ge=0, le=512)
    zoom: float = Field(default=0.0, ge=0, le=1)


class DataConfig(Section):
    """What is learnt from.

    Attributes:
        store: a prepared store.
        train_split: the split whose questions train the network and make the vocabularies.
        validation_split: the split that chooses the best checkpoint; `none` trains to the end;
            `auto` takes `val`, `valid`, `validation` or `dev` where the store has one.
        fraction: share of the training images that is used (chosen by seed), for learning curves.
        batch_size: questions an optimiser step, over all processes together.
        group_by_image: put the questions of an image into one batch, so that each image is encoded once: more questions
            a second, but one look at each picture an epoch, so that an encoder that learns wants more epochs.
        group_size: with `group_by_image`, at most so many questions of an image together, chosen anew in each epoch:
            batches of more pictures, which some models need to learn well; 0 keeps all.
        group_by_length: put questions of as many words into one batch: each recurrent step then has all of them.
        image_size: height and width that pictures are brought to, in pixels.
        resize: `stretch`, `fit` (letterbox) or `crop` (centre).
        augmentation: changes to training pictures that leave the answers true.
        min_word_count: rarer words become the unknown word.
        max_answers: size of the answer vocabulary (the most frequent answers).
        resident: keep pictures or features on the device (`auto`: where they fit; see the memory plan in events.jsonl);
            of several processes each keeps all (`always`), or its own alone and takes their questions (`shards`).
        workers: threads that decode or read ahead when they are not resident.
        features: keep what a frozen image encoder makes of the pictures in a file, so that it runs once for all runs
            (`auto`: where that can be done and there is room; `float16`, `bfloat16`: or refuse; `off`: never).
            Of regions, which are such features from elsewhere, the type that is read (`auto`: either).
        decoded: keep decoded pictures in a file (`auto`: where they are not resident and there is room).
    """

    store: Path
    train_split: str = "train"
    validation_split: str = "auto"
    fraction: float = Field(default=1.0, gt=0, le=1)
    batch_size: int = Field(default=256, ge=1, le=1_000_000)
    group_by_image: bool = False
    group_size: int = Field(default=0, ge=0, le=1_000_000)
    group_by_length: bool = False
    image_size: Annotated[tuple[int, int], BeforeValidator(_pair)] = (64, 64)
    resize: Literal["stretch", "fit", "crop"] = "stretch"
    augmentation: Augmentation = Augmentation()
    min_word_count: int = Field(default=1, ge=1)
    max_answers: int = Field(default=3000, ge=1)
    resident: Literal["auto", "always", "shards", "never"] = "auto"
    workers: int = Field(default=1, ge=0, le=256)
    features: Annotated[
        Literal["auto", "off", "float16", "bfloat16"],
        BeforeValidator(lambda value: value or "off"),
    ] = "auto"  # YAML reads an unquoted off as false
    decoded: Literal["auto", "always", "never"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        height, width = self.image_size
        if not (8 <= height <= 4096 and 8 <= width <= 4096):
            raise ValueError("image_size: each side lies between 8 and 4096")
        if self.augmentation.quarter_turns and height != width:
            raise ValueError("augmentation.quarter_turns needs a square image_size")
        if 2 * self.augmentation.shift >= min(height, width):
            raise ValueError(
                f"augmentation.shift: {self.augmentation.shift} pixels would move the middle of pictures of"
                f" {height}×{width} out of sight; choose less than half of a side"
            )
        if self.group_size and not self.group_by_image:
            raise ValueError(
                "group_size: is read with group_by_image=true alone; set both or neither"
            )
        if self.group_by_image and self.group_by_length:
            raise ValueError(
                "group_by_length: a batch is grouped by image or by length, not by both"
            )
        return self


class Schedule(Section):
    """How the learning rate moves: linear warm-up over `warmup_steps`, then constant, a cosine down to
    `final_ratio` of the peak at the last step, or times `gamma` every `step_epochs` epochs."""

    name: Literal["constant", "cosine", "step"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    final_ratio: float = Field(default=0.0, ge=0, le=1)
    step_epochs: int = Field(default=10, ge=1)
    gamma: float = Field(default=0.1, gt=0, le=1)


Momentum = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Section):
    """torch.optim's own names; `momentum` is SGD's and Muon's, `betas` and `eps` are Adam's and AdamW's.

    `muon` orthogonalises the steps of hidden matrices (Jordan et al. 2024); all other parameters are AdamW's.
    """

    name: Literal["adam", "adamw", "muon", "sgd"] = "adam"
    lr: float = Field(default=1e-3, gt=0, le=100)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    momentum: Momentum = 0.9
    schedule: Annotated[Schedule, BeforeValidator(from_name)] = Schedule()


class EarlyStopping(Section):
    """Stop after `patience` validations without a gain of more than `min_delta` points over the last such gain; 0
    never stops."""

    patience: int = Field(default=0, ge=0)
    min_delta: float = Field(default=0.0, ge=0)


class TrainerConfig(Section):
    """Lightning's own names, three of ours, and a value of ours.

    Attributes:
        precision: `auto` is bf16-mixed on a device that is fast in it, else 32-true; decided when a run begins.
        early_stopping: on validation accuracy.
        checkpoint_every_n_steps: also save within an epoch; 0 saves at the end of each epoch alone.
        diagnostics: log gradient norm by time step and forget gates every `log_every_n_steps`.
    """

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = Field(default=1, ge=1, le=1024)
    num_nodes: int = Field(default=1, ge=1, le=1024)
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed", "auto"],
        BeforeValidator(lambda value: "32-true" if str(value) == "32" else value),
    ] = "32-true"
    max_epochs: int = Field(default=10, ge=1, le=100_000)
    max_steps: int = Field(default=-1, ge=-1)
    gradient_clip_val: float | None = Field(default=None, gt=0)
    accumulate_grad_batches: int = Field(default=1, ge=1)
    log_every_n_steps: int = Field(default=50, ge=1)
    check_val_every_n_epoch: int = Field(default=1, ge=1)
    early_stopping: EarlyStopping = EarlyStopping()
    checkpoint_every_n_steps: int = Field(default=0, ge=0)
    diagnostics: bool = True


class EvaluationConfig(Section):
    """How the trained model is scored.

    Attributes:
        split: the split that is scored; `auto` takes `test`, else validation, else training.
        protocol: a protocol's name and version; `auto` chooses by the data: multiple choice where there
            are choices, VQA accuracy for ten answers, else exact match. Validation between epochs, which chooses
            the best checkpoint, goes by the right choice where it is known, else by the answers' soft scores.
        batch_size: questions a forward pass; changes no figure.
        out_of_vocabulary: what a choice outside the answer vocabulary gets from a classifier.
    """

    split: str = "auto"
    protocol: str = "auto"
    batch_size: int = Field(default=1024, ge=1)
    out_of_vocabulary: Literal["mask", "count-wrong"] = "mask"


class TrackingConfig(Section):
    """Dashboards mirror the journal; none is ever needed, and nothing here decides a result.

    Attributes:
        wandb: `off`, `offline` (W&B's own files below the run), or `online`, which goes on offline without a key or
            a server.
        project, entity, group, tags: as W&B calls them; an ablation sets group and tags.
        samples: rows of the table with pictures and attention.
        predictions: rows of the table by which runs are joined.
        artifacts: whether W&B gets the exported model and the manifest of the store.
        loggers: other trackers, such as `[tensorboard, mlflow, trackio]`.
    """

    wandb: Annotated[
        Literal["off", "offline", "online"], BeforeValidator(lambda value: value or "off")
    ] = "off"  # YAML reads an unquoted off as false
    project: str = "vqa"
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    samples: int = Field(default=32, ge=0, le=1000)
    predictions: int = Field(default=1000, ge=0, le=10_000)
    artifacts: bool = True
    loggers: Loggers = ()


class Experiment(Section):
    """Everything that decides a run's result."""

    schema_version: Literal[1] = 1
    data: DataConfig
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    trainer: TrainerConfig = TrainerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    seed: int = Field(default=0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        processes = self.trainer.devices * self.trainer.num_nodes
        if self.data.batch_size % processes:
            raise ValueError(
                f"data.batch_size {self.data.batch_size} does not divide among {processes} processes"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain YAML and JSON types, complete."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved experiment as a file that can be run alone."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def with_precision(self, precision: str) -> Experiment:
        """The same experiment, trained in another precision."""
        trainer = self.trainer.model_copy(update={"precision": precision})
        return self.model_copy(update={"trainer": trainer})

    def with_features(self, features: str) -> Experiment:
        """The same experiment, with its encoder's features kept otherwise."""
        data = self.data.model_copy(update={"features": features})
        return self.model_copy(update={"data": data})

    def differences(self, other: Experiment) -> list[str]:
        """The key paths that decide a result and differ between two experiments."""
        mine, theirs = by_path(self.to_dict()), by_path(other.to_dict())
        keys = sorted(
            key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)
        )
        return [key for key in keys if not key.startswith("tracking.")]

    def digest(self) -> str:
        """SHA-256 of what decides the result: everything but `tracking`."""
        return digest_of(self.to_dict())


def digest_of(fields: Mapping[str, Any]) -> str:
    """See `Experiment.digest`, of one in plain types."""
    counted = {key: value for key, value in fields.items() if key != "tracking"}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def load_experiment(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment from YAML and apply `key.path=value` overrides in order.

    Raises:
        ConfigError: the file cannot be read, or a key or a value does not fit the schema; says whether all of that
            came with the overrides.
    """
    fields = read_fields(Path(path), overrides)
    try:
        return parse_experiment(fields, where=str(path))
    except ConfigError as error:
        if not overrides or set(_faults(fields)) & set(_faults(read_fields(Path(path)))):
            raise
        raise ConfigError(error.what, where=f"override of {path}") from None


def read_fields(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """An experiment as it is written, with `key.path=value` overrides applied in order; not yet checked.

    Raises:
        ConfigError: the file cannot be read, or an override is none.
    """
    fields = read_yaml(path)
    if {"base", "axes"} <= fields.keys():
        raise ConfigError("is an ablation", where=str(path), fix=f"vqa ablate {path}")
    for override in overrides:
        _apply(fields, override)
    return {key: one if key == "tracking" else _at_home(one) for key, one in fields.items()}


def _at_home(value: Any) -> Any:
    """The same value with `~/` read as one's home, wherever a text begins with it: it is a path there."""
    if isinstance(value, dict):
        return {key: _at_home(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_at_home(one) for one in value]
    return at_home(value) if isinstance(value, str) else value


def parse_experiment(fields: Mapping[str, Any], where: str = "experiment") -> Experiment:
    """Check plain fields against the schema; every fault is named with its key path."""
    try:
        return Experiment.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(explain(error, Experiment), where=where) from None


def _faults(fields: Mapping[str, Any]) -> list[str]:
    """What is wrong with plain fields, each fault once."""
    try:
        Experiment.model_validate(fields)
    except ValidationError as error:
        return faults(error, Experiment)
    return []


def set_value(fields: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set one key path; a brick written as a name becomes a mapping when a field of it is set.

    Raises:
        ConfigError: a key on the way holds a value.
    """
    node, keys = fields, path.split(".")
    for key in keys[:-1]:
        child = node.get(key)
        child = {"name": child} if isinstance(child, str) else child
        if child is None:
            child = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{key!r} holds a value, not a section", where=where)
        node[key] = child
        node = child
    node[keys[-1]] = value


def by_path(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested sections as one mapping from key path to value."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        here = f"{path}{key}"
        found |= by_path(value, f"{here}.") if isinstance(value, Mapping) else {here: value}
    return found


def _apply(fields: dict[str, Any], override: str) -> None:
    """Set one `key.path=value`."""
    path, value = parse_override(override)
    set_value(fields, path, value, where=override)


def parse_override(override: str) -> tuple[str, Any]:
    """The key path and the value of `key.path=value`.

    Raises:
        ConfigError: it is not written so, or the value is no YAML.
    """
    path, separator, text = override.partition("=")
    path = path.strip()
    if not separator or not all(path.split(".")):
        raise ConfigError("an override is written key.path=value", where=override)
    try:
        return path, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not a YAML value: {text!r}", where=path) from error
