# ruff: noqa: D101 (the classes are Kubernetes' own mappings, documented there)
"""batch/v1 Job as Katib v0.19 knows it (k8s.io/api v0.34, batch/v1/types.go); its pod comes from kubeflow-katib-api.

kubeflow-katib-api has the types of the pod but none of batch/v1. Called by katib/check/structure.py, for field names
and types alone.
"""

from kubeflow_katib_api import models
from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel


class Node(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class OnExitCodes(Node):
    container_name: StrictStr | None = None
    operator: StrictStr
    values: list[StrictInt]


class OnPodCondition(Node):
    type: StrictStr
    status: StrictStr


class PodFailureRule(Node):
    action: StrictStr
    on_exit_codes: OnExitCodes | None = None
    on_pod_conditions: list[OnPodCondition] | None = None


class PodFailurePolicy(Node):
    rules: list[PodFailureRule]


class SuccessRule(Node):
    succeeded_indexes: StrictStr | None = None
    succeeded_count: StrictInt | None = None


class SuccessPolicy(Node):
    rules: list[SuccessRule]


class PodTemplate(Node):
    metadata: models.IoK8sApimachineryPkgApisMetaV1ObjectMeta | None = None
    spec: models.IoK8sApiCoreV1PodSpec


class JobSpec(Node):
    parallelism: StrictInt | None = None
    completions: StrictInt | None = None
    active_deadline_seconds: StrictInt | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    backoff_limit: StrictInt | None = None
    backoff_limit_per_index: StrictInt | None = None
    max_failed_indexes: StrictInt | None = None
    selector: models.IoK8sApimachineryPkgApisMetaV1LabelSelector | None = None
    manual_selector: StrictBool | None = None
    template: PodTemplate
    ttl_seconds_after_finished: StrictInt | None = None
    completion_mode: StrictStr | None = None
    suspend: StrictBool | None = None
    pod_replacement_policy: StrictStr | None = None
    managed_by: StrictStr | None = None


class Job(Node):
    api_version: StrictStr
    kind: StrictStr
    metadata: models.IoK8sApimachineryPkgApisMetaV1ObjectMeta | None = None
    spec: JobSpec
