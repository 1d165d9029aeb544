"""Every state of a few binary dimensions, what samples of them should look like, and models compiled once for all."""

import itertools

import jax
import numpy as np

from genjax.contract import GenerativeModel, Variables


def compiled(model: GenerativeModel) -> GenerativeModel:
    """Return the model with each of its functions under jit, so that tests which share it compile it once."""
    samplers = {"sample_naive": 2}  # position of what is static
    methods = {name: jax.jit(method, static_argnums=samplers.get(name)) for name, method in model.methods.items()}
    return model._replace(
        init=jax.jit(model.init),
        sample=jax.jit(model.sample, static_argnums=2),
        log_prob=model.log_prob._replace(fn=jax.jit(model.log_prob.fn)),
        methods=methods,
    )


def random_variables(model: GenerativeModel, batch, *, scale: float) -> Variables:
    """Return the variables a model starts with, but for its weights: normal numbers, which need no initializer."""
    noise = np.random.RandomState(1).standard_normal
    shapes = jax.eval_shape(model.init, jax.random.key(0), batch)
    params = jax.tree.map(lambda w: (scale * noise(w.shape)).astype(np.float32), shapes.params)
    return Variables(params, jax.jit(lambda key: model.init(key, batch).state)(jax.random.key(0)))


def all_states(num_dims: int) -> np.ndarray:
    """Return the 2^D binary vectors in counting order, float32 [2^D, D]."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=num_dims)), np.float32)


def index_of(x) -> np.ndarray:
    """Return the row of `all_states` that each of x [N, ...] is, int [N]."""
    flat = np.asarray(x).reshape(len(x), -1).astype(int)
    return flat @ (1 << np.arange(flat.shape[1])[::-1])


def chi_square_p(counts: np.ndarray, p: np.ndarray) -> float:
    """Return the p-value of Pearson's test that counts are of a sample of p; rare states are pooled."""
    from scipy import stats

    p = np.asarray(p, np.float64)
    expected = p / p.sum() * counts.sum()
    rare = expected < 5
    pool = lambda values: np.append(values[~rare], values[rare].sum())
    observed, expected = pool(counts), pool(expected)
    keep = expected > 0
    assert (observed[~keep] == 0).all()
    return float(stats.chisquare(observed[keep], expected[keep]).pvalue)
