"""An algorithm is one file and one row: a copy of this tree with a toy one, and the search by it on this machine."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import katib
from katib.backend.local.table import read_table
from tests.katib.backend.local.rig import as_text, script
from tests.verbs import SECONDS, environment

TOY = '''"""Proposes the bisection of the space: its middle, then the quarters, then the eighths."""

from katib.search.algorithms.base import Question, SearchAlgorithm
from katib.setting import Settings, whole


def propose(question: Question) -> dict[str, str] | None:
    """Returns the first free point of the coarsest parts that have one left."""
    parts = int(question.settings.get("parts", "2"))
    while parts <= question.trials.count + 1:
        parts *= 2
    width = len(question.space.axes)
    return question.free((index / parts,) * width for index in range(1, parts))


ALGORITHM = SearchAlgorithm(propose=propose, settings=Settings(ours={"parts": whole(2)}))
'''
TABLE = Path("katib/search/algorithms/__init__.py")


def test_an_algorithm_is_one_file_and_one_row_of_the_table(tmp_path: Path) -> None:
    """Three trials at the quarters of 0 to 1; the check before the search knows the algorithm and its setting."""
    tree = tmp_path / "tree"
    copytree(Path(katib.__file__).parent, tree / "katib", ignore=ignore_patterns("__pycache__"))
    (tree / "katib/search/algorithms/bisection.py").write_text(TOY)
    table = (tree / TABLE).read_text()
    table = table.replace("algorithms import bayes", "algorithms import bisection, bayes")
    (tree / TABLE).write_text(table.replace("] = {\n", '] = {\n    "bisection": bisection.ALGORITHM,\n'))

    algorithm = {"algorithmName": "bisection", "algorithmSettings": [{"name": "parts", "value": "4"}]}
    (axis,) = script("")["spec"]["parameters"]
    space = {"min": "0", "max": "1", "distribution": "uniform"}
    search = script("echo val_si_snr=$X", algorithm=algorithm, parameters=[axis | {"feasibleSpace": space}])
    (tmp_path / "search.yaml").write_text(as_text(search))

    command = [sys.executable, "-m", "katib", "local", "../search.yaml", "--out", "../runs"]
    done = subprocess.run(command, cwd=tree, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert [row.value for row in read_table(tmp_path / "runs", "test").rows] == [0.75, 0.5, 0.25]
