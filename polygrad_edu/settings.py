"""The settings of a run: one dataclass that knows what each means, its range, and how it is read from text."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from dataclasses import dataclass, field, replace
from typing import Any

from .acceleration import COMPILES, PRECISIONS
from .score_guidance import Guidance
from .trajectory_diffusion import PREDICTIONS

WORLD_MODELS = ("polygrad", "autoregressive-diffusion", "mlp-ensemble", "transformer", "recurrent")
# Settings that change what a trained model imagines and not, but for rounding, what it learned.
IMAGINE_ONLY = (
    "sampling_steps", "eta", "guidance", "guidance_scale", "guidance_tuning_rate", "precondition", "persistence",
    "inertia", "score", "action_noise_scale", "clip_std", "change_limit", "guide_at", "update_states",
    "advantage_scale", "precision", "compile", "explosion_factor",
)  # fmt: skip
_CHOICES = {
    "world_model": WORLD_MODELS,
    "denoiser": ("mlp", "transformer", "causal-mlp"),
    "schedule": ("cosine", "linear"),
    "prediction": PREDICTIONS,
    "precision": (*PRECISIONS, "auto"),
    "compile": (*COMPILES, "auto"),
}


def setting(default: Any, help: str, least: float = -math.inf, most: float = math.inf) -> Any:
    """A field with its description and the range that makes sense, both ends included."""
    return field(default=default, metadata={"help": help, "least": least, "most": most})


@dataclass(frozen=True)
class Preset:
    """Every setting of a training run. The defaults are the paper's full-size ones (arXiv 2312.08533, appendix).

    Raises:
        ValueError: a value of the wrong type or out of range, naming the setting and what would be right.
    """

    # the task
    env_id: str = setting("Hopper-v5", "Gymnasium task; -v4 names are nearest to the paper's -v3")
    env_steps: int = setting(1_000_000, "steps taken in the real environment, the random ones included", 1)
    action_scale: float = setting(1.0, "part of the task's action range that actions of -1 to 1 span", 1e-3, 1)
    prefill_steps: int = setting(5_000, "random steps before anything is learned", 1)
    parallel_envs: int = setting(
        1, "environments stepped side by side, each in a process of its own if more than 1", 1, 256
    )
    # the world model
    world_model: str = setting("polygrad", "polygrad, or a baseline to learn in: " + ", ".join(WORLD_MODELS[1:]))
    denoiser: str = setting("mlp", "mlp (the paper's default), transformer (its other) or causal-mlp (ours)")
    schedule: str = setting("cosine", "noise schedule: cosine (the paper's) or linear")
    horizon: int = setting(10, "time points in a trajectory, the first (real) one included", 2, 1000)
    width: int = setting(1024, "width of the denoiser", 1)
    depth: int = setting(6, "residual blocks of the denoiser", 0)
    diffusion_steps: int = setting(128, "T, steps the denoiser is trained on", 1, 10_000)
    sampling_steps: int = setting(128, "S, steps the sampler visits, at most T", 1, 10_000)
    eta: float = setting(1.0, "noise of a reverse step: 1 the posterior's (the paper's), 0 none (DDIM)", 0, 1)
    noise_tau: float = setting(0.1, "temperature of the cosine schedule", 1e-3, 10)
    prediction: str = setting("x0", "what the denoiser's output stands for: x0 (the paper's) or velocity (ours)")
    smooth_steps: bool = setting(False, "let the denoiser see t / T rather than t (ours)")
    batch_size: int = setting(256, "sequences in a world-model update", 1)
    learning_rate: float = setting(3e-4, "of the world model", 0)
    ema_decay: float = setting(0.999, "of the averaged denoiser that imagines, per update", 0, 1)
    pretrain_updates: int = setting(1_000, "world-model updates on the random steps", 0)
    updates_per_step: float = setting(1.0, "world-model updates for each environment step", 0, 100)
    precision: str = setting("float32", "of matrix products: float32, bfloat16, float16 (imagining only) or auto")
    compile: str = setting("none", "none, inductor (fuse the denoiser's layers), graph (on a GPU) or auto")
    # guidance
    guidance: str = setting("gradient", "gradient (the paper's), ornstein-uhlenbeck, fixed-noise, sample or none")
    guidance_scale: float = setting(0.005, "starting scale of the gradient rule", 0)
    guidance_tuning_rate: float = setting(3e-3, "how fast that scale follows the actions' spread; 0 keeps it", 0, 1)
    precondition: bool = setting(False, "gradient rule with the policy's own sigma as unit (ours)")
    persistence: float = setting(0.95, "rho of the Ornstein-Uhlenbeck rule, per trained diffusion step", 0, 1)
    inertia: float = setting(0.0, "fixed-noise rule: share of its way that an action stays behind, per step", 0, 0.99)
    action_noise_scale: float = setting(1.0, "noise added to guided actions, relative to the posterior's", 0)
    clip_std: float = setting(3.0, "limit of guided actions, in policy standard deviations; 0: none", 0)
    change_limit: float = setting(0.25, "limit of the change per trained step near the end of the chain", 0)
    guide_at: str = setting("reconstruction", "where the policy is asked: reconstruction or posterior_mean")
    score: str = setting("closed-form", "of the policy: closed-form for a Gaussian, autograd for any distribution")
    update_states: bool = setting(False, "gradient rule: move the imagined states as well (the paper's ablation)")
    advantage_scale: float = setting(0.0, "draw imagined states to the critic's advantage (arXiv 2604.09035)", 0)
    # the policy and the value function
    imagined_trajectories: int = setting(1024, "trajectories imagined for a policy update", 2)
    explosion_factor: float = setting(
        10.0, "leave out imagined trajectories that go this much further than real states did; 0: none", 0
    )
    policy_update_every: int = setting(4, "environment steps between policy updates", 1)
    policy_width: int = setting(256, "width of the policy's and the critic's two hidden layers", 1)
    actor_learning_rate: float = setting(3e-5, "cap of the line-searched actor step", 0)
    critic_learning_rate: float = setting(3e-4, "of the value function", 0)
    target_change: float = setting(0.01, "mean |change of log pi| that the line search aims at", 0)
    initial_std: float = setting(1.0, "policy standard deviation at the start, of actions in [-1, 1]", 1e-3)
    minimum_std: float = setting(0.1, "least policy standard deviation", 1e-4)
    gamma: float = setting(0.99, "discount of later rewards", 0, 1)
    gae_lambda: float = setting(0.9, "lambda of the advantage estimate", 0, 1)
    entropy_weight: float = setting(1e-5, "weight of the entropy bonus", 0)
    target_average: float = setting(0.995, "averaging of the target critic, per update", 0, 1)
    value_statistics_rate: float = setting(0.0, "how fast the value's scale is followed; 0: not (official)", 0, 1)
    real_steps_only: bool = setting(False, "standardise advantages over real steps, the terminal one included (ours)")
    gradient_clip: float = setting(0.1, "largest gradient norm of actor and of critic", 0)
    # looking and saving
    eval_every: int = setting(10_000, "environment steps between evaluations", 1)
    eval_episodes: int = setting(10, "episodes of each, by which the best policy is kept", 1)
    final_episodes: int = setting(20, "other episodes, on which the kept policy is reported", 1)
    checkpoint_every: int = setting(10_000, "environment steps between checkpoints", 1)
    checkpoint_shards: int = setting(16, "largest file of a checkpoint, in MiB", 1, 4096)

    def __post_init__(self):
        types_of = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name), types_of[f.name]))
        if self.sampling_steps > self.diffusion_steps:
            raise ValueError(
                f"sampling_steps {self.sampling_steps} are more than the {self.diffusion_steps} diffusion_steps"
            )
        if self.initial_std <= self.minimum_std:
            raise ValueError(f"initial_std {self.initial_std} must be larger than minimum_std {self.minimum_std}")
        if self.prefill_steps > self.env_steps:
            raise ValueError(f"prefill_steps {self.prefill_steps} are more than the {self.env_steps} env_steps")
        if ":" in self.env_id:
            raise ValueError(
                f"env_id must be a registered name such as Hopper-v5, not {self.env_id!r}: what comes before a colon "
                "would be imported, and settings are only data. Import the module that registers yours beforehand"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be {' or '.join(choices)}, not {getattr(self, name)!r}")
        if self.world_model != "polygrad" and (self.precision, self.compile) != ("float32", "none"):
            raise ValueError(f"precision and compile are for the world model polygrad, not for {self.world_model}")
        if self.advantage_scale and not self.eta:
            raise ValueError("advantage_scale draws states through the noise of each step, so it needs an eta above 0")
        self.make_guidance()

    def make_guidance(self, scale: Any = None, advantage: Any = None) -> Guidance:
        """The sampler's guidance settings, with the tuned ``scale`` and the critic's ``advantage`` if there are any."""
        return Guidance(
            rule=self.guidance,
            scale=self.guidance_scale if scale is None else scale,
            precondition=self.precondition,
            action_noise_scale=self.action_noise_scale,
            persistence=self.persistence,
            inertia=self.inertia,
            clip_std=self.clip_std or None,
            change_limit=self.change_limit,
            guide_at=self.guide_at,
            score=self.score,
            update_states=self.update_states,
            advantage=advantage if self.advantage_scale else None,
            advantage_scale=self.advantage_scale,
        )

    @property
    def described(self) -> str:
        """The world model in a few words."""
        return f"polygrad ({self.guidance} guidance)" if self.world_model == "polygrad" else self.world_model

    def with_overrides(self, overrides: typing.Mapping[str, Any]) -> Preset:
        """A copy with settings changed by name; values may be text, as from a command line."""
        return replace(self, **{closest_name(name): value for name, value in overrides.items()})

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, settings: Any) -> Preset:
        if not isinstance(settings, dict):
            raise ValueError("settings must be a JSON object")
        return cls().with_overrides(settings)


SETTINGS = {f.name: f for f in dataclasses.fields(Preset)}


def closest_name(name: str, names: typing.Iterable[str] = SETTINGS, kind: str = "setting") -> str:
    """``name`` if it is known, else an error that names the nearest known ones."""
    wanted = name.replace("-", "_") if kind == "setting" else name
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    raise ValueError(f"there is no {kind} {name!r}; {hint}")


def _checked(f: dataclasses.Field[Any], value: Any, kind: type) -> Any:
    """``value`` as the field's type, or an error that says what would be right."""
    article = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]
    wrong = ValueError(f"{f.name} must be {article}, not {value!r}")
    if isinstance(value, str) and kind is not str:
        try:
            value = json.loads(value.lower()) if kind is bool else float(value.replace("_", ""))
        except ValueError:
            raise wrong from None
    numeric = kind in (int, float)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, (int, float) if numeric else kind):
        raise wrong
    if numeric and not isinstance(value, str):
        if abs(value) > 1e300 or not math.isfinite(value) or (kind is int and value != int(value)):
            raise wrong
        value = kind(value)
        least, most = f.metadata["least"], f.metadata["most"]
        if not least <= value <= most:
            bounds = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise ValueError(f"{f.name} must be {bounds}, not {value:g}")
    return value
