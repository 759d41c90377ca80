"""Named defects: what is changed in a sound manifest, and every finding that this must give (rule at path; ? is a warning)."""

from tests.katib.check.manifests import DROP, sound

NAME_41 = "n" * 41
PARAMETER = {"name": "depth", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "8", "step": "1"}}
TRAINER = sound()["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]
BESIDE = {"name": "watcher", "image": "a:1"}


def words(*first: str) -> list[str]:
    """A command that begins like this and holds every placeholder."""
    names = ("lr", "weight_decay", "grad_clip_norm", "lr_factor", "trialName")
    return [*first, *(f"--{name}=${{trialParameters.{name}}}" for name in names)]


def script(text: str) -> dict[str, object]:
    """A command through a shell, with every placeholder behind `text`."""
    return {"TRAINER.command": ["sh", "-c", " ".join(words(text))]}


def categorical(*values: str) -> dict[str, object]:
    """The first parameter as one of these values."""
    return {"spec.parameters[0].parameterType": "categorical", "SPACE": {"list": list(values)}}


def algorithm(name: str, **settings: str) -> dict[str, object]:
    """Another algorithm with these settings."""
    listed = [{"name": key, "value": value} for key, value in settings.items()]
    return {"spec.algorithm": {"algorithmName": name, "algorithmSettings": listed}}


def collector(kind: str, **source: object) -> dict[str, object]:
    """Another collector, without early stopping."""
    spec = {"collector": {"kind": kind}, "source": source} if source else {"collector": {"kind": kind}}
    return {"spec.metricsCollectorSpec": spec, "spec.earlyStopping": DROP}


ALL_STEPS = {
    f"spec.parameters[{index}].feasibleSpace.step": step
    for index, step in enumerate(("0.001", "0.00001", "1", "0.1"))
}

MUTATIONS: dict[str, tuple[dict[str, object], set[str]]] = {
    # names
    "no name": ({"metadata.name": DROP}, {"name-missing metadata.name"}),
    "no metadata": (
        {"metadata": DROP},
        {"name-missing metadata.name", "?namespace-missing metadata.namespace"},
    ),
    "generated name": (
        {"metadata.name": DROP, "metadata.generateName": "run-"},
        {"?name-generated metadata.generateName"},
    ),
    "name with a dot": ({"metadata.name": "a.b"}, {"name-pattern metadata.name"}),
    "name that ends with a dash": ({"metadata.name": "run-"}, {"name-pattern metadata.name"}),
    "name of 41 characters": ({"metadata.name": NAME_41}, {"name-length metadata.name"}),
    "name too long with its algorithm's": (
        {"metadata.name": "n" * 40, **algorithm("a" * 23)},
        {"service-name-length metadata.name", "unknown-algorithm spec.algorithm.algorithmName"},
    ),
    "name as a number": ({"metadata.name": 7}, {"wrong-type metadata.name"}),
    "no namespace": ({"metadata.namespace": DROP}, {"?namespace-missing metadata.namespace"}),
    "namespace with capitals": ({"metadata.namespace": "Lab"}, {"namespace-pattern metadata.namespace"}),
    "label with a blank": ({"metadata.labels.team": "a b"}, {"label metadata.labels.team"}),
    "misspelt metadata": ({"metadata.lables": {}}, {"unknown-key metadata.lables"}),
    # objective and counts
    "no spec": ({"spec": DROP}, {"required spec"}),
    "no objective": ({"spec.objective": DROP}, {"required spec.objective"}),
    "no objective type": ({"spec.objective.type": DROP}, {"objective-type spec.objective.type"}),
    "objective type max": ({"spec.objective.type": "max"}, {"objective-type spec.objective.type"}),
    "no metric": (
        {"spec.objective.objectiveMetricName": DROP, "spec.objective.metricStrategies": DROP},
        {"required spec.objective.objectiveMetricName"},
    ),
    "objective among additional metrics": (
        {"spec.objective.additionalMetricNames": ["val_si_snr"]},
        {"additional-metric spec.objective.additionalMetricNames[0]"},
    ),
    "metric with a semicolon": (
        {"spec.objective.additionalMetricNames": ["a;b"]},
        {"metric-name spec.objective.additionalMetricNames[0]"},
    ),
    "strategy mean": (
        {"spec.objective.metricStrategies[0].value": "mean"},
        {"metric-strategy spec.objective.metricStrategies[0].value"},
    ),
    "strategy of another metric": (
        {"spec.objective.metricStrategies[1]": {"name": "loss", "value": "min"}},
        {"?metric-strategy-name spec.objective.metricStrategies[1].name"},
    ),
    "maximised by its minimum": (
        {"spec.objective.metricStrategies[0].value": "min"},
        {"?metric-strategy-against-type spec.objective.metricStrategies[0].value"},
    ),
    "goal as a string": ({"spec.objective.goal": "12"}, {"wrong-type spec.objective.goal"}),
    "no trials": ({"spec.maxTrialCount": 0}, {"count spec.maxTrialCount"}),
    "no parallel trials": ({"spec.parallelTrialCount": 0}, {"count spec.parallelTrialCount"}),
    "trial count as a string": ({"spec.maxTrialCount": "30"}, {"wrong-type spec.maxTrialCount"}),
    "more parallel than trials": (
        {"spec.parallelTrialCount": 31},
        {"count-exceeds-trials spec.parallelTrialCount"},
    ),
    "fewer trials than Katib's default of three at a time": (
        {
            "spec.parallelTrialCount": DROP,
            "spec.maxTrialCount": 2,
            "spec.maxFailedTrialCount": 1,
            "spec.earlyStopping": DROP,
            "spec.algorithm.algorithmSettings[0].value": "1",
        },
        {"count-exceeds-trials spec.parallelTrialCount"},
    ),
    "more failures than trials": (
        {"spec.maxFailedTrialCount": 31},
        {"count-exceeds-trials spec.maxFailedTrialCount"},
    ),
    "negative failures": ({"spec.maxFailedTrialCount": -1}, {"count spec.maxFailedTrialCount"}),
    "no failure allowed": ({"spec.maxFailedTrialCount": 0}, {"?no-failure-allowed spec.maxFailedTrialCount"}),
    "no limit of failures": (
        {"spec.maxFailedTrialCount": DROP},
        {"?no-failure-limit spec.maxFailedTrialCount"},
    ),
    "no limit of trials": ({"spec.maxTrialCount": DROP}, {"?no-trial-limit spec.maxTrialCount"}),
    "unknown resume policy": ({"spec.resumePolicy": "Always"}, {"resume-policy spec.resumePolicy"}),
    "misspelt count": (
        {"spec.maxTrialCount": DROP, "spec.maxTrialsCount": 3},
        {"unknown-key spec.maxTrialsCount", "?no-trial-limit spec.maxTrialCount"},
    ),
    # the search space
    "no parameters": (
        {"spec.parameters": DROP},
        {"no-parameters spec.parameters"},
    ),
    "parameter without a name": (
        {"spec.parameters[4]": {"parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}}},
        {"parameter-name spec.parameters[4].name"},
    ),
    "parameter twice": (
        {
            "spec.parameters[4]": {
                "name": "lr",
                "parameterType": "int",
                "feasibleSpace": {"min": "1", "max": "2"},
            }
        },
        {"parameter-name spec.parameters[4].name"},
    ),
    "parameter that reaches no trial": (
        {"spec.parameters[4]": PARAMETER | {"feasibleSpace": {"min": "1", "max": "8"}}},
        {"parameter-unreferenced spec.parameters[4].name"},
    ),
    "parameter type float": (
        {"spec.parameters[0].parameterType": "float"},
        {"parameter-type spec.parameters[0].parameterType"},
    ),
    "misspelt parameterType": (
        {"spec.parameters[0].parameterType": DROP, "spec.parameters[0].parametertype": "double"},
        {"unknown-key spec.parameters[0].parametertype", "parameter-type spec.parameters[0].parameterType"},
    ),
    "no feasible space": ({"SPACE": DROP}, {"bounds-missing SPACE"}),
    "min as a number": ({"SPACE.min": 0.0001}, {"wrong-type SPACE.min"}),
    "no max": ({"SPACE.max": DROP}, {"bounds-missing SPACE.max"}),
    "min is a word": ({"SPACE.min": "small"}, {"bound-not-a-number SPACE.min"}),
    "max is infinite": ({"SPACE.max": "inf"}, {"bound-not-a-number SPACE.max"}),
    "min above max": ({"SPACE.min": "0.1"}, {"bounds-order SPACE.min"}),
    "min equals max": ({"SPACE.min": "0.01"}, {"bounds-order SPACE.min"}),
    "logUniform from nothing": (
        {"SPACE.min": "0"},
        {"log-of-nothing SPACE.min", "min-not-above-zero SPACE.min"},
    ),
    "uniform from below nothing, which skopt samples as a logarithm": (
        {"SPACE.min": "-1", "SPACE.distribution": "uniform"},
        {"min-not-above-zero SPACE.min"},
    ),
    "step of nothing": ({**algorithm("random"), "SPACE.step": "0"}, {"step SPACE.step"}),
    "step beyond the range": ({**algorithm("random"), "SPACE.step": "1"}, {"step SPACE.step"}),
    "step that skopt ignores": ({"SPACE.step": "0.001"}, {"?step-ignored SPACE.step"}),
    "distribution that skopt ignores": (
        {"SPACE.distribution": "uniform"},
        {"?distribution-ignored SPACE.distribution"},
    ),
    "distribution that is implied and ignored": (
        {"SPACE.distribution": DROP},
        {"?distribution-ignored SPACE.distribution"},
    ),
    "unknown distribution": (
        {**algorithm("random"), "SPACE.distribution": "loguniform"},
        {"distribution SPACE.distribution"},
    ),
    "list of a double": ({"SPACE.list": ["1"]}, {"bounds-of-other-type SPACE.list"}),
    "whole number with a fraction": (
        {"spec.parameters[2].parameterType": "int", "spec.parameters[2].feasibleSpace.max": "9.5"},
        {"bound-not-a-number spec.parameters[2].feasibleSpace.max"},
    ),
    "empty list": (categorical(), {"bounds-missing SPACE.list"}),
    "bounds of a category": (
        {"spec.parameters[0].parameterType": "categorical", "SPACE": {"min": "1", "list": ["a"]}},
        {"bounds-of-other-type SPACE.min"},
    ),
    "value twice": (categorical("a", "b", "a"), {"?list-value-twice SPACE.list[2]"}),
    "value that the shell line splits": (categorical("a", "b c"), {"list-value-word SPACE.list[1]"}),
    "value that breaks the JSON": (
        categorical("a", 'b"'),
        {"list-value-breaks-json SPACE.list[1]", "list-value-word SPACE.list[1]"},
    ),
    "number in a list": (
        {"spec.parameters[0].parameterType": "discrete", "SPACE": {"list": ["1", 2]}},
        {"wrong-type SPACE.list[1]"},
    ),
    "discrete word": (
        {"spec.parameters[0].parameterType": "discrete", "SPACE": {"list": ["1", "two"]}},
        {"?discrete-not-a-number SPACE.list[1]"},
    ),
    # algorithms
    "no algorithm": ({"spec.algorithm": DROP}, {"required spec.algorithm"}),
    "misspelt algorithm": (
        algorithm("bayesianoptimisation"),
        {"unknown-algorithm spec.algorithm.algorithmName"},
    ),
    "unknown setting": (
        algorithm("bayesianoptimization", n_initial_point="5"),
        {"setting-unknown spec.algorithm.algorithmSettings[0].name"},
    ),
    "setting as a number": (
        {"spec.algorithm.algorithmSettings[0].value": 5},
        {"wrong-type spec.algorithm.algorithmSettings[0].value"},
    ),
    "setting out of range": (
        algorithm("tpe", gamma="1.5"),
        {"setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "setting that crashes at the first result": (
        algorithm("bayesianoptimization", acq_func="EIps"),
        {"setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "setting twice": (
        {"spec.algorithm.algorithmSettings[2]": {"name": "random_state", "value": "1"}},
        {"?setting-ignored spec.algorithm.algorithmSettings[2].name"},
    ),
    "only random points": ({"spec.maxTrialCount": 5}, {"?all-random spec.algorithm"}),
    "ten random points by default": (
        {**algorithm("bayesianoptimization"), "spec.maxTrialCount": 8},
        {"?all-random spec.algorithm"},
    ),
    "hyperband without settings": (
        algorithm("hyperband"),
        {
            "setting-missing spec.algorithm.algorithmSettings",
            "?distribution-ignored SPACE.distribution",
            "?distribution-ignored spec.parameters[1].feasibleSpace.distribution",
        },
    ),
    "hyperband with too few at a time": (
        algorithm("hyperband", r_l="9", resource_name="grd_clip_norm"),
        {
            "hyperband spec.algorithm.algorithmSettings[1].value",
            "hyperband spec.parallelTrialCount",
            "?distribution-ignored SPACE.distribution",
            "?distribution-ignored spec.parameters[1].feasibleSpace.distribution",
        },
    ),
    "normal, which optuna's service cannot draw": (
        {**algorithm("multivariate-tpe"), "SPACE.distribution": "normal"},
        {"distribution-unsupported SPACE.distribution"},
    ),
    "normal, which leaves its range": (
        {**algorithm("random"), "SPACE.distribution": "normal"},
        {"?distribution-leaves-range SPACE.distribution"},
    ),
    "grid without a step": (
        {
            **algorithm("grid"),
            **ALL_STEPS,
            "SPACE.step": DROP,
            "SPACE.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
        },
        {"setting-missing SPACE.step"},
    ),
    "grid of fewer points than trials": (
        {
            **algorithm("grid"),
            **ALL_STEPS,
            "SPACE.distribution": "uniform",
            "SPACE.step": "0.005",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.step": "0.00009",
            "spec.parameters[2].feasibleSpace.step": "9",
            "spec.parameters[3].feasibleSpace.step": "0.5",
        },
        {"grid-too-small spec.maxTrialCount"},
    ),
    "cmaes with too few numbers": (
        {
            **algorithm("cmaes"),
            **{f"spec.parameters[{index}].parameterType": "categorical" for index in range(4)},
            **{f"spec.parameters[{index}].feasibleSpace": {"list": ["1", "2"]} for index in range(4)},
        },
        {"too-few-dimensions spec.parameters"},
    ),
    "pbt with a setting that it cannot compare": (
        {
            **algorithm(
                "pbt",
                suggestion_trial_dir="/p",
                n_population="5",
                truncation_threshold="0.2",
                resample_probability="0.3",
            ),
            **ALL_STEPS,
            "SPACE.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
        },
        {"setting-value spec.algorithm.algorithmSettings[3].value"},
    ),
    "early stopper without a name": (
        {"spec.earlyStopping.algorithmName": DROP},
        {"required spec.earlyStopping.algorithmName"},
    ),
    "unknown early stopper": (
        {"spec.earlyStopping.algorithmName": "median"},
        {"unknown-algorithm spec.earlyStopping.algorithmName"},
    ),
    "unknown setting of the early stopper": (
        {"spec.earlyStopping.algorithmSettings[1].name": "startstep"},
        {"setting-unknown spec.earlyStopping.algorithmSettings[1].name"},
    ),
    "early stop after no epoch": (
        {"spec.earlyStopping.algorithmSettings[1].value": "0"},
        {"setting-value spec.earlyStopping.algorithmSettings[1].value"},
    ),
    "early stopper that waits for all trials": (
        {"spec.earlyStopping.algorithmSettings[0].value": "30"},
        {"?never-stops spec.earlyStopping"},
    ),
    "early stopper without retain": ({"TEMPLATE.retain": DROP}, {"retain TEMPLATE.retain"}),
    "early stopper with retain: false": ({"TEMPLATE.retain": False}, {"retain TEMPLATE.retain"}),
    # collector and filter
    "unknown collector": (collector("Stdout"), {"collector-kind spec.metricsCollectorSpec.collector.kind"}),
    "collector without an image": (
        collector("PrometheusMetric"),
        {"collector-kind spec.metricsCollectorSpec.collector.kind"},
    ),
    "custom collector without a container": (
        collector("Custom"),
        {"collector-custom spec.metricsCollectorSpec.collector.customCollector"},
    ),
    "relative file": (
        collector("File", fileSystemPath={"path": "metrics.json", "kind": "File", "format": "JSON"}),
        {"collector-path spec.metricsCollectorSpec.source.fileSystemPath.path"},
    ),
    "file format csv": (
        collector(
            "File",
            fileSystemPath={"path": "/m/a.csv", "kind": "File", "format": "CSV"},
            filter={"metricsFormat": [r"^(val_si_snr)=(\d+\.\d+)$"]},
        ),
        {"collector-format spec.metricsCollectorSpec.source.fileSystemPath.format"},
    ),
    "filter beside JSON": (
        collector(
            "File",
            fileSystemPath={"path": "/m/a", "kind": "File", "format": "JSON"},
            filter={"metricsFormat": [r"^(val_si_snr)=(\d+\.\d+)$"]},
        ),
        {"collector-format spec.metricsCollectorSpec.source.filter"},
    ),
    "path of a collector that has its own": (
        {"spec.metricsCollectorSpec.source.fileSystemPath": {"path": "/m/a", "kind": "File"}},
        {"?collector-source-ignored spec.metricsCollectorSpec.source.fileSystemPath"},
    ),
    "early stopping with a collector that does not watch": (
        {"spec.metricsCollectorSpec": {"collector": {"kind": "Push"}}},
        {"?collector-without-stopping spec.earlyStopping"},
    ),
    "no filter": ({"spec.metricsCollectorSpec": DROP}, {"?filter-default FILTER"}),
    "no filter for a metric with a slash": (
        {
            "spec.metricsCollectorSpec": DROP,
            "spec.objective.objectiveMetricName": "val/si_snr",
            "spec.objective.metricStrategies": DROP,
        },
        {"filter-default-name spec.objective.objectiveMetricName"},
    ),
    "filter with lookahead": ({"FILTER[0]": r"(a)(?=b)(c)"}, {"filter-syntax FILTER[0]"}),
    "filter with one group": ({"FILTER[0]": r"^val_si_snr=([\d.]+)$"}, {"filter-groups FILTER[0]"}),
    "filter with a semicolon": (
        {"FILTER[0]": r"^\S+; ?(val_si_snr)=(\d+)$"},
        {"filter-semicolon FILTER[0]", "?filter-blind FILTER"},
    ),
    "filter that is not anchored": ({"FILTER[0]": r"(val_si_snr)=([\d.]*)"}, {"?filter-loose FILTER[0]"}),
    "filter of another metric": ({"FILTER[0]": r"^(val_sisnr)=(\d+)$"}, {"?filter-blind FILTER"}),
    # the template
    "no template": ({"TEMPLATE": DROP}, {"required TEMPLATE"}),
    "no primary container name": (
        {"TEMPLATE.primaryContainerName": DROP},
        {"required TEMPLATE.primaryContainerName"},
    ),
    "primary container that is none": (
        {"TEMPLATE.primaryContainerName": "training"},
        {"primary-container TEMPLATE.primaryContainerName"},
    ),
    "no trial": ({"TEMPLATE.trialSpec": DROP}, {"trial-source JOB"}),
    "trial and ConfigMap": (
        {"TEMPLATE.configMap": {"configMapName": "a", "configMapNamespace": "b", "templatePath": "c"}},
        {"trial-source JOB"},
    ),
    "trial in a ConfigMap": (
        {
            "JOB": DROP,
            "TEMPLATE.configMap": {"configMapName": "a", "configMapNamespace": "b", "templatePath": "c"},
        },
        {"?trial-unseen TEMPLATE.configMap"},
    ),
    "trial in a ConfigMap without conditions": (
        {
            "JOB": DROP,
            "TEMPLATE.configMap": {"configMapName": "a", "configMapNamespace": "b", "templatePath": "c"},
            "TEMPLATE.successCondition": DROP,
        },
        {"?trial-unseen TEMPLATE.configMap", "trial-condition TEMPLATE.successCondition"},
    ),
    "ConfigMap without a path": (
        {"JOB": DROP, "TEMPLATE.configMap": {"configMapName": "a", "configMapNamespace": "b"}},
        {"?trial-unseen TEMPLATE.configMap", "trial-source TEMPLATE.configMap.templatePath"},
    ),
    "trial with a name": ({"JOB.metadata": {"name": "x"}}, {"trial-name JOB.metadata.name"}),
    "trial without a kind": ({"JOB.kind": DROP}, {"trial-kind JOB.kind"}),
    "Job of another version": ({"JOB.apiVersion": "batch/v1beta1"}, {"?trial-kind-unknown JOB.kind"}),
    "kind that is not watched": (
        {"JOB.kind": "Workflow", "TEMPLATE.failureCondition": DROP},
        {"?trial-kind-unknown JOB.kind", "trial-condition TEMPLATE.failureCondition"},
    ),
    "no trial parameters": (
        {"TEMPLATE.trialParameters": []},
        {"required TEMPLATE.trialParameters"},
    ),
    "trial parameter without a reference": (
        {"TEMPLATE.trialParameters[1].reference": DROP},
        {
            "trial-parameter TEMPLATE.trialParameters[1].reference",
            "parameter-unreferenced spec.parameters[0].name",
        },
    ),
    "two trial parameters of one reference": (
        {"TEMPLATE.trialParameters[2].reference": "lr"},
        {
            "trial-parameter TEMPLATE.trialParameters[2].reference",
            "parameter-unreferenced spec.parameters[1].name",
        },
    ),
    "trial parameter with a brace": (
        {"TEMPLATE.trialParameters[5]": {"name": "a{", "reference": "${trialSpec.Kind}"}},
        {"trial-parameter TEMPLATE.trialParameters[5].name"},
    ),
    "trial parameter that is not used": (
        {"TEMPLATE.trialParameters[5]": {"name": "kind", "reference": "${trialSpec.Kind}"}},
        {"trial-parameter-unused TEMPLATE.trialParameters[5].name"},
    ),
    "placeholder without a trial parameter": (
        {"TRAINER.env[0].value": "${trialParameters.home}"},
        {"placeholder-unlisted TRAINER.env[0].value"},
    ),
    "reference to nothing": (
        {"TEMPLATE.trialParameters[1].reference": "learning_rate"},
        {
            "trial-parameter-reference TEMPLATE.trialParameters[1].reference",
            "parameter-unreferenced spec.parameters[0].name",
        },
    ),
    "reference to nothing of a trial": (
        {"TEMPLATE.trialParameters[0].reference": "${trialSpec.name}"},
        {"trial-parameter-reference TEMPLATE.trialParameters[0].reference"},
    ),
    "reference to a label that is not there": (
        {"TEMPLATE.trialParameters[0].reference": "${trialSpec.Labels[team]}"},
        {"trial-meta-reference TEMPLATE.trialParameters[0].reference"},
    ),
    "trial name without a trial parameter": (
        {"TRAINER.env[0].value": "${trialSpec.Name}"},
        {"placeholder-misspelt TRAINER.env[0].value"},
    ),
    "placeholder without its prefix": (
        {"TRAINER.env[0].value": "${lr}"},
        {"placeholder-misspelt TRAINER.env[0].value"},
    ),
    # the Job
    "misspelt key of the Job": (
        {"JOB.spec.backoffLimit": DROP, "JOB.spec.backofflimit": 3},
        {"unknown-key JOB.spec.backofflimit", "?backoff-limit JOB.spec.backoffLimit"},
    ),
    "misspelt key deep in the pod": (
        {"TRAINER.securityContext.capabilities.drops": ["ALL"]},
        {"unknown-key TRAINER.securityContext.capabilities.drops"},
    ),
    "Job without a spec": (
        {"JOB.spec": DROP},
        {
            "missing-key JOB.spec",
            *{f"trial-parameter-unused TEMPLATE.trialParameters[{index}].name" for index in range(5)},
        },
    ),
    "key that came after Katib's Kubernetes": ({"POD.workloadRef": {}}, {"unknown-key POD.workloadRef"}),
    "null": ({"POD.nodeName": None}, {"go-drops-value POD.nodeName"}),
    "empty list in the pod": ({"POD.initContainers": []}, {"go-drops-value POD.initContainers"}),
    "false that is the default": (
        {"TRAINER.volumeMounts[1].readOnly": False},
        {"go-drops-value TRAINER.volumeMounts[1].readOnly"},
    ),
    "empty environment variable": ({"TRAINER.env[0].value": ""}, {"go-drops-value TRAINER.env[0].value"}),
    "number in the environment": ({"TRAINER.env[1].value": 1}, {"wrong-type TRAINER.env[1].value"}),
    "quantity that Go writes otherwise": (
        {"POD.volumes[3].emptyDir.sizeLimit": "8192Mi"},
        {"quantity-not-canonical POD.volumes[3].emptyDir.sizeLimit"},
    ),
    "no quantity": (
        {"TRAINER.resources.limits.memory": "32GB"},
        {"quantity TRAINER.resources.limits.memory"},
    ),
    "no number of tries": ({"JOB.spec.backoffLimit": DROP}, {"?backoff-limit JOB.spec.backoffLimit"}),
    "negative number of tries": ({"JOB.spec.backoffLimit": -1}, {"job-number JOB.spec.backoffLimit"}),
    "several pods": ({"JOB.spec.parallelism": 2}, {"?several-pods JOB.spec.parallelism"}),
    "gone at once": (
        {"JOB.spec.ttlSecondsAfterFinished": 0},
        {"?ttl-short JOB.spec.ttlSecondsAfterFinished"},
    ),
    "suspended": ({"JOB.spec.suspend": True}, {"?suspended JOB.spec.suspend"}),
    "labels of no pod": (
        {"TEMPLATE.primaryPodLabels": {"role": "master"}},
        {"primary-pod-labels TEMPLATE.primaryPodLabels.role"},
    ),
    # the pod
    "no restart policy": ({"POD.restartPolicy": DROP}, {"restart-policy POD.restartPolicy"}),
    "restart on failure": ({"POD.restartPolicy": "OnFailure"}, {"restart-policy POD.restartPolicy"}),
    "no image": ({"TRAINER.image": DROP}, {"container TRAINER.image"}),
    "container beside": ({"POD.containers[1]": BESIDE}, {"?container-beside POD.containers[1].name"}),
    "trainer behind another container": (
        {"POD.containers": [BESIDE, TRAINER]},
        {"?primary-not-first POD.containers[1].name", "?container-beside POD.containers[0].name"},
    ),
    "container of Katib's name": (
        {"POD.containers[1]": BESIDE | {"name": "metrics-logger-and-collector"}},
        {"container POD.containers[1].name"},
    ),
    "uid of the container alone": (
        {"POD.securityContext": {"fsGroup": 1000}, "TRAINER.securityContext.runAsUser": 1000},
        {"uid-of-container TRAINER.securityContext.runAsUser"},
    ),
    "non-root without a uid": (
        {"POD.securityContext": {"runAsNonRoot": True}},
        {"non-root-without-uid POD.securityContext.runAsNonRoot"},
    ),
    "processes of the host": ({"POD.hostPID": True}, {"host-pid POD.hostPID"}),
    "volume of Katib's name": (
        {"POD.volumes[4]": {"name": "metrics-volume", "emptyDir": {}}},
        {"metrics-mount POD.volumes[4].name"},
    ),
    "mount at Katib's place": (
        {"TRAINER.volumeMounts[2].mountPath": "/var/log/katib/"},
        {"metrics-mount TRAINER.volumeMounts[2].mountPath"},
    ),
    "mount of no volume": ({"TRAINER.volumeMounts[0].name": "dta"}, {"volume TRAINER.volumeMounts[0].name"}),
    "two mounts at one place": (
        {"TRAINER.volumeMounts[1].mountPath": "/data"},
        {"volume TRAINER.volumeMounts[1].mountPath"},
    ),
    # the command
    "no command": ({"TRAINER.command": DROP, "TRAINER.args": words()}, {"command-missing TRAINER.command"}),
    "no command of a complete image name": (
        {"TRAINER.command": DROP, "TRAINER.args": words(), "TRAINER.image": "ghcr.io/lab/trainer:1"},
        {"?command-of-image TRAINER.command"},
    ),
    "word with a blank": ({"TRAINER.command[3]": "--model x"}, {"command-word TRAINER.command[3]"}),
    "empty word": ({"TRAINER.command[3]": ""}, {"command-word TRAINER.command[3]"}),
    "shell variable": ({"TRAINER.command[4]": "$MODEL"}, {"command-word TRAINER.command[4]"}),
    "word in quotes": ({"TRAINER.command[4]": "'sepformer'"}, {"?command-quotes TRAINER.command[4]"}),
    "shell by its path": (
        {"TRAINER.command": ["/bin/bash", "-c", " ".join(words("python"))]},
        {"command-shell TRAINER.command[0]"},
    ),
    "login shell": (
        {"TRAINER.command": ["bash", "-lc", " ".join(words("python"))]},
        {"command-shell TRAINER.command[0]"},
    ),
    "shell without a script": (
        {"TRAINER.command": ["sh"], "TRAINER.env[2]": {"name": "ALL", "value": " ".join(words())}},
        {"command-no-script TRAINER.command[0]"},
    ),
    "script that execs": (script("exec python"), {"command-script TRAINER.command[2]"}),
    "script that execs at its end": (script("cd /app && exec python"), {"command-script TRAINER.command[2]"}),
    "script with a comment": (script("python # runs"), {"command-script TRAINER.command[2]"}),
    "script with an open quote": (script("python 'a"), {"command-script TRAINER.command[2]"}),
    "script of two commands": (script("cd /app && python"), {"?command-compound TRAINER.command[2]"}),
    "script with a pipe": (script("true | python"), {"?command-compound TRAINER.command[2]"}),
    "script of two lines": (script("cd /app\npython"), {"?command-compound TRAINER.command[2]"}),
}
