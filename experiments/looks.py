"""What configs that edit the looks of digits share: a preview, and how near edits are to the look that was asked for.

On the test split of `looks/<looks>` every picture is there in every look (`genjax.data.domains`), so that the truth of
each edit is known.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import evaluations, translations
from genjax import evaluation as metrics
from genjax.contract import Array, Variables
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext

Edit = Callable[[Variables, Array, Array, Array], Array]  # variables, key, x [N, ...], look [N] -> [N, ...]
Plain = Callable[[np.ndarray, int], np.ndarray]  # pictures [N, H, W, C] of a look -> grey pictures [N, H, W, 1]


def preview_of(config: Any, levels: int, edit: Edit, num_looks: int, *, across: int = 1) -> Callable[..., Array]:
    """Return a System's `preview`: held-out pictures, each followed by what is made of it for every look.

    Args:
        config: of the run.
        levels: of its pictures.
        edit: see Edit.
        num_looks: K.
        across: such groups of K + 1 in a row of the grid, which is square for (across (K + 1))^2 pictures.
    """

    def preview(variables: Variables, key: Array, num: int) -> Array:
        groups = max(num // (num_looks + 1) // across, 1) * across
        stored = translations.held_out(config, groups * num_looks)
        # One look of each picture: the first, the second, ...
        chosen = np.arange(groups) * num_looks + np.arange(groups) % num_looks
        given = to_symmetric(stored["x"][chosen], levels)
        look = jnp.tile(jnp.arange(num_looks), groups)
        made = edit(variables, key, jnp.repeat(given, num_looks, axis=0), look)
        made = made.reshape(groups, num_looks, *given.shape[1:])
        return jnp.concatenate([given[:, None], made], axis=1).reshape(-1, *given.shape[1:])

    return preview


class Edited(NamedTuple):
    """Held-out pictures in [0, 1] after every edit.

    made: `[N, K, K, H, W, C]`, by the look given and the look asked for.
    truth: `[N, K, H, W, C]`.
    nearest: the look of the same picture that each is nearest to, `[N, K, K]`.
    kept: whether the classifier sees the digit that it sees in the plain picture `[N, K, K]`; None without one.
    """

    made: np.ndarray
    truth: np.ndarray
    nearest: np.ndarray
    kept: np.ndarray | None


def edits(
    context: EvalContext, edit: Edit, num_looks: int, plain: Plain, groups: Mapping[str, np.ndarray] | None = None
) -> dict[str, Any]:
    """Edit every held-out picture of every look into every look.

    Args:
        context: of a system of `looks/...` of digits.
        edit: see Edit.
        num_looks: K.
        plain: undoes a look, so that the classifier of digits can read the picture.
        groups: name -> which edits, bool `[K, K]` by the look given and the look asked for, to be measured apart.

    Returns:
        Over edits into another look: 'look_accuracy', the share that is nearer (mean absolute error) to the picture
        in the look asked for than in any other, 'l1' and 'psnr' by the truth in [0, 1], 'class_kept', the share in
        which the classifier sees the digit that it sees in the plain picture, and 'class_kept_of_truth' for the true
        pictures of all looks; the same with '_<name>' behind for each group; over edits into a picture's own look
        'l1_same' and 'psnr_same'; 'n' pictures and 'split'.
    """
    batches, look = list(context.test()), lambda x: np.asarray(translations.to_picture(x), np.float32)
    x = np.concatenate([np.asarray(batch["x"]) for batch in batches])
    truth, run = look(x).reshape(-1, num_looks, *x.shape[1:]), jax.jit(edit)
    made = [look(run(context.variables, context.key, x, jnp.full(len(x), k))) for k in range(num_looks)]
    made = np.stack(made, axis=1).reshape(-1, num_looks, num_looks, *x.shape[1:])
    to_look = [np.abs(made - truth[:, k, None, None]).mean(axis=(-3, -2, -1)) for k in range(num_looks)]
    kept, of_classes = _classes(context, made, truth, plain)
    found = Edited(made, truth, np.argmin(to_look, axis=0), kept)
    result = _figures(found, ~np.eye(num_looks, dtype=bool)) | of_classes
    for name, chosen in (groups or {}).items():
        result |= {f"{figure}_{name}": value for figure, value in _figures(found, chosen).items()}
    own = made[:, np.eye(num_looks, dtype=bool)]
    result |= translations.errors(own.reshape(x.shape), truth.reshape(x.shape), "_same")
    return result | {"n": len(truth), "split": context.config.data.test_split}


def edits_of_unknown_truth(context: EvalContext, edit: Edit, num_looks: int) -> dict[str, Any]:
    """Edit every held-out picture into every other look, and back.

    Args:
        context: of a system of pictures with a 'label', the look, and a method 'classify' (x) -> `[N, K]`.
        edit: see Edit.
        num_looks: K.

    Returns:
        'look_accuracy', the share of edits that the model's own classifier takes for the look asked for (chance 1/K),
        'look_accuracy_of_truth' of the pictures themselves; 'l1' and 'psnr' of the way there and back in [0, 1]; 'n'
        pictures and 'split'.
    """
    classify, run = jax.jit(context.system.model.methods["classify"]), jax.jit(edit)
    read = lambda x: np.asarray(classify(context.variables, context.key, x)).argmax(axis=1)
    made_right, right, given, again = [], [], [], []
    for batch in context.test():
        x, label = batch["x"], np.asarray(batch["label"])
        right.append(read(x) == label)
        for step in range(1, num_looks):
            wanted = (label + step) % num_looks
            made = run(context.variables, context.key, x, wanted)
            made_right.append(read(made) == wanted)
            given.append(np.asarray(translations.to_picture(x), np.float64))
            again.append(np.asarray(translations.to_picture(run(context.variables, context.key, made, label)), np.float64))
    result = {"look_accuracy": float(np.concatenate(made_right).mean())}
    result["look_accuracy_of_truth"] = float(np.concatenate(right).mean())
    result |= translations.errors(np.concatenate(again), np.concatenate(given))
    return result | {"n": len(np.concatenate(right)), "split": context.config.data.test_split}


def _figures(found: Edited, chosen: np.ndarray) -> dict[str, Any]:
    """Return the figures of some edits, bool `[K, K]`."""
    num_looks = found.truth.shape[1]
    right = found.nearest == np.arange(num_looks)
    wanted = np.broadcast_to(found.truth[:, None], found.made.shape)
    flat = lambda pictures: pictures[:, chosen].reshape(-1, *found.truth.shape[2:])
    result: dict[str, Any] = {"look_accuracy": float(right[:, chosen].mean())}
    result |= translations.errors(flat(found.made), flat(wanted))
    return result | ({} if found.kept is None else {"class_kept": float(found.kept[:, chosen].mean())})


def _classes(
    context: EvalContext, made: np.ndarray, truth: np.ndarray, plain: Plain
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Return (whether each edit keeps its digit, how often the true pictures do), where a classifier knows them."""
    if context.config.data.name.count("/") > 1:
        return None, {}  # of another set than digits
    classifier, looks = evaluations.classifier_of("digits"), range(truth.shape[1])
    seen = lambda x: metrics.embed(classifier, x.astype(np.float32)).log_probs.argmax(axis=1)
    true = seen(plain(truth[:, 0], 0))
    kept = [[seen(plain(made[:, given, asked], asked)) == true for asked in looks] for given in looks]
    best = [seen(plain(truth[:, look], look)) == true for look in looks]
    of_truth = {"class_kept_of_truth": float(np.mean(best)), "features": classifier.name}
    return np.moveaxis(np.array(kept), 2, 0), of_truth
