"""SRGAN (Ledig et al. 2017): digits from 4 x 4 to 8 x 8, photographs from 8 x 8 to 16 x 16.

Any loss and any regularizer but consistency may be played, by the fields of `experiments.games.choices`; penalties on
gradients refuse the discriminator's batch normalization. The features of the content are those of a classifier trained
here, in its last convolution.

Variants:
    ''        8 x 8 digits.
    resnet    SRResNet: the mean squared error of pixels alone.
    photos    16 x 16 photographs in colour; content in pixels.
    mnist     28 x 28 from 7 x 7; needs --config.data.dir.
    tiny      as '', small enough to compile in a second, with a classifier that has not been trained.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import evaluations, games, raster, translations
from experiments.configs.common import base
from genjax import adversarial
from genjax import evaluation as metrics
from genjax.adversarial.srgan import enlarged, low_resolution
from genjax.contract import Array, PyTree, Variables
from genjax.data import transforms
from genjax.errors import UserError
from genjax.evaluation import features, lpips
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext, System

COLUMNS = 8  # of a preview, of four rows each


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("adversarial/srgan")
    _default(config)
    changes = {"resnet": _resnet, "photos": _photos, "mnist": _mnist, "tiny": _tiny}
    return raster.apply_variant(config, variant, changes)


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 32
    config.train.steps = 4_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 2_000
    config.train.ema_decay = 0.998
    config.train.learning_rate = 5e-4  # of both players, falling to 0 in the second half
    config.train.adam_b1 = 0.9

    config.model.levels = 17
    config.model.channels = 1
    config.model.doublings = 1
    config.model.features = 32
    config.model.blocks = 4
    config.model.outer_kernel = 3
    config.model.discriminator_features = (32, 64)
    config.model.discriminator_hidden = 128
    config.model.pixel_weight = 1.0
    config.model.feature_weight = 0.006  # the paper's, for features over 12.75
    config.model.perceptual = "digits_classifier"  # mnist_classifier, untrained or none
    config.model.adversarial_weight = 1e-2  # the paper: 1e-3, beside features alone
    games.choices(config, consistency=False)

    config.expected.result = "test split: PSNR 19.8 dB (bicubic 13.5), class kept 0.956 (0.725, truth 0.997), sharpness 0.89 (0.07, truth 1.03)"
    config.expected.cost = "90 s on one core, beside other work"


def _resnet(config: ConfigDict) -> None:
    config.model.perceptual = "none"
    config.model.adversarial_weight = 0.0
    config.expected.result = "test split: PSNR 20.4 dB (bicubic 13.5), class kept 0.931 (0.725, truth 0.997), sharpness 0.82 (0.07, truth 1.03)"
    config.expected.cost = "4 minutes on one core, beside other work"


def _photos(config: ConfigDict) -> None:
    config.data.name = "photos/16"
    config.model.levels = 256
    config.model.channels = 3
    config.model.perceptual = "none"
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.train.steps = 20_000
    config.model.levels = 256
    config.model.doublings = 2
    config.model.features = 64
    config.model.blocks = 8
    config.model.perceptual = "mnist_classifier"
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.features = 4
    config.model.blocks = 0
    config.model.discriminator_features = (4,)
    config.model.discriminator_hidden = 4
    config.model.perceptual = "untrained"
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    content, frozen = _content(config)
    shape = model.features, model.blocks, model.doublings, model.outer_kernel
    played = adversarial.srgan(
        adversarial.SRGANGenerator(model.channels, *shape, axis_name, dtype),
        adversarial.SRGANDiscriminator(
            tuple(model.discriminator_features), model.discriminator_hidden, axis_name, dtype
        ),
        doublings=model.doublings,
        content=content,
        frozen=frozen,
        adversarial_weight=model.adversarial_weight,
        **games.options(model),
    )
    bound = games.penalized(played, model)

    def preview(variables: Variables, key: Array, num: int) -> Array:
        """Return rows of low resolution, bicubic interpolation, what is made, and the truth."""
        stored = translations.held_out(config, max(num // (4 * COLUMNS), 1) * COLUMNS)["x"]
        x = to_symmetric(stored, model.levels)
        low = low_resolution(x, model.doublings)
        coarse = jnp.repeat(jnp.repeat(low, 2**model.doublings, axis=1), 2**model.doublings, axis=2)
        made = bound.methods["translate"](variables, key, low)
        return translations.rows(coarse, enlarged(low, model.doublings), made, x, columns=COLUMNS)

    adam = lambda moves: optax.adam(games.falling(train.learning_rate, train.steps, moves), b1=train.adam_b1)
    return System(
        model=bound,
        optimizers={"generator": adam(1), "discriminator": adam(model.discriminator_steps)},
        transform=transforms.symmetric(model.levels),
        preview=preview,
        to_picture=translations.to_picture,
        evaluations={"enlargement": _enlargement},
    )


def _content(config: ConfigDict):
    """Return the terms of the content, and what makes the arrays that they read."""
    model, data = config.model, config.data
    terms = {"pixels": lambda frozen, made, x: model.pixel_weight * adversarial.pixel_loss(made, x)}
    recipes = {recipe.name: (source, recipe) for source, recipe in evaluations.RECIPES.items()}
    if model.perceptual == "none":
        return terms, dict
    if model.perceptual == "untrained":
        recipe = features.DIGITS._replace(channels=(2, 2), num_features=4)
        frozen = lambda: lpips.untrained_classifier(recipe, jax.random.key(0))
    elif model.perceptual in recipes:
        source, recipe = recipes[model.perceptual]
        frozen = lambda: jax.tree.map(np.asarray, _trained(source, data.dir))
    else:
        raise UserError(
            f"model.perceptual={model.perceptual!r} is none of {', '.join((*recipes, 'untrained', 'none'))}."
        )

    def seen(params: PyTree, x: Array) -> Array:
        return lpips.classifier_layers(recipe, params, 0.5 * (x + 1.0))[len(recipe.channels) - 1]

    def in_features(params: PyTree, made: Array, x: Array) -> Array:
        return model.feature_weight * adversarial.feature_loss(seen(params, made), seen(params, x))

    return {**terms, "features": in_features}, frozen


def _trained(source: str, data_dir: str) -> PyTree:
    # Outside of whatever is being traced: the classifier may have to be trained first.
    with jax.ensure_compile_time_eval():
        return evaluations.classifier_of(source, data_dir).variables.params["classifier"]


def _enlargement(context: EvalContext) -> dict[str, Any]:
    """Enlarge the low resolution of held-out pictures, and compare with bicubic interpolation.

    Returns:
        'l1' and 'psnr' in [0, 1], 'ssim' (uniform windows of 7 x 7) and 'sharpness' (mean squared Laplacian), of what
        is made and, with '_of_bicubic' and '_of_truth' behind, of these; 'consistency', mean squared error of the low
        resolution of what is made; where there is a classifier 'class_kept' likewise; 'n' and 'split'.
    """
    model, batches = context.config.model, list(context.test())
    x = jnp.concatenate([batch["x"] for batch in batches])
    low, look = low_resolution(x, model.doublings), lambda x: jnp.asarray(translations.to_picture(x))
    made = jax.jit(context.system.model.methods["translate"])(context.variables, context.key, low)
    pictures = {"": look(made), "_of_bicubic": look(enlarged(low, model.doublings)), "_of_truth": look(x)}
    found: dict[str, Any] = {}
    for name, picture in pictures.items():
        if name != "_of_truth":
            found |= translations.errors(np.asarray(picture), np.asarray(pictures["_of_truth"]), name)
            found[f"ssim{name}"] = float(metrics.uniform_ssim(picture, pictures["_of_truth"]).mean())
            again = low_resolution(picture, model.doublings)
            found[f"consistency{name}"] = float(metrics.mean_squared_error(again, look(low)).mean())
        found[f"sharpness{name}"] = float(metrics.sharpness(picture).mean())
    found |= _classes(context, pictures, batches)
    return found | {"n": len(x), "split": context.config.data.test_split}


def _classes(context: EvalContext, pictures: dict[str, Array], batches: list[Any]) -> dict[str, Any]:
    data = context.config.data
    if data.name not in evaluations.RECIPES:
        return {}
    classifier = evaluations.classifier_of(data.name, data.dir)
    label = np.concatenate([np.asarray(batch["label"]) for batch in batches])
    share = lambda x: float(np.mean(metrics.embed(classifier, np.asarray(x)).log_probs.argmax(axis=1) == label))
    return {f"class_kept{name}": share(picture) for name, picture in pictures.items()} | {"features": classifier.name}
