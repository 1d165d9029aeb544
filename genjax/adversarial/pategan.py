"""PATE-GAN: a generator whose discriminator has never seen the data, only noisy votes of teachers who have.

The rows of the data are parted into k disjoint sets, and each teacher T_i tells its own set from generated rows:

    teachers    T_i descends  -mean over its rows of log T_i(x) - mean log(1 - T_i(G(z)))                       (eq. 2)
    student     S descends    -r log S(u) - (1 - r) log(1 - S(u)),  u = G(z) generated rows,
                              r = the noisy majority of the teachers' votes [T_i(u) > 1/2]                      (eq. 3)
    generator   G descends    log(1 - S(G(z)))                                                                  (eq. 5)

Data reach the student and the generator through the votes alone, so both are as private as the votes are: by
post-processing whatever is done with them costs nothing more. The moments accountant (`genjax.adversarial.privacy`)
adds up what they cost. Where the next answers would exceed the budget they are not asked: student and generator descend
nothing from there on (the paper stops its loop), and the epsilon that is reported never exceeds the budget.

On generated rows alone a student learns nothing while the teachers agree that all of them are: it never hears where
they would say real, and the generator has no way to go. So, other than in the paper, half of the questions can be rows
that owe nothing to the data (uniform over the range of the columns); the teachers learn to tell those as well, and
asking about them costs what asking about generated ones does.

Row r belongs to teacher r mod k. A teacher's mean over its rows is k times the mean over the batch with its rows alone,
so that it needs no count. Moments are summed in float32.

Reference: Jordon et al. 2019, "PATE-GAN: Generating Synthetic Data with Differential Privacy Guarantees",
https://openreview.net/forum?id=S1zk9iRqF7
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial import privacy
from genjax.adversarial.game import GeneratorLoss
from genjax.adversarial.losses import minimax_generator_loss
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import MLP


SPREAD = 0.5  # of the last weights of a generator at the start: logits of columns with a standard deviation near 2


Rows = Callable[[Array, int], Array]  # key, num -> rows [num, D]


class Budget(NamedTuple):
    """What privacy may be spent, and how it is counted.

    scale: lambda, of the Laplace noise 1 / lambda on each count of votes.
    epsilon: not to be exceeded; infinite for none.
    delta: of (epsilon, delta)-differential privacy.
    orders: L, of the moments that are kept.
    """

    scale: float
    epsilon: float
    delta: float
    orders: int = 100


class RowGenerator(nn.Module):
    """Latents to rows of a table: columns in [0, 1], then a class, one-hot.

    The class is drawn by the last coordinate of the latent, all with equal chances, and told to the network: class
    shares are taken for public knowledge, and a generator that had to find them forgot classes.

    columns: number of columns.
    classes: number of classes, 0 for none.
    hidden: widths of the hidden layers.
    dtype: compute dtype.
    """

    columns: int
    classes: int
    hidden: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array) -> Array:
        """Map latents `[B, L]`, standard normal, to rows `[B, columns + classes]`."""
        place = jnp.floor(self.classes * jax.scipy.stats.norm.cdf(z[:, -1])).astype(jnp.int32)
        label = jax.nn.one_hot(jnp.clip(place, 0, max(self.classes - 1, 0)), self.classes, dtype=jnp.float32)
        wide = {"kernel_init": nn.initializers.he_normal(), "output_kernel_init": nn.initializers.normal(SPREAD)}
        y = MLP(self.hidden, self.columns, dtype=self.dtype, **wide)(jnp.concatenate([z[:, :-1], label], axis=1))
        return jnp.concatenate([jax.nn.sigmoid(y.astype(jnp.float32)), label], axis=1)


def uniform_rows(columns: int, classes: int) -> Rows:
    """Return (key, num) -> rows `[num, columns + classes]`, uniform over [0, 1]^columns and the classes."""

    def draw(key: Array, num: int) -> Array:
        columns_key, class_key = jax.random.split(key)
        label = jax.nn.one_hot(jax.random.randint(class_key, (num,), 0, max(classes, 1)), classes, dtype=jnp.float32)
        return jnp.concatenate([jax.random.uniform(columns_key, (num, columns)), label], axis=1)

    return draw


class RowDiscriminator(nn.Module):
    """Rows to scores.

    hidden: widths of the hidden layers.
    dtype: compute dtype.
    """

    hidden: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map rows `[B, D]` to scores `[B]`, float32."""
        return MLP(self.hidden, 1, dtype=self.dtype)(x)[:, 0].astype(jnp.float32)


def teacher_losses(real_scores: Array, fake_scores: Array, owner: Array) -> Array:
    """Return each teacher's cross-entropy on its own rows and on generated ones.

    Args:
        real_scores: logits of every teacher on every row of the batch, `[k, B]`.
        fake_scores: logits of every teacher on generated rows, `[k, N]`.
        owner: which teacher may see each row, integers 0..k-1, `[B]`.

    Returns:
        `[k]`, in nats; unbiased for the mean over a teacher's rows where all have equally many.

    Reference: Jordon et al. 2019, eq. 2.
    """
    num = real_scores.shape[0]
    own = (owner[None] == jnp.arange(num)[:, None]).astype(real_scores.dtype)
    real = num * jnp.mean(own * -jax.nn.log_sigmoid(real_scores), axis=1)
    return real + jnp.mean(-jax.nn.log_sigmoid(-fake_scores), axis=1)


def student_loss(scores: Array, answers: Array) -> Array:
    """Return the cross-entropy of the student with the teachers' answers.

    Args:
        scores: the student's logits of generated rows `[B]`.
        answers: 0 or 1 `[B]`.

    Returns:
        `[B]`, in nats.

    Reference: Jordon et al. 2019, eq. 3.
    """
    if scores.ndim != 1 or scores.shape != answers.shape:
        raise ValueError(f"scores and answers must both have shape [B]; they are {scores.shape} and {answers.shape}.")
    return -answers * jax.nn.log_sigmoid(scores) - (1 - answers) * jax.nn.log_sigmoid(-scores)


def pategan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    num_teachers: int,
    queries: int,
    budget: Budget,
    public_rows: Rows | None = None,
    generator_loss: GeneratorLoss = minimax_generator_loss,
    teacher_steps: int = 1,
    student_steps: int = 1,
    axis_name: str | None = None,
) -> GenerativeModel:
    """Bind a generator, k teachers and a student of one architecture.

    Args:
        generator: module, latents `[N, latent_dim]` -> rows `[N, D]` like batch['x'].
        discriminator: module, rows `[N, D]` -> scores `[N]`, of the student and of every teacher.
        latent_dim: coordinates of a latent.
        num_teachers: k.
        queries: rows the teachers are asked about at each move of the student (on each device, under pmap).
        budget: see Budget.
        public_rows: (key, num) -> rows that owe nothing to the data, half of all that is called generated where
            teachers and student learn; None for generated rows alone.
        generator_loss: of the student's scores; the paper's is minimax.
        teacher_steps, student_steps: moves of each before one of the generator.
        axis_name: mapped axis under pmap, over which what the answers cost is summed.

    Returns:
        A model of batches with 'x' `[B, D]` and 'index' `[B]`, the row's number, with the players 'teachers' (a leading
        axis k), 'student' and 'generator', an update for each; its state holds 'moments' `[L]` and 'open', 1 while the
        budget lasts. Methods: epsilon(variables, key) -> what has been spent, scalar; score(variables, key, x) -> the
        student's scores.

    Reference: Jordon et al. 2019, Algorithm 1.
    """

    def generate(variables: Variables, key: Array, num: int) -> Array:
        return generator.apply({"params": variables.params["generator"]}, jax.random.normal(key, (num, latent_dim)))

    def not_real(variables: Variables, key: Array, num: int) -> Array:
        half = num // 2 if public_rows is not None else 0
        made_key, public_key = jax.random.split(key)
        made = generate(variables, made_key, num - half)
        return made if public_rows is None else jnp.concatenate([made, public_rows(public_key, half)])

    def student(variables: Variables, x: Array) -> Array:
        return discriminator.apply({"params": variables.params["student"]}, x)

    def teachers(variables: Variables, x: Array) -> Array:
        return jax.vmap(lambda params: discriminator.apply({"params": params}, x))(variables.params["teachers"])

    def init(key: Array, batch: Batch) -> Variables:
        generator_key, student_key, teacher_key = jax.random.split(key, 3)
        row = batch["x"][:1]
        made = generator.init(generator_key, jnp.zeros((1, latent_dim)))["params"]
        each = lambda key: discriminator.init(key, row)["params"]
        params = {"generator": made, "student": each(student_key)}
        params["teachers"] = jax.vmap(each)(jax.random.split(teacher_key, num_teachers))
        state = {"moments": jnp.zeros(budget.orders, jnp.float32), "open": jnp.ones((), jnp.float32)}
        return Variables(params, state)

    def teach(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        fake = not_real(variables, key, batch["x"].shape[0])
        owner = batch["index"] % num_teachers
        losses = teacher_losses(teachers(variables, batch["x"]), teachers(variables, fake), owner)
        return losses.sum(), Aux(variables.state, {"each": losses.mean()})

    def learn(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del batch, step
        rows_key, noise_key = jax.random.split(key)
        rows = not_real(variables, rows_key, queries)
        votes = teachers(variables, rows) > 0
        cost = privacy.moments_of_answers(votes, budget.scale, orders=budget.orders).sum(axis=0)
        cost = cost if axis_name is None else lax.psum(cost, axis_name)
        moments = variables.state["moments"] + cost
        affordable = privacy.epsilon_spent(moments, budget.delta) <= budget.epsilon
        still_open = variables.state["open"] * affordable.astype(jnp.float32)
        moments = jnp.where(still_open > 0, moments, variables.state["moments"])
        answers = privacy.noisy_majority(noise_key, votes, budget.scale)
        loss = still_open * student_loss(student(variables, rows), answers).mean()
        agreement = jnp.mean(jnp.abs(2 * jnp.mean(votes.astype(jnp.float32), axis=0) - 1))
        metrics = {"epsilon": privacy.epsilon_spent(moments, budget.delta), "open": still_open}
        metrics |= {"called_real": still_open * answers.mean(), "agreement": agreement}
        return loss, Aux({"moments": moments, "open": still_open}, metrics)

    def deceive(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        scores = student(variables, generate(variables, key, batch["x"].shape[0]))
        loss = variables.state["open"] * generator_loss(scores).mean()
        return loss, Aux(variables.state, {"fake_score": scores.mean()})

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("This model is unconditional and takes no `condition`: classes are drawn with the rows.")
        return generate(variables, key, num_samples)

    return GenerativeModel(
        init=init,
        updates=(
            Update("teachers", ("teachers",), teach, repeat=teacher_steps),
            Update("student", ("student",), learn, repeat=student_steps),
            Update("generator", ("generator",), deceive),
        ),
        sample=sample,
        methods={
            "epsilon": lambda variables, key: privacy.epsilon_spent(variables.state["moments"], budget.delta),
            "score": lambda variables, key, x: student(variables, x),
        },
    )
