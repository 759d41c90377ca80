"""Checks katib-config: the services and the collector that the searches name, and the account that they run under."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.continuing import SETTING
from katib.backend.cluster.doctor.katib import INSTALL
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import CONFIG_MAP, SERVICE_ACCOUNT
from katib.errors import nearest
from katib.stop_settings import PROMOTE
from katib.tree import at, items_at, named_at, text_at
from katib.yaml_reader import YamlError, read_yaml

STOCK = "ghcr.io/kubeflow/katib/"
"""The beginning of the names of Katib's own images."""
LOSSES = {
    "suggestion": "it draws every double log-uniformly, ignores running and failed trials, and stalls on a NaN",
    "early stopping": "it compares only once, with a mean that a single diverged trial spoils",
    "collector": "it reports only when a pod has ended; what a lost pod measured is missing until it is replayed",
}
"""What a search loses with each of Katib's own services."""


@dataclass(frozen=True)
class Service:
    """An entry of katib-config."""

    image: str
    account: str
    """The service account; empty where none is named."""

    @property
    def stock(self) -> bool:
        """Whether it is Katib's own."""
        return self.image.startswith(STOCK)


@dataclass(frozen=True)
class KatibConfig:
    """What katib-config says of the services, by the algorithm or the kind that they are for."""

    suggestions: Mapping[str, Service]
    early_stoppers: Mapping[str, Service]
    collectors: Mapping[str, Service]
    restricts: bool
    """Whether Katib gives its collector the security context of the trainer (injectSecurityContext)."""


def services(context: DoctorContext) -> Iterator[Result]:
    """Checks that katib-config has the services that the searches name, ours rather than Katib's own."""
    config = _config(context)
    if config is None:
        effect = "Katib knows no algorithm and refuses each experiment"
        place = context.site.katib_namespace
        yield error("katib-config", f"not in namespace {place}, or not readable", effect, INSTALL)
        return
    specs = [experiment.spec for experiment in context.experiments]
    yield from _services("suggestion", config.suggestions, _algorithms(context))
    yield from _first_suggestions(context, config)
    stoppers = {text_at(spec, "earlyStopping", "algorithmName") for spec in specs} - {""}
    yield from _services("early stopping", config.early_stoppers, stoppers)
    kinds = {text_at(spec, "metricsCollectorSpec", "collector", "kind") for spec in specs} - {""}
    yield from _services("collector", config.collectors, kinds)
    yield from _continuations(context, config)


def _algorithms(context: DoctorContext) -> set[str]:
    return {text_at(experiment.spec, "algorithm", "algorithmName") for experiment in context.experiments}


def _services(role: str, configured: Mapping[str, Service], wanted: set[str]) -> Iterator[Result]:
    for name in sorted(wanted):
        service = configured.get(name)
        if service is None:
            hint = nearest(name, list(configured)) if configured else "it has none"
            problem = f"katib-config has no '{name}': {hint}"
            yield error(f"{role} service", problem, "Katib refuses the experiment", INSTALL)
        elif service.stock:
            yield warning(f"{role} service", f"{name} is Katib's own ({service.image})", LOSSES[role], INSTALL)
        else:
            yield ok(f"{role} service", f"{name}: {service.image}")


def _first_suggestions(context: DoctorContext, config: KatibConfig) -> Iterator[Result]:
    """Checks that no search gives first suggestions to a service of Katib's own, which refuses unknown settings."""
    for experiment in context.experiments:
        name = text_at(experiment.spec, "algorithm", "algorithmName")
        service, settings = config.suggestions.get(name), named_at(experiment.spec, "algorithm", "algorithmSettings")
        if SETTING in settings and service is not None and service.stock:
            yield error(
                "suggestion service",
                f"{name} is Katib's own, which refuses the search's {SETTING}",
                "the experiment fails before its first trial",
                f"{INSTALL}; or start another search with NAME= instead of continuing one that ended",
            )


def _continuations(context: DoctorContext, config: KatibConfig) -> Iterator[Result]:
    """Checks that no search with promote has a service of Katib's own beside ours, which knows no continuations."""
    for experiment in context.experiments:
        if text_at(experiment.spec, "earlyStopping", "algorithmName") != PROMOTE:
            continue
        proposer = config.suggestions.get(text_at(experiment.spec, "algorithm", "algorithmName"))
        collector = config.collectors.get(text_at(experiment.spec, "metricsCollectorSpec", "collector", "kind"))
        for role, service, effect in (
            ("suggestion", proposer, "each pause is final: nothing proposes that a trial goes on"),
            ("collector", collector, "no trial pauses: it asks nobody after an epoch"),
        ):
            if service is not None and service.stock:
                problem = f"the search stops by {PROMOTE}, and this one is Katib's own"
                yield error(f"{role} service", problem, effect, f"{INSTALL}; or stop by medianstop")


def service_account(context: DoctorContext) -> Iterator[Result]:
    """Checks the account that katib-config names for the suggestion service, since Katib does not create it."""
    if context.lacks_namespace:
        return  # the check `namespace` reports that
    config = _config(context)
    configured = config.suggestions if config else {}
    wanted = _algorithms(context)
    namespace = context.site.namespace
    for name in sorted({service.account for algorithm, service in configured.items() if algorithm in wanted} - {""}):
        if context.cluster.get(SERVICE_ACCOUNT, name) is None:
            yield error(
                "service account",
                f"'{name}' does not exist in namespace '{namespace}'",
                "the pod of the suggestion service is never created, and no trial starts",
                f"kubectl -n {namespace} apply -f k8s/base/services-rbac.yaml",
            )
        else:
            yield ok("service account", f"'{name}' of the suggestion service")


def accounts_of_services(context: DoctorContext) -> list[tuple[str, str]]:
    """Returns account and image of each suggestion service of the searches; none where katib-config is hidden."""
    try:
        config = _config(context)
    except ForbiddenError:
        return []
    wanted = _algorithms(context)
    services = [service for name, service in config.suggestions.items() if name in wanted] if config else []
    return sorted({(service.account or "default", service.image) for service in services})


def ignores_namesakes(context: DoctorContext, algorithm: str) -> bool:
    """Returns whether the suggestion service ignores trials of an experiment with the same name in another namespace.

    Ours does and Katib's own does not; where katib-config cannot be read, False.
    """
    try:
        config = _config(context)
    except ForbiddenError:
        return False
    service = config.suggestions.get(algorithm) if config else None
    return service is not None and not service.stock


def restricts(context: DoctorContext) -> bool:
    """Returns whether Katib's collector runs with the security context of the trainer."""
    try:
        config = _config(context)
    except ForbiddenError:
        return True  # the dry run of a trial's pod shows it
    return config is not None and config.restricts


def _config(context: DoctorContext) -> KatibConfig | None:
    """Returns the view of katib-config; None where it is missing or no YAML mapping. Raises ForbiddenError."""
    config_map = context.cluster.get(CONFIG_MAP, "katib-config", context.site.katib_namespace)
    try:
        config = read_yaml(text_at(config_map, "data", "katib-config.yaml"))
    except YamlError:
        return None
    if not isinstance(config, dict):
        return None
    return KatibConfig(
        suggestions=_entries(config, "suggestions", "algorithmName"),
        early_stoppers=_entries(config, "earlyStoppings", "algorithmName"),
        collectors=_entries(config, "metricsCollectors", "kind"),
        restricts=bool(at(config, "init", "controller").get("injectSecurityContext")),
    )


def _entries(config: object, section: str, key: str) -> dict[str, Service]:
    return {
        text_at(entry, key): Service(text_at(entry, "image"), text_at(entry, "serviceAccountName"))
        for entry in items_at(config, "runtime", section)
    }
