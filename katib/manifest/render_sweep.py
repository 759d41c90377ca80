"""Renders a spec to a W&B sweep file of the same search. Pure but for reading the template."""

from katib.errors import SpecError
from katib.manifest.render import Overrides, fixed_as_words, fixed_flags, fixed_words, template
from katib.manifest.sweep import OF_RUN, from_agent, of_command, of_trainer, parameter, remarks
from katib.site import Site
from katib.spec import Spec, file_of
from katib.spec_command import EPOCHS, filled
from katib.spec_flags import require_flags
from katib.stop_settings import RUNGS, rungs
from katib.trainer_contract import Flags


def render_sweep(
    spec: Spec, site: Site, data: str, runs: str, overrides: Overrides | None = None, word: str = ""
) -> str:
    """Returns the W&B sweep file of `spec`: the same search space, metric, number of trials and trainer.

    W&B's agent starts the trainer, or the command, on the corpus in `data`, with a run directory below `runs` for each
    run. `site` provides the W&B project alone. Raises SpecError where the command does not report to W&B.
    """
    overrides = overrides or Overrides()
    source, spec = file_of(spec, word), overrides.apply(spec)
    metric, direction = spec.objective
    project = site.wandb.project if site.wandb else "sepsweep"
    if spec.command is None:
        words = [Flags.MODEL, spec.model, Flags.DATA_DIR, data, Flags.EPOCHS, str(spec.epochs), *fixed_as_words(spec)]
        require_flags(spec, fixed_flags(spec), words, overrides.settings)
        agent = of_trainer(words, project)
    elif spec.wandb:
        words = filled(spec.command, {EPOCHS: str(spec.epochs)} | fixed_words(spec) | OF_RUN | from_agent(spec.search))
        agent = of_command(words, data, project)
    else:
        raise SpecError(
            f"{source}: a W&B sweep reads {metric} from W&B, and this spec does not say `wandb: true`, that its command"
            " reports it there; see the verb local"
        )
    stopping = spec.stop_settings
    return template("wandb-sweep.yaml.j2").render(
        spec=spec,
        pauses=spec.pauses,
        first_look=rungs(stopping.get(RUNGS, stopping.get("start_step", "")))[0],
        eta=stopping.get("eta"),
        source=source,
        metric=metric,
        direction=direction,
        project=project,
        folder=f"{runs}/{spec.name}",
        agent=agent,
        parameter=parameter,
        remarks=remarks,
    )
