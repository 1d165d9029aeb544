"""SeismoGen (Wang et al. 2021) on made seismograms: few labelled records, and a detector trained with more.

Variants:
    ''    400 training records of 64 steps.
    tiny  as '', small enough to compile in seconds.
"""

import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import series
from experiments.configs.common import base
from experiments.evaluations import gather
from genjax import adversarial
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/seismogen has no variant {variant!r}; it has {named}.")
    config = base("adversarial/seismogen")
    _default(config)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "seismograms/400"
    config.data.batch_size = 64
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 200
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.99
    config.train.learning_rate = 5e-4  # of both players
    config.train.adam_b1 = 0.5
    config.train.adam_b2 = 0.9

    config.model.shape = (64, 3)
    config.model.latent_dim = 32
    config.model.generator_features = (48, 32)  # of each component's pipeline
    config.model.critic_features = (48, 96)
    config.model.factor = 4
    config.model.kernel_size = 9
    config.model.critic_steps = 4

    config.sample.num = 32
    config.eval.num_samples = 2000
    config.expected.result = (
        "AUROC of a detector on 1,000 held-out records: 0.780 of 20 labelled records, with 2,000 made ones 0.809; of "
        "50 0.806, 0.811; of all 400 0.836, 0.816; of made ones alone 0.809; mean spectrum of events off by 15 % "
        "(training records 8 %)"
    )
    config.expected.cost = "7 min, 4.2 min of CPU with its evaluation"


def _tiny(config: ConfigDict) -> None:
    config.data.name = "seismograms/64"
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.generator_features = (4,)
    config.model.critic_features = (4,)
    config.model.factor = 8
    config.model.kernel_size = 3
    config.model.critic_steps = 1
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    adam = optax.adam(train.learning_rate, b1=train.adam_b1, b2=train.adam_b2)
    return System(
        model=adversarial.seismogen(
            tuple(model.shape),
            latent_dim=model.latent_dim,
            generator_features=tuple(model.generator_features),
            critic_features=tuple(model.critic_features),
            factor=model.factor,
            kernel_size=model.kernel_size,
            dtype=jnp.dtype(train.precision),
            critic_steps=model.critic_steps,
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transforms.on_x(lambda key, x: adversarial.peak_normalize(x)),
        to_picture=lambda x: jnp.concatenate([series.draw(x[..., c : c + 1]) for c in range(x.shape[2])], axis=1),
        evaluations={"detector": detector},
        condition=lambda key, num: jnp.arange(num, dtype=jnp.int32) % 2,
    )


def detector(context: EvalContext) -> dict[str, float]:
    """Train detectors of events on few labelled records, alone and with generated ones, and try them on held-out ones.

    A detector is a support vector machine with a Gaussian kernel on the record's envelopes (absolute values of the
    components, summed, averaged over windows of 4 steps and standardized).

    Returns:
        'auroc_<n>' of the first n training records alone, and with '_generated' behind of those and as many generated
        ones as `config.eval.num_samples`; 'auroc_generated' of generated ones alone; 'spectrum_error', the relative
        difference of the mean power spectrum of generated and held-out events, with its '_floor' for training events;
        'n'.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    (x, label), (x_test, label_test) = (gather(batches(), "x", "label") for batches in (context.train, context.test))
    wanted = np.arange(int(context.config.eval.num_samples), dtype=np.int32) % 2
    made = np.asarray(context.sample(len(wanted), wanted))

    def auroc(records: np.ndarray, labels: np.ndarray) -> float:
        fitted = make_pipeline(StandardScaler(), SVC()).fit(_envelopes(records), labels)
        return float(roc_auc_score(label_test, fitted.decision_function(_envelopes(x_test))))

    found = {"auroc_generated": auroc(made, wanted), "n": len(made)}
    for num in (20, 50, 100, len(x)):
        found[f"auroc_{num}"] = auroc(x[:num], label[:num])
        together = np.concatenate([x[:num], made]), np.concatenate([label[:num], wanted])
        found[f"auroc_{num}_generated"] = auroc(*together)
    power = lambda events: (np.abs(np.fft.rfft(events, axis=1)) ** 2).mean(axis=0)
    truth = power(x_test[label_test == 1])
    off = lambda events: float(np.abs(power(events) - truth).sum() / truth.sum())
    return found | {"spectrum_error": off(made[wanted == 1]), "spectrum_error_floor": off(x[label == 1])}


def _envelopes(x: np.ndarray) -> np.ndarray:
    return np.abs(x).sum(axis=2).reshape(len(x), -1, 4).mean(axis=2)
