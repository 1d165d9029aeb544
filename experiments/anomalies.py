"""How well scores of steps find the anomalies of held-out series, beside simple scores.

    detection   areas under the ROC curve of any scores
    draw        both channels of series as curves
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from experiments import series
from experiments.evaluations import gather
from genjax.contract import Array
from genjax.training.system import EvalContext

Score = Callable[[np.ndarray], np.ndarray]  # series [N, T, D] -> scores [N, T], higher is more anomalous


def detection(context: EvalContext, scores: Mapping[str, Score], *, components: int) -> dict[str, float]:
    """Return how well scores tell anomalous steps from others on held-out series.

    Args:
        context: of a system whose batches have 'anomaly' `[B, T]` and 'label', 0 for none.
        scores: name -> score, fitted to the training series.
        components: of the principal component analysis that is compared with.

    Returns:
        For each score 'auroc_<name>' (of a step taken at random), and 'worst_<name>', the least of its values over the
        kinds of anomaly, each against the series without; the same for 'pca', the squared error of principal components
        fitted to the training series, and for 'deviation', the squared distance from the mean of the series; 'n'.
    """
    from sklearn.decomposition import PCA
    from sklearn.metrics import roc_auc_score

    (train,) = gather(context.train(), "x")
    x, truth, label = gather(context.test(), "x", "anomaly", "label")
    flat = lambda of: of.reshape(len(of), -1)
    pca = PCA(components).fit(flat(train))
    rebuilt = lambda of: pca.inverse_transform(pca.transform(flat(of))).reshape(of.shape)
    simple = {
        "pca": lambda of: ((of - rebuilt(of)) ** 2).sum(axis=2),
        "deviation": lambda of: ((of - of.mean(axis=1, keepdims=True)) ** 2).sum(axis=2),
    }
    found: dict[str, float] = {"n": len(x)}
    for name, score in {**scores, **simple}.items():
        given = np.asarray(score(x))
        found[f"auroc_{name}"] = float(roc_auc_score(truth.ravel(), given.ravel()))
        of_kind = [(label == 0) | (label == kind) for kind in range(1, label.max() + 1)]
        found[f"worst_{name}"] = float(min(roc_auc_score(truth[rows].ravel(), given[rows].ravel()) for rows in of_kind))
    return found


def draw(x: Array) -> Array:
    """Draw both channels of series `[N, T, 2]`, one above the other, `[N, 2 HEIGHT, WIDEN T, 1]` in [0, 1]."""
    return jnp.concatenate([series.draw(0.5 * x[..., channel : channel + 1]) for channel in (0, 1)], axis=1)
