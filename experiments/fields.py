"""What the configs of flow matching share: networks and solvers by name, and evaluations of the paths a field makes.

straightness    how far paths are from straight lines at constant speed
few_steps       quality of samples against the number of Euler steps
guidance        fidelity and variety of labelled samples against the scale of guidance
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import mnist_logits, mnist_on_a_cpu, pixel_fields, pixel_path
from genjax import flow_matching, processes, solvers
from genjax import evaluation as metrics
from genjax.data import toy2d
from genjax.data_path import continuous
from genjax.errors import UserError
from genjax.nn import PLAIN, UNet, adaptive_blocks
from genjax.pixels import to_unit
from genjax.training import EvalContext, System

TABLEAUS = {"euler": solvers.EULER, "midpoint": solvers.MIDPOINT, "heun": solvers.HEUN, "rk4": solvers.RK4}
INTERPOLANTS = {
    "transport": lambda model: flow_matching.gaussian_interpolant(processes.straight_path(model.sigma)),
    "diffusion": lambda model: flow_matching.gaussian_interpolant(processes.linear_path()),
    "cosine": lambda model: flow_matching.gaussian_interpolant(processes.cosine_path()),
    "straight": lambda model: flow_matching.straight_interpolant(model.sigma),
}
TIMES = {
    "uniform": lambda model: flow_matching.uniform_time(*model.span),
    "logit_normal": lambda model: flow_matching.logit_normal_time(*model.logit_normal),
}
TRACES = {"exact": solvers.exact_trace, "rademacher": solvers.rademacher_trace, "normal": solvers.normal_trace}
COUNTS = (1, 2, 4, 8)  # of Euler steps
SCALES = (0.0, 1.0, 2.0, 4.0)  # of guidance


def point_fields(config: ConfigDict) -> None:
    """Set the fields of a model of points in the plane; torchcfm's network."""
    config.data.name = "toy2d/eight_gaussians"
    config.data.batch_size = 128  # whose exact coupling takes 4 ms; that of 256 takes 24
    config.train.steps = 20_000
    config.train.steps_per_call = 100
    config.train.log_every = 1_000
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 2e-3  # at the start of a cosine
    config.train.warmup = 0
    config.model.shape = (2,)
    config.model.levels = 0  # of stored integers; 0 for reals
    config.model.widths = (64, 64, 64)
    config.model.interpolant = "straight"  # transport, diffusion, cosine or straight
    config.model.sigma = 0.0  # of straight tubes; what is left of the noise at the data of the transport path
    config.model.span = (0.0, 1.0)  # of times; the diffusion path needs an end below 1
    config.model.times = "uniform"  # in training: uniform or logit_normal
    config.model.logit_normal = (0.0, 1.0)  # mean and standard deviation of logit(t); a higher mean is nearer the data
    config.model.source = ""  # a Gaussian mixture of toy2d to start from; '' for N(0, I)
    config.model.num_classes = 0
    config.model.label_dropout = 0.0  # of labels in training, for guidance
    config.model.guidance = 0.0  # scale in sampling; 0 for none: the conditional field
    config.model.time_scale = 1.0
    config.model.solver = "adaptive"  # euler, midpoint, heun, rk4 or adaptive
    config.model.steps = 100  # of all but adaptive
    config.model.likelihood_steps = 0  # of the likelihood, equal in logit(t); 0: as in sampling
    config.model.tolerance = 1e-5  # of adaptive steps, relative and absolute
    config.model.trace = "exact"  # of the likelihood: exact, rademacher or normal
    config.sample.num = 1000
    config.eval.num_samples = 2048


def picture_fields(config: ConfigDict) -> None:
    """Set the fields of a model of 8 x 8 digits, with the U-Net of diffusion/ddpm."""
    point_fields(config)
    pixel_fields(config)
    config.data.name = "digits"
    config.data.batch_size = 64
    config.train.steps = 2_000
    config.train.steps_per_call = 20
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.ema_decay = 0.995
    config.train.clip_norm = 1.0
    config.train.warmup = 100
    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.channels = (32, 64)
    config.model.blocks = 1
    config.model.attention = (1,)
    config.model.groups = 8
    config.model.dropout = 0.0
    config.model.adaptive = False  # blocks that the time scales and shifts (ADM's, without rescaling), not shifts alone
    config.model.patch = 1  # side of the patches that are the U-Net's pixels
    config.model.fourier = ()  # exponents n of the features sin(2^n pi x), cos(2^n pi x) that it sees beside x
    config.model.time_scale = 1000.0
    config.model.solver = "midpoint"
    config.model.steps = 20
    config.model.trace = "rademacher"
    config.sample.num = 64
    config.eval.num_samples = 1000


def mnist_fields(config: ConfigDict) -> None:
    """Set the fields of a model of MNIST, for an accelerator."""
    picture_fields(config)
    config.data.name = "mnist"
    config.data.split = "train[:55000]"
    config.data.valid_split = "train[55000:]"
    config.data.batch_size = 128
    config.train.steps = 100_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.sample_every = 20_000
    config.train.checkpoint_every = 10_000
    config.train.ema_decay = 0.9999
    config.train.learning_rate = 2e-4
    config.train.warmup = 5_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.channels = (64, 128, 256)
    config.model.blocks = 2
    config.model.groups = 32
    config.model.dropout = 0.1
    config.model.steps = 50
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def mnist_cpu_fields(config: ConfigDict) -> None:
    """Set the fields of a model of MNIST small enough for a CPU."""
    mnist_fields(config)
    mnist_on_a_cpu(config)
    mnist_logits(config)
    config.data.test_split = "test[:1000]"
    config.model.adaptive = True
    config.model.steps = 25
    config.eval.num_samples = 500


def tiny_fields(config: ConfigDict) -> None:
    """Set the fields of a model of points that compiles in a second."""
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.widths = (8,)
    config.model.solver = "heun"
    config.model.steps = 2
    config.sample.num = 16
    config.eval.num_samples = 32


def network(config: ConfigDict) -> nn.Module:
    """Return the perceptron of points or the U-Net of pictures."""
    model, dtype = config.model, jnp.dtype(config.train.precision)
    if not model.levels:
        return flow_matching.PointField(tuple(model.widths), num_classes=model.num_classes, dtype=dtype)
    return UNet(
        channels=tuple(model.channels),
        blocks=model.blocks,
        attention=tuple(model.attention),
        groups=model.groups,
        dropout=model.dropout,
        num_classes=model.num_classes,
        patch=model.patch,
        fourier=tuple(model.fourier),
        parts=adaptive_blocks() if model.adaptive else PLAIN,
        dtype=dtype,
    )


def field_of(config: ConfigDict, module: nn.Module) -> flow_matching.Field:
    """Return the field of a config's `model`."""
    model = config.model
    solve, likelihood_solve = solver(model), None
    if model.likelihood_steps:
        grid = flow_matching.logit_grid(model.likelihood_steps)
        likelihood_solve = solvers.spaced_solve(grid, tableau=chosen(TABLEAUS, "solver", model))
    source = flow_matching.normal_source()
    if model.source:
        mixture = toy2d.SETS.get(model.source.removeprefix("toy2d/"))
        if mixture is None or mixture.centers is None:
            raise UserError(
                f"model.source={model.source!r} is no Gaussian mixture of toy2d, e.g. 'toy2d/eight_gaussians'."
            )
        source = flow_matching.mixture_source(mixture.centers, mixture.std)
    return flow_matching.Field(
        network=module,
        shape=tuple(model.shape),
        solve=solve,
        likelihood_solve=likelihood_solve,
        trace=chosen(TRACES, "trace", model)(),
        data_path=pixel_path(model) if model.levels else continuous(),
        source=source,
        num_classes=model.num_classes,
        label_dropout=model.label_dropout,
        guidance=model.guidance or None,
        time_scale=model.time_scale,
        span=tuple(model.span),
    )


def solver(model: ConfigDict) -> solvers.Solve:
    """Return the integrator that `model` names."""
    if model.solver == "adaptive":
        return solvers.adaptive_solve(rtol=model.tolerance, atol=model.tolerance)
    return solvers.fixed_solve(model.steps, tableau=chosen(TABLEAUS | {"adaptive": None}, "solver", model))


def chosen(choices: dict[str, Any], field: str, model: ConfigDict) -> Any:
    """Return what a field names.

    Raises:
        UserError: it names nothing that there is.
    """
    if model[field] not in choices:
        raise UserError(f"model.{field}={model[field]!r} is none of {', '.join(choices)}.")
    return choices[model[field]]


def learning_rate(config: ConfigDict) -> optax.Schedule:
    """Return a linear start, then a cosine down to 0."""
    train = config.train
    return optax.warmup_cosine_decay_schedule(
        0.0, train.learning_rate, train.warmup, max(train.steps, train.warmup + 1)
    )


def system_of(config: ConfigDict, model: Any) -> System:
    """Return the system of a model of this family, with the evaluations that fit its data."""
    levels, num_classes = config.model.levels, config.model.num_classes
    found: dict[str, Callable[[EvalContext], Any]] = {"straightness": straightness}
    if not levels:
        found |= {"wasserstein": evaluations.wasserstein, "few_steps": few_steps}
        entropy = toy2d.SETS[config.data.name.removeprefix("toy2d/")].entropy
        found |= {} if entropy is None else {"entropy": lambda context: {"entropy_nats": entropy}}
    elif config.data.name in evaluations.RECIPES:
        found |= {"samples": evaluations.classifier_fid, "few_steps": few_steps}
        found |= {"guidance": guidance} if num_classes else {}
    system = System(
        model=model,
        optimizers={model.updates[-1].name: optax.adam(learning_rate(config))},
        evaluations=found,
        condition=(lambda key, num: jnp.arange(num, dtype=jnp.int32) % num_classes) if num_classes else None,
    )
    return system._replace(to_picture=lambda x: to_unit(x, levels)) if levels else system


def straightness(context: EvalContext) -> dict[str, float]:
    """Measure the paths of the field, by 100 steps of RK4.

    Returns:
        Means over 'n' paths: 'path_energy', 'displacement' (the squared length of the straight lines between the ends),
        'straightness' (their difference) and 'curvature', its share of the energy, 0 for straight paths. For points
        'normalized_path_energy' as well: |energy / W_2^2 - 1| of source and data (Tong et al. 2024, section 5).
    """
    model, config = context.system.model, context.config
    num = min(int(config.eval.num_samples), evaluations.MAX_POINTS)
    field = field_of(config, None)
    key = jax.random.fold_in(context.key, 4)
    z = field.source.sample(key, (num, *field.shape))
    condition = None if context.system.condition is None else context.system.condition(key, num)
    paths = jax.jit(model.methods["paths"])(context.variables, key, z, condition=condition)
    energy, displacement = float(jnp.mean(paths.energy)), float(jnp.mean(paths.displacement))
    result = {"path_energy": energy, "displacement": displacement, "straightness": energy - displacement}
    result |= {"curvature": 1.0 - displacement / energy, "n": num}
    if not config.model.levels:
        (data,) = evaluations.gather(context.test(), "x")
        result["normalized_path_energy"] = abs(energy / metrics.wasserstein2(np.asarray(z), data[:num]) ** 2 - 1.0)
    return result


def few_steps(context: EvalContext) -> dict[str, float]:
    """Measure samples that were drawn by few Euler steps: 'wasserstein2' of points, 'classifier_fid' of pictures."""
    name, measure = "wasserstein2", evaluations.wasserstein
    if context.config.model.levels:
        name, measure = "classifier_fid", evaluations.classifier_fid
    found = {}
    for count in COUNTS:
        options = {"solve": solvers.fixed_solve(count, tableau=solvers.EULER)}
        found[f"{name}_euler_{count}"] = measure(_drawing(context, options))[name]
    return found


def guidance(context: EvalContext) -> dict[str, float]:
    """Measure labelled samples under several scales of guidance.

    Returns:
        For each scale, its number behind the name: 'accuracy', the share of samples that the classifier gives the class
        they were drawn as, 'classifier_fid', 'precision' and 'recall'.
    """
    config = context.config
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    found = {}
    for scale in SCALES:
        drawing = _drawing(context, {"guidance": scale})
        measured = evaluations.compare_pictures(drawing, classifier)
        samples = np.asarray(context.system.to_picture(drawing.sample(int(config.eval.num_samples))), np.float32)
        wanted = np.asarray(context.system.condition(context.key, len(samples)))
        right = metrics.embed(classifier, samples).log_probs.argmax(axis=1) == wanted
        found[f"accuracy_{scale:g}"] = float(np.mean(right))
        found |= {f"{name}_{scale:g}": measured[name] for name in ("classifier_fid", "precision", "recall")}
    return found


def _drawing(context: EvalContext, options: dict[str, Any]) -> EvalContext:
    """Return the context whose samples are drawn with these options, all at once."""
    draw = jax.jit(functools.partial(context.system.model.sample, **options), static_argnums=2)

    def sample(num: int, condition: Any = None) -> jax.Array:
        key = jax.random.fold_in(context.key, 5)
        if condition is None and context.system.condition is not None:
            condition = context.system.condition(key, num)
        return draw(context.variables, key, num, condition=condition)

    return context._replace(sample=sample)
