"""Train one experiment into a run directory: `train(experiment, run_dir) -> Result`."""

from __future__ import annotations

import traceback
from contextlib import closing, suppress
from copy import copy
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import seed_everything

from vqa.config import Experiment, TrainerConfig
from vqa.data.memory import free_bytes
from vqa.data.text import WORD_RULES
from vqa.errors import ModelError, RunError, TrainingError, VQAError
from vqa.evaluation.evaluate import gather_predictions, has_truth, predict_split, score
from vqa.evaluation.predictions import Prediction, write_predictions
from vqa.export import VQAModel
from vqa.garbage import no_collection
from vqa.model.blueprint import blueprint
from vqa.tracking.journal import Journal
from vqa.tracking.mirrors import open_mirrors
from vqa.tracking.trackers import check_loggers
from vqa.training.checkpoints import Checkpoints, State
from vqa.training.directory import FAILED, SUCCEEDED, RunDirectory, RunLock
from vqa.training.disk import disk_full_message, is_disk_full
from vqa.training.display import Display
from vqa.training.distributed import Place, agree, share_statistics
from vqa.training.hardware import choose_device, require_devices, take_share, unseen_gpus
from vqa.training.launch import is_rank
from vqa.training.loop import Life, RunLoop
from vqa.training.materials import load_materials
from vqa.training.module import TrainingModule
from vqa.training.parent import train_on_devices
from vqa.training.pictures import as_begun
from vqa.training.precision import FAST, is_fast, settled
from vqa.training.process import give_back
from vqa.training.remarks import tell_beginning
from vqa.training.result import (
    Result,
    is_finished,
    result_of,
    training_figures,
    write_result,
)
from vqa.training.room import check_room
from vqa.training.session import Session, lightning, quiet
from vqa.training.signals import Stopped, StopSignals
from vqa.training.state import Progress

EXPECTED = (RuntimeError, OSError, ValueError, MemoryError)
"""What libraries raise where memory, files or values are not as they should be; its message says enough."""


def train(experiment: Experiment, run_dir: Path | str) -> Result:
    """Train, evaluate and export; go on where an earlier life of the same run stopped.

    Returns:
        How it ended; at once where the run had succeeded before.

    Raises:
        InputError: the experiment, its data or the directory cannot be used; nothing was begun.
        TrainingError: training failed; `result.json` says why.
    """
    run = RunDirectory(run_dir)
    if run.experiment_file.exists():
        run.create(experiment)  # refuses another experiment
        if is_finished(run):
            return result_of(run)
    check_loggers(experiment.tracking.loggers)
    processes = experiment.trainer.devices * experiment.trainer.num_nodes
    if processes == 1 or is_rank():
        train_here(experiment, run)
        return result_of(run)
    require_devices(experiment.trainer)  # bad input ends here, before anything is begun
    load_materials(experiment, run.word_rules() or WORD_RULES)
    run.create(experiment)
    return train_on_devices(experiment, run)


def train_here(experiment: Experiment, run: RunDirectory) -> str:
    """Train as this one process and return the status."""
    seed_everything(experiment.seed, verbose=False)
    session = _open(experiment, run)
    run.create(experiment)
    if not session.place.first:
        with StopSignals() as signals:
            return _live_or_stop(session, signals)
    with RunLock(run.path):
        run.forget_ending()
        run.reserve.keep()
        try:
            with StopSignals() as signals:
                return _live_or_stop(session, signals)
        except Exception as error:  # whatever it was, the run has an end
            failure = _failure(run, error)
            with suppress(OSError):  # the disk that it failed by may not take its end either
                _end(session, FAILED, error=str(failure))
            raise failure from error


def _failure(run: RunDirectory, error: Exception) -> VQAError:
    """An error in the words of this program."""
    if is_disk_full(error):
        return TrainingError(disk_full_message(run.path))
    if isinstance(error, VQAError):
        return error
    if not isinstance(error, EXPECTED):
        traceback.print_exception(error)  # a fault of this program
    return TrainingError(f"{type(error).__name__}: {error}", where=str(run.path))


def _open(experiment: Experiment, run: RunDirectory) -> Session:
    """Load the data and build the network; whatever is wrong with either shows here."""
    experiment = _settled(experiment, run)
    materials = load_materials(experiment, run.word_rules() or WORD_RULES)
    give_back()
    sizes = materials.sizes(experiment.data)
    if Place.here().first:  # the others' networks take of what is free meanwhile
        network = blueprint(experiment.model, sizes)
        check_room(network, experiment.optimizer, _free(experiment.trainer))
    try:
        network = experiment.model.build(sizes)
    except (RuntimeError, MemoryError) as error:
        raise ModelError(f"the network cannot be made ({error})", where="model") from error
    model = VQAModel(
        network,
        experiment,
        materials.tokenizer,
        materials.vocabulary,
        materials.store.fingerprint,
        materials.regions,
    )
    session = Session(experiment, run, materials, model, Place.here())
    session.check()
    return session


def _free(config: TrainerConfig) -> int:
    """Memory for one process of the run, in bytes; those on a CPU share the machine's."""
    device = choose_device(config)
    return free_bytes(device) // (config.devices if device.type == "cpu" else 1)


def _settled(experiment: Experiment, run: RunDirectory) -> Experiment:
    """Meet the other processes, and settle a precision of `auto`: what the run began with, or what all can do."""
    require_devices(experiment.trainer)
    place, device = Place.here(), choose_device(experiment.trainer)
    take_share(device)
    place.join(device)
    if experiment.trainer.precision != "auto":
        return experiment
    begun = run.precision()
    fast = is_fast(device) if begun is None else begun == FAST
    return settled(experiment, device, bool(place.least(fast, device)))


def _live_or_stop(session: Session, signals: StopSignals) -> str:
    """One life of a run, or as much of it as a signal leaves."""
    progress = Progress()
    try:
        return _live(session, signals, progress)
    except Stopped as stop:
        if session.place.first:
            _end(session, stop.status, progress=progress)
        return stop.status


def _live(session: Session, signals: StopSignals, progress: Progress) -> str:
    """Restore, train, and where training came to its end, evaluate and export; `progress` is kept up to date."""
    first, run = session.place.first, session.run
    checkpoints = Checkpoints(run.checkpoints, session.warn)
    if first:
        run.tidy()
        checkpoints.tidy()
    state = _trusted_state(session, checkpoints)
    if state is not None:
        progress.take(state["progress"])
    if first:
        checkpoints.settle_best(progress.best_step)
    if not session.place.same(progress.batches, session.device):
        raise RunError(
            "the processes of this run see different checkpoints",
            where=str(run.checkpoints),
            fix="see that every node reads the same files, and start it again",
        )
    if first:
        tell_beginning(session, progress.steps, resumed=state is not None)
    with closing(open_mirrors(session.experiment, run.path, enabled=first)) as mirrors:
        life = Life(session, progress, checkpoints, mirrors, signals)
        status = _fit(life, state)
        if status == SUCCEEDED:
            give_back()
            _conclude(life)
        elif first:
            _end(session, status, progress=progress)
    return status


def _fit(life: Life, state: State | None) -> str:
    """Train what is left of the stream."""
    session, progress = life.session, life.progress
    network, plan, first = session.model.network, session.plan, session.place.first
    if state is not None:
        network.load_state_dict(state["network"])
    if progress.stopped_early or progress.batches >= plan.batches:
        return SUCCEEDED
    module = TrainingModule(network, session.experiment, plan.steps, plan.batches_an_epoch)
    module.watch.question_ids = session.materials.question_ids
    module.batches = session.batches(progress)
    torch.manual_seed(session.experiment.seed + session.place.rank)
    with (
        closing(Journal(session.run.journal_file) if first else Journal.nowhere()) as journal,
        closing(Display(plan.steps, progress.steps, plan.epochs, enabled=first)) as display,
    ):
        if not journal.rewind(progress.journal_bytes):
            session.warn("the journal is shorter than the checkpoint says: some records are gone")
        loop = RunLoop(life, module, state, journal, display)
        with quiet(), unseen_gpus(session.device):
            lightning(session.experiment.trainer, session.device, loop, session.place).fit(module)
        done = progress.stopped_early or progress.batches >= plan.batches
        return SUCCEEDED if done else life.signals.agreed or FAILED


def _conclude(life: Life) -> None:
    """Take the best weights, evaluate, export, and say that the run succeeded; a signal ends it before that alone."""
    session, progress, signals = life.session, life.progress, life.signals
    model, run = session.model, session.run
    if session.place.world > 1:
        signals.status = agree(signals.status, session.device)
    signals.heed()
    best = life.checkpoints.best(progress.best_step)
    if best is not None:
        model.network.load_state_dict(best)
    elif progress.best is not None:
        session.warn("no checkpoint of the best weights can be trusted: the last are evaluated")
    if session.place.world > 1:
        share_statistics(model.network.to(session.device))
    split = session.materials.splits.evaluation
    with no_collection():
        predictions = _predictions(session, split)
        if not session.place.first:
            return
        evaluation = _score(session, split, predictions)
    model.network.to("cpu")
    model.save(run.model)
    life.mirrors.samples(model, session.materials.store, predictions)
    signals.heed()
    signals.note()
    result = _end(session, SUCCEEDED, progress=progress, evaluation=evaluation, split=split)
    life.mirrors.finish(result.fields)


def _predictions(session: Session, split: str) -> list[Prediction]:
    """Every process's predictions, joined in the first one."""
    store, place, model = session.materials.store, session.place, copy(session.model)
    model.experiment = as_begun(model.experiment, session.run)
    own = predict_split(
        model,
        store,
        split,
        batch_size=session.experiment.evaluation.batch_size,
        device=session.device,
        rank=place.rank,
        world=place.world,
    )
    order = store.column("question_id", store.rows(split))
    return gather_predictions(
        own, session.run.predictions_file(split), order, place.rank, place.world
    )


def _score(session: Session, split: str, predictions: list[Prediction]) -> dict[str, Any]:
    """The figures of `split`, or a note that its answers are withheld; writes the predictions file."""
    file, settings = session.run.predictions_file(split), session.experiment.evaluation
    if has_truth(predictions):
        policy, vocabulary = settings.out_of_vocabulary, session.model.answers
        found = score(predictions, settings.protocol, policy, file, vocabulary).to_json()
        cautions = filter(None, [session.materials.splits.caution])
        return found | {"notes": [*cautions, *found["notes"]]}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(file, predictions)
    return {"n": len(predictions), "notes": [f"split {split} has no answers: nothing was scored"]}


def _end(
    session: Session,
    status: str,
    *,
    progress: Progress | None = None,
    evaluation: dict[str, Any] | None = None,
    split: str | None = None,
    error: str | None = None,
) -> Result:
    found: dict[str, Any] = {} if error is None else {"error": error}
    found |= evaluation or {}
    found["split"] = split
    found["data_fingerprint"] = session.materials.store.fingerprint
    found["precision"] = session.experiment.trainer.precision
    if progress is not None:
        found["training"] = training_figures(progress)
    found["counts"] = session.counts()
    return write_result(session.run, session.run.experiment(), status, found)


def _trusted_state(session: Session, checkpoints: Checkpoints) -> State | None:
    """The state to go on from, which must be of the same data.

    Raises:
        RunError: it is not.
    """
    state, materials = checkpoints.last(), session.materials
    if state is None:
        return None
    store, count, fix = materials.store, len(materials.train), "train into another --run directory"
    if state["data_fingerprint"] != store.fingerprint:
        what = "the store has changed since this run began"
        raise RunError(what, where=str(store.path), fix=fix)
    if state.get("training_questions", count + materials.untaught) != count:
        raise RunError(
            "this run began on other training questions: an older program kept those that teach nothing",
            where=str(session.run.path),
            fix=fix,
        )
    if state.get("regions_fingerprint") != materials.regions:
        raise RunError(
            "the regions have changed since this run began",
            where=str(store.path),
            fix=f"{fix}, or bring in the regions that it began with",
        )
    return state
