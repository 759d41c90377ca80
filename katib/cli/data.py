"""Copies a corpus onto the cluster's data claim, through a pod; goes on where an earlier copy ended."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.cluster.claim_pod import claim_pod
from katib.backend.cluster.copying import Source, copy, source
from katib.backend.cluster.deployment import corpus_place
from katib.backend.cluster.searches import any_manifest
from katib.cli._bundles import Reached, bundled
from katib.cli._progress import CopyProgress
from katib.cli.options import Out, Yes
from katib.cli.searches import confirm
from katib.corpus_checks import note_copy
from katib.errors import ClusterError, SiteError
from katib.terminal import say
from katib.text import count
from katib.trainer_contract import DATA


@bundled
def data(
    reached: Reached,
    data: Annotated[Path, typer.Option(help="folder of the corpus on this machine, which holds train/ and val/")],
    out: Out = Path("runs"),
    yes: Yes = False,
) -> None:
    """Copies the folder DATA to the data claim, under the name that the site file gives it, with checksums.

    The folder appears there when it is whole. OUT knows whose copy it is, so that deploy finds its corpus-check. The
    pod is removed afterwards, also after Ctrl-C; the same command then goes on where the copy was.
    """
    site = reached.described
    if not (folder := site.data_folder):
        raise SiteError("data_folder is empty; give the corpus a folder of the claim, data_folder: corpus, to copy it")
    files = source(data)
    claim = f"claim '{site.claims.data}' in namespace '{site.namespace}' on {reached.cluster.server}"
    say(f"copy: {data}, {count(len(files.files), 'file')}, {files.size / 1e9:.2f} GB")
    say(f"  to the folder '{folder}' of {claim}")
    confirm("Copy?", yes)
    try:
        there = _copied(reached, files, folder)
    except KeyboardInterrupt:
        raise ClusterError("interrupted; what has arrived stays, and the same command goes on from there") from None
    note_copy(out, corpus_place(reached.cluster, site), data)
    if there:
        say(f"'{folder}' is there already, whole: {count(len(files.files), 'file')} with the same sizes and checksums")
    else:
        say(f"'{folder}' is whole: {count(len(files.files), 'file')} arrived with their checksums ({folder}/.sha256)")


def _copied(reached: Reached, files: Source, folder: str) -> bool:
    """Copies the files through a pod, and returns whether they were there already."""
    progress, manifest = CopyProgress(files.size), any_manifest(reached.described)
    pod = claim_pod(reached.cluster, manifest, DATA, "data-", read_only=False, context=reached.context)
    with pod as connect, progress:
        return copy(connect, files, DATA, folder, progress)
