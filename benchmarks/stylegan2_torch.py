"""StyleGAN2's networks in plain PyTorch, as functions of the parameters of ours; see `adversarial_stylegan2`."""

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional


def as_torch(tree: Any, device: str) -> Any:
    """Return a tree of parameters as tensors, kernels `[F, C, k, k]`."""
    if isinstance(tree, dict) or hasattr(tree, "items"):
        return {name: as_torch(value, device) for name, value in tree.items()}
    array = np.asarray(tree)
    if array.ndim == 4:
        is_kernel = array.shape[0] == array.shape[1]  # the constant has 1 and 4
        array = array.transpose(3, 2, 0, 1) if is_kernel else array.transpose(0, 3, 1, 2)
    return torch.tensor(np.ascontiguousarray(array), device=device, requires_grad=True)


def leaves_of(tree: Any) -> list:
    """Return the tensors of a tree."""
    return [leaf for value in tree.values() for leaf in leaves_of(value)] if isinstance(tree, dict) else [tree]


def _dense(p: Any, x: Any, multiplier: float = 1.0) -> Any:
    return x @ (p["kernel"] * (multiplier / math.sqrt(p["kernel"].shape[0]))) + multiplier * p["bias"]


def _act(x: Any) -> Any:
    return math.sqrt(2) * functional.leaky_relu(x, 0.2)


def _kernel(p: Any) -> Any:
    return p["kernel"] / math.sqrt(p["kernel"][0].numel())


def _fir(x: Any, pad: tuple[int, int], gain: float = 1.0, stride: int = 1) -> Any:
    """Filter each channel by 1 3 3 1 on both axes."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device) / 8
    kernel = (gain * taps[:, None] * taps[None])[None, None].repeat(x.shape[1], 1, 1, 1)
    x = functional.pad(x, (*pad, *pad))
    return functional.conv2d(x, kernel, stride=stride, groups=x.shape[1])


def mapping(p: Any, z: Any) -> Any:
    """Return w of latents `[B, L]`."""
    x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
    for index in range(len(p)):
        x = _act(_dense(p[f"dense_{index}"], x, 0.01))
    return x


def _modulated(p: Any, x: Any, w: Any, *, demodulate: bool = True, up: bool = False) -> Any:
    """Convolve each example by its own kernel, as so many groups."""
    num, kernel = len(x), _kernel(p)
    own = kernel[None] * _dense(p["style"], w)[:, None, :, None, None]
    if demodulate:
        own = own * torch.rsqrt(own.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
    side_by_side = x.reshape(1, -1, *x.shape[2:])
    if up:
        turned = own.flip(3, 4).transpose(1, 2).flatten(0, 1)
        y = functional.conv_transpose2d(side_by_side, turned, stride=2, groups=num)
        y = y.reshape(num, -1, *y.shape[2:])
        return _fir(y, (1, 1), gain=4.0)
    y = functional.conv2d(side_by_side, own.flatten(0, 1), padding=kernel.shape[-1] // 2, groups=num)
    return y.reshape(num, -1, *y.shape[2:])


def synthesis(p: Any, styles: list, noise: list) -> Any:
    """Return pictures `[B, C, H, W]` of styles `[B, W]` for each layer and noise `[B, 1, H, W]` for each convolution."""

    def layer(name: str, x: Any, index: int, up: bool = False) -> Any:
        x = _modulated(p[name]["conv"], x, styles[index], up=up)
        return _act(x + p[name]["noise_strength"] * noise[index] + p[name]["bias"][None, :, None, None])

    def colours(side: int, x: Any, index: int) -> Any:
        x = _modulated(p[f"to_rgb_{side}"], x, styles[index], demodulate=False)
        return x + p[f"to_rgb_{side}_bias"][None, :, None, None]

    x = layer("conv_4", p["constant"].repeat(len(styles[0]), 1, 1, 1), 0)
    picture = colours(4, x, 1)
    for index in range(1, len(styles) // 2):
        side, first = 4 * 2**index, 2 * index - 1
        x = layer(f"conv_{side}_0", x, first, up=True)
        x = layer(f"conv_{side}_1", x, first + 1)
        picture = _doubled(picture) + colours(side, x, first + 2)
    return picture


def _doubled(x: Any) -> Any:
    """Put a zero behind every pixel and filter."""
    batch, channels, height, width = x.shape
    zeros = functional.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
    return _fir(zeros.reshape(batch, channels, 2 * height, 2 * width), (2, 1), gain=4.0)


def discriminator(p: Any, x: Any, group: int) -> Any:
    """Return scores `[B]` of pictures `[B, C, H, W]`."""
    conv = functional.conv2d
    x = _act(conv(x, _kernel(p["from_rgb"])) + p["from_rgb"]["bias"][None, :, None, None])
    side = x.shape[-1]
    while side > 4:
        block = p[f"block_{side}"]
        y = _act(conv(x, _kernel(block["conv"]), padding=1) + block["conv"]["bias"][None, :, None, None])
        y = conv(_fir(y, (2, 2)), _kernel(block["down"]), stride=2)
        y = _act(y + block["bias"][None, :, None, None])
        shortcut = conv(_fir(x, (1, 1), stride=2), _kernel(block["shortcut"]))
        x, side = (y + shortcut) * math.sqrt(0.5), side // 2
    grouped = x.reshape(-1, min(group, len(x)), *x.shape[1:])
    std = torch.sqrt(grouped.var(dim=1, unbiased=False) + 1e-8).mean(dim=(1, 2, 3))
    column = std.repeat_interleave(grouped.shape[1])[:, None, None, None].expand(-1, 1, *x.shape[2:])
    x = torch.cat([x, column], dim=1)
    x = _act(conv(x, _kernel(p["conv"]), padding=1) + p["conv"]["bias"][None, :, None, None])
    x = _act(_dense(p["dense"], x.permute(0, 2, 3, 1).reshape(len(x), -1)))
    return _dense(p["score"], x)[:, 0]
