"""Writes k8s/ into this folder: site.yaml to edit, the namespace, Katib's install; where it stands, verbs read it."""

import shutil

from katib.errors import FolderError
from katib.program import SITE
from katib.program import k8s as ours
from katib.terminal import say


def k8s() -> None:
    """Copies the site file, the namespace's objects and Katib's install into k8s/ of the current folder."""
    folder = SITE.parent
    if folder.exists():
        raise FolderError(f"{folder}/: is there already; edit {SITE}, or rename the folder and run this again")
    try:
        shutil.copytree(ours(), folder)
    except OSError as error:
        raise FolderError(f"{folder}/: cannot be written ({error.strerror})") from None
    say(f"{folder}/: written; edit {SITE}, which every verb reads in this folder, then kubectl apply -k {folder}/base")
