from unittest import mock

import pytest
import torch

from polygrad_edu.denoiser import CausalTransformer, ResidualMLPDenoiser, TransformerDenoiser


def load_official(recorded) -> ResidualMLPDenoiser:
    """Our denoiser with the official weights."""
    weights = {name[len("weight/") :]: value for name, value in recorded.items() if name.startswith("weight/")}
    _, horizon, transition = recorded["trajectory"].shape
    depth = sum(name.endswith("linear.weight") and "network" in name for name in weights)
    width = weights["residual_mlp.network.0.weight"].shape[0]
    with mock.patch("polygrad_edu.denoiser.EMBEDDING_SIZE", len(weights["proj.weight"])):  # recorded in a small one
        ours = ResidualMLPDenoiser(horizon, transition - 2, recorded["actions"].shape[-1], width, depth)
    renamed = {}
    for name, value in weights.items():
        new = name.replace("proj.", "project.").replace("time_mlp.0.weights", "embed_step.0.frequencies")
        new = new.replace("time_mlp", "embed_step").replace("residual_mlp.final_linear", "leave")
        if new.startswith("residual_mlp.network."):
            index, rest = new[len("residual_mlp.network.") :].split(".", 1)
            if index == "0":
                new = f"enter.{rest}"
            elif rest.startswith(("linear", "ln")):
                new = f"blocks.{(int(index) - 1) // 2}.{rest.replace('ln', 'norm')}"
            else:
                new = f"norm.{rest}"
        renamed[new] = value
    ours.load_state_dict(renamed)
    return ours


def test_output_is_the_official_one(golden, close):
    recorded = golden("denoiser")
    denoiser = load_official(recorded)
    close(denoiser(recorded["trajectory"], recorded["actions"], recorded["step"]).detach(), recorded["output"])


def test_one_step_for_all_rows_equals_the_step_repeated():
    denoiser = ResidualMLPDenoiser(5, 3, 2, width=16, depth=1)
    trajectory, actions = torch.randn(4, 5, 5), torch.randn(4, 5, 2)
    one, many = torch.tensor([7]), torch.full((4,), 7)
    torch.testing.assert_close(denoiser(trajectory, actions, one), denoiser(trajectory, actions, many))


def test_smooth_steps_change_the_features_little_from_step_to_step():
    def jump(unit):
        torch.manual_seed(0)
        features = ResidualMLPDenoiser(4, 3, 1, width=8, depth=0, step_unit=unit).embed_step[0]
        return features(torch.arange(128))[:, 1:].diff(dim=0).abs().mean()

    assert jump(1 / 128) < 0.2 < jump(1.0)


def official_transformer(width=8, n_heads=4, depth=2):
    """The same arithmetic from torch's own encoder layers, as a reference for ours."""
    layer = torch.nn.TransformerEncoderLayer(
        width, n_heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return torch.nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


def test_the_transformer_is_the_one_that_torch_builds():
    ours, theirs = CausalTransformer(5, 8, 2, 4), official_transformer()
    torch.nn.init.normal_(ours.positions)
    for block, layer in zip(ours.blocks, theirs.layers, strict=True):
        layer.self_attn.in_proj_weight.data.copy_(block.to_query_key_value.weight)
        layer.self_attn.in_proj_bias.data.copy_(block.to_query_key_value.bias)
        pairs = [
            (layer.self_attn.out_proj, block.from_heads),
            (layer.norm1, block.attention_norm),
            (layer.norm2, block.feed_forward[0]),
            (layer.linear1, block.feed_forward[1]),
            (layer.linear2, block.feed_forward[3]),
        ]
        for one, other in pairs:
            one.load_state_dict(other.state_dict())
    tokens = torch.randn(3, 4, 8)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(4)
    torch.testing.assert_close(ours(tokens), theirs(tokens + ours.positions[:4], mask=mask, is_causal=True))


def test_the_transformer_denoiser_sees_the_past_and_not_the_future():
    denoiser = TransformerDenoiser(6, 3, 2, width=16, depth=2)
    trajectory, actions, step = torch.randn(2, 6, 5), torch.randn(2, 6, 2), torch.tensor([7])
    out = denoiser(trajectory, actions, step)
    assert out.shape == (2, 6, 5)
    later = trajectory.clone()
    later[:, 4] += 1
    changed = (denoiser(later, actions, step) - out).abs().amax(dim=(0, 2))
    assert (changed[:4] == 0).all()
    assert (changed[4:] > 0).all()
    moved = actions.clone()
    moved[:, 2] += 1
    changed = (denoiser(trajectory, moved, step) - out).abs().amax(dim=(0, 2))
    assert (changed[:2] == 0).all()
    assert (changed[2:] > 0).all()
    assert not torch.allclose(out, denoiser(trajectory, actions, step + 1))
    shorter = denoiser(trajectory[:, :3], actions[:, :3], step)
    torch.testing.assert_close(shorter, out[:, :3])


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 10 must be a multiple of the 4 attention heads"):
        TransformerDenoiser(6, 3, 2, width=10)
