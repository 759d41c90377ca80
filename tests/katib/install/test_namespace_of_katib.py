"""Katib in another namespace: the installation's own manifests say which, and the site says it to every verb."""

from katib.install.katib import Installation

CONTROLLER = """\
apiVersion: v1
kind: Service
metadata: {name: katib-controller, namespace: other}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: katib-controller, namespace: tuning}
"""


def test_an_installation_waits_in_the_namespace_of_its_controller() -> None:
    assert Installation(CONTROLLER, "server", None).namespace == "tuning"
    assert Installation("kind: Namespace\n", "server", None).namespace == "kubeflow"
