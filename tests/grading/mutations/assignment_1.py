"""Assignment 1, noise schedules and the posterior."""

# (function, wrong answer, words of the message)
WRONG = [
    ("signal", "def signal(n_steps, tau):\n    ...", "is empty so far"),
    (
        "signal",  # off by one: a number for each step
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps, dtype=torch.float64)
    return (torch.cos(u * math.pi / 2) ** (2 * tau)).float()
""",
        "one number more than there are steps",
    ),
    (
        "signal",  # the amplitude instead of the variance
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
    return torch.cos(u * math.pi / 2) ** tau
""",
        "half of the *variance*",
    ),
    (
        "signal",  # units: degrees
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
    left = torch.cos(u * 90).abs() ** (2 * tau)
    left[-1] = 0
    return left
""",
        "radians",
    ),
    (
        "signal",  # sine for cosine
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
    return torch.sin(u * math.pi / 2) ** (2 * tau)
""",
        "before the first step nothing is hidden",
    ),
    (
        "signal",  # the temperature upside down
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
    return torch.cos(u * math.pi / 2).clamp(min=0) ** (2 / tau)
""",
        "with twice the temperature",
    ),
    (
        "signal",  # the temperature forgotten
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
    return torch.cos(u * math.pi / 2) ** 2
""",
        "with twice the temperature",
    ),
    (
        "signal",  # float32: cos(pi/2) is below zero
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps + 1)
    return torch.cos(u * math.pi / 2) ** (2 * tau)
""",
        "not a number",
    ),
    (
        "signal",  # float32, made positive: a small power makes much of little
        """
def signal(n_steps, tau):
    u = torch.linspace(0, 1, n_steps + 1)
    return torch.cos(u * math.pi / 2).abs() ** (2 * tau)
""",
        "should end with nothing left",
    ),
    (
        "signal",  # a straight line
        """
def signal(n_steps, tau):
    return torch.linspace(1, 0, n_steps + 1) ** tau
""",
        "the cosine starts slowly",
    ),
    (
        "signal",  # a list
        """
def signal(n_steps, tau):
    return [math.cos(t / n_steps * math.pi / 2) ** (2 * tau) for t in range(n_steps + 1)]
""",
        "a torch tensor, not a list",
    ),
    ("betas", "def betas(alpha_bar):\n    ...", "is empty so far"),
    (
        "betas",  # differences of the shares, not ratios
        "def betas(alpha_bar):\n    return (alpha_bar[:-1] - alpha_bar[1:]).clamp(max=0.999)",
        "multiplying up what each step keeps",
    ),
    (
        "betas",  # alpha instead of beta
        "def betas(alpha_bar):\n    return (alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)",
        "multiplying up what each step keeps",
    ),
    (
        "betas",  # a square root that does not belong
        "def betas(alpha_bar):\n    return (1 - (alpha_bar[1:] / alpha_bar[:-1]).sqrt()).clamp(max=0.999)",
        "multiplying up what each step keeps",
    ),
    (
        "betas",  # upside down
        "def betas(alpha_bar):\n    return (1 - alpha_bar[:-1] / alpha_bar[1:]).clamp(max=0.999)",
        "between 0 and 1",
    ),
    (
        "betas",  # off by one: a step in front of the first
        """
def betas(alpha_bar):
    before = torch.cat([torch.ones(1), alpha_bar[:-1]])
    return (1 - alpha_bar / before).clamp(max=0.999)
""",
        "should have the shape",
    ),
    (
        "betas",  # nothing keeps the last one below 1
        "def betas(alpha_bar):\n    return 1 - alpha_bar[1:] / alpha_bar[:-1]",
        "a step that takes everything",
    ),
    (
        "betas",  # its input mutated
        """
def betas(alpha_bar):
    kept = alpha_bar[1:] / alpha_bar[:-1]
    alpha_bar /= alpha_bar[0] + 1
    return (1 - kept).clamp(max=0.999)
""",
        "in place",
    ),
    ("add_noise", "def add_noise(x_0, alpha_bar, step, noise):\n    ...", "is empty so far"),
    (
        "add_noise",  # both square roots missing
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step].reshape(-1, *[1] * (x_0.ndim - 1))
    return left * x_0 + (1 - left) * noise
""",
        "should keep variance 1",
    ),
    (
        "add_noise",  # one square root missing
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step].reshape(-1, *[1] * (x_0.ndim - 1))
    return left.sqrt() * x_0 + (1 - left) * noise
""",
        "should keep variance 1",
    ),
    (
        "add_noise",  # the two weights swapped
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step].reshape(-1, *[1] * (x_0.ndim - 1))
    return (1 - left).sqrt() * x_0 + left.sqrt() * noise
""",
        "share of the variance should be",
    ),
    (
        "add_noise",  # sign
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step].reshape(-1, *[1] * (x_0.ndim - 1))
    return left.sqrt() * x_0 - (1 - left).sqrt() * noise
""",
        "its sign turned",
    ),
    (
        "add_noise",  # wrong axis
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step]
    return left.sqrt() * x_0 + (1 - left).sqrt() * noise
""",
        "Which axis does `step` belong to?",
    ),
    (
        "add_noise",  # every row at the step of the first
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step[0]]
    return left.sqrt() * x_0 + (1 - left).sqrt() * noise
""",
        "share of the variance should be",
    ),
    (
        "add_noise",  # off by one
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[(step - 1).clamp(min=0)].reshape(-1, *[1] * (x_0.ndim - 1))
    return left.sqrt() * x_0 + (1 - left).sqrt() * noise
""",
        "share of the variance should be",
    ),
    (
        "add_noise",  # hard-coded shape
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step].reshape(-1, 1, 1)
    return left.sqrt() * x_0 + (1 - left).sqrt() * noise
""",
        "should have the shape",
    ),
    (
        "add_noise",  # its input mutated
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step].reshape(-1, *[1] * (x_0.ndim - 1))
    x_0 *= left.sqrt()
    return x_0 + (1 - left).sqrt() * noise
""",
        "in place",
    ),
    ("posterior_variance", "def posterior_variance(betas):\n    ...", "is empty so far"),
    (
        "posterior_variance",  # the variance of the step in, not of the step back
        "def posterior_variance(betas):\n    return betas",
        "nothing is left to draw",
    ),
    (
        "posterior_variance",  # off by one: after for before
        """
def posterior_variance(betas):
    after = torch.cumprod(1 - betas, dim=0)
    before = torch.cat([after.new_ones(1), after[:-1]])
    return betas * (1 - after) / (1 - torch.cat([after[1:], after[-1:] * 0.5])) * (before < 1)
""",
        "as precisions",
    ),
    (
        "posterior_variance",  # upside down
        """
def posterior_variance(betas):
    after = torch.cumprod(1 - betas, dim=0)
    before = torch.cat([after.new_ones(1), after[:-1]])
    return betas * (1 - after) / (1 - before)
""",
        "infinite or not a number",
    ),
    (
        "posterior_variance",  # the standard deviation
        """
def posterior_variance(betas):
    after = torch.cumprod(1 - betas, dim=0)
    before = torch.cat([after.new_ones(1), after[:-1]])
    return (betas * (1 - before) / (1 - after)).sqrt()
""",
        "surer than who knows x_t alone",
    ),
    (
        "posterior_variance",  # beta forgotten
        """
def posterior_variance(betas):
    after = torch.cumprod(1 - betas, dim=0)
    before = torch.cat([after.new_ones(1), after[:-1]])
    return (1 - before) / (1 - after)
""",
        "surer than who knows x_t alone",
    ),
    (
        "posterior_variance",  # nothing left instead of everything left, before the first step
        """
def posterior_variance(betas):
    after = torch.cumprod(1 - betas, dim=0)
    before = torch.cat([after.new_zeros(1), after[:-1]])
    return betas * (1 - before) / (1 - after)
""",
        "nothing is left to draw",
    ),
    (
        "posterior_variance",  # the shares themselves for what they leave
        """
def posterior_variance(betas):
    after = torch.cumprod(1 - betas, dim=0)
    before = torch.cat([after.new_ones(1), after[:-1]])
    variance = betas * (1 - before.sqrt()) / (1 - after.sqrt())
    return variance
""",
        "as precisions",
    ),
    (
        "posterior_variance",  # its input mutated
        """
def posterior_variance(betas):
    after = torch.cumprod(1 - betas, dim=0)
    before = torch.cat([after.new_ones(1), after[:-1]])
    betas *= (1 - before) / (1 - after)
    return betas
""",
        "in place",
    ),
    ("posterior_mean", "def posterior_mean(x_0, x_t, betas, index):\n    ...", "is empty so far"),
    (
        "posterior_mean",  # the weights swapped
        """
def posterior_mean(x_0, x_t, betas, index):
    after, before = torch.prod(1 - betas[: index + 1]), torch.prod(1 - betas[:index])
    of_x_0 = before.sqrt() * betas[index] / (1 - after)
    of_x_t = (1 - betas[index]).sqrt() * (1 - before) / (1 - after)
    return of_x_t * x_0 + of_x_0 * x_t
""",
        "the mean should be x_0 itself",
    ),
    (
        "posterior_mean",  # missing square root of what the step keeps
        """
def posterior_mean(x_0, x_t, betas, index):
    after, before = torch.prod(1 - betas[: index + 1]), torch.prod(1 - betas[:index])
    of_x_0 = before.sqrt() * betas[index] / (1 - after)
    of_x_t = (1 - betas[index]) * (1 - before) / (1 - after)
    return of_x_0 * x_0 + of_x_t * x_t
""",
        "no luck at all",
    ),
    (
        "posterior_mean",  # missing square root of the signal before
        """
def posterior_mean(x_0, x_t, betas, index):
    after, before = torch.prod(1 - betas[: index + 1]), torch.prod(1 - betas[:index])
    of_x_0 = before * betas[index] / (1 - after)
    of_x_t = (1 - betas[index]).sqrt() * (1 - before) / (1 - after)
    return of_x_0 * x_0 + of_x_t * x_t
""",
        "no luck at all",
    ),
    (
        "posterior_mean",  # off by one: the signal after the step for the one before
        """
def posterior_mean(x_0, x_t, betas, index):
    after, before = torch.prod(1 - betas[: index + 1]), torch.prod(1 - betas[: index + 1])
    of_x_0 = before.sqrt() * betas[index] / (1 - after)
    of_x_t = (1 - betas[index]).sqrt() * (1 - before) / (1 - after)
    return of_x_0 * x_0 + of_x_t * x_t
""",
        "the mean should be x_0 itself",
    ),
    (
        "posterior_mean",  # sign
        """
def posterior_mean(x_0, x_t, betas, index):
    after, before = torch.prod(1 - betas[: index + 1]), torch.prod(1 - betas[:index])
    of_x_0 = before.sqrt() * betas[index] / (1 - after)
    of_x_t = (1 - betas[index]).sqrt() * (1 - before) / (1 - after)
    return of_x_0 * x_0 - of_x_t * x_t
""",
        "no luck at all",
    ),
    (
        "posterior_mean",  # what the denoiser would give alone: a straight walk to x_0
        """
def posterior_mean(x_0, x_t, betas, index):
    return torch.prod(1 - betas[:index]).sqrt() * x_0
""",
        "one step in and one step back",
    ),
    (
        "posterior_mean",  # only x_t, unscaled
        """
def posterior_mean(x_0, x_t, betas, index):
    after, before = torch.prod(1 - betas[: index + 1]), torch.prod(1 - betas[:index])
    return x_0 if index == 0 else x_t / (1 - betas[index]).sqrt()
""",
        "one step in and one step back",
    ),
    (
        "posterior_mean",  # hard-coded shape
        """
def posterior_mean(x_0, x_t, betas, index):
    after, before = torch.prod(1 - betas[: index + 1]), torch.prod(1 - betas[:index])
    of_x_0 = before.sqrt() * betas[index] / (1 - after)
    of_x_t = (1 - betas[index]).sqrt() * (1 - before) / (1 - after)
    return (of_x_0 * x_0 + of_x_t * x_t)[:, :4]
""",
        "should have the shape",
    ),
    ("respaced", "def respaced(betas, visited):\n    ...", "is empty so far"),
    ("respaced", "def respaced(betas, visited):\n    return betas[visited]", "the same noise seen at fewer times"),
    (
        "respaced",  # adds the betas up
        """
def respaced(betas, visited):
    total = torch.cumsum(betas, dim=0)[visited]
    return torch.diff(total, prepend=total.new_zeros(1)).clamp(max=0.999)
""",
        "the same noise seen at fewer times",
    ),
    (
        "respaced",  # differences instead of ratios
        """
def respaced(betas, visited):
    after = torch.cumprod(1 - betas, dim=0)[visited]
    return torch.cat([after.new_ones(1), after[:-1]]) - after
""",
        "the same noise seen at fewer times",
    ),
    (
        "respaced",  # off by one: the signal before each visit
        """
def respaced(betas, visited):
    after = torch.cumprod(1 - betas, dim=0)[(visited - 1).clamp(min=0)]
    before = torch.cat([after.new_ones(1), after[:-1]])
    return 1 - after / before
""",
        "the same noise seen at fewer times",
    ),
    (
        "respaced",  # nothing before the first visit
        """
def respaced(betas, visited):
    after = torch.cumprod(1 - betas, dim=0)[visited]
    return 1 - after[1:] / after[:-1]
""",
        "should have the shape",
    ),
    (
        "respaced",  # a square root that does not belong
        """
def respaced(betas, visited):
    after = torch.cumprod(1 - betas, dim=0)[visited]
    before = torch.cat([after.new_ones(1), after[:-1]])
    return 1 - (after / before).sqrt()
""",
        "the same noise seen at fewer times",
    ),
    (
        "respaced",  # upside down
        """
def respaced(betas, visited):
    after = torch.cumprod(1 - betas, dim=0)[visited]
    before = torch.cat([after.new_ones(1), after[:-1]])
    return 1 - before / after
""",
        "between 0 and 1",
    ),
    (
        "respaced",  # its input mutated
        """
def respaced(betas, visited):
    after = torch.cumprod(1 - betas, dim=0)[visited]
    betas *= 0.5
    before = torch.cat([after.new_ones(1), after[:-1]])
    return 1 - after / before
""",
        "in place",
    ),
]

# (function, how it differs, right answer)
RIGHT = [
    (
        "signal",
        "a loop",
        """
def signal(n_steps, tau):
    left = []
    for t in range(n_steps):
        left.append(math.cos(t / n_steps * math.pi / 2) ** (2 * tau))
    return torch.tensor(left + [0.0])
""",
    ),
    (
        "signal",
        "float64, rescaled to end at nothing",
        """
def signal(n_steps, tau):
    left = torch.cos(torch.arange(n_steps + 1).double() / n_steps * math.pi / 2).clamp(min=0) ** (2 * tau)
    return (left - left[-1]) / (1 - left[-1])
""",
    ),
    (
        "signal",
        "NumPy",
        """
import numpy as np

def signal(n_steps, tau):
    left = np.cos(np.linspace(0, np.pi / 2, n_steps + 1)) ** 2
    left[-1] = 0
    return torch.from_numpy(left**tau)
""",
    ),
    (
        "betas",
        "a loop",
        """
def betas(alpha_bar):
    return torch.tensor([min(1 - float(b) / float(a), 0.999) for a, b in zip(alpha_bar[:-1], alpha_bar[1:])])
""",
    ),
    (
        "betas",
        "float64",
        """
def betas(alpha_bar):
    before, after = alpha_bar.double()[:-1], alpha_bar.double()[1:]
    return torch.minimum((before - after) / before, torch.tensor(0.999))
""",
    ),
    (
        "betas",
        "logarithms",
        "def betas(alpha_bar):\n    return (-torch.expm1(torch.diff(alpha_bar.double().log()))).clamp(max=0.999)",
    ),
    (
        "add_noise",
        "a loop",
        """
def add_noise(x_0, alpha_bar, step, noise):
    rows = []
    for row in range(len(x_0)):
        left = alpha_bar[int(step[row])].item()
        rows.append(math.sqrt(left) * x_0[row] + math.sqrt(1 - left) * noise[row])
    return torch.stack(rows)
""",
    ),
    (
        "add_noise",
        "float64, axes added one by one",
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar.double()[step]
    while left.ndim < x_0.ndim:
        left = left.unsqueeze(-1)
    return left**0.5 * x_0 + (1 - left) ** 0.5 * noise
""",
    ),
    (
        "add_noise",
        "einsum",
        """
def add_noise(x_0, alpha_bar, step, noise):
    left = alpha_bar[step]
    return torch.einsum("b,b...->b...", left.sqrt(), x_0) + torch.einsum("b,b...->b...", (1 - left).sqrt(), noise)
""",
    ),
    (
        "posterior_variance",
        "a loop",
        """
def posterior_variance(betas):
    before, variances = 1.0, []
    for beta in betas.tolist():
        after = before * (1 - beta)
        variances.append(beta * (1 - before) / (1 - after))
        before = after
    return torch.tensor(variances)
""",
    ),
    (
        "posterior_variance",
        "float64, rolled",
        """
def posterior_variance(betas):
    after = (1 - betas.double()).cumprod(0)
    before = after.roll(1)
    before[0] = 1
    return (1 - before) / (1 - after) * betas
""",
    ),
    (
        "posterior_variance",
        "as precisions",
        """
def posterior_variance(betas):
    before = torch.cumprod(1 - betas, 0) / (1 - betas)
    rest = torch.cat([torch.zeros(1), 1 / ((1 - betas) / betas + 1 / (1 - before))[1:]])
    return rest
""",
    ),
    (
        "posterior_mean",
        "a loop",
        """
def posterior_mean(x_0, x_t, betas, index):
    before = 1.0
    for t in range(index):
        before *= 1 - float(betas[t])
    beta = float(betas[index])
    after = before * (1 - beta)
    return (math.sqrt(before) * beta * x_0 + math.sqrt(1 - beta) * (1 - before) * x_t) / (1 - after)
""",
    ),
    (
        "posterior_mean",
        "float64",
        """
def posterior_mean(x_0, x_t, betas, index):
    left = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas.double()).cumprod(0)])
    before, after = left[index], left[index + 1]
    weights = torch.stack([before.sqrt() * betas[index], (after / before).sqrt() * (1 - before)]) / (1 - after)
    return weights[0] * x_0.double() + weights[1] * x_t.double()
""",
    ),
    (
        "posterior_mean",
        "as precisions",
        """
def posterior_mean(x_0, x_t, betas, index):
    if index == 0:
        return x_0.clone()
    before = torch.prod(1 - betas[:index])
    p_0, p_t = 1 / (1 - before), (1 - betas[index]) / betas[index]
    return (p_0 * before.sqrt() * x_0 + p_t * x_t / (1 - betas[index]).sqrt()) / (p_0 + p_t)
""",
    ),
    (
        "respaced",
        "a loop over the steps between",
        """
def respaced(betas, visited):
    new, start = [], 0
    for stop in visited.tolist():
        kept = 1.0
        for t in range(start, stop + 1):
            kept *= 1 - betas[t].item()
        new.append(1 - kept)
        start = stop + 1
    return torch.tensor(new)
""",
    ),
    (
        "respaced",
        "float64",
        """
def respaced(betas, visited):
    after = torch.cumprod(1 - betas.double(), 0)[visited]
    return 1 - torch.cat([after[:1], after[1:] / after[:-1]])
""",
    ),
    (
        "respaced",
        "logarithms",
        """
def respaced(betas, visited):
    logs = torch.log1p(-betas).cumsum(0)[visited]
    return -torch.expm1(torch.diff(logs, prepend=torch.zeros(1)))
""",
    ),
    (
        "add_noise",
        "each row by itself, mapped",
        """
add_noise = torch.func.vmap(
    lambda x, left, t, e: left[t] ** 0.5 * x + (1 - left[t]) ** 0.5 * e, in_dims=(0, None, 0, 0)
)
""",
    ),
    (
        "posterior_variance",
        "what is known adds up, step by step",
        """
def posterior_variance(betas):
    variance, hidden = [betas.new_zeros(())], betas[0]
    for beta in betas[1:]:
        variance.append(1 / ((1 - beta) / beta + 1 / hidden))
        hidden = 1 - (1 - hidden) * (1 - beta)
    return torch.stack(variance)
""",
    ),
]
