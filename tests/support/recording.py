"""Datasets as others record them: a task, some random actions, and Minari's own way of storing."""

import numpy as np

from polygrad_edu import environments


def episode(env, number, steps=12, with_states=True):
    """Minari's buffer of an episode of random actions."""
    from minari.data_collector import EpisodeBuffer

    rows = {"observations": [], "actions": [], "rewards": [], "terminations": [], "truncations": []}
    states = []
    observation, _ = env.reset(seed=number)
    env.action_space.seed(number)
    done = False
    while not done:
        rows["observations"].append(np.array(observation))
        states += [environments.get_simulator_state(env)] if with_states else []
        action = env.action_space.sample()
        observation, reward, terminal, truncated, _ = env.step(action)
        truncated = truncated or len(rows["actions"]) + 1 == steps
        for name, value in (
            ("actions", action),
            ("rewards", float(reward)),
            ("terminations", bool(terminal)),
            ("truncations", bool(truncated and not terminal)),
        ):
            rows[name].append(value)
        done = terminal or truncated
    rows["observations"].append(np.array(observation))
    if with_states:
        states.append(environments.get_simulator_state(env))
        rows["infos"] = {"simulator_state": np.array(states)}
    return EpisodeBuffer(id=number, **rows)


def record(env, name="others/recorded-v0", buffers=None, **options):
    """A Minari dataset under ``name``; needs MINARI_DATASETS_PATH."""
    import minari

    buffers = buffers or [episode(env, number) for number in range(3)]
    minari.create_dataset_from_buffers(name, buffers, env=env, **options)
    return name
