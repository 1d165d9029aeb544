"""The U-Net against the same architecture in diffusers/PyTorch, weights carried over."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import Text, UNet, ablated_unet, spatial_parts

torch = pytest.importorskip("torch", reason="parity with diffusers needs the extra 'parity'")
diffusers = pytest.importorskip("diffusers", reason="parity with diffusers needs the extra 'parity'")
pytestmark = pytest.mark.parity

ADAPTIVE = {
    "resnet_time_scale_shift": "scale_shift",
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "attn_norm_num_groups": 4,  # theirs has none in the middle under scale_shift unless told
}


def levels_of(channels, blocks, kinds, image_channels):
    """Return what both of diffusers' U-Nets call their levels, of these kinds on the way down."""
    return {
        "in_channels": image_channels,
        "out_channels": image_channels,
        "block_out_channels": channels,
        "layers_per_block": blocks,
        "down_block_types": tuple(kinds),
        "up_block_types": tuple(kind.replace("Down", "Up") for kind in reversed(kinds)),
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    }


def peer(*, channels, blocks, attention, head_channels=None, groups, num_classes=0, image_channels=3, **others):
    """Build the UNet2DModel that the U-Net's docstring says is the same, at random weights."""
    kinds = [["DownBlock2D", "AttnDownBlock2D"][level in attention] for level in range(len(channels))]
    return diffusers.UNet2DModel(
        **levels_of(channels, blocks, kinds, image_channels),
        attention_head_dim=head_channels,
        norm_num_groups=groups,
        norm_eps=1e-6,
        downsample_padding=1,
        act_fn="silu",
        mid_block_scale_factor=1,
        add_attention=True,
        num_class_embeds=num_classes + 1 if num_classes else None,
        **others,
    ).eval()


def peer_with_text(*, channels, blocks, attention, heads, groups, depth, features, image_channels=3):
    """Build Stable Diffusion's UNet2DConditionModel in our terms; its `attention_head_dim` counts heads."""
    kinds = [["DownBlock2D", "CrossAttnDownBlock2D"][level in attention] for level in range(len(channels))]
    return diffusers.UNet2DConditionModel(
        **levels_of(channels, blocks, kinds, image_channels),
        transformer_layers_per_block=depth,
        cross_attention_dim=features,
        attention_head_dim=heads,
        norm_num_groups=groups,
        norm_eps=1e-6,
    ).eval()


def carry(model, *, levels, blocks):
    """Return the peer's weights as the U-Net's parameters."""
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}

    def dense(name):
        kernel = weights[f"{name}.weight"]
        return {"kernel": kernel.reshape(kernel.shape[:2]).T, "bias": weights[f"{name}.bias"]}

    def conv(name):
        return {"kernel": weights[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": weights[f"{name}.bias"]}

    def norm(name):
        return {"scale": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}

    def block(name):
        parts = {"norm_in": norm(f"{name}.norm1"), "conv_in": conv(f"{name}.conv1")}
        parts |= {"norm_out": norm(f"{name}.norm2"), "conv_out": conv(f"{name}.conv2")}
        parts["embed"] = dense(f"{name}.time_emb_proj")
        if f"{name}.conv_shortcut.weight" in weights:
            parts["shortcut"] = dense(f"{name}.conv_shortcut")
        return parts

    def resampler(name):
        return {"conv": conv(f"{name}.conv")} if f"{name}.conv.weight" in weights else block(name)

    def attention(name):
        if f"{name}.proj_in.weight" in weights:
            return transformer(name)
        parts = {"norm": norm(f"{name}.group_norm"), "out": dense(f"{name}.to_out.0")}
        names = {"query": "to_q", "key": "to_k", "value": "to_v"}
        return parts | {ours: dense(f"{name}.{theirs}") for ours, theirs in names.items()}

    def of_tokens(name):
        names = {"query": "to_q", "key": "to_k", "value": "to_v"}
        parts = {ours: {"kernel": weights[f"{name}.{theirs}.weight"].T} for ours, theirs in names.items()}
        return parts | {"out": dense(f"{name}.to_out.0")}

    def layer(name):
        parts = {"attend_self": of_tokens(f"{name}.attn1"), "attend_text": of_tokens(f"{name}.attn2")}
        parts |= {"mlp_in": dense(f"{name}.ff.net.0.proj"), "mlp_out": dense(f"{name}.ff.net.2")}
        norms = {"norm_self": "norm1", "norm_text": "norm2", "norm_mlp": "norm3"}
        return parts | {ours: norm(f"{name}.{theirs}") for ours, theirs in norms.items()}

    def transformer(name):
        depth = len({key.split(".transformer_blocks.")[1].split(".")[0] for key in weights if key.startswith(f"{name}.tr")})
        layers = [layer(f"{name}.transformer_blocks.{i}") for i in range(depth)]
        parts = {"norm": norm(f"{name}.norm"), "blocks": jax.tree.map(lambda *leaves: np.stack(leaves), *layers)}
        return parts | {"project_in": dense(f"{name}.proj_in"), "project_out": dense(f"{name}.proj_out")}

    params = {
        "time": {"dense_0": dense("time_embedding.linear_1"), "dense_1": dense("time_embedding.linear_2")},
        "conv_in": conv("conv_in"),
        "middle_0": block("mid_block.resnets.0"),
        "middle_attention": attention("mid_block.attentions.0"),
        "middle_1": block("mid_block.resnets.1"),
        "norm_out": norm("conv_norm_out"),
        "conv_out": conv("conv_out"),
    }
    if "class_embedding.weight" in weights:
        params["classes"] = {"embedding": weights["class_embedding.weight"]}
    for level in range(levels):
        counterpart = f"up_blocks.{levels - 1 - level}"
        for way, theirs, count in (("down", f"down_blocks.{level}", blocks), ("up", counterpart, blocks + 1)):
            for i in range(count):
                params[f"{way}_{level}_{i}"] = block(f"{theirs}.resnets.{i}")
                if any(name.startswith(f"{theirs}.attentions.{i}.") for name in weights):
                    params[f"{way}_{level}_{i}_attention"] = attention(f"{theirs}.attentions.{i}")
        if level < levels - 1:
            params[f"downsample_{level}"] = resampler(f"down_blocks.{level}.downsamplers.0")
        if level > 0:
            params[f"upsample_{level}"] = resampler(f"{counterpart}.upsamplers.0")
    return params


@pytest.mark.parametrize(
    "settings, build, others",
    [
        pytest.param(dict(channels=(16, 32), blocks=1, attention=(1,), groups=8), UNet, {}, id="digits"),
        pytest.param(
            dict(channels=(8, 16, 24), blocks=2, attention=(0, 2), head_channels=4, groups=4, num_classes=10),
            UNet,
            {},
            id="classes and heads",
        ),
        pytest.param(
            dict(channels=(8, 16), blocks=1, attention=(0, 1), head_channels=4, groups=4, num_classes=10),
            functools.partial(ablated_unet, residual_scale=1.0),
            ADAPTIVE,
            id="ablated",
        ),
    ],
)
def test_same_weights_give_the_same_output(settings, build, others):
    torch.manual_seed(0)
    model = peer(**settings, **others)
    network = build(**settings)
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    t = np.array([0, 17, 999])
    label = np.array([0, 3, 10], np.int32) if "num_classes" in settings else None
    params = carry(model, levels=len(settings["channels"]), blocks=settings["blocks"])
    fresh = jax.eval_shape(network.init, jax.random.key(0), x, jnp.asarray(t), label)["params"]
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, fresh)
    ours = jax.jit(network.apply)({"params": params}, x, jnp.asarray(t), label)
    classes = {} if label is None else {"class_labels": torch.from_numpy(label.astype(np.int64))}
    with torch.no_grad():
        theirs = model(torch.from_numpy(x.transpose(0, 3, 1, 2)), torch.from_numpy(t), **classes).sample
    theirs = theirs.numpy().transpose(0, 2, 3, 1)
    assert np.abs(theirs).max() > 0.1  # a network that is zero would agree with anything
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)


def test_same_weights_attend_to_the_same_text():
    torch.manual_seed(0)
    shared = dict(channels=(8, 16), blocks=1, attention=(0, 1), groups=4)
    model = peer_with_text(**shared, heads=2, depth=2, features=6)
    random = np.random.default_rng(0)
    x, tokens = (random.normal(size=shape).astype(np.float32) for shape in ((2, 8, 8, 3), (2, 5, 6)))
    t = np.array([17, 999])
    params = carry(model, levels=2, blocks=1)
    network = UNet(**shared, text=True, parts=spatial_parts(heads=2, depth=2))
    fresh = jax.eval_shape(network.init, jax.random.key(0), x, jnp.asarray(t), Text(tokens))["params"]
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, fresh)
    ours = jax.jit(network.apply)({"params": params}, x, jnp.asarray(t), Text(tokens))
    with torch.no_grad():
        pictures = torch.from_numpy(x.transpose(0, 3, 1, 2))
        theirs = model(pictures, torch.from_numpy(t), encoder_hidden_states=torch.from_numpy(tokens)).sample
    theirs = theirs.numpy().transpose(0, 2, 3, 1)
    assert np.abs(theirs).max() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)
