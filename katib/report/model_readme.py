"""Words the README of a trained model that was taken home. Every text may come from anybody, and is shown as text."""

from collections.abc import Iterator, Mapping

from katib.table.evaluation import ALL, cells, mixtures, results_of, sentence
from katib.text import markdown_text
from katib.trainer_contract import METRIC, UNIT, is_own
from katib.untrusted import clean, finite

USE = """\
## Use

    from trainer.inference import load

    network = load("best.pt")           # the file, or this folder
    voices = network(mixtures)          # [batch, samples] at 8 kHz -> [batch, 2, samples], at an arbitrary level

`python -m trainer separate --checkpoint . talk.wav` separates a recording of any length and sample rate."""


def lines(
    trial: str,
    experiment: str,
    settings: Mapping[str, object],
    summary: Mapping[str, object],
    scores: Mapping[str, Mapping[str, object]],
    files: Mapping[str, str],
) -> Iterator[str]:
    """Yields the lines of the README of a trained model.

    Args:
        trial: the run's name.
        experiment: the name of its experiment; empty for a run that belongs to none.
        settings: the run's config.json.
        summary: its summary.json; what is missing there is left out.
        scores: its evaluations by subset.
        files: what each file of the folder is, by name.
    """
    name = _word(settings["model"])
    yield f"# {name}, {_word(trial)}"
    yield ""
    origin = f" of the experiment {_word(experiment)}" if experiment else ""
    yield f"A network that separates two speakers. {name}, preset {_word(settings.get('preset'))}; trial"
    yield f"{_word(trial)}{origin}, trained with Sepsweep."
    yield ""
    yield from (f"- {line}" for line in (*_validation(summary), *_evaluations(scores)))
    yield ""
    yield from _by_variant(scores)
    yield from ("## Files", "", "| file | what it is |", "|---|---|")
    yield from (f"| {file} | {markdown_text(what)} |" for file, what in files.items())
    yield from ("", USE, "")
    if is_own(str(settings["model"])):
        yield from (f"Python must find the module of {name}: put the folder that holds its package on PYTHONPATH.", "")
    yield from ("## Settings", "", "| setting | value |", "|---|---|")
    for setting, value in settings.items():
        if value is not None:
            yield f"| {_word(setting)} | {_word(value)} |"


def _validation(summary: Mapping[str, object]) -> Iterator[str]:
    """Yields what the best epoch reached on the validation mixtures, where the summary says so."""
    best, epochs, value = summary.get("best_epoch"), summary.get("epochs"), finite(summary.get("best_val_si_snr"))
    if value is None:
        return
    history = summary.get("history")
    records = [record for record in history if isinstance(record, dict)] if isinstance(history, list) else []
    variants = next((record.get("variants") for record in records if record.get("epoch") == best), None)
    by_variant = [
        f"{_word(variant)} {number:.2f}"
        for variant, found in (variants.items() if isinstance(variants, dict) else ())
        if (number := finite(found)) is not None
    ]
    gain = finite(summary.get("improvement_db"))
    better = f", {gain:+.2f} {UNIT} over the unprocessed mixtures" if gain is not None else ""
    listed = f" ({', '.join(by_variant)})" if by_variant else ""
    yield f"validation in training, epoch {_word(best)} of {_word(epochs)}: {METRIC} {value:.2f} {UNIT}{listed}{better}"


def _evaluations(scores: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """Yields the mean scores over all mixtures of each evaluation."""
    for subset, evaluation in scores.items():
        if line := sentence(subset, results_of(evaluation).get(ALL, {})):
            yield line


def _by_variant(scores: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """Yields a table for each evaluation that has more than one result: variants below each other."""
    for subset, evaluation in scores.items():
        results = results_of(evaluation)
        if len(results) < 2:
            continue
        names = list(dict.fromkeys(name for result in results.values() for name in cells(result)))
        yield from (f"## Scores on {subset}", "", f"| variant | mixtures | {' | '.join(names)} |")
        yield "|---" * (len(names) + 2) + "|"
        for variant, result in results.items():
            found = cells(result)
            texts = [_word(variant), mixtures(result), *(found.get(name, "–") for name in names)]
            yield f"| {' | '.join(texts)} |"
        yield ""


def _word(value: object) -> str:
    """Returns a value of a foreign file as one harmless line."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return markdown_text(clean(text, 200))
