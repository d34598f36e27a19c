"""Assignment 6, the bug hunt: mends that are none, and five faults mended in three ways each."""

from .changes import slip


def mend(report, method):
    """The answer cell of a report, with ``method`` in its class."""
    lines = "".join(f"    {line}\n" if line else "\n" for line in method.strip("\n").split("\n"))
    return f"class {report}(SmallPolyGRAD):\n{lines}"


COLLECT = """
def collect(self, n_steps):
    rows, episodes, episode = [], [], 0
    for _ in range(n_steps):
        action = 2 * torch.rand(1, generator=self.generator) - 1
        following, reward, terminal, truncated, _ = self.env.step(action.numpy())
        episodes.append(episode)
        rows.append([float(self.observation[0]), reward, float(terminal), action.item()])
        if terminal or truncated:
            following, _ = self.env.reset()
            episode += 1
        self.observation = following
    return torch.tensor(rows), torch.tensor(episodes)
"""

CLIP = """
def clip_gradient(self, parameters, most):
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = sum(gradient.square().sum() for gradient in gradients) ** 0.5
    for gradient in gradients:
        gradient.mul_((most / (norm + 1e-6)).clamp(max=1))
    return norm
"""

GUIDE = """
def guide(self, seen, policy, std, noise):
    positions = self.denormalise(seen[..., :1], slice(0, 1))
    actions = policy(positions) + std * noise
    return self.normalise(actions, slice(3, 4))
"""


def one(old, new):
    return mend("ReportOne", slip(COLLECT, old, new))


def two(*lines):
    return mend("ReportTwo", "\n    ".join(["def __init__(self, seed):", *lines]))


def three(old, new):
    return mend("ReportThree", slip(CLIP, old, new))


def four(old, new):
    return mend("ReportFour", slip(GUIDE, old, new))


def five(steps):
    return mend("ReportFive", f"def visits(self):\n    return {steps}")


# (function, wrong answer, words of the message)
WRONG = [
    ("ReportOne", mend("ReportOne", "..."), "nothing ends there"),
    ("ReportOne", "ReportOne = ...", "is empty so far"),
    # as it was
    (
        "ReportOne",
        one("        rows.append", "        if terminal:\n            terminal = False\n        rows.append"),
        "nothing ends there",
    ),
    # one flag for two endings
    ("ReportOne", one("float(terminal)", "float(terminal or truncated)"), "is not ended"),
    # the clock's flag
    ("ReportOne", one("float(terminal)", "float(truncated)"), "nothing ends there"),
    # off by one: at the row after
    (
        "ReportOne",
        one(
            "    return torch.tensor(rows),",
            "    rows = [[r[0], r[1], before[2], r[3]] for before, r in zip(rows[-1:] + rows[:-1], rows)]\n    return "
            "torch.tensor(rows),",
        ),
        "beyond the edge only",
    ),
    # an episode that goes on behind its end
    (
        "ReportOne",
        one("            episode += 1\n", "            episode += int(truncated)\n"),
        "the same episode goes on",
    ),
    # the observation after the step
    ("ReportOne", one("float(self.observation[0])", "float(following[0])"), "beyond the edge only"),
    # played on without a reset
    ("ReportOne", one("if terminal or truncated:", "if terminal:"), "no episode is longer than 25 steps"),
    # the stored observation is that of the new episode
    (
        "ReportOne",
        mend(
            "ReportOne",
            COLLECT.replace(
                "        rows.append([float(self.observation[0]), reward, float(terminal), action.item()])\n", ""
            )
            .replace(
                "        self.observation = following",
                "        rows.append([float(self.observation[0]), reward, float(terminal), action.item()])\n        "
                "self.observation = following",
            )
            .replace(
                "            following, _ = self.env.reset()",
                "            following, _ = self.env.reset()\n            self.observation = following",
            ),
        ),
        "beyond the edge only",
    ),
    ("ReportTwo", mend("ReportTwo", "..."), "begin with other weights"),
    ("ReportTwo", "ReportTwo = ...", "is empty so far"),
    # later still
    ("ReportTwo", two("super().__init__(seed)", "torch.manual_seed(seed)"), "begin with other weights"),
    # another library's
    ("ReportTwo", two("import random", "random.seed(seed)", "super().__init__(seed)"), "begin with other weights"),
    # hard-coded
    ("ReportTwo", two("torch.manual_seed(0)", "super().__init__(seed)"), "is the seed used at all"),
    ("ReportTwo", two("torch.manual_seed(0)", "super().__init__(0)"), "is the seed used at all"),
    # the optimiser still holds the old network
    (
        "ReportTwo",
        two("super().__init__(seed)", "torch.manual_seed(seed)", "self.network = self.make_network()"),
        "another network's weights",
    ),
    # all weights alike
    (
        "ReportTwo",
        two("super().__init__(seed)", "for p in self.network.parameters():", "    nn_zero = p.data.zero_()"),
        "is the seed used at all",
    ),
    # random actions from elsewhere
    (
        "ReportTwo",
        two("torch.manual_seed(seed)", "super().__init__(seed)", "self.generator.seed()"),
        "other random actions",
    ),
    # the environment begins anywhere
    (
        "ReportTwo",
        two(
            "torch.manual_seed(seed)",
            "super().__init__(seed)",
            "self.env = type(self.env)(edge=1.0)",
            "self.observation, _ = self.env.reset()",
        ),
        "begin in other states",
    ),
    ("ReportThree", mend("ReportThree", "..."), "you report a length of"),
    ("ReportThree", "ReportThree = ...", "is empty so far"),
    # as it was, in other words
    ("ReportThree", three("** 0.5", "/ 2"), "you report a length of"),
    # the length squared
    ("ReportThree", three(" ** 0.5", ""), "you report a length of"),
    # the sum of the lengths
    (
        "ReportThree",
        three(
            "gradient.square().sum() for gradient in gradients) ** 0.5", "gradient.norm() for gradient in gradients)"
        ),
        "you report a length of",
    ),
    # the largest number
    (
        "ReportThree",
        three(
            "sum(gradient.square().sum() for gradient in gradients) ** 0.5",
            "max(gradient.abs().max() for gradient in gradients)",
        ),
        "you report a length of",
    ),
    # each parameter by itself
    (
        "ReportThree",
        three(
            "    for gradient in gradients:\n        gradient.mul_((most / (norm + 1e-6)).clamp(max=1))",
            "    for gradient in gradients:\n        gradient.mul_((most / (gradient.norm() + 1e-6)).clamp(max=1))",
        ),
        "afterwards its length should be",
    ),
    # always made as long as the limit
    ("ReportThree", three(".clamp(max=1))", ")"), "afterwards its length should be"),
    # each number cut off
    (
        "ReportThree",
        three("gradient.mul_((most / (norm + 1e-6)).clamp(max=1))", "gradient.clamp_(-most, most)"),
        "afterwards its length should be",
    ),
    # a copy is shortened
    ("ReportThree", three("gradient.mul_((most", "gradient = gradient * ((most"), "afterwards its length should be"),
    # the length it has afterwards
    ("ReportThree", three("    return norm", "    return norm.clamp(max=most)"), "you report a length of"),
    # sign
    ("ReportThree", three("(most / (norm + 1e-6))", "(-most / (norm + 1e-6))"), "turned as well"),
    # unused parameters not expected
    ("ReportThree", three(" if parameter.grad is not None", ""), "your code stopped with AttributeError"),
    ("ReportFour", mend("ReportFour", "..."), "In whose units"),
    ("ReportFour", "ReportFour = ...", "is empty so far"),
    # normalised twice
    (
        "ReportFour",
        four("self.denormalise(seen[..., :1], slice(0, 1))", "self.normalise(seen[..., :1], slice(0, 1))"),
        "In whose units",
    ),
    # the units of an action
    ("ReportFour", four("slice(0, 1))", "slice(3, 4))"), "In whose units"),
    # off by one column: the reward
    ("ReportFour", four("seen[..., :1]", "seen[..., 1:2]"), "In whose units"),
    # scaled, and not shifted
    (
        "ReportFour",
        four("self.denormalise(seen[..., :1], slice(0, 1))", "seen[..., :1] * self.scale[0]"),
        "In whose units",
    ),
    # the answer left in the line's units
    (
        "ReportFour",
        four("return self.normalise(actions, slice(3, 4))", "return actions"),
        "in the model's units of an *action*",
    ),
    # the answer in units of a position
    (
        "ReportFour",
        four("self.normalise(actions, slice(3, 4))", "self.normalise(actions, slice(0, 1))"),
        "in the model's units of an *action*",
    ),
    # the noise added in the model's units
    (
        "ReportFour",
        four(
            "    actions = policy(positions) + std * noise\n    return self.normalise(actions, slice(3, 4))",
            "    return self.normalise(policy(positions), slice(3, 4)) + std * noise",
        ),
        "the policy's spread is",
    ),
    # a variance
    ("ReportFour", four("std * noise", "std**2 * noise"), "the policy's spread is"),
    # its input mutated
    (
        "ReportFour",
        four("self.denormalise(seen[..., :1], slice(0, 1))", "seen.mul_(self.scale[:3]).add_(self.mean[:3])[..., :1]"),
        "changed its argument `seen` in place",
    ),
    ("ReportFive", mend("ReportFive", "..."), "the way back never undoes it"),
    ("ReportFive", "ReportFive = ...", "is empty so far"),
    # as it was, in other words
    ("ReportFive", five("[N_STEPS - k for k in range(1, N_STEPS)]"), "the way back never undoes it"),
    # off by one at the other end
    ("ReportFive", five("list(range(N_STEPS, -1, -1))"), "steps go from 0 to"),
    ("ReportFive", five("list(range(N_STEPS - 2, -1, -1))"), "step 23 hides something"),
    ("ReportFive", five("list(range(N_STEPS, 0, -1))"), "steps go from 0 to"),
    # into the negative, where an index comes round again
    ("ReportFive", five("list(range(N_STEPS - 1, -2, -1))"), "steps go from 0 to"),
    # the wrong way
    ("ReportFive", five("list(range(N_STEPS))"), "from the noisiest"),
    # the last one twice
    ("ReportFive", five("[*range(N_STEPS - 1, 0, -1), 0, 0]"), "visited twice"),
    # every other
    ("ReportFive", five("list(range(N_STEPS - 1, -1, -2))"), "the way back never undoes it"),
    # the symptom treated: smoothing in another place
    (
        "ReportFive",
        mend("ReportFive", "def posterior(self, clean, noisy, step):\n    return clean, 0 * clean[0, 0, 0]"),
        "the way back never undoes it",
    ),
]

# (function, how it differs, right answer)
RIGHT = [
    ("ReportOne", "stored before the reset", mend("ReportOne", COLLECT)),
    (
        "ReportOne",
        "another name for what is kept",
        mend(
            "ReportOne",
            COLLECT.replace("float(terminal)", "1.0 if end else 0.0").replace(
                "        episodes.append", "        end = bool(terminal)\n        episodes.append"
            ),
        ),
    ),
    (
        "ReportOne",
        "tensors filled in a loop",
        mend(
            "ReportOne",
            """
def collect(self, n_steps):
    rows, episodes = torch.zeros(n_steps, 4), torch.zeros(n_steps, dtype=torch.long)
    for k in range(n_steps):
        action = torch.rand(1, generator=self.generator).mul(2).sub(1)
        before = float(self.observation[0])
        after, reward, fell, stopped, _ = self.env.step(action.numpy())
        rows[k] = torch.tensor([before, float(reward), float(fell), float(action)])
        if k + 1 < n_steps:
            episodes[k + 1] = episodes[k] + int(fell or stopped)
        self.observation = self.env.reset()[0] if fell or stopped else after
    return rows, episodes
""",
        ),
    ),
    ("ReportTwo", "seeded first", two("torch.manual_seed(seed)", "super().__init__(seed)")),
    (
        "ReportTwo",
        "the network made anew, and its optimiser",
        two(
            "super().__init__(seed)",
            "torch.manual_seed(seed)",
            "self.network = self.make_network()",
            "self.optimiser = torch.optim.Adam(self.network.parameters(), lr=2e-3)",
        ),
    ),
    (
        "ReportTwo",
        "where the network is made",
        two("self.seed = seed", "super().__init__(seed)")
        + "\n    def make_network(self):\n        torch.manual_seed(self.seed)\n"
        + "        return super().make_network()\n",
    ),
    (
        "ReportThree",
        "a square root",
        three(
            "sum(gradient.square().sum() for gradient in gradients) ** 0.5",
            "torch.sqrt(sum((gradient**2).sum() for gradient in gradients))",
        ),
    ),
    (
        "ReportThree",
        "torch's own",
        mend(
            "ReportThree",
            "def clip_gradient(self, parameters, most):\n    return torch.nn.utils.clip_grad_norm_(list(parameters), "
            "most)",
        ),
    ),
    (
        "ReportThree",
        "float64, a loop",
        mend(
            "ReportThree",
            """
def clip_gradient(self, parameters, most):
    kept, total = [], 0.0
    for parameter in parameters:
        if parameter.grad is not None:
            kept.append(parameter.grad)
            total += float(parameter.grad.double().pow(2).sum())
    length = math.sqrt(total)
    if length > most:
        for gradient in kept:
            gradient *= most / length
    return torch.tensor(length)
""",
        ),
    ),
    ("ReportFour", "asked on the line", mend("ReportFour", GUIDE)),
    (
        "ReportFour",
        "written out",
        four("self.denormalise(seen[..., :1], slice(0, 1))", "seen[..., 0:1] * self.scale[0] + self.mean[0]"),
    ),
    (
        "ReportFour",
        "float64",
        mend(
            "ReportFour",
            """
def guide(self, seen, policy, std, noise):
    where = self.denormalise(seen.double(), slice(0, 3))[..., :1]
    played = policy(where).double() + std * noise.double()
    return ((played - self.mean[3]) / self.scale[3]).float()
""",
        ),
    ),
    ("ReportFive", "one further", five("list(range(N_STEPS - 1, -1, -1))")),
    ("ReportFive", "reversed", five("list(range(N_STEPS))[::-1]")),
    ("ReportFive", "counted", five("sorted((t for t in range(len(self.alpha_bar) - 1)), reverse=True)")),
    (
        "ReportFive",
        "one after the other",
        """
class ReportFive(SmallPolyGRAD):
    def visits(self):
        yield from range(N_STEPS - 1, -1, -1)
""",
    ),
    (
        "ReportTwo",
        "a random state of its own",
        """
class ReportTwo(SmallPolyGRAD):
    def __init__(self, seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            super().__init__(seed)
""",
    ),
    (
        "ReportOne",
        "an environment that remembers its ends",
        """
class Remembers:
    def __init__(self, env):
        self.env, self.ends = env, []

    def __getattr__(self, name):
        return getattr(self.env, name)

    def step(self, action):
        told = self.env.step(action)
        self.ends.append(float(told[2]))
        return told


class ReportOne(SmallPolyGRAD):
    def collect(self, n_steps):
        self.env = Remembers(self.env)
        rows, episodes = super().collect(n_steps)
        rows[:, 2], self.env = torch.tensor(self.env.ends), self.env.env
        return rows, episodes
""",
    ),
]
