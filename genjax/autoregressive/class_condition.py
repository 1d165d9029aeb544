"""Conditioning of vector models (NADE, RNADE, MADE, MaskGIT) on a class.

A model built with num_classes K > 0 reads batch['label'] in training and scoring, and labels as `condition=` in
sampling and completion; its networks see them as vectors with a single one. A model built with K = 0 reads no labels,
and refuses a condition instead of ignoring it.
"""

import jax
import jax.numpy as jnp

from genjax.contract import Array, Batch


def one_hot_condition(num_classes: int, labels: Array | None, num: int) -> Array | None:
    """Return labels as the networks read them.

    Args:
        num_classes: K; 0 for an unconditional model.
        labels: integers [num] in 0..K-1; None exactly for an unconditional model.
        num: number of examples.

    Returns:
        float32 [num, K], or None where K is 0.

    Raises:
        ValueError: labels without classes, classes without labels, or another shape or dtype.
    """
    if num_classes == 0:
        if labels is not None:
            raise ValueError("this model is unconditional: it takes no condition.")
        return None
    if labels is None:
        raise ValueError(f"this model is conditional: give it a condition, labels 0..{num_classes - 1} [{num}].")
    if labels.shape != (num,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"the condition has shape {labels.shape}, dtype {labels.dtype}; it must be integers [{num}].")
    return jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)


def batch_condition(num_classes: int, batch: Batch) -> Array | None:
    """Return batch['label'] as `one_hot_condition` does, or None for an unconditional model."""
    labels = batch.get("label") if num_classes else None
    return one_hot_condition(num_classes, labels, batch["x"].shape[0])
