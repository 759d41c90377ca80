"""Reads a spec, the short YAML per model that says what is searched (katib/specs/), into a frozen `Spec`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from katib.defects import defects, hyphenated, spelled
from katib.document import Image, Strict, load
from katib.errors import ManifestError, SpecError, nearest
from katib.ranges import Range, Value, text_of
from katib.spec_command import RUN_DIR, WORD, WORDED, Command, Metric, command_problems, placeholders
from katib.spec_parts import Algorithm, Architecture, Baseline, EarlyStopping, Setting, Stage, require_ascending
from katib.stop_settings import CONFIGURATIONS, ETA, IN_SPEC, NEEDED, PROMOTE, RUNGS, default_rungs, rungs, settings_of
from katib.trainer_contract import METRIC
from katib.untrusted import clean
from katib.yaml_reader import YamlError, read_documents

ALL = "all"
SERIES = ("convtasnet", "dprnn", "sepformer", "spmamba")
SPECS = Path(__file__).parent / "specs"
ENDINGS = (".yaml", ".yml")
TRAIN_LIMIT, WARM_START = "train_limit", "warm_start"
LEARNING = ("bayesianoptimization", "tpe", "multivariate-tpe")
"""The algorithms with the setting warm_start."""

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Word = Annotated[str, spelled(rf"({WORD})?", WORDED)]
LONGEST_NAME = 40
Name = Annotated[
    str,
    spelled(
        r"[a-z]([-a-z0-9]*[a-z0-9])?",
        "have lower-case letters, digits and '-' only, begin with a letter, not end with '-', and have at most 40"
        " characters",
        longest=LONGEST_NAME,
        near=hyphenated(LONGEST_NAME, "a-z"),
    ),
]


class Spec(Strict):
    """A search: the model, its budget, what varies (`search`), what does not (`fixed`), and the baseline to beat.

    In place of the `model` it may have the `command` of a trainer of one's own, with the `metric` that this prints.
    """

    name: Name
    model: Word = ""
    command: Command | None = None
    metric: Metric | None = None
    image: Image | None = None
    """The image of the command on a cluster; None: that of the site."""
    resume: bool = False
    """Whether the command goes on where it was when it is started again in its {run_dir}, and so may be retried."""
    wandb: bool = False
    """Whether the command reports its metric to W&B under its name, as a sweep needs it."""
    trials: Count
    epochs: Count
    hours_per_run: float = Field(gt=0)
    epochs_with_patience: float | None = Field(default=None, gt=0)
    """The epochs that patience is expected to leave of a trial that nothing else stops; None if that is not known."""
    max_failed_trials: Count
    gpu_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The GPU-hours after which the search ends; None: it has as many as its trials take."""
    gpus: int | None = Field(default=None, ge=1, le=64)
    """The GPUs of a trial, among which a model of ours shares each batch; None: as many as the site says."""
    algorithm: Algorithm
    early_stopping: EarlyStopping
    baseline: Baseline | None = None
    next_phase: Architecture | None = None
    stages: list[Stage] = Field(default_factory=list)
    """Searches one after the other, on more and more mixtures; none: one search on what `fixed` says."""
    search: dict[str, Range] = Field(min_length=1)
    first_suggestions: list[dict[str, Value]] = Field(default_factory=list)
    fixed: dict[str, Setting] = Field(default_factory=dict)

    @property
    def trained(self) -> str:
        """The model, or the name of the search of a command."""
        return self.model or self.name

    @property
    def objective(self) -> tuple[str, str]:
        """The metric and which of its values are better, maximize or minimize."""
        return (self.metric.name, self.metric.direction) if self.metric else (METRIC, "maximize")

    @property
    def data(self) -> dict[str, Any]:
        """The keys with their values, as a file may have them: one without stages does not have that key."""
        return self.model_dump(exclude=None if self.stages else {"stages"})

    @property
    def pauses(self) -> bool:
        """Whether a trial that is stopped early may go on as another one."""
        return self.early_stopping.name == PROMOTE

    @property
    def stop_settings(self) -> Mapping[str, str]:
        """The settings of the stop rule as a manifest has them, with those that promote takes from the spec."""
        given = self.early_stopping.given
        if not self.pauses:
            return given
        return {RUNGS: default_rungs(self.epochs), "eta": ETA, **given, CONFIGURATIONS: str(self.trials)}

    @model_validator(mode="after")
    def _consistent(self) -> "Spec":
        both = sorted(set(self.search) & set(self.fixed))
        if both:
            raise ValueError(f"'{both[0]}' is both searched and fixed; keep one")
        if (self.epochs_with_patience or 0) > self.epochs:
            raise ValueError(f"epochs_with_patience {self.epochs_with_patience:g} exceeds epochs {self.epochs}")
        self._require_stop_rule()
        if self.max_failed_trials > self.trials:
            raise ValueError(f"max_failed_trials {self.max_failed_trials} exceeds trials {self.trials}")
        if "prior" in self.algorithm.settings:
            raise ValueError("prior is a key of each range in search; remove it from algorithm.settings")
        self._require_points()
        self._require_one_trainer()
        self._require_stages()
        return self

    def _require_one_trainer(self) -> None:
        """Raises ValueError unless there is either a model or a command, with what belongs to it."""
        if bool(self.model) == bool(self.command):
            have = "both model and command: keep one" if self.model else "neither model nor command: name one"
            raise ValueError(f"it has {have}, a model of ours or the command of a trainer of your own")
        if self.command is None:
            for key in ("metric", "image", "resume", "wandb"):
                if getattr(self, key):
                    raise ValueError(f"'{key}' belongs to a command, and a model of ours has its own; remove it")
            return
        if self.metric is None:
            raise ValueError(
                "key 'metric' is missing: its name and direction, such as {name: loss, direction: minimize}"
            )
        if self.pauses and not self.resume:
            raise ValueError(
                f"early_stopping {PROMOTE}: a trial that it pauses goes on later, and the spec does not say"
                " `resume: true`, that the command does so; or take medianstop"
            )
        if self.resume and RUN_DIR not in placeholders(self.command):
            raise ValueError("resume: the command has no {run_dir} in which it could go on")
        field = self.next_phase.field if self.next_phase else None
        for problem in command_problems(self.command, self.search, self.fixed, field):
            raise ValueError(problem)

    def _require_stages(self) -> None:
        """Raises ValueError for stages that do not grow, or whose later ones could not learn from the earlier."""
        if "stages" not in self.model_fields_set:
            return
        require_ascending(self.stages)
        if self.command is not None:
            raise ValueError("stages: they limit the mixtures of a model of ours, which a command does not take")
        for part in ("search", "fixed"):
            if TRAIN_LIMIT in getattr(self, part):
                raise ValueError(f"{part}.{TRAIN_LIMIT}: each of the stages has its own; remove it there")
        if self.algorithm.name not in LEARNING:
            raise ValueError(
                f"stages: the algorithm {self.algorithm.name} learns nothing from an earlier stage; take"
                f" {', '.join(LEARNING[:-1])} or {LEARNING[-1]}"
            )
        if WARM_START in self.algorithm.settings:
            raise ValueError(f"algorithm.settings.{WARM_START}: each stage learns from the one before; remove it")

    def _require_stop_rule(self) -> None:
        """Raises ValueError for a wrong or missing setting of the stop rule, and for one that no training reaches."""
        name, given = self.early_stopping.name, self.early_stopping.given
        if name == PROMOTE and CONFIGURATIONS in given:
            raise ValueError(f"early_stopping {name}: 'trials' counts the configurations; remove {CONFIGURATIONS}")
        settings = {key: text for key, text in self.stop_settings.items() if key != CONFIGURATIONS}
        try:
            settings_of(name, settings, "early_stopping", IN_SPEC)
        except ManifestError as cause:
            raise ValueError(str(cause)) from None
        for key in NEEDED.get(name, ()):
            if key not in given:
                raise ValueError(f"key 'early_stopping.{key}' is missing")
        if int(given.get("start_step", 1)) > self.epochs:
            raise ValueError(f"early stop looks after epoch {given['start_step']}, but there are {self.epochs}")
        if rungs(given.get(RUNGS, ""))[-1:] >= (self.epochs,):
            raise ValueError(
                f"early_stopping {name}: {RUNGS} is {given[RUNGS]}, but of {self.epochs} epochs the last is no rung;"
                f" name epochs up to {self.epochs - 1}"
            )

    def _require_points(self) -> None:
        """Raises ValueError if a first suggestion is not a point of `search`, or would never be tried."""
        if "first_suggestions" in self.algorithm.settings:
            raise ValueError("first_suggestions is a key of its own; remove it from algorithm.settings")
        if len(self.first_suggestions) > self.trials:
            raise ValueError(f"{len(self.first_suggestions)} first_suggestions exceed trials {self.trials}")
        seen: list[dict[str, str]] = []
        for number, point in enumerate(self.first_suggestions, 1):
            where = f"first_suggestions: point {number}:"
            for name in point:
                if name not in self.search:
                    raise ValueError(f"{where} no parameter '{name}': {nearest(name, self.search)}")
            for name, searched in self.search.items():
                if name not in point:
                    raise ValueError(f"{where} the parameter '{name}' is missing")
                if found := searched.problem(point[name]):
                    raise ValueError(f"{where} {name} {found}")
            texts = {name: text_of(value) for name, value in point.items()}
            if texts in seen:
                raise ValueError(f"{where} it stands there twice, and no point is tried twice")
            seen.append(texts)


def stage_name(name: str, number: int) -> str:
    """Returns the name of a stage's experiment, by its number from 1."""
    return f"{name}-{number}"


def stage_of(spec: Spec, number: int, carried: Sequence[Mapping[str, Value]] = ()) -> Spec:
    """Returns the search of a stage of `spec`, by its number from 1; it tries the `carried` points first.

    Raises SpecError where its name would be too long.
    """
    stage = spec.stages[number - 1]
    name, fixed, settings = stage_name(spec.name, number), dict(spec.fixed), dict(spec.algorithm.settings)
    if stage.train_limit != "all":
        fixed[TRAIN_LIMIT] = stage.train_limit
    if number > 1:
        settings[WARM_START] = stage_name(spec.name, number - 1)
    trials = stage.trials or spec.trials
    data = spec.model_dump(exclude={"stages"}) | {"name": name, "fixed": fixed, "trials": trials}
    data["hours_per_run"] = stage.hours_per_run or spec.hours_per_run
    if stage.train_limit != "all":
        # It was trained on the whole corpus.
        data["baseline"] = None
    data["algorithm"] = {"name": spec.algorithm.name, "settings": settings}
    data["max_failed_trials"] = min(spec.max_failed_trials, trials)
    data["first_suggestions"] = [dict(point) for point in carried or spec.first_suggestions][:trials]
    try:
        return Spec.model_validate(data)
    except ValidationError as cause:
        raise SpecError(f"{spec.name}: stage {number}: {defects(cause, Spec)}") from None


def stages_of(spec: Spec) -> list[Spec]:
    """Returns the searches of a spec before any has begun: its stages, or itself where it has none."""
    return [stage_of(spec, number) for number in range(1, len(spec.stages) + 1)] or [spec]


def specs() -> list[str]:
    """Returns the names of all specs: one per model of Series 3, and the demo."""
    return sorted(path.stem for path in SPECS.glob("*.yaml"))


def models(model: str) -> tuple[str, ...]:
    """Returns the models that MODEL stands for: itself, or the four of Series 3 for `all`."""
    return SERIES if model == ALL else (model,)


def is_path(word: str) -> bool:
    """Returns whether `word` names a spec by its path, not by its name."""
    return "/" in word or word.endswith(ENDINGS)


def is_spec(text: str) -> bool:
    """Returns whether the text of a file is a spec by its keys; a manifest says its kind."""
    try:
        documents = read_documents(text)
    except YamlError:
        return False
    keys = set(documents[0].value) if documents and isinstance(documents[0].value, dict) else set()
    return bool(keys & set(Spec.model_fields)) and not keys & {"apiVersion", "kind", "metadata", "spec"}


def file_of(spec: Spec, word: str = "") -> str:
    """Returns the path of the file that holds `spec`: `word`, which was typed for it, where that is one.

    Otherwise it is that of our specs which equals it, or its model's if it was changed since.
    """
    if is_path(word):
        return clean(word)
    names = sorted(specs(), key=lambda name: name != spec.model)
    return f"katib/specs/{next((name for name in names if load_spec(name) == spec), spec.trained)}.yaml"


def load_spec(model: str) -> Spec:
    """Returns the spec of `model` (or demo), or that in a YAML file. Raises SpecError if there is no valid one."""
    if is_path(model):
        return load(Path(model), Spec, SpecError)
    if model not in specs():
        raise SpecError(f"unknown model '{model}': {nearest(model, specs())}")
    return load(SPECS / f"{model}.yaml", Spec, SpecError)


def search_name(word: str) -> str:
    """Returns the experiment that `word` stands for: that of the spec of this name or path, or else the word itself."""
    return load_spec(word).name if word in specs() or word.endswith(ENDINGS) else word
