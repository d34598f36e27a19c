import torch

from polygrad_edu.denoiser import ResidualMLPDenoiser


def load_official(recorded) -> ResidualMLPDenoiser:
    """Our denoiser with the official weights."""
    weights = {name[len("weight/") :]: value for name, value in recorded.items() if name.startswith("weight/")}
    _, horizon, transition = recorded["trajectory"].shape
    depth = sum(name.endswith("linear.weight") and "network" in name for name in weights)
    width = weights["residual_mlp.network.0.weight"].shape[0]
    ours = ResidualMLPDenoiser(
        horizon, transition - 2, recorded["actions"].shape[-1], width, depth, weights["proj.weight"].shape[0]
    )
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
