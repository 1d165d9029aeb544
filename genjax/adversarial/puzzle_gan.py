"""Puzzle GAN: pictures put together from shuffled tiles, some of them missing, against a discriminator.

There is no one paper of this name. What is built here: a picture x is cut into T = g x g tiles, which lie shuffled in T
slots; those of a few slots are blank. With y_i the tile in slot i, k_i whether it is there, and pi(i) the place where it
belongs,

    P = Sinkhorn(S),  S_ij the network's logit that slot i belongs to place j      doubly stochastic, Mena et al., eq. 4
    a_j = sum_i P_ij k_i y_i,    c_j = sum_i P_ij k_i                              tiles and coverage at place j
    G = a + (1 - c) * painted(a, c, noise)                                         what no tile covers is painted

A transformer without positions reads the tiles, so the logits do not know in which slot a tile lies but by its content.
Sinkhorn's iteration divides rows and columns of exp(S) by their sums in turn. The generator descends

    w_adv * (-log D(G)) + w_place * mean over k_i = 1 of -log P_{i, pi(i)} + w_rec * |G - x|^2 per entry,

the joint loss of context encoders (Pathak et al. 2016, eq. 3) with the auxiliary loss on the permutation of JigsawGAN
(Li et al. 2021); the discriminator descends the GAN loss on x and G. Where a puzzle has several solutions (equal tiles
among them), the cross-entropy cannot reach 0.

Reference: Pathak et al. 2016, "Context Encoders: Feature Learning by Inpainting", https://arxiv.org/abs/1604.07379;
Mena et al. 2018, "Learning Latent Permutations with Gumbel-Sinkhorn Networks", https://arxiv.org/abs/1802.08665;
Li et al. 2021, "JigsawGAN: Auxiliary Learning for Solving Jigsaw Puzzles with Generative Adversarial Networks",
https://arxiv.org/abs/2101.07555
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import Conv, Transformer


class Puzzle(NamedTuple):
    """What is given: tiles in slots.

    tiles: `[B, T, h, w, C]`; blank ones are 0.
    known: float32 `[B, T]`, 0 where the slot is blank.
    """

    tiles: Array
    known: Array


class Solution(NamedTuple):
    """What a network makes of a puzzle.

    picture: `[B, H, W, C]`, missing tiles painted.
    log_assignment: log P, slots by places, `[B, T, T]`.
    """

    picture: Array
    log_assignment: Array


def cut_tiles(x: Array, grid: int) -> Array:
    """Cut pictures `[B, H, W, C]` into grid x grid tiles, row by row, `[B, T, h, w, C]`.

    Raises:
        ValueError: the sides are not divisible by the grid, or x is not of pictures.
    """
    if x.ndim != 4 or x.shape[1] % grid or x.shape[2] % grid:
        raise ValueError(f"Pictures [B, H, W, C] whose sides are multiples of {grid} are cut, not {x.shape}.")
    batch, height, width, channels = x.shape
    tiles = x.reshape(batch, grid, height // grid, grid, width // grid, channels).swapaxes(2, 3)
    return tiles.reshape(batch, grid * grid, height // grid, width // grid, channels)


def join_tiles(tiles: Array, grid: int) -> Array:
    """Join tiles `[B, T, h, w, C]` into pictures; undoes `cut_tiles`."""
    batch, _, height, width, channels = tiles.shape
    rows = tiles.reshape(batch, grid, grid, height, width, channels).swapaxes(2, 3)
    return rows.reshape(batch, grid * height, grid * width, channels)


def make_puzzle(key: Array, x: Array, *, grid: int, holes: int) -> tuple[Puzzle, Array]:
    """Shuffle the tiles of pictures, each by a permutation of its own, and blank some slots.

    Args:
        key: draws the permutations and the blank slots.
        x: `[B, H, W, C]`.
        grid: tiles along each side.
        holes: blank slots of each picture.

    Returns:
        (puzzle, places int32 `[B, T]`: where the tile of each slot belongs).
    """
    order_key, hole_key = jax.random.split(key)
    tiles = cut_tiles(x, grid)
    shape = tiles.shape[:2]
    places = jnp.argsort(jax.random.uniform(order_key, shape), axis=1).astype(jnp.int32)
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(hole_key, shape), axis=1), axis=1)
    known = (rank >= holes).astype(jnp.float32)
    shuffled = jnp.take_along_axis(tiles, places[:, :, None, None, None], axis=1)
    return Puzzle(shuffled * known[:, :, None, None, None].astype(x.dtype), known), places


def sinkhorn(logits: Array, steps: int) -> Array:
    """Return log P of the doubly stochastic matrix that scaling rows and columns of exp(logits) leads to.

    Args:
        logits: `[B, T, T]`.
        steps: of columns, then rows, after a first division of the rows. The rows sum to 1 whatever the number of
            steps, the columns in the limit.

    Returns:
        log P `[B, T, T]`.

    Reference: Mena et al. 2018, eqs. 1 to 4.
    """
    # Columns first would divide away exactly what is added to a column, and leave biases without a gradient.
    logits = jax.nn.log_softmax(logits, axis=2)
    for _ in range(steps):
        logits = jax.nn.log_softmax(logits, axis=1)
        logits = jax.nn.log_softmax(logits, axis=2)
    return logits


def placement_loss(log_assignment: Array, places: Array, known: Array) -> Array:
    """Return the cross-entropy of the places of a puzzle's tiles.

    Args:
        log_assignment: log P, slots by places, `[B, T, T]`.
        places: int32 `[B, T]`, where the tile of each slot belongs.
        known: `[B, T]`, 0 for blank slots, which do not count.

    Returns:
        mean over known tiles of -log P_{i, pi(i)}, `[B]`, in nats.

    Raises:
        ValueError: the shapes do not fit.
    """
    if log_assignment.ndim != 3 or places.shape != known.shape or log_assignment.shape[:2] != places.shape:
        raise ValueError(
            f"Placements need log P of shape [B, T, T], places and known [B, T]; these are {log_assignment.shape}, "
            f"{places.shape} and {known.shape}."
        )
    chosen = jnp.take_along_axis(log_assignment, places[..., None], axis=2)[..., 0]
    return -(chosen * known).sum(axis=1) / jnp.maximum(known.sum(axis=1), 1.0)


def assemble(puzzle: Puzzle, log_assignment: Array, grid: int) -> tuple[Array, Array]:
    """Return the tiles laid out by P and how far each pixel is covered: a `[B, H, W, C]`, c `[B, H, W, 1]`."""
    weight = jnp.exp(log_assignment) * puzzle.known[..., None]
    tiles = jnp.einsum("bij,bihwc->bjhwc", weight, puzzle.tiles.astype(weight.dtype))
    cover = jnp.broadcast_to(weight.sum(axis=1)[:, :, None, None, None], (*tiles.shape[:-1], 1))
    return join_tiles(tiles, grid), join_tiles(cover, grid)


class PuzzleNetwork(nn.Module):
    """Puzzles to solutions.

    grid: tiles along each side.
    width: of the transformer over tiles.
    depth: its layers.
    heads: divides the width.
    features: channels of the three hidden convolutions that paint.
    sinkhorn_steps: of the iteration.
    dtype: compute dtype.
    """

    grid: int
    width: int = 64
    depth: int = 3
    heads: int = 4
    features: int = 32
    sinkhorn_steps: int = 10
    dtype: Any = None

    @nn.compact
    def __call__(self, puzzle: Puzzle, noise: Array, *, train: bool) -> Solution:
        """Solve puzzles; noise `[B, H, W, 1]` decides between ways to paint what is missing."""
        del train
        batch, number = puzzle.known.shape
        seen = jnp.concatenate([puzzle.tiles.reshape(batch, number, -1), puzzle.known[..., None]], axis=-1)
        h = nn.Dense(self.width, dtype=self.dtype, name="tile")(seen).astype(jnp.float32)
        h = Transformer(self.depth, self.heads, dtype=self.dtype)(h)
        # No bias: what is added to a whole column, Sinkhorn's iteration divides away.
        logits = nn.Dense(number, use_bias=False, dtype=self.dtype, name="place")(h).astype(jnp.float32)
        log_assignment = sinkhorn(logits, self.sinkhorn_steps)
        laid, cover = assemble(puzzle, log_assignment, self.grid)
        h = jnp.concatenate([laid, cover, noise], axis=-1)
        for _ in range(3):
            h = nn.relu(Conv(self.features, 3, dtype=self.dtype)(h))
        painted = jnp.tanh(Conv(laid.shape[-1], 3, dtype=self.dtype)(h)).astype(jnp.float32)
        return Solution(laid + (1 - cover) * painted, log_assignment)


class Weights(NamedTuple):
    """Of the generator's three terms: adversarial, placement, reconstruction."""

    adversarial: float = 0.05
    placement: float = 1.0
    reconstruction: float = 5.0


WEIGHTS = Weights()


class PuzzleGame(NamedTuple):
    """The fixed part; see `puzzle_gan`."""

    generator: nn.Module
    discriminator: nn.Module
    grid: int
    holes: int
    weights: Weights


def puzzle_gan(
    generator: nn.Module, discriminator: nn.Module, *, grid: int, holes: int, weights: Weights = WEIGHTS
) -> GenerativeModel:
    """Bind a solver of puzzles and a discriminator into a model.

    Args:
        generator: module (puzzle, noise `[B, H, W, 1]`, train=) -> Solution with pictures like batch['x'].
        discriminator: module (x `[B, H, W, C]`, train=) -> scores `[B]`.
        grid: tiles along each side.
        holes: blank slots of each puzzle.
        weights: of the generator's terms.

    Returns:
        A model with the players 'generator' and 'discriminator' that makes its puzzles of batch['x'] by itself. The
        condition of samples is a Puzzle. Methods: `solve(puzzle)`, a Solution.

    Raises:
        ValueError: no tile, or none but blanks.

    Reference: see the module.
    """
    if not 0 <= holes < grid**2:
        raise ValueError(f"A puzzle of {grid} x {grid} tiles has 0 to {grid**2 - 1} blank slots, not {holes}.")
    game = PuzzleGame(generator, discriminator, grid, holes, weights)
    return GenerativeModel(
        init=partial(init_puzzle_game, game),
        updates=(
            Update("discriminator", ("discriminator",), partial(discriminator_objective, game)),
            Update("generator", ("generator",), partial(generator_objective, game)),
        ),
        sample=partial(sample, game),
        methods={"solve": partial(solve, game)},
    )


def init_puzzle_game(game: PuzzleGame, key: Array, batch: Batch) -> Variables:
    """Initialise both players on the first picture of the batch."""
    puzzle_key, generator_key, discriminator_key = jax.random.split(key, 3)
    x = batch["x"][:1]
    puzzle, _ = make_puzzle(puzzle_key, x, grid=game.grid, holes=game.holes)
    noise = jnp.zeros((*x.shape[:3], 1), jnp.float32)
    generator, generator_state, solution = init_player(game.generator, generator_key, puzzle, noise)
    if solution.picture.shape != x.shape:
        raise ValueError(f"The generator makes pictures {solution.picture.shape[1:]}, but the data are {x.shape[1:]}.")
    discriminator, discriminator_state, _ = init_player(game.discriminator, discriminator_key, x)
    params = {"generator": generator, "discriminator": discriminator}
    return Variables(params, {"generator": generator_state, "discriminator": discriminator_state})


def discriminator_objective(
    game: PuzzleGame, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the mean GAN loss on pictures and on solved puzzles: a LossFn for 'discriminator'."""
    del step
    solve_key, real_key, fake_key = jax.random.split(key, 3)
    solution, _, _ = _solve_in_training(game, variables, batch, solve_key)
    params, state = variables.params["discriminator"], variables.state["discriminator"]
    real_scores, state = train_player(game.discriminator, params, state, real_key, batch["x"])
    fake_scores, state = train_player(game.discriminator, params, state, fake_key, solution.picture)
    terms = gan_discriminator_loss(real_scores, fake_scores)
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    return terms.real.mean() + terms.fake.mean(), Aux({**variables.state, "discriminator": state}, metrics)


def generator_objective(
    game: PuzzleGame, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the weighted sum of the generator's three terms: a LossFn for 'generator'."""
    del step
    solve_key, run_key = jax.random.split(key)
    solution, places, (puzzle, state) = _solve_in_training(game, variables, batch, solve_key)
    params, kept = variables.params["discriminator"], variables.state["discriminator"]
    scores, _ = train_player(game.discriminator, params, kept, run_key, solution.picture)
    terms = Weights(
        adversarial=non_saturating_generator_loss(scores).mean(),
        placement=placement_loss(solution.log_assignment, places, puzzle.known).mean(),
        reconstruction=jnp.mean((solution.picture - batch["x"]) ** 2),
    )
    loss = sum(weight * term for weight, term in zip(game.weights, terms))
    return loss, Aux({**variables.state, "generator": state}, terms._asdict())


def solve(game: PuzzleGame, variables: Variables, key: Array, puzzle: Puzzle) -> Solution:
    """Return what the generator makes of puzzles `[N, T, ...]`; the key draws what is painted."""
    params, state = variables.params["generator"], variables.state["generator"]
    return run_player(game.generator, params, state, puzzle, _noise(game, key, puzzle))


def sample(
    game: PuzzleGame, variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None
) -> Array:
    """Return the pictures of solved puzzles, `condition` a Puzzle `[num_samples, T, ...]`."""
    if condition is None or condition.known.shape[0] != num_samples:
        raise ValueError("This model solves puzzles: give `condition`, a Puzzle with one entry for each sample.")
    return solve(game, variables, key, condition).picture


def _solve_in_training(
    game: PuzzleGame, variables: Variables, batch: Batch, key: Array
) -> tuple[Solution, Array, tuple[Puzzle, PyTree]]:
    """Make puzzles of a batch and solve them; (solution, places, (puzzle, generator's moved state))."""
    puzzle_key, noise_key, run_key = jax.random.split(key, 3)
    puzzle, places = make_puzzle(puzzle_key, batch["x"], grid=game.grid, holes=game.holes)
    params, state = variables.params["generator"], variables.state["generator"]
    noise = _noise(game, noise_key, puzzle)
    solution, state = train_player(game.generator, params, state, run_key, puzzle, noise)
    return solution, places, (puzzle, state)


def _noise(game: PuzzleGame, key: Array, puzzle: Puzzle) -> Array:
    number, _, height, width, _ = puzzle.tiles.shape
    return jax.random.normal(key, (number, game.grid * height, game.grid * width, 1))
