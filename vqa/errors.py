"""The one exception tree.

VQAError                    exit 1: the program's own failure
├── InputError              exit 2: something that the user gave is wrong
│   ├── ConfigError         an experiment file or an override
│   ├── DataError           a source file, one of its records, an image, a store
│   ├── ResultError         a result, question or annotation file that is to be scored
│   ├── RunError            a run directory
│   ├── JobError            a job, or what is asked of one
│   └── ModelError          an exported model, weights, word vectors
├── EngineError             exit 1: what runs the jobs cannot be reached, or refuses
├── DownloadError           exit 1: a public file cannot be fetched, or is not what it should be
└── TrainingError           exit 1: training could not go on
    └── NonFiniteLossError  the loss became NaN or infinite
"""

from __future__ import annotations

from collections.abc import Iterator

BEFORE_FIX = " — "
"""In the text of an error, between what is wrong and what the user can do."""


class VQAError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        what: what is wrong, one clause.
        where: file, record or configuration key.
        fix: what the user can do.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        message = f"{where}: {what}" if where else what
        super().__init__(f"{message}{BEFORE_FIX}{fix}" if fix else message)


class InputError(VQAError):
    """Something that the user gave is wrong; the command exits with 2."""

    exit_code = 2


class ConfigError(InputError):
    """An experiment file or an override does not fit the schema."""


class DataError(InputError):
    """A source file, one of its records, an image or a store cannot be used."""


class ResultError(InputError):
    """A result, question or annotation file cannot be scored."""


class RunError(InputError):
    """A run directory is in no state for what was asked."""


class ModelError(InputError):
    """An exported model, a weight file or a word-vector file cannot be used."""


class JobError(InputError):
    """A job cannot be submitted, or is in no state for what was asked of it.

    Args:
        kind: `invalid`, `not-found`, `conflict`, `forbidden`, `quota` or `disk-full`; an HTTP API answers by it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", kind: str = "invalid") -> None:
        super().__init__(what, where=where, fix=fix)
        self.kind = kind
        if kind == "disk-full":  # nothing that was given is wrong
            self.exit_code = 1


class EngineError(VQAError):
    """An engine cannot be reached, or refuses a task.

    Args:
        temporary: it cannot be reached now; the same call may do later.
    """

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", temporary: bool = False
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.temporary = temporary


class DownloadError(VQAError):
    """A public file or data set cannot be fetched, or what came is not what it should be."""


class TrainingError(VQAError):
    """Training could not go on."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it came of, and so on; libraries wrap the system's word."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def first_line(error: Exception) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
