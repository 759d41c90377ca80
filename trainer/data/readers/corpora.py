"""Opens a corpus with the reader that fits: a pack, or WAV files in the layout of PolSESS or LibriMix."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trainer.data.mixing import MIX
from trainer.data.readers import librimix, polsess
from trainer.data.readers.listing import Listing
from trainer.data.readers.packed import PackedSubset, pack_path
from trainer.data.readers.seen import FORGETFUL, Memory
from trainer.data.readers.subset import Subset
from trainer.data.readers.wav import WavSubset
from trainer.errors import DataError

SUBSETS = ("train", "val", "test")
FINGERPRINT = "v2"
"""Prefix of a corpus's fingerprint; earlier fingerprints, without it, covered the CSV and a few mixtures only."""


@dataclass(frozen=True)
class Corpus:
    """What a training reads of a corpus."""

    train: Subset
    validation: Subset

    def fingerprint(self) -> str:
        """Returns the hash by which a run directory recognises its corpus, wherever it lies and however it is stored.

        It covers everything that is trained and validated on. Raises DataError where a file is no sound.
        """
        return f"{FINGERPRINT}-{self.train.fingerprint()}-{self.validation.fingerprint()}"


def open_corpus(root: Path, memory: Memory = FORGETFUL, *, apart: bool = False) -> Corpus:
    """Opens and checks the subsets train and val of the corpus in `root`. Raises DataError as `open_subset` does.

    With `apart`, the stems to train on are needed apart from their mixtures.
    """
    return Corpus(open_subset(root, "train", memory, apart=apart), open_subset(root, "val", memory))


def open_subset(root: Path, name: str, memory: Memory = FORGETFUL, *, apart: bool = False) -> Subset:
    """Opens and checks subset `name` (train, val or test) of the corpus in `root`; its pack where there is one.

    With `apart`, it is the WAV files where there are any, because a pack does not keep every stem. Raises
    DataError that names the folder at fault, or the file with the line of the CSV.
    """
    pack = pack_path(root, name)
    if not pack.exists() or (apart and has_files(root, name)):
        return WavSubset(list_files(root, name), memory)
    subset = PackedSubset(pack)
    if has_files(root, name):
        _check_same(subset, list_files(root, name), memory)
    return subset


def has_files(root: Path, name: str) -> bool:
    """Returns whether `root` has WAV files of subset `name`."""
    return (root / name).is_dir() or bool(librimix.folders(root, name))


def list_files(root: Path, name: str) -> Listing:
    """Returns the WAV files of a subset, before they are checked. Raises DataError."""
    if librimix.folders(root, name):
        return librimix.listing(root, name)
    if (root / name / librimix.SPEECH_FOLDERS[0]).is_dir():
        raise DataError(f"{root / name}: LibriMix calls it {librimix.PATTERNS[name]}/; rename it, or add a link")
    if (root / name).is_dir():
        return polsess.listing(root, name)
    if not root.is_dir():
        raise DataError(
            f"{root}: no such directory; --data-dir names the root of a corpus in PolSESS format, or "
            "LibriMix's folder min/ or max/"
        )
    if any(librimix.folders(root, other) for other in SUBSETS):
        raise DataError(
            f"{root}: has no folder {librimix.PATTERNS[name]}/ with mixtures, LibriMix's name for {name}; copy it, too"
        )
    raise DataError(
        f"{root}: has no folder {name}/, so it is no corpus in PolSESS format, nor {name}.pack; {_hint(root, name)}"
    )


def _hint(root: Path, name: str) -> str:
    """Returns a hint at what may have been meant: a folder in `root`, or the layout of wsj0-2mix and WHAM!.

    That layout differs from LibriMix's in names only.
    """
    for path in (root, *_below(root)):
        if has_files(path, name):
            return f"did you mean --data-dir {path}?"
        if other := librimix.renamed(path):
            return f"{other}, and name that folder"
    return "build a corpus there with `make corpus`"


def _below(root: Path) -> list[Path]:
    """Returns the folders in `root` down to the third level, such as Libri2Mix/wav8k/min; 8 kHz and min come first."""
    folders = [path for pattern in ("*/", "*/*/", "*/*/*/") for path in islice(root.glob(pattern), 2000)]
    return sorted(folders, key=lambda path: ("wav8k" not in path.parts, path.name != "min", path))


def _check_same(subset: PackedSubset, listing: Listing, memory: Memory) -> None:
    """Raises DataError where a pack lies beside WAV files that it was not made from.

    A training would use other data than the folder shows. It is fine if all the WAV files have been removed.
    """
    if not any(Path(listing.path(index, MIX)).exists() for index in range(len(listing))):
        return
    if WavSubset(listing, memory).fingerprint() != subset.fingerprint():
        raise DataError(
            f"{subset.source}: was packed from other files than those of {listing.source}; "
            "pack again with `make pack`, or remove it"
        )
