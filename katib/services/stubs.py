"""Loads Katib's gRPC messages (`pb`) and services (`rpc`) without the rest of the package kubeflow-katib.

That package's own __init__ loads the whole SDK: half a second and 60 MB that a sidecar of a trial cannot spend.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any, TypeAlias

PACKAGE = "kubeflow.katib"
Message: TypeAlias = Any
"""A message of Katib's API: the generated code has no types."""


def _generated() -> tuple[ModuleType, ModuleType]:
    if PACKAGE in sys.modules:
        return _modules()
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise ModuleNotFoundError("the services need kubeflow-katib: pip install 'sepsweep[services]'")
    # The package is made but not run: its folder is known, and its __init__ is not executed.
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return _modules()
    finally:
        del sys.modules[PACKAGE]


def _modules() -> tuple[ModuleType, ModuleType]:
    return (
        importlib.import_module(f"{PACKAGE}.katib_api_pb2"),
        importlib.import_module(f"{PACKAGE}.katib_api_pb2_grpc"),
    )


pb, rpc = _generated()
