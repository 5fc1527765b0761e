"""The exported model: a folder that answers questions alone, and refuses to when a part of it does not fit."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from PIL import Image
from torch import Tensor

from vqa.asked import check_text, check_words, encoded_picture, region_row
from vqa.config import Experiment, parse_experiment
from vqa.data.batches import Batch, gather_choices, pack
from vqa.data.cache.features import AUTOCAST
from vqa.data.image import check_image, decode_image
from vqa.data.table import build_choices
from vqa.data.text import AnswerVocabulary, QuestionTokenizer
from vqa.errors import ModelError
from vqa.evaluation.attention_map import painted
from vqa.evaluation.predict import PROBABILITY_LOSS, Predictor, read_output
from vqa.model.config import ModelConfig, Sizes
from vqa.model.head import Classifier
from vqa.model.image_encoder import Backbone, Regions
from vqa.model.network import Network
from vqa.model.question_encoder import Transformers
from vqa.model.types import Targets
from vqa.outputs import make_folder, naming, sha256_of, sync, sync_all

FORMAT_VERSION = 1
WEIGHTS, EXPERIMENT, TOKENIZER, ANSWERS = (
    "weights.safetensors",
    "experiment.yaml",
    "tokenizer.json",
    "answers.json",
)
PARTS = (WEIGHTS, EXPERIMENT, TOKENIZER, ANSWERS)
LIBRARY_CONFIGS = {"question_encoder": "text_encoder", "image_encoder": "image_backbone"}
"""Folders with the configuration of an encoder of `transformers`, where the model has one."""


@dataclass(frozen=True)
class Answer:
    """What a model says to a question.

    Attributes:
        answer: the best answer or choice; None where a classifier's vocabulary holds none of the choices.
        confidence: its probability by the model.
        top: the likeliest answers with their probabilities, or every choice with its own.
        attention: for each glimpse the weight of each place of the grid, [glimpses, rows, columns]; of regions the
            weight that lies on each place of a fine grid; None without attention, or on regions without boxes.
        words: the question as the model read it.
    """

    answer: str | None
    confidence: float | None
    top: list[tuple[str, float]]
    attention: np.ndarray | None
    words: list[str]


class VQAModel:
    """A trained model with everything that it needs to answer.

    Attributes:
        experiment: how it was trained.
        tokenizer, vocabulary: words and answers as numbers.
        data_fingerprint: of the store that it learnt from.
        regions_fingerprint: of the regions there; None where it reads pictures.
    """

    def __init__(
        self,
        network: Network,
        experiment: Experiment,
        tokenizer: QuestionTokenizer,
        vocabulary: AnswerVocabulary,
        data_fingerprint: str,
        regions_fingerprint: str | None = None,
    ) -> None:
        self.network, self.experiment = network, experiment
        self.tokenizer, self.vocabulary = tokenizer, vocabulary
        self.data_fingerprint, self.regions_fingerprint = data_fingerprint, regions_fingerprint

    @property
    def answers(self) -> AnswerVocabulary | None:
        """What a classifier can say; None for a model that picks among choices."""
        return None if self.experiment.model.reads_choices else self.vocabulary

    def predictor(self, device: torch.device | None = None) -> Predictor:
        """The network on `device`, with the precision that it was trained with."""
        device = device or torch.device("cpu")
        head = self.experiment.model.head
        independent = isinstance(head, Classifier) and head.loss == PROBABILITY_LOSS
        autocast = AUTOCAST.get(self.experiment.trainer.precision)
        policy = self.experiment.evaluation.out_of_vocabulary
        return Predictor(self.network.to(device), device, autocast, independent, policy)

    def ask(
        self,
        image: str | Path | bytes | Image.Image | np.ndarray,
        question: str,
        choices: Sequence[str] | None = None,
        *,
        regions: str | Path | Tensor | None = None,
    ) -> Answer:
        """Answer a question about a picture.

        Args:
            image: a file, its bytes, a Pillow image, or an array of pixels, uint8 [height, width, 3].
            question: the question, in words.
            choices: the candidates, a list of texts, where one of several is to be picked.
            regions: what a detector found in it, for a model that reads regions: a file with this one picture (see
                `vqa prepare regions`; fewer regions than the model reads are filled up with zeros), or a row as a
                store keeps it, [regions, values].

        Raises:
            ModelError: the question or a choice is empty, overlong or no text, the choices are one text, the picture is
                none of these, the model needs choices, or regions and has none.
            DataError: the picture or its regions cannot be read.
        """
        check_words(question, choices)
        options = self._options(choices or ())
        predictor = self.predictor()
        images = self._images(image, regions)
        batch = self._batch(images.to(predictor.device), question, options)
        output = predictor.ask(batch)
        said = read_output(predictor, batch, output, [options], self.vocabulary)[0]
        top = said.top or _ranked(options, said.choice_scores)
        attention = None if output.attention is None else self._maps(output.attention[0], images[0])
        return Answer(said.answer, said.confidence, top, attention, self.tokenizer.tokens(question))

    def _maps(self, weights: Tensor, seen: Tensor) -> np.ndarray | None:
        """Attention weights [glimpses, positions] over the picture: [glimpses, rows, columns].

        Args:
            seen: the picture, or its regions, as the network took them.
        """
        values, encoder = weights.float().cpu().numpy(), self.experiment.model.image_encoder
        if isinstance(encoder, Regions):
            return painted(values, seen[:, encoder.dim :].float().numpy())
        return values.reshape(len(weights), *self.network.image_encoder.grid)

    def _options(self, choices: Sequence[str]) -> list[str]:
        """The candidates as text, where they suit the model."""
        if self.experiment.model.reads_choices and not choices:
            raise ModelError(
                "this model picks among choices", where="choices", fix="give two or more"
            )
        options = [str(choice) for choice in choices]
        for option in options:
            check_text(option, "choices", "a choice")
        if len(set(options)) < len(options):
            raise ModelError("a choice stands twice", where="choices", fix="give each once")
        return options

    def _images(
        self,
        image: str | Path | bytes | Image.Image | np.ndarray,
        regions: str | Path | Tensor | None,
    ) -> Tensor:
        """The one picture as the network takes it: pixels [1, 3, height, width], or regions [1, regions, values]."""
        data, encoder = self.experiment.data, self.experiment.model.image_encoder
        where = str(image) if isinstance(image, str | Path) else "image"
        encoded = encoded_picture(image)
        if isinstance(encoder, Regions):
            check_image(encoded, where=where)
            return region_row(self.experiment, encoder, regions)[None]
        if regions is not None:
            raise ModelError("this model reads pictures, not regions", where="regions")
        pixels = decode_image(encoded, size=data.image_size, resize=data.resize, where=where)
        return torch.from_numpy(pixels).permute(2, 0, 1)[None]

    def _batch(self, images: Tensor, question: str, choices: list[str]) -> Batch:
        device = images.device
        index = np.zeros(1, dtype=np.int64)
        table = build_choices([choices], self.tokenizer, self.vocabulary)
        nothing = torch.full((1, 1), -1, device=device)
        return Batch(
            index=index,
            images=images,
            image_of_question=torch.zeros(1, dtype=torch.int64, device=device),
            words=pack(self.tokenizer.encode([question]), index, device),
            text_of_question=torch.zeros(1, dtype=torch.int64, device=device),
            choices=None if table is None else gather_choices(table, index, device),
            targets=Targets(nothing, torch.zeros((1, 1), device=device), nothing[0]),
        )

    def save(self, path: Path) -> None:
        """Write the model's folder whole, replacing what stood there; it survives a power cut from then on.

        Raises:
            OSError: it cannot be written; names `path`.
        """
        with naming(path):
            make_folder(path.parent)
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            temporary.mkdir()
            try:
                self._write(temporary)
                sync_all(temporary)
                if path.exists():
                    shutil.rmtree(path)
                temporary.replace(path)
                sync(path.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _write(self, path: Path) -> None:
        state = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self.network.state_dict().items()
        }
        _save_weights(state, path / WEIGHTS)
        (path / EXPERIMENT).write_text(self.experiment.to_yaml(), encoding="utf-8")
        self.tokenizer.save(path / TOKENIZER)
        self.vocabulary.save(path / ANSWERS)
        folders = _config_folders(self.experiment.model)
        for part, folder in folders.items():
            getattr(self.network, part).network.config.save_pretrained(path / folder)
        data = self.experiment.data
        manifest = {
            "format_version": FORMAT_VERSION,
            "data_fingerprint": self.data_fingerprint,
            "regions_fingerprint": self.regions_fingerprint,
            "transform": {"image_size": list(data.image_size), "resize": data.resize},
            "normaliser": self.vocabulary.normaliser,
            "sha256": {name: sha256_of(path / name) for name in _parts(folders.values())},
        }
        (path / "model.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _save_weights(state: dict[str, Tensor], file: Path) -> None:
    """Write a state; what safetensors says of the system's errors becomes one again.

    It makes files for their owner alone: this one gets the mode that any new file has here.
    """
    file.touch()
    mode = stat.S_IMODE(file.stat().st_mode)
    try:
        safetensors.torch.save_file(state, file)
        file.chmod(mode)
    except safetensors.SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(file)) from error


def load(path: Path | str) -> VQAModel:
    """Load an exported model, or the model of a run directory.

    Raises:
        ModelError: the folder holds no model, a part of it was changed, or the parts do not fit each other.
    """
    path = Path(path)
    if not (path / "model.json").exists() and (path / "model" / "model.json").exists():
        path = path / "model"
    manifest = _manifest(path)
    experiment = _experiment(path / EXPERIMENT)
    tokenizer, vocabulary = (
        QuestionTokenizer.load(path / TOKENIZER),
        AnswerVocabulary.load(path / ANSWERS),
    )
    height, width = experiment.data.image_size
    sizes = Sizes(height, width, len(tokenizer), len(vocabulary))
    network = _local(experiment.model, path).build(sizes, pretrained=False)
    try:
        network.load_state_dict(safetensors.torch.load_file(path / WEIGHTS))
    except (RuntimeError, OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"the weights do not fit ({error})", where=str(path / WEIGHTS)) from error
    network.eval()
    fingerprint, regions = str(manifest["data_fingerprint"]), manifest.get("regions_fingerprint")
    return VQAModel(network, experiment, tokenizer, vocabulary, fingerprint, regions)


def _manifest(path: Path) -> dict[str, Any]:
    file = path / "model.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        version, sums = manifest["format_version"], manifest["sha256"]
        folders = [name for name in LIBRARY_CONFIGS.values() if f"{name}/config.json" in sums]
        names = _parts(folders)
        changed = [name for name in names if sha256_of(path / name) != sums[name]]
    except FileNotFoundError as error:
        raise ModelError(
            "no exported model here"
            if error.filename == str(file)
            else f"{Path(error.filename).name} is missing",
            where=str(path),
            fix="give a finished run's directory or its model/ folder",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a model's manifest ({error})", where=str(file)) from None
    if version != FORMAT_VERSION:
        raise ModelError(
            f"model format {version}, this program reads {FORMAT_VERSION}", where=str(path)
        )
    if changed:
        raise ModelError(
            f"changed since it was exported: {', '.join(changed)}",
            where=str(path),
            fix="export again",
        )
    return dict(manifest)


def _parts(folders: Iterable[str]) -> tuple[str, ...]:
    """The files of a model that its manifest vouches for."""
    return (*PARTS, *(f"{folder}/config.json" for folder in folders))


def _config_folders(model: ModelConfig) -> dict[str, str]:
    """The encoders that are built from a configuration of their own, and the folder of each."""
    encoders = {"question_encoder": Transformers, "image_encoder": Backbone}
    return {
        part: LIBRARY_CONFIGS[part]
        for part, kind in encoders.items()
        if isinstance(getattr(model, part), kind)
    }


def _local(model: ModelConfig, path: Path) -> ModelConfig:
    """The same bricks, with such configurations read from the model's own folder."""
    local = {
        part: getattr(model, part).model_copy(update={"model": str(path / folder)})
        for part, folder in _config_folders(model).items()
    }
    if isinstance(model.image_encoder, Backbone):
        local["image_encoder"] = local["image_encoder"].model_copy(update={"settings": {}})
    return model.model_copy(update=local)


def _experiment(path: Path) -> Experiment:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"unreadable ({error})", where=str(path)) from None
    return parse_experiment(fields, where=str(path))


def _ranked(choices: list[str], scores: list[float | None]) -> list[tuple[str, float]]:
    """Every sayable choice with its probability, best first."""
    sayable = [
        (choice, score) for choice, score in zip(choices, scores, strict=False) if score is not None
    ]
    if not sayable:
        return []
    probabilities = torch.tensor([score for _, score in sayable]).softmax(0).tolist()
    ranked = zip((choice for choice, _ in sayable), probabilities, strict=True)
    return sorted(ranked, key=lambda pair: -pair[1])
