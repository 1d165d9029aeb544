"""What the configs of two-player games share: players, losses and regularizers by their names, and their evaluations.

    points, pictures, mnist, tiny    fields of a config
    players                          the two networks, by `model.architecture`
    choices                          the fields of any loss with any regularizer, here and in configs of other networks
    losses, regularizers             by `model.loss` and the weights in `model.regularizers`
    options, penalized               what they are to a builder, and to the model that it has bound
    falling                          a learning rate that ends at 0, counted in a player's own moves
    assemble                         any of them with any of the players: a model
    system                           a model with its optimizers, its data's transform and evaluations
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax
from ml_collections import ConfigDict

from experiments import evaluations, toy_modes
from genjax import adversarial
from genjax.adversarial.game import Regularizer
from genjax.contract import Array, GenerativeModel
from genjax.data import toy2d, transforms
from genjax.errors import UserError
from genjax.training.system import System, identity_transform

LOSSES = {
    "non_saturating": lambda model: (adversarial.non_saturating_generator_loss, adversarial.gan_discriminator_loss),
    "minimax": lambda model: (adversarial.minimax_generator_loss, adversarial.gan_discriminator_loss),
    "least_squares": lambda model: (
        partial(adversarial.least_squares_generator_loss, c=model.c),
        partial(adversarial.least_squares_discriminator_loss, a=model.a, b=model.b),
    ),
    "wasserstein": lambda model: (adversarial.wasserstein_generator_loss, adversarial.wasserstein_discriminator_loss),
    "hinge": lambda model: (adversarial.hinge_generator_loss, adversarial.hinge_discriminator_loss),
}
GRADIENT_PENALTIES = {  # weight -> what is added to the loss of a discriminator
    "gradient_penalty": lambda weight: partial(adversarial.gradient_penalty, weight=weight),
    "one_sided_gradient_penalty": lambda weight: partial(adversarial.one_sided_gradient_penalty, weight=weight),
    "r1": lambda gamma: partial(adversarial.r1_penalty, gamma=gamma),
    "r2": lambda gamma: partial(adversarial.r2_penalty, gamma=gamma),
}
WEIGHT_PENALTIES = {"orthogonal": adversarial.orthogonal_penalty, "off_diagonal": adversarial.off_diagonal_penalty}
PLAYERS = ("generator", "discriminator")
PLAYED_BY = {"generate": "generator", "edit": "generator", "discriminate": "discriminator"}  # updates by other names


def points(config: ConfigDict) -> None:
    """Set the fields of a game about points of the plane, with perceptrons."""
    config.data.name = "toy2d/eight_gaussians"
    config.data.batch_size = 512
    config.train.steps = 10_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.sample_every = 0
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.model.architecture = "mlp"
    config.model.shape = (2,)
    config.model.levels = 0  # of stored pixels; 0 for real points, which stay as they are
    config.model.latent_dim = 8
    config.model.generator_hidden = (128, 128, 128)
    config.model.discriminator_hidden = (128, 128, 128)
    config.sample.num = 1000
    config.eval.num_samples = 2500


def pictures(config: ConfigDict) -> None:
    """Set the fields of a game about 8 x 8 digits, with convolutions."""
    config.data.name = "digits"
    config.data.batch_size = 64
    config.train.steps = 10_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.sample_every = 5_000
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.model.architecture = "dcgan"  # dcgan, dcgan_critic, layer_norm, sngan or mlp
    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.latent_dim = 64
    config.model.generator_features = (64, 128)  # from the picture inwards
    config.model.discriminator_features = (64, 128)
    config.model.kernel_size = 4
    config.model.generator_hidden = (256, 256)  # of architecture mlp
    config.model.discriminator_hidden = (128, 128)
    config.sample.num = 64
    config.eval.num_samples = 1000


def mnist(config: ConfigDict) -> None:
    """Turn the fields of `pictures` into those of MNIST; needs --config.data.dir."""
    config.data.name = "mnist"
    config.data.batch_size = 64
    config.train.steps = 20_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.latent_dim = 100
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def tiny(config: ConfigDict) -> None:
    """Shrink a config of points or pictures so that it compiles in a second."""
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.generator_hidden = (4,)
    config.model.discriminator_hidden = (4,)
    if "kernel_size" in config.model:
        config.model.generator_features = (4,)
        config.model.discriminator_features = (2, 4)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def choices(config: ConfigDict, *, loss: str = "non_saturating", consistency: bool = True) -> None:
    """Set the fields of which losses and regularizers are chosen; weights of 0 are off.

    Args:
        config: to set them in.
        loss: the default.
        consistency: whether what a discriminator judges may be shifted: not where it must fit what is given.
    """
    model = config.model
    model.loss = loss  # non_saturating, minimax, least_squares, wasserstein or hinge
    model.a, model.b, model.c = 0.0, 1.0, 1.0  # targets of least_squares: generated, real, the generator's
    model.discriminator_steps = 1  # k of Algorithm 1
    model.clip = 0.0  # the discriminator's weights into [-clip, clip]; 0 for none
    of_weights = [f"{player}_{name}" for player in PLAYERS for name in WEIGHT_PENALTIES]
    names = [*GRADIENT_PENALTIES, *(["consistency"] if consistency else []), *of_weights]
    model.regularizers = dict.fromkeys(names, 0.0)


def players(config: ConfigDict, *, axis_name: str | None = None) -> tuple[nn.Module, nn.Module]:
    """Return the generator and the discriminator that `model.architecture` names.

    Raises:
        UserError: there is no such architecture, or not for examples of this shape.
    """
    model, dtype = config.model, jnp.dtype(config.train.precision)
    if model.architecture not in ARCHITECTURES:
        raise UserError(f"model.architecture={model.architecture!r} is none of {', '.join(ARCHITECTURES)}.")
    if model.architecture != "mlp" and not _of_pictures(model):
        raise UserError(f"model.architecture={model.architecture!r} is for pictures; points take 'mlp'.")
    return ARCHITECTURES[model.architecture](model, axis_name, dtype)


def losses(model: ConfigDict) -> tuple[Any, Any]:
    """Return (generator_loss, discriminator_loss) by `model.loss`."""
    if model.loss not in LOSSES:
        raise UserError(f"model.loss={model.loss!r} is none of {', '.join(LOSSES)}.")
    return LOSSES[model.loss](model)


def regularizers(model: ConfigDict) -> dict[str, Regularizer]:
    """Return what is added to the discriminator's loss: the penalties whose weight in `model.regularizers` is not 0."""
    weights = model.regularizers
    chosen = {name: make(weights[name]) for name, make in GRADIENT_PENALTIES.items() if weights[name]}
    if weights.get("consistency"):
        both = {"real_weight": weights.consistency, "fake_weight": weights.consistency}
        chosen["consistency"] = partial(adversarial.consistency_penalty, augment=moved, **both)
    return chosen


def options(model: ConfigDict, discriminators: Sequence[str] = PLAYERS[1:]) -> dict[str, Any]:
    """Return the arguments of a builder, such as `adversarial.gan`, that the fields of `choices` name."""
    generator_loss, discriminator_loss = losses(model)
    return {
        "generator_loss": generator_loss,
        "discriminator_loss": discriminator_loss,
        "discriminator_steps": model.discriminator_steps,
        "regularizers": regularizers(model),
        "discriminator_after": adversarial.clip_weights(discriminators, model.clip) if model.clip else None,
    }


def penalized(
    built: GenerativeModel, model: ConfigDict, discriminators: Sequence[str] = PLAYERS[1:]
) -> GenerativeModel:
    """Return a game with the penalties on weights that the fields of `choices` name.

    Its `init` raises where a penalty on gradients meets batch normalization.
    """
    if any(model.regularizers[name] for name in GRADIENT_PENALTIES):
        for name in discriminators:
            built = adversarial.refuse_batch_normalization(built, name)
    updates = tuple(_with_weight_penalties(update, model.regularizers) for update in built.updates)
    return built._replace(updates=updates)


def falling(rate: float, steps: int, moves: int = 1) -> optax.Schedule:
    """Return a learning rate that stays for half of the steps and then falls to 0 along a line.

    Args:
        rate: of the first half.
        steps: of the training.
        moves: of the player in each of them: an optimizer counts its own.
    """
    half = steps // 2
    return optax.linear_schedule(rate, 0.0, (steps - half) * moves, half * moves)


def assemble(config: ConfigDict, *, axis_name: str | None = None) -> GenerativeModel:
    """Bind the architecture, the loss and the regularizers that the fields of `choices` name."""
    model = config.model
    generator, discriminator = players(config, axis_name=axis_name)
    return penalized(adversarial.gan(generator, discriminator, latent_dim=model.latent_dim, **options(model)), model)


def system(
    config: ConfigDict, model: GenerativeModel, optimizers: Mapping[str, optax.GradientTransformation]
) -> System:
    """Return a game about points or pictures, with what there is to evaluate for its data."""
    if _of_pictures(config.model):
        found = {"samples": evaluations.classifier_fid} if config.data.name in evaluations.RECIPES else {}
        transform = transforms.symmetric(config.model.levels)
        return System(model, optimizers, transform, to_picture=_to_picture, evaluations=found)
    toy = toy2d.SETS[config.data.name.removeprefix("toy2d/")]
    found = {"wasserstein": evaluations.wasserstein}
    found |= {} if toy.centers is None else {"modes": toy_modes.modes}
    return System(model, optimizers, identity_transform, evaluations=found)


def moved(key: Array, x: Array) -> Array:
    """Move pictures `[B, H, W, C]` as `shifted` does, and points `[B, D]` as `jittered`."""
    return shifted(key, x) if x.ndim == 4 else jittered(key, x)


def shifted(key: Array, x: Array) -> Array:
    """Move each picture `[B, H, W, C]` by up to an eighth of its side, at least one pixel; its edge fills the gap."""
    batch, height, width, channels = x.shape
    reach = max(1, height // 8)
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (batch, 2), 0, 2 * reach + 1)
    corners = jnp.pad(corners, ((0, 0), (0, 1)))  # all channels
    cut = lambda picture, corner: lax.dynamic_slice(picture, corner, (height, width, channels))
    return jax.vmap(cut)(padded, corners)


def jittered(key: Array, x: Array) -> Array:
    """Move each point `[B, D]` by normal noise of standard deviation 0.05."""
    return x + 0.05 * jax.random.normal(key, x.shape, x.dtype)


def _with_weight_penalties(update: Any, weights: ConfigDict) -> Any:
    """Add the penalties on the weights of an update's players; lazy terms, which are updates too, have none."""
    player = PLAYED_BY.get(update.name, update.name)
    for name, penalty in WEIGHT_PENALTIES.items():
        if weights.get(f"{player}_{name}"):
            update = adversarial.penalize_weights(update, name, penalty, weight=weights[f"{player}_{name}"])
    return update


def _mlp(model: ConfigDict, axis_name: str | None, dtype: Any) -> tuple[nn.Module, nn.Module]:
    del axis_name
    output: Callable[[Array], Array] = jnp.tanh if _of_pictures(model) else lambda x: x
    generator = adversarial.MLPGenerator(tuple(model.shape), tuple(model.generator_hidden), output, dtype)
    return generator, adversarial.MLPDiscriminator(tuple(model.discriminator_hidden), dtype)


def _dcgan(
    model: ConfigDict, axis_name: str | None, dtype: Any, *, score_bias: bool = True
) -> tuple[nn.Module, nn.Module]:
    features = tuple(model.discriminator_features)
    discriminator = adversarial.DCGANDiscriminator(features, model.kernel_size, axis_name, dtype, score_bias)
    return _dcgan_generator(model, axis_name, dtype), discriminator


def _layer_norm(model: ConfigDict, axis_name: str | None, dtype: Any) -> tuple[nn.Module, nn.Module]:
    critic = adversarial.LayerNormCritic(tuple(model.discriminator_features), model.kernel_size, dtype)
    return _dcgan_generator(model, axis_name, dtype), critic


def _sngan(model: ConfigDict, axis_name: str | None, dtype: Any) -> tuple[nn.Module, nn.Module]:
    shape, features = tuple(model.shape), tuple(model.discriminator_features)
    generator = adversarial.SNGANGenerator(shape, tuple(model.generator_features), axis_name=axis_name, dtype=dtype)
    return generator, adversarial.SNGANDiscriminator(features, len(features), dtype=dtype)


def _dcgan_generator(model: ConfigDict, axis_name: str | None, dtype: Any) -> nn.Module:
    features = tuple(model.generator_features)
    return adversarial.DCGANGenerator(tuple(model.shape), features, model.kernel_size, axis_name, dtype)


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]; what lies outside is cut off."""
    return jnp.clip(0.5 * (x + 1.0), 0.0, 1.0)


def _of_pictures(model: ConfigDict) -> bool:
    return len(model.shape) == 3


ARCHITECTURES = {
    "mlp": _mlp,
    "dcgan": _dcgan,
    "dcgan_critic": partial(_dcgan, score_bias=False),  # for Wasserstein losses, which do not see it
    "layer_norm": _layer_norm,  # likewise
    "sngan": _sngan,  # residual, the discriminator spectrally normalized
}
