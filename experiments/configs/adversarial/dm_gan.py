"""DM-GAN (Zhu et al. 2019) on captioned digits: a first picture of 8 x 8, refined to 16 x 16 by a memory of the words.

Variants:
    ''     the model of `genjax.adversarial.dm_gan`.
    tiny   small enough to compile in a second.
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import raster, read_back
from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array, Variables
from genjax.data import captioned_digits, transforms
from genjax.training.system import System


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("adversarial/dm_gan")
    _default(config)
    return raster.apply_variant(config, variant, {"tiny": _tiny})


def _default(config: ConfigDict) -> None:
    config.data.name = "captioned_digits"
    config.data.batch_size = 64
    config.train.steps = 6_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.sample_every = 3_000
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 2e-4  # of all players of the game
    config.train.adam_b1 = 0.5
    config.train.embed_rate = 2e-3  # of both encoders; a cosine takes it to 0
    config.train.embed_steps = 1_500

    config.model.shape = (16, 16, 3)
    config.model.latent_dim = 32
    config.model.embedding = 64
    config.model.told = 32  # coordinates of c, and of what the discriminators compress the embedding to
    config.model.memory = 32
    config.model.generator_features = 32
    config.model.discriminator_features = (32, 64)  # of the large one; the small one has the last alone
    config.model.picture_channels = (16, 32)  # of the encoder of pictures
    config.model.margin = 1.0  # of the ranking loss
    config.model.augmentation_weight = 1.0
    config.model.matching_weight = 5.0
    config.eval.num_samples = 2_000

    config.expected.result = "pictures of held-out captions read back: digit 82.7 %, colour and place 100 %"
    config.expected.cost = "15 minutes of a CPU core shared with others"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.embed_steps = 4
    config.model.margin = 0.1  # some pairs are beyond it from the start: where none is, shifts have no gradient
    config.model.latent_dim = 4
    config.model.embedding = 4
    config.model.told = 4
    config.model.memory = 4
    config.model.generator_features = 4
    config.model.discriminator_features = (4, 4)
    config.model.picture_channels = (4, 4)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train = config.model, config.train
    shape, dtype = tuple(model.shape), jnp.dtype(train.precision)
    features = tuple(model.discriminator_features)
    judge = {"told": model.told, "axis_name": axis_name, "dtype": dtype}
    bound = adversarial.dm_gan(
        adversarial.DMGenerator(shape, model.generator_features, memory=model.memory, **judge),
        adversarial.PairDiscriminator(features[1:], **judge),
        adversarial.PairDiscriminator(features, **judge),
        adversarial.TextEncoder(len(captioned_digits.WORDS), model.embedding, dtype=dtype),
        adversarial.PictureEncoder(model.embedding, tuple(model.picture_channels), dtype=dtype),
        latent_dim=model.latent_dim,
        margin=model.margin,
        augmentation_weight=model.augmentation_weight,
        matching_weight=model.matching_weight,
    )

    def preview(variables: Variables, key: Array, num: int) -> Array:
        return bound.sample(variables, key, num, condition=read_back.texts_in_order(shape[0], num))

    adam = optax.adam(train.learning_rate, b1=train.adam_b1)
    embed = optax.adam(optax.cosine_decay_schedule(train.embed_rate, train.embed_steps))
    return System(
        model=bound,
        optimizers={"generator": adam, "discriminator": adam, "embed": embed},
        transform=transforms.symmetric(256),
        preview=preview,
        to_picture=lambda x: 0.5 * (x + 1.0),
        evaluations={"read_back": read_back.read_back},
        condition=read_back.random_texts(shape[0]),
    )
