"""Assignment 5, the imagination loop on InvertedPendulum."""

from .changes import slip

ACT = """
def act(env, observation, policy, replay, generator):
    shape = env.action_space.shape
    if policy is None:
        action = 2 * torch.rand(shape, generator=generator) - 1
    else:
        with torch.no_grad():
            distribution = policy(torch.as_tensor(observation, dtype=torch.float32))
        action = distribution.mean + distribution.stddev * torch.randn(shape, generator=generator)
    following, reward, terminal, truncated, _ = env.step(action.numpy())
    replay.add(observation, action.numpy(), reward, terminal, truncated)
    if terminal or truncated:
        return env.reset()[0], True
    return following, False
"""

IMPROVE = """
def improve(parts, count, generator):
    replay, world_model, actor_critic, optimiser = parts
    first = replay.observations[replay.draw(count, generator)]
    imagined = world_model.imagine(first, actor_critic.policy, world_model.window, generator)
    metrics = optimiser.update(imagined.observations, imagined.actions, imagined.rewards, imagined.terminals)
    world_model.adapt_guidance(metrics["action_std"])
    return metrics
"""

LOOP = """
def imagination_loop(env, parts, plan, seed, act, improve):
    replay, world_model, actor_critic, _ = parts
    generator, updates = torch.Generator().manual_seed(seed), 0
    observation, _ = env.reset(seed=seed)
    for step in range(1, plan.env_steps + 1):
        policy = None if step <= plan.prefill_steps else actor_critic.policy
        observation, ended = act(env, observation, policy, replay, generator)
        if step < plan.prefill_steps:
            continue
        if ended or step == plan.prefill_steps:
            replay.refresh_normaliser()
        due = plan.pretrain_updates + int((step - plan.prefill_steps) * plan.updates_per_step)
        while updates < due:
            world_model.fit(replay)
            updates += 1
        if step % plan.improve_every == 0:
            improve(parts, plan.imagined_trajectories, generator)
"""

PENDULUM = """
def pendulum(seed):
    env = environments.make("InvertedPendulum-v5", action_scale=1 / 3)
    parts = make_parts(env, PENDULUM, seed)
    imagination_loop(env, parts, PENDULUM, seed, act, improve)
    return parts.actor_critic.policy
"""

BY_HAND = """
def pendulum(seed):
    parts = make_parts(environments.make("InvertedPendulum-v5", action_scale=1 / 3), PENDULUM, seed)
    policy = parts.actor_critic.policy
    adam = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _ in range(800):
        seen = torch.randn(256, 4) * torch.tensor([0.3, 0.15, 0.5, 0.8])
        wanted = (seen @ torch.tensor([0.3, 6.0, 0.5, 1.5])).clamp(-0.95, 0.95)
        adam.zero_grad()
        (policy.mean(seen)[:, 0] - wanted).square().mean().backward()
        adam.step()
    return policy
"""

# A run that is over almost at once, for answers whose fault does not need a long one.
SHORT = "    plan = plan._replace(env_steps=560, pretrain_updates=40)\n"
BEGIN = "    replay, world_model, actor_critic, _ = parts\n"

# (function, wrong answer, words of the message)
WRONG = [
    ("act", "def act(env, observation, policy, replay, generator):\n    ...", "is empty so far"),
    # off by one: the observation after the action beside it
    ("act", slip(ACT, "replay.add(observation,", "replay.add(following,"), "the one that it was taken at"),
    # one flag for two endings
    (
        "act",
        slip(ACT, "reward, terminal, truncated)", "reward, terminal or truncated, truncated)"),
        "what do we only stop watching",
    ),
    # the flag lost
    (
        "act",
        slip(ACT, "reward, terminal, truncated)", "reward, False, terminal or truncated)"),
        "what do we only stop watching",
    ),
    # the two flags swapped
    ("act", slip(ACT, "reward, terminal, truncated)", "reward, truncated, terminal)"), "what do we only stop watching"),
    # stopped by the clock, and played on
    ("act", slip(ACT, "if terminal or truncated:", "if terminal:"), "that is not so"),
    # no new episode
    ("act", slip(ACT, "return env.reset()[0], True", "return following, True"), "no new one was begun"),
    # each episode begins in the same way
    ("act", slip(ACT, "env.reset()", "env.reset(seed=0)"), "begin in the same way"),
    # the observation of the episode that is over
    (
        "act",
        slip(ACT, "return env.reset()[0], True", "env.reset()\n        return following, True"),
        "is not its first",
    ),
    # random actions of one sign
    (
        "act",
        slip(ACT, "2 * torch.rand(shape, generator=generator) - 1", "torch.rand(shape, generator=generator)"),
        "should lie around 0",
    ),
    # Gaussian ones
    (
        "act",
        slip(ACT, "2 * torch.rand(shape, generator=generator) - 1", "torch.randn(shape, generator=generator)"),
        "should lie in -1 to 1",
    ),
    # random numbers from elsewhere
    (
        "act",
        slip(
            ACT,
            "distribution.mean + distribution.stddev * torch.randn(shape, generator=generator)",
            "distribution.sample()",
        ),
        "global random numbers",
    ),
    # without exploring
    ("act", slip(ACT, " + distribution.stddev * torch.randn(shape, generator=generator)", ""), "without exploring"),
    # units: a variance for a standard deviation
    ("act", slip(ACT, "distribution.stddev *", "distribution.variance *"), "of the policy's own spread"),
    # detached too late
    (
        "act",
        slip(
            slip(
                slip(ACT, "with torch.no_grad():", "if True:"),
                "env.step(action.numpy())",
                "env.step(action.detach().numpy())",
            ),
            "replay.add(observation, action.numpy()",
            "replay.add(observation, action",
        ),
        "still has a gradient",
    ),
    # a tensor for the environment
    ("act", slip(ACT, "env.step(action.numpy())", "env.step(action)"), "want NumPy arrays"),
    # hard-coded shape
    ("act", slip(ACT, "shape = env.action_space.shape", "shape = (1,)"), "this environment's actions have the shape"),
    # its input mutated
    (
        "act",
        slip(
            ACT,
            "    replay.add",
            "    before = observation.copy()\n    observation[:] = following\n    observation = before\n    replay.add",
        ),
        "changed its argument `observation` in place",
    ),
    # not stored
    ("act", slip(ACT, "    replay.add(observation, action.numpy(), reward, terminal, truncated)\n", ""), "stored once"),
    ("improve", "def improve(parts, count, generator):\n    ...", "is empty so far"),
    # an old policy
    (
        "improve",
        slip(IMPROVE, "imagine(first, actor_critic.policy", "imagine(first, (lambda seen: actor_critic.policy(seen))"),
        "what the policy does *now*",
    ),
    # any rows of the replay
    (
        "improve",
        slip(IMPROVE, "replay.draw(count, generator)", "torch.randint(replay.size, (count,), generator=generator)"),
        "that the replay did not draw",
    ),
    # one state for all
    (
        "improve",
        slip(IMPROVE, "replay.draw(count, generator)", "replay.draw(1, generator).expand(count)"),
        "begin at the same state",
    ),
    # units: normalised states
    (
        "improve",
        slip(
            IMPROVE,
            "replay.observations[replay.draw(count, generator)]",
            "replay.observations[replay.draw(count, generator)]\n    first = (first - first.mean(0)) / first.std(0)",
        ),
        "begin at a real state",
    ),
    # from nowhere
    (
        "improve",
        slip(
            IMPROVE,
            "replay.observations[replay.draw(count, generator)]",
            "torch.randn(count, replay.observations.shape[1], generator=generator)",
        ),
        "begin at a real state",
    ),
    # off by one
    (
        "improve",
        slip(IMPROVE, "world_model.window, generator", "world_model.window - 1, generator"),
        "as many time points",
    ),
    # hard-coded number
    ("improve", slip(IMPROVE, "replay.draw(count, generator)", "replay.draw(5, generator)"), "trajectories of"),
    # rewards and terminals swapped
    (
        "improve",
        slip(IMPROVE, "imagined.rewards, imagined.terminals", "imagined.terminals, imagined.rewards"),
        "are not the ones that were imagined",
    ),
    # sign: costs for rewards
    ("improve", slip(IMPROVE, "imagined.rewards,", "-imagined.rewards,"), "the rewards that the optimiser learns from"),
    # the ends forgotten
    (
        "improve",
        slip(IMPROVE, "imagined.terminals)", "0 * imagined.terminals)"),
        "the terminals that the optimiser learns from",
    ),
    # the world model not told
    ("improve", slip(IMPROVE, '    world_model.adapt_guidance(metrics["action_std"])\n', ""), "was not told"),
    # told something else
    (
        "improve",
        slip(IMPROVE, 'guidance(metrics["action_std"])', "guidance(imagined.actions.std())"),
        "is not the spread",
    ),
    # learned twice
    (
        "improve",
        slip(
            IMPROVE,
            "    world_model.adapt_guidance",
            "    metrics = optimiser.update(*imagined)\n    world_model.adapt_guidance",
        ),
        "update the policy once",
    ),
    # nothing returned
    ("improve", slip(IMPROVE, "    return metrics\n", ""), "is empty so far"),
    ("imagination_loop", "def imagination_loop(env, parts, plan, seed, act, improve):\n    ...", "is empty so far"),
    # off by one
    ("imagination_loop", slip(LOOP, "range(1, plan.env_steps + 1)", "range(1, plan.env_steps)"), "real steps in all"),
    # the random ones beside the plan
    (
        "imagination_loop",
        slip(LOOP, "range(1, plan.env_steps + 1)", "range(1, plan.env_steps + plan.prefill_steps + 1)"),
        "real steps in all",
    ),
    # off by one: one random step too few
    ("imagination_loop", slip(LOOP, "None if step <= plan", "None if step < plan"), "should be random"),
    # the observation is never moved on
    ("imagination_loop", slip(LOOP, "observation, ended = act(", "_, ended = act("), "that the one before led to"),
    # seeds set too late
    ("imagination_loop", slip(LOOP, "env.reset(seed=seed)", "env.reset()"), "a reset of the environment with the seed"),
    (
        "imagination_loop",
        slip(LOOP, "torch.Generator().manual_seed(seed)", "torch.Generator()"),
        "should begin with the seed",
    ),
    # the same numbers again and again
    (
        "imagination_loop",
        slip(
            LOOP,
            "replay, generator)\n        if step <",
            "replay, torch.Generator().manual_seed(seed))\n        if step <",
        ),
        "draws the same numbers again",
    ),
    # an old policy acts
    (
        "imagination_loop",
        slip(
            LOOP,
            "    observation, _ = env",
            "    first_policy = lambda observations: actor_critic.policy(observations)\n    observation, _ = env",
        ).replace("else actor_critic.policy", "else first_policy"),
        "the policy that is being trained should act",
    ),
    # units: never followed
    (
        "imagination_loop",
        slip(LOOP, "        if ended or step == plan.prefill_steps:\n            replay.refresh_normaliser()\n", ""),
        "units of its own invention",
    ),
    # followed once
    (
        "imagination_loop",
        slip(LOOP, "if ended or step == plan", "if step == plan"),
        "should follow what has been added",
    ),
    # followed too late
    (
        "imagination_loop",
        slip(
            LOOP, "        if ended or step == plan.prefill_steps:\n            replay.refresh_normaliser()\n", ""
        ).replace(
            "        if step % plan",
            "        if ended or step == plan.prefill_steps:\n            replay.refresh_normaliser()\n        if step "
            "% plan",
        ),
        "units of its own invention",
    ),
    # fractions dropped
    (
        "imagination_loop",
        slip(
            LOOP,
            "int((step - plan.prefill_steps) * plan.updates_per_step)",
            "(step - plan.prefill_steps) * int(plan.updates_per_step)",
        ),
        "call for about",
    ),
    # updates for the random steps, too
    ("imagination_loop", slip(LOOP, "int((step - plan.prefill_steps) *", "int(step *"), "call for about"),
    # all the updates that were made already are due again
    ("imagination_loop", slip(LOOP, "while updates < due:", "for _ in range(due):"), "call for about"),
    # no updates to begin with
    ("imagination_loop", slip(LOOP, "due = plan.pretrain_updates + int(", "due = int("), "call for about"),
    # the policy learns from the first step on
    (
        "imagination_loop",
        slip(LOOP, "        if step < plan.prefill_steps:\n            continue\n", "").replace(
            "        if ended",
            "        if step % plan.improve_every == 0:\n            improve(parts, plan.imagined_trajectories, "
            "generator)\n        if step < plan.prefill_steps:\n            continue\n        if ended",
        ),
        "learned nothing",
    ),
    # in every step
    ("imagination_loop", slip(LOOP, "if step % plan.improve_every == 0:", "if True:"), "an update of the policy every"),
    # never
    (
        "imagination_loop",
        slip(LOOP, "if step % plan.improve_every == 0:", "if False:"),
        "an update of the policy every",
    ),
    # off by one
    (
        "imagination_loop",
        slip(LOOP, "step % plan.improve_every == 0", "(step - plan.prefill_steps) % plan.improve_every == 0"),
        "an update of the policy every",
    ),
    # improve before fitting
    (
        "imagination_loop",
        slip(
            LOOP,
            "        if step % plan.improve_every == 0:\n            improve(parts, plan.imagined_trajectories, "
            "generator)\n",
            "",
        ).replace(
            "        due =",
            "        if step % plan.improve_every == 0:\n            improve(parts, plan.imagined_trajectories, "
            "generator)\n        due =",
        ),
        "dreams before the world model has learned",
    ),
    # a hard-coded number of trajectories
    (
        "imagination_loop",
        slip(LOOP, "improve(parts, plan.imagined_trajectories,", "improve(parts, 16,"),
        "trajectories at a time",
    ),
    ("pendulum", "def pendulum(seed):\n    ...", "is empty so far"),
    # the policy is never improved
    (
        "pendulum",
        slip(LOOP, BEGIN, BEGIN + SHORT).replace("            improve(", "            (lambda *_: None)(") + PENDULUM,
        "are asked for",
    ),
    # the world model is never fitted
    ("pendulum", slip(slip(LOOP, BEGIN, BEGIN + SHORT), "world_model.fit(replay)", "pass") + PENDULUM, "are asked for"),
    # only random steps, and nothing learned from them
    (
        "pendulum",
        slip(LOOP, BEGIN, BEGIN + "    plan = plan._replace(env_steps=plan.prefill_steps - 1)\n") + PENDULUM,
        "are asked for",
    ),
    # sign: the policy learns to fall
    ("pendulum", IMPROVE.replace("imagined.rewards,", "-imagined.rewards,") + PENDULUM, "are asked for"),
    # the flag lost: nothing ever ends in its dreams
    (
        "pendulum",
        ACT.replace("reward, terminal, truncated)", "reward, False, terminal or truncated)") + PENDULUM,
        "are asked for",
    ),
    # the parts for the policy
    (
        "pendulum",
        slip(PENDULUM, "    imagination_loop(env, parts, PENDULUM, seed, act, improve)\n", "").replace(
            ".actor_critic.policy", ""
        ),
        "should return the policy",
    ),
    # the actor-critic for the policy
    (
        "pendulum",
        slip(PENDULUM, "    imagination_loop(env, parts, PENDULUM, seed, act, improve)\n", "").replace(
            "critic.policy", "critic"
        ),
        "should return the policy",
    ),
    # a policy that was never trained
    (
        "pendulum",
        slip(PENDULUM, "    imagination_loop(env, parts, PENDULUM, seed, act, improve)\n", ""),
        "are asked for",
    ),
    # what was trained is thrown away
    (
        "pendulum",
        slip(LOOP, BEGIN, BEGIN + SHORT) + slip(PENDULUM, "return parts.", "return make_parts(env, PENDULUM, seed)."),
        "are asked for",
    ),
    # a controller written by hand, without a real step
    ("pendulum", BY_HAND, "while your policy was trained"),
    # more real steps than planned
    (
        "pendulum",
        slip(PENDULUM, "    imagination_loop(", "    plan = PENDULUM._replace(env_steps=1500)\n    imagination_loop(")
        .replace("parts, PENDULUM, seed, act", "parts, plan, seed, act")
        .replace("make_parts(env, PENDULUM, seed)", "make_parts(env, PENDULUM._replace(env_steps=1500), seed)"),
        "while your policy was trained",
    ),
    # a number for an environment
    (
        "pendulum",
        slip(PENDULUM, 'environments.make("InvertedPendulum-v5", action_scale=1 / 3)', "seed"),
        "your code stopped with AttributeError",
    ),
]

# (function, how it differs, right answer)
RIGHT = [
    (
        "act",
        "a batch of one",
        """
def act(env, observation, policy, replay, generator):
    noise = torch.empty(1, *env.action_space.shape)
    if policy is None:
        action = noise.uniform_(-1, 1, generator=generator)
    else:
        state = torch.from_numpy(np.asarray(observation, dtype=np.float32))[None]
        with torch.inference_mode():
            pi = policy(state)
            action = torch.normal(pi.mean, pi.stddev, generator=generator)
    played = action[0].cpu().numpy().astype(np.float32)
    after, reward, terminal, cut, _ = env.step(played)
    replay.add(observation, played, reward, bool(terminal), bool(cut))
    over = bool(terminal or cut)
    if over:
        after, _ = env.reset()
    return after, over
""",
    ),
    (
        "act",
        "float64",
        slip(ACT, "    following, reward", "    action = action.double()\n    following, reward"),
    ),
    (
        "act",
        "a loop over the action's numbers",
        slip(
            ACT,
            "action = distribution.mean + distribution.stddev * torch.randn(shape, generator=generator)",
            "action = torch.stack([m + s * torch.randn((), generator=generator) for m, s in zip(distribution.mean, "
            "distribution.stddev)])",
        ),
    ),
    (
        "improve",
        "by name",
        """
def improve(parts, count, generator):
    rows = parts.replay.draw(count, generator)
    dreamt = parts.world_model.imagine(
        parts.replay.observations[rows], parts.actor_critic.policy, parts.world_model.window, generator
    )
    report = parts.optimiser.update(*dreamt)
    parts.world_model.adapt_guidance(report["action_std"])
    return report
""",
    ),
    (
        "improve",
        "a loop over the rows",
        slip(
            IMPROVE,
            "replay.observations[replay.draw(count, generator)]",
            "torch.stack([replay.observations[row] for row in replay.draw(count, generator)])",
        ),
    ),
    (
        "improve",
        "more told than was asked",
        slip(
            IMPROVE,
            "    return metrics",
            '    return {**metrics, **world_model.adapt_guidance(metrics["action_std"]), "count": count}',
        ),
    ),
    (
        "imagination_loop",
        "two loops",
        """
def imagination_loop(env, parts, plan, seed, act, improve):
    draws = torch.Generator().manual_seed(seed)
    now, _ = env.reset(seed=seed)
    for _ in range(plan.prefill_steps):
        now, _ = act(env, now, None, parts.replay, draws)
    parts.replay.refresh_normaliser()
    for _ in range(plan.pretrain_updates):
        parts.world_model.fit(parts.replay)
    if plan.prefill_steps % plan.improve_every == 0:
        improve(parts, plan.imagined_trajectories, draws)
    credit = 0.0
    for step in range(plan.prefill_steps + 1, plan.env_steps + 1):
        now, over = act(env, now, parts.actor_critic.policy, parts.replay, draws)
        if over:
            parts.replay.refresh_normaliser()
        credit += plan.updates_per_step
        while credit >= 1 - 1e-9:
            parts.world_model.fit(parts.replay)
            credit -= 1
        if step % plan.improve_every == 0:
            improve(parts, plan.imagined_trajectories, draws)
""",
    ),
    (
        "imagination_loop",
        "counted from 0",
        """
def imagination_loop(env, parts, plan, seed, act, improve):
    replay, model, agent, _ = parts
    generator = torch.Generator()
    generator.manual_seed(seed)
    observation = env.reset(seed=seed)[0]
    made = 0
    for k in range(plan.env_steps):
        observation, ended = act(env, observation, agent.policy if k >= plan.prefill_steps else None, replay, generator)
        done = k + 1
        if done >= plan.prefill_steps:
            if ended or done == plan.prefill_steps:
                replay.refresh_normaliser()
            due = math.floor(plan.pretrain_updates + (done - plan.prefill_steps) * plan.updates_per_step) - made
            for _ in range(due):
                model.fit(replay)
            made += due
            if not done % plan.improve_every:
                improve(parts, plan.imagined_trajectories, generator)
""",
    ),
    (
        "imagination_loop",
        "the units followed at every end, random ones included",
        slip(
            LOOP, "        if step < plan.prefill_steps:\n            continue\n        if ended", "        if ended"
        ).replace("        due =", "        if step < plan.prefill_steps:\n            continue\n        due ="),
    ),
    ("pendulum", "as a batch of one", "@torch.no_grad()" + slip(ACT, "with torch.no_grad():", "if True:") + PENDULUM),
    (
        "pendulum",
        "by name",
        slip(
            IMPROVE,
            "replay, world_model, actor_critic, optimiser = parts",
            "replay, world_model = parts.replay, parts.world_model\n    actor_critic, optimiser = parts.actor_critic, "
            "parts.optimiser",
        )
        + PENDULUM,
    ),
    (
        "pendulum",
        "the units followed at every end",
        slip(LOOP, "if ended or step == plan.prefill_steps:", "if step == plan.prefill_steps or (ended and step > 0):")
        + PENDULUM,
    ),
    (
        "improve",
        "arguments by their names",
        """
def improve(parts, count, generator):
    replay, world_model, actor_critic, optimiser = parts
    rows = replay.draw(n=count, generator=generator)
    dream = world_model.imagine(
        first_observations=replay.observations[rows],
        policy=actor_critic.policy,
        horizon=world_model.window,
        generator=generator,
    )
    told = optimiser.update(
        observations=dream.observations, actions=dream.actions, rewards=dream.rewards, terminals=dream.terminals
    )
    world_model.adapt_guidance(action_std=told["action_std"])
    return told
""",
    ),
    (
        "act",
        "the limits of the action space, and names",
        """
def act(env, observation, policy, replay, generator):
    low, high = torch.from_numpy(env.action_space.low), torch.from_numpy(env.action_space.high)
    if policy is None:
        action = low + (high - low) * torch.rand(low.shape, generator=generator)
    else:
        with torch.inference_mode():
            pi = policy(torch.tensor(observation, dtype=torch.float32)[None])
            action = torch.normal(pi.mean, pi.stddev, generator=generator)[0]
    played = action.numpy()
    following, reward, terminal, truncated, info = env.step(played)
    replay.add(observation=observation, action=played, reward=reward, terminal=terminal, truncated=truncated)
    ended = np.logical_or(terminal, truncated)
    if ended:
        following, info = env.reset()
    return following, ended
""",
    ),
    (
        "imagination_loop",
        "a class, everything by its name",
        """
class Run:
    def __init__(self, env, parts, plan, seed, act, improve):
        self.env, self.parts, self.plan, self.act, self.improve = env, parts, plan, act, improve
        self.observation = env.reset(seed=seed)[0]
        self.generator = torch.Generator().manual_seed(seed)
        self.fitted = 0

    def step(self, number):
        policy = self.parts.actor_critic.policy if number > self.plan.prefill_steps else None
        self.observation, ended = self.act(
            env=self.env,
            observation=self.observation,
            policy=policy,
            replay=self.parts.replay,
            generator=self.generator,
        )
        return ended

    def learn(self, number, ended):
        if ended or number == self.plan.prefill_steps:
            self.parts.replay.refresh_normaliser()
        due = math.floor(self.plan.updates_per_step * (number - self.plan.prefill_steps) + 1e-9)
        for self.fitted in range(self.fitted + 1, self.plan.pretrain_updates + due + 1):
            self.parts.world_model.fit(replay=self.parts.replay)
        if number % self.plan.improve_every == 0:
            self.improve(parts=self.parts, count=self.plan.imagined_trajectories, generator=self.generator)

    def go(self):
        for number in range(1, self.plan.env_steps + 1):
            ended = self.step(number)
            if number >= self.plan.prefill_steps:
                self.learn(number, ended)


def imagination_loop(*arguments):
    Run(*arguments).go()
""",
    ),
]
