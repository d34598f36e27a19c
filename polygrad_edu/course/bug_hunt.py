"""Program of assignment 6: a small PolyGRAD with five deliberate bugs.

Do not learn from it and do not import it elsewhere: the package's own files are the right ones. It runs, it learns, and
it never stops with an error, as is usual for such bugs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .loop_parts import LineWorld

HORIZON = 5  # H
N_STEPS = 24  # T


class SmallPolyGRAD:
    """Smallest possible world model of a point on a line (x' = 0.9 x + 0.3 a) that ends beyond 1 on either side.

    A trajectory is [B, H, 3]: position, reward, terminal. Actions are [B, H, 1].
    """

    def __init__(self, seed: int):
        self.env = LineWorld(edge=1.0)
        self.network = self.make_network()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=2e-3)
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.observation, _ = self.env.reset(seed=seed)
        u = torch.linspace(0, 1, N_STEPS + 1)
        # \bar\alpha_t for t = 0 ... T: 1 before there is any noise; step t adds noise, from \bar\alpha_t to
        # \bar\alpha_{t+1}
        self.alpha_bar = torch.cos(u * math.pi / 2).square().clamp(min=1e-4)  # [T+1]
        # of position, reward, terminal and action
        self.mean = torch.zeros(4)
        self.scale = torch.ones(4)

    def make_network(self) -> nn.Module:
        """Network from a noisy trajectory, its actions and its step to a clean trajectory."""
        size = HORIZON * 4 + 1
        return nn.Sequential(nn.Linear(size, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, HORIZON * 3))

    # --- real steps -------------------------------------------------------------------------------------------------

    def collect(self, n_steps: int) -> tuple[Tensor, Tensor]:
        """Take random real steps: rows [N, 4] of position, reward, terminal and action, and each one's episode [N]."""
        rows = []
        episodes = []
        episode = 0
        for _ in range(n_steps):
            action = 2 * torch.rand(1, generator=self.generator) - 1
            following, reward, terminal, truncated, _ = self.env.step(action.numpy())
            episodes.append(episode)
            if terminal or truncated:
                following, _ = self.env.reset()
                terminal = False
                episode += 1
            rows.append([float(self.observation[0]), reward, float(terminal), action.item()])
            self.observation = following
        return torch.tensor(rows), torch.tensor(episodes)

    def windows(self, rows: Tensor, episodes: Tensor) -> Tensor:
        """All windows [W, H, 4] of one episode each; after a terminal the last row is repeated, with reward 0."""
        found = []
        for first in range(len(rows)):
            window = rows[first : first + HORIZON][episodes[first : first + HORIZON] == episodes[first]]
            if len(window) < HORIZON and window[-1, 2] == 1:
                padding = window[-1:].repeat(HORIZON - len(window), 1)
                padding[:, 1] = 0
                window = torch.cat([window, padding])
            if len(window) == HORIZON:
                found.append(window)
        return torch.stack(found)

    # --- units ------------------------------------------------------------------------------------------------------

    def follow(self, rows: Tensor) -> None:
        """Fit the units to the data, so that it has mean 0 and standard deviation 1."""
        self.mean = rows.mean(0)
        self.scale = rows.std(0) + 1e-6

    def normalise(self, raw: Tensor, columns: slice) -> Tensor:
        """Raw values in the units of these columns of the data."""
        return (raw - self.mean[columns]) / self.scale[columns]

    def denormalise(self, normed: Tensor, columns: slice) -> Tensor:
        """Inverse of :meth:`normalise`."""
        return normed * self.scale[columns] + self.mean[columns]

    # --- learning ---------------------------------------------------------------------------------------------------

    def add_noise(self, clean: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """Clean trajectories [B, H, 3] with the noise of each row's step [B]."""
        left = self.alpha_bar[step + 1][:, None, None]
        return left.sqrt() * clean + (1 - left).sqrt() * noise

    def predict(self, noisy: Tensor, actions: Tensor, step: Tensor, first: Tensor) -> Tensor:
        """Predict the clean trajectory from a noisy one [B, H, 3]; the first position [B] is known."""
        shown = noisy.clone()
        shown[:, 0, 0] = first
        about = (step / N_STEPS).expand(len(noisy))[:, None]
        seen = self.network(torch.cat([shown.flatten(1), actions.flatten(1), about], dim=1)).view_as(noisy)
        return torch.cat([torch.cat([first[:, None, None], seen[:, :1, 1:]], dim=2), seen[:, 1:]], dim=1)

    def clip_gradient(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Shorten the gradient of all parameters together to ``max_norm`` if it is longer; return its length before."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = sum((gradient.square().sum() for gradient in gradients), torch.zeros(())) ** 1 / 2
        for gradient in gradients:
            gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1))
        return norm

    def fit(self, windows: Tensor, updates: int) -> float:
        """Train on raw windows [W, H, 4]; return the mean loss of the last hundred updates."""
        losses = []
        normed = self.normalise(windows, slice(None))
        for _ in range(updates):
            batch = normed[torch.randint(len(normed), (64,), generator=self.generator)]
            clean = batch[..., :3]
            actions = batch[..., 3:]
            step = torch.randint(N_STEPS, (64,), generator=self.generator)
            noise = torch.randn(clean.shape, generator=self.generator)
            seen = self.predict(self.add_noise(clean, step, noise), actions, step, clean[:, 0, 0])
            loss = (seen - clean).square().mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.clip_gradient(self.network.parameters(), 1.0)
            self.optimiser.step()
            losses.append(loss.item())
        return sum(losses[-100:]) / len(losses[-100:])

    # --- imagining --------------------------------------------------------------------------------------------------

    def visits(self) -> list[int]:
        """Diffusion steps that the reverse process visits, noisiest first."""
        return list(range(N_STEPS - 1, 0, -1))

    def posterior(self, clean: Tensor, noisy: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the trajectory before a step, given x_0 and the noisy one after it."""
        before = self.alpha_bar[step]
        after = self.alpha_bar[step + 1]
        beta = 1 - after / before
        # (\sqrt{\bar\alpha} \beta x_0 + \sqrt{1 - \beta} (1 - \bar\alpha) x) / (1 - \bar\alpha')
        mean = (before.sqrt() * beta * clean + (1 - beta).sqrt() * (1 - before) * noisy) / (1 - after)
        return mean, (beta * (1 - before) / (1 - after)).sqrt()

    def guide(self, seen: Tensor, policy: Callable[[Tensor], Tensor], std: float, noise: Tensor) -> Tensor:
        """Actions of the policy, normalised [B, H, 1], at the positions of a predicted trajectory [B, H, 3].

        ``policy`` maps positions on the line to the mean of its action there; ``std`` is its standard deviation.
        """
        positions = seen[..., :1]
        actions = policy(positions) + std * noise
        return self.normalise(actions, slice(3, 4))

    @torch.no_grad()
    def imagine(self, first: Tensor, policy: Callable[[Tensor], Tensor], std: float) -> tuple[Tensor, Tensor]:
        """Imagine trajectories [B, H, 3] and actions [B, H, 1] of a policy from positions [B], all in raw units."""
        known = self.normalise(first[:, None], slice(0, 1))[:, 0]  # [B]
        x = torch.randn(len(first), HORIZON, 3, generator=self.generator)
        action_noise = torch.randn(len(first), HORIZON, 1, generator=self.generator)  # kept for all steps
        actions = action_noise
        for step in self.visits():
            seen = self.predict(x, actions, torch.tensor(step), known)
            actions = self.guide(seen, policy, std, action_noise)
            mean, spread = self.posterior(seen, x, step)
            x = mean + spread * torch.randn(x.shape, generator=self.generator)
            x[:, 0, 0] = known
        return self.denormalise(x, slice(0, 3)), self.denormalise(actions, slice(3, 4))
