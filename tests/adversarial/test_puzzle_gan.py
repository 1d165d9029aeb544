"""Puzzles: cut and joined, Sinkhorn by what defines its limit, placements by enumeration, and what a solver keeps."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import (
    DCGANDiscriminator,
    Puzzle,
    PuzzleNetwork,
    cut_tiles,
    join_tiles,
    make_puzzle,
    placement_loss,
    puzzle_gan,
    sinkhorn,
)
from genjax.adversarial.puzzle_gan import assemble

KEY = jax.random.key(0)
PICTURES = np.random.default_rng(0).uniform(-1, 1, (5, 6, 4, 2)).astype(np.float32)


def test_tiles_are_those_of_slices_and_come_together_again():
    both = jax.jit(lambda x: (cut_tiles(x, 2), join_tiles(cut_tiles(x, 2), 2)))
    tiles, joined = both(PICTURES)
    expected = [PICTURES[:, r : r + 3, c : c + 2] for r in (0, 3) for c in (0, 2)]
    np.testing.assert_array_equal(tiles, np.stack(expected, axis=1))
    np.testing.assert_array_equal(joined, PICTURES)
    with pytest.raises(ValueError, match="multiples of 4"):
        cut_tiles(PICTURES, 4)


def test_a_puzzle_laid_right_is_the_picture_but_for_its_holes():
    x = np.repeat(PICTURES, 40, axis=0)

    @jax.jit
    def run(x):
        puzzle, places = make_puzzle(KEY, x, grid=2, holes=1)
        return puzzle, places, assemble(puzzle, jnp.log(jax.nn.one_hot(places, 4)), 2)

    puzzle, places, (laid, cover) = jax.device_get(run(x))
    np.testing.assert_array_equal(np.sort(places, axis=1), np.broadcast_to(np.arange(4), (200, 4)))
    np.testing.assert_array_equal(puzzle.known.sum(axis=1), 3)
    cover = np.broadcast_to(cover, x.shape)
    np.testing.assert_array_equal(laid, np.where(cover > 0, x, 0))
    assert cover.mean() == 0.75
    # 24 orders and 4 holes, each about as often as the others (chi squared at 1e-4 with 3 and 23 degrees of freedom).
    holes = np.bincount(puzzle.known.argmin(axis=1), minlength=4)
    orders = np.unique(places, axis=0, return_counts=True)[1]
    assert len(orders) == 24
    assert ((holes - 50) ** 2 / 50).sum() < 21.1 and ((orders - 200 / 24) ** 2 / (200 / 24)).sum() < 56.0


def test_sinkhorn_is_the_scaling_that_is_doubly_stochastic():
    """The limit is the one matrix exp(S_ij + u_i + v_j) whose rows and columns sum to 1 (Sinkhorn 1964)."""
    logits = np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32) * 2
    log_p = np.asarray(sinkhorn(jnp.asarray(logits), 60), np.float64)  # not under jit: 120 divisions in a row
    for axis in (1, 2):
        np.testing.assert_allclose(np.exp(log_p).sum(axis=axis), 1, atol=1e-5)
    scaled = log_p - logits
    doubly = scaled - scaled.mean(1, keepdims=True) - scaled.mean(2, keepdims=True) + scaled.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(doubly, 0, atol=1e-5)
    np.testing.assert_allclose(np.exp(sinkhorn(jnp.asarray(logits), 1)).sum(axis=2), 1, atol=1e-5)


def test_sinkhorn_of_sharp_logits_is_the_best_assignment():
    scores = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)
    best = max(itertools.permutations(range(4)), key=lambda order: sum(scores[i, j] for i, j in enumerate(order)))
    assignment = np.exp(sinkhorn(jnp.asarray(60 * scores[None]), 300))[0]
    np.testing.assert_array_equal(assignment.argmax(axis=1), best)


def test_placement_loss_by_enumeration():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(3), size=(2, 3))
    places, known = np.array([[2, 0, 1], [0, 1, 2]]), np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    found = jax.jit(placement_loss)(np.log(p).astype(np.float32), places, known.astype(np.float32))
    expected = [-(np.log(p[0, 0, 2]) + np.log(p[0, 1, 0])) / 2, -np.mean(np.log(p[1, range(3), range(3)]))]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@functools.cache
def small():
    model = puzzle_gan(PuzzleNetwork(2, 8, 1, 2, 4, 3), DCGANDiscriminator((3, 4)), grid=2, holes=1)
    batch = {"x": np.random.default_rng(4).uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32)}
    return model, jax.jit(model.init)(KEY, batch), batch


def test_the_solver_does_not_know_the_slots_and_keeps_what_it_lays():
    model, variables, batch = small()
    puzzle, _ = jax.device_get(jax.jit(lambda x: make_puzzle(KEY, x, grid=2, holes=1))(batch["x"]))
    solver = jax.jit(model.methods["solve"])
    solve = lambda *given: jax.device_get(solver(*given))
    solution = solve(variables, KEY, puzzle)
    order = np.array([2, 0, 3, 1])
    turned = solve(variables, KEY, Puzzle(puzzle.tiles[:, order], puzzle.known[:, order]))
    np.testing.assert_allclose(turned.log_assignment, solution.log_assignment[:, order], atol=2e-5)
    np.testing.assert_allclose(turned.picture, solution.picture, atol=2e-5)
    other = solve(variables, jax.random.key(1), puzzle)
    assert np.abs(other.picture - solution.picture).max() > 1e-4  # noise paints
    np.testing.assert_array_equal(other.log_assignment, solution.log_assignment)  # and does not place
    laid, cover = map(np.asarray, jax.jit(assemble, static_argnums=2)(puzzle, solution.log_assignment, 2))
    assert np.all(np.abs(solution.picture - laid) <= np.abs(1 - cover) + 1e-5)
    with pytest.raises(ValueError, match="give `condition`"):
        model.sample(variables, KEY, 3, condition=puzzle)


def test_each_update_has_gradients_for_its_player_and_the_terms_add_up():
    model, variables, batch = small()
    for update in model.updates:
        (mover,) = update.players

        def loss(params, update=update, mover=mover):
            return update.loss(variables._replace(params={**variables.params, mover: params}), batch, KEY, 0)

        (value, aux), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables.params[mover])
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), mover
        weights = {"real": 1, "fake": 1, "adversarial": 0.05, "placement": 1.0, "reconstruction": 5.0}
        terms = [weights[name] * float(term) for name, term in aux.metrics.items()]
        np.testing.assert_allclose(value, sum(terms), rtol=1e-5)


def test_more_holes_than_tiles_are_refused():
    with pytest.raises(ValueError, match="0 to 3 blank slots, not 4"):
        puzzle_gan(PuzzleNetwork(2), DCGANDiscriminator((3,)), grid=2, holes=4)
