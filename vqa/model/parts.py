"""What the network asks of each kind of brick: one abstract module a family."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from vqa.model.types import Attended, Choices, EncodedText, Targets


class ImageEncoder(nn.Module):
    """Pictures to a grid of vectors.

    Attributes:
        dim: values in each vector.
        grid: height and width of the grid, for the image size that it was built for.
        learning_rate: its own learning rate, None where it shares the network's.
    """

    dim: int
    grid: tuple[int, int]
    learning_rate: float | None = None

    @property
    def positions(self) -> int:
        """Number of vectors a picture."""
        return self.grid[0] * self.grid[1]

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """[images, 3, height, width] in 0…1 to [images, positions, dim], positions row by row."""

    def kept(self, rows: Tensor) -> Tensor:
        """What was kept of pictures to [images, positions, dim]; by default that is what `forward` once gave."""
        return rows

    def folded(self) -> ImageEncoder:
        """What gives the same grids to rounding, and sooner, while nothing is learnt; by default itself."""
        return self


class QuestionEncoder(nn.Module):
    """Packed word ids to one vector a text.

    Attributes:
        dim: values in the vector.
        learning_rate: its own learning rate, None where it shares the network's.
        words_are_read: an attention reads each word's state, too.
    """

    dim: int
    learning_rate: float | None = None
    words_are_read: bool = False

    @property
    def word_dim(self) -> int:
        """Values in the state of each word; by default as many as in the vector."""
        return self.dim

    @abstractmethod
    def forward(self, words: PackedSequence) -> EncodedText:
        """Packed ids to vectors in the order of the batch."""


class Attention(nn.Module):
    """A grid and a question to one vector a question; `dim` values long.

    It receives the whole encoded question, so that an attention over words fits the same place.
    """

    dim: int

    @abstractmethod
    def forward(self, grid: Tensor, question: EncodedText, image_of_question: Tensor) -> Attended:
        """[images, positions, channels] and each question's image to [batch, dim]."""

    def loss(self, attended: Attended, losses: Tensor) -> Tensor | None:
        """What it adds to a batch's loss to learn from; None where the gradient through `vector` is all.

        Args:
            attended: what it returned for the batch, in training.
            losses: each question's own loss.
        """
        return None


class Fusion(nn.Module):
    """An image vector and a question vector to one; `dim` values long."""

    dim: int

    @abstractmethod
    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """[batch, image_dim] and [batch, question_dim] to [batch, dim]."""


class Head(nn.Module):
    """The fused vector to scores, and scores to a loss."""

    @abstractmethod
    def forward(
        self, fused: Tensor, choice_vectors: Tensor | None, choices: Choices | None
    ) -> Tensor:
        """Raw scores: [batch, answers] or [choices]."""

    @abstractmethod
    def losses(self, scores: Tensor, targets: Targets, choices: Choices | None) -> Tensor:
        """Each question's loss, [batch]; those that teach nothing count as zero."""

    @abstractmethod
    def choice_scores(self, scores: Tensor, choices: Choices) -> Tensor:
        """The score of each choice, −inf for one that the head cannot say."""
