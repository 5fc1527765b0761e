"""What the server knows of ablations: groups of jobs with their runs, studies made behind, curves and scores kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vqa.ablation.chance import CHANCE, MAJORITY
from vqa.ablation.derive import places_of
from vqa.ablation.members import SUCCEEDED, Member, chance_is_wanted, of_job
from vqa.ablation.shelf import Rendered
from vqa.ablation.standing import left_out_now, standing
from vqa.ablation.study import Options
from vqa.ablation.verdict import Verdict, verdict
from vqa.ablation.worker import kept_runs
from vqa.evaluation.disagreement import Disagreement, Lines
from vqa.evaluation.protocols import PROTOCOLS
from vqa.jobs.groups import jobs_of
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import Job
from vqa.server.opened import Recent
from vqa.server.studies import Studies, StudyState
from vqa.tracking.curves import Band, CurveCache, seed_band
from vqa.tracking.names import recent_names
from vqa.tracking.tags import Place

MOST_STUDIES, MOST_LINES = 16, 4
Study = Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """A group of jobs as it stands now.

    Attributes:
        members, places: of the jobs, in their order.
        state: what there is of its study.
        study: the finished study, or an earlier one; what the results alone say where there is none.
    """

    name: str
    jobs: Sequence[Job]
    members: Sequence[Member]
    places: Sequence[Place]
    state: StudyState
    study: Study

    @property
    def version(self) -> str:
        """Another one whenever the study is."""
        kept = self.state.study
        return (
            f"{kept.folder.name}-{self.state.status}"
            if kept
            else f"{self._ended}-{self.state.status}"
        )

    @property
    def _ended(self) -> int:
        return sum(member.status == SUCCEEDED for member in self.members)

    @cached_property
    def left_out(self) -> list[dict[str, Any]]:
        """Runs that are not in the figures, with the reason."""
        if self.state.status == "ready":
            return list(self.study["left_out"])
        return left_out_now(self.members, self.places)

    @cached_property
    def runs(self) -> dict[str, list[Path]]:
        """Variant → its runs with a journal, finished or not."""
        found: dict[str, list[Path]] = {}
        for member, place in zip(self.members, self.places, strict=True):
            if (member.path / "metrics.jsonl").is_file():
                found.setdefault(place.variant, []).append(member.path)
        return found


@dataclass(frozen=True)
class Choice:
    """What a group's study may be made with.

    Attributes:
        variants: of the grid first; with what may be computed beside them (the study has one of the two).
        splits: for which there are predictions.
        protocols: by which runs were scored, and those by which the same runs could be.
    """

    variants: tuple[str, ...]
    splits: tuple[str, ...]
    protocols: tuple[str, ...]


class Ablations:
    """Groups of a home. One object serves any number of threads."""

    def __init__(
        self, home: Home, service: LocalService, studies: Studies, curves: CurveCache
    ) -> None:
        self._home, self._service, self._studies, self._curves = home, service, studies, curves
        self._read: Recent[Study] = Recent(MOST_STUDIES)
        self._lines: Recent[Lines] = Recent(MOST_LINES)

    def group(self, name: str, options: Options) -> Group:
        """A group as it stands now.

        Raises:
            JobError: there is none.
        """
        jobs, members, places = self.members(name)
        state = self._studies.get(name, options)
        study = self._study(state.study) if state.study else None
        if study is None:  # not made yet, or put away a moment ago
            study, state = standing(name, members, places), replace(state, study=None)
        return Group(name, jobs, members, places, state, study)

    def members(self, name: str) -> tuple[list[Job], list[Member], list[Place]]:
        """Its jobs, and what their runs say.

        Raises:
            JobError: there is none.
        """
        jobs = jobs_of(self._service.queue, name)
        members = [of_job(job, self._home) for job in jobs]
        return jobs, members, places_of(members)

    def best(self, name: str) -> Verdict | None:
        """The best variant of a group so far, by the results alone."""
        _, members, places = self.members(name)
        return verdict(standing(name, members, places))

    def choice(self, name: str) -> Choice:
        """What its study may be made with.

        Raises:
            JobError: there is no such group.
        """
        _, members, places = self.members(name)
        return choice_of(members, places)

    def state(self, name: str, options: Options) -> StudyState:
        """See `Studies.get`."""
        return self._studies.get(name, options)

    def _study(self, kept: Rendered) -> Study | None:
        """The study without its long lists of questions; read once. None where it is gone."""
        key = str(kept.folder), kept.made
        try:
            return self._read.get(key, lambda: _without_lists(kept.to_json()))
        except OSError:
            return None

    def bands(self, group: Group, metric: str, variants: Sequence[str]) -> dict[str, Band]:
        """A metric over the seeds of each variant that has it."""
        runs = {name: group.runs[name] for name in variants if name in group.runs}
        journals = [path / "metrics.jsonl" for paths in runs.values() for path in paths]
        curves = iter(self._curves.read_all(journals, {metric}))
        found = {}
        for name, paths in runs.items():
            band = seed_band([next(curves) for _ in paths], metric)
            if band is not None:
                found[name] = band
        return found

    def metrics(self, group: Group) -> list[str]:
        """Names that the journals have, those of validation first."""
        journals = [paths[0] / "metrics.jsonl" for paths in group.runs.values()]
        return recent_names(journals)

    def disagreement(
        self, group: Group, a: str, b: str, seed: int | None, options: Options
    ) -> Disagreement:
        """What one variant gets right and the other wrong.

        Args:
            seed: of one run of each; all runs of both where None.

        Raises:
            InputError: a run cannot be read, or they are not of the same questions.
        """
        kept = kept_runs(self._home, options)
        left, right = (
            [kept.held(path) for path in self._paths(group, name, seed)] for name in (a, b)
        )
        return Disagreement(left, right)

    def _paths(self, group: Group, variant: str, seed: int | None) -> list[Path]:
        """The runs behind a variant's figures; their places are the home's, whatever a file says."""
        row = next(row for row in group.study["variants"] if row["name"] == variant)
        pairs = zip(row["runs"], row["seeds"], strict=True)
        return [
            self._home.run_dir(Path(run).name) for run, own in pairs if seed is None or own == seed
        ]

    def lines(self, path: Path) -> Lines:
        """A file of questions, ready to be read from anywhere."""
        state = path.stat()
        return self._lines.get((str(path), state.st_ino, state.st_size), lambda: Lines(path))


def choice_of(members: Sequence[Member], places: Sequence[Place]) -> Choice:
    """What a study of these runs may be made with."""
    ended = [one for one in members if one.status == SUCCEEDED]
    ordered = sorted(places, key=lambda place: place.baseline is not None)
    beside = (CHANCE, MAJORITY) if chance_is_wanted(places) else ()
    splits = {file.stem for one in ended for file in (one.path / "predictions").glob("*.jsonl")}
    used = {str(one.result["protocol"]) for one in ended if one.result.get("protocol")}
    return Choice(
        tuple(dict.fromkeys([*(place.variant for place in ordered), *beside])),
        tuple(sorted(splits)),
        tuple(name for name in PROTOCOLS if name in used or _is_alike(name, used)),
    )


def _is_alike(protocol: str, used: set[str]) -> bool:
    """Whether it is another dialect of one by which runs were scored."""
    return any(protocol.partition("/")[0] == one.partition("/")[0] for one in used)


def _without_lists(study: dict[str, Any]) -> Study:
    for test in study["comparisons"]:
        for name in ("only_a_right", "only_b_right"):
            test[name] = len(test[name])
    return study
