"""A digits classifier under FGSM and PGD, and one trained against PGD (Goodfellow et al. 2015, Madry et al. 2018).

Pictures are in [0, 1], budgets in that unit. The evaluation 'attacks' gives accuracies on the test split under no
attack, FGSM, PGD in the largest entry and PGD in the Euclidean norm; `samples.png` shows attacked test pictures.

Variants:
    ''        8 x 8 digits, trained on examples attacked by 7 steps of PGD within 0.15.
    standard  the same classifier, trained on the pictures as they are.
    mnist     28 x 28 within 0.3, as in Madry et al. 2018 (40 steps of 0.01); needs --config.data.dir.
    tiny      as '', small enough to compile in a second.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from genjax import adversarial
from genjax.adversarial.adversarial_training import Attack
from genjax.contract import Array
from genjax.data import open_source, transforms
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "standard", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/adversarial_examples has no variant {variant!r}; it has {named}.")
    config = base("adversarial/adversarial_examples")
    _default(config)
    changes = {"standard": _standard, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.train.steps = 2_000
    config.train.steps_per_call = 20
    config.train.log_every = 200
    config.train.checkpoint_every = 1_000
    config.train.learning_rate = 1e-3

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.num_classes = 10
    config.model.channels = (32, 64)
    config.model.hidden = 64
    config.model.robust = True  # whether training sees attacked examples
    config.model.eps = 0.15  # largest move of a pixel, in training and in the evaluation
    config.model.eps_l2 = 0.75  # largest Euclidean move, in the evaluation
    config.model.attack_steps = 7  # in training
    config.model.step_size = 0.05

    config.eval.attack_steps = 40
    config.expected.result = (
        "of 360 test pictures right: 99.2 % as they are; within eps = 0.15 84.4 % under FGSM, 78.9 % under PGD; within "
        "2 eps 32.8 and 1.7 %; 49.2 % under PGD in the Euclidean norm within 0.75"
    )
    config.expected.cost = "82 s, of one shared CPU core 46 s"


def _standard(config: ConfigDict) -> None:
    config.model.robust = False
    config.expected.result = "97.2 % as they are; within eps = 0.15 35.0 % under FGSM, 13.1 % under PGD"
    config.expected.cost = "37 s, of one shared CPU core 18 s"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.train.steps = 20_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.hidden = 256
    config.model.eps = 0.3
    config.model.eps_l2 = 2.0
    config.model.attack_steps = 40
    config.model.step_size = 0.01
    config.eval.attack_steps = 100
    config.expected.result = "not measured; Madry et al. 2018, table 1 (other network): 98.8 % clean, 93.2 % under PGD"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.channels = (4,)
    config.model.hidden = 8
    config.model.attack_steps = 1
    config.eval.attack_steps = 2
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    network = adversarial.ConvClassifier(
        model.num_classes, tuple(model.channels), model.hidden, jnp.dtype(config.train.precision)
    )
    attack = _pgd(adversarial.l_inf(), model.eps, model.step_size, model.attack_steps)
    trained_on = attack if model.robust else adversarial.unchanged
    return System(
        model=adversarial.adversarial_training(network, trained_on, show=attack),
        optimizers={"classifier": optax.adam(config.train.learning_rate)},
        transform=transforms.unit(model.levels),
        condition=partial(_pictures, config),
        evaluations={"attacks": accuracies},
    )


def accuracies(context: EvalContext) -> dict[str, float]:
    """Return the share of test pictures told right: as they are, by FGSM, and by PGD in two norms.

    Those with '_2eps' have twice the budget.
    """
    config, model = context.config, context.system.model
    eps, eps_l2, steps = config.model.eps, config.model.eps_l2, config.eval.attack_steps
    attacks: dict[str, Attack] = {"clean": adversarial.unchanged}
    for name, factor in (("", 1), ("_2eps", 2)):
        attacks[f"fgsm{name}"] = partial(_fgsm, factor * eps)
        attacks[f"pgd{name}"] = _pgd(adversarial.l_inf(), factor * eps, 2.5 * factor * eps / steps, steps)
    attacks["pgd_l2"] = _pgd(adversarial.l_2(), eps_l2, 2.5 * eps_l2 / steps, steps)
    batches = [(np.asarray(batch["x"]), np.asarray(batch["label"])) for batch in context.test()]
    found: dict[str, float] = {}
    for name, attack in attacks.items():
        right = []
        attacked = jax.jit(partial(model.methods["attack"], attack=attack))
        for index, (x, label) in enumerate(batches):
            key = jax.random.fold_in(context.key, index)
            moved = attacked(context.variables, key, x, label)
            right.append(np.argmax(model.methods["classify"](context.variables, key, moved), axis=1) == label)
        found[f"accuracy_{name}"] = float(np.mean(np.concatenate(right)))
    return found | {"eps": float(eps), "eps_l2": float(eps_l2), "n": len(np.concatenate(right))}


def _fgsm(eps: float, key: Array, loss: adversarial.attacks.Loss, x: Array) -> Array:
    del key
    return adversarial.fgsm(loss, x, eps, low=0.0, high=1.0)


def _pgd(ball: adversarial.Ball, eps: float, step_size: float, steps: int) -> Attack:
    options = {"ball": ball, "step_size": step_size, "steps": steps, "low": 0.0, "high": 1.0}
    return lambda key, loss, x: adversarial.pgd(key, loss, x, eps, **options)


def _pictures(config: ConfigDict, key: Array, num: int) -> dict[str, np.ndarray]:
    """Return the first test pictures and their labels: what samples are attacks on."""
    source = open_source(config.data.name, config.data.test_split, config.data.dir)
    stored = source.fetch(np.arange(num) % len(source))
    return dict(transforms.unit(config.model.levels)(key, stored))
