"""A seeded split by image, laid over any source: no picture stands in two splits."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

from vqa.data.record import BadRow, Row, Source
from vqa.errors import InputError

EXAMPLE = "write shares that add up to 1, as in train=0.8,val=0.1,test=0.1"


@dataclass(frozen=True)
class SplitByImage:
    """`source` with its splits drawn anew, by image id.

    Images are ordered by a hash of seed and id and cut at the shares, so that the sizes are exact
    to one image and the draw depends on the ids and the seed alone, not on their order. The source
    is read twice.

    Args:
        source: any source; its own splits are forgotten.
        shares: share of the images of each split; they add up to 1.
        seed: any integer.

    Raises:
        InputError: a share below 0, a nameless split, or a sum other than 1.
    """

    source: Source
    shares: Mapping[str, float]
    seed: int = 0

    def __post_init__(self) -> None:
        shares = list(self.shares.values())
        if not all(self.shares) or not all(0 <= share <= 1 for share in shares):
            raise InputError(
                "a nameless split or a share outside 0 to 1", where="split", fix=EXAMPLE
            )
        if abs(sum(shares) - 1) > 1e-6:
            raise InputError(f"the shares add up to {sum(shares):g}", where="split", fix=EXAMPLE)

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows of the source in its order, each with its new split."""
        split = self._splits()
        for row in self.source.rows():
            if isinstance(row, Row):
                example = replace(row.example, split=split[row.example.image_id])
                row = replace(row, example=example)
            yield row

    def _splits(self) -> dict[str, str]:
        """The split of every image id."""
        rows = (row for row in self.source.rows() if isinstance(row, Row))
        drawn = sorted({row.example.image_id for row in rows}, key=self._rank)
        names = list(self.shares)
        ends = [round(end * len(drawn)) for end in accumulate(self.shares.values())]
        ends[-1] = len(drawn)
        return {image_id: names[bisect_right(ends, k)] for k, image_id in enumerate(drawn)}

    def _rank(self, image_id: str) -> bytes:
        return hashlib.sha256(f"{self.seed}/{image_id}".encode(errors="surrogatepass")).digest()


def parse_shares(text: str) -> dict[str, float]:
    """Read `train=0.8,val=0.1,test=0.1`.

    Raises:
        InputError: it cannot be read so.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        try:
            value = float(share)
        except ValueError:
            raise InputError(
                f"cannot read {part!r}", where="--split-by-image", fix=EXAMPLE
            ) from None
        if name in shares:
            raise InputError(f"split {name!r} occurs twice", where="--split-by-image", fix=EXAMPLE)
        shares[name] = value
    return shares
