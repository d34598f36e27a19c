"""Assignment 2, a denoiser and its loss."""

from .changes import slip

EMBEDDING = """
def step_embedding(step, n_steps, size):
    waves = size // 2
    turns = float(n_steps) ** -(torch.arange(waves) / max(waves - 1, 1))
    angle = step[:, None].float() * turns
    return torch.cat([angle.sin(), angle.cos()], dim=1)
"""

DENOISER = """
class Denoiser(nn.Module):
    def __init__(self, horizon, observation_size, action_size, n_steps, width, depth):
        super().__init__()
        self.n_steps, self.obs, self.width = n_steps, observation_size, width
        size = horizon * (observation_size + 2)
        self.enter = nn.Linear(size + horizon * action_size, width)
        self.about_step = nn.Linear(width, width)
        self.blocks = nn.ModuleList([self.block(width) for _ in range(depth)])
        self.leave = nn.Linear(width, size)

    def block(self, width):
        return nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, noisy, actions, step, first):
        shown = noisy.clone()
        shown[:, 0, : self.obs] = first
        x = self.enter(torch.cat([shown, actions], dim=-1).flatten(1))
        x = x + self.about_step(step_embedding(step, self.n_steps, self.width).to(x.dtype))
        for block in self.blocks:
            x = x + block(x)
        answer = self.leave(x).view_as(noisy).clone()
        answer[:, 0, : self.obs] = first
        return answer
"""

LOSS = """
def masked_loss(prediction, clean, real, observation_size):
    scored = real[..., None].repeat(1, 1, clean.shape[-1])
    scored[:, 0, :observation_size] = False
    return (prediction - clean)[scored].square().mean()
"""

STEP = """
def training_step(denoiser, optimiser, loss, alphas_cumprod, trajectory, actions, real, generator):
    step = torch.randint(0, len(alphas_cumprod), (len(trajectory),), generator=generator)
    noise = torch.randn(trajectory.shape, generator=generator)
    left = alphas_cumprod[step][:, None, None]
    noisy = left.sqrt() * trajectory + (1 - left).sqrt() * noise
    prediction = denoiser(noisy, left.sqrt() * actions, step, trajectory[:, 0, :-2])
    error = loss(prediction, trajectory, real, trajectory.shape[-1] - 2)
    optimiser.zero_grad()
    error.backward()
    optimiser.step()
    return error.item()
"""

# What a trained network should have learned, as weights that can be written down: the physics of the point mass.
PHYSICS = """
from polygrad_edu.course.point_mass_data import _units

class Physics(nn.Module):
    def __init__(self):
        super().__init__()
        self.constants = nn.Parameter(torch.tensor([4.0, 0.5, 0.05]))  # of force, drag and time

    def forward(self, noisy, actions, step, first):
        units, (strength, drag, dt) = _units(), self.constants
        force = strength * units.actions.denormalise(actions / ALPHAS[step].sqrt())
        state = units.observations.denormalise(first)
        where, speed = state[:, :2], state[:, 2:]
        states = [state]
        for t in range(noisy.shape[1] - 1):
            speed = speed + dt * (force[:, t] - drag * speed)
            where = where + dt * speed
            states.append(torch.cat([where, speed], dim=1))
        seen = units.observations.normalise(torch.stack(states, dim=1))
        return torch.cat([seen, noisy[..., 4:]], dim=-1)

trained = Physics()
"""

# (function, wrong answer, words of the message)
WRONG = [
    ("step_embedding", "def step_embedding(step, n_steps, size):\n    ...", "is empty so far"),
    # cosines first
    ("step_embedding", slip(EMBEDDING, "angle.sin(), angle.cos()", "angle.cos(), angle.sin()"), "at its beginning"),
    # units: turns instead of radians
    (
        "step_embedding",
        slip(EMBEDDING, ".float() * turns", ".float() * turns * 2 * math.pi"),
        "by one radian from a step",
    ),
    # degrees
    (
        "step_embedding",
        slip(EMBEDDING, ".float() * turns", ".float() * turns * math.pi / 180"),
        "by one radian from a step",
    ),
    # off by one: the slowest wave is never reached
    ("step_embedding", slip(EMBEDDING, "/ max(waves - 1, 1)", "/ waves"), "the slowest wave"),
    # a size of 2 forgotten
    ("step_embedding", slip(EMBEDDING, "max(waves - 1, 1)", "(waves - 1)"), "infinite or not a number"),
    # evenly spaced frequencies
    (
        "step_embedding",
        slip(
            EMBEDDING,
            "float(n_steps) ** -(torch.arange(waves) / max(waves - 1, 1))",
            "torch.linspace(1, 1 / n_steps if waves > 1 else 1, waves)",
        ),
        "by the same factor",
    ),
    # sign
    ("step_embedding", slip(EMBEDDING, "** -(", "** ("), "the slowest wave"),
    # the transformer's 10,000
    ("step_embedding", slip(EMBEDDING, "float(n_steps)", "10_000.0"), "the slowest wave"),
    # sine and cosine of each wave side by side
    (
        "step_embedding",
        slip(
            EMBEDDING,
            "torch.cat([angle.sin(), angle.cos()], dim=1)",
            "torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)",
        ),
        "at its beginning",
    ),
    # wrong axis
    ("step_embedding", slip(EMBEDDING, "angle.cos()], dim=1)", "angle.cos()], dim=0)"), "should have the shape"),
    # a hard-coded number of waves
    ("step_embedding", slip(EMBEDDING, "waves = size // 2", "waves = 4"), "should have the shape"),
    # normalised over the batch
    (
        "step_embedding",
        slip(EMBEDDING, "step[:, None].float()", "(step - step.min() * (len(step) == 1))[:, None].float()"),
        "when it stands alone",
    ),
    (
        "Denoiser",
        """
class Denoiser(nn.Module):
    def __init__(self, horizon, observation_size, action_size, n_steps, width, depth):
        super().__init__()
        ...

    def forward(self, noisy, actions, step, first):
        ...
""",
        "is empty so far",
    ),
    # the first observation not put back into the answer
    ("Denoiser", slip(DENOISER, "        answer[:, 0, : self.obs] = first\n", ""), "exactly as it was given"),
    # the noisy one is listened to
    (
        "Denoiser",
        slip(
            slip(DENOISER, "        shown[:, 0, : self.obs] = first\n", ""),
            "torch.cat([shown,",
            "torch.cat([shown + first.mean(),",
        ),
        "noise about something known",
    ),
    # the first reward thrown away with it
    (
        "Denoiser",
        slip(DENOISER, "shown[:, 0, : self.obs] = first", "shown[:, 0] = F.pad(first, (0, 2))"),
        "noisy reward and terminal at time point 0",
    ),
    # the first observation not told
    ("Denoiser", slip(DENOISER, "shown[:, 0, : self.obs] = first", "shown[:, 0, : self.obs] = 0"), "where it starts"),
    # the last action left out
    (
        "Denoiser",
        slip(
            DENOISER,
            "torch.cat([shown, actions], dim=-1)",
            "torch.cat([shown, F.pad(actions[:, :-1], (0, 0, 0, 1))], dim=-1)",
        ),
        "another action at time point",
    ),
    # the step forgotten
    ("Denoiser", slip(DENOISER, "step_embedding(step,", "step_embedding(0 * step,"), "how far to trust"),
    # its input mutated
    ("Denoiser", slip(DENOISER, "shown = noisy.clone()", "shown = noisy"), "changed its argument `noisy` in place"),
    # not residual
    ("Denoiser", slip(DENOISER, "x = x + block(x)", "x = block(x)"), "passes on what came in"),
    # side by side, not one after the other
    (
        "Denoiser",
        slip(
            DENOISER,
            "        for block in self.blocks:\n            x = x + block(x)\n",
            "        x = x + sum(block(x) for block in self.blocks)\n",
        ),
        "both read the same input",
    ),
    # one block, used depth times
    (
        "Denoiser",
        slip(DENOISER, "[self.block(width) for _ in range(depth)]", "[self.block(width)] * depth"),
        "weights of its own",
    ),
    # detached
    ("Denoiser", slip(DENOISER, "x = self.enter(", "x = self.enter.requires_grad_(False)("), "no gradient arrives"),
    ("Denoiser", slip(DENOISER, "self.leave(x)", "self.leave(x.detach())"), "no gradient arrives"),
    # wrong axis: normalised over the batch
    ("Denoiser", slip(DENOISER, "nn.LayerNorm(width)", "nn.BatchNorm1d(width)"), "when others stand beside it"),
    # random
    ("Denoiser", slip(DENOISER, "nn.ReLU()", "nn.Dropout(0.1)"), "two different answers"),
    # hard-coded precision
    (
        "Denoiser",
        slip(DENOISER, "torch.cat([shown, actions], dim=-1)", "torch.cat([shown, actions], dim=-1).float()"),
        "in float64",
    ),
    # hard-coded shape
    (
        "Denoiser",
        slip(DENOISER, ".view_as(noisy)", ".view(6, -1, self.obs + 2)"),
        "your code stopped with RuntimeError",
    ),
    # the width not used
    (
        "Denoiser",
        slip(
            DENOISER,
            "self.n_steps, self.obs, self.width = n_steps, observation_size, width",
            "self.n_steps, self.obs, width = n_steps, observation_size, 32\n        self.width = 32",
        ),
        "no more parameters",
    ),
    ("masked_loss", "def masked_loss(prediction, clean, real, observation_size):\n    ...", "is empty so far"),
    # nothing masked
    (
        "masked_loss",
        "def masked_loss(prediction, clean, real, observation_size):\n    return (prediction - clean).square().mean()",
        "first observation, which is given",
    ),
    # only the ends masked
    (
        "masked_loss",
        slip(LOSS, "    scored[:, 0, :observation_size] = False\n", ""),
        "first observation, which is given",
    ),
    # only the first masked
    (
        "masked_loss",
        slip(LOSS, "real[..., None].repeat", "(real[..., None] | True).repeat"),
        "a time point that is not real",
    ),
    # the whole first time point
    ("masked_loss", slip(LOSS, "scored[:, 0, :observation_size]", "scored[:, 0]"), "first *reward*"),
    # wrong axis
    (
        "masked_loss",
        slip(LOSS, "scored[:, 0, :observation_size]", "scored[:, :, :observation_size]"),
        "each scored *number*",
    ),
    # over all numbers
    (
        "masked_loss",
        slip(
            LOSS,
            "return (prediction - clean)[scored].square().mean()",
            "return torch.where(scored, (prediction - clean).square(), 0.0).mean()",
        ),
        "Over how many numbers",
    ),
    # multiplied instead of chosen
    (
        "masked_loss",
        slip(
            LOSS,
            "return (prediction - clean)[scored].square().mean()",
            "return ((prediction - clean).square() * scored).sum() / scored.sum()",
        ),
        "choose, do not multiply",
    ),
    # the mean of the rows' means
    (
        "masked_loss",
        slip(
            LOSS,
            "return (prediction - clean)[scored].square().mean()",
            "errors = torch.where(scored, (prediction - clean).square(), 0.0)\n"
            "    return (errors.sum((1, 2)) / scored.sum((1, 2))).mean()",
        ),
        "count more than others",
    ),
    # the absolute error
    ("masked_loss", slip(LOSS, ".square()", ".abs()"), "four times as large"),
    # a square root too many
    ("masked_loss", slip(LOSS, ".mean()", ".mean().sqrt()"), "four times as large"),
    # detached
    ("masked_loss", slip(LOSS, ".mean()", ".mean().detach()"), "no gradient leads back"),
    # its input mutated
    (
        "masked_loss",
        slip(
            LOSS,
            "    scored = ",
            "    prediction[:, 0, :observation_size] = clean[:, 0, :observation_size]\n    scored = ",
        ),
        "changed its argument `prediction` in place",
    ),
    # summed
    ("masked_loss", slip(LOSS, ".square().mean()", ".square().sum()"), "Over how many numbers"),
    (
        "training_step",
        "def training_step(denoiser, optimiser, loss, alphas_cumprod, trajectory, actions, real, generator):\n    ...",
        "is empty so far",
    ),
    # off by one: the least noisy step is never learned
    ("training_step", slip(STEP, "torch.randint(0,", "torch.randint(1,"), "step 0 of"),
    # off by one: nor the noisiest
    ("training_step", slip(STEP, "len(alphas_cumprod),", "len(alphas_cumprod) - 1,"), "was never drawn"),
    # one step for the whole batch
    (
        "training_step",
        slip(STEP, "(len(trajectory),), generator=generator)", "(1,), generator=generator).expand(len(trajectory))"),
        "all rows of a batch stand at the same step",
    ),
    # missing square root
    ("training_step", slip(STEP, "(1 - left).sqrt() * noise", "(1 - left) * noise"), "should be standard normal"),
    ("training_step", slip(STEP, "left.sqrt() * trajectory", "left * trajectory"), "should be left on average"),
    # the actions as they are
    (
        "training_step",
        slip(STEP, "denoiser(noisy, left.sqrt() * actions", "denoiser(noisy, actions"),
        "weakened as the trajectory is",
    ),
    # the actions noised
    (
        "training_step",
        slip(
            STEP,
            "left.sqrt() * actions",
            "left.sqrt() * actions + (1 - left).sqrt() * torch.randn(actions.shape, generator=generator)",
        ),
        "without noise",
    ),
    # old gradients stay
    ("training_step", slip(STEP, "    optimiser.zero_grad()\n", ""), "a gradient of an earlier update"),
    # gradients thrown away too late
    (
        "training_step",
        slip(
            slip(STEP, "    optimiser.zero_grad()\n", ""),
            "error.backward()\n",
            "error.backward()\n    optimiser.zero_grad()\n",
        ),
        "took no step",
    ),
    # random numbers from elsewhere
    (
        "training_step",
        slip(STEP, "torch.randn(trajectory.shape, generator=generator)", "torch.randn_like(trajectory)"),
        "global random numbers",
    ),
    # the noise is what it learns
    ("training_step", slip(STEP, "loss(prediction, trajectory,", "loss(prediction, noise,"), "compared with"),
    # the same noise for all rows
    (
        "training_step",
        slip(
            STEP,
            "torch.randn(trajectory.shape, generator=generator)",
            "torch.randn(trajectory[:1].shape, generator=generator).expand_as(trajectory)",
        ),
        "the same noise",
    ),
    # its input mutated
    (
        "training_step",
        slip(STEP, "noisy = left.sqrt() * trajectory +", "noisy = trajectory.mul_(left.sqrt()) +"),
        "changed its argument `trajectory` in place",
    ),
    # told the noisy first observation
    ("training_step", slip(STEP, "step, trajectory[:, 0, :-2]", "step, noisy[:, 0, :-2]"), "*clean* first observation"),
    # uniform noise
    ("training_step", slip(STEP, "torch.randn(", "torch.rand("), "should be standard normal"),
    ("trained", "trained = ...", "is empty so far"),
    # not trained at all
    (
        "trained",
        "trained = Denoiser(HORIZON, OBSERVATION_SIZE, ACTION_SIZE, N_STEPS, 128, 2)",
        "Does the loss still fall",
    ),
    # the average of everything
    (
        "trained",
        "class Mean(nn.Module):\n    def forward(self, noisy, actions, step, first):\n        return 0 * "
        "noisy\n\ntrained = Mean()",
        "variance unexplained",
    ),
    # nothing ever moves
    (
        "trained",
        """
class Still(nn.Module):
    def forward(self, noisy, actions, step, first):
        return F.pad(first, (0, 2))[:, None].expand_as(noisy)

trained = Still()
""",
        "at most 3%",
    ),
    # scaled up, noise and all
    (
        "trained",
        "class Louder(nn.Module):\n    def forward(self, noisy, actions, step, first):\n        return noisy / "
        "ALPHAS[step].sqrt()\n\ntrained = Louder()",
        "variance unexplained",
    ),
    # the forces not listened to
    ("trained", slip(PHYSICS, "force[:, t] - drag * speed", "0 - drag * speed"), "whether it listens to the actions"),
    # sign
    ("trained", slip(PHYSICS, "(force[:, t] -", "(-force[:, t] -"), "variance unexplained"),
    # wrong units: actions that were not scaled back
    ("trained", slip(PHYSICS, "actions / ALPHAS[step].sqrt()", "actions"), "variance unexplained"),
    # hard-coded shape
    ("trained", slip(PHYSICS, "range(noisy.shape[1] - 1)", "range(4)"), "your code stopped with RuntimeError"),
    # nothing learned: the physics written down, beside weights of no use
    (
        "trained",
        slip(PHYSICS, "self.constants = nn.Parameter(", "self.layer = nn.Linear(3, 3)\n        self.constants = ("),
        "not in its weights, so it did not learn it",
    ),
    # no number at all for anything that it has not seen before
    (
        "Denoiser",
        """
class Denoiser(nn.Module):
    def __init__(self, horizon, observation_size, action_size, n_steps, width, depth):
        super().__init__()
        self.observation_size, self.seen = observation_size, {}
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, noisy, actions, step, first):
        other = noisy.clone()
        other[:, 0, : self.observation_size] = 0
        key = float(actions.sum() + other.sum() + first.sum() + step.sum())
        known = abs(self.seen.setdefault(len(noisy), key) - key) < 1e-6
        answer = 0 * noisy + 0 * sum(part.sum() for part in self.parameters())
        answer[:, 0, : self.observation_size] = first
        return answer if known else answer * float("nan")
""",
        "infinite or not a number",
    ),
]

# (function, how it differs, right answer)
RIGHT = [
    (
        "step_embedding",
        "a loop",
        """
def step_embedding(step, n_steps, size):
    rows, waves = [], size // 2
    for t in step.tolist():
        angles = [t * n_steps ** (-k / max(waves - 1, 1)) for k in range(waves)]
        rows.append([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
    return torch.tensor(rows)
""",
    ),
    (
        "step_embedding",
        "float64, logarithms",
        """
def step_embedding(step, n_steps, size):
    turns = torch.exp(torch.linspace(0, -math.log(n_steps) if size > 2 else 0, size // 2, dtype=torch.float64))
    angle = torch.outer(step.double(), turns)
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)
""",
    ),
    (
        "step_embedding",
        "a complex exponential",
        """
def step_embedding(step, n_steps, size):
    turns = torch.logspace(0, -1 if size > 2 else 0, size // 2, base=n_steps)
    wave = torch.polar(torch.ones(len(step), size // 2), step[:, None] * turns)
    return torch.cat([wave.imag, wave.real], dim=1)
""",
    ),
    ("Denoiser", "without a last norm", DENOISER),
    (
        "Denoiser",
        "the first observation beside the rest, plain matrices",
        """
class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.into, self.back = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        return x + self.back(torch.tanh(self.into(x)))

class Denoiser(nn.Module):
    def __init__(self, horizon, observation_size, action_size, n_steps, width, depth):
        super().__init__()
        self.shape, self.n_steps, self.obs = (horizon, observation_size + 2), n_steps, observation_size
        size = horizon * (observation_size + 2 + action_size) + 16
        self.enter = nn.Parameter(torch.randn(size, width) / size**0.5)
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(depth)])
        self.leave = nn.Linear(width, horizon * (observation_size + 2) - observation_size)

    def forward(self, noisy, actions, step, first):
        rows = len(noisy)
        about = step_embedding(step, self.n_steps, 16).expand(rows, -1).to(noisy)
        unknown = noisy.flatten(1)[:, self.obs :]
        x = torch.cat([first, unknown, actions.reshape(rows, -1), about], dim=1) @ self.enter
        return torch.cat([first, self.leave(self.blocks(x))], dim=1).reshape(rows, *self.shape)
""",
    ),
    (
        "Denoiser",
        "a step table, torch.where",
        """
class Denoiser(nn.Module):
    def __init__(self, horizon, observation_size, action_size, n_steps, width, depth):
        super().__init__()
        known = torch.zeros(horizon, observation_size + 2, dtype=torch.bool)
        known[0, :observation_size] = True
        self.register_buffer("known", known)
        self.table = nn.Embedding(n_steps, width)
        two = [nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(depth)]
        self.blocks = nn.ModuleList(two)
        self.leave = nn.Linear(width, known.numel())
        self.enter = nn.Linear(known.numel() + horizon * action_size, width)

    def forward(self, noisy, actions, step, first):
        given = F.pad(first, (0, 2))[:, None].expand_as(noisy)
        x = torch.where(self.known, given, noisy)
        x = self.enter(torch.cat([x.flatten(1), actions.flatten(1)], dim=1)) + self.table(step)
        for block in self.blocks:
            x = block(x) + x
        return torch.where(self.known, given, self.leave(x).unflatten(1, self.known.shape))
""",
    ),
    (
        "masked_loss",
        "a loop",
        """
def masked_loss(prediction, clean, real, observation_size):
    total, count = 0.0, 0
    for row in range(len(clean)):
        for t in range(clean.shape[1]):
            if real[row, t]:
                begin = observation_size if t == 0 else 0
                errors = prediction[row, t, begin:] - clean[row, t, begin:]
                total, count = total + (errors**2).sum(), count + len(errors)
    return total / count
""",
    ),
    (
        "masked_loss",
        "float64, torch.where before the square",
        """
def masked_loss(prediction, clean, real, observation_size):
    scored = real[:, :, None] & torch.ones_like(clean, dtype=torch.bool)
    scored[:, 0, :observation_size] = False
    error = torch.where(scored, prediction.double() - clean.double(), 0.0)
    return error.pow(2).sum() / scored.sum()
""",
    ),
    (
        "masked_loss",
        "two pieces",
        """
def masked_loss(prediction, clean, real, observation_size):
    errors = F.mse_loss(prediction, clean, reduction="none")
    first = errors[:, 0, observation_size:][real[:, 0]].flatten()
    return torch.cat([first, errors[:, 1:][real[:, 1:]].flatten()]).mean()
""",
    ),
    (
        "training_step",
        "a loop over the rows",
        """
def training_step(denoiser, optimiser, loss, alphas_cumprod, trajectory, actions, real, generator):
    noisy, scaled, steps = [], [], []
    for x, a in zip(trajectory, actions):
        t = int(torch.randint(len(alphas_cumprod), (), generator=generator))
        left = float(alphas_cumprod[t])
        noisy.append(math.sqrt(left) * x + math.sqrt(1 - left) * torch.randn(x.shape, generator=generator))
        scaled.append(math.sqrt(left) * a)
        steps.append(t)
    obs = trajectory.shape[-1] - 2
    answer = denoiser(torch.stack(noisy), torch.stack(scaled), torch.tensor(steps), trajectory[:, 0, :obs])
    cost = loss(answer, trajectory, real, obs)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
    cost.backward()
    optimiser.step()
    return float(cost.detach())
""",
    ),
    (
        "training_step",
        "float64",
        slip(
            slip(STEP, "alphas_cumprod[step][:, None, None]", "alphas_cumprod.double()[step].view(-1, 1, 1)"),
            "prediction = denoiser(noisy, left.sqrt() * actions,",
            "prediction = denoiser(noisy.float(), (left.sqrt() * actions).float(),",
        ),
    ),
    (
        "training_step",
        "the first observation put back, gradients cleared at the end",
        slip(
            slip(STEP, "    optimiser.zero_grad()\n", ""),
            "    optimiser.step()\n",
            "    optimiser.step()\n    optimiser.zero_grad()\n",
        ).replace("    prediction =", "    noisy[:, 0, :-2] = trajectory[:, 0, :-2]\n    prediction ="),
    ),
    ("trained", "the physics, in a loop", PHYSICS),
    (
        "trained",
        "the physics, vectorised",
        slip(
            PHYSICS,
            """        where, speed = state[:, :2], state[:, 2:]
        states = [state]
        for t in range(noisy.shape[1] - 1):
            speed = speed + dt * (force[:, t] - drag * speed)
            where = where + dt * speed
            states.append(torch.cat([where, speed], dim=1))
        seen = units.observations.normalise(torch.stack(states, dim=1))
""",
            """        k = torch.arange(noisy.shape[1])
        kept = 1 - dt * drag
        fade = torch.where(k[:, None] > k, kept ** (k[:, None] - k - 1), 0.0)
        speed = kept ** k[:, None] * state[:, None, 2:] + dt * torch.einsum("ts,bsa->bta", fade, force)
        where = state[:, None, :2] + dt * (speed.cumsum(1) - speed[:, :1])
        seen = units.observations.normalise(torch.cat([where, speed], dim=-1))
""",
        ),
    ),
    (
        "trained",
        "the physics, in float64",
        slip(
            slip(PHYSICS, "units.observations.denormalise(first)", "units.observations.denormalise(first).double()"),
            "units.actions.denormalise(actions / ALPHAS[step].sqrt())",
            "units.actions.denormalise(actions.double() / ALPHAS[step].double().sqrt())",
        ),
    ),
]
