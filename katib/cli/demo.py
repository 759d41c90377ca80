"""From nothing to a report: a small corpus, a small search, its table and its report."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.local.table import read_table
from katib.cli.corpus import corpus
from katib.cli.local import local
from katib.cli.options import Out
from katib.cli.report import write_report
from katib.program import as_typed, out_variable
from katib.report.summary import next_steps
from katib.spec import load_spec


def demo(
    out: Out = Path("runs"),
    data: Annotated[Path, typer.Option(help="folder of the corpus, which is built where it is missing")] = Path(
        "data/demo"
    ),
) -> int:
    """Builds a corpus of synthetic voices and runs the small Conv-TasNet search of katib/specs/demo.yaml on it."""
    spec = load_spec("demo")
    seconds = spec.fixed["segment_seconds"]
    assert isinstance(seconds, int | float)  # noqa: S101  (katib/specs/demo.yaml is ours)
    print("1/3 a corpus of two-speaker mixtures with noise and reverberation, in PolSESS format", flush=True)
    if code := corpus(out=data, seconds=seconds):
        return code
    print(
        f"\n2/3 the search of katib/specs/demo.yaml: {spec.trials} trials of at most {spec.epochs} epochs,"
        f" {', '.join(spec.search)}",
        flush=True,
    )
    if code := local(search="demo", data=data, out=out):
        return code
    print("\n3/3 the report, which opens in any browser without network", flush=True)
    table = read_table(out, spec.name)
    write_report(table, out)
    steps = next_steps(table, out_variable(out))
    width = max(len(command) for _, command in steps)
    print("\nwhat next")
    for what, command in steps:
        print(f"  {command:<{width}}  # {what}")
    print(
        as_typed(
            "where to go from here\n"
            "  your own recordings  make corpus SPEECH=folder-with-a-folder-a-speaker OUT=data/mine\n"
            "  your own corpus      make local MODEL=convtasnet PRESET=debug DATA=path/to/PolSESS\n"
            "  the cluster          edit k8s/site.yaml, then make deploy MODEL=convtasnet\n"
            f"  the same again       rm -r {out / 'demo'} && make demo"
        )
    )
    return 0
