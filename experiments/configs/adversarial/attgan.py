"""AttGAN (He et al. 2019) on digits that are thick or not, orange or white, inverted or not.

The loss asks that a code rebuild its own picture, not that an edit keep the digit. It is kept by local networks; those
that see whole digits make the negative of a digit that of another one ('wide').

Any loss and any regularizer but consistency may be played with these networks, by the fields of
`experiments.games.choices`.

Variants:
    ''    8 x 8 digits, 3 channels, 3 attributes.
    wide  the same by networks that halve the side, as the paper's.
    tiny  as '', small enough to compile in a second.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import games, looks, raster, translations
from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array, Batch, Variables
from genjax.data.domains import ATTRIBUTES, BITS
from genjax.errors import UserError
from genjax.pixels import to_symmetric
from genjax.training.system import System


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("adversarial/attgan")
    _default(config)
    return raster.apply_variant(config, variant, {"wide": _wide, "tiny": _tiny})


def _default(config: ConfigDict) -> None:
    config.data.name = "looks/attributes"
    config.data.batch_size = 32
    config.train.steps = 6_000
    config.train.steps_per_call = 25
    config.train.log_every = 250
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.998
    config.train.learning_rate = 1e-3  # of all players, falling to 0 in the second half
    config.train.adam_b1 = 0.5
    config.sample.num = 81

    config.model.levels = 17
    config.model.channels = 3
    config.model.encoder_features = (32, 64)  # from the picture inwards
    config.model.decoder_features = (64, 64)  # from the code outwards
    config.model.local = True  # so an edit sees 5 x 5 pixels
    config.model.discriminator_features = (32, 64)
    config.model.discriminator_hidden = 128
    games.choices(config, loss="wasserstein", consistency=False)
    config.model.discriminator_steps = 5
    config.model.regularizers.gradient_penalty = 10.0
    config.model.weights = ConfigDict()
    config.model.weights.reconstruction = 20.0  # the paper: 100, of faces
    config.model.weights.edited = 5.0  # the paper: 10
    config.model.weights.true = 1.0

    config.expected.result = (
        "test split: 97.3 % of edits nearest to the look asked for, PSNR 21.2 dB by the true edit; of one attribute alone: "
        "orange 100 %, 29.6 dB, class kept 0.89 (truth, over all looks, 0.90); thick 89 %, 18.1 dB, 0.89; inverted 100 %, "
        "22.7 dB, 0.82; pictures rebuilt at 32.2 dB"
    )
    config.expected.cost = "6 minutes on one core"


def _wide(config: ConfigDict) -> None:
    config.train.learning_rate = 3e-4
    config.model.encoder_features = (32, 64, 128)
    config.model.decoder_features = (128, 64)  # one fewer
    config.model.local = False
    config.expected.result = (
        "test split: 81.5 % of edits nearest to the look asked for, PSNR 13.0 dB by the true edit; of one attribute alone: "
        "orange 100 %, 22.0 dB, class kept 0.86 (truth, over all looks, 0.89); thick 82 %, 16.2 dB, 0.84; inverted 67 %, 9.0 "
        "dB, 0.02, another digit; pictures rebuilt at 24.4 dB"
    )
    config.expected.cost = "5 minutes on one core, beside other work"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.encoder_features = (4,)
    config.model.decoder_features = ()
    config.model.discriminator_features = (4,)
    config.model.discriminator_hidden = 4
    config.model.discriminator_steps = 1
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    played = adversarial.attgan(
        adversarial.AttGANEncoder(tuple(model.encoder_features), model.local, axis_name, dtype),
        adversarial.AttGANDecoder(tuple(model.decoder_features), model.channels, model.local, axis_name, dtype),
        adversarial.AttGANDiscriminator(
            tuple(model.discriminator_features), model.discriminator_hidden, len(ATTRIBUTES), dtype
        ),
        weights=adversarial.AttGANWeights(**model.weights),
        **games.options(model),
    )
    bound = games.penalized(played, model)
    bits = np.array(BITS, np.float32)

    def edit(variables: Variables, key: Array, x: Array, look: Array) -> Array:
        return bound.methods["translate"](variables, key, x, jnp.asarray(bits)[look])

    adam = lambda moves: optax.adam(games.falling(train.learning_rate, train.steps, moves), b1=train.adam_b1)
    return System(
        model=bound,
        optimizers={"discriminate": adam(model.discriminator_steps), "edit": adam(1)},
        transform=functools.partial(_transform, model.levels),
        preview=looks.preview_of(config, model.levels, edit, len(BITS)),
        to_picture=translations.to_picture,
        evaluations={
            "edits": functools.partial(looks.edits, edit=edit, num_looks=len(BITS), plain=_plain, groups=_single())
        },
        condition=lambda key, num: {"attributes": jnp.asarray(bits)[jax.random.randint(key, (num,), 0, len(BITS))]},
    )


def _transform(levels: int, key: Array, batch: Batch) -> Batch:
    del key
    if "attributes" not in batch:
        raise UserError("AttGAN edits 'attributes', which these data have not: take data.name='looks/attributes[/<set>]'.")
    attributes = batch["attributes"].astype(jnp.float32)
    return {**batch, "x": to_symmetric(batch["x"], levels), "attributes": attributes}


def _single() -> dict[str, np.ndarray]:
    """Return, for each attribute, the edits that change it and no other, bool by the look given and asked for."""
    changed = np.array(BITS)[:, None] != np.array(BITS)[None]
    alone = changed.sum(axis=2) == 1
    return {name: changed[..., index] & alone for index, name in enumerate(ATTRIBUTES)}


def _plain(x: np.ndarray, look: int) -> np.ndarray:
    """Return pictures of a look in grey on black; a thick stroke stays so."""
    return (1 - x if BITS[look][2] else x).max(axis=3, keepdims=True)
