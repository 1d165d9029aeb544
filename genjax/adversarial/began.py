"""BEGAN: the discriminator is an autoencoder, and real and generated reconstruction errors are kept in balance.

With L(v) = mean over entries of |v - D(v)|^eta the error of an autoencoder D (section 3.1; eta = 1 or 2),

    L_D = L(x) - k_t L(G(z_D))                        discriminator
    L_G = L(G(z_G))                                   generator
    k_{t+1} = k_t + lambda_k (gamma L(x) - L(G(z_G)))   kept in [0, 1]           (section 3.4)

gamma = E L(G(z)) / E L(x) at the equilibrium is the diversity ratio: the autoencoder is to tell generated examples from
real ones, and to reconstruct real ones; a small gamma gives weight to the second, and less varied samples. k_t, which
starts at 0, is the control that holds the ratio. It also says how far samples may crowd: L_D weighs an example x by
p(x) - k q(x), so that only where the generator's density q exceeds p / k is the autoencoder to rebuild worse what it
gets. At a small k the generator may gather on the kinds that are easiest to rebuild; at one near 1, which it reaches
where the generator is the stronger player, q has to spread like p. How far training is has a measure (section 3.4.1),

    M = L(x) + |gamma L(x) - L(G(z_G))|,

logged as `generator/measure`. Each of these errors is a mean over a minibatch. The discriminator moves first, and the
generator answers the moved one, which also moves k: the L(x) in it is the one the discriminator has just descended,
kept in the state in between.

The networks are the paper's (section 3.5, figure 1): 3 x 3 convolutions with ELU; the encoder halves the side by
strided convolutions while channels grow by n, 2 n, 3 n, ...; the decoder doubles it by nearest neighbours at n
channels; a linear layer to and from the code. The generator has the decoder's architecture, and latents uniform in
[-1, 1]. Neither has batch normalization, dropout or transposed convolutions. Skip connections (3.5.1) are left out.

Reference: Berthelot et al. 2017, "BEGAN: Boundary Equilibrium Generative Adversarial Networks",
https://arxiv.org/abs/1703.10717
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial import game as play
from genjax.adversarial.dcgan import base_side
from genjax.adversarial.game import Game, Prior
from genjax.adversarial.losses import began_discriminator_loss, began_generator_loss
from genjax.adversarial.players import run_player
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import MLP, Conv

uniform_prior: Prior = partial(jax.random.uniform, minval=-1.0, maxval=1.0)


class Balance(NamedTuple):
    """What a model keeps in state['balance'], scalars.

    k: k_t in [0, 1].
    real_error: L(x) of the discriminator's last minibatch.
    """

    k: Array
    real_error: Array


def reconstruction_error(x: Array, reconstruction: Array, *, eta: int = 1) -> Array:
    """Return L(x), the mean over entries of |x - D(x)|^eta.

    Args:
        x: `[B, ...]`.
        reconstruction: D(x), of the same shape.
        eta: 1 or 2.

    Returns:
        `[B]`.

    Raises:
        ValueError: if the shapes differ, or have no axis of examples beside one of entries.

    Reference: Berthelot et al. 2017, section 3.1.
    """
    if x.shape != reconstruction.shape or x.ndim < 2:
        raise ValueError(
            f"An autoencoder gives back the shape that it is given, [B, ...], not {reconstruction.shape} for {x.shape}."
        )
    return jnp.mean(jnp.abs(x - reconstruction) ** eta, axis=tuple(range(1, x.ndim)))


def next_balance(k: Array, real_error: Array, fake_error: Array, *, gamma: float, rate: float) -> Array:
    """Return k_{t+1} = clip(k_t + rate (gamma L(x) - L(G(z))), 0, 1).

    Args:
        k: k_t in [0, 1], scalar.
        real_error: L(x), mean over the minibatch, scalar.
        fake_error: L(G(z)), likewise.
        gamma: diversity ratio in (0, 1].
        rate: lambda_k.

    Returns:
        Scalar.

    Reference: Berthelot et al. 2017, section 3.4.
    """
    chex.assert_rank([k, real_error, fake_error], 0)
    return jnp.clip(k + rate * (gamma * real_error - fake_error), 0.0, 1.0)


def convergence_measure(real_error: Array, fake_error: Array, *, gamma: float) -> Array:
    """Return M = L(x) + |gamma L(x) - L(G(z))|; arguments as in `next_balance`.

    Reference: Berthelot et al. 2017, section 3.4.1.
    """
    chex.assert_rank([real_error, fake_error], 0)
    return real_error + jnp.abs(gamma * real_error - fake_error)


class BEGANDecoder(nn.Module):
    """Codes to pictures; the generator, and the second half of the autoencoder.

    shape: (H, W, C) of a picture, square.
    levels: how often the side doubles.
    width: n, channels of all feature maps.
    depth: convolutions at each side.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    levels: int
    width: int
    depth: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        """Map codes `[B, L]` to pictures `[B, H, W, C]`, unbounded."""
        del train
        base = base_side(self.shape, (self.width,) * self.levels)
        x = nn.Dense(base * base * self.width, dtype=self.dtype)(z).reshape(-1, base, base, self.width)
        for level in range(self.levels + 1):
            if level:
                x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
            for _ in range(self.depth):
                x = jax.nn.elu(Conv(self.width, dtype=self.dtype)(x))
        return Conv(self.shape[-1], dtype=self.dtype)(x)


class BEGANAutoencoder(nn.Module):
    """Pictures to pictures through a code.

    latent_dim: coordinates of the code.
    levels: how often the side halves, and doubles again.
    width: n; feature maps have n, 2 n, 3 n, ... channels inwards, and n on the way back.
    depth: convolutions at each side, each way.
    dtype: compute dtype.
    """

    latent_dim: int
    levels: int
    width: int
    depth: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to their reconstructions, of the same shape."""
        shape = x.shape[1:]
        base_side(shape, (self.width,) * self.levels)
        x = jax.nn.elu(Conv(self.width, dtype=self.dtype)(x))
        for level in range(1, self.levels + 2):
            for _ in range(self.depth):
                x = jax.nn.elu(Conv(level * self.width, dtype=self.dtype)(x))
            if level <= self.levels:
                x = jax.nn.elu(Conv((level + 1) * self.width, stride=2, dtype=self.dtype)(x))
        code = nn.Dense(self.latent_dim, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return BEGANDecoder(shape, self.levels, self.width, self.depth, self.dtype)(code, train=train)


class BEGANPerceptron(nn.Module):
    """An autoencoder of points: hidden layers to a linear code and back, ELU between.

    code: coordinates of the code; fewer than the points', or every point is given back.
    hidden: widths of the hidden layers on the way to the code, and from it the other way round.
    dtype: compute dtype.
    """

    code: int
    hidden: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map points `[B, D]` to their reconstructions `[B, D]`."""
        del train
        code = MLP(self.hidden, self.code, activation=jax.nn.elu, dtype=self.dtype)(x)
        return MLP(self.hidden[::-1], x.shape[-1], activation=jax.nn.elu, dtype=self.dtype)(code)


class ReconstructionError(nn.Module):
    """The discriminator of the game: what is off when an autoencoder gives an example back.

    autoencoder: module (x `[B, ...]`, train=) -> the same shape.
    eta: 1 or 2.
    """

    autoencoder: nn.Module
    eta: int = 1

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map x `[B, ...]` to L(x) `[B]`, float32."""
        reconstruction = self.autoencoder(x, train=train).astype(jnp.float32)
        return reconstruction_error(x.astype(jnp.float32), reconstruction, eta=self.eta)


def began(
    generator: nn.Module,
    autoencoder: nn.Module,
    *,
    latent_dim: int,
    gamma: float = 0.5,
    rate: float = 1e-3,
    eta: int = 1,
    axis_name: str | None = None,
    prior: Prior = uniform_prior,
) -> GenerativeModel:
    """Bind a generator and an autoencoder into a game at a boundary equilibrium.

    Args:
        generator: module (latents `[B, latent_dim]`, train=) -> `[B, ...]` like batch['x'].
        autoencoder: module (x `[B, ...]`, train=) -> `[B, ...]`, the player 'discriminator'.
        latent_dim: coordinates of a latent.
        gamma: diversity ratio in (0, 1]; the paper's are 0.3 to 0.7.
        rate: lambda_k.
        eta: power of the errors, 1 or 2.
        axis_name: mapped axis under pmap, over which L(x) and L(G(z)) are averaged before they move k.
        prior: (key, shape) -> latents.

    Returns:
        A model with methods `generate`, `interpolate`, `arithmetic` (see `genjax.adversarial.gan.gan`), `score`, which
        is the error L(x) `[N]`, and `reconstruct`: (variables, key, x) -> D(x).

    Raises:
        ValueError: if gamma is not in (0, 1].

    Reference: Berthelot et al. 2017, section 3.
    """
    if not 0 < gamma <= 1:
        raise ValueError(f"The diversity ratio gamma lies in (0, 1], not at {gamma}.")
    discriminator = ReconstructionError(autoencoder, eta)
    # The discriminator's loss waits for k, which travels with the state: see `_discriminate`.
    game = Game(generator, discriminator, latent_dim, began_generator_loss, None, {}, None, prior)
    methods = {"generate": play.generate, "interpolate": play.interpolate, "arithmetic": play.arithmetic}
    methods |= {"score": play.score, "reconstruct": _reconstruct}
    answer = partial(_generate, game, gamma, rate, axis_name)
    return GenerativeModel(
        init=partial(_init, game),
        updates=(
            Update("discriminator", ("discriminator",), partial(_discriminate, game, axis_name)),
            Update("generator", ("generator",), answer),
        ),
        sample=partial(play.sample, game),
        methods={name: partial(method, game) for name, method in methods.items()},
    )


def _init(game: Game, key: Array, batch: Batch) -> Variables:
    """Initialise both players and the balance, k_0 = 0."""
    variables = play.init_game(game, key, batch)
    balance = Balance(k=jnp.zeros(()), real_error=jnp.zeros(()))
    return variables._replace(state={**variables.state, "balance": balance})


def _discriminate(
    game: Game, axis_name: str | None, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return L_D and keep its L(x) for the generator's move."""
    balance = variables.state["balance"]
    game = game._replace(discriminator_loss=partial(began_discriminator_loss, k=balance.k))
    loss, aux = play.discriminator_objective(game, variables, batch, key, step)
    balance = balance._replace(real_error=_over_devices(aux.metrics["real"], axis_name))
    return loss, aux._replace(state={**aux.state, "balance": balance})


def _generate(
    game: Game,
    gamma: float,
    rate: float,
    axis_name: str | None,
    variables: Variables,
    batch: Batch,
    key: Array,
    step: Array,
) -> tuple[Array, Aux]:
    """Return L_G and move k by it."""
    k, real = variables.state["balance"]
    loss, aux = play.generator_objective(game, variables, batch, key, step)
    fake = _over_devices(loss, axis_name)
    balance = Balance(k=next_balance(k, real, fake, gamma=gamma, rate=rate), real_error=real)
    metrics = {**aux.metrics, "k": balance.k, "measure": convergence_measure(real, fake, gamma=gamma)}
    return loss, Aux({**aux.state, "balance": balance}, metrics)


def _over_devices(value: Array, axis_name: str | None) -> Array:
    return value if axis_name is None else lax.pmean(value, axis_name)


def _reconstruct(game: Game, variables: Variables, key: Array, x: Array) -> Array:
    """Return D(x) `[N, ...]`."""
    del key
    inner: PyTree = variables.params["discriminator"]["autoencoder"]
    state = {name: tree["autoencoder"] for name, tree in variables.state["discriminator"].items()}
    return run_player(game.discriminator.autoencoder, inner, state, x)
