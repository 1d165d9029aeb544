"""Pictures as patches: what a transformer takes for tokens, and a U-Net for the pixels of a smaller picture."""

from genjax.contract import Array


def patchify(x: Array, patch: int) -> Array:
    """Cut [B, H, W, C] into tokens [B, H W / patch^2, patch^2 C], row by row.

    Raises:
        ValueError: x is no batch of images, or the patch does not divide its sides.
    """
    if x.ndim != 4 or x.shape[1] % patch or x.shape[2] % patch:
        raise ValueError(
            f"x has shape {x.shape}; it must be [B, H, W, C] with H and W divisible by the patch, {patch}."
        )
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, patch * patch * channels)


def unpatchify(tokens: Array, patch: int, height: int, width: int) -> Array:
    """Undo `patchify` for pictures of this height and width, [B, H, W, C]."""
    batch, _, size = tokens.shape
    x = tokens.reshape(batch, height // patch, width // patch, patch, patch, size // patch**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height, width, -1)
