"""Flow matching between coupled batches (Tong et al. 2024, arXiv:2302.00482; and 2024b, arXiv:2307.03672, [SF]2M).

Pairs (x_0, x_1) from optimal transport between minibatches make the marginal field, approximately, that of dynamic
optimal transport, whose paths are straight:

    OT-CFM    exact coupling, tube of constant sigma:  cfm(field, straight_interpolant(sigma), coupling=exact_coupling)
    SB-CFM    entropic coupling with r = 2 sigma^2, Brownian bridges between the pairs: the Schroedinger bridge between
              source and data for d x = sigma dw, whose field is the flow of

                  d x = [u(x, t) + (sigma^2 / 2) grad log p_t(x)] dt + sigma dw                   2024b, section 2

With a second network for the score, sampling follows the stochastic equation itself. It predicts the added drift
d = (sigma^2 / 2) grad log p_t, with a weight that keeps the target of unit variance (2024b, appendix, lambda_t):

    L = || u_theta - u_t(x | z) ||^2 + || (2 s_t / sigma^2) d_theta + e ||^2,   s_t = sigma sqrt(t (1 - t))
"""

import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.distributions import per_example
from genjax.flow_matching.cfm import cfm, flow_matching_loss_per_dim
from genjax.flow_matching.couplings import Coupling, exact_coupling, sinkhorn_coupling
from genjax.flow_matching.field import (
    PLAYER,
    Field,
    evaluate,
    field_init,
    field_log_prob,
    field_methods,
    field_sample,
    velocity_of,
)
from genjax.flow_matching.interpolants import bridge_interpolant, interpolate, straight_interpolant
from genjax.flow_matching.times import TimeDraw, uniform_time
from genjax.processes import like
from genjax.solvers import integrate_sde

SCORE_PLAYER = "score"


def bridge_score_loss(drift: Array, noise: Array, std: Array, *, sigma: float) -> Array:
    """Return || (2 s / sigma^2) d + e ||^2, summed over each example's entries.

    Args:
        drift: the network's d, meant to be (sigma^2 / 2) grad log p_t, [B, ...].
        noise: e of x_t = m_t + s_t e, of the same shape.
        std: s_t, [B].
        sigma: of the reference d x = sigma dw.

    Returns:
        [B].

    Raises:
        ValueError: the shapes do not fit.

    Reference: Tong et al. 2024b, section 3, with its choice of lambda_t.
    """
    if drift.shape != noise.shape or std.shape != drift.shape[:1] or drift.ndim == 0:
        raise ValueError(f"drift {drift.shape} and noise {noise.shape} must be [B, ...], std {std.shape} must be [B].")
    return per_example((like(2.0 * std / sigma**2, drift) * drift + noise) ** 2)


def ot_cfm(
    field: Field, *, sigma: float = 0.0, coupling: Coupling = exact_coupling, times: TimeDraw | None = None
) -> GenerativeModel:
    """Build optimal-transport flow matching: `cfm` along straight lines between coupled pairs.

    Args:
        field: see `Field`.
        sigma: of the tubes.
        coupling: `exact_coupling` or `sinkhorn_coupling(r)`.
        times: see `cfm`.

    Returns:
        As `cfm`.

    Reference: Tong et al. 2024, section 3.2 (OT-CFM).
    """
    return cfm(field, straight_interpolant(sigma), coupling=coupling, times=times)


def sb_cfm(field: Field, *, sigma: float, num_steps: int, iterations: int = 100, edge: float = 1e-3) -> GenerativeModel:
    """Build Schroedinger-bridge flow matching, with the score.

    Args:
        field: see `Field`; unconditional. Its network is used twice, with weights of its own for the score.
        sigma: of the reference d x = sigma dw.
        num_steps: of the stochastic equation in sampling, by Euler-Maruyama.
        iterations: of Sinkhorn.
        edge: distance that training keeps from t = 0 and 1, where the bridge's velocity is infinite.

    Returns:
        A model with the players 'field' and 'score', and one update 'match' of both; metrics mse and score_mse, per
        entry. `sample` draws by the stochastic equation, or by the flow where `solve` is given. `log_prob` and the
        methods of `field_methods` are of the flow; beside these

        bridge(z, *, num_steps) -> x    stored samples that the stochastic equation carries z [B, ...] to

    Raises:
        ValueError: for a conditional field.

    Reference: Tong et al. 2024b, algorithm 1.
    """
    if field.num_classes:
        raise ValueError("the Schroedinger bridge is between two whole distributions: its field must have no classes.")
    interpolant, coupling = bridge_interpolant(sigma), sinkhorn_coupling(2.0 * sigma**2, iterations=iterations)
    times = uniform_time(edge, 1.0 - edge)

    def init(key: Array, batch: Batch) -> Variables:
        keys = jax.random.split(key)
        return Variables({name: field_init(field, k, batch) for name, k in zip((PLAYER, SCORE_PLAYER), keys)})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        path_key, source_key, pair_key, noise_key, time_key, dropout_key = jax.random.split(key, 6)
        x1, _ = field.data_path.to_model(path_key, batch["x"])
        x0 = field.source.sample(source_key, x1.shape)
        x0 = x0[coupling(pair_key, x0, x1)]
        t, noise = times(time_key, x1.shape[0]), jax.random.normal(noise_key, x1.shape)
        x_t, target = interpolate(interpolant, x0, x1, noise, t)
        predicted = lambda player: evaluate(
            field, variables.params[player], x_t, t, None, train=True, rngs={"dropout": dropout_key}
        )
        mse = jnp.mean(flow_matching_loss_per_dim(predicted(PLAYER), target))
        score = bridge_score_loss(predicted(SCORE_PLAYER), noise, interpolant.std(t), sigma=sigma)
        score_mse = jnp.mean(score) * (x1.shape[0] / x1.size)
        return mse + score_mse, Aux(state=variables.state, metrics={"mse": mse, "score_mse": score_mse})

    def bridge(variables: Variables, key: Array, z: Array, *, num_steps: int = num_steps) -> Array:
        velocity = velocity_of(field, variables, None, None)
        drift = lambda x, t: velocity(x, t) + evaluate(field, variables.params[SCORE_PLAYER], x, t, None)
        times = jnp.linspace(0.0, 1.0, num_steps + 1)
        return field.data_path.from_model(integrate_sde(key, drift, lambda x, t: jnp.float32(sigma), z, times))

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None, solve=None) -> Array:
        if solve is not None or condition is not None:
            return field_sample(field, variables, key, num_samples, condition=condition, solve=solve)  # of the flow
        source_key, noise_key = jax.random.split(key)
        return bridge(variables, noise_key, field.source.sample(source_key, (num_samples, *field.shape)))

    return GenerativeModel(
        init=init,
        updates=(Update("match", (PLAYER, SCORE_PLAYER), loss),),
        sample=sample,
        log_prob=field_log_prob(field),
        methods=field_methods(field) | {"bridge": bridge},
    )
