"""What an upload is asked and what it answers: content alone, and no path, address, archive or program."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vqa.data.record import NO_LABEL
from vqa.jobs.views import Title, View

SHA256 = r"^[0-9a-f]{64}$"
MOST_AT_ONCE = 2000
"""Examples of one piece."""
MOST_HASHES = 10_000
"""Pictures asked for at a time."""
SHOWN = 1000
"""Records that cannot be used, of which an answer tells."""
FARTHEST = 1 << 53
Hash = Annotated[str, Field(pattern=SHA256)]
Text = Annotated[str, Field(max_length=16_000)]
State = Literal["open", "making", "made", "refused", "failed"]


class UploadRequest(View):
    """What is about to come, as the manifest of the sender's store says it.

    Attributes:
        fingerprint: which the store that is made of it must have.
        source: what the store calls its source.
        questions, images: their numbers.
        bytes: of the pictures' files together, of each image its own: they stand in the store so.
        text_only: no picture is sent; one grey pixel stands for each.
    """

    fingerprint: Hash
    source: Title
    questions: int = Field(ge=1, lt=FARTHEST, strict=True)
    images: int = Field(ge=1, lt=FARTHEST, strict=True)
    bytes: int = Field(ge=0, lt=FARTHEST, strict=True)
    text_only: bool = Field(default=False, strict=True)


class Sent(View):
    """A canonical example; see `vqa.data.record.Example`."""

    question_id: Text
    image_id: Text
    question: Text
    answers: list[Text] = Field(default=[])
    choices: list[Text] = Field(default=[])
    label: int = Field(default=NO_LABEL, ge=NO_LABEL, lt=FARTHEST, strict=True)
    question_type: Text = ""
    answer_type: Text = ""
    split: Text = "train"


class Piece(View):
    """Examples in the store's order.

    Attributes:
        first: how many stand before them.
        pictures: for the image id of each of them the SHA-256 of its picture's file; empty for a text-only store.
    """

    first: int = Field(ge=0, lt=FARTHEST, strict=True)
    examples: list[Sent] = Field(min_length=1, max_length=MOST_AT_ONCE)
    pictures: dict[Text, Hash] = Field(default={}, max_length=MOST_AT_ONCE)


class Hashes(View):
    """Pictures by the SHA-256 of their files."""

    sha256: list[Hash] = Field(max_length=MOST_HASHES)


class Unusable(View):
    """A record that cannot be used; see `vqa.data.record.BadRow`."""

    where: str
    reason: str


class UploadView(View):
    """How far an upload has come.

    Attributes:
        state: `open` takes what is sent; `making` a store of it; `made`; `refused`, what was sent is gone; `failed`,
            what was sent is kept and finishing can be tried again.
        questions, pictures, bytes: what has come; bytes are those of pictures.
        done: questions that have gone into the store being made.
        error: why it was refused or has failed.
        unusable: the first records that cannot be used.
        unusable_in_all: how many those are.
    """

    store: str
    user: str
    state: State
    fingerprint: str
    questions: int = 0
    pictures: int = 0
    bytes: int = 0
    done: int = 0
    error: str = ""
    unusable: list[Unusable] = Field(default=[])
    unusable_in_all: int = 0


class Deleted(View):
    """What deleting a store has freed, in bytes."""

    store: str
    bytes: int
