"""What is known of a published data set: counts, licence, where its files are."""

from __future__ import annotations

from dataclasses import dataclass

EVERY = ""
"""The split of a count that is of all splits together."""


@dataclass(frozen=True)
class Count:
    """How many questions, and where it is said how many pictures, a split has.

    Attributes:
        split: as the source names it; `EVERY` for the whole set.
        questions: the published number.
        images: pictures that questions are about; None where that is not said.
        to: the number is published rounded to so many: 1000 for "438K".
        verified: whether the number was read where it was published or counted from the files; else
            it is shown as unverified.
    """

    split: str
    questions: int
    images: int | None = None
    to: int = 1
    verified: bool = True

    def fits(self, questions: int, images: int) -> bool:
        """Whether counted numbers are the published ones."""
        rounded = round(questions / self.to) * self.to
        return rounded == self.questions and self.images in (None, images)


@dataclass(frozen=True)
class Remote:
    """A file at a public address.

    Attributes:
        url: http or https.
        name: what it is called here; no folder.
        size: bytes; None where it is not known.
        sha256, md5: checksums that others published for this address; None where none is known.
    """

    url: str
    name: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A published data set.

    Attributes:
        name: as `vqa download` and `vqa list datasets` call it.
        source: the source of `vqa prepare` that reads it.
        summary: what it is, one sentence.
        paper: who published it.
        licence: of questions and pictures, as far as it is known.
        page: where it is described.
        protocol: the one that its figures are usually given in.
        counts: the splits.
        counted: where the counts come from.
        files: what `vqa download` fetches by default.
        pictures: what it fetches beside them unless told not to; often much.
        prepare: what stands after `vqa prepare` once everything is unpacked in the current folder.
        generated: made by its source; no count is compared.
    """

    name: str
    source: str
    summary: str
    paper: str
    licence: str
    page: str
    protocol: str
    counts: tuple[Count, ...] = ()
    counted: str = ""
    files: tuple[Remote, ...] = ()
    pictures: tuple[Remote, ...] = ()
    prepare: str = ""
    generated: bool = False

    @property
    def downloads(self) -> bool:
        """Whether `vqa download` has it."""
        return bool(self.files or self.pictures)
