"""antspyx without its plots and learners, whose libraries are half of what it imports.

``from workflow_scripts.common.antspyx import ants`` in place of ``import ants``: a second less
at the start of every job.
"""

import sys
from types import ModuleType

NOT_LOADED = ("learn", "plotting", "deeplearn", "math.quantile", "utils.get_ants_data")


class _NotLoaded(ModuleType):
    """A part of antspyx whose functions are None."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


if "ants" not in sys.modules:
    sys.modules |= {f"ants.{part}": _NotLoaded(f"ants.{part}") for part in NOT_LOADED}

import ants  # noqa: E402, F401
