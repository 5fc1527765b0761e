"""Question encoders: how words become one vector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from vqa.model.brick import Brick, Dropout, LearningRate, Width, from_name

if TYPE_CHECKING:
    from vqa.model.parts import QuestionEncoder


class NoQuestion(Brick):
    """The question is not read: one constant vector. The image-only baseline."""

    name: Literal["none"] = "none"

    @property
    def tokenizer(self) -> None:
        """None: any word ids will do."""
        return

    def build(
        self, words: int, vocabulary: Sequence[str] | None = None, *, pretrained: bool = True
    ) -> QuestionEncoder:
        """The module."""
        from vqa.model.question_encoder.none import ConstantQuestion

        del words, vocabulary, pretrained
        return ConstantQuestion()


class Recurrent(Brick):
    """What the three recurrent encoders share: the final state at each question's true end.

    Attributes:
        dim: width of the state, for each direction.
        layers: one on top of another.
        bidirectional: also read from the end; both final states stand side by side.
        dropout: between layers and on the final state.
        embedding_dim: width of the word vectors.
        embedding_dropout: on the word vectors.
        vectors: a local text file of word vectors, GloVe's format: a word and its values a line.
        freeze_vectors: do not train the word vectors.
    """

    name: str
    dim: Width = 256
    layers: int = Field(default=1, ge=1, le=4)
    bidirectional: bool = False
    dropout: Dropout = 0.0
    embedding_dim: Width = 128
    embedding_dropout: Dropout = 0.0
    vectors: Path | None = None
    freeze_vectors: bool = False

    @model_validator(mode="after")
    def _check(self) -> Recurrent:
        if self.freeze_vectors and self.vectors is None:
            raise ValueError("freeze_vectors needs `vectors`: random ones would stay random")
        return self

    @property
    def tokenizer(self) -> None:
        """None: words of the training questions, one token each."""
        return

    @property
    def initial_forget_bias(self) -> float | None:
        """None: there is no forget gate to set."""
        return None

    def build(
        self, words: int, vocabulary: Sequence[str] | None = None, *, pretrained: bool = True
    ) -> QuestionEncoder:
        """The module for a vocabulary of this many words.

        Args:
            words: number of word ids.
            vocabulary: the word of each id; needed for `vectors`.
            pretrained: False leaves the word vectors to a state dict that is loaded afterwards.

        Raises:
            ModelError: the word vectors cannot be read or do not fit.
        """
        from vqa.model.question_encoder.recurrent import RecurrentEncoder

        return RecurrentEncoder(self, words, vocabulary, pretrained=pretrained)


class RNN(Recurrent):
    """A vanilla recurrent network: h = tanh(W x + b + U h' + c)."""

    name: Literal["rnn"] = "rnn"


class GRU(Recurrent):
    """A gated recurrent unit (Cho et al. 2014), in cuDNN's form."""

    name: Literal["gru"] = "gru"


class LSTM(Recurrent):
    """Long short-term memory with a forget gate (Gers et al. 2000).

    Attributes:
        forget_bias: the forget gate's bias at the start, the sum of torch's two; a positive one
            lets early gradients through (Jozefowicz et al. 2015).
    """

    name: Literal["lstm"] = "lstm"
    forget_bias: float = Field(default=1.0, ge=-10, le=10)

    @property
    def initial_forget_bias(self) -> float | None:
        """The forget gate's bias at the start."""
        return self.forget_bias


class Transformers(Brick):
    """A text encoder of `transformers`, by local path or name.

    Attributes:
        model: a folder with configuration, weights and tokenizer, or a name on Hugging Face's hub.
        pooling: `cls`, the first token's vector, or the `mean` over the tokens.
        frozen: keep the weights as they are, dropout off.
        lr: its own learning rate.
    """

    name: Literal["transformers"] = "transformers"
    model: str = Field(min_length=1)
    pooling: Literal["cls", "mean"] = "mean"
    frozen: bool = False
    lr: LearningRate | None = None

    @model_validator(mode="after")
    def _check(self) -> Transformers:
        if self.frozen and self.lr is not None:
            raise ValueError("a frozen encoder has no learning rate: drop `lr` or `frozen`")
        return self

    @property
    def tokenizer(self) -> str:
        """Where its own tokenizer is: the same path or name."""
        return self.model

    def build(
        self, words: int, vocabulary: Sequence[str] | None = None, *, pretrained: bool = True
    ) -> QuestionEncoder:
        """The module.

        Args:
            words: number of token ids; no more than the model knows.
            vocabulary: not needed.
            pretrained: False reads the configuration alone and leaves the weights to a state dict.

        Raises:
            ModelError: the model cannot be loaded or does not fit.
        """
        from vqa.model.question_encoder.transformers import TransformersEncoder

        del vocabulary
        return TransformersEncoder(self, words, pretrained=pretrained)


AnyRecurrent = Annotated[RNN | GRU | LSTM, Field(discriminator="name"), BeforeValidator(from_name)]
AnyQuestionEncoder = Annotated[
    NoQuestion | RNN | GRU | LSTM | Transformers,
    Field(discriminator="name"),
    BeforeValidator(from_name),
]
