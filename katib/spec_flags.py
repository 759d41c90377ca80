"""Checks a spec against the trainer's flags: every setting that is fixed, searched or varied in the next phase.

What the trainer would refuse is thus refused when a manifest is rendered, before a folder or a pod exists.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from katib.errors import SpecError, nearest
from katib.ranges import Range, text_of
from katib.spec import Spec
from katib.trainer_contract import Flags, is_own
from katib.trainer_flags import flag_of, own_model, setting_of, trainer


def require_flags(
    spec: Spec, fixed: Mapping[str, Sequence[str]], command: Sequence[str], given: Collection[str] = ()
) -> None:
    """Raises SpecError for the first setting of `spec` that the trainer does not accept.

    `fixed` are the flags of its fixed settings, as they stand in the `command` of a trial. Settings in `given` come
    from the command line and not from the spec.
    """
    for problem in _problems(spec, fixed, given):
        raise SpecError(problem)
    for section, names in (("fixed", spec.fixed), ("search", spec.search)):
        for name in names:
            if command.count(flag_of(name)) > 1:
                raise SpecError(
                    f"spec of {spec.name}: {section}.{name}: the command of a trial has {flag_of(name)} already;"
                    " remove it"
                )


def _problems(spec: Spec, fixed: Mapping[str, Sequence[str]], given: Collection[str]) -> Iterator[str]:
    where = f"spec of {spec.name}:"
    if found := trainer().problem(Flags.MODEL, [spec.model], None):
        yield f"{where} model {found}"
    # Whoever has the spec has the model: without it, nothing of the spec could be compared with its flags.
    if is_own(spec.model) and own_model(spec.model).absent:
        yield f"{where} model {own_model(spec.model).unknown}"
    given_flags = _given(spec, fixed)
    for name in spec.fixed:
        flag = flag_of(name)
        label = name if name in given else f"{where} fixed.{name}"
        if found := _unknown(spec, name):
            yield f"{label}: {found}"
        elif found := trainer().problem(flag, fixed[flag], spec.model) or trainer().excess(flag, given_flags):
            yield f"{label} {found}"
    if found := trainer().excess(Flags.EPOCHS, given_flags):
        yield f"{where} epochs {found}"
    for name, searched in spec.search.items():
        if found := _unknown(spec, name) or _outside(name, searched, spec, given_flags):
            yield f"{where} search.{name}: {found}"
    for name in spec.search:  # what is wrong comes before what is useless: mending it may give that an effect
        if found := trainer().idle(flag_of(name), given_flags):
            yield f"{where} search.{name}: {found}; remove it from search"
    yield from _phase(spec)


def _given(spec: Spec, fixed: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Returns the flags of the spec with their values; of those that are searched all words, and no number."""
    searched = {flag_of(name): one.texts for name, one in spec.search.items()}
    return {**searched, **fixed, Flags.EPOCHS: [str(spec.epochs)]}


def require_shares(spec: Spec, gpus: int) -> None:
    """Raises SpecError where `gpus` cannot share the batches of `spec` equally."""
    name = setting_of(Flags.BATCH_SIZE)
    batches = [str(spec.fixed[name])] if name in spec.fixed else [""]
    if searched := spec.search.get(name):
        batches = searched.texts or [text_of(bound) for bound in (searched.min, searched.spacing) if bound is not None]

    def problem(count: int) -> str:
        given = {Flags.GPUS: [str(count)]}
        found = (trainer().excess(Flags.GPUS, given | ({Flags.BATCH_SIZE: [one]} if one else {})) for one in batches)
        return next(filter(None, found), "")

    if found := problem(gpus):
        most = next(count for count in range(gpus, 0, -1) if not problem(count))
        whose = "gpus" if spec.gpus else "the site's gpus:"
        raise SpecError(f"spec of {spec.name}: {whose} {found}; write gpus: {most} in the spec")


def require_next_phase(spec: Spec) -> None:
    """Raises SpecError if the trainer does not accept the architectures of the spec's next phase."""
    for problem in _phase(spec):
        raise SpecError(problem)


def _phase(spec: Spec) -> Iterator[str]:
    phase = spec.next_phase
    if phase is None or spec.command is not None:
        return
    where = f"spec of {spec.name}:"
    if found := _unknown(spec, phase.field):
        yield f"{where} next_phase.field '{phase.field}': {found}"
        return
    if flag_of(phase.field) in trainer().flags:
        model = trainer().model(spec.model)
        fields = f"; it has {', '.join(map(setting_of, model.flags))}" if model else ""
        yield f"{where} next_phase.field '{phase.field}': is a setting, no field of {spec.model}'s config{fields}"
        return
    for text in phase.texts:
        if found := trainer().problem(flag_of(phase.field), [text], spec.model):
            yield f"{where} next_phase.values: {phase.field} {found}"


def _unknown(spec: Spec, name: str) -> str:
    """Returns why the trainer has no setting `name` for the spec's model."""
    flag, model = flag_of(name), trainer().model(spec.model)
    if trainer().flag(flag, None) is None and model is not None and flag not in model.flags:
        flags = [*trainer().flags, *model.flags]
        return f"the trainer has no such setting: {nearest(name, [setting_of(known) for known in flags])}"
    return trainer().unknown(flag, spec.model)


def _outside(name: str, searched: Range, spec: Spec, given: Mapping[str, Sequence[str]]) -> str:
    """Returns which value or end of the range the flag does not accept; empty if it accepts them all."""
    flag = flag_of(name)
    known = trainer().flag(flag, spec.model)
    if known is None:
        return ""
    if flag == Flags.SEED:
        return "a seed is luck and no setting; fix it, and confirm the best with other seeds"
    if searched.type == "double" and known.type == "int":
        return f"{flag} takes whole numbers only; write type: int"
    if searched.type in ("double", "int") and (known.type in ("str", "bool")):
        return f"{flag} takes no number; write type: {'bool' if known.type == 'bool' else 'choice, with values'}"
    ends = [
        (f"{end} ", text_of(bound))
        for end, bound in (("min", searched.min), ("max", searched.max))
        if bound is not None
    ]
    for label, text in ends or [("", text) for text in searched.texts]:
        flags = {**given, flag: [text]}
        if found := trainer().problem(flag, [text], spec.model) or trainer().excess(flag, flags):
            return f"{label}{found}"
        if found := trainer().excess(Flags.EPOCHS, flags):
            return f"{label}{text}: {Flags.EPOCHS} {found}"
    return ""
