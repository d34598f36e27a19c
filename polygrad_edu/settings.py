"""Settings: one frozen dataclass for each concept, and the preset that holds one of each.

A constructor takes its group, for example ``ActorCritic(observation_size, action_size, preset.actor_critic)``. On the
command line and in ``config.json`` settings are flat: every setting has a name of its own (``--guidance-scale`` is
``preset.guidance.scale``). Ranges and choices are declared here, once, and nothing heavy is imported, so that
``polygrad-edu --help`` answers at once.

Built in lesson 8.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .files.input_error import InputError

if TYPE_CHECKING:
    from torch import Tensor  # only a name here: importing torch takes seconds

MAX_SEED = 999_999  # of a run; the seeds above are those of evaluation

WORLD_MODELS = ("polygrad", "autoregressive-diffusion", "mlp-ensemble", "transformer", "recurrent")
DENOISERS = ("mlp", "transformer", "causal-mlp", "step-mlp")
SCHEDULES = ("cosine", "linear")
PREDICTIONS = ("x0", "velocity", "change")
ENDINGS = ("diffused", "read")
RULES = ("gradient", "ornstein-uhlenbeck", "fixed-noise", "sample", "none")
POLICY_GRADIENTS = ("likelihood-ratio", "pathwise")
PRECISIONS = ("float32", "bfloat16", "float16")
COMPILES = ("none", "inductor", "graph")


def setting(
    default: Any,
    help: str,
    min: float = -math.inf,
    max: float = math.inf,
    choices: tuple[str, ...] = (),
    name: str = "",
) -> Any:
    """A field with its description and what it may be.

    Args:
        min, max: of a number, both included.
        choices: of a text; none: any text.
        name: its flat name, where the field's own would not be unique.
    """
    return field(default=default, metadata={"help": help, "min": min, "max": max, "choices": choices, "name": name})


class _Group:
    """Checks every value when a group is made: its type, its range, its choices."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # pyright: ignore[reportArgumentType] - each subclass is a dataclass
            object.__setattr__(self, f.name, _checked(_described(f), getattr(self, f.name)))


@dataclass(frozen=True)
class TaskSettings(_Group):
    """The task, see :mod:`polygrad_edu.environments` and :mod:`polygrad_edu.collector`."""

    env_id: str = setting("Hopper-v5", "Gymnasium task; -v4 names are nearest to the paper's -v3")
    action_scale: float = setting(1.0, "part of the task's action range that actions of -1 to 1 span", 1e-3, 1)
    parallel_envs: int = setting(
        1, "environments stepped side by side, each in a process of its own if more than 1", 1, 256
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if ":" in self.env_id:
            raise InputError(
                f"env_id must be a registered name such as Hopper-v5, not {self.env_id!r}: what comes before a colon "
                "would be imported, and settings are only data. Import the module that registers yours beforehand"
            )


@dataclass(frozen=True)
class DenoiserSettings(_Group):
    """The network, see :mod:`polygrad_edu.denoiser`."""

    kind: str = setting(
        "mlp",
        "mlp (the paper's default), transformer (its other), causal-mlp or step-mlp (ours; the last knows a delay)",
        choices=DENOISERS,
        name="denoiser",
    )
    width: int = setting(1024, "width of the denoiser", 1)
    depth: int = setting(6, "residual blocks of the denoiser", 0)
    smooth_steps: bool = setting(False, "let the denoiser see t / T rather than t (ours; step-mlp always does)")
    endings: str = setting(
        "diffused",
        "what ends an imagined episode: diffused, a number like the others (the paper's), or read, a probability that "
        "is learned beside them (ours, of step-mlp)",
        choices=ENDINGS,
    )
    members: int = setting(
        1, "networks that the denoiser consists of; each imagines trajectories of its own (ours, of step-mlp)", 1
    )


@dataclass(frozen=True)
class DiffusionSettings(_Group):
    """The forward process and the loss, see :mod:`polygrad_edu.noise_schedule`, `polygrad_edu.trajectory_diffusion`."""

    schedule: str = setting("cosine", "noise schedule: cosine (the paper's) or linear", choices=SCHEDULES)
    diffusion_steps: int = setting(128, "T, steps the denoiser is trained on", 1, 10_000)
    noise_tau: float = setting(0.1, "temperature of the cosine schedule", 1e-3, 10)
    prediction: str = setting(
        "x0",
        "what the denoiser's output stands for: x0 (the paper's), velocity (ours) or change (ours, of step-mlp)",
        choices=PREDICTIONS,
    )


@dataclass(frozen=True)
class SamplerSettings(_Group):
    """The walk back from noise, see :mod:`polygrad_edu.guided_sampler`."""

    sampling_steps: int = setting(128, "S, steps the sampler visits, at most T", 1, 10_000)
    delay: int = setting(
        0, "visits that each step of a trajectory waits for the one before it (ours): 0 none, S one after the other", 0
    )
    eta: float = setting(1.0, "noise of a reverse step: 1 the posterior's (the paper's), 0 none (DDIM)", 0, 1)


@dataclass(frozen=True)
class GuidanceSettings(_Group):
    """The pull on imagined actions, see :mod:`polygrad_edu.score_guidance`.

    Attributes:
        scale: step along the policy's score, per trained diffusion step: a number, or the tensor that a tuner changes.
    """

    rule: str = setting(
        "gradient",
        "gradient (the paper's), ornstein-uhlenbeck, fixed-noise, sample or none",
        choices=RULES,
        name="guidance",
    )
    scale: float | Tensor = setting(0.005, "starting scale of the gradient rule", 0, name="guidance_scale")  # noqa: RUF009 - a field
    tuning_rate: float = setting(
        3e-3, "how fast that scale follows the actions' spread; 0 keeps it", 0, 1, name="guidance_tuning_rate"
    )
    precondition: bool = setting(False, "gradient rule with the policy's own sigma as unit (ours)")
    persistence: float = setting(0.95, "rho of the Ornstein-Uhlenbeck rule, per trained diffusion step", 0, 1)
    inertia: float = setting(0.0, "fixed-noise rule: share of its way that an action stays behind, per step", 0, 0.99)
    action_noise_scale: float = setting(1.0, "noise added to guided actions, relative to the posterior's", 0)
    clip_std: float = setting(3.0, "limit of guided actions, in policy standard deviations; 0: none", 0)
    change_limit: float = setting(0.25, "limit of the change per trained step near the end of the chain", 0)
    guide_at: str = setting(
        "reconstruction",
        "where the policy is asked: reconstruction or posterior_mean",
        choices=("reconstruction", "posterior_mean"),
    )
    action_limit: float = setting(
        0.0, "cut actions, acted and imagined, to this: 1 what the task plays anyway (ours), 0 no limit", 0
    )
    score: str = setting(
        "closed-form",
        "of the policy: closed-form for a Gaussian, autograd for any distribution",
        choices=("closed-form", "autograd"),
    )
    update_states: bool = setting(False, "gradient rule: move the imagined states as well (the paper's ablation)")
    advantage_scale: float = setting(0.0, "draw imagined states to the critic's advantage (arXiv 2604.09035)", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.update_states and self.rule != "gradient":
            raise InputError(f"update_states goes with the gradient rule, whose scale it uses, not with {self.rule!r}")


@dataclass(frozen=True)
class WorldModelSettings(_Group):
    """The world model and its fitting, see :mod:`polygrad_edu.world_model`."""

    kind: str = setting(
        "polygrad",
        "polygrad, or a baseline to learn in: " + ", ".join(WORLD_MODELS[1:]),
        choices=WORLD_MODELS,
        name="world_model",
    )
    horizon: int = setting(10, "time points in a trajectory, the first (real) one included", 2, 1000)
    batch_size: int = setting(256, "sequences in a world-model update", 1)
    learning_rate: float = setting(3e-4, "of the world model", 0)
    ema_decay: float = setting(0.999, "of the averaged denoiser that imagines, per update", 0, 1)


@dataclass(frozen=True)
class AccelerationSettings(_Group):
    """The same in less time, see :mod:`polygrad_edu.acceleration`."""

    precision: str = setting(
        "float32",
        "of matrix products: float32, bfloat16, float16 (imagining only) or auto",
        choices=(*PRECISIONS, "auto"),
    )
    compile: str = setting(
        "none",
        "none, inductor (fuse the denoiser's layers), graph (on a GPU) or auto",
        choices=(*COMPILES, "auto"),
    )


@dataclass(frozen=True)
class ActorCriticSettings(_Group):
    """The policy, the value function and their losses, see :mod:`polygrad_edu.actor_critic`."""

    policy_gradient: str = setting(
        "likelihood-ratio",
        "likelihood-ratio (the paper's: log pi times advantage), or pathwise (ours: back through what was imagined)",
        choices=POLICY_GRADIENTS,
    )
    policy_width: int = setting(256, "width of the policy's and the critic's two hidden layers", 1)
    initial_std: float = setting(1.0, "policy standard deviation at the start, of actions in [-1, 1]", 1e-3)
    minimum_std: float = setting(0.1, "smallest policy standard deviation", 1e-4)
    gamma: float = setting(0.99, "discount of later rewards", 0, 1)
    gae_lambda: float = setting(0.9, "lambda of the advantage estimate", 0, 1)
    entropy_weight: float = setting(1e-5, "weight of the entropy bonus", 0)
    target_std: float = setting(
        0.0, "sigma that the weight of the entropy bonus is tuned to hold (pathwise only); 0: a fixed weight", 0, 1
    )
    policy_average: float = setting(
        0.0, "averaging of the policy that is played in evaluations and kept, per update; 0: the last one itself", 0, 1
    )
    target_average: float = setting(0.995, "averaging of the target critic, per update", 0, 1)
    value_statistics_rate: float = setting(0.0, "how fast the value's scale is followed; 0: not (official)", 0, 1)
    real_steps_only: bool = setting(False, "standardise advantages over real steps, the terminal one included (ours)")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.initial_std <= self.minimum_std:
            raise InputError(f"initial_std {self.initial_std} must be larger than minimum_std {self.minimum_std}")


@dataclass(frozen=True)
class PolicyUpdateSettings(_Group):
    """One step of both networks, see :mod:`polygrad_edu.policy_update`."""

    actor_learning_rate: float = setting(3e-5, "cap of the line-searched actor step", 0)
    critic_learning_rate: float = setting(3e-4, "of the value function", 0)
    target_change: float = setting(0.01, "mean |change of log pi| that the likelihood ratio's line search aims at", 0)
    gradient_clip: float = setting(0.1, "largest gradient norm of actor and of critic", 0)
    critic_updates: int = setting(1, "steps of the value function for each of a pathwise policy", 1, 100)


@dataclass(frozen=True)
class LoopSettings(_Group):
    """Amounts of acting, fitting and imagining, and their ratio, see :mod:`polygrad_edu.imagination_loop`."""

    env_steps: int = setting(1_000_000, "steps taken in the real environment, the random ones included", 1)
    prefill_steps: int = setting(5_000, "random steps before anything is learned", 1)
    pretrain_updates: int = setting(1_000, "world-model updates on the random steps", 0)
    updates_per_step: float = setting(1.0, "world-model updates for each environment step", 0, 100)
    policy_update_every: int = setting(4, "environment steps between policy updates", 1)
    imagined_trajectories: int = setting(1024, "trajectories imagined for a policy update", 2)
    explosion_factor: float = setting(
        10.0, "leave out imagined trajectories that go this much further than real states did; 0: none", 0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prefill_steps > self.env_steps:
            raise InputError(f"prefill_steps {self.prefill_steps} are more than the {self.env_steps} env_steps")


@dataclass(frozen=True)
class RunSettings(_Group):
    """Evaluating and saving, see :mod:`polygrad_edu.runs`."""

    eval_every: int = setting(10_000, "environment steps between evaluations", 1)
    eval_episodes: int = setting(10, "episodes of each, by which the best policy is kept", 1)
    final_episodes: int = setting(20, "other episodes, on which the kept policy is reported", 1)
    checkpoint_every: int = setting(10_000, "environment steps between checkpoints", 1)
    checkpoint_shards: int = setting(16, "largest file of a checkpoint, in MiB", 1, 4096)


@dataclass(frozen=True)
class Preset:
    """Every setting of a training run. The defaults are the paper's full-size ones (arXiv 2312.08533, appendix).

    Raises:
        InputError: settings that do not go together. A single value out of its range is refused by its group.
    """

    task: TaskSettings = field(default_factory=TaskSettings)
    denoiser: DenoiserSettings = field(default_factory=DenoiserSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    guidance: GuidanceSettings = field(default_factory=GuidanceSettings)
    world_model: WorldModelSettings = field(default_factory=WorldModelSettings)
    acceleration: AccelerationSettings = field(default_factory=AccelerationSettings)
    actor_critic: ActorCriticSettings = field(default_factory=ActorCriticSettings)
    policy_update: PolicyUpdateSettings = field(default_factory=PolicyUpdateSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        visited, trained = self.sampler.sampling_steps, self.diffusion.diffusion_steps
        if visited > trained:
            raise InputError(f"sampling_steps {visited} are more than the {trained} diffusion_steps")
        self._check_denoiser()
        model = self.world_model.kind
        if self.actor_critic.policy_gradient == "pathwise" and model != "polygrad":
            raise InputError(f"a pathwise policy gradient flows through polygrad's trajectories, not through {model}'s")
        if self.actor_critic.policy_gradient == "pathwise" and self.guidance.rule == "none":
            raise InputError("actions that nothing guides do not depend on the policy: choose another guidance")
        if model != "polygrad" and self.acceleration != AccelerationSettings():
            raise InputError(f"precision and compile are for the world model polygrad, not for {model}")
        if self.guidance.advantage_scale and not self.sampler.eta:
            raise InputError("advantage_scale draws states through the noise of each step, so it needs an eta above 0")

    def _check_denoiser(self) -> None:
        """Refuse what the chosen denoiser cannot do."""
        kind = self.denoiser.kind
        if kind == "step-mlp":
            if self.guidance.update_states:
                raise InputError(f"update_states moves whole trajectories; steps of the denoiser {kind} come in a row")
            if self.world_model.kind == "autoregressive-diffusion":
                raise InputError(
                    f"the denoiser {kind} is for the world model polygrad, where a delay makes it autoregressive"
                )
            return
        if self.sampler.delay:
            raise InputError(f"a delay needs the denoiser step-mlp: {kind} knows one noise level for all")
        if self.denoiser.endings == "read":
            raise InputError(f"endings are read by the denoiser step-mlp; with {kind} they are diffused")
        if self.denoiser.members > 1:
            raise InputError(f"members are for the denoiser step-mlp; {kind} is one network")
        if self.diffusion.prediction == "change":
            raise InputError(f"the prediction change is of the denoiser step-mlp; with {kind} choose velocity")

    @property
    def description(self) -> str:
        """The world model in a few words."""
        model = self.world_model.kind
        return f"polygrad ({self.guidance.rule} guidance)" if model == "polygrad" else model

    def with_overrides(self, overrides: Mapping[str, Any] | None = None, **more: Any) -> Preset:
        """A copy with settings changed by their flat names; values may be text, as from a command line."""
        changes: dict[str, dict[str, Any]] = {}
        for name, value in {**(overrides or {}), **more}.items():
            known = SETTINGS[closest_name(name)]
            changes.setdefault(known.group, {})[known.field] = value
        return replace(self, **{group: replace(getattr(self, group), **new) for group, new in changes.items()})

    def to_json(self) -> dict[str, Any]:
        """The settings by their flat names."""
        return {name: getattr(getattr(self, known.group), known.field) for name, known in SETTINGS.items()}

    @classmethod
    def from_json(cls, settings: Any) -> Preset:
        """The preset of a ``config.json``; what it does not name keeps its default."""
        if not isinstance(settings, dict):
            raise InputError("settings must be a JSON object")
        return cls().with_overrides(settings)


class Setting(NamedTuple):
    """A setting as the command line and config.json know it."""

    name: str  # flat, unique
    group: str  # its place: preset.<group>.<field>
    field: str
    default: Any
    help: str
    min: float
    max: float
    choices: tuple[str, ...]

    @property
    def kind(self) -> type:
        return type(self.default)


def _described(f: dataclasses.Field[Any], group: str = "") -> Setting:
    extra = f.metadata
    name = extra["name"] or f.name
    return Setting(name, group, f.name, f.default, extra["help"], extra["min"], extra["max"], extra["choices"])


def _flat() -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for group in dataclasses.fields(Preset):
        for f in dataclasses.fields(cast(Any, group.default_factory)):
            known = _described(f, group.name)
            settings[known.name] = known
    return settings


SETTINGS = _flat()
# Settings that change what a trained model imagines and, except for rounding, not what it learned.
IMAGINE_ONLY = tuple(
    name
    for name, known in SETTINGS.items()
    if known.group in ("sampler", "guidance", "acceleration") or name == "explosion_factor"
)
# Settings that decide what a world model learns from given data.
LEARNED_WITH = tuple(
    name for name, known in SETTINGS.items() if known.group in ("denoiser", "diffusion", "world_model")
)


def closest_name(name: str, names: Iterable[str] = SETTINGS, kind: str = "setting") -> str:
    """``name`` if it is known.

    Raises:
        InputError: it is not; the message names the nearest known ones.
    """
    wanted = name.replace("-", "_") if kind == "setting" else name
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    raise InputError(f"there is no {kind} {name!r}; {hint}")


def _checked(known: Setting, value: Any) -> Any:
    """``value`` as the setting's type, or an error that says what would be right."""
    if hasattr(value, "dtype"):  # a tensor that is tuned
        return value
    kind = known.kind
    article = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]
    wrong = InputError(f"{known.name} must be {article}, not {value!r}")
    if isinstance(value, str) and kind is not str:
        value = _parsed(value, kind, wrong)
    numeric = kind in (int, float)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, (int, float) if numeric else kind):
        raise wrong
    if numeric:
        return _in_range(known, cast(float, value), wrong)
    if known.choices and value not in known.choices:
        raise InputError(f"{known.name} must be {' or '.join(known.choices)}, not {value!r}")
    return value


def _parsed(text: str, kind: type, wrong: InputError) -> Any:
    try:
        return json.loads(text.lower()) if kind is bool else float(text.replace("_", ""))
    except ValueError:
        raise wrong from None


def _in_range(known: Setting, value: float, wrong: InputError) -> float:
    if abs(value) > 1e300 or not math.isfinite(value) or (known.kind is int and value != int(value)):
        raise wrong
    if not known.min <= value <= known.max:
        bounds = f"at least {known.min:g}" if known.max == math.inf else f"from {known.min:g} to {known.max:g}"
        raise InputError(f"{known.name} must be {bounds}, not {value:g}")
    return known.kind(value)
