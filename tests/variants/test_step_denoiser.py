import torch

from polygrad_edu.noise_schedule import CLEAN, NoiseSchedule
from polygrad_edu.variants.step_denoiser import StepMLPDenoiser

O, A, P, B = 3, 2, 6, 4  # noqa: E741 - the field's letters


def denoiser():
    torch.manual_seed(0)
    made = StepMLPDenoiser(O, A, 16, 2, NoiseSchedule.cosine(32, 1.0))
    torch.nn.init.normal_(made.leave.weight)
    return made.requires_grad_(False)


def inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    trajectory, surprise = torch.randn(2, B, P, O + 2, generator=generator)
    return trajectory, torch.randn(B, P, A, generator=generator), torch.tensor([[CLEAN, 0, 5, 9, 20, 31]]), surprise


def test_untrained_it_adds_nothing():
    made = StepMLPDenoiser(O, A, 16, 2, NoiseSchedule.cosine(32, 1.0))
    assert (made(*inputs()) == 0).all()


def test_a_step_depends_on_the_state_before_it_and_its_action_and_on_nothing_else():
    made = denoiser()
    trajectory, actions, step, surprise = inputs()
    told = torch.cat([trajectory, actions, surprise], dim=-1).requires_grad_()

    def answer(told):
        return made(told[..., : O + 2], told[..., O + 2 : O + 2 + A], step, told[..., O + 2 + A :])

    for point in range(1, P):
        output = answer(told)
        of_step = output[:, point, :O].sum() + output[:, point - 1, O:].sum()
        (gradient,) = torch.autograd.grad(of_step, told)
        reached = {
            (row, name)
            for row in range(P)
            for name, part in (
                ("state", gradient[:, row, :O]),
                ("outcome", gradient[:, row, O : O + 2]),
                ("action", gradient[:, row, O + 2 : O + 2 + A]),
            )
            if part.abs().max() > 0
        }
        assert reached == {(point, "state"), (point - 1, "state"), (point - 1, "outcome"), (point - 1, "action")}


def test_every_step_has_the_same_weights():
    made = denoiser()
    trajectory, actions, step, surprise = inputs()
    step = step.expand(B, -1)
    output = made(trajectory, actions, step, surprise)
    later = made(*(part[:, 2:] for part in (trajectory, actions, step, surprise)))
    torch.testing.assert_close(later[:, 1:, :O], output[:, 3:, :O])
    torch.testing.assert_close(later[:, :-1, O:], output[:, 2:-1, O:])


def test_what_it_knows_nothing_of_is_left_alone():
    output = denoiser()(*inputs())
    assert (output[:, 0, :O] == 0).all()
    assert (output[:, -1, O:] == 0).all()
