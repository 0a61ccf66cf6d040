"""Contract of a technique's result: a `Setup` whose groups have each parameter of the model once."""

from collections import Counter

from stableft.core.config import RunConfig
from stableft.core.errors import UsageError
from stableft.training.setup import Setup


def check_setup(setup: object, config: RunConfig) -> None:
    """Refuses what techniques made of a setup if they broke the contract.

    Args:
        setup: What `stableft.training.setup.build` returned.
        config: The run's configuration.

    Raises:
        UsageError: It is no setup, or a parameter is outside of the groups or in two of them.
    """
    made_by = ", ".join(technique.name for technique in config.techniques or ()) or "no technique"
    if not isinstance(setup, Setup):
        raise UsageError(f"{made_by}: apply() returned {type(setup).__name__}, not the changed Setup")
    names = {parameter: name for name, parameter in setup.model.named_parameters()}
    times = Counter(parameter for group in setup.groups for parameter in group.params)
    once = {parameter for parameter in names if times[parameter] == 1}
    if wrong := [names.get(parameter, "one of no module") for parameter in {**names, **times} if parameter not in once]:
        listed = ", ".join(wrong[:3])
        raise UsageError(f"{made_by}: each parameter is in exactly one group of a Setup, but not {listed}")
