"""genjax: deep generative models in JAX.

Import what you use from the subpackage that holds it, `from genjax.diffusion import ...`. A subpackage is
imported when it is first named, so that `import genjax` alone stays light (no JAX, no data sets, no plots).
"""

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "adversarial",
    "autoencoders",
    "autoregressive",
    "classical",
    "contract",
    "data",
    "data_path",
    "diffusion",
    "distributions",
    "errors",
    "evaluation",
    "flow_matching",
    "flows",
    "nn",
    "pixels",
    "processes",
    "solvers",
    "training",
]


def __getattr__(name: str) -> Any:
    """Import the subpackage `name` on first use (PEP 562)."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    """List the subpackages beside what is here."""
    return sorted([*globals(), *__all__])
