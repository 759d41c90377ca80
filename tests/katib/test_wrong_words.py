"""About a hundred calls that a hand may type wrongly: each is answered in one plain line that says what, where and what
to do.

They are read in this process. None gets as far as a search, a corpus or a cluster.
"""

from pathlib import Path

import pytest

from tests.verbs import katib

NAME = "must have lower-case letters, digits and '-' only"
WHOLE, NUMBER = "must be a whole number", "must be a number"
SEEDS = "whole numbers, each once, such as 42,123,456"
BASELINE = "finite values by seed, each seed once, such as 42=3.01,123=2.87,456=3.20"
CALLS = {
    # verbs
    "lokal": "unknown verb 'lokal': did you mean 'local'?",
    "LOCAL demo": "did you mean 'local'?",
    "resluts": "did you mean 'results'?",
    "rep": "did you mean 'report'?",
    "nosuch": "unknown verb 'nosuch': valid: again, arch, best, check",
    "help nosuch": "unknown verb 'nosuch': valid: again, arch, best, check",
    "'' x": "no VERB given: valid: again, arch, best, check",
    "' '": "no VERB given: valid: again, arch, best, check",
    "ünï": "unknown verb 'ünï': valid: ",
    "install_katib": "did you mean 'install-katib'?",
    "--verison": "unknown verb '--verison': did you mean '--version'?",
    "--hlep": "did you mean '--help'?",
    # arguments
    "render": "render: no MODEL given: convtasnet, dprnn",
    "results": "results: no EXPERIMENT given: name of the experiment",
    "results ' '": "results: no EXPERIMENT given",
    "check": "check: no FILE given",
    "check ''": "check: no FILE given",
    "check dprnn --sit x": "check: unknown option '--sit': did you mean '--site'?",
    "logs": "logs: no TRIAL given",
    "local": "local: no MODEL|FILE given",
    "pack": "pack: no --data given: root of the corpus",
    "render all": "unknown model 'all': valid: convtasnet, demo",
    "render ConvTasNet": "unknown model 'ConvTasNet': did you mean 'convtasnet'?",
    "render sepf": "did you mean 'sepformer'?",
    "render convtasnett": "did you mean 'convtasnet'?",
    "render convtasnet dprnn": "render: unexpected 'dprnn': it takes one MODEL",
    "render convtasnet dprnn demo": "render: unexpected 'dprnn demo': it takes one MODEL",
    "results demo extra": "results: unexpected 'extra': it takes one EXPERIMENT",
    "plan convtasnet dprnn": "plan: unexpected 'dprnn': it takes one MODEL",
    "demo extra": "demo: unexpected 'extra': it takes options only",
    "plan foo": "unknown model 'foo': valid: convtasnet, demo",
    "sweep all": "unknown model 'all': valid: ",
    "arch convtasnet": "its spec has no next phase; these have one: dpmamba, dprnn, sepformer, spmamba, tfgridnet",
    "arch nosuch": "unknown model 'nosuch'",
    "deploy nosuch": "unknown model 'nosuch'",
    "doctor nosuch": "unknown model 'nosuch'",
    "results Demo": "no experiment 'Demo': ",
    "results démo": "no experiment 'démo': ",
    "report nosuch": "no experiment 'nosuch': there is none yet; `make local MODEL=...` starts one",
    "best nosuch": "no experiment 'nosuch': ",
    "confirm nosuch": "no experiment 'nosuch': ",
    "log nosuch": "no experiment 'nosuch': ",
    "ui nosuch": "no experiment 'nosuch': ",
    "check nosuch.yaml": "nosuch.yaml: cannot be read (No such file or directory)",
    "check .": ".: cannot be read (Is a directory)",
    "local nosuch.yaml": "nosuch.yaml: cannot be read (No such file or directory)",
    "results ../runs/demo": "no experiment '../runs/demo': ",
    "results demo/": "no experiment 'demo/': ",
    "results .": "no experiment '.': ",
    "local nosuch.json": "nosuch.json: cannot be read (No such file or directory)",
    "local nosuch": "unknown model 'nosuch', and no file of that name: valid: convtasnet, demo",
    "local dprn --data .": "unknown model 'dprn', and no file of that name: did you mean 'dprnn'?",
    "local ./nosuch": "nosuch: cannot be read (No such file or directory)",
    "local demo": "--data is missing: the folder of the corpus",
    "local demo --data nosuch": "--data nosuch: no such folder; `make corpus` builds a corpus",
    # options
    "render convtasnet --epoch 3": "render: unknown option '--epoch': did you mean '--epochs'?",
    "render convtasnet --epoch=3": "render: unknown option '--epoch': did you mean '--epochs'?",
    "render convtasnet --EPOCHS 3": "did you mean '--epochs'?",
    "render convtasnet --trails 3": "did you mean '--trials'?",
    "render convtasnet -e 3": "unknown option '-e': did you mean '--epochs'?",
    "render convtasnet --data x": "unknown option '--data': valid: --epochs, --gpu-hours, --kind, --name, --parallel, --preset, --site",
    "render --model convtasnet": "unknown option '--model': give MODEL without an option name",
    "local --file x.yaml": "unknown option '--file': give MODEL|FILE without an option name",
    "results --experiment demo": "unknown option '--experiment': give EXPERIMENT without an option name",
    "results demo --formt csv": "did you mean '--format'?",
    "results demo --format": "results: --format has no value; give it one or leave it out",
    "render demo --preset --name x": "render: --preset has no value; give it one or leave it out",
    "render demo --trials 6 --trials 7": "render: --trials is given twice; give it once",
    "render demo --name=a --name b": "render: --name is given twice; give it once",
    "results demo --out --json": "results: --out has no value",
    "delete demo --yes ''": "delete: no MODEL given: ",
    "HELP": "did you mean 'help'?",
    "results demo --out": "results: --out has no value",
    "results demo --out ''": "results: --out is empty; give it a value or leave it out",
    "results demo --out=": "results: --out is empty",
    "results demo --format CSV": "--format CSV: did you mean 'csv'?",
    "results demo --format xlsx": "--format xlsx: valid: csv, json, markdown, table",
    "results demo --json=yes": "results: --json is a switch and takes no value; write it without '=yes'",
    "status -w=3": "status: -w is a switch and takes no value",
    "demo --epochs 3": "demo: unknown option '--epochs': valid: --data, --out",
    "render convtasnet --preset huge": "preset 'huge' is unknown, valid: paper, debug",
    "render convtasnet --preset Debug": "preset 'Debug' is unknown, valid: paper, debug",
    "render convtasnet --site none.yaml": "none.yaml: cannot be read (No such file or directory)",
    "render convtasnet --site .": ".: cannot be read (Is a directory)",
    # whom to tell
    "local demo --notify": "local: --notify has no value; give it one or leave it out",
    "local demo --notify ''": "local: --notify is empty; give it a value or leave it out",
    "local demo --notify nosuchprogram": "--notify: no program 'nosuchprogram'; give a command, or an address with https://",
    "local demo --notify ftp://x.org/y": "--notify: takes http:// and https:// only, such as https://ntfy.sh/TOPIC",
    "local demo --notify https://hooks.slack.com/services/x": "is a secret, which `ps` would show; write it into a file",
    "local demo --notify @nosuch": "--notify @nosuch: cannot be read (No such file or directory)",
    "confirm demo --notify nosuchprogram": "--notify: no program 'nosuchprogram'; give a command, or an address",
    "again demo --notify": "again: --notify has no value; give it one or leave it out",
    "arch dprnn --cluster --notify true": "--notify: on a cluster only who watches can tell; make status WATCH=1 NOTIFY=…",
    "status --notify true": "--notify: only who watches can tell; add --watch (-w, WATCH=1)",
    "status --notify https://": "--notify: is no address; such as https://ntfy.sh/TOPIC",
    "local demo --trackers tensorbord": "--trackers 'tensorbord': 'tensorbord' is no tracker: did you mean 'tensorboard'?",
    "local demo --trackers wandb,mlflow": "'mlflow' is no tracker: valid: tensorboard, wandb",
    "local demo --trackers wandb,wandb": "--trackers 'wandb,wandb': wandb is there twice; remove one of the two",
    "local demo --trackers wandb,": "--trackers 'wandb,': '' is no tracker: valid: tensorboard, wandb",
    # numbers
    "render convtasnet --epochs 10k": f"render: --epochs '10k': {WHOLE}",
    "render convtasnet --epochs 1e3": f"render: --epochs '1e3': {WHOLE}",
    "render convtasnet --epochs 0x10": f"render: --epochs '0x10': {WHOLE}",
    "render convtasnet --epochs 1.5": f"render: --epochs '1.5': {WHOLE}",
    "render convtasnet --epochs 1,5": f"render: --epochs '1,5': {WHOLE}",
    "render convtasnet --epochs 0": "render: --epochs '0': must be at least 1",
    "render convtasnet --epochs -1": "render: --epochs '-1': must be at least 1",
    "render convtasnet --epochs 99999999999999999999": "must be at most 1000000",
    "render convtasnet --trials 0": "render: --trials '0': must be at least 1",
    "render convtasnet --trials six": f"render: --trials 'six': {WHOLE}",
    "sweep demo --trials 0": "sweep: --trials '0': must be at least 1",
    "render convtasnet --parallel 0": "render: --parallel '0': must be at least 1",
    "render convtasnet --parallel 100": "parallel 100: the search has 20 trials in all; name at most 20",
    "plan --gpus 0": "plan: --gpus '0': must be at least 1",
    "plan --gpus 4GPUs": f"plan: --gpus '4GPUs': {WHOLE}",
    "plan --price 2,50": f"plan: --price '2,50': {NUMBER}",
    "plan --price 2€": f"plan: --price '2€': {NUMBER}",
    "plan --price -1": "plan: --price '-1': must be at least 0",
    "plan --price nan": "plan: --price 'nan': must be a finite number",
    "plan --price inf": "plan: --price 'inf': must be at most 1000000",
    "best demo --top 0": "best: --top '0': must be at least 1",
    "best demo --top three": f"best: --top 'three': {WHOLE}",
    "corpus --mixtures 10k": f"corpus: --mixtures '10k': {WHOLE}",
    "corpus --mixtures 0": "corpus: --mixtures '0': must be at least 1",
    "corpus --seconds 4s": f"corpus: --seconds '4s': {NUMBER}",
    "corpus --seconds 0": "corpus: --seconds '0': must be at least 0.5",
    "corpus --seconds 99": "corpus: --seconds '99': must be at most 60",
    "corpus --seed -1": "corpus: --seed '-1': must be at least 0",
    "watch demo": "watch: unexpected 'demo': it takes options only",
    "watch --port 0": "watch: --port '0': must be at least 1",
    "watch --port 80x": f"watch: --port '80x': {WHOLE}",
    "watch --price -1": "watch: --price '-1': must be at least 0",
    "watch --experiment demo": "watch: unknown option '--experiment': did you mean '--price'?",
    "ui --port http": f"ui: --port 'http': {WHOLE}",
    "ui --port 99999": "ui: --port '99999': must be at most 65535",
    "deploy demo --wait 10m": f"deploy: --wait '10m': {WHOLE}",
    "confirm demo --seeds 1,1": f"--seeds '1,1': {SEEDS}",
    "confirm demo --seeds -1,2": f"--seeds '-1,2': {SEEDS}",
    "confirm demo --seeds ٤٢,1": f"--seeds '٤٢,1': {SEEDS}",
    "pack --data nosuch": "--data nosuch: no such folder; `make corpus` builds a corpus",
    "pack --data .": "--data .: the folder is empty; `make corpus` builds a corpus",
    "confirm demo --seeds a,b": f"--seeds 'a,b': {SEEDS}",
    "confirm demo --seeds ,": f"--seeds ',': {SEEDS}",
    "arch dprnn --seeds 1.5": f"--seeds '1.5': {SEEDS}",
    "confirm demo --seeds=": "confirm: --seeds is empty",
    "confirm demo --train-limit 0": "--train-limit '0': a whole number of mixtures, such as 8000, or all",
    "confirm demo --train-limit ٤": "--train-limit '٤': a whole number of mixtures, such as 8000, or all",
    "confirm demo --train-limit most": "--train-limit 'most': a whole number of mixtures, such as 8000, or all",
    "confirm demo --train-limit=": "confirm: --train-limit is empty",
    "confirm demo --baseline 42": f"--baseline '42': {BASELINE}",
    "confirm demo --baseline 42=a": f"--baseline '42=a': {BASELINE}",
    "confirm demo --baseline 42=nan": f"--baseline '42=nan': {BASELINE}",
    "confirm demo --baseline 42=1,42=2": f"--baseline '42=1,42=2': {BASELINE}",
    # names
    "render demo --name 'My Search'": f"name 'My Search': {NAME}",
    "render demo --name 'My Search' ": "'my-search' would do",
    "render demo --name search-": "'search' would do",
    "render demo --name 1abc": "'abc' would do",
    "render demo --name a.b": "'a-b' would do",
    "render demo --name ../x": "'x' would do",
    "render demo --name ünïcödé": "'unicode' would do",
    "render demo --name 日本": f"name '日本': {NAME}",
    "local demo --data . --name UPPER": "'upper' would do",
    f"render demo --name {'a' * 41}": f"and have at most 40 characters; '{'a' * 40}' would do",
    "render demo --name ''": "render: --name is empty",
}
FOREIGN = (
    "pydantic",
    "Input should",
    "should match",
    "unable to parse",
    "Got unexpected",
    "No such option",
    "^",
)


@pytest.mark.parametrize("call", CALLS)
def test_a_slip_is_answered_in_one_plain_line(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    monkeypatch.chdir(tmp_path)
    done = katib(*shlex.split(call))
    assert (done.returncode, done.stdout) == (2, ""), done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert CALLS[call] in line
    assert not any(word in line for word in FOREIGN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "line 1: is not YAML: "), ("- 1", "line 1: is a list"), ("", "line 1: is empty")],
)
def test_a_file_that_is_no_manifest_at_all_has_no_place_but_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert said in katib("local", str(path)).stderr
    assert said in katib("check", str(path)).stdout


def test_the_path_of_an_experiment_is_not_its_name(tmp_path: Path) -> None:
    """Else two searches of one name would be taken for copies of each other."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "study.db").touch()
    for typed in ("demo/", "./demo", f"../{tmp_path.name}/demo", str(tmp_path / "demo")):
        done = katib("results", typed, "--out", str(tmp_path))
        assert done.returncode == 2
        assert f"no experiment '{typed}': " in done.stderr


@pytest.mark.parametrize("verb", ["status", "results demo --cluster", "deploy demo", "stop demo", "doctor"])
def test_without_a_cluster_the_line_names_the_way_back(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    done = katib(*verb.split())
    assert done.returncode == 1
    assert "no usable kubeconfig: " in done.stderr
    assert ".;" not in done.stderr
    assert "make local" in done.stderr
