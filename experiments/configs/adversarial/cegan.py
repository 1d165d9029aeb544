"""CEGAN (Suh et al. 2021) on digits of which the classes 5..9 have 8 training examples each.

Variants:
    ''    recall of the rare classes with and without generated examples.
    plain the classifier never sees a generated example: what it is compared with.
    ar    with ambiguity reduction for digits that are taken for one another (CEGAN-AR).
    tiny  as '', small enough to compile in seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from experiments.evaluations import gather
from genjax import adversarial
from genjax.contract import Array
from genjax.data import imbalanced, transforms
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "plain", "ar", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/cegan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/cegan")
    _default(config)
    changes = {"plain": _plain, "ar": _ar, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "imbalanced_digits/8"
    config.data.batch_size = 128
    config.train.steps = 6_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 6_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 2e-4  # of all players
    config.train.adam_b1 = 0.5

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.counts = (142, 146, 142, 146, 145, 8, 8, 8, 8, 8)  # of the training classes
    config.model.confused = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)  # what each class is mistaken for, itself for none
    config.model.latent_dim = 32
    config.model.generator_widths = (128, 128, 256)  # on z, on the class, on both
    config.model.discriminator_widths = (128, 32, 64)  # on x, on the class, on both
    config.model.discriminator_pieces = (3, 3, 3)
    config.model.discriminator_dropout = 0.5
    config.model.classifier_channels = (16, 32)
    config.model.classifier_hidden = 64
    config.model.guidance = 0.1
    config.model.ambiguity = 0.0
    config.model.warmup = 2_000  # steps over which the share of generated examples rises

    config.eval.num_samples = 1000
    config.expected.result = (
        "recall of the rare classes on held-out digits 87.1 % (of the frequent 98.9 %), 80.4 % for the same "
        "classifier without generated examples (99.4 %); support vector machine on repeated examples 83.7 %"
    )
    config.expected.cost = "2 min 19 s, 66 s of CPU"


def _plain(config: ConfigDict) -> None:
    config.model.warmup = 10**9
    config.expected.result = "recall of the rare classes 80.4 %, of the frequent ones 99.4 %"
    config.expected.cost = "2 min 28 s, with its evaluation"


def _ar(config: ConfigDict) -> None:
    config.model.confused = (6, 8, 2, 9, 4, 3, 0, 7, 1, 3)
    config.model.ambiguity = 0.5
    config.expected.result = "recall of the rare classes 87.6 %, of the frequent ones 98.3 %"
    config.expected.cost = "1 min 53 s"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.generator_widths = (4, 4, 4)
    config.model.discriminator_widths = (4, 4, 4)
    config.model.discriminator_pieces = (2, 2, 2)
    config.model.discriminator_dropout = 0.0
    config.model.classifier_channels = (4,)
    config.model.classifier_hidden = 4
    config.model.warmup = 1
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype, classes = config.model, jnp.dtype(config.train.precision), len(config.model.counts)
    adam = optax.adam(config.train.learning_rate, b1=config.train.adam_b1)
    widths = lambda values: adversarial.Widths(*values)
    return System(
        model=adversarial.cegan(
            adversarial.CGANGenerator(
                tuple(model.shape), classes, widths(model.generator_widths), dropout=0.0, dtype=dtype
            ),
            adversarial.CGANDiscriminator(
                classes,
                widths(model.discriminator_widths),
                widths(model.discriminator_pieces),
                model.discriminator_dropout,
                dtype,
            ),
            adversarial.ConvClassifier(classes, tuple(model.classifier_channels), model.classifier_hidden, dtype),
            latent_dim=model.latent_dim,
            balance=adversarial.Balance(
                tuple(model.counts), tuple(model.confused), model.guidance, model.ambiguity, model.warmup
            ),
        ),
        optimizers={"discriminator": adam, "generator": adam, "classifier": optax.adam(1e-3)},
        transform=transforms.symmetric(model.levels),
        to_picture=_to_picture,
        evaluations={"recall": recall},
        condition=lambda key, num: jnp.arange(num, dtype=jnp.int32) % classes,
    )


def recall(context: EvalContext) -> dict[str, float]:
    """Train classifiers on the real examples, on real and repeated ones, and on real and generated ones.

    Returns:
        'rare' (mean recall of the rare classes) and 'frequent' (of the others) on held-out digits, of the model's own
        classifier; the same behind 'logistic_' and 'svm_' for classifiers of scikit-learn trained on real examples,
        with '_repeated' behind where rare ones are repeated up to equal numbers, with '_generated' where generated ones
        fill up; 'n' examples generated.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    model = context.config.model
    (x, label), (x_test, label_test) = (gather(batches(), "x", "label") for batches in (context.train, context.test))
    counts = np.asarray(model.counts)
    if not np.array_equal(np.bincount(label, minlength=len(counts)), counts):
        raise UserError("model.counts must be the number of training examples of each class of data.name.")
    filling = np.repeat(np.arange(len(counts)), counts.max() - counts).astype(np.int32)
    drawn = np.asarray(context.sample(len(filling), filling))
    random = np.random.default_rng(0)
    again = np.array([random.choice(np.flatnonzero(label == each)) for each in filling], int)
    log_p = jax.jit(context.system.model.methods["classify"])(context.variables, context.key, jnp.asarray(x_test))
    found = _recalls(np.asarray(log_p).argmax(axis=1), label_test)
    added = {"": (drawn[:0], filling[:0]), "_repeated": (x[again], filling), "_generated": (drawn, filling)}
    flat = lambda images: images.reshape(len(images), -1)
    for name, classifier in (("logistic_", LogisticRegression(max_iter=1000)), ("svm_", SVC())):
        for suffix, (more, labels) in added.items():
            fitted = classifier.fit(flat(np.concatenate([x, more])), np.concatenate([label, labels]))
            recalls = _recalls(fitted.predict(flat(x_test)), label_test)
            found |= {f"{name}{part}{suffix}": value for part, value in recalls.items()}
    return found | {"n": len(filling)}


def _recalls(predicted: np.ndarray, label: np.ndarray) -> dict[str, float]:
    by_class = [float(np.mean(predicted[label == each] == each)) for each in np.unique(label)]
    first = imbalanced.FIRST_RARE
    return {"rare": float(np.mean(by_class[first:])), "frequent": float(np.mean(by_class[:first]))}


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)
