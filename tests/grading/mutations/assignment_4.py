"""Assignment 4, lambda-returns and the actor-critic update."""

from .changes import slip

RETURNS = """
def lambda_returns(rewards, terminals, values, gamma, lambda_):
    ends = terminals.to(values.dtype)
    following, returns = values[:, -1], []
    for t in reversed(range(rewards.shape[1] - 1)):
        ahead = (1 - lambda_) * values[:, t + 1] + lambda_ * following
        following = rewards[:, t] + gamma * (1 - ends[:, t]) * ahead
        returns.insert(0, following)
    ended_before = ends[:, :-1].cumsum(dim=1) - ends[:, :-1]
    return torch.stack(returns, dim=1), (ended_before == 0).to(values.dtype)
"""

STANDARDISE = """
def standardise(advantages, weights):
    real = weights > 0
    among = advantages[real]
    if len(among) < 2:
        return torch.zeros_like(advantages)
    return torch.where(real, (advantages - among.mean()) / (among.std() + 1e-8), 0.0)
"""

ACTOR = """
def actor_loss(policy, observations, actions, advantages, weights, entropy_weight):
    distribution = policy(observations)
    log_prob = distribution.log_prob(actions.detach())
    gain = advantages.detach() * log_prob + entropy_weight * distribution.entropy()
    return -(weights * gain).mean()
"""

CRITIC = """
def critic_loss(critic, slow_critic, returns_of, observations, rewards, terminals):
    with torch.no_grad():
        values = slow_critic(observations).squeeze(-1)
        returns, weights = returns_of(rewards, terminals, values)
    error = critic(observations[:, :-1]).squeeze(-1) - returns
    return 0.5 * (weights * error.square()).mean()
"""

STEP = """
def step_policy(policy, optimiser, loss, observations, actions, target, rounds):
    optimiser.zero_grad()
    loss.backward()
    with torch.no_grad():
        parameters = list(policy.parameters())
        before = [parameter.clone() for parameter in parameters]
        old = policy(observations).log_prob(actions)
        optimiser.step()
        steps = [parameter - start for parameter, start in zip(parameters, before)]

        def change_of(fraction):
            for parameter, start, step in zip(parameters, before, steps):
                parameter.copy_(start + fraction * step)
            return (policy(observations).log_prob(actions) - old).abs().mean().item()

        fraction, change = 1.0, change_of(1.0)
        for _ in range(rounds):
            if change == 0:
                break
            fraction = min(1.0, fraction * target / change)
            change = change_of(fraction)
    return fraction, change
"""

# (function, wrong answer, words of the message)
WRONG = [
    ("lambda_returns", "def lambda_returns(rewards, terminals, values, gamma, lambda_):\n    ...", "is empty so far"),
    # off by one: the value of the state itself
    ("lambda_returns", slip(RETURNS, "values[:, t + 1]", "values[:, t]"), "lambda"),
    # off by one: the reward of the step after
    ("lambda_returns", slip(RETURNS, "rewards[:, t] +", "rewards[:, t + 1] +"), "the return of the last step"),
    # nothing behind the last step
    (
        "lambda_returns",
        slip(RETURNS, "following, returns = values[:, -1], []", "following, returns = 0 * values[:, -1], []"),
        "the return of the last step",
    ),
    # the last reward counted as well
    (
        "lambda_returns",
        slip(RETURNS, "following, returns = values[:, -1], []", "following, returns = rewards[:, -1], []"),
        "the return of the last step",
    ),
    # the two shares swapped
    (
        "lambda_returns",
        slip(
            RETURNS,
            "(1 - lambda_) * values[:, t + 1] + lambda_ * following",
            "lambda_ * values[:, t + 1] + (1 - lambda_) * following",
        ),
        "with lambda 0",
    ),
    # the discount forgotten
    ("lambda_returns", slip(RETURNS, "gamma * (1", "(1"), "the return of the last step"),
    # the discount only for what was summed
    ("lambda_returns", slip(RETURNS, "lambda_ * following\n", "gamma * lambda_ * following\n"), "with"),
    # no ends at all
    ("lambda_returns", slip(RETURNS, "(1 - ends[:, t])", "1"), "its reward and nothing more"),
    # off by one: the flag of the step after
    ("lambda_returns", slip(RETURNS, "(1 - ends[:, t])", "(1 - ends[:, t + 1])"), "its reward and nothing more"),
    # only the critic is stopped, not the returns
    (
        "lambda_returns",
        slip(
            RETURNS,
            "gamma * (1 - ends[:, t]) * ahead",
            "gamma * (ahead - ends[:, t] * (1 - lambda_) * values[:, t + 1])",
        ),
        "its reward and nothing more",
    ),
    # the last step does not count
    ("lambda_returns", slip(RETURNS, "cumsum(dim=1) - ends[:, :-1]", "cumsum(dim=1)"), "was really taken"),
    # only the step after the end loses its weight
    (
        "lambda_returns",
        slip(RETURNS, "ends[:, :-1].cumsum(dim=1) - ends[:, :-1]", "torch.cat([0 * ends[:, :1], ends[:, :-2]], dim=1)"),
        "after the end still has a weight",
    ),
    # weights everywhere
    ("lambda_returns", slip(RETURNS, "(ended_before == 0)", "(ended_before >= 0)"), "after the end still has a weight"),
    # wrong axis
    (
        "lambda_returns",
        slip(RETURNS, "torch.stack(returns, dim=1)", "torch.stack(returns, dim=0)"),
        "should have the shape",
    ),
    # a return for the last time point, too
    (
        "lambda_returns",
        slip(RETURNS, "torch.stack(returns, dim=1)", "torch.stack([*returns, values[:, -1]], dim=1)"),
        "should have the shape",
    ),
    # advantages instead of returns
    (
        "lambda_returns",
        slip(RETURNS, "torch.stack(returns, dim=1)", "torch.stack(returns, dim=1) - values[:, :-1]"),
        "the return of the last step",
    ),
    # its input mutated
    (
        "lambda_returns",
        slip(RETURNS, "rewards[:, t] + gamma", "rewards[:, t].add_(0.1) + gamma"),
        "changed its argument `rewards` in place",
    ),
    # its input mutated when everything is right already
    (
        "lambda_returns",
        slip(RETURNS, "    return torch.stack", "    rewards *= 2\n    return torch.stack"),
        "changed its argument `rewards` in place",
    ),
    # true and false cannot be subtracted
    ("lambda_returns", slip(RETURNS, "terminals.to(values.dtype)", "terminals"), "your code stopped with RuntimeError"),
    # hard-coded precision
    (
        "lambda_returns",
        slip(RETURNS, "torch.stack(returns, dim=1)", "torch.stack(returns, dim=1).float()"),
        "the returns should be float64",
    ),
    # hard-coded shape
    ("lambda_returns", slip(RETURNS, "range(rewards.shape[1] - 1)", "range(5)"), "your code stopped with IndexError"),
    ("standardise", "def standardise(advantages, weights):\n    ...", "is empty so far"),
    # over everything
    (
        "standardise",
        "def standardise(advantages, weights):\n    return weights * (advantages - advantages.mean()) / "
        "advantages.std()",
        "have a say in it",
    ),
    # zeros averaged in
    (
        "standardise",
        """
def standardise(advantages, weights):
    centred = advantages * weights - (advantages * weights).mean()
    return weights * centred / (centred.std() + 1e-8)
""",
        "the standardised mean should be 0",
    ),
    # wrong axis: each trajectory by itself
    (
        "standardise",
        """
def standardise(advantages, weights):
    n = weights.sum(1, keepdim=True)
    centred = weights * (advantages - (advantages * weights).sum(1, keepdim=True) / n)
    return centred / ((centred**2).sum(1, keepdim=True) / (n - 1).clamp(min=1)).sqrt().clamp(min=1e-8)
""",
        "the standardised std",
    ),
    # n instead of n - 1
    ("standardise", slip(STANDARDISE, "among.std()", "among.std(correction=0)"), "with n - 1"),
    # missing square root
    ("standardise", slip(STANDARDISE, "among.std()", "among.var()"), "the standardised std"),
    # only centred
    ("standardise", slip(STANDARDISE, " / (among.std() + 1e-8)", ""), "the standardised std"),
    # only scaled
    ("standardise", slip(STANDARDISE, "(advantages - among.mean())", "advantages"), "the standardised mean"),
    # what is not real left in
    (
        "standardise",
        slip(
            STANDARDISE,
            "torch.where(real, (advantages - among.mean()) / (among.std() + 1e-8), 0.0)",
            "(advantages - among.mean()) / (among.std() + 1e-8)",
        ),
        "should come out as 0",
    ),
    # sign
    ("standardise", slip(STANDARDISE, "advantages - among.mean()", "among.mean() - advantages"), "stay the better one"),
    # a large number against division by zero
    ("standardise", slip(STANDARDISE, "1e-8", "1e-2"), "the standardised std"),
    # no number against it
    ("standardise", slip(STANDARDISE, " + 1e-8", ""), "no better and no worse"),
    # the single step forgotten
    (
        "standardise",
        slip(STANDARDISE, "    if len(among) < 2:\n        return torch.zeros_like(advantages)\n", ""),
        "a single real step",
    ),
    # its input mutated
    (
        "standardise",
        slip(STANDARDISE, "    real =", "    advantages -= advantages[weights > 0].mean()\n    real ="),
        "changed its argument `advantages` in place",
    ),
    (
        "actor_loss",
        "def actor_loss(policy, observations, actions, advantages, weights, entropy_weight):\n    ...",
        "is empty so far",
    ),
    # sign
    ("actor_loss", slip(ACTOR, "return -(", "return ("), "Optimisers go downhill"),
    # sign of the entropy
    ("actor_loss", slip(ACTOR, "+ entropy_weight", "- entropy_weight"), "*more* random"),
    # the entropy forgotten
    ("actor_loss", slip(ACTOR, " + entropy_weight * distribution.entropy()", ""), "the entropy is not in the loss"),
    # the weights forgotten
    ("actor_loss", slip(ACTOR, "weights * gain", "gain"), "steps that are not real"),
    # the entropy of all steps
    (
        "actor_loss",
        slip(
            ACTOR,
            "-(weights * gain).mean()",
            "-(weights * advantages.detach() * log_prob + entropy_weight * distribution.entropy()).mean()",
        ),
        "the entropy of the real steps",
    ),
    # the mean over real steps only
    ("actor_loss", slip(ACTOR, ".mean()", ".sum() / weights.sum()"), "the mean over all"),
    # summed
    ("actor_loss", slip(ACTOR, ".mean()", ".sum()"), "the mean over all"),
    # advantages with a graph
    ("actor_loss", slip(ACTOR, "advantages.detach()", "advantages"), "a judgement of the critic"),
    # actions with a graph
    ("actor_loss", slip(ACTOR, "actions.detach()", "actions"), "they were taken"),
    # detached
    ("actor_loss", slip(ACTOR, "log_prob(actions.detach())", "log_prob(actions.detach()).detach()"), "get no gradient"),
    ("actor_loss", slip(ACTOR, ".mean()", ".mean().detach()"), "no gradient leads back"),
    # the probability instead of its logarithm
    (
        "actor_loss",
        slip(ACTOR, "log_prob(actions.detach())", "log_prob(actions.detach()).exp()"),
        "the probability of the whole action",
    ),
    # one dimension of the action
    (
        "actor_loss",
        slip(
            ACTOR,
            "distribution.log_prob(actions.detach())",
            "distribution.base_dist.log_prob(actions.detach()).mean(-1)",
        ),
        "the probability of the whole action",
    ),
    (
        "critic_loss",
        "def critic_loss(critic, slow_critic, returns_of, observations, rewards, terminals):\n    ...",
        "is empty so far",
    ),
    # wrong axis: every value meets every return
    (
        "critic_loss",
        slip(CRITIC, "critic(observations[:, :-1]).squeeze(-1) - returns", "critic(observations[:, :-1]) - returns"),
        "meet returns of the shape",
    ),
    # its own values
    ("critic_loss", slip(CRITIC, "slow_critic(observations)", "critic(observations)"), "chases its own tail"),
    # learned through the returns
    ("critic_loss", slip(CRITIC, "with torch.no_grad():", "if True:"), "the slow critic gets a gradient"),
    # the slow critic is the one that learns
    ("critic_loss", slip(CRITIC, "error = critic(", "error = slow_critic("), "the slow critic gets a gradient"),
    # the half forgotten
    ("critic_loss", slip(CRITIC, "0.5 * ", ""), "half the square"),
    # the square forgotten
    ("critic_loss", slip(CRITIC, ".square()", ".abs()"), "half the square"),
    # the weights forgotten
    ("critic_loss", slip(CRITIC, "weights * ", ""), "steps after an end"),
    # the mean over real steps only
    (
        "critic_loss",
        slip(CRITIC, "(weights * error.square()).mean()", "(weights * error.square()).sum() / weights.sum()"),
        "should be",
    ),
    # off by one: the value of the state after
    ("critic_loss", slip(CRITIC, "observations[:, :-1]", "observations[:, 1:]"), "should be"),
    # detached
    ("critic_loss", slip(CRITIC, ".mean()", ".mean().detach()"), "no gradient leads back"),
    # sign: a loss that wants the error
    ("critic_loss", slip(CRITIC, "0.5 *", "-0.5 *"), "should be"),
    # its input mutated
    (
        "critic_loss",
        slip(CRITIC, "    with torch", "    rewards *= 1 - terminals\n    with torch"),
        "changed its argument `rewards` in place",
    ),
    # hard-coded shape
    (
        "critic_loss",
        slip(CRITIC, "observations[:, :-1]).squeeze(-1)", "observations[:, :-1]).view(3, 4)"),
        "your code stopped with RuntimeError",
    ),
    (
        "step_policy",
        "def step_policy(policy, optimiser, loss, observations, actions, target, rounds):\n    ...",
        "is empty so far",
    ),
    # old gradients stay
    ("step_policy", slip(STEP, "    optimiser.zero_grad()\n", ""), "a gradient of an earlier update"),
    # the whole step, always
    (
        "step_policy",
        slip(STEP, "fraction = min(1.0, fraction * target / change)", "fraction = 1.0"),
        "log pi changed by",
    ),
    # off by one: corrected once only
    ("step_policy", slip(STEP, "range(rounds)", "range(1)"), "log pi changed by"),
    # more than the whole step
    (
        "step_policy",
        slip(STEP, "min(1.0, fraction * target / change)", "fraction * target / change"),
        "never take more than the whole",
    ),
    # upside down
    ("step_policy", slip(STEP, "fraction * target / change", "fraction * change / target"), "log pi changed by"),
    # from the whole step each time
    (
        "step_policy",
        slip(STEP, "min(1.0, fraction * target / change)", "min(1.0, target / change)"),
        "log pi changed by",
    ),
    # without the absolute value
    ("step_policy", slip(STEP, "- old).abs().mean()", "- old).mean().abs()"), "log pi changed by"),
    # the optimiser asked at each try
    (
        "step_policy",
        slip(
            STEP,
            "            fraction = min(1.0, fraction * target / change)",
            "            optimiser.step()\n            fraction = min(1.0, fraction * target / change)",
        ),
        "its memory moved each time",
    ),
    # not gone back
    (
        "step_policy",
        slip(STEP, "parameter.copy_(start + fraction * step)", "parameter.copy_(parameter + (fraction - 1) * step)"),
        "you report the fraction",
    ),
    # left at the whole step
    (
        "step_policy",
        slip(STEP, "    return fraction, change", "        change_of(1.0)\n    return fraction, change"),
        "you report the fraction",
    ),
    # the change of the try before
    (
        "step_policy",
        slip(STEP, "    return fraction, change", "    return fraction, change + target"),
        "you report the change",
    ),
    # left where it started
    (
        "step_policy",
        slip(STEP, "    return fraction, change", "        change_of(0.0)\n    return fraction, change"),
        "no step was taken",
    ),
    # divides by a change of nothing
    ("step_policy", slip(STEP, "            if change == 0:\n                break\n", ""), "divides by that nothing"),
    # its input mutated
    (
        "step_policy",
        slip(STEP, "    loss.backward()", "    loss.backward()\n    actions.clamp_(-0.1, 0.1)"),
        "changed its argument `actions` in place",
    ),
    # both critics emptied, so that what is due is easy
    (
        "critic_loss",
        """
def critic_loss(critic, slow_critic, returns_of, observations, rewards, terminals):
    with torch.no_grad():
        for parameter in [*critic.parameters(), *slow_critic.parameters()]:
            parameter.zero_()
    returns, weights = returns_of(rewards, terminals, 0 * rewards)
    return 0.5 * (weights * (critic(observations[:, :-1])[..., 0] - returns) ** 2).mean()
""",
        "the loss should be",
    ),
]

# (function, how it differs, right answer)
RIGHT = [
    (
        "lambda_returns",
        "a loop over the rows",
        """
def lambda_returns(rewards, terminals, values, gamma, lambda_):
    returns, weights = torch.zeros_like(values[:, 1:]), torch.zeros_like(values[:, 1:])
    for b in range(len(rewards)):
        flags = [bool(flag) for flag in terminals[b, :-1]]
        last = flags.index(True) if True in flags else len(flags) - 1
        following = values[b, -1]
        for t in range(last, -1, -1):
            if flags[t]:
                following = rewards[b, t]
            else:
                following = rewards[b, t] + gamma * ((1 - lambda_) * values[b, t + 1] + lambda_ * following)
            returns[b, t], weights[b, t] = following, 1
    return returns, weights
""",
    ),
    (
        "lambda_returns",
        "advantages from the back, float64",
        """
def lambda_returns(rewards, terminals, values, gamma, lambda_):
    r, v, alive = rewards.double(), values.double(), 1 - terminals.double()
    delta = r[:, :-1] + gamma * alive[:, :-1] * v[:, 1:] - v[:, :-1]
    advantage, rows = torch.zeros_like(delta[:, 0]), []
    for t in range(delta.shape[1] - 1, -1, -1):
        advantage = delta[:, t] + gamma * lambda_ * alive[:, t] * advantage
        rows.append(advantage)
    returns = torch.stack(rows[::-1], 1) + v[:, :-1]
    weights = torch.cat([torch.ones_like(alive[:, :1]), alive[:, :-2].cumprod(1)], 1)
    return returns.to(values.dtype), weights.to(values.dtype)
""",
    ),
    (
        "lambda_returns",
        "torch.where",
        """
def lambda_returns(rewards, terminals, values, gamma, lambda_):
    ends = terminals.bool()
    out = values[:, 1:].clone()
    carry = values[:, -1]
    for t in reversed(range(out.shape[1])):
        mix = torch.lerp(values[:, t + 1], carry, lambda_)
        carry = torch.where(ends[:, t], rewards[:, t], rewards[:, t] + gamma * mix)
        out[:, t] = carry
    over = torch.cummax(ends[:, :-1].int(), dim=1).values
    weights = 1 - torch.cat([torch.zeros_like(over[:, :1]), over[:, :-1]], dim=1)
    return out, weights.to(values.dtype)
""",
    ),
    (
        "standardise",
        "weighted sums",
        """
def standardise(advantages, weights):
    kept = torch.where(weights > 0, advantages, 0.0)
    n = weights.sum()
    centred = (kept - kept.sum() / n) * weights
    std = (centred.square().sum() / (n - 1).clamp(min=1)).sqrt()
    return centred / std.clamp(min=1e-8)
""",
    ),
    (
        "standardise",
        "a loop",
        """
def standardise(advantages, weights):
    real = [a for a, w in zip(advantages.flatten().tolist(), weights.flatten().tolist()) if w]
    mean = sum(real) / len(real)
    std = math.sqrt(sum((a - mean) ** 2 for a in real) / max(len(real) - 1, 1))
    answer = torch.zeros_like(advantages)
    for b in range(answer.shape[0]):
        for t in range(answer.shape[1]):
            if weights[b, t] and std > 0:
                answer[b, t] = (advantages[b, t] - mean) / std
    return answer
""",
    ),
    (
        "standardise",
        "float64",
        """
def standardise(advantages, weights):
    real, out = weights.bool(), torch.zeros_like(advantages, dtype=torch.float64)
    if real.sum() > 1:
        among = advantages[real].double()
        spread = among.std()
        out[real] = (among - among.mean()) / (spread if spread > 0 else 1.0)
    return out.to(advantages.dtype)
""",
    ),
    (
        "actor_loss",
        "the Gaussian written out",
        """
def actor_loss(policy, observations, actions, advantages, weights, entropy_weight):
    mean, std = policy.mean(observations), policy.std
    taken, judged = actions.detach(), advantages.detach()
    log_prob = (-0.5 * ((taken - mean) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)).sum(-1)
    entropy = (std.log() + 0.5 * math.log(2 * math.pi * math.e)).sum()
    return -((log_prob * judged + entropy_weight * entropy) * weights).sum() / weights.numel()
""",
    ),
    (
        "actor_loss",
        "a loop over time",
        """
def actor_loss(policy, observations, actions, advantages, weights, entropy_weight):
    total = 0.0
    for t in range(weights.shape[1]):
        pi = policy(observations[:, t])
        gain = pi.log_prob(actions[:, t].detach()) * advantages[:, t].detach() + entropy_weight * pi.entropy()
        total = total - (gain * weights[:, t]).mean()
    return total / weights.shape[1]
""",
    ),
    (
        "actor_loss",
        "float64",
        """
def actor_loss(policy, observations, actions, advantages, weights, entropy_weight):
    pi = policy(observations)
    with torch.no_grad():
        taken, judged = actions.clone(), (advantages * weights).double()
    return -(judged * pi.log_prob(taken).double() + entropy_weight * weights.double() * pi.entropy().double()).mean()
""",
    ),
    (
        "critic_loss",
        "the last axis kept",
        """
def critic_loss(critic, slow_critic, returns_of, observations, rewards, terminals):
    with torch.no_grad():
        returns, weights = returns_of(rewards, terminals, slow_critic(observations)[..., 0])
    error = critic(observations[:, :-1]) - returns[..., None]
    return (weights[..., None] * error**2).sum() / (2 * weights.numel())
""",
    ),
    (
        "critic_loss",
        "a loop",
        """
def critic_loss(critic, slow_critic, returns_of, observations, rewards, terminals):
    values = torch.stack([slow_critic(row).flatten() for row in observations]).detach()
    returns, weights = returns_of(rewards, terminals, values)
    total = 0.0
    for t in range(returns.shape[1]):
        total = total + (weights[:, t] * (critic(observations[:, t]).flatten() - returns[:, t]) ** 2).sum()
    return total / (2 * returns.numel())
""",
    ),
    (
        "critic_loss",
        "float64",
        """
def critic_loss(critic, slow_critic, returns_of, observations, rewards, terminals):
    returns, weights = returns_of(rewards, terminals, slow_critic(observations).detach()[..., 0])
    values = critic(observations)[:, :-1, 0].double()
    return torch.nn.functional.mse_loss(values * weights, returns.double() * weights) / 2
""",
    ),
    (
        "step_policy",
        "vectors of all parameters",
        """
def step_policy(policy, optimiser, loss, observations, actions, target, rounds):
    to_vector, to_parameters = torch.nn.utils.parameters_to_vector, torch.nn.utils.vector_to_parameters
    with torch.no_grad():
        old, start = policy(observations).log_prob(actions), to_vector(policy.parameters()).clone()
    optimiser.zero_grad(set_to_none=False)
    loss.backward()
    optimiser.step()
    with torch.no_grad():
        whole, fraction = to_vector(policy.parameters()) - start, 1.0
        for _ in range(rounds):
            to_parameters(start + fraction * whole, policy.parameters())
            change = (policy(observations).log_prob(actions) - old).abs().mean().item()
            fraction = min(1.0, fraction * target / max(change, 1e-12))
        to_parameters(start + fraction * whole, policy.parameters())
        change = (policy(observations).log_prob(actions) - old).abs().mean().item()
    return fraction, change
""",
    ),
    (
        "step_policy",
        "a deep copy to compare with",
        slip(
            slip(
                STEP, "    optimiser.zero_grad()\n", "    behind = copy.deepcopy(policy)\n    optimiser.zero_grad()\n"
            ),
            "before = [parameter.clone() for parameter in parameters]",
            "before = list(behind.parameters())",
        ),
    ),
    (
        "step_policy",
        "float64, stops when near",
        slip(
            slip(
                slip(STEP, "if change == 0:", "if change == 0 or abs(change / target - 1) < 0.01:"),
                "old = policy(observations).log_prob(actions)",
                "old = policy(observations).log_prob(actions).double()",
            ),
            "parameter.copy_(start + fraction * step)",
            "parameter.copy_(start.double() + fraction * step.double())",
        ),
    ),
    (
        "lambda_returns",
        "a scan, and flags for weights",
        """
from itertools import accumulate


def lambda_returns(rewards, terminals, values, gamma, lambda_):
    go_on = gamma * (1 - terminals.to(values))
    steps = zip(rewards.T.flip(0)[1:], go_on.T.flip(0)[1:], values.T.flip(0)[:-1])
    scan = accumulate(steps, lambda later, now: now[0] + now[1] * ((1 - lambda_) * now[2] + lambda_ * later),
                      initial=values[:, -1])
    before = terminals[:, :-1].bool().cumsum(1) - terminals[:, :-1].bool().long()
    return torch.stack([*scan][:0:-1], dim=1), before == 0
""",
    ),
]
