"""The configs of samplers in few steps: DDIM with all noise and all steps is DDPM's own; a picture's noise gives it back."""

import jax
import numpy as np
import pytest

from experiments.configs.diffusion import ddim, ddpm, dpm_solver
from genjax.contract import Variables
from genjax.errors import UserError

KEY = jax.random.key(0)


def tiny(module, section, **fields):
    """Return a tiny config with some fields set, and its model."""
    config = module.get_config("tiny")
    config[section].update(fields)
    return config, module.build(config).model


def random_variables(model, config):
    """Return variables whose output is not the zero that they start from."""
    shapes = jax.eval_shape(model.init, KEY, {"x": np.zeros((2, *config.model.shape), np.uint8)})
    random = np.random.default_rng(0)
    scaled = lambda leaf: random.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))  # by what each unit sees
    return jax.tree.map(lambda leaf: scaled(leaf).astype(leaf.dtype), shapes)


def test_all_noise_and_all_steps_is_ddpm_with_the_lower_variance():
    config, model = tiny(ddim, "sample", eta=1.0, steps=4)
    network = {name: config.model[name] for name in ("channels", "blocks", "attention")}
    _, theirs = tiny(ddpm, "model", variance="lower", **network)
    variables = random_variables(model, config)
    ours, ancestral = (np.asarray(jax.jit(m.sample, static_argnums=2)(variables, KEY, 16)) for m in (model, theirs))
    # Reals that are rounded in the end: where the two differ in the last bit, one in a thousand falls on another level.
    apart = np.abs(ours.astype(int) - ancestral)
    assert apart.max() <= 1 and np.mean(apart > 0) < 0.003
    assert np.unique(ours).size > 3
    fewer = jax.jit(model.sample, static_argnums=2, static_argnames="steps")(variables, KEY, 16, steps=2)
    assert fewer.shape == ours.shape and np.any(fewer != ours)


def test_the_noise_of_a_picture_gives_it_back():
    """The network starts at eps = 0, where the flow only scales: z = alpha_T x."""
    config, model = tiny(ddim, "sample")
    x = np.random.default_rng(0).integers(0, config.model.levels, (3, *config.model.shape), np.uint8)
    params = random_variables(model, config).params
    # The last layer as it starts, beside random ones: the whole of `init` would take ten times as long to compile.
    last = {"conv_out": jax.jit(lambda: model.init(KEY, {"x": x}).params["denoiser"]["conv_out"])()}
    variables = Variables({"denoiser": params["denoiser"] | last})
    z = jax.jit(model.methods["encode"])(variables, KEY, x)
    alpha = ddpm.SCHEDULES[config.model.schedule](config.model).alpha[-1]
    np.testing.assert_allclose(z, alpha * (x.astype(np.float32) / 8.0 - 1.0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(jax.jit(model.methods["decode"])(variables, KEY, z), x)


def test_solvers_are_chosen_by_name():
    config = dpm_solver.get_config("unipc")
    assert config.sample.solver == "unipc" and dpm_solver.get_config().sample.solver == "dpm_solver++"
    config.sample.solver = "euler"
    with pytest.raises(UserError, match="sample.solver='euler' is none of dpm_solver\\+\\+, unipc"):
        dpm_solver.build(config)
    with pytest.raises(UserError, match="diffusion/ddim has no variant 'unipc'"):
        ddim.get_config("unipc")
