"""StyleGAN2: its networks' published sizes, what styles and noise do to a picture, its lazy terms by other means."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import (
    AdaINSynthesis,
    MappingNetwork,
    ResidualDiscriminator,
    SkipSynthesis,
    adain,
    draw_noise,
    hinge_discriminator_loss,
    mix_styles,
    num_styles,
    path_lengths,
    r2_penalty,
    stylegan2,
    truncate,
)
from genjax.adversarial.adaptive_augmentation import AdaptiveAugmentation

FEATURES, SIDES, LATENT, STYLE = (4, 3), (4, 8, 8), 3, 5
BATCH = {"x": np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)}
zeros = functools.partial(np.zeros, dtype=np.float32)
noise_of = jax.jit(draw_noise, static_argnums=(1, 2))


def build(**options):
    networks = MappingNetwork(STYLE, 2), SkipSynthesis(FEATURES), ResidualDiscriminator(FEATURES, group=2)
    return stylegan2(*networks, latent_dim=LATENT, **options)


@pytest.fixture(scope="module")
def trained():
    """Return (model, variables whose strengths, biases and mean of w are not what they begin with)."""
    model = build(gamma=3.0)
    variables = jax.jit(model.init)(jax.random.key(0), BATCH)
    random = np.random.default_rng(1)
    near = lambda leaf: np.asarray(leaf) + 0.3 * random.normal(size=leaf.shape).astype(np.float32)
    synthesis = jax.tree.map(near, variables.params["synthesis"])
    state = {**variables.state, "w_mean": random.normal(size=STYLE).astype(np.float32)}
    state["path_mean"] = np.float32(0.7)
    return model, variables._replace(params={**variables.params, "synthesis": synthesis}, state=state)


@functools.lru_cache
def synthesis():
    return jax.jit(
        lambda variables, ws, noise: SkipSynthesis(FEATURES).apply({"params": variables.params["synthesis"]}, ws, noise)
    )


def test_numbers_of_parameters_are_the_published_ones():
    """1024 x 1024, in the printout of the authors' code: 30,370,060 and 29,012,513."""
    features = (512, 512, 512, 512, 512, 256, 128, 64, 32)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    key = jax.random.key(0)
    mapping = jax.eval_shape(lambda: MappingNetwork().init(key, zeros((1, 512))))
    noise = jax.eval_shape(lambda: draw_noise(key, 1, SkipSynthesis(features).noise_sides))
    styles = zeros((1, num_styles(features), 512))
    drawn = jax.eval_shape(lambda n: SkipSynthesis(features, 3).init(key, styles, n), noise)
    assert num_styles(features) == 18 and [n.shape[1] for n in noise[:5]] == [4, 8, 8, 16, 16]
    assert count(mapping) == 8 * (512 * 512 + 512)
    assert count(mapping) + count(drawn) == 30_370_060
    score = ResidualDiscriminator(features)
    shapes = jax.eval_shape(
        lambda x: score.init(key, x, train=True), jax.ShapeDtypeStruct((4, 1024, 1024, 3), "float32")
    )
    assert count(shapes) == 29_012_513


def test_a_style_reaches_its_own_layer_and_those_above(trained):
    """8 x 8: styles 0 (4 x 4), 1 (its colours and the first of 8 x 8), 2, 3 (colours alone)."""
    _, variables = trained
    random = np.random.default_rng(2)
    ws, noise = random.normal(size=(1, 4, STYLE)).astype(np.float32), noise_of(jax.random.key(1), 1, SIDES)
    base = np.asarray(synthesis()(variables, ws, noise))
    moved = []
    for layer in range(4):
        other = ws.copy()
        other[:, layer] += 1
        moved.append(np.abs(np.asarray(synthesis()(variables, other, noise)) - base).max())
    assert min(moved) > 1e-3
    no_colours = jax.tree.map(np.asarray, variables.params["synthesis"])
    for side in (4, 8):
        no_colours[f"to_rgb_{side}"]["kernel"] = 0 * no_colours[f"to_rgb_{side}"]["kernel"]
    still = variables._replace(params={"synthesis": no_colours})
    biases = sum(no_colours[f"to_rgb_{side}_bias"] for side in (4, 8))
    picture = np.asarray(synthesis()(still, ws, noise))[0, 3:5, 3:5, 0]  # blurred upsampling keeps a constant inside
    np.testing.assert_allclose(picture, np.broadcast_to(biases, (2, 2)), rtol=1e-5)


def test_scaling_a_style_changes_colours_alone(trained):
    """Demodulation takes the scale out of every convolution; a layer to RGB keeps it."""
    _, variables = trained
    params = jax.tree.map(np.asarray, variables.params["synthesis"])
    doubled = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 2 * leaf if "style" in str(path) and "conv_" in str(path) else leaf, params
    )
    ws = np.random.default_rng(3).normal(size=(2, 4, STYLE)).astype(np.float32)
    noise = noise_of(jax.random.key(1), 1, SIDES)
    run = lambda p: np.asarray(synthesis()(variables._replace(params={"synthesis": p}), ws, noise))
    np.testing.assert_allclose(run(doubled), run(params), rtol=1e-4, atol=1e-5)
    brighter = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 2 * leaf if "to_rgb" in str(path) and "style" in str(path) else leaf, params
    )
    biases = sum(params[f"to_rgb_{side}_bias"] for side in (4, 8))
    inner = np.s_[:, 3:5, 3:5]
    np.testing.assert_allclose(run(brighter)[inner] - biases, 2 * (run(params)[inner] - biases), rtol=1e-3, atol=1e-5)


def test_methods_agree(trained):
    model, variables = trained
    key, z = jax.random.key(4), np.random.default_rng(5).normal(size=(3, LATENT)).astype(np.float32)
    m = {name: functools.partial(f, variables, key) for name, f in model.methods.items()}

    @jax.jit
    def run(z):
        w = m["map"](z)
        middle = w[:2].mean(axis=0, keepdims=True)
        mixed = [m["style_mix"](z[:2], z[2:], cut) for cut in (0, 4)]
        line = m["interpolate"](z[:1], z[1:2], num_steps=3)
        return m["generate"](z), m["synthesize"](jnp.concatenate([w, middle])), mixed, line

    pictures, made, (fine, coarse), line = jax.tree.map(np.asarray, run(z))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(made[:3], pictures)
    assert fine.shape == (2, 1, 8, 8, 1)
    close(fine[:, 0], np.stack([pictures[2]] * 2))
    close(coarse[:, 0], pictures[:2])
    close(line[0, [0, 2]], pictures[:2])
    close(line[0, 1], made[3])


def test_psi_0_is_one_picture_and_psi_is_traced(trained):
    model, variables = trained
    sample = jax.jit(lambda v, psi: model.sample(v, jax.random.key(6), 3, psi=psi))
    mean = np.tile(variables.state["w_mean"], (3, num_styles(FEATURES), 1))
    noise = jax.jit(lambda key: draw_noise(jax.random.split(key)[1], 3, SIDES))(jax.random.key(6))
    none, whole = (np.asarray(sample(variables, psi)) for psi in (0.0, 1.0))
    np.testing.assert_allclose(none, synthesis()(variables, mean, noise), rtol=1e-4, atol=1e-5)
    assert np.abs(whole - none).max() > 1e-2
    assert sample._cache_size() == 1
    with pytest.raises(ValueError, match="unconditional"):
        model.sample(variables, jax.random.key(0), 2, condition=zeros(2))


def test_truncation_and_mixing_by_hand():
    w = np.random.default_rng(7).normal(size=(2, 3)).astype(np.float32)
    mixed = np.asarray(jax.jit(mix_styles, static_argnums=3)(w, -w, np.array([1, 3], np.int32), 3))
    np.testing.assert_array_equal(mixed[0], [w[0], -w[0], -w[0]])
    np.testing.assert_array_equal(mixed[1], [w[1]] * 3)
    mean, psi = np.array([[1, 2, 3], [0, 0.5, 1]], np.float32)
    found = np.asarray(jax.jit(truncate)(mixed, mean, psi))
    np.testing.assert_allclose(found[:, 0], [[1, 2, 3]] * 2)
    np.testing.assert_allclose(found[:, 1], (mixed[:, 1] + [1, 2, 3]) / 2, rtol=1e-6)
    np.testing.assert_allclose(found[:, 2], mixed[:, 2], rtol=1e-6)
    with pytest.raises(ValueError, match="Styles to mix"):
        mix_styles(zeros((2, 3)), zeros((1, 3)), np.zeros(2, np.int32), 4)


def test_updates_are_lazy_and_share_optimizers():
    made = {u.name: (u.players, u.optimizer, u.every) for u in build().updates}
    makers = ("mapping", "synthesis")
    assert made == {
        "discriminate": (("discriminator",), None, 1),
        "r1": (("discriminator",), "discriminate", 16),
        "generate": (makers, None, 1),
        "path_length": (makers, "generate", 4),
    }
    assert [u.name for u in build(gamma=0.0, path_weight=0.0).updates] == ["discriminate", "generate"]


def test_r1_is_the_gradient_by_finite_differences(trained):
    """16 gamma/2 |grad D|^2, pixel by pixel of all examples, in float64."""
    model, variables = trained
    r1 = next(u for u in model.updates if u.name == "r1")
    value, aux = jax.jit(r1.loss)(variables, BATCH, jax.random.key(8), 0)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: np.asarray(a, np.float64), variables.params["discriminator"])
        x = np.asarray(BATCH["x"], np.float64)
        score = ResidualDiscriminator(FEATURES, group=2, dtype=jnp.float64)
        total = lambda x: score.apply({"params": wide}, x, train=True).sum()
        steps = 1e-5 * np.eye(x.size).reshape(x.size, *x.shape)
        gradient = np.asarray(jax.jit(jax.vmap(lambda step: total(x + step) - total(x - step)))(steps)) / 2e-5
    penalty = 3.0 / 2 * (gradient**2).sum() / len(x)
    np.testing.assert_allclose(aux.metrics["penalty"], penalty, rtol=1e-3)
    np.testing.assert_allclose(value, 16 * penalty, rtol=1e-3)


def test_path_length_term_is_lazy_and_its_mean_moves(trained):
    model, variables = trained
    path = next(u for u in model.updates if u.name == "path_length")
    of = lambda v, k: jax.value_and_grad(lambda p: path.loss(v._replace(params=p), BATCH, k, 0), has_aux=True)(v.params)
    (value, aux), gradient = jax.device_get(jax.jit(of)(variables, jax.random.key(9)))
    found = aux.metrics
    np.testing.assert_allclose(aux.state["path_mean"], 0.7 + 0.01 * (found["length"] - 0.7), rtol=1e-6)
    np.testing.assert_allclose(value, 2 * 4 * found["penalty"], rtol=1e-6)
    assert found["penalty"] >= (found["length"] - found["mean_length"]) ** 2 * (1 - 1e-5)  # Jensen
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient["mapping"]))
    assert not any(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient["discriminator"]))


def test_path_lengths_of_the_synthesis_are_its_jacobians_norm(trained):
    """E |J^T y|^2 over y ~ N(0, I / (H W)) is |J|^2 / (H W), and over styles the mean of K is taken."""
    _, variables = trained
    noise, random = noise_of(jax.random.key(1), 1, SIDES), np.random.default_rng(2)
    ws = random.normal(size=(1, 4, STYLE)).astype(np.float32)
    draw = lambda ws: synthesis()(variables, ws, noise)
    jacobian = np.asarray(jax.jit(jax.jacfwd(draw))(ws))[0, :, :, 0, 0]
    many = np.repeat(ws, 1000, axis=0)
    directions = random.normal(size=(1000, 8, 8, 1)).astype(np.float32) / 8
    squares = np.asarray(jax.jit(lambda y: path_lengths(draw, many, y))(directions)) ** 2
    expected = (jacobian**2).sum() / 64 / 4
    np.testing.assert_allclose(squares.mean(), expected, atol=4 * squares.std() / np.sqrt(1000))
    assert squares.std() < squares.mean()


def test_mean_of_w_follows_the_mapping(trained):
    model, variables = trained
    generate = next(u for u in model.updates if u.name == "generate")
    _, aux = jax.jit(generate.loss)(variables, BATCH, jax.random.key(10), 0)
    new = (np.asarray(aux.state["w_mean"]) - 0.995 * np.asarray(variables.state["w_mean"])) / 0.005
    z = np.random.default_rng(11).normal(size=(4000, LATENT)).astype(np.float32)
    w = jax.jit(model.methods["map"])(variables, None, z)
    spread = np.asarray(w).std(axis=0) / np.sqrt(8)  # eight latents for four pictures with two styles each
    assert (np.abs(new - np.asarray(w).mean(axis=0)) < 5 * spread + 1e-3).all()


def test_other_losses_may_be_played():
    played = []
    model = build(
        generator_loss=lambda scores: played.append("generator") or -scores,
        discriminator_loss=lambda *scores: played.append("discriminator") or hinge_discriminator_loss(*scores),
    )
    key = jax.random.key(0)
    variables = jax.eval_shape(model.init, key, BATCH)
    for update in model.updates:
        jax.eval_shape(update.loss, variables, BATCH, key, 0)
    assert played == ["discriminator", "generator"]


class Grey(nn.Module):
    """Pictures of 0.5 everywhere."""

    features = (1,)
    noise_sides = ()

    @nn.compact
    def __call__(self, styles, noise, *, train):
        return jnp.broadcast_to(self.param("level", nn.initializers.constant(0.5), ()), (styles.shape[0], 4, 4, 1))


class Total(nn.Module):
    """Scores are 3 times the sum of the pixels."""

    @nn.compact
    def __call__(self, x, *, train):
        return self.param("w", nn.initializers.constant(3.0), ()) * x.sum(axis=(1, 2, 3))


def test_a_penalty_is_added_beside_lazy_r1_and_sees_augmented_pictures():
    """Pictures are seen twice as bright: scores are 6 times the sum, their gradient 6 at each of 16 pixels."""
    brighter = AdaptiveAugmentation(lambda key, x, p: 2 * x)
    options = {"regularizers": {"r2": r2_penalty}, "discriminator_steps": 3, "augmentation": brighter, "gamma": 2.0}
    options |= {"discriminator_after": lambda params, state: (params, state), "path_weight": 0.0}
    players = MappingNetwork(STYLE, 1), Grey(), Total()
    model = stylegan2(*players, latent_dim=LATENT, discriminator_loss=hinge_discriminator_loss, **options)
    discriminate, r1, generate, adapt = model.updates
    assert discriminate.repeat == 3 and r1.repeat == generate.repeat == 1
    assert discriminate.after is r1.after is not None and generate.after is None
    batch = {"x": BATCH["x"][:, :4, :4]}

    @jax.jit
    def run(batch):
        key = jax.random.key(0)
        variables = model.init(key, batch)
        return [update.loss(variables, batch, key, 0) for update in (discriminate, r1)]

    (judged, aux), (lazy, _) = run(batch)
    real = 6 * batch["x"].sum(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(aux.metrics["r2"], 5 * 16 * 6.0**2, rtol=1e-5)
    np.testing.assert_allclose(judged, np.maximum(0, 1 - real).mean() + 1 + 6 * 8 + 5 * 16 * 6.0**2, rtol=1e-5)
    np.testing.assert_allclose(lazy, 16 * 3 * 16 * 6.0**2, rtol=1e-5)  # made once in 16 steps of three moves each


def test_pictures_of_another_size_are_refused():
    key, shape = jax.random.key(0), jax.eval_shape
    with pytest.raises(ValueError, match="makes pictures"):
        shape(build().init, key, {"x": zeros((2, 16, 16, 1))})
    with pytest.raises(ValueError, match="are for pictures of 8 x 8"):
        shape(lambda x: ResidualDiscriminator(FEATURES).init(key, x, train=True), zeros((2, 4, 4, 1)))
    with pytest.raises(ValueError, match="take styles"):
        shape(lambda ws: SkipSynthesis(FEATURES).init(key, ws, ()), zeros((2, 3, STYLE)))


def test_adain_sets_mean_and_deviation_of_each_map():
    random = np.random.default_rng(12)
    x, scale, shift = (random.normal(size=s).astype(np.float32) for s in ((2, 5, 4, 3), (2, 3), (2, 3)))
    y = np.asarray(jax.jit(adain)(3 * x + 1, scale, shift))
    np.testing.assert_allclose(y.mean(axis=(1, 2)), shift, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), np.abs(scale), rtol=1e-4)
    np.testing.assert_allclose(
        np.corrcoef(y[0, :, :, 1].ravel(), x[0, :, :, 1].ravel())[0, 1], np.sign(scale[0, 1]), rtol=1e-5
    )
    with pytest.raises(ValueError, match="AdaIN takes"):
        adain(zeros((2, 5, 4, 3)), zeros(3), zeros(3))


def test_number_of_parameters_of_stylegan():
    """1024 x 1024: 26.2 million in the generator (2019, section 2)."""
    features, key = (512, 512, 512, 512, 256, 128, 64, 32, 16), jax.random.key(0)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    network = AdaINSynthesis(features, 3)
    noise = jax.eval_shape(lambda: draw_noise(key, 1, network.noise_sides))
    drawn = jax.eval_shape(lambda n: network.init(key, zeros((1, 18, 512)), n), noise)
    mapping = jax.eval_shape(lambda: MappingNetwork().init(key, zeros((1, 512))))
    assert round((count(drawn) + count(mapping)) / 1e6, 1) == 26.2


def test_stylegan_by_the_same_builder():
    """The gradient is finite in all of the synthesis and reaches its first convolution and its last style."""
    network = AdaINSynthesis(FEATURES)
    model = stylegan2(
        MappingNetwork(STYLE, 1), network, ResidualDiscriminator(FEATURES, group=2), latent_dim=LATENT, path_weight=0.0
    )
    variables = jax.jit(model.init)(jax.random.key(0), BATCH)
    generate = next(u for u in model.updates if u.name == "generate")
    gradient = jax.jit(jax.grad(lambda p: generate.loss(variables._replace(params=p), BATCH, jax.random.key(1), 0)[0]))
    found = gradient(variables.params)["synthesis"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert np.abs(found["style_8_1"]["style"]["kernel"]).max() > 0 and np.abs(found["conv_4"]).max() > 0
    assert jax.eval_shape(lambda v: model.sample(v, jax.random.key(2), 3), variables).shape == (3, 8, 8, 1)
