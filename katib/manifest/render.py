"""Renders a spec on a site to the text of one Experiment manifest.

Pure but for reading the templates.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from katib.defects import defects, shown, worded
from katib.errors import SpecError
from katib.manifest.declaration import Declaration
from katib.manifest.gpu_hours import ANNOTATION
from katib.manifest.object import OWN_SPEC
from katib.manifest.sweep import decimal
from katib.metrics import metric_filter
from katib.quantity import canonical
from katib.ranges import text_of
from katib.site import Site, with_gpus
from katib.spec import Spec, file_of, is_path
from katib.spec_command import DATA as DATA_FOLDER
from katib.spec_command import EPOCHS, FIRST_SEED, RUN_DIR, SEED, filled, placeholders
from katib.spec_flags import require_flags, require_shares
from katib.stop_settings import RUNGS, katib_trials, rungs, shortened
from katib.text import SECONDS_AN_HOUR, count
from katib.trainer_contract import CONTINUES, DATA, METRIC, PROCESS_ID, RUNS, TRACKERS, Flags
from katib.trainer_flags import flag_of
from katib.trial import CONTINUES_LABEL
from katib.yaml_reader import resolve

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parents[1] / "templates"
TRIAL = "${trialParameters.trialName}"
"""The placeholder of the name of a trial."""
DEADLINE_MARGIN = 3
"""Multiple of the estimated duration: waiting for a GPU counts towards activeDeadlineSeconds too."""


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Values that replace those of a spec for one rendering; None keeps the spec's."""

    preset: str | None = None
    name: str | None = None
    trials: int | None = None
    epochs: int | None = None
    parallel: int | None = None
    gpu_hours: float | None = None

    @property
    def settings(self) -> list[str]:
        """The trainer's settings that are replaced."""
        return [] if self.preset is None else ["preset"]

    def apply(self, spec: Spec) -> Spec:
        """Returns the spec with these values. Raises SpecError if they do not fit together."""
        self._require_effect(spec)
        given = {"name": self.name, "trials": self.trials, "epochs": self.epochs, "gpu_hours": self.gpu_hours}
        data = spec.data | {key: value for key, value in given.items() if value is not None}
        if self.preset is not None:
            data["fixed"] = data["fixed"] | {"preset": self.preset}
        # A shortened search must stay valid: it cannot start stopping, or tolerate failures, beyond its own end.
        data["early_stopping"] = shortened(data["early_stopping"], data["epochs"])
        data["max_failed_trials"] = max(1, min(data["max_failed_trials"], data["trials"]))
        if data["epochs_with_patience"] is not None:
            data["epochs_with_patience"] = min(data["epochs_with_patience"], float(data["epochs"]))
        hopeless = data["fixed"].get("hopeless")
        if self.epochs is not None and isinstance(hopeless, int) and not isinstance(hopeless, bool):
            data["fixed"] = data["fixed"] | {"hopeless": min(hopeless, self.epochs)}
        data["first_suggestions"] = data["first_suggestions"][: data["trials"]]
        try:
            made = Spec.model_validate(data, strict=True)
        except ValidationError as cause:
            first = cause.errors()[0]
            if self.name is not None and first["loc"] == ("name",):
                raise SpecError(f"name {shown(self.name)}: {worded(first)}") from None
            raise SpecError(f"{spec.trained}: an override does not fit: {defects(cause, Spec)}") from None
        if (self.parallel or 0) > made.trials:
            raise SpecError(
                f"parallel {self.parallel}: the search has {count(made.trials, 'trial')} in all; name at most"
                f" {made.trials}"
            )
        return made

    def _require_effect(self, spec: Spec) -> None:
        """Raises SpecError for a value that the command of `spec` does not take."""
        for name, value in (("preset", self.preset), ("epochs", self.epochs)):
            if spec.command and value is not None and name not in placeholders(spec.command):
                raise SpecError(f"--{name}: the command of {spec.name} has no {{{name}}}; leave it out")


def render(spec: Spec, site: Site, overrides: Overrides | None = None, word: str = "") -> str:
    """Returns the Katib v1beta1 Experiment of `spec`, which `word` names, on `site`; same input, same text."""
    overrides = overrides or Overrides()
    if spec.stages:
        raise SpecError(
            f"{file_of(spec, word)}: its stages are searches of their own; make local or make deploy runs them"
        )
    annotations = _annotations(spec, overrides, own=is_path(word))
    source, spec = file_of(spec, word), overrides.apply(spec)
    site = with_gpus(site, spec.gpus)
    words = command(spec, site)
    if spec.command is None:
        require_flags(spec, fixed_flags(spec), words, overrides.settings)
        require_shares(spec, max(1, site.resources.gpus))
    metric, direction = spec.objective
    return template("experiment.yaml.j2").render(
        spec=spec,
        source=source,
        site=site,
        model_label=_label(spec.model),
        metric=metric,
        direction=direction,
        named=spec.command is None or RUN_DIR in placeholders(spec.command),
        data=spec.command is None or DATA_FOLDER in placeholders(spec.command),
        settings=_settings(spec),
        stopping=spec.stop_settings,
        most_trials=most_trials(spec),
        filter=spec.metric.filter if spec.metric else metric_filter(METRIC),
        parallel=min(overrides.parallel or site.parallel_trials, spec.trials),
        command=words,
        prestop=_prestop(spec) if spec.command is None else "",
        continues=CONTINUES if spec.command is None else "",
        label=CONTINUES_LABEL,
        trackers=TRACKERS,
        annotations=annotations,
        pod_annotations={"sidecar.istio.io/inject": "false", **site.resources.gpu_need.annotations, **site.annotations},
        claimed=site.resources.gpu_claim_template is not None and site.resources.gpus > 0,
        kept=site.job.kept_days * 24 * SECONDS_AN_HOUR,
        # A trial that waits for disk space counts as running, and its Job's deadline would end it during the wait.
        deadline=round(DEADLINE_MARGIN * spec.hours_per_run * SECONDS_AN_HOUR) + 60 * site.room_minutes,
    )


def command(spec: Spec, site: Site) -> list[str]:
    """Returns the trainer's argument list, with Katib's placeholders for searched values.

    Katib's webhook joins it to one unquoted shell line, so no word may hold a character that a shell interprets.
    """
    if spec.command is not None:
        searched = {name: f"${{trialParameters.{name}}}" for name in spec.search}
        values = _values(spec, site) | searched
        if not spec.pauses:
            return filled(spec.command, values)
        # A continuation on Katib is another trial, and its label says in whose run directory it goes on.
        trial = f"${{{CONTINUES}:-{TRIAL}}}"
        words = filled(spec.command, values | {RUN_DIR: values[RUN_DIR].replace(TRIAL, trial)})
        return ["sh", "-c", " ".join(words)]
    words = ["python", "-m", "trainer", Flags.MODEL, spec.model]
    words += [Flags.DATA_DIR, _data(site), Flags.RUN_DIR, _run_dir(spec)]
    words += [Flags.EPOCHS, str(spec.epochs), Flags.LINGER, str(site.job.linger_seconds)]
    words += [Flags.ROOM_MINUTES, str(site.room_minutes)]
    if site.resources.gpus:
        # On a GPU node no training is better than one on the processor.
        words += [Flags.DEVICE, "cuda"]
    if site.resources.gpus > 1:
        words += [Flags.GPUS, str(site.resources.gpus)]
    words += fixed_as_words(spec)
    for name in spec.search:
        words += [flag_of(name), f"${{trialParameters.{name}}}"]
    return words


def declaration(spec: Spec, site: Site, field: str = "") -> Declaration:
    """Returns what the spec declares of its command, and the values of the `field` of its next phase if that is named.

    Raises SpecError where no run can be repeated with other seeds.
    """
    words, values = spec.command or [], _values(spec, site)
    if SEED not in placeholders(words):
        raise SpecError(f"spec of {spec.name}: its command has no {{seed}}, so that each run of it is the same")
    kept = {name: f"{{{name}}}" for name in (*spec.search, *filter(None, [field]), SEED, EPOCHS, RUN_DIR)}
    return Declaration(
        tuple(filled(words, values | kept)),
        spec.search,
        int(values[SEED]),
        epochs=spec.epochs,
        run_dir=values[RUN_DIR],
        varied={field: spec.next_phase.texts} if spec.next_phase and field else {},
    )


def _values(spec: Spec, site: Site) -> dict[str, str]:
    """Returns what the placeholders of a command take that are not searched."""
    return {EPOCHS: str(spec.epochs), RUN_DIR: _run_dir(spec), DATA_FOLDER: _data(site)} | fixed_words(spec)


def fixed_words(spec: Spec) -> dict[str, str]:
    """Returns what the placeholders of a command take that are the same wherever and however long it runs."""
    fixed = {name: text_of(value) for name, value in spec.fixed.items() if not isinstance(value, list)}
    return {SEED: str(FIRST_SEED)} | fixed


def fixed_flags(spec: Spec) -> dict[str, list[str]]:
    """Returns the flags that are not searched, each with its values as in the command."""
    listed = {name: value if isinstance(value, list) else [value] for name, value in spec.fixed.items()}
    return {flag_of(name): [text_of(item) for item in values] for name, values in listed.items()}


def _annotations(spec: Spec, overrides: Overrides, *, own: bool) -> dict[str, str]:
    """Returns the annotations: the budget in GPU-hours, and of a user's `own` spec all that tables need of it."""
    hours = overrides.gpu_hours or spec.gpu_hours
    found = {ANNOTATION: text_of(hours)} if hours else {}
    if own:
        found[OWN_SPEC] = spec.model_dump_json(exclude_defaults=True)
    return found


def _label(model: str) -> str:
    """Returns the model as the value of a label, which has no colon and at most 63 characters."""
    return re.sub(r"[^A-Za-z0-9._-]", ".", model)[-63:].strip("._-")


def _settings(spec: Spec) -> dict[str, str]:
    """Returns the settings of the algorithm as strings, including the points that it tries first and the prior."""
    points = [{"assignments": {name: text_of(point[name]) for name in spec.search}} for point in spec.first_suggestions]
    priors = {name: searched.prior for name, searched in spec.search.items() if searched.prior}
    expected = {name: {"at": text_of(prior.at), "sure": prior.sure} for name, prior in priors.items()}
    ours = {"first_suggestions": points, "prior": expected}
    return spec.algorithm.settings | {name: json.dumps(value) for name, value in ours.items() if value}


def most_trials(spec: Spec) -> int:
    """Returns how many trials Katib starts: with promote, one for each continuation too."""
    if not spec.pauses:
        return spec.trials
    settings = spec.stop_settings
    reached = [rung for rung in rungs(settings[RUNGS]) if rung < spec.epochs]
    return katib_trials(spec.trials, len(reached), float(settings["eta"]))


def fixed_as_words(spec: Spec) -> list[str]:
    """Returns the words of the flags that are the same for all trials."""
    return [word for flag, values in fixed_flags(spec).items() for word in (flag, *values)]


def template(name: str) -> "jinja2.Template":
    """Returns a template of katib/templates."""
    import jinja2  # slow to load, and most verbs render nothing

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  (YAML, not HTML; every free text goes through `quoted`)
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "quoted": json.dumps,
        "word": _word,
        # Katib refuses 8192Mi for 8Gi outside requests and limits.
        "amount": canonical,
        "number": text_of,
        "decimal": decimal,
        "flag": flag_of,
    }
    return environment.get_template(name)


def _word(text: str) -> str:
    """Returns a word of YAML, in quotes where kubectl would read another value, such as n, on or 1."""
    return text if isinstance(resolve(text), str) else json.dumps(text)


def _data(site: Site) -> str:
    return "/".join([DATA, site.data_folder]).rstrip("/")


def _run_dir(spec: Spec) -> str:
    return f"{RUNS}/{spec.name}/{TRIAL}"


def _prestop(spec: Spec) -> str:
    """Returns the shell line that stops the trainer by its pid file and waits until it has saved and exited.

    A continuation's file lies in the run directory where it trains, beside the one that its command names.

    It trusts the file only if that process has the run directory as an argument: a training that was killed leaves its
    file, anybody who can write to the volume can write another, and all containers of the pod share their processes.
    """
    trains = f"${{d%/*}}/${{{CONTINUES}:-${{d##*/}}}}"
    return (
        f"d={_run_dir(spec)}; f={trains}/{PROCESS_ID}; [ -f $f ] && [ ! -L $f ] && read -r pid < $f || exit 0;"
        " case $pid in ''|*[!0-9]*) exit 0;; esac;"
        " ours() { tr '\\0' '\\n' < /proc/$pid/cmdline | grep -qxF -e $d; };"
        " if ours; then kill -TERM $pid; while ours; do sleep 0.5; done; fi"
    )
