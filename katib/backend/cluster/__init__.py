"""Runs an Experiment manifest on Kubernetes, with the kubeconfig of the caller."""
