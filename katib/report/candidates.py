"""Prints the candidates of a search, with what each is estimated to reach beside what its trials have reached."""

from collections.abc import Sequence

from katib.columns import without_prefix
from katib.conclude.noise import Noise
from katib.conclude.selection import Candidate
from katib.measure import Measure
from katib.table.trial_table import TrialTable
from katib.terminal import output, print_rows, print_words
from katib.text import estimate, short, with_unit


def print_candidates(table: TrialTable, candidates: Sequence[Candidate], noise: Noise | None) -> None:
    """Prints one line for each candidate, best first, and the seed noise that the estimates allow for."""
    metric = table.identity.measure
    ended = sum(row.state in ("Succeeded", "EarlyStopped") and row.value is not None for row in table.rows)
    print_words(
        f"{table.identity.name}: {metric} that a configuration is estimated to reach over seeds, from all {ended} "
        f"trials that ended"
    )
    out, settings = output(), candidates[0].configuration
    prefix = without_prefix([name for candidate in candidates for name in candidate.trials])[0] if out.terminal else ""
    headings = ["#", "estimate", "± sd", "observed", "rank", "trial", "state", *settings]
    rows = [
        [
            str(number),
            with_unit(candidate.mean, metric),
            "" if candidate.sd is None else _spread(candidate.sd, metric),
            with_unit(candidate.observed, metric),
            str(candidate.rank),
            ", ".join(name.removeprefix(prefix) for name in candidate.trials),
            candidate.state,
            *(short(text) for text in candidate.configuration.values()),
        ]
        for number, candidate in enumerate(candidates, 1)
    ]
    ranks = [0, 1, 2, 3, 7, 4, 6, *[5] * len(settings)]
    print_rows(headings, rows, ranks, out=out, title=f"trials {prefix}*" if prefix else "")
    if noise is None:
        print_words("seed-to-seed sd unknown: no trial has anything to be compared with")
    else:
        print_words(f"seed-to-seed sd {_spread(noise.sd, metric)}, {noise.source}")


def _spread(sd: float, metric: Measure) -> str:
    """Returns a standard deviation with as many digits as `estimate` gives one."""
    return estimate(0.0, sd, metric).rpartition("± ")[2]
