"""Clustering: k-means with its seeding, and agglomeration.

k-means minimizes the inertia sum_n |x_n - m_{c(n)}|^2 by turns (Lloyd 1982): each point goes to its nearest centre,
each centre to the mean of its points; neither can raise the inertia. Centres start as points drawn one after the
other with probabilities in proportion to the squared distance to those drawn before (k-means++, Arthur and
Vassilvitskii 2007), which is within 8 (ln K + 2) of the best inertia in expectation.

Agglomeration starts from every point alone and merges the two nearest clusters until one is left. What is near is told
by a linkage: from the distances d_i, d_j of a cluster to the two that merge, of n_i and n_j points, it makes that to
their union (Lance and Williams 1967).

All functions are of fixed shape, hence jit-able and batched by vmap.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.classical.divergences import squared_distances
from genjax.contract import Array

Linkage = Callable[[Array, Array, Array, Array], Array]


class Clusters(NamedTuple):
    """A k-means clustering.

    centers: [K, D].
    labels: int32 [N], the nearest centre of each point.
    inertias: [num_steps + 1], at the start and after each step; the last is that of centers and labels.
    """

    centers: Array
    labels: Array
    inertias: Array


class Merges(NamedTuple):
    """The order in which N points become one cluster; a cluster is called by its first point.

    kept: int32 [N - 1], the cluster that remains.
    absorbed: int32 [N - 1], the one that goes into it.
    distances: [N - 1], at which they meet.
    """

    kept: Array
    absorbed: Array
    distances: Array


def kmeans(key: Array, x: Array, num_clusters: int, *, num_steps: int = 100) -> Clusters:
    """Cluster points from k-means++ centres.

    Args:
        key: draws the centres.
        x: [N, D].
        num_clusters: K, at most N (static).
        num_steps: of Lloyd's algorithm (static).

    Returns:
        Clusters.
    """
    return lloyd(x, kmeans_plus_plus(key, x, num_clusters), num_steps=num_steps)


def kmeans_plus_plus(key: Array, x: Array, num_clusters: int) -> Array:
    """Draw K points of x [N, D] as centres [K, D], far from one another; see the module.

    Raises:
        ValueError: x has another rank, or fewer points than centres.
    """
    x = _points(x, num_clusters)
    first_key, key = jax.random.split(key)
    centers = jnp.zeros((num_clusters, x.shape[1]), x.dtype)
    centers = centers.at[0].set(x[jax.random.randint(first_key, (), 0, x.shape[0])])
    nearest = _squared_to(x, centers[0])

    def draw(carry: tuple[Array, Array], step: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        centers, nearest = carry
        index, draw_key = step
        # Points that are centres already have logit -inf; where all are (equal points), any will do.
        logits = jnp.where(jnp.any(nearest > 0.0), jnp.log(nearest), 0.0)
        point = x[jax.random.categorical(draw_key, logits)]
        return (centers.at[index].set(point), jnp.minimum(nearest, _squared_to(x, point))), None

    steps = (jnp.arange(1, num_clusters), jax.random.split(key, num_clusters)[1:])
    return lax.scan(draw, (centers, nearest), steps)[0][0]


def lloyd(x: Array, centers: Array, *, num_steps: int) -> Clusters:
    """Move centres to the means of their points, `num_steps` times (static); a centre without points stays.

    Args:
        x: [N, D].
        centers: [K, D], to start from.
        num_steps: of assignment and update each.

    Returns:
        Clusters.

    Reference: Lloyd 1982.
    """
    x = _points(x, centers.shape[0])

    def step(centers: Array, _: None) -> tuple[Array, Array]:
        labels, inertia = assign(x, centers)
        members = jax.nn.one_hot(labels, centers.shape[0], dtype=x.dtype)
        counts = jnp.sum(members, axis=0)[:, None]
        sums = jnp.matmul(members.T, x, precision=lax.Precision.HIGHEST)
        return jnp.where(counts > 0.0, sums / jnp.maximum(counts, 1.0), centers), inertia

    centers, before = lax.scan(step, centers, None, length=num_steps)
    labels, last = assign(x, centers)
    return Clusters(centers, labels, jnp.append(before, last))


def assign(x: Array, centers: Array) -> tuple[Array, Array]:
    """Return the nearest centre of each point, int32 [N], and the inertia, a scalar; x [N, D], centers [K, D]."""
    distances = squared_distances(x, centers)
    return jnp.argmin(distances, axis=1).astype(jnp.int32), jnp.sum(jnp.min(distances, axis=1))


def single_linkage(d_i: Array, d_j: Array, n_i: Array, n_j: Array) -> Array:
    """Return the distance between nearest points, min(d_i, d_j)."""
    del n_i, n_j
    return jnp.minimum(d_i, d_j)


def complete_linkage(d_i: Array, d_j: Array, n_i: Array, n_j: Array) -> Array:
    """Return the distance between farthest points, max(d_i, d_j)."""
    del n_i, n_j
    return jnp.maximum(d_i, d_j)


def average_linkage(d_i: Array, d_j: Array, n_i: Array, n_j: Array) -> Array:
    """Return the mean distance over pairs of points, (n_i d_i + n_j d_j) / (n_i + n_j)."""
    return (n_i * d_i + n_j * d_j) / (n_i + n_j)


def agglomerate(distances: Array, linkage: Linkage) -> Merges:
    """Merge the two nearest clusters until one is left; N - 1 passes over an [N, N] matrix.

    Args:
        distances: [N, N], symmetric; the diagonal is not looked at.
        linkage: `single_linkage`, `complete_linkage` or `average_linkage`.

    Returns:
        Merges.

    Raises:
        ValueError: distances are not square.

    Reference: Lance and Williams 1967.
    """
    if jnp.ndim(distances) != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances have shape {jnp.shape(distances)}; want [N, N].")
    num = distances.shape[0]
    diagonal = jnp.eye(num, dtype=bool)

    def merge(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Merges]:
        table, sizes = carry
        flat = jnp.argmin(table)  # the first of equals: its row is smaller than its column
        i, j = flat // num, flat % num
        joined = linkage(table[i], table[j], sizes[i], sizes[j])
        new = table.at[i].set(joined).at[:, i].set(joined).at[j].set(jnp.inf).at[:, j].set(jnp.inf)
        new = jnp.where(diagonal, jnp.inf, new)
        merged = Merges(i.astype(jnp.int32), j.astype(jnp.int32), table[i, j])
        return (new, sizes.at[i].add(sizes[j])), merged

    start = (jnp.where(diagonal, jnp.inf, distances), jnp.ones(num, distances.dtype))
    return lax.scan(merge, start, None, length=num - 1)[1]


def cut(merges: Merges, num_clusters: int) -> Array:
    """Return the clusters that are left when `num_clusters` of them are (static).

    Args:
        merges: of N points.
        num_clusters: 1 ... N.

    Returns:
        int32 [N], labels 0 ... num_clusters - 1 in the order of the clusters' first points.

    Raises:
        ValueError: there are not so many points.
    """
    num = merges.kept.shape[0] + 1
    if not 1 <= num_clusters <= num:
        raise ValueError(f"num_clusters is {num_clusters}; {num} points can be cut into 1 to {num}.")

    def apply(labels: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        kept, absorbed = step
        return jnp.where(labels == absorbed, kept, labels), None

    steps = (merges.kept[: num - num_clusters], merges.absorbed[: num - num_clusters])
    names, _ = lax.scan(apply, jnp.arange(num, dtype=jnp.int32), steps)
    is_first = names == jnp.arange(num, dtype=jnp.int32)
    return (jnp.cumsum(is_first.astype(jnp.int32)) - 1)[names]


def _squared_to(x: Array, center: Array) -> Array:
    return jnp.sum((x - center[None]) ** 2, axis=1)


def _points(x: Array, num_clusters: int) -> Array:
    """Return x as an array, once its shape allows so many clusters."""
    if jnp.ndim(x) != 2:
        raise ValueError(f"points have shape [N, D], got {jnp.shape(x)}.")
    if not 1 <= num_clusters <= len(x):
        raise ValueError(f"num_clusters is {num_clusters}; {len(x)} points make 1 to {len(x)} clusters.")
    return jnp.asarray(x)
