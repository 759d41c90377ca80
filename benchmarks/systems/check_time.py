"""Times `check` on the worst known inputs: much of one kind, all of it wrong, and patterns that backtrack.

python -m benchmarks.systems.check_time [--many 3000]

Prints the processor seconds of each and the slowest; the limit is 2 s for any manifest that Kubernetes would store (1.5
MiB).
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from katib.check.manifest import check_text
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import load_spec
from katib.yaml_reader import read_yaml

LIMIT = 2.0
Object = dict[str, Any]


def names(many: int, what: str) -> list[str]:
    return [f"{what}-{index}" for index in range(many)]


def spoil(spec: Object, pod: Object, many: int) -> dict[str, Callable[[], None]]:
    """Returns, by name, what makes a sound manifest slow to check."""
    trainer, template = pod["containers"][0], spec["trialTemplate"]
    space = {"min": "1", "max": "2"}
    parameters = [{"name": name, "parameterType": "double", "feasibleSpace": space} for name in names(many, "p")]
    listed = [{"name": name, "reference": f"q{name}"} for name in names(many, "p")]
    placeholders = [f"--{name}=${{trialParameters.{name}}}" for name in names(many, "p")]
    settings = [{"name": name, "value": "1"} for name in names(many, "s")]
    point = dict.fromkeys(names(many // 10, "p"), 1)
    return {
        "volumes and wrong mounts": lambda: (
            pod.update(volumes=[{"name": name, "emptyDir": {}} for name in names(many, "v")]),
            trainer.update(volumeMounts=[{"name": f"x{name}", "mountPath": f"/{name}"} for name in names(many, "v")]),
        )[0],
        "parameters, wrong references": lambda: spec.update(
            parameters=parameters, trialTemplate={**template, "trialParameters": listed}
        ),
        "parameters and settings": lambda: spec.update(
            parameters=parameters, algorithm={"algorithmName": "hyperband", "algorithmSettings": settings}
        ),
        "placeholders, none listed": lambda: trainer.update(command=["python", "t.py", *placeholders]),
        "trialParameters, none used": lambda: template.update(trialParameters=listed),
        "unknown keys": lambda: spec.update(dict.fromkeys(names(many, "k"), 1)),
        "unknown keys of containers": lambda: pod.update(
            containers=[{**trainer, "name": name, "imagge": "x"} for name in names(many // 10, "c")]
        ),
        "containers of one name": lambda: pod.update(containers=[trainer] * (many // 10)),
        "init containers": lambda: pod.update(initContainers=[{**trainer, "name": n} for n in names(many // 10, "c")]),
        "environment": lambda: trainer.update(env=[{"name": "A", "value": "$(B)"}] * many),
        "flags of the trainer": lambda: trainer.update(command=["python", "-m", "trainer", *["--lr=1"] * many]),
        "words of a shell": lambda: trainer.update(command=["sh", "-c", "echo 'a' && " * many]),
        "here-documents": lambda: trainer.update(command=["sh", "-c", "cat <<A <<B\nA\n" * many]),
        "quotes that stay open": lambda: trainer.update(command=["sh", "-c", "\"$(`'" * many]),
        "a list of values": lambda: spec["parameters"][0].update(
            parameterType="categorical", feasibleSpace={"list": names(many * 10, "a b")}
        ),
        "metrics": lambda: spec["objective"].update(
            additionalMetricNames=names(many, "m"),
            metricStrategies=[{"name": name, "value": "max"} for name in names(many, "n")],
        ),
        "filters": lambda: filters(spec, [rf"({name}|val)=([\d.]+)" for name in names(many // 10, "m")]),
        "a filter that is large to compile": lambda: filters(spec, ["((a{1,99}){1,9}|b)=(((c{1,99}){1,9})d)"] * 30),
        "first suggestions": lambda: spec.update(
            parameters=parameters[: many // 10],
            algorithm={
                "algorithmName": "random",
                "algorithmSettings": [{"name": "first_suggestions", "value": json.dumps([point] * (many // 10))}],
            },
        ),
        "labels": lambda: pod.update(nodeSelector=dict.fromkeys(names(many, "bad label"), "x")),
        "tolerations": lambda: pod.update(tolerations=[{"operator": "Exist"}] * many),
        "resources": lambda: trainer.update(resources={"limits": dict.fromkeys(names(many, "cpuu"), "1")}),
        "long names": lambda: template.update(
            trialParameters=[{"name": f"{name}{'x' * 300}", "reference": "lr"} for name in names(many, "p")]
        ),
        "one long word": lambda: template.update(primaryContainerName="abcdefghij" * 10 * many),
        "operations of a graph": lambda: spec.update(
            algorithm={"algorithmName": "enas"},
            nasConfig={"operations": [{"operationType": "x", "parameters": parameters[:1]}] * many},
        ),
        "open placeholders": lambda: trainer["command"].append("${trialParameters." * many * 2),
        "braces": lambda: trainer["command"].append("{{trial " * many * 2),
        "nested": lambda: spec.update(nasConfig=json.loads('{"a":' * 190 + "1" + "}" * 190)),
    }


def filters(spec: Object, patterns: list[str]) -> None:
    spec["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"] = patterns


def main() -> None:
    """Checks each of the inputs once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--many", type=int, default=3000, help="how many of a kind (default 3000)")
    many = parser.parse_args().many
    sound = render(load_spec("sepformer"), load_site())
    check_text(sound, "sound")  # what is imported and read once
    took: dict[str, float] = {}
    for name in spoil(*parts(read_yaml(sound)), many):
        document = read_yaml(sound)
        spoil(*parts(document), many)[name]()
        text = json.dumps(document)
        began = time.process_time()
        found = check_text(text, name)
        took[name] = time.process_time() - began
        print(f"{took[name]:6.2f} s  {len(text) / 1000:7.0f} kB  {len(found):6} findings  {name}", flush=True)
    slowest = max(took, key=lambda name: took[name])
    over = sum(seconds > LIMIT for seconds in took.values())
    print(f"{len(took)} inputs, slowest {took[slowest]:.2f} s ({slowest}), above {LIMIT:g} s: {over}")


def parts(document: Object) -> tuple[Object, Object]:
    """Returns the spec, and the pod of its trials."""
    spec: Object = document["spec"]
    return spec, spec["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]


if __name__ == "__main__":
    main()
