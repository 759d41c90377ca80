"""Named defects of the template around the trial."""

from tests.katib.check.manifests import DROP, Defects

DEFECTS: Defects = {
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
    "condition of another kind": (
        {"TEMPLATE.successCondition": 'status.conditions.#(type=="Succeeded")#|#(status=="True")#'},
        {"trial-condition TEMPLATE.successCondition"},
    ),
    "condition that is a number": (
        {"TEMPLATE.successCondition": "status.succeeded"},
        {"trial-condition TEMPLATE.successCondition"},
    ),
    "condition's status as a text": (
        {"TEMPLATE.failureCondition": 'status.conditions.#(type=="Failed").status'},
        {"trial-condition TEMPLATE.failureCondition"},
    ),
    "condition in single quotes": (
        {"TEMPLATE.failureCondition": "status.conditions.#(type=='Failed')#"},
        {"trial-condition TEMPLATE.failureCondition"},
    ),
    "condition of kubectl": (
        {"TEMPLATE.successCondition": '.status.conditions[?(@.type=="Complete")]'},
        {"trial-condition TEMPLATE.successCondition"},
    ),
    "status in small letters": (
        {"TEMPLATE.successCondition": 'status.conditions.#(type=="Complete")#|#(status=="true")#'},
        {"trial-condition TEMPLATE.successCondition"},
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
}
