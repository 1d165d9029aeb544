"""Every config, at its tiny size, keeps the promises of the contract; formulas are tested elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from genjax.training.checkpoint import Checkpoints
from genjax.training.lifting import AXIS
from genjax.training.state import init_state, variables_of
from genjax.training.step import lazy_updates
from tests.contract.cases import CONFIGS, IDS, LIFTINGS, SEED, STEPS, STILL, case, first, on_a_device, run

# A config's tests share a worker, and with it what has been compiled.
GROUPS = {path: pytest.mark.xdist_group(name) for path, name in zip(CONFIGS, IDS)}
NAMES = dict(zip(CONFIGS, IDS))


def under(*liftings):
    """Return the mark of a test of the configs that run under each of these liftings."""
    pairs = [(path, lifting) for lifting in liftings for path in LIFTINGS[lifting]]
    cases = [pytest.param(path, lifting, marks=GROUPS[path], id=f"{lifting}-{NAMES[path]}") for path, lifting in pairs]
    return pytest.mark.parametrize("path, parallel", cases)


def of(paths):
    """Return the mark of a test of these configs."""
    return pytest.mark.parametrize("path", [pytest.param(path, marks=GROUPS[path], id=NAMES[path]) for path in paths])


every_config = of(CONFIGS)


def abstract(tree):
    return jax.tree.map(lambda x: (tuple(np.shape(x)), np.asarray(x).dtype.name), tree)


@every_config
def test_config_has_the_common_fields(path):
    c = case(path)
    common = {"name", "seed", "data", "model", "train", "sample", "eval", "expected", "stages"}
    assert common <= set(c.config.keys())
    assert c.config.name == f"{path.parent.name}/{path.stem}"
    full = c.module.get_config()
    assert full.expected.result and full.expected.cost
    assert full.train.steps % full.train.steps_per_call == 0


@every_config
def test_init_is_abstract_and_in_float32(path):
    c = case(path)
    shapes = jax.eval_shape(lambda seed, batch: init_state(c.system, True, seed, batch, {}), SEED, first(c.batches))
    assert abstract(c.initial) == jax.tree.map(lambda s: (s.shape, s.dtype.name), shapes)
    assert {leaf.dtype for leaf in jax.tree.leaves(c.initial.params)} == {np.dtype("float32")}


@every_config
def test_bfloat16_reaches_the_products_and_nothing_else(path):
    c = case(path)
    with c.config.unlocked():
        config = type(c.config)(c.config.to_dict())
    config.train.precision = "bfloat16"
    system = c.module.build(config, axis_name=None)
    variables, key = variables_of(c.initial, averaged=False), jax.random.key(0)
    batch = jax.eval_shape(system.transform, key, first(c.batches))
    products = set()
    for update in system.model.updates:
        traced, (loss, aux) = jax.make_jaxpr(update.loss, return_shape=True)(variables, batch, key, jnp.int32(0))
        products |= set(product_dtypes(traced.jaxpr))
        assert loss.dtype == np.float32, "the gradient would be in the compute dtype"
        assert {metric.dtype for metric in aux.metrics.values()} <= {np.dtype("float32")}
        assert abstract_dtypes(aux.state) == abstract_dtypes(variables.state)
    assert np.dtype(jnp.bfloat16) in products, f"no product is made in bfloat16, only in {products}"


def abstract_dtypes(tree):
    return jax.tree.map(lambda x: np.dtype(x.dtype), tree)


def product_dtypes(jaxpr):
    """Yield the operand dtype of each matrix product and convolution, inner jaxprs included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation.invars[0].aval.dtype
        for inner in jaxprs_in_params(equation.params):
            yield from product_dtypes(inner)


@under(*LIFTINGS)
def test_three_steps_compile_once_and_donate(path, parallel):
    r = run(path, parallel)
    assert r.compilations == 1
    assert all(leaf.is_deleted() for leaf in r.old_leaves)


@under(*LIFTINGS)
def test_structure_dtype_and_layout_are_kept(path, parallel):
    c, r = case(path), run(path, parallel)
    assert all(abstract(state) == abstract(c.initial) for state in r.states)
    if parallel != "pmap":
        kept = jax.tree.map(lambda x, t: x.sharding.is_equivalent_to(t.sharding, x.ndim), r.live, r.target)
        assert all(jax.tree.leaves(kept))


@under("fsdp", "sharded")
def test_eight_devices_are_one(path, parallel):
    one, eight = run(path, "jit"), run(path, parallel)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
    jax.tree.map(close, eight.metrics[0], one.metrics[0])
    jax.tree.map(close, eight.states[0].params, one.states[0].params)
    jax.tree.map(close, eight.states[0].state, one.states[0].state)


@under("pmap")
def test_replicas_are_equal_under_pmap(path, parallel):
    state = run(path, parallel).live._replace(memory=())
    for leaf in jax.tree.leaves(state):
        replicas = np.asarray(leaf)
        np.testing.assert_array_equal(replicas, np.broadcast_to(replicas[:1], replicas.shape))


@of(STILL)
def test_no_state_moves(path):
    c = case(path)
    jax.tree.map(np.testing.assert_array_equal, c.initial.state, run(path, "jit").states[-1].state)


@of(STILL)
def test_a_device_keeps_structure_and_dtype_under_pmap(path):
    """Traced, not compiled, as a device sees it: its part of batch and memory, the axis by its name."""
    state, batches, step = on_a_device(case(path))
    _, (after, _) = jax.make_jaxpr(step, axis_env=[(AXIS, jax.device_count())], return_shape=True)(state, batches)
    shape = lambda x: (x.shape, x.dtype.name)
    assert jax.tree.map(shape, after) == jax.tree.map(shape, state)


@every_config
def test_named_players_move_and_others_do_not(path):
    c, last = case(path), run(path, "jit").states[-1]
    moving = {player for update in c.system.model.updates for player in update.players}
    for player, tree in c.initial.params.items():
        moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), tree, last.params[player])
        still = [jax.tree_util.keystr(k) for k, m in jax.tree_util.tree_leaves_with_path(moved) if m != (player in moving)]
        assert not still, f"player '{player}': {still} {'did not move' if player in moving else 'moved'}"


@every_config
def test_metrics_are_finite_and_named(path):
    c, r = case(path), run(path, "jit")
    lazy = lazy_updates(c.system)
    names = {update.name for update in c.system.model.updates}
    for step, metrics in enumerate(r.metrics):
        assert {name.split("/")[0] for name in metrics} == names
        for name, value in metrics.items():
            assert value.shape == (1,) and value.dtype == np.float32
            assert np.isfinite(value).all() == (step % lazy.get(name.split("/")[0], 1) == 0), name


@every_config
def test_resumption_is_exact(path, tmp_path):
    """Two steps, a checkpoint, a restore, one more step: the three-step run to the bit."""
    c, r = case(path), run(path, "jit")
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(2, jax.tree.map(np.asarray, r.states[1]), {})
    checkpoints.wait()
    restored, _ = checkpoints.restore(r.target)
    checkpoints.close()
    state, metrics = r.lifted.step(restored, r.lifted.put({name: x[STEPS - 1 :] for name, x in c.batches.items()}))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), r.states[-1])
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(metrics), r.metrics[-1])


@every_config
def test_samples(path):
    c = case(path)
    variables = variables_of(run(path, "jit").states[-1])
    batch = jax.eval_shape(c.system.transform, jax.random.key(0), first(c.batches))
    condition = None if c.system.condition is None else c.system.condition(jax.random.key(5), 4)
    drawn = jax.jit(c.system.model.sample, static_argnums=2)
    samples = drawn(variables, jax.random.key(1), 4, condition=condition)
    assert samples.shape == (4,) + batch["x"].shape[1:] and samples.dtype == batch["x"].dtype
    np.testing.assert_array_equal(samples, drawn(variables, jax.random.key(1), 4, condition=condition))
    assert np.any(samples != drawn(variables, jax.random.key(2), 4, condition=condition)), "the key is ignored"
    if condition is not None:
        other = jax.tree.map(lambda x: jnp.roll(x, 1, 0), condition)
        assert np.any(samples != drawn(variables, jax.random.key(1), 4, condition=other)), "the condition is ignored"
    pictured = np.asarray(c.system.to_picture(samples))
    assert np.isfinite(pictured).all()
    if pictured.ndim == 4:
        assert pictured.min() >= 0 and pictured.max() <= 1


@every_config
def test_log_prob(path):
    c = case(path)
    log_prob = c.system.model.log_prob
    if log_prob is None:
        return  # a model without a likelihood makes no promise here
    assert log_prob.kind in ("exact", "lower_bound", "estimate")
    variables = variables_of(run(path, "jit").states[-1])
    batch = jax.jit(c.system.transform)(jax.random.key(0), first(c.batches))
    scored = jax.jit(log_prob.fn)
    nats = scored(variables, jax.random.key(1), batch)
    assert nats.shape == batch["x"].shape[:1] and nats.dtype == np.float32 and np.isfinite(nats).all()
    if log_prob.kind == "exact":
        np.testing.assert_array_equal(nats, scored(variables, jax.random.key(2), batch))
