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


class WordVectors(Brick):
    """What all encoders of whole words share: a vector for each word.

    Attributes:
        embedding_dim: width of the word vectors.
        embedding_dropout: on the word vectors.
        vectors: a local text file of word vectors in GloVe's format (a word and its values a line) or
            fastText's (the same after a line with the count and the width).
        freeze_vectors: do not train the word vectors.
    """

    name: str
    embedding_dim: Width = 128
    embedding_dropout: Dropout = 0.0
    vectors: Path | None = None
    freeze_vectors: bool = False

    @model_validator(mode="after")
    def _check_vectors(self) -> WordVectors:
        if self.freeze_vectors and self.vectors is None:
            raise ValueError("freeze_vectors needs `vectors`: random ones would stay random")
        return self

    @property
    def tokenizer(self) -> None:
        """None: words of the training questions, one token each."""
        return


class Bag(WordVectors):
    """A bag of words: the mean or the sum of the word vectors; or their sum that forgets earlier words by and by.

    Paper: Zhou et al. 2015, Simple baseline for visual question answering; for `forgetting` Zhang et al. 2015, The
        fixed-size ordinally-forgetting encoding method (zₜ = α zₜ₋₁ + eₜ).

    Attributes:
        pooling: `mean`, `sum` or `forgetting` over the words.
        keep: α, what a word leaves of those before it, in `forgetting`.
        embedding_dim: width of the word vectors, and of the vector.
        embedding_dropout, vectors, freeze_vectors: see `WordVectors`.
    """

    name: Literal["bag"] = "bag"
    pooling: Literal["mean", "sum", "forgetting"] = "mean"
    keep: float = Field(default=0.5, gt=0, lt=1)
    embedding_dim: Width = 300

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
        from vqa.model.question_encoder.bag import BagOfWords

        return BagOfWords(self, words, vocabulary, pretrained=pretrained)


class Recurrent(WordVectors):
    """What the three recurrent encoders share: the state at each question's true end, or all states pooled.

    Attributes:
        dim: width of the state, for each direction.
        layers: one on top of another.
        bidirectional: also read from the end; both final states stand side by side.
        dropout: between layers and on the vector, and on the last states where an attention reads the words.
        pooling: `last`, the final state, or `attention`: the states weighed by themselves (Lin et al. 2017,
            A structured self-attentive sentence embedding).
        glimpses: independent sets of weights of `attention`; their means stand side by side.
        glimpse_hidden: width from which the weights of `attention` are computed.
        implementation: `torch`, its layers (cuDNN on a GPU); `packed`, ours over packed sequences; `auto`, the faster
            one: `packed` on a CPU. They differ by rounding alone.
        embedding_dim, embedding_dropout, vectors, freeze_vectors: see `WordVectors`.
    """

    dim: Width = 256
    layers: int = Field(default=1, ge=1, le=4)
    bidirectional: bool = False
    dropout: Dropout = 0.0
    pooling: Literal["last", "attention"] = "last"
    glimpses: int = Field(default=1, ge=1, le=64)
    glimpse_hidden: Width = 512
    implementation: Literal["auto", "torch", "packed"] = "auto"

    @model_validator(mode="after")
    def _check_glimpses(self) -> Recurrent:
        if self.glimpses > 1 and self.pooling != "attention":
            raise ValueError(f"{self.glimpses} glimpses need pooling=attention")
        return self

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
    """A vanilla recurrent network: h = tanh(W x + b + U h' + c).

    Paper: Elman 1990, Finding structure in time.
    """

    name: Literal["rnn"] = "rnn"


class GRU(Recurrent):
    """A gated recurrent unit, in cuDNN's form; skip-thought's has dim=2400, embedding_dim=620.

    Paper: Cho et al. 2014, Learning phrase representations using RNN encoder-decoder.
    """

    name: Literal["gru"] = "gru"


class LSTM(Recurrent):
    """Long short-term memory with a forget gate.

    Paper: Hochreiter and Schmidhuber 1997, Long short-term memory; Gers et al. 2000, Learning to forget.

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

    Paper: the named model's own.

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
    NoQuestion | Bag | RNN | GRU | LSTM | Transformers,
    Field(discriminator="name"),
    BeforeValidator(from_name),
]
