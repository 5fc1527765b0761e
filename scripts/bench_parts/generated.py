"""Questions of VQA v2's shapes: lengths, answers and images are drawn as they are distributed there; words are not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

WORDS, ANSWERS, LONGEST = 15_000, 3_000, 23
QUESTIONS_AN_IMAGE = 5.36
SCORES = np.array([0.0, 0.3, 0.6, 0.9] + [1.0] * 7, dtype=np.float32)


@dataclass(frozen=True)
class Shape:
    """One configuration.

    Attributes:
        positions, channels: of the features of an image.
        batch: questions a step.
        attention: two glimpses over the grid; pooled features are multiplied with the question instead.
        grouped: questions of an image stand together in a batch.
        encoder_only: nothing but the recurrent encoder.
        pixels: height and width of pictures that a ResNet-50 learns from; 0 where there are features.
    """

    positions: int
    batch: int
    channels: int = 2048
    attention: bool = False
    grouped: bool = False
    encoder_only: bool = False
    pixels: int = 0


SHAPES = {
    "grid": Shape(196, 128, attention=True),
    "grid-grouped": Shape(196, 128, attention=True, grouped=True),
    "pooled": Shape(1, 512),
    "encoder": Shape(1, 512, encoder_only=True),
    "encoder-128": Shape(1, 128, encoder_only=True),
}
PIXELS = Shape(1, 512, grouped=True, pixels=224)
"""End to end: pooled features of a CNN that learns, each picture once a batch."""


@dataclass(frozen=True)
class Questions:
    """Generated questions.

    Attributes:
        image: of each question.
        tokens, offsets: the words of question i are tokens[offsets[i]:offsets[i + 1]], from 1; 0 is padding.
        answer_id, weight: the acceptable answers of each, padded with −1 and 0.
    """

    image: np.ndarray
    tokens: np.ndarray
    offsets: np.ndarray
    answer_id: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.image)


def questions(images: int, seed: int = 0) -> Questions:
    """5.36 questions an image, at least three; 6.2 words a question in the mean, 23 at most; ten answers each."""
    random = np.random.default_rng(seed)
    count = round(QUESTIONS_AN_IMAGE * images)
    more = random.integers(0, images, count - 3 * images)
    image = np.sort(np.concatenate((np.repeat(np.arange(images), 3), more)))
    lengths = np.clip(np.rint(2 + random.gamma(4.0, 1.05, count)), 2, LONGEST).astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    tokens = 1 + _zipf(random, WORDS, int(offsets[-1]))
    answer_id, weight = _answers(random, count)
    return Questions(image, tokens.astype(np.int32), offsets, answer_id, weight)


def _zipf(random: np.random.Generator, kinds: int, count: int) -> np.ndarray:
    share = 1 / (np.arange(kinds) + 3.0)
    return random.choice(kinds, count, p=share / share.sum())


def _answers(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """One answer that most gave, and up to three others."""
    agreed = random.integers(3, 11, count)
    answer_id = np.full((count, 4), -1, dtype=np.int64)
    weight = np.zeros((count, 4), dtype=np.float32)
    answer_id[:, 0], weight[:, 0] = _zipf(random, ANSWERS, count), SCORES[agreed]
    for k in (1, 2, 3):
        said = agreed + k <= 10
        answer_id[said, k] = random.integers(0, ANSWERS, said.sum())
        weight[said, k] = SCORES[1]
    return answer_id, weight


def write_rows(path: Path, images: int, shape: Shape, seed: int = 1) -> None:
    """Features as public code keeps them: float16 [images, channels, positions], like those behind a ReLU."""
    import torch

    torch.manual_seed(seed)
    with path.open("wb") as file:
        for start in range(0, images, 64):
            block = torch.randn(min(64, images - start), shape.channels, shape.positions)
            file.write(block.relu_().half().numpy().tobytes())


def read_rows(path: Path, shape: Shape) -> np.ndarray:
    """The same as a memory map."""
    rows = np.memmap(path, dtype=np.float16, mode="r")
    return rows.reshape(-1, shape.channels, shape.positions)
