"""Katib v0.19's stock algorithm services: the settings that they take and what they make of a search space.

It is read from their sources below pkg/suggestion/v1beta1 and pkg/earlystopping/v1beta1 (service.py, base_service.py,
goptuna/converter.go). The settings of those that the search here has too stand with their algorithms
(katib/search/algorithms).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from katib.check.finding import error
from katib.check.reading import FLOATS, FLOATS_OF_64_BITS, GO, PYTHON, Reading, go_float, go_int
from katib.search.algorithms import ALGORITHMS
from katib.setting import Setting, Settings, one_of, or_none, real, whole
from katib.stop_settings import STOP_RULES

SERVICE_REFUSES = "the algorithm's service refuses it: the Experiment fails before its first trial"
ALL = frozenset({"uniform", "logUniform", "normal", "logNormal"})

SETTING_MISSING = error(
    "setting-missing",
    finds="a setting without which the algorithm does not run, or a step that it needs",
    effect=SERVICE_REFUSES,
    fix="add it",
)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One algorithm. Its doubles follow the `distributions` listed; any other is sampled as `otherwise`."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    strict: bool = True
    """Whether the service refuses an unknown setting rather than ignore it."""
    any_setting: bool = False
    """Whether unknown settings are passed to the trainer."""
    distributions: frozenset[str] = ALL
    leaves_range: bool = False
    """Whether normal and logNormal draw values beyond min and max."""
    passes_max: tuple[str, ...] = ()
    """The parameter types whose last step may lie above max."""
    lacks_normal: bool = False
    """Whether the service has no code for normal and logNormal."""
    otherwise: str = "uniform"
    step: bool = True
    uniform_step: bool = False
    """Whether the service follows a step only if the distribution is uniform."""
    needs_step: tuple[str, ...] = ()
    """The parameter types that need a step."""
    without_step: str = ""
    """What happens without a step, if the service does not refuse that."""
    logarithm: bool = False
    """Whether the service computes the logarithm of min for logUniform and logNormal."""
    single: bool = False
    """Whether min may equal max; then this value is tried."""
    swapped: bool = False
    """Whether min may lie above max; then the values between them are tried."""
    twice: bool = False
    """Whether two parameters may have the same name; the last one counts."""
    reading: Reading = PYTHON
    is_ours: bool = False
    """Whether Sepsweep's services have the algorithm too; they try no point twice."""
    min_above_zero: bool = False
    dimensions: int = 0
    answers: tuple[str, ...] = ()
    """The names that an architecture search answers with instead of parameters."""


FINITE_ABOVE_0 = real(lambda value: 0 < value < math.inf, "a finite number above 0")
FROM_0 = real(lambda value: value >= 0, "a number of at least 0")
UP_TO_1 = real(lambda value: 0 < value <= 1, "a number above 0, up to 1")

HYPERBAND_STATE = {
    # Where the service writes down how far it has come (HyperBandParam.generate), and begins where it is told to.
    **dict.fromkeys(("n", "r", "current_i"), real(math.isfinite, "a number")),
    "b_l": real(lambda _: True, "a number"),
    "s_max": real(lambda value: -math.inf < value < 100, "a number below 100"),
    "current_s": real(lambda value: int(value) != -1 and value < 100, "a number of at least 0"),
    "evaluating_trials": real(lambda value: int(value) == 0, "0"),
}

STOCK: Mapping[str, Service] = {
    # scikit-optimize
    "bayesianoptimization": Service(
        distributions=frozenset({"logUniform"}),
        otherwise="logUniform",
        step=False,
        min_above_zero=True,
        logarithm=True,
    ),
    # hyperopt
    "random": Service(leaves_range=True, logarithm=True, reading=FLOATS),
    # hyperopt
    "tpe": Service(
        reading=FLOATS_OF_64_BITS,
        leaves_range=True,
        logarithm=True,
    ),
    # optuna
    "multivariate-tpe": Service(
        distributions=frozenset({"uniform", "logUniform"}),
        lacks_normal=True,
        uniform_step=True,
        single=True,
        twice=True,
    ),
    # optuna
    "grid": Service(
        distributions=frozenset({"uniform"}),
        lacks_normal=True,
        logarithm=True,
        needs_step=("double",),
        single=True,
        twice=True,
    ),
    # goptuna
    "cmaes": Service(
        settings={
            "restart_strategy": one_of("ipop", "bipop", "none"),
            "sigma": Setting(lambda text: go_float(text) is not None, "a number"),
            "random_state": Setting(lambda text: go_int(text) is not None, "a whole number"),
        },
        strict=False,
        reading=GO,
        passes_max=("double",),
        distributions=frozenset({"uniform"}),
        dimensions=2,
    ),
    # goptuna
    "sobol": Service(
        distributions=frozenset({"uniform"}),
        single=True,
        reading=GO,
        passes_max=("double",),
    ),
    "hyperband": Service(
        settings={
            "r_l": real(lambda value: 1 <= value < math.inf, "a finite number of at least 1"),
            "eta": real(
                lambda value: 2 <= value < math.inf or -math.inf < value <= 0,
                "a finite number of at least 2 (0 or below stands for 3)",
            ),
            "resource_name": Setting(bool, "the name of a parameter"),
            **HYPERBAND_STATE,
        },
        needs=("r_l", "resource_name"),
        strict=False,
        distributions=frozenset({"uniform"}),
        step=False,
        single=True,
        swapped=True,
    ),
    "pbt": Service(
        settings={
            "n_population": whole(5, 100_000),
            "truncation_threshold": real(lambda value: 0 <= value <= 1, "a number from 0 to 1"),
            # The service compares the text with 0 (pbt/service.py), which fails whatever is written.
            "resample_probability": Setting(lambda _: False, "to be left out: the service fails on any value"),
        },
        needs=("suggestion_trial_dir", "n_population", "truncation_threshold"),
        strict=False,
        distributions=frozenset({"uniform"}),
        needs_step=("double",),
        without_step="the service fails at every call, and no trial starts",
        single=True,
        twice=True,
        reading=FLOATS,
        passes_max=("double", "int"),
    ),
    "enas": Service(
        settings={
            **dict.fromkeys(("controller_train_steps", "controller_log_every_steps"), whole(1)),
            "controller_hidden_size": whole(1, 2**31 - 1),
            **dict.fromkeys(
                (
                    "controller_temperature",
                    "controller_tanh_const",
                    "controller_entropy_weight",
                    "controller_skip_weight",
                ),
                or_none(FINITE_ABOVE_0),
            ),
            **dict.fromkeys(("controller_baseline_decay", "controller_learning_rate"), UP_TO_1),
            # The service takes 1 and fails at its second call, at the logarithm of 0 (Controller.py).
            "controller_skip_target": real(lambda value: 0 < value < 1, "a number between 0 and 1"),
        },
        answers=("architecture", "nn_config"),
    ),
    "darts": Service(
        settings={
            "batch_size": or_none(whole(1)),
            "num_workers": whole(0),
            **dict.fromkeys(("num_epochs", "init_channels", "print_step", "num_nodes", "stem_multiplier"), whole(1)),
            **dict.fromkeys(
                (
                    "w_lr",
                    "w_lr_min",
                    "alpha_lr",
                    "w_weight_decay",
                    "alpha_weight_decay",
                    "w_momentum",
                    "w_grad_clip",
                ),
                FROM_0,
            ),
        },
        any_setting=True,
        answers=("algorithm-settings", "search-space", "num-layers"),
    ),
}
STOCK_EARLY_STOPPING = ("medianstop",)


def _with_ours(stock: Service | None, ours: Settings) -> Service:
    """Returns the service of an algorithm that the search here has; its settings are ours where Katib has none."""
    settings = ours.all if stock is None else ours.stock
    facts = stock or Service(single=True, logarithm=True)
    return replace(facts, settings=settings, needs=(*facts.needs, *ours.needs), strict=ours.strict, is_ours=True)


SERVICES: Mapping[str, Service] = {
    **STOCK,
    **{name: _with_ours(STOCK.get(name), algorithm.settings) for name, algorithm in ALGORITHMS.items()},
}
"""The services of all algorithms, those included that the search here has and Katib lacks."""
EARLY_STOPPING: Mapping[str, Service] = {
    name: _with_ours(Service() if name in STOCK_EARLY_STOPPING else None, settings)
    for name, settings in STOP_RULES.items()
}
"""The same of the stop rules."""
OURS: Mapping[str, Mapping[str, Setting]] = {
    **{name: algorithm.settings.ours for name, algorithm in ALGORITHMS.items()},
    **{name: settings.ours for name, settings in STOP_RULES.items()},
}
"""Settings that the search here takes (katib/search) and the stock service of that name does not."""
