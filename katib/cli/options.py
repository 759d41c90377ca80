"""Options that several verbs share, declared once."""

from pathlib import Path
from typing import Annotated

import typer

MOST = 1_000_000
"""Of whatever is counted: beyond it lies a slip."""

Model = Annotated[str, typer.Argument(metavar="MODEL", help="convtasnet, dprnn, sepformer, spmamba, or demo")]
Preset = Annotated[str | None, typer.Option(help="size of the model: paper or debug")]
Name = Annotated[str | None, typer.Option(help="name of the experiment, at most 40 characters")]
Trials = Annotated[int | None, typer.Option(help="trials of the search", min=1, max=MOST)]
Epochs = Annotated[int | None, typer.Option(help="epochs of each trial", min=1, max=MOST)]
Parallel = Annotated[int | None, typer.Option(help="trials that run at a time", min=1, max=MOST)]
SiteFile = Annotated[Path | None, typer.Option(help="site file (default: k8s/site.yaml)")]
Context = Annotated[str | None, typer.Option(help="kubeconfig context (default: the current one)")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
Out = Annotated[Path, typer.Option(help="folder of all runs, with one folder for each experiment")]
OfCluster = Annotated[bool, typer.Option("--cluster", help="the search on the cluster, not the one on this machine")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
