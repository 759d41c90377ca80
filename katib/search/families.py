"""Joins the trials of one configuration: on Katib each of its continuations is a trial of its own. Pure: no I/O."""

from collections.abc import Iterable, Mapping

from katib.search.stopping import Curve


def families(continues: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the trials of each configuration by the name of its first one, in the order in which they ran.

    `continues` has the value of the label CONTINUES_LABEL of each trial, which is empty for a first one.
    """
    listed: dict[str, list[str]] = {}
    for trial in sorted(continues, key=lambda name: (continues[name] != "", len(name), name)):
        listed.setdefault(continues[trial] or trial, []).append(trial)
    return listed


def joined(curves: Iterable[Curve]) -> Curve:
    """Returns the curve of a configuration, given those of its trials in the order in which they ran.

    A continuation first reports all that was trained before it, so that the curves are not added to each other: one
    that has come at least as far as those before it replaces them. That holds for one that started anew as well.
    """
    whole: Curve = ()
    for curve in curves:
        whole = curve if len(curve) >= len(whole) else whole
    return whole
