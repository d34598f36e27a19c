"""The program of assignment 6: a small PolyGRAD in which five things are wrong, on purpose.

Do not learn from it and do not import it elsewhere: the package's own files are the right ones. It runs, it learns, and
nothing in it ever stops with an error; that is what such faults are like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .loop_parts import LineWorld

HORIZON, N_STEPS = 5, 24  # H and T


class SmallPolyGRAD:
    """A world model of a line that ends beyond 1 on either side (x' = 0.9 x + 0.3 a), as small as it can be.

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
        # \bar\alpha_t for t = 0 ... T: 1 before anything is hidden; step t hides what was left at t as t + 1
        self.alpha_bar = torch.cos(u * math.pi / 2).square().clamp(min=1e-4)  # [T+1]
        self.mean, self.scale = torch.zeros(4), torch.ones(4)  # of position, reward, terminal and action

    def make_network(self) -> nn.Module:
        size = HORIZON * 4 + 1
        return nn.Sequential(nn.Linear(size, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, HORIZON * 3))

    # --- real steps -------------------------------------------------------------------------------------------------

    def collect(self, n_steps: int) -> tuple[Tensor, Tensor]:
        """Random real steps: rows [N, 4] of position, reward, terminal and action, and the episode of each [N]."""
        rows, episodes, episode = [], [], 0
        for _ in range(n_steps):
            action = 2 * torch.rand(1, generator=self.generator) - 1
            following, reward, terminal, truncated, _ = self.env.step(action.numpy())
            episodes.append(episode)
            if terminal or truncated:
                following, _ = self.env.reset()
                terminal, episode = False, episode + 1
            rows.append([float(self.observation[0]), reward, float(terminal), action.item()])
            self.observation = following
        return torch.tensor(rows), torch.tensor(episodes)

    def windows(self, rows: Tensor, episodes: Tensor) -> Tensor:
        """All windows [W, H, 4] of one episode each; behind an end the last row is repeated, paid nothing."""
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
        """Let the units follow the data: afterwards it has mean 0 and standard deviation 1."""
        self.mean, self.scale = rows.mean(0), rows.std(0) + 1e-6

    def normalise(self, raw: Tensor, columns: slice) -> Tensor:
        return (raw - self.mean[columns]) / self.scale[columns]

    def denormalise(self, normed: Tensor, columns: slice) -> Tensor:
        return normed * self.scale[columns] + self.mean[columns]

    # --- learning ---------------------------------------------------------------------------------------------------

    def add_noise(self, clean: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """[B, H, 3] hidden as deep as each row's step [B] hides it."""
        left = self.alpha_bar[step + 1][:, None, None]
        return left.sqrt() * clean + (1 - left).sqrt() * noise

    def predict(self, noisy: Tensor, actions: Tensor, step: Tensor, first: Tensor) -> Tensor:
        """The clean trajectory that the network sees in a noisy one [B, H, 3]; the first position [B] is known."""
        told = noisy.clone()
        told[:, 0, 0] = first
        about = (step / N_STEPS).expand(len(noisy))[:, None]
        seen = self.network(torch.cat([told.flatten(1), actions.flatten(1), about], dim=1)).view_as(noisy)
        return torch.cat([torch.cat([first[:, None, None], seen[:, :1, 1:]], dim=2), seen[:, 1:]], dim=1)

    def clip_gradient(self, parameters: Iterable[nn.Parameter], most: float) -> Tensor:
        """Shorten the gradient of all parameters together to ``most`` if it is longer; return how long it was."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = sum((gradient.square().sum() for gradient in gradients), torch.zeros(())) ** 1 / 2
        for gradient in gradients:
            gradient.mul_((most / (norm + 1e-6)).clamp(max=1))
        return norm

    def fit(self, windows: Tensor, updates: int) -> float:
        """Train on raw windows [W, H, 4]; the mean loss of the last hundred updates."""
        losses = []
        normed = self.normalise(windows, slice(None))
        for _ in range(updates):
            batch = normed[torch.randint(len(normed), (64,), generator=self.generator)]
            clean, actions = batch[..., :3], batch[..., 3:]
            step = torch.randint(N_STEPS, (64,), generator=self.generator)
            noise = torch.randn(clean.shape, generator=self.generator)
            seen = self.predict(self.add_noise(clean, step, noise), actions, step, clean[:, 0, 0])
            loss = (seen - clean).square().mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.clip_gradient(self.network.parameters(), most=1.0)
            self.optimiser.step()
            losses.append(loss.item())
        return sum(losses[-100:]) / len(losses[-100:])

    # --- imagining --------------------------------------------------------------------------------------------------

    def visits(self) -> list[int]:
        """The steps that the way back takes, noisiest first."""
        return list(range(N_STEPS - 1, 0, -1))

    def posterior(self, clean: Tensor, noisy: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what was there before a step, given x_0 and what is there after it."""
        before, after = self.alpha_bar[step], self.alpha_bar[step + 1]
        beta = 1 - after / before
        # (\sqrt{\bar\alpha} \beta x_0 + \sqrt{1 - \beta} (1 - \bar\alpha) x) / (1 - \bar\alpha')
        mean = (before.sqrt() * beta * clean + (1 - beta).sqrt() * (1 - before) * noisy) / (1 - after)
        return mean, (beta * (1 - before) / (1 - after)).sqrt()

    def guide(self, seen: Tensor, policy: Callable[[Tensor], Tensor], std: float, noise: Tensor) -> Tensor:
        """The policy's own actions, normalised [B, H, 1], at the positions of a predicted trajectory [B, H, 3].

        ``policy`` maps positions on the line to the mean of the action played there; ``std`` is its spread.
        """
        positions = seen[..., :1]
        actions = policy(positions) + std * noise
        return self.normalise(actions, slice(3, 4))

    @torch.no_grad()
    def imagine(self, first: Tensor, policy: Callable[[Tensor], Tensor], std: float) -> tuple[Tensor, Tensor]:
        """Trajectories [B, H, 3] and actions [B, H, 1] of a policy, from positions [B], in the line's own units."""
        known = self.normalise(first[:, None], slice(0, 1))[:, 0]  # [B]
        x = torch.randn(len(first), HORIZON, 3, generator=self.generator)
        action_noise = torch.randn(len(first), HORIZON, 1, generator=self.generator)  # kept for the whole way back
        actions = action_noise
        for step in self.visits():
            seen = self.predict(x, actions, torch.tensor(step), known)
            actions = self.guide(seen, policy, std, action_noise)
            mean, spread = self.posterior(seen, x, step)
            x = mean + spread * torch.randn(x.shape, generator=self.generator)
            x[:, 0, 0] = known
        return self.denormalise(x, slice(0, 3)), self.denormalise(actions, slice(3, 4))
