"""Puzzle GAN on digits: shuffled tiles put in their places, missing ones painted.

Variants:
    ''        4 x 4 tiles of 2 x 2 pixels, two of them missing.
    quarters  2 x 2 tiles of 4 x 4 pixels, one of them missing.
    mnist     28 x 28, 4 x 4 tiles of 7 x 7 pixels, two of them missing; needs --config.data.dir.
    tiny      as 'quarters', small enough to compile in a second.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import raster
from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array, Variables
from genjax.data import open_source, transforms
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext, System

COLUMNS = 8  # of a preview


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("adversarial/puzzle_gan")
    _default(config)
    return raster.apply_variant(config, variant, {"quarters": _quarters, "mnist": _mnist, "tiny": _tiny})


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 6_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 1e-3  # of the generator; a cosine takes it to 0
    config.train.discriminator_rate = 2e-4
    config.train.adam_b1 = 0.5

    config.model.levels = 17
    config.model.grid = 4
    config.model.holes = 2
    config.model.width = 64
    config.model.depth = 3
    config.model.heads = 4
    config.model.features = 32
    config.model.discriminator_features = (32, 64)
    config.model.sinkhorn_steps = 10

    config.expected.result = "71.2 % of the tiles of held-out digits placed right (by chance 12.9 %), PSNR 14.6 dB"
    config.expected.cost = "4 minutes of a CPU core shared with others"


def _quarters(config: ConfigDict) -> None:
    config.model.grid = 2
    config.model.holes = 1
    config.expected.result = "97.3 % of the tiles of held-out digits placed right (by chance 26.5 %), PSNR 19.1 dB"
    config.expected.cost = "4 minutes of a CPU core shared with others"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.train.steps = 20_000
    config.model.levels = 256
    config.model.width = 128
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    _quarters(config)
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.width = 4
    config.model.depth = 1
    config.model.heads = 2
    config.model.features = 4
    config.model.discriminator_features = (4, 4)
    config.model.sinkhorn_steps = 1
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    solver = adversarial.PuzzleNetwork(
        model.grid, model.width, model.depth, model.heads, model.features, model.sinkhorn_steps, dtype
    )
    features = tuple(model.discriminator_features)
    discriminator = adversarial.DCGANDiscriminator(features, axis_name=axis_name, dtype=dtype)
    bound = adversarial.puzzle_gan(solver, discriminator, grid=model.grid, holes=model.holes)

    def pictures(num: int) -> Array:
        source = open_source(config.data.name, config.data.test_split, config.data.dir)
        return to_symmetric(jnp.asarray(source.fetch(np.arange(num) % len(source))["x"]), model.levels)

    def condition(key: Array, num: int) -> adversarial.Puzzle:
        return adversarial.make_puzzle(key, pictures(num), grid=model.grid, holes=model.holes)[0]

    def preview(variables: Variables, key: Array, num: int) -> Array:
        """Return rows of puzzles, each with the row of its solutions below; blank tiles are grey."""
        rows = max(num // (2 * COLUMNS), 1)
        puzzle = condition(key, rows * COLUMNS)
        solved = bound.sample(variables, key, rows * COLUMNS, condition=puzzle)
        given = adversarial.join_tiles(puzzle.tiles, model.grid)
        both = jnp.stack([x.reshape(rows, COLUMNS, *x.shape[1:]) for x in (given, solved)], axis=1)
        return both.reshape(-1, *solved.shape[1:])

    rate = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    return System(
        model=bound,
        optimizers={
            "generator": optax.adam(rate),
            "discriminator": optax.adam(train.discriminator_rate, b1=train.adam_b1),
        },
        transform=transforms.symmetric(model.levels),
        preview=preview,
        to_picture=lambda x: 0.5 * (jnp.clip(x, -1.0, 1.0) + 1.0),
        evaluations={"puzzles": _solved},
        condition=condition,
    )


def _solved(context: EvalContext) -> dict[str, Any]:
    """Solve a puzzle of each held-out picture.

    Returns:
        'placed', share of the known tiles that the best one-to-one assignment lays where just such a tile belongs
        (equal tiles are alike), 'placed_by_chance' for a random assignment, 'pictures_placed' with every known tile
        right; 'psnr' of the pictures in [0, 1], in dB, and 'psnr_black', with the tiles laid right and holes black.
    """
    from scipy.optimize import linear_sum_assignment

    config, solve = context.config.model, jax.jit(context.system.model.methods["solve"])
    random = np.random.default_rng(0)
    right, chance, whole, errors, black = [], [], [], [], []
    for index, batch in enumerate(context.test()):
        key = jax.random.fold_in(context.key, index)
        puzzle, places = adversarial.make_puzzle(key, batch["x"], grid=config.grid, holes=config.holes)
        solution = solve(context.variables, key, puzzle)
        true = np.asarray(adversarial.cut_tiles(batch["x"], config.grid))
        tiles, known, places, logs = (np.asarray(part) for part in (*puzzle, places, solution.log_assignment))
        for n in range(len(true)):
            slots = np.flatnonzero(known[n])
            fits = (tiles[n, slots][:, None] == true[n][None]).all(axis=(2, 3, 4))
            # Blank slots take part: each place goes to one slot.
            order = linear_sum_assignment(-logs[n])[1]
            right.append(fits[np.arange(len(slots)), order[slots]].mean())
            whole.append(fits[np.arange(len(slots)), order[slots]].all())
            chance.append(fits[np.arange(len(slots)), random.permutation(len(order))[slots]].mean())
        covered = np.take_along_axis(known, np.argsort(places, axis=1), axis=1)[:, :, None, None, None]
        errors.append(((np.clip(solution.picture, -1, 1) - batch["x"]) ** 2).mean(axis=(1, 2, 3)))
        black.append((np.where(covered, 0.0, true + 1.0) ** 2).mean(axis=(1, 2, 3, 4)))
    # In [0, 1] a squared error is a quarter of what it is in [-1, 1].
    psnr = lambda parts: float(-10 * np.log10(np.mean(np.concatenate(parts)) / 4))
    return {
        "placed": float(np.mean(right)),
        "placed_by_chance": float(np.mean(chance)),
        "pictures_placed": float(np.mean(whole)),
        "psnr": psnr(errors),
        "psnr_black": psnr(black),
        "n": len(right),
        "split": context.config.data.test_split,
    }
