"""vqa evaluate RUN [--store STORE] [--split S] [--protocol NAME]"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.commands.find import own_run
from vqa.garbage import no_collection

if TYPE_CHECKING:
    from vqa.config import Experiment
    from vqa.data.store import Store
    from vqa.evaluation.multiple_choice import OutOfVocabulary
    from vqa.evaluation.predict import Exam
    from vqa.evaluation.predictions import Prediction
    from vqa.evaluation.result import EvaluationResult
    from vqa.export import VQAModel

EPILOG = """
The predictions stand in RUN/predictions/SPLIT.jsonl, the figures in RUN/evaluations/SPLIT.json;
what training wrote to RUN/result.json stays as it is.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("run", type=own_run, help="a finished run, or its job")
    add("--store", type=Path, help="another store than the one it was trained on")
    add("--split", help="the split that is scored (default: as the experiment says)")
    add(
        "--protocol",
        metavar="NAME",
        help="for example multiple-choice/1 (default: fits the data)",
    )
    add(
        "--out-of-vocabulary",
        choices=("mask", "count-wrong"),
        help="what a choice that a classifier cannot say gets",
    )
    add("--batch-size", type=int, help="questions a forward pass; changes no figure")
    add(
        "--audit",
        action="store_true",
        help="also score with pictures exchanged, words shuffled, questions exchanged and choices "
        "in other orders; calibration",
    )
    add(
        "--baselines",
        action="store_true",
        help="also score what training answers alone would give, without network or picture",
    )
    _add_outputs(parser)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--report", type=Path, metavar="HTML", help="write a page with figures and samples")
    add(
        "--submission",
        type=Path,
        metavar="FILE",
        help="write the answers as a leaderboard takes them (VQA, GQA, Visual7W); with --questions",
    )
    add(
        "--questions",
        type=Path,
        metavar="FILE",
        help="the official question file that the submission answers",
    )
    add("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Score a trained model and print the figures."""
    fields = evaluate(args)
    if args.json:
        print(json.dumps(fields, ensure_ascii=False, indent=2))
        return 0
    from vqa.evaluation.audit_text import audit_text, baseline_text, rules_text
    from vqa.evaluation.table import figures_text

    parts = [figures_text(fields)]
    if "overall" in fields:
        parts.append(rules_text(fields))
    if "baselines" in fields:
        parts.append(baseline_text(fields["baselines"]))
    if "audit" in fields:
        parts.append(audit_text(fields["audit"]))
    print("\n\n".join(parts))
    return 0


@no_collection()
def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Predict every question of the split once, score it, write the files that were asked for."""
    from vqa.training.process import settle

    settle()
    from vqa.evaluation.evaluate import has_truth, write_evaluation
    from vqa.evaluation.predict import predict
    from vqa.evaluation.predictions import scores_digest

    job = _open(args)
    file = job.file("predictions", "jsonl")
    exam = job.exam(args.batch_size)
    predictions = predict(exam, job.store)
    if has_truth(predictions):
        predictions, fields = _scored(args, job, exam, predictions)
        fields["scores_sha256"] = scores_digest(predictions)
    else:
        note = f"split {job.split} has no answers: nothing was scored; predictions stand in {file}"
        fields = {"n": len(predictions), "notes": [note]}
    fields |= {"split": job.split, "data_fingerprint": job.store.fingerprint}
    if args.submission is not None:
        fields["submission"] = _submit(args, job, predictions)
    write_evaluation(job.file("evaluations", "json"), fields, file, predictions)
    return fields


@dataclass(frozen=True)
class Job:
    """A trained model before a split of a store.

    Attributes:
        run: the run directory.
        experiment: how the run was trained.
        own_store: whether the store is the experiment's own.
    """

    run: Path
    experiment: Experiment
    model: VQAModel
    store: Store
    split: str
    own_store: bool

    def exam(self, batch_size: int | None) -> Exam:
        """The model before the split's questions."""
        from vqa.evaluation.evaluate import open_exam
        from vqa.training.hardware import choose_device

        return open_exam(
            self.model,
            self.store,
            self.split,
            batch_size=batch_size or self.experiment.evaluation.batch_size,
            device=choose_device(self.experiment.trainer),
        )

    def file(self, folder: str, ending: str) -> Path:
        """A file of this evaluation in the run; another store's is named after its content.

        Raises:
            DataError: no file can be called as the split.
        """
        from vqa.data.check import file_stem

        stem = file_stem(self.split)
        if not self.own_store:
            stem = f"{stem}-{self.store.fingerprint[:12]}"
        return self.run / folder / f"{stem}.{ending}"


def _open(args: argparse.Namespace) -> Job:
    """Read the run, its model and the store; refuse what cannot be done before anything is computed."""
    from vqa.data.store import Store
    from vqa.evaluation.evaluate import check_asked
    from vqa.export import load
    from vqa.training.directory import RunDirectory
    from vqa.training.splits import choose_splits

    _check(args)
    directory = RunDirectory(args.run)
    experiment = directory.experiment()
    model = load(directory.path)
    store = Store.open(args.store or experiment.data.store)
    store.check_examples()
    split = args.split or choose_splits(store, experiment).evaluation
    rows = store.rows(split)
    if store.fingerprint != model.data_fingerprint:
        print("vqa: note: this is not the store that the model was trained on", file=sys.stderr)
    _check_truth(args, store, split)
    if args.questions is not None:
        check_asked(args.questions, store.column("question_id", rows), split)
    return Job(directory.path, experiment, model, store, split, args.store is None)


def _check(args: argparse.Namespace) -> None:
    from vqa.errors import InputError
    from vqa.evaluation.protocols import check_protocol

    if args.batch_size is not None and args.batch_size < 1:
        raise InputError("must be at least 1", where="--batch-size")
    if args.protocol not in (None, "auto"):
        check_protocol(args.protocol)
    if (args.submission is None) != (args.questions is None):
        raise InputError(
            "a submission is checked against the official question file before it is written",
            where="--submission",
            fix="give --submission FILE and --questions FILE together",
        )


def _check_truth(args: argparse.Namespace, store: Store, split: str) -> None:
    """Refuse what needs right answers where they are withheld."""
    from vqa.errors import InputError

    wanted = {"--audit": args.audit, "--baselines": args.baselines, "--report": args.report}
    asked = [name for name, value in wanted.items() if value]
    rows = store.rows(split)
    known = any(store.column("answers", rows)) or max(store.column("label", rows)) >= 0
    if asked and not known:
        raise InputError(
            f"split {split} has no answers, so there is nothing to score",
            where=asked[0],
            fix="choose a split whose answers are known with --split",
        )


def _scored(
    args: argparse.Namespace, job: Job, exam: Exam, predictions: list[Prediction]
) -> tuple[list[Prediction], dict[str, Any]]:
    """The scored predictions and the figures, with audit, baselines and page where they were asked for."""
    from vqa.evaluation.evaluate import score

    settings = job.experiment.evaluation
    policy = args.out_of_vocabulary or settings.out_of_vocabulary
    protocol = args.protocol or settings.protocol
    result = score(predictions, protocol, policy, vocabulary=job.model.answers)
    fields = result.to_json()
    if args.baselines:
        fields["baselines"] = _baselines(job, result, policy)
    if args.audit:
        fields["audit"] = _audit(job, exam, result, policy)
    if args.report is not None:
        _report(args.report, job, result, fields)
    return result.predictions, fields


def _audit(
    job: Job, exam: Exam, result: EvaluationResult, policy: OutOfVocabulary
) -> dict[str, Any]:
    from vqa.evaluation.audit import Audit

    tokenizer, scored = job.model.tokenizer, result.predictions
    return Audit(exam, job.store, tokenizer, scored, result.protocol, policy).report()


def _baselines(job: Job, result: EvaluationResult, policy: OutOfVocabulary) -> dict[str, Any]:
    """Baselines fit on the split that the model was trained on."""
    from vqa.data.store import Store
    from vqa.evaluation.baselines import score_baselines
    from vqa.evaluation.predict import questions_of

    data = job.experiment.data
    store = job.store if job.own_store else Store.open(data.store)
    training = questions_of(store, store.rows(data.train_split))
    fit = {"fit_on": data.train_split, "training_questions": len(training)}
    return fit | score_baselines(training, result.predictions, result.protocol, policy)


def _report(path: Path, job: Job, result: EvaluationResult, fields: dict[str, Any]) -> None:
    from vqa.evaluation.audit_text import alteration_lines, audit_lines, baseline_lines
    from vqa.evaluation.report_html import write_report
    from vqa.evaluation.report_pictures import report_pictures

    details = {"run": job.run.name, "split": job.split, **result.details}
    if "audit" in fields:
        details |= alteration_lines(fields["audit"]) | audit_lines(fields["audit"])
    if "baselines" in fields:
        details |= baseline_lines(fields["baselines"])
    pictures = report_pictures(job.model, job.store, job.split)
    write_report(path, replace(result, details=details), result.predictions, pictures)
    print(f"vqa: the report stands in {path}", file=sys.stderr)


def _submit(args: argparse.Namespace, job: Job, predictions: list[Prediction]) -> dict[str, Any]:
    from vqa.evaluation.evaluate import guessed
    from vqa.evaluation.submission import write_submission

    ready, guesses = guessed(predictions)
    layout = write_submission(args.submission, ready, args.questions, split=job.split)
    told = f", {guesses} of them guessed: no choice can be said" if guesses else ""
    text = f"{len(ready)} answers in the {layout} layout stand in {args.submission}{told}"
    print(f"vqa: {text}", file=sys.stderr)
    return {"layout": layout, "file": str(args.submission), "n": len(ready), "guessed": guesses}
