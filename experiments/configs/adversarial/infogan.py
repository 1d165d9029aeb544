"""InfoGAN (Chen et al. 2016) on digits and MNIST: a category and two numbers, learned without labels.

Variants:
    ''       8 x 8 digits.
    mnist    28 x 28, the paper's sizes; needs --config.data.dir.
    mnist_cpu  the same, half as wide and trained on a fifth of the pictures.
    tiny     as '', small enough to compile in a second.

Any loss and any regularizer may be played with these networks, by the fields of `experiments.games.choices`; penalties
on gradients refuse the discriminator's batch normalization:

    --config.model.loss=hinge --config.model.regularizers.consistency=10

The picture of a run has the categories in its columns, ten of them; the rest of the latent is the same along a row.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import evaluations, games
from experiments.configs.common import base
from genjax import adversarial
from genjax import evaluation as metrics
from genjax.contract import Array, GenerativeModel, PyTree
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "mnist", "mnist_cpu", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/infogan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/infogan")
    _default(config)
    changes = {"mnist": _mnist, "mnist_cpu": _mnist_cpu, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 5_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 2_500
    config.train.ema_decay = 0.999
    config.train.generator_rate = 1e-3
    config.train.discriminator_rate = 2e-4
    config.train.adam_b1 = 0.5

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.noise = 32
    config.model.categories = 10
    config.model.numbers = 2
    config.model.lambda_category = 1.0
    config.model.lambda_numbers = 0.1
    config.model.generator_features = (32, 64)  # from the picture inwards
    config.model.generator_hidden = 256
    config.model.discriminator_features = (32, 64)
    config.model.discriminator_hidden = 128
    config.model.q_hidden = 64
    games.choices(config)
    config.sample.num = 100

    config.expected.result = (
        "the category names the class of 89.7 % of the test split (assignment made on training data); classifier-FID 7.7 "
        "(floor 3.8), precision 0.96, recall 0.62"
    )
    config.expected.cost = "a minute of one CPU core"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.train.steps = 25_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.noise = 62
    config.model.lambda_numbers = 1.0  # at 0.1 categories may come to mean slant or width, and classes share one
    config.model.generator_features = (64, 128)
    config.model.generator_hidden = 1024
    config.model.discriminator_features = (64, 128)
    config.model.discriminator_hidden = 1024
    config.model.q_hidden = 128
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    config.data.batch_size = 64
    config.train.steps = 10_000
    config.train.log_every = 100
    config.train.checkpoint_every = 2_500
    config.train.ema_decay = 0.998
    config.model.generator_features = (32, 64)
    config.model.generator_hidden = 256
    config.model.discriminator_features = (32, 64)
    config.model.discriminator_hidden = 256
    config.model.q_hidden = 64
    config.eval.num_samples = 1_000
    config.expected.result = (
        "the category names the class of 95.1 % of MNIST's test split (assignment made on training data), samples of a "
        "category are in its class in 99.5 %; classifier-FID 11.9 (floor 6.3)"
    )
    config.expected.cost = "half an hour of a CPU core beside other work"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.noise = 2
    config.model.numbers = 1
    config.model.generator_features = (4,)
    config.model.generator_hidden = 8
    config.model.discriminator_features = (4,)
    config.model.discriminator_hidden = 8
    config.model.q_hidden = 4
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    codes = adversarial.Codes(model.noise, model.categories, model.numbers)
    generator = adversarial.InfoGANGenerator(
        tuple(model.shape), tuple(model.generator_features), model.generator_hidden, axis_name, dtype
    )
    discriminator = adversarial.InfoGANDiscriminator(
        tuple(model.discriminator_features), model.discriminator_hidden, model.q_hidden, codes, axis_name, dtype
    )
    lambdas = adversarial.Lambdas(model.lambda_category, model.lambda_numbers)
    played = adversarial.infogan(generator, discriminator, codes=codes, lambdas=lambdas, **games.options(model))
    built = games.penalized(played, model)
    rates = {"generator": train.generator_rate, "discriminator": train.discriminator_rate}
    measured = {"codes": code_accuracy}
    if config.data.name in evaluations.RECIPES:
        measured |= {"samples": evaluations.classifier_fid, "categories": category_purity}
    return System(
        model=built,
        optimizers={name: optax.adam(rate, b1=train.adam_b1) for name, rate in rates.items()},
        transform=transforms.symmetric(model.levels),
        preview=_categories_in_columns(built, codes),
        to_picture=_to_picture,
        evaluations=measured,
    )


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)


def _categories_in_columns(model: GenerativeModel, codes: adversarial.Codes):
    """Return (variables, key, num) -> pictures, every category in turn."""

    def preview(variables: PyTree, key: Array, num: int) -> Array:
        rows = -(-num // codes.categories)
        latents = adversarial.draw_latents(codes, key, (rows, codes.width))
        varied = model.methods["vary_category"](variables, key, latents)
        return varied.reshape(-1, *varied.shape[2:])[:num]

    return preview


def code_accuracy(context: EvalContext) -> dict[str, float]:
    """Read the category of data by Q, name each category by the class it fits best on training data, and count.

    Returns:
        'accuracy' on held-out data under the assignment made on training data, 'train_accuracy', 'accuracy_best', on
        held-out data under their own best assignment, 'entropy' in nats of the categories read (at most log K), 'n'.
    """
    read = jax.jit(context.system.model.methods["recognize"])
    num = context.config.model.categories

    def categories(batches) -> tuple[np.ndarray, np.ndarray]:
        found = [(np.asarray(read(context.variables, context.key, b["x"]).logits), np.asarray(b["label"])) for b in batches]
        return np.concatenate([logits.argmax(axis=1) for logits, _ in found]), np.concatenate([y for _, y in found])

    train, train_label = categories(context.train())
    test, label = categories(context.test())
    names, best = adversarial.match_codes(train, train_label, num), adversarial.match_codes(test, label, num)
    share = np.bincount(test, minlength=num) / len(test)
    return {
        "accuracy": float(np.mean(names[test] == label)),
        "train_accuracy": float(np.mean(names[train] == train_label)),
        "accuracy_best": float(np.mean(best[test] == label)),
        "entropy": float(-np.sum(share[share > 0] * np.log(share[share > 0]))),
        "n": len(test),
    }


def category_purity(context: EvalContext) -> dict[str, float]:
    """Generate every category and ask the classifier of the data what it shows.

    Returns:
        'purity', the share of samples found in the class that their category was assigned, 'n', 'features'.
    """
    config, num = context.config, context.config.model.categories
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    total = num * (int(config.eval.num_samples) // num)
    pictures = np.asarray(_to_picture(context.system.preview(context.variables, context.key, total)), np.float32)
    found = metrics.embed(classifier, pictures).log_probs.argmax(axis=1)
    category = np.arange(total) % num
    names = adversarial.match_codes(category, found, num)
    return {"purity": float(np.mean(names[category] == found)), "n": total, "features": classifier.name}
