"""Makes the mixtures of a corpus and writes them in PolSESS format.

Each mixture has a random generator of its own (seed, subset, index), so that the bytes depend neither on the number of
processes nor on their order. All stems are 16-bit and the mix is their integer sum, so that subtracting a stem leaves
nothing of it behind.
"""

import csv
import glob
import json
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator

from trainer.data.corpus import recordings, sounds, voices
from trainer.data.corpus.sounds import Signal
from trainer.data.mixing import EVENT, EVENT_REVERB, MIX, SCENE, SPEECH, SPEECH_REVERB
from trainer.data.readers.corpora import SUBSETS
from trainer.data.readers.polsess import FOLDERS
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.data.working import Progress
from trainer.errors import ConfigError, DataError
from trainer.text import count

HELD_OUT = 0.2
"""Size of val and of test, as a share of the training mixtures."""
LEAST_HELD_OUT = 10
INDOOR = 0.5
"""Share of the mixtures with reverberation."""
SPEECH_LEVEL = (-29.0, -25.0)
"""dB full scale of the first speaker, which leaves headroom for the sum of all stems."""
SPEAKER_RATIO = (-4.0, 4.0)
"""dB of the second speaker relative to the first."""
SCENE_SNR = (10.0, 20.0)
"""dB of both speakers relative to the scene: it is audible, but speech remains the task."""
EVENT_LEVEL = (-30.0, -18.0)
"""dB full scale of the event's peak."""
LATEST_START = 0.25
"""Share of the mixture before which every speaker has begun."""
FEW_SPEAKERS = 6
"""Fewer speakers cannot be divided among three subsets of two."""
NAMED = ("speaker1Id", "speaker2Id")
"""Columns with the names of the speakers, which dynamic mixing and the corpus check read."""
SETTINGS = "corpus.json"
VOICES = "voices"
"""Folder in which synthetic speakers are recorded while the corpus is made."""

Speakers = dict[str, tuple[Path, ...]]
"""Recordings by speaker."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a corpus; the same settings give the same bytes."""

    mixtures: int
    seconds: float
    seed: int
    speech: str | None


@dataclass(frozen=True)
class Task:
    """One mixture to make."""

    folder: Path
    subset: str
    index: int
    settings: Settings
    groups: list[Speakers]


def build(out: Path, settings: Settings, jobs: int, progress: Progress) -> bool:
    """Writes the corpus to `out`, as a whole or not at all; `progress` takes what is done.

    Returns False where it exists already. Raises ConfigError where `out` is something else, and DataError for bad
    recordings.
    """
    if out.exists():
        return _same(out, settings)
    groups = [recordings.speakers(Path(settings.speech))] if settings.speech else []
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        # An earlier build that was killed has left its folder behind.
        for leftover in parent.glob(f".{glob.escape(out.name)}.building-*"):
            shutil.rmtree(leftover)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.building-", dir=parent))
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written ({error.strerror})") from None
    try:
        if not groups:
            with _processes(1) as speaking:
                with _starting():
                    speech = speaking.submit(voices.record, folder / VOICES)
                while wait([speech], timeout=1.0).not_done:
                    spoken = sum(1 for _ in (folder / VOICES).glob("*/*/speech.wav"))
                    progress("voices speak", spoken, len(voices.voices()))
                speech.result()
            groups = [recordings.speakers(folder / VOICES / name) for name in voices.REGISTERS]
        tasks = list(_tasks(folder, settings, [_divided(group, settings.seed) for group in groups]))
        for subset in SUBSETS:
            for name in set(FOLDERS.values()):
                (folder / subset / name).mkdir(parents=True)
        with _processes(jobs) as pool:
            rows: dict[str, list[dict[str, str]]] = {subset: [] for subset in SUBSETS}
            with _starting():
                made = pool.map(make, tasks, chunksize=4)
            for done, (task, row) in enumerate(zip(tasks, made, strict=True), 1):
                rows[task.subset].append(row)
                progress("mixtures", done, len(tasks))
        for subset in SUBSETS:
            _write_csv(folder / subset / f"corpus_{out.name}_{subset}_final.csv", rows[subset])
        (folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=2) + "\n")
        shutil.rmtree(folder / VOICES, ignore_errors=True)
        folder.chmod(0o755)
        folder.replace(out)
    except OSError as error:
        raise ConfigError(f"--out: writing {out} failed ({error.strerror}); nothing was left behind") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _processes(number: int) -> ProcessPoolExecutor:
    """Returns processes that Ctrl-C ends at once and without a word: the parent speaks for all."""
    return ProcessPoolExecutor(number, get_context("spawn"), initializer=_obey_ctrl_c)


@contextmanager
def _starting() -> Iterator[None]:
    """Starts processes that take no Ctrl-C before `_obey_ctrl_c`: while they load their libraries, it would be a trace.

    The signal mask is inherited. A Ctrl-C that the parent gets meanwhile is raised at the end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _obey_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def make(task: Task) -> dict[str, str]:
    """Draws a mixture, writes its stems, and returns its CSV row."""
    draw = np.random.default_rng([task.settings.seed, SUBSETS.index(task.subset), task.index])
    pair = _pair(draw, task.groups)
    stems = quantised(mixture(draw, task, pair))
    name = f"{task.index:05d}.wav"
    row = {column: speaker for column, (_, speaker) in zip(NAMED, pair, strict=True)}
    for column, folder in FOLDERS.items():
        if column not in stems:
            row[column] = ""
            continue
        # Both dry speakers lie in one folder.
        row[column] = f"{task.index:05d}_{SPEECH.index(column) + 1}.wav" if column in SPEECH else name
        soundfile.write(task.folder / task.subset / folder / row[column], stems[column], SAMPLE_RATE, "PCM_16")
    return row


def mixture(draw: Generator, task: Task, pair: list[tuple[Speakers, str]]) -> dict[str, Signal]:
    """Returns the stems [T] of a mixture of two speakers by CSV column, full scale 1, without the mix."""
    frames = round(task.settings.seconds * SAMPLE_RATE)
    material = [group[name] for group, name in pair]
    first = draw.uniform(*SPEECH_LEVEL)
    levels = (first, first + draw.uniform(*SPEAKER_RATIO))
    dry = [
        10 ** (level / 20) * _utterance(draw, files, frames, task.subset)
        for files, level in zip(material, levels, strict=True)
    ]
    power = sum(float(np.mean(signal**2)) for signal in dry)
    scene = sounds.scene(draw, frames, SAMPLE_RATE) * np.sqrt(power / 10 ** (draw.uniform(*SCENE_SNR) / 10))
    event = sounds.event(draw, frames, SAMPLE_RATE) * 10 ** (draw.uniform(*EVENT_LEVEL) / 20)
    stems = {SPEECH[0]: dry[0], SPEECH[1]: dry[1], SCENE: scene, EVENT: event}
    if draw.random() < INDOOR:
        added = sounds.reverberation(draw, [*dry, event], SAMPLE_RATE)
        stems |= dict(zip((*SPEECH_REVERB, EVENT_REVERB), added, strict=True))
    return stems


def quantised(stems: dict[str, Signal]) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int16]]]:
    """Returns the stems and their mix, exactly their sum, as 16-bit samples; all are lowered where it would clip."""
    peak = max(float(np.abs(sum(stems.values())).max()), *(float(np.abs(stem).max()) for stem in stems.values()))
    scale = min(1.0, 0.99 / max(peak, 1e-9)) * 32767
    rounded = {column: np.round(stem * scale).astype(np.int32) for column, stem in stems.items()}
    mix = np.sum(list(rounded.values()), axis=0)
    return {column: samples.astype(np.int16) for column, samples in {MIX: mix, **rounded}.items()}


def _pair(draw: Generator, groups: list[Speakers]) -> list[tuple[Speakers, str]]:
    """Returns two speakers in random order: any two of a single group, or one of each of two groups."""
    if len(groups) == 2:
        groups = [groups[index] for index in draw.permutation(2)]
        return [(group, str(draw.choice(sorted(group)))) for group in groups]
    return [(groups[0], str(name)) for name in draw.choice(sorted(groups[0]), 2, replace=False)]


def _utterance(draw: Generator, files: tuple[Path, ...], frames: int, subset: str) -> Signal:
    """Returns a random stretch of a speaker [T] at unit power, after a random silence."""
    material = recordings.speech(files, SAMPLE_RATE, subset)
    start = int(draw.uniform(0, LATEST_START) * frames)
    length = min(frames - start, len(material))
    first = int(draw.integers(0, len(material) - length + 1))
    signal = np.zeros(frames)
    signal[start : start + length] = material[first : first + length]
    return sounds.unit(signal)


def _divided(speakers: dict[str, list[Path]], seed: int) -> dict[str, Speakers]:
    """Returns the speakers of each subset; where there are enough, and for voices, each is in one subset only."""
    shuffle = np.random.default_rng(seed)
    names = [str(name) for name in shuffle.permutation(sorted(speakers))]
    if len(names) >= FEW_SPEAKERS:
        share = max(2, round(HELD_OUT * len(names)))
        parts = {"val": names[:share], "test": names[share : 2 * share], "train": names[2 * share :]}
        return {subset: {name: tuple(speakers[name]) for name in part} for subset, part in parts.items()}
    divided: dict[str, Speakers] = {subset: {} for subset in SUBSETS}
    for name in names:
        files = [speakers[name][index] for index in shuffle.permutation(len(speakers[name]))]
        cut = max(1, round(HELD_OUT * len(files)))
        if len(files) < len(SUBSETS):
            raise DataError(
                f"--speech: speaker '{name}' has {count(len(files), 'recording')}; {len(SUBSETS)} are needed"
            )
        divided["val"][name], divided["test"][name] = tuple(files[:cut]), tuple(files[cut : 2 * cut])
        divided["train"][name] = tuple(files[2 * cut :])
    return divided


def _tasks(folder: Path, settings: Settings, groups: list[dict[str, Speakers]]) -> Iterator[Task]:
    held_out = max(LEAST_HELD_OUT, round(HELD_OUT * settings.mixtures))
    for subset, mixtures in zip(SUBSETS, (settings.mixtures, held_out, held_out), strict=True):
        for index in range(mixtures):
            yield Task(folder, subset, index, settings, [group[subset] for group in groups])


def _same(out: Path, settings: Settings) -> bool:
    """Returns False, because the corpus exists already. Raises ConfigError where `out` holds anything else."""
    try:
        existing = json.loads((out / SETTINGS).read_text())
    except (OSError, ValueError):
        raise ConfigError(f"--out: {out} exists and is no corpus made here; choose another folder") from None
    other = [
        f"{key} {existing.get(key)!r} instead of {value!r}"
        for key, value in asdict(settings).items()
        if existing.get(key) != value
    ]
    if other:
        raise ConfigError(f"--out: {out} holds another corpus ({', '.join(other)}); choose another folder or remove it")
    return False


def _write_csv(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*FOLDERS, *NAMED])
        writer.writeheader()
        writer.writerows(rows)
