"""PATE-GAN (Jordon et al. 2019) on the tables inside scikit-learn.

A row is its columns in [0, 1] and its class, one-hot. With a hundred rows no useful table can be private: the budget
here shows the mechanism and its accountant, not a recommendation. epsilon is data-dependent (Papernot et al. 2017,
theorem 3).

Variants:
    ''    iris, 120 rows, 10 teachers.
    wine  142 rows of 13 columns.
    free  iris without a budget: what the votes cost, and how good rows get.
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
from genjax.contract import Array, Batch
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "wine", "free", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/pategan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/pategan")
    _default(config)
    changes = {"wine": _wine, "free": _free, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "iris"
    config.data.batch_size = 120  # all rows
    config.train.steps = 6_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 3_000
    config.train.teacher_rate = 1e-3
    config.train.teacher_decay = 0.0  # of its weights
    config.train.student_rate = 1e-3
    config.train.generator_rate = 1e-3
    config.train.adam_b1 = 0.5

    config.model.columns = 4
    config.model.classes = 3
    config.model.latent_dim = 8
    config.model.generator_hidden = (32, 32)
    config.model.discriminator_hidden = (32,)
    config.model.teachers = 10
    config.model.queries = 4  # rows the teachers are asked about a move of the student
    config.model.teacher_steps = 5  # before each move of the student
    config.model.public_rows = True  # whether half of what is told from real rows is uniform
    config.model.noise_scale = 0.1  # lambda: the noise on a count of votes is Laplace(1 / lambda)
    config.model.epsilon = 100.0  # budget; inf for none
    config.model.delta = 1e-3

    config.eval.num_samples = 1000
    config.expected.result = (
        "epsilon 99.9, delta 1e-3: rows of no use (held-out accuracy 30 % of a classifier trained on them, chance "
        "33 %, 90 % on real rows)"
    )
    config.expected.cost = "48 s, of one shared CPU core 25 s"


def _wine(config: ConfigDict) -> None:
    config.expected.result = "epsilon 99.9: held-out accuracy 47 % logistic, 33 % forest (chance 39, real rows 100 %)"
    config.expected.cost = "42 s, of one shared CPU core 24 s"
    config.data.name = "wine"
    config.data.batch_size = 142
    config.model.columns = 13


def _free(config: ConfigDict) -> None:
    config.model.epsilon = float("inf")
    config.train.steps = 4_000
    config.train.checkpoint_every = 4_000
    config.train.generator_rate = 3e-4  # a quicker one puts each class on a point
    config.model.teachers = 5
    config.model.teacher_steps = 1
    config.model.queries = 64
    config.model.noise_scale = 0.5
    config.expected.result = (
        "held-out accuracy of classifiers trained on generated rows: 80 % logistic, 86.7 % forest (90.0, 93.3 % on "
        "real rows); within a class rows spread 0.27 times as wide as real ones; epsilon 1.2e5, no privacy"
    )
    config.expected.cost = "40 s, of one shared CPU core 16 s"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.generator_hidden = (4,)
    config.model.discriminator_hidden = (4,)
    config.model.teachers = 2
    config.model.teacher_steps = 1
    config.model.epsilon = 1e6
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; under pmap `axis_name` is the axis over which the cost of the answers is summed."""
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    adam = lambda rate: optax.adam(rate, b1=train.adam_b1)
    teacher = optax.adamw(train.teacher_rate, b1=train.adam_b1, weight_decay=train.teacher_decay)

    def transform(key: Array, batch: Batch) -> Batch:
        del key
        classes = jax.nn.one_hot(batch["label"], model.classes, dtype=jnp.float32)
        return {**batch, "x": jnp.concatenate([batch["x"], classes], axis=1)}

    return System(
        model=adversarial.pategan(
            adversarial.RowGenerator(model.columns, model.classes, tuple(model.generator_hidden), dtype),
            adversarial.RowDiscriminator(tuple(model.discriminator_hidden), dtype),
            latent_dim=model.latent_dim,
            num_teachers=model.teachers,
            queries=model.queries,
            public_rows=adversarial.uniform_rows(model.columns, model.classes) if model.public_rows else None,
            generator_loss=adversarial.non_saturating_generator_loss,
            budget=adversarial.Budget(model.noise_scale, model.epsilon, model.delta),
            teacher_steps=model.teacher_steps,
            axis_name=axis_name,
        ),
        optimizers={
            "teachers": teacher,
            "student": adam(train.student_rate),
            "generator": adam(train.generator_rate),
        },
        transform=transform,
        to_picture=lambda rows: rows[:, model.columns - 2 : model.columns],  # two columns against each other
        evaluations={"utility": utility},
    )


def utility(context: EvalContext) -> dict[str, float]:
    """Train a classifier on generated rows and try it on held-out real ones, as the paper does.

    Returns:
        'accuracy' and 'auroc' (one class against the rest, averaged) of a logistic regression and, with 'forest_'
        before, of a random forest; the same behind '_real' for classifiers of the real training rows; 'chance', the
        share of the largest class; 'epsilon' spent; 'classes_drawn', how many classes the generated rows have;
        'spread', the standard deviation within a class, generated over real; 'n'.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    columns, classes = context.config.model.columns, context.config.model.classes
    parted = lambda x: (x[:, :columns], x[:, columns:].argmax(axis=1))
    drawn = parted(np.asarray(context.sample(int(context.config.eval.num_samples))))
    train, test = (parted(*gather(batches(), "x")) for batches in (context.train, context.test))
    found: dict[str, float] = {}
    made = {"": LogisticRegression(max_iter=1000), "forest_": RandomForestClassifier(random_state=0)}
    for name, classifier in made.items():
        for suffix, (x, label) in (("", drawn), ("_real", train)):
            if len(np.unique(label)) < classes:
                found |= {f"{name}accuracy{suffix}": float("nan"), f"{name}auroc{suffix}": float("nan")}
                continue
            fitted = classifier.fit(x, label)
            found[f"{name}accuracy{suffix}"] = float(fitted.score(*test))
            shares = fitted.predict_proba(test[0])
            found[f"{name}auroc{suffix}"] = float(roc_auc_score(test[1], shares, multi_class="ovr"))
    found["chance"] = float(np.bincount(test[1]).max() / len(test[1]))
    found["epsilon"] = float(context.system.model.methods["epsilon"](context.variables, context.key))
    deviation = lambda x, label: np.mean([x[label == each].std(axis=0) for each in np.unique(label)])
    found["spread"] = float(deviation(*drawn) / deviation(*train))
    return found | {"classes_drawn": len(np.unique(drawn[1])), "n": len(drawn[0])}
