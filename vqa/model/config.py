"""The model's part of an experiment. Nothing here imports torch before `build`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from vqa.model.attention import AnyAttention, CoAttention, ConvGRU, FiLM, NoAttention
from vqa.model.brick import Brick
from vqa.model.fusion import AnyFusion, ImageAlone, Multiply
from vqa.model.head import AnyHead, Chooser, Classifier
from vqa.model.image_encoder import AnyImageEncoder, Regions, Small
from vqa.model.question_encoder import LSTM, AnyQuestionEncoder, Recurrent

if TYPE_CHECKING:
    from vqa.model.network import Network
    from vqa.model.parts import Attention, ImageEncoder, QuestionEncoder


@dataclass(frozen=True)
class Sizes:
    """What the data decide about a network.

    Attributes:
        image_height, image_width: of the pictures, in pixels.
        words: number of word ids.
        answers: size of the answer vocabulary.
        vocabulary: the word of each id; needed for word vectors alone.
    """

    image_height: int
    image_width: int
    words: int
    answers: int
    vocabulary: tuple[str, ...] = ()


class ModelConfig(Brick):
    """One brick of each kind.

    Attributes:
        image_encoder: picture → grid; `none` gives the question-only baseline.
        question_encoder: question → vector; `none` gives the image-only baseline.
        attention: grid and question → image vector.
        fusion: image vector and question vector → one.
        head: → scores over the answer vocabulary, or over each question's choices.
        coordinates: put each position's x and y behind its channels.
        octaves: put sines and cosines of each position's x and y behind its channels, of so many frequencies.
        initialization: how the fully connected layers of attention, fusion and head begin: as torch's, or as He
            et al. 2015 advise for ReLU, about six times the variance.
    """

    image_encoder: AnyImageEncoder = Small()
    question_encoder: AnyQuestionEncoder = LSTM()
    attention: AnyAttention = NoAttention()
    fusion: AnyFusion = Multiply()
    head: AnyHead = Classifier()
    coordinates: bool = False
    octaves: int = Field(default=0, ge=0, le=16)
    initialization: Literal["torch", "he"] = "torch"

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        shared = isinstance(self.head, Chooser) and self.head.encoder == "shared"
        if shared and self.question_encoder.name == "none":
            raise ValueError(
                "head: a chooser that shares question_encoder=none cannot read the choices;"
                " give it its own, such as head={name: chooser, encoder: lstm}"
            )
        self._check_that_all_is_read()
        if isinstance(self.image_encoder, Regions):
            self._check_that_no_grid_is_needed()
        return self

    def _check_that_all_is_read(self) -> None:
        """Refuse bricks of which a part would go unread: it would never learn."""
        words, attention = self.question_encoder, self.attention
        if isinstance(self.fusion, ImageAlone):
            if isinstance(attention, NoAttention) and words.name != "none":
                raise ValueError(
                    "fusion: `image` takes the image vector alone, and attention=none has not read the question;"
                    " use another attention or fusion, or question_encoder=none"
                )
            if isinstance(attention, CoAttention):
                raise ValueError(
                    "fusion: `image` leaves out the question vector that co_attention makes; use another fusion"
                )
        pooled = isinstance(words, Recurrent) and words.pooling == "attention"
        by_word = isinstance(attention, ConvGRU) and isinstance(self.fusion, ImageAlone)
        if pooled and (by_word or isinstance(attention, CoAttention)):
            raise ValueError(
                f"attention: {attention.name} reads the words itself, and question_encoder.pooling=attention would"
                " go unread; use pooling=last"
            )

    def _check_that_no_grid_is_needed(self) -> None:
        """Refuse what asks for neighbours or for places on a grid, of which regions have none."""
        attention = self.attention
        if isinstance(attention, FiLM) or (isinstance(attention, ConvGRU) and attention.kernel > 1):
            raise ValueError(
                f"attention: {attention.name} convolves over a grid, and image_encoder=regions gives a set; use another"
                " attention"
            )
        for name in ("coordinates", "octaves"):
            if getattr(self, name):
                raise ValueError(
                    f"{name}: regions stand on no grid; image_encoder.boxes=true puts each one's place behind it"
                )

    @property
    def reads_choices(self) -> bool:
        """Whether the data must have choices."""
        return isinstance(self.head, Chooser)

    def build(self, sizes: Sizes, *, pretrained: bool = True) -> Network:
        """The network for data of these sizes, with weights from torch's current random state.

        Args:
            sizes: what the data decide.
            pretrained: False reads no weight or vector file: a state dict is loaded afterwards.

        Raises:
            ModelError: a file cannot be used, or the bricks do not fit the sizes.
        """
        from vqa.model.layers import initialize_he
        from vqa.model.network import Network

        image_size = (sizes.image_height, sizes.image_width)
        image_encoder = self.image_encoder.build(image_size, pretrained=pretrained)
        question_encoder = self.question_encoder.build(
            sizes.words, sizes.vocabulary or None, pretrained=pretrained
        )
        choice_encoder = self._choice_encoder(sizes, pretrained)
        attention = self._build_attention(image_encoder, question_encoder)
        fusion = self.fusion.build(attention.dim, question_encoder.dim)
        choice_dim = (choice_encoder or question_encoder).dim
        head = self.head.build(fusion.dim, sizes.answers, choice_dim)
        if self.initialization == "he":
            for part in (attention, fusion, head):
                part.apply(initialize_he)
        return Network(
            image_encoder,
            question_encoder,
            attention,
            fusion,
            head,
            coordinates=self.coordinates,
            octaves=self.octaves,
            choices_are_read=self.reads_choices,
            choice_encoder=choice_encoder,
        )

    def _build_attention(self, images: ImageEncoder, questions: QuestionEncoder) -> Attention:
        """The attention, which reads the question word by word or as one vector."""
        image_dim = images.dim + 2 * self.coordinates + 4 * self.octaves
        by_word = questions.words_are_read = isinstance(self.attention, CoAttention | ConvGRU)
        asked = questions.word_dim if by_word else questions.dim
        return self.attention.build(image_dim, images.grid, asked)

    def _choice_encoder(self, sizes: Sizes, pretrained: bool) -> QuestionEncoder | None:
        """The chooser's own encoder."""
        if not isinstance(self.head, Chooser) or self.head.encoder == "shared":
            return None
        return self.head.encoder.build(sizes.words, sizes.vocabulary or None, pretrained=pretrained)
