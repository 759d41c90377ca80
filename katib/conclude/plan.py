"""Defines the plan of an Experiment of fixed runs, which an annotation of that Experiment holds. Pure: no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from katib.defects import defects
from katib.errors import ManifestError
from katib.manifest.object import PLAN, Manifest
from katib.table.trial_table import TrialTable
from katib.text import count
from katib.trial import ENDED

RUN = "run"
"""The parameter whose values are the runs."""
LONGEST_NAME = 40

Purpose = Literal["confirm", "arch", "extend"]


class Source(BaseModel):
    """A trial that a run goes on from: its run directory as pods see it, its seed, epochs and value."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    trial: str
    run_dir: str
    seed: int
    epochs: int
    value: float


class Group(BaseModel):
    """One configuration that is trained with every seed; with a `source` it goes on from there, with that seed alone.

    `known` holds the values of runs that have been made before, by seed; `mean` and `sd` are the search's estimate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    configuration: dict[str, str]
    known: dict[int, float] = {}
    mean: float | None = None
    sd: float | None = None
    source: Source | None = None

    @property
    def control(self) -> bool:
        """Whether it is trained by the trainer's defaults, without a setting of the search, to be compared with."""
        return not self.configuration and self.source is None

    def word(self, seed: int) -> str:
        """Returns the run with `seed`, as the trial's parameter has it."""
        settings = {**self.configuration, "seed": str(seed)}
        if self.source is not None:
            settings["continue_from"] = self.source.run_dir
        return ",".join(f"{name}={text}" for name, text in settings.items())


class FollowUpPlan(BaseModel):
    """The plan of an Experiment of fixed runs.

    `seen` holds the seeds that the search ran with, `baseline` the values to beat, by seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    purpose: Purpose
    search: str
    seeds: tuple[int, ...]
    seen: tuple[int, ...] = ()
    groups: tuple[Group, ...]
    baseline: dict[int, float] = {}
    field: str = ""
    """The field of the model that an architecture sweep varies."""
    epochs: int | None = None
    """The epochs of each run; None: those of the search."""
    train_limit: int | Literal["all"] | None = None
    """The mixtures that each run trains on; None: those of the search."""

    @property
    def name(self) -> str:
        """The name of its Experiment."""
        return experiment_name(self.search, purpose_name(self.purpose, self.epochs or self.train_limit))

    @property
    def text(self) -> str:
        """The plan as JSON, which is as it was before sizes where it has none."""
        return self.model_dump_json(exclude={"train_limit"} if self.train_limit is None else None)

    @property
    def words(self) -> list[str]:
        """The runs that are missing, the first group's first."""
        return [group.word(seed) for group in self.groups for seed in self.seeds_of(group) if seed not in group.known]

    @property
    def control(self) -> Group | None:
        """The control group; None where values are given to compare with, or nothing is."""
        return next((group for group in self.groups if group.control), None)

    def seeds_of(self, group: Group) -> tuple[int, ...]:
        """Returns the seeds with which a group is trained."""
        return self.seeds if group.source is None else (group.source.seed,)

    def values(self, table: TrialTable | None) -> list[dict[int, float]]:
        """Returns the values of each group by seed: those known before, and those of the runs that have succeeded."""
        ended = {row.assignments.get(RUN): row.value for row in (table.finished if table else ())}
        return [
            {
                seed: value
                for seed in self.seeds_of(group)
                if (value := group.known.get(seed, ended.get(group.word(seed)))) is not None
            }
            for group in self.groups
        ]

    def deviations(
        self,
        seeds: Sequence[int] | None = None,
        baseline: Mapping[int, float] | None = None,
        top: int | None = None,
    ) -> Iterator[str]:
        """Yields where this plan, which stays as it is, differs from what a user asks for; None asks for nothing."""
        if seeds is not None and self.seeds != tuple(seeds):
            yield f"'{self.name}' was planned with seeds {','.join(map(str, self.seeds))}, which it keeps"
        if baseline is not None and self.baseline != baseline:
            yield f"'{self.name}' was planned with another baseline, which it keeps"
        if top is not None and len(self.groups) != top:
            yield f"'{self.name}' was planned with {count(len(self.groups), 'configuration')}, which it keeps"

    def outstanding(self, table: TrialTable | None) -> int:
        """Returns how many planned runs have not ended."""
        ended = {row.assignments.get(RUN) for row in (table.rows if table else ()) if row.state in ENDED}
        return sum(word not in ended for word in self.words)


def purpose_name(purpose: Purpose, size: int | str | None = None) -> str:
    """Returns the end of an Experiment's name: what it is for, and the epochs or mixtures where they are others."""
    return purpose if size is None else f"{purpose}-{size}"


def experiment_name(search: str, purpose: str) -> str:
    """Returns the name of the Experiment that follows from `search`, within Katib's 40 characters."""
    return f"{search[: LONGEST_NAME - len(purpose) - 1].rstrip('-')}-{purpose}"


def plan_of(manifest: Manifest) -> FollowUpPlan | None:
    """Returns the plan of an Experiment of fixed runs; None for any other Experiment."""
    text = manifest.annotations.get(PLAN)
    if text is None:
        return None
    try:
        return FollowUpPlan.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"annotation {PLAN}: {defects(error, FollowUpPlan)}") from None
