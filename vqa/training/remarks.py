"""What a run says before its first step: that it begins, and what a person should know of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

import torch

import vqa
from vqa.idle import idle
from vqa.model.question_encoder.embedding import WordEmbedding
from vqa.training.hardware import named
from vqa.training.result import git_commit
from vqa.training.session import Session

BY_LABEL = ("auto", "multiple-choice/1", "visual7w/1")
"""Protocols by which a question is scored as validation scores it where its right choice is known."""


def tell_beginning(session: Session, step: int, *, resumed: bool) -> None:
    """Note that a life of the run begins; the first one tells what there is to know of the run."""
    now = roundings(session.device)
    said = changes(session.run.roundings(), now) if resumed else remarks(session)
    told = list(said)
    session.run.event(
        "resumed" if resumed else "started",
        step=step,
        steps=session.plan.steps,
        pid=os.getpid(),
        precision=session.experiment.trainer.precision,
        word_rules=session.materials.word_rules,
        roundings=now,
    )
    for remark in told:
        session.warn(remark)
    _tell_coverage(session)


def roundings(device: torch.device) -> dict[str, str]:
    """All that decides how sums are rounded, beside the experiment."""
    commit = (git_commit() or "")[:7]
    program = f"{vqa.__version__} ({commit})" if commit else vqa.__version__
    return {"vqa": program, "torch": torch.__version__, "device": named(device)}


def changes(before: Mapping[str, str] | None, now: Mapping[str, str]) -> Iterator[str]:
    """What a run is told that goes on otherwise than it was computed so far; nothing where all is as it was."""
    if before is None:
        what = "an older program computed it so far"
    else:
        differing = (key for key in now if now[key] != before.get(key))
        what = "; ".join(f"{key} {now[key]}, before {before.get(key)}" for key in differing)
    if what:
        yield (
            f"it goes on otherwise than it began ({what}): its weights may differ in their last digits from those of"
            " a run without a break"
        )


def remarks(session: Session) -> Iterator[str]:
    """Settings that do nothing or cannot, scores that mislead, questions that are left out."""
    materials, experiment = session.materials, session.experiment
    table, protocol = materials.validation, experiment.evaluation.protocol
    yield from idle(experiment, validated=table is not None)
    warmup, steps = experiment.optimizer.schedule.warmup_steps, session.plan.steps
    if warmup >= steps:
        yield (
            f"optimizer.schedule.warmup_steps={warmup}, and the run has {steps} steps: the learning rate"
            " never comes to optimizer.lr — shorten the warm-up, train longer (trainer.max_epochs)"
            " or by smaller batches (data.batch_size)"
        )
    if materials.splits.caution:
        yield materials.splits.caution
    if table is not None and protocol not in BY_LABEL and (table.label >= 0).any():
        yield (
            "between epochs, where the best checkpoint is chosen, questions whose right choice is known score"
            f" as under multiple-choice/1; {protocol} scores the run at its end"
        )
    if materials.untaught:
        reads, whole = experiment.model.reads_choices, materials.untaught + len(materials.train)
        lack = "choices of which one is known to be right" if reads else "an answer"
        yield f"train: {materials.untaught:,} of {whole:,} questions have not {lack}, and are left out"
    if experiment.trainer.early_stopping.patience and table is None:
        yield (
            "trainer.early_stopping needs a validation split, and this run has none: it trains to its end"
            " (data.validation_split names one)"
        )


def _tell_coverage(session: Session) -> None:
    """Say how many words came from each file of word vectors, and note it in the run's events."""
    for part in session.model.network.modules():
        if isinstance(part, WordEmbedding) and part.coverage is not None:
            told = part.coverage
            session.run.event("vectors", file=told.path.name, found=told.found, words=told.words)
            print(f"vqa: {told.line()}", file=sys.stderr)
