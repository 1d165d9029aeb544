"""RNADE, the real-valued neural autoregressive density estimator (Uria, Murray & Larochelle 2013, arXiv:1306.0186).

NADE with mixtures of K Gaussians for conditionals:

    p(x_d | x_<d) = sum_k alpha_dk N(x_d; mu_dk, sigma_dk^2)                                                        (6)
    h_d = act(rho_d a_d),   a_(d+1) = a_d + x_d W_d,   a_1 = c                                                     (7)
    alpha_d = softmax(V^alpha_d h_d + b^alpha_d),  mu_d = V^mu_d h_d + b^mu_d,  sigma_d = exp(V^sigma_d h_d + b^sigma_d)

The factors rho_d are learned: with real inputs a_d grows with d. The paper prefers rectified linear units for act. It
multiplies the gradient of mu_dk by sigma_dk to keep steps bounded; under an optimizer that rescales gradients (Adam)
that is not done here.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.autoregressive.conditionals import gaussian_mixture
from genjax.autoregressive.hidden_scan import ScanWeights, hidden_start, scan_outputs
from genjax.autoregressive.nade import scan_model
from genjax.contract import Array, GenerativeModel
from genjax.distributions import per_example


def rnade_log_prob(
    x: Array,
    weights: ScanWeights,
    ordering: Array,
    *,
    condition: Array | None = None,
    activation: Callable[[Array], Array] = jax.nn.relu,
    dtype: jnp.dtype = jnp.float32,
) -> Array:
    """Return log p(x) of real x.

    Args:
        x: [B, D], floating.
        weights: with n = 3 K outputs a dimension.
        ordering: int [D], the dimension at each place.
        condition: float32 [B, classes] or None.
        activation: act.
        dtype: of the matrix products.

    Returns:
        [B], nats.

    Raises:
        ValueError: shapes that do not fit together, outputs not in threes, or x is not floating.

    Reference: Uria et al. 2013, eq. 5-12.
    """
    start = hidden_start(weights, x.shape[0], condition)
    outputs = scan_outputs(x, start, weights, ordering, activation=activation, dtype=dtype)
    mixture = gaussian_mixture(outputs.shape[-1] // 3)
    return per_example(mixture.log_prob(x, outputs))


def rnade(
    shape: tuple[int, ...],
    *,
    hidden: int,
    components: int,
    spread: float = 1.0,
    ordering: Sequence[int] | np.ndarray | None = None,
    activation: Callable[[Array], Array] = jax.nn.relu,
    num_classes: int = 0,
    dtype: jnp.dtype = jnp.float32,
) -> GenerativeModel:
    """Build RNADE.

    Args:
        shape: of one x, `batch['x']` is [B, *shape], float32.
        hidden: H.
        components: K of each conditional.
        spread: of the data, a standard deviation or two. The means b^mu of a conditional start evenly on [-spread,
            spread], so that no two components are alike, and the hidden units turn on at as many different places.
        ordering: of the D = prod(shape) dimensions; None: raster order.
        activation: act.
        num_classes: above 0 the model is conditional on batch['label'].
        dtype: of the matrix products.

    Returns:
        See `genjax.autoregressive.nade.scan_model`; the update is named 'rnade'.
    """

    def initial(weights: ScanWeights) -> ScanWeights:
        num_dims, width = weights.encoder.shape
        means = jnp.broadcast_to(jnp.linspace(-spread, spread, components), (num_dims, components))
        rest = jnp.zeros_like(means)
        # With c = 0 every rectified unit of a one-dimensional input would have its kink at 0.
        bias = jnp.linspace(-spread, spread, width) / num_dims**0.5
        return weights._replace(hidden_bias=bias, output_bias=jnp.concatenate([rest, means, rest], axis=-1))

    return scan_model(
        "rnade",
        shape,
        gaussian_mixture(components),
        hidden=hidden,
        ordering=ordering,
        activation=activation,
        num_classes=num_classes,
        dtype=dtype,
        initial=initial,
        learned=("encoder", "hidden_bias", "scale", "decoder", "output_bias"),
    )
