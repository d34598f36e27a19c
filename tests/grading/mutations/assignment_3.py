"""Assignment 3, score guidance."""

from .changes import slip

SCORE = """
def policy_score(policy, states, actions):
    with torch.enable_grad():
        actions = actions.detach().clone().requires_grad_()
        log_prob = policy(states).log_prob(actions).sum()
        return torch.autograd.grad(log_prob, actions)[0]
"""

STEP = """
def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):
    if clip_std is not None:
        actions = torch.clamp(actions, mean - clip_std * std, mean + clip_std * std)
    pull = (mean - actions) / std**2
    return actions + scale * pull + step_std * action_unit * noise
"""

COLLAPSED = """
def collapsed(actions, mean, std, scale, step_stds, action_unit, noise):
    r = 1 - scale / std**2
    variance = torch.zeros_like(std)
    for step_std in step_stds:
        variance = r**2 * variance + step_std**2
    return mean + r ** len(step_stds) * (actions - mean) + action_unit * variance.sqrt() * noise
"""

TUNE = """
def tune(spread_of, scale, learning_rate, rounds):
    scales = [scale]
    for _ in range(rounds):
        above = min(max(spread_of(scales[-1]) - 1, -1.0), 1.0)
        scales.append(scales[-1] * math.exp(learning_rate * above))
    return scales
"""

VERDICT = """
def verdict(actions, mean, std):
    z = ((actions - mean) / std).flatten().double()
    distance = float(stats.kstest(z.numpy(), "norm").statistic)
    if distance < 1.36 / math.sqrt(len(z)):
        return distance, "on-policy"
    if abs(z.mean()) > abs(z.std() - 1):
        return distance, "off centre"
    return distance, "too wide" if z.std() > 1 else "too narrow"
"""


def score(formula):
    return f"def gaussian_score(actions, mean, std):\n    return {formula}"


# (function, wrong answer, words of the message)
WRONG = [
    ("gaussian_score", "def gaussian_score(actions, mean, std):\n    ...", "is empty so far"),
    # sign
    ("gaussian_score", score("(actions - mean) / std**2"), "from each action towards the mean"),
    # missing square
    ("gaussian_score", score("(mean - actions) / std"), "a tenth"),
    # upside down
    ("gaussian_score", score("(mean - actions) * std**2"), "a tenth"),
    # the log-density itself
    ("gaussian_score", score("-((actions - mean) ** 2) / (2 * std**2)"), "from each action towards the mean"),
    # a factor of two
    ("gaussian_score", score("2 * (mean - actions) / std**2"), "not the slope of log N"),
    # only the direction
    ("gaussian_score", score("(mean - actions).sign() / std**2"), "twice as far"),
    # wrong axis: one number for each whole action
    ("gaussian_score", score("((mean - actions) / std**2).sum(-1)"), "should have the shape"),
    # the mean of the stds for each of them
    ("gaussian_score", score("(mean - actions) / std.mean() ** 2"), "not the slope of log N"),
    # hard-coded precision
    ("gaussian_score", score("((mean - actions) / std**2).float()"), "the score should be torch.float64"),
    # its input mutated
    (
        "gaussian_score",
        "def gaussian_score(actions, mean, std):\n    std *= std\n    return (mean - actions) / std",
        "changed its argument `std` in place",
    ),
    # hard-coded shape
    ("gaussian_score", score("((mean - actions) / std**2).reshape(4, 3, 2)"), "your code stopped with RuntimeError"),
    ("policy_score", "def policy_score(policy, states, actions):\n    ...", "is empty so far"),
    # sign
    ("policy_score", slip(SCORE, "log_prob(actions).sum()", "log_prob(actions).sum().neg()"), "*less* likely"),
    # the mean over the batch
    ("policy_score", slip(SCORE, ".sum()", ".mean()"), "Each action's score is its own"),
    # a Gaussian's formula
    (
        "policy_score",
        "def policy_score(policy, states, actions):\n    pi = policy(states)\n    return ((pi.mean - actions) / "
        "pi.variance).detach()",
        "not every policy is a Gaussian",
    ),
    # inside no_grad nothing is recorded
    ("policy_score", slip(SCORE, "with torch.enable_grad():", "if True:"), "where samplers run"),
    # the graph is dragged along
    (
        "policy_score",
        slip(
            SCORE, "torch.autograd.grad(log_prob, actions)", "torch.autograd.grad(log_prob, actions, create_graph=True)"
        ),
        "still tied to the policy's weights",
    ),
    # backward() fills the weights' gradients too
    (
        "policy_score",
        slip(
            SCORE,
            "return torch.autograd.grad(log_prob, actions)[0]",
            "log_prob.backward()\n        return actions.grad",
        ),
        "weights have received a gradient",
    ),
    # the caller's actions marked
    (
        "policy_score",
        slip(SCORE, "actions.detach().clone().requires_grad_()", "actions.requires_grad_()"),
        "require a gradient",
    ),
    # the gradient of the density, not of its logarithm
    (
        "policy_score",
        slip(SCORE, "log_prob(actions).sum()", "log_prob(actions).exp().sum()"),
        "is not the slope of log pi",
    ),
    # with respect to the states
    (
        "policy_score",
        slip(
            slip(SCORE, "policy(states)", "policy(where)"),
            "torch.autograd.grad(log_prob, actions)",
            "torch.autograd.grad(log_prob, where)",
        ).replace("        actions = ", "        where = states.detach().clone().requires_grad_()\n        actions = "),
        "should have the shape",
    ),
    # detached
    (
        "policy_score",
        slip(SCORE, ".log_prob(actions)", ".log_prob(actions.detach())"),
        "your code stopped with RuntimeError",
    ),
    (
        "guided_step",
        "def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):\n    ...",
        "is empty so far",
    ),
    # sign
    ("guided_step", slip(STEP, "(mean - actions) / std**2", "(actions - mean) / std**2"), "towards the mean"),
    # missing square
    ("guided_step", slip(STEP, "/ std**2", "/ std"), "scale times the score"),
    # clipped after the pull
    (
        "guided_step",
        """
def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):
    actions = actions + scale * (mean - actions) / std**2
    if clip_std is not None:
        actions = torch.clamp(actions, mean - clip_std * std, mean + clip_std * std)
    return actions + step_std * action_unit * noise
""",
        "clipped first and pulled from there",
    ),
    # clipped at the very end, noise and all
    (
        "guided_step",
        """
def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):
    reach = 1e9 if clip_std is None else clip_std * std
    actions = actions.clamp(mean - reach, mean + reach)
    actions = actions + scale * (mean - actions) / std**2 + step_std * action_unit * noise
    return actions.clamp(mean - reach, mean + reach)
""",
        "should not be clipped away",
    ),
    # the score of the action before it was clipped
    (
        "guided_step",
        """
def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):
    pull = scale * (mean - actions) / std**2
    if clip_std is not None:
        actions = torch.clamp(actions, mean - clip_std * std, mean + clip_std * std)
    return actions + pull + step_std * action_unit * noise
""",
        "where the clipped action stands",
    ),
    # clipped around zero
    (
        "guided_step",
        slip(
            STEP,
            "torch.clamp(actions, mean - clip_std * std, mean + clip_std * std)",
            "torch.clamp(actions, -clip_std * std, clip_std * std)",
        ),
        "policy's mean should stay there",
    ),
    # only from above
    (
        "guided_step",
        slip(
            STEP,
            "torch.clamp(actions, mean - clip_std * std, mean + clip_std * std)",
            "torch.minimum(actions, mean + clip_std * std)",
        ),
        "10 std *below*",
    ),
    # clip in units of one
    (
        "guided_step",
        slip(STEP, "mean - clip_std * std, mean + clip_std * std", "mean - clip_std, mean + clip_std"),
        "brought to 2 std above it",
    ),
    # None not expected
    ("guided_step", slip(STEP, "    if clip_std is not None:\n    ", ""), "your code stopped with TypeError"),
    # units: normalised noise on raw actions
    ("guided_step", slip(STEP, "step_std * action_unit * noise", "step_std * noise"), "normalised units"),
    # units: the policy's
    ("guided_step", slip(STEP, "step_std * action_unit * noise", "step_std * std * noise"), "normalised units"),
    # a variance for a standard deviation
    ("guided_step", slip(STEP, "step_std * action_unit", "step_std**2 * action_unit"), "normalised units"),
    # the noise scaled with the pull
    (
        "guided_step",
        slip(STEP, "scale * pull + step_std * action_unit * noise", "scale * (pull + step_std * action_unit * noise)"),
        "the noise",
    ),
    # its input mutated
    (
        "guided_step",
        slip(STEP, "return actions + scale * pull", "actions += scale * pull\n    return actions"),
        "changed its argument `actions` in place",
    ),
    (
        "collapsed",
        "def collapsed(actions, mean, std, scale, step_stds, action_unit, noise):\n    ...",
        "is empty so far",
    ),
    # a single step with all of the pull
    ("collapsed", slip(COLLAPSED, "r ** len(step_stds)", "(1 - len(step_stds) * scale / std**2)"), "single steps end"),
    # off by one
    ("collapsed", slip(COLLAPSED, "r ** len(step_stds)", "r ** (len(step_stds) - 1)"), "single steps end"),
    # missing square of the std
    ("collapsed", slip(COLLAPSED, "scale / std**2", "scale / std"), "single steps end"),
    # the actions shrink instead of their distance
    (
        "collapsed",
        slip(COLLAPSED, "mean + r ** len(step_stds) * (actions - mean)", "r ** len(step_stds) * actions"),
        "at the mean should stay",
    ),
    # standard deviations added up
    (
        "collapsed",
        slip(COLLAPSED, "variance = r**2 * variance + step_std**2", "variance = (r * variance**0.5 + step_std) ** 2"),
        "variances that add up",
    ),
    # early noise does not fade
    ("collapsed", slip(COLLAPSED, "variance = r**2 * variance +", "variance = variance +"), "variances that add up"),
    # missing square root
    ("collapsed", slip(COLLAPSED, "variance.sqrt()", "variance"), "variances that add up"),
    # missing square of the factor
    ("collapsed", slip(COLLAPSED, "r**2 * variance", "r * variance"), "variances that add up"),
    # backwards
    ("collapsed", slip(COLLAPSED, "in step_stds:", "in step_stds[::-1]:"), "variances that add up"),
    # the last noise fades, too
    (
        "collapsed",
        slip(COLLAPSED, "r**2 * variance + step_std**2", "r**2 * (variance + step_std**2)"),
        "variances that add up",
    ),
    # units
    ("collapsed", slip(COLLAPSED, "action_unit * variance", "variance"), "variances that add up"),
    # its input mutated
    (
        "collapsed",
        slip(
            slip(
                COLLAPSED,
                "    for step_std in step_stds:\n        variance",
                "    k = len(step_stds)\n    while step_stds:\n        step_std = step_stds.pop(0)\n        variance",
            ),
            "r ** len(step_stds)",
            "r**k",
        ),
        "changed its argument `step_stds` in place",
    ),
    (
        "collapsed",
        slip(COLLAPSED, "    r = 1", "    actions -= mean\n    r = 1").replace("(actions - mean)", "actions"),
        "changed its argument `actions` in place",
    ),
    # wrong axis: one factor for all dimensions
    ("collapsed", slip(COLLAPSED, "scale / std**2", "scale / (std**2).mean()"), "single steps end"),
    # a negative standard deviation, where the pull overshoots
    (
        "collapsed",
        slip(COLLAPSED, "variance.sqrt()", "(variance.sqrt() * r.sign() ** len(step_stds))"),
        "which is not negative",
    ),
    ("tune", "def tune(spread_of, scale, learning_rate, rounds):\n    ...", "is empty so far"),
    # sign
    ("tune", slip(TUNE, "spread_of(scales[-1]) - 1", "1 - spread_of(scales[-1])"), "a *stronger* pull"),
    # the scale itself instead of its logarithm
    (
        "tune",
        slip(TUNE, "scales[-1] * math.exp(learning_rate * above)", "scales[-1] + learning_rate * above"),
        "same *factor*",
    ),
    # towards 0 instead of 1
    ("tune", slip(TUNE, "spread_of(scales[-1]) - 1", "spread_of(scales[-1])"), "nothing should change"),
    # unlimited
    ("tune", slip(TUNE, "min(max(spread_of(scales[-1]) - 1, -1.0), 1.0)", "spread_of(scales[-1]) - 1"), "gone astray"),
    # the whole move limited, not the error
    (
        "tune",
        slip(
            slip(TUNE, "min(max(spread_of(scales[-1]) - 1, -1.0), 1.0)", "spread_of(scales[-1]) - 1"),
            "learning_rate * above",
            "min(max(learning_rate * above, -1), 1)",
        ),
        "gone astray",
    ),
    # off by one
    ("tune", slip(TUNE, "scales = [scale]", "scales = [scale, scale]"), "should give"),
    ("tune", slip(TUNE, "return scales", "return scales[1:]"), "should give"),
    # measured once
    (
        "tune",
        """
def tune(spread_of, scale, learning_rate, rounds):
    above = min(max(spread_of(scale) - 1, -1.0), 1.0)
    return [scale * math.exp(learning_rate * above * k) for k in range(rounds + 1)]
""",
        "rounds measure 5 times",
    ),
    # measured at the first scale
    ("tune", slip(TUNE, "spread_of(scales[-1])", "spread_of(scale)"), "at the scale of that round"),
    # multiplied by 1 + ...
    ("tune", slip(TUNE, "math.exp(learning_rate * above)", "(1 + learning_rate * above)"), "logarithm of the scale"),
    # a variance for a standard deviation
    ("tune", slip(TUNE, "spread_of(scales[-1]) - 1", "spread_of(scales[-1]) ** 2 - 1"), "logarithm of the scale"),
    ("verdict", "def verdict(actions, mean, std):\n    ...", "is empty so far"),
    # units: by the variance
    ("verdict", slip(VERDICT, "/ std)", "/ std**2)"), "in units of the *policy*"),
    # standardised by themselves
    (
        "verdict",
        slip(VERDICT, "    distance = float", "    z = (z - z.mean()) / z.std()\n    distance = float"),
        "in units of the *policy*",
    ),
    # one mean for all states
    ("verdict", slip(VERDICT, "actions - mean)", "actions - mean.mean())"), "in units of the *policy*"),
    # wrong axis: one std for all dimensions
    ("verdict", slip(VERDICT, "/ std)", "/ std.mean())"), "in units of the *policy*"),
    # one end of each stair
    (
        "verdict",
        slip(
            VERDICT,
            'float(stats.kstest(z.numpy(), "norm").statistic)',
            "float((torch.arange(1, len(z) + 1) / len(z) - Normal(0.0, 1.0).cdf(z.sort().values)).abs().max())",
        ),
        "both ends of each stair",
    ),
    # only gaps upwards
    ("verdict", slip(VERDICT, '"norm")', '"norm", alternative="greater")'), "the largest gap"),
    # the p-value
    ("verdict", slip(VERDICT, ".statistic", ".pvalue"), "the largest gap"),
    # a limit that does not know how many there are
    ("verdict", slip(VERDICT, "1.36 / math.sqrt(len(z))", "0.03"), "how large a gap is surprising"),
    # how many actions, not how many numbers
    (
        "verdict",
        slip(VERDICT, "math.sqrt(len(z))", "math.sqrt(actions.shape[0] * actions.shape[1])"),
        "How many numbers",
    ),
    ("verdict", slip(VERDICT, "1.36 /", "1.63 /"), "How many numbers"),
    ("verdict", slip(VERDICT, "1.36 /", "1.1 /"), "How many numbers"),
    # off centre, however wide
    ("verdict", slip(VERDICT, "abs(z.mean()) > abs(z.std() - 1)", "abs(z.mean()) > 0.1"), "the verdict should not be"),
    ("verdict", slip(VERDICT, "abs(z.mean()) > abs(z.std() - 1)", "abs(z.mean()) > 0.5"), "the verdict should not be"),
    # missing square root
    ("verdict", slip(VERDICT, "1.36 / math.sqrt(len(z))", "1.36 / len(z)"), "is within chance"),
    # sign
    ("verdict", slip(VERDICT, "if z.std() > 1", "if z.std() < 1"), "the verdict should not be"),
    # the sign of the mean kept
    ("verdict", slip(VERDICT, "abs(z.mean()) >", "z.mean() >"), "the verdict should not be"),
    # off centre is never said
    ("verdict", slip(VERDICT, "abs(z.mean()) > abs(z.std() - 1)", "False"), "the verdict should not be"),
    # words of one's own
    ("verdict", slip(VERDICT, '"too wide"', '"too weak"'), "should be one of"),
    # its input mutated
    (
        "verdict",
        slip(VERDICT, "((actions - mean) / std)", "actions.sub_(mean).div_(std)"),
        "changed its argument `actions` in place",
    ),
]

# (function, how it differs, right answer)
RIGHT = [
    (
        "gaussian_score",
        "a loop",
        """
def gaussian_score(actions, mean, std):
    score = torch.empty_like(actions)
    for k in range(len(std)):
        score[..., k] = -(actions[..., k] - mean[..., k]) / (std[k] * std[k])
    return score
""",
    ),
    ("gaussian_score", "float64", score("((mean.double() - actions.double()) * std.double() ** -2).to(actions.dtype)")),
    (
        "gaussian_score",
        "by differentiation",
        """
def gaussian_score(actions, mean, std):
    at = actions.clone().requires_grad_()
    return torch.autograd.grad(Normal(mean, std).log_prob(at).sum(), at)[0]
""",
    ),
    (
        "policy_score",
        "a loop",
        """
def policy_score(policy, states, actions):
    rows = []
    for s, a in zip(states.flatten(0, 1), actions.flatten(0, 1)):
        with torch.enable_grad():
            a = a.detach().clone().requires_grad_(True)
            rows.append(torch.autograd.grad(policy(s).log_prob(a), a)[0])
    return torch.stack(rows).view_as(actions)
""",
    ),
    (
        "policy_score",
        "a vector of ones",
        """
@torch.enable_grad()
def policy_score(policy, states, actions):
    at = torch.tensor(actions.tolist(), dtype=actions.dtype, requires_grad=True)
    log_prob = policy(states).log_prob(at)
    (score,) = torch.autograd.grad(log_prob, [at], grad_outputs=torch.ones_like(log_prob))
    return score.detach()
""",
    ),
    (
        "policy_score",
        "torch.func, float64",
        """
def policy_score(policy, states, actions):
    with torch.enable_grad():
        return torch.func.grad(lambda a: policy(states).log_prob(a).sum())(actions.double()).detach()
""",
    ),
    (
        "guided_step",
        "a loop",
        """
def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):
    after = actions.clone()
    for k in range(len(std)):
        m, s = mean[..., k], float(std[k])
        a = actions[..., k]
        if clip_std is not None:
            a = torch.max(torch.min(a, m + clip_std * s), m - clip_std * s)
        after[..., k] = a - scale * (a - m) / s**2 + step_std * float(action_unit[k]) * noise[..., k]
    return after
""",
    ),
    (
        "guided_step",
        "in units of the policy",
        """
def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):
    z = (actions - mean) / std
    z = z if clip_std is None else z.clamp(-clip_std, clip_std)
    return mean + std * (z - scale * z / std**2) + action_unit * (step_std * noise)
""",
    ),
    (
        "guided_step",
        "float64",
        """
def guided_step(actions, mean, std, scale, clip_std, step_std, action_unit, noise):
    actions, mean, std = actions.double(), mean.double(), std.double()
    reach = math.inf if clip_std is None else clip_std
    actions = mean + torch.clamp(actions - mean, min=-reach * std, max=reach * std)
    actions = actions + scale * gaussian_score(actions, mean, std) + step_std * action_unit.double() * noise.double()
    return actions.float()
""",
    ),
    (
        "collapsed",
        "a sum of powers, float64",
        """
def collapsed(actions, mean, std, scale, step_stds, action_unit, noise):
    r, k = 1 - scale / std.double() ** 2, len(step_stds)
    variance = sum((s * r ** (k - 1 - j)) ** 2 for j, s in enumerate(step_stds)) if k else torch.zeros_like(r)
    return (mean + r**k * (actions - mean) + action_unit * variance**0.5 * noise).to(actions.dtype)
""",
    ),
    (
        "collapsed",
        "one by one, the spread followed beside",
        """
def collapsed(actions, mean, std, scale, step_stds, action_unit, noise):
    spread = 0 * std
    for s in step_stds:
        actions = actions + scale * (mean - actions) / std**2
        spread = torch.hypot((1 - scale / std**2) * spread, s * action_unit)
    return actions + spread * noise
""",
    ),
    (
        "collapsed",
        "a matrix of powers",
        """
def collapsed(actions, mean, std, scale, step_stds, action_unit, noise):
    r = 1 - scale * std**-2
    k = len(step_stds)
    powers = r[:, None] ** torch.arange(k - 1, -1, -1)
    spread = (powers * torch.tensor(step_stds)).norm(dim=1)
    return torch.lerp(mean, actions, (r**k).expand_as(mean)) + action_unit * spread * noise
""",
    ),
    (
        "tune",
        "logarithms",
        """
def tune(spread_of, scale, learning_rate, rounds):
    logs = [math.log(scale)]
    while len(logs) <= rounds:
        logs.append(logs[-1] + learning_rate * max(-1, min(1, spread_of(math.exp(logs[-1])) - 1)))
    return [math.exp(log) for log in logs]
""",
    ),
    (
        "tune",
        "a tensor, float64",
        """
def tune(spread_of, scale, learning_rate, rounds):
    scales = torch.full((rounds + 1,), scale, dtype=torch.float64)
    for k in range(rounds):
        error = torch.as_tensor(spread_of(scales[k].item()), dtype=torch.float64) - 1
        scales[k + 1] = scales[k] * (learning_rate * error.clamp(-1, 1)).exp()
    return scales.tolist()
""",
    ),
    (
        "tune",
        "recursion",
        """
def tune(spread_of, scale, learning_rate, rounds):
    if rounds == 0:
        return [scale]
    error = max(min(spread_of(scale) - 1, 1), -1)
    return [scale, *tune(spread_of, scale * math.exp(learning_rate * error), learning_rate, rounds - 1)]
""",
    ),
    (
        "verdict",
        "both ends of each stair, by hand",
        """
def verdict(actions, mean, std):
    z = ((actions - mean) / std).double().flatten().sort().values
    below, n = Normal(0.0, 1.0).cdf(z), len(z)
    steps = torch.arange(n + 1) / n
    distance = torch.maximum((steps[1:] - below).abs(), (steps[:-1] - below).abs()).max().item()
    if distance * n**0.5 < 1.36:
        return distance, "on-policy"
    shift, width = z.mean().item(), z.std().item()
    if abs(shift) > abs(width - 1):
        return distance, "off centre"
    return distance, ("too narrow", "too wide")[width > 1]
""",
    ),
    (
        "verdict",
        "a loop, float64",
        """
def verdict(actions, mean, std):
    z = sorted(
        (actions[b, h, k].item() - mean[b, h, k].item()) / std[k].item()
        for b in range(actions.shape[0]) for h in range(actions.shape[1]) for k in range(actions.shape[2])
    )
    n, distance = len(z), 0.0
    for i, value in enumerate(z):
        below = 0.5 * (1 + math.erf(value / math.sqrt(2)))
        distance = max(distance, (i + 1) / n - below, below - i / n)
    centre = sum(z) / n
    width = math.sqrt(sum((value - centre) ** 2 for value in z) / (n - 1)) if n > 1 else 0.0
    if distance < 1.36 / n**0.5:
        return distance, "on-policy"
    if abs(centre) > abs(width - 1):
        return distance, "off centre"
    return distance, "too wide" if width > 1 else "too narrow"
""",
    ),
    (
        "verdict",
        "SciPy, two one-sided tests",
        slip(
            VERDICT,
            'float(stats.kstest(z.numpy(), "norm").statistic)',
            'max(stats.kstest(z.numpy(), "norm", alternative=side).statistic for side in ("less", "greater"))',
        ),
    ),
    (
        "tune",
        "NumPy, and a name for the argument",
        """
import numpy as np


def tune(spread_of, scale, learning_rate, rounds):
    logs = np.full(rounds + 1, np.log(scale))
    for k in range(rounds):
        logs[k + 1] = logs[k] + learning_rate * np.clip(spread_of(scale=float(np.exp(logs[k]))) - 1, -1, 1)
    return np.exp(logs)
""",
    ),
]
