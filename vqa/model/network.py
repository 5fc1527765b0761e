"""The composition: picture → grid → vector, question → vector, both → one → scores."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from vqa.model.parts import Attention, Fusion, Head, ImageEncoder, QuestionEncoder
from vqa.model.places import grid_coordinates, grid_waves
from vqa.model.types import Attended, Choices, EncodedText, Loss, Output, Targets


class Network(nn.Module):
    """Any image encoder with any question encoder, attention, fusion and head.

    Args:
        image_encoder, question_encoder, attention, fusion, head: the bricks, built to fit.
        coordinates: put each position's x and y, from −1 to 1, behind its channels.
        octaves: put sines and cosines of x and y behind its channels, so many frequencies of each.
        choices_are_read: the head wants the choices' vectors.
        choice_encoder: encodes the choices; None leaves them to the question encoder.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        question_encoder: QuestionEncoder,
        attention: Attention,
        fusion: Fusion,
        head: Head,
        *,
        coordinates: bool = False,
        octaves: int = 0,
        choices_are_read: bool = False,
        choice_encoder: QuestionEncoder | None = None,
    ) -> None:
        super().__init__()
        self.image_encoder, self.question_encoder = image_encoder, question_encoder
        self.attention, self.fusion, self.head = attention, fusion, head
        self.choice_encoder, self.choices_are_read = choice_encoder, choices_are_read
        places = [grid_coordinates(image_encoder.grid)] if coordinates else []
        waves = [grid_waves(image_encoder.grid, octaves)] if octaves else []
        behind = torch.cat(places + waves, dim=2) if places + waves else None
        self.register_buffer("places", behind, persistent=False)

    places: Tensor | None

    def forward(
        self,
        images: Float[Tensor, "images 3 height width"] | Float[Tensor, "images positions channels"],
        image_of_question: Int[Tensor, " batch"],
        words: PackedSequence,
        choices: Choices | None = None,
        text_of_question: Int[Tensor, " batch"] | None = None,
    ) -> Output:
        """Scores for a batch of questions.

        Args:
            images: the batch's pictures, each once, in 0…1; or what was kept of them, where the image encoder has
                encoded them before.
            image_of_question: for every question the place of its picture in `images`.
            words: the word ids of the batch's texts.
            choices: the questions' choices, where the head reads them.
            text_of_question: for every question the place of its text in `words`; None where the texts
                are the questions. The same text is encoded once, with one dropout mask.
        """
        encoder = self.image_encoder
        grid = encoder.kept(images) if images.ndim == 3 else encoder(images)
        return self.answer(grid, image_of_question, words, choices, text_of_question)

    def answer(
        self,
        grid: Float[Tensor, "images positions channels"],
        image_of_question: Int[Tensor, " batch"],
        words: PackedSequence,
        choices: Choices | None = None,
        text_of_question: Int[Tensor, " batch"] | None = None,
    ) -> Output:
        """As `forward`, from pictures that the image encoder has encoded before."""
        if self.places is not None:
            grid = torch.cat((grid, self.places.to(grid.dtype).expand(len(grid), -1, -1)), dim=2)
        text: EncodedText = self.question_encoder(words)
        if text_of_question is not None:
            vector = text.vector.index_select(0, text_of_question)
            text = text._replace(vector=vector, text_of_question=text_of_question)
        attended: Attended = self.attention(grid, text, image_of_question)
        question = text.vector if attended.question is None else attended.question
        fused = self.fusion(attended.vector, question)
        scores = self.head(fused, self._choice_vectors(choices), choices)
        return Output(scores, attended, text)

    def loss(self, output: Output, targets: Targets, choices: Choices | None) -> Loss:
        """What `output` costs, in the mean over the batch's questions.

        Args:
            output: what `forward` returned for the batch.
            targets: what is right.
            choices: as in `forward`.
        """
        losses = self.head.losses(output.scores, targets, choices)
        answers, added = losses.mean(), self.attention.loss(output.attended, losses)
        return Loss(answers, answers if added is None else answers + added)

    def _choice_vectors(self, choices: Choices | None) -> Tensor | None:
        if choices is None or not self.choices_are_read:
            return None
        encoder = self.choice_encoder or self.question_encoder
        text: EncodedText = encoder(choices.words)
        return text.vector

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """What the optimiser trains: one group a learning rate, frozen parameters left out.

        Args:
            lr: the learning rate of every part that has none of its own.
        """
        groups = [{"name": "network", "lr": lr, "params": [*self._shared_parameters()]}]
        for name in ("image_encoder", "question_encoder"):
            part: ImageEncoder | QuestionEncoder = getattr(self, name)
            if part.learning_rate is not None:
                trained = [p for p in part.parameters() if p.requires_grad]
                groups.append({"name": name, "lr": part.learning_rate, "params": trained})
        return [group for group in groups if group["params"]]

    def matrices(self) -> set[nn.Parameter]:
        """The parameters that map vectors to vectors: no word vectors, no kernels, and not the last of the head."""
        words = {p for m in self.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        found = [p for p in self.parameters() if p.ndim == 2 and p not in words]
        last = [p for p in self.head.parameters() if p.ndim == 2][-1:]
        return set(found) - set(last)

    def _shared_parameters(self) -> list[nn.Parameter]:
        apart: set[nn.Parameter] = set()
        for part in (self.image_encoder, self.question_encoder):
            if part.learning_rate is not None:
                apart.update(part.parameters())
        return [p for p in self.parameters() if p.requires_grad and p not in apart]
