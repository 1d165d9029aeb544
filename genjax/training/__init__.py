"""The one engine: whatever meets the contract is trained by it."""

from genjax.training.fit import fit  # train in memory
from genjax.training.lifting import lift_jit  # one device
from genjax.training.lifting import lift_pmap  # pmap
from genjax.training.lifting import lift_sharded  # a mesh: data parallel or fully sharded
from genjax.training.step import StepOptions  # accumulation, clipping, averaging
from genjax.training.step import make_step  # the pure step
from genjax.training.system import EvalContext  # what an evaluation may use
from genjax.training.system import System  # a model and what one experiment decides about it

__all__ = ["EvalContext", "StepOptions", "System", "fit", "lift_jit", "lift_pmap", "lift_sharded", "make_step"]
