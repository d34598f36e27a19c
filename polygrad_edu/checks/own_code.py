"""The student's own functions at work: once an exercise is right, the package calls what was written.

:func:`check` puts a right function in the place of the package's own, in this kernel; those that the training calls
it keeps in ``my_code/`` beside the lessons, and :func:`use_mine` finds them there in a later lesson. What was not
written, or is no longer right, stays the package's, and that is said.
"""

from __future__ import annotations

import inspect
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import actor_critic, noise_schedule, trajectory_diffusion
from ..actor_critic import Advantages
from ..denoiser import FourierStepFeatures
from ..imagination_loop import ImaginationLoop
from ..noise_schedule import NoiseSchedule, Posterior
from ..tasks import road_fork
from ..variants import conditioned_sampler
from . import verdict

FOLDER = Path("my_code")
IMPORTS = "import math\n\nimport numpy as np\nimport torch\n"  # what the lessons import
YOURS = "yours"
LESSONS_OWN = "the lesson's own (yours is not right yet)"
Function = Callable[..., Any]


class Place(NamedTuple):
    """Place at which the package calls what an exercise asks for.

    Attributes:
        owner: the module or class that has it.
        name: of the function or method.
        adapt: makes of the student's function, and of the package's, one that is called as the package's is.
    """

    owner: Any
    name: str
    adapt: Callable[[Function, Function], Function]


def _add_noise(noised: Function, package: Function) -> Function:
    def add_noise(self: NoiseSchedule, x_0: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        per_row = step if step.ndim == x_0.ndim else step.reshape(-1, *(1,) * (x_0.ndim - 1))
        return noised(x_0, self.signal_variance(per_row), noise)

    return add_noise


def _posterior(posterior: Function, package: Function) -> Function:
    def of_chain(betas: Tensor, eta: float = 1.0) -> Posterior:
        if eta != 1:  # the lesson's is the one that draws all of the noise
            return package(betas, eta)
        alpha_bar = torch.cumprod(1 - betas, dim=0)  # [T]
        before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
        one, zero = betas.new_ones(()), betas.new_zeros(())
        steps = list(zip(betas, alpha_bar, before, strict=True))
        # a weighted sum of x_0 and x_t shows its weights where one of them is 1 and the other 0
        of_clean = [posterior(one, zero, *numbers) for numbers in steps]
        of_noisy = [posterior(zero, one, *numbers)[0] for numbers in steps]
        columns = [variance for _, variance in of_clean], [mean for mean, _ in of_clean], of_noisy
        return Posterior(alpha_bar, *(torch.stack([torch.as_tensor(v).to(betas) for v in c]) for c in columns))

    return of_chain


def _evenly_spread(visits: Function, package: Function) -> Function:
    def evenly_spread(n_steps: int, n_visits: int) -> Tensor:
        if n_visits == 1:  # there is no first and last
            return package(n_steps, n_visits)
        return torch.as_tensor(visits(n_steps, n_visits)).long()

    return evenly_spread


def _features(step_features: Function, package: Function) -> Function:
    def forward(self: FourierStepFeatures, step: Tensor) -> Tensor:
        return step_features(step, self.frequencies, self.unit)

    return forward


def _returns(reality_weight: Function, package: Function) -> Function:
    def lambda_returns(*arguments: Any, last_step_counts: bool = False) -> Advantages:
        *numbers, last_step_counts = arguments if len(arguments) == 6 else (*arguments, last_step_counts)
        found = package(*numbers, last_step_counts)
        return found._replace(reality_weight=reality_weight(numbers[1])) if last_step_counts else found

    return lambda_returns


def _due(updates_due: Function, package: Function) -> Function:
    def due(self: ImaginationLoop) -> int:
        plan = self.preset.loop
        numbers = plan.prefill_steps, plan.pretrain_updates, plan.updates_per_step
        return updates_due(self.env_step, self.world_model_updates, *numbers)

    return due


def _as_it_is(function: Function, package: Function) -> Function:
    return function


PLACES = {
    "01b/best_guess": Place(road_fork, "best_guess", _as_it_is),
    "01b/score_of": Place(road_fork, "score_of", _as_it_is),
    "01b/next_visit": Place(road_fork, "next_visit", _as_it_is),
    "02/noised": Place(NoiseSchedule, "add_noise", _add_noise),
    "02/posterior": Place(noise_schedule, "posterior", _posterior),
    "02/visits": Place(noise_schedule, "evenly_spread", _evenly_spread),
    "03/step_features": Place(FourierStepFeatures, "forward", _features),
    "04/with_first": Place(trajectory_diffusion, "with_first", _as_it_is),
    "07/reality_weight": Place(actor_critic, "lambda_returns", _returns),
    "08/updates_due": Place(ImaginationLoop, "updates_due", _due),
    "13/kalman_update": Place(conditioned_sampler, "kalman_update", _as_it_is),
}
IN_THE_LOOP = [exercise for exercise in PLACES if "02" <= exercise < "09"]  # lesson 8 trains with them
_PACKAGES_OWN = {exercise: getattr(place.owner, place.name) for exercise, place in PLACES.items()}


def use(exercise: str, function: Function | None) -> None:
    """Let the package call ``function`` where it called its own, or with None its own again, in this process.

    Raises:
        KeyError: the package has no place for this exercise.
    """
    place, own = PLACES[exercise], _PACKAGES_OWN[exercise]
    before = getattr(place.owner, place.name)
    after = own if function is None else place.adapt(function, own)
    setattr(place.owner, place.name, after)
    for name, module in list(sys.modules.items()):  # those that imported it by its name
        if name.startswith("polygrad_edu.") and getattr(module, place.name, None) is before:
            setattr(module, place.name, after)


def check(exercise: str, *answer: Any) -> None:
    """Print the verdict on an answer; if it is right and the package has a place for it, the package calls it now."""
    found = verdict(exercise, *answer)
    if found == "Right." and exercise in PLACES:
        use(exercise, answer[0])
        kept = _keep(exercise, answer[0]) if exercise in IN_THE_LOOP else ""
        found += f" From here on {_called(exercise)} runs your code{kept}."
    print(found)


def mine_or(exercise: str, mine: Function, otherwise: Function) -> Function:
    """Choose what a lesson's next cells call, ``mine`` if it is right and ``otherwise`` if not, and print which."""
    right = verdict(exercise, mine) == "Right."
    print(f"{exercise}: {YOURS if right else LESSONS_OWN}")
    return mine if right else otherwise


def _called(exercise: str) -> str:
    """Name of what an exercise asks for, as the package has it: ``NoiseSchedule.add_noise``."""
    owner, name, _ = PLACES[exercise]
    return f"{owner.__name__.removeprefix('polygrad_edu.')}.{name}"


def _keep(exercise: str, function: Function) -> str:
    """Write a function's lines to its file; say where later lessons find them."""
    path = _file(exercise)
    try:
        lines = inspect.getsource(function)
    except (OSError, TypeError):
        return ", in this lesson only: its lines are not to be found"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{IMPORTS}\n\n{lines}", encoding="utf-8")
    return f", and use_mine() brings it to later lessons, from {path.as_posix()}"


def _file(exercise: str) -> Path:
    return FOLDER / f"{exercise.replace('/', '_')}.py"


def use_mine() -> None:
    """Let the package call all parts of the loop that were right in lessons before; print for each whose code runs."""
    for exercise in IN_THE_LOOP:
        print(f"{exercise:<18} {_called(exercise):<36} {_use_kept(exercise)}")


def whose_code() -> str:
    """Say whose code the loop runs in this process, in a line short enough for a film's caption."""
    mine = [exercise for exercise in IN_THE_LOOP if _is_mine(exercise)]
    if not mine:
        return "trained by the package's code alone"
    return f"trained by your code, in {len(mine)} of {len(IN_THE_LOOP)} parts"


def _is_mine(exercise: str) -> bool:
    place = PLACES[exercise]
    return getattr(place.owner, place.name) is not _PACKAGES_OWN[exercise]


def _use_kept(exercise: str) -> str:
    """Use a kept function if it is still right; say whose code runs."""
    path = _file(exercise)
    if not path.exists():
        use(exercise, None)
        return "the package's (yours is not written yet)"
    function = None
    try:
        function = runpy.run_path(str(path))[exercise.partition("/")[2]]  # the student's own file, as an import runs it
        found = verdict(exercise, function)
    except Exception as error:  # edited into something else
        found = f"{type(error).__name__}: {error}"
    if found != "Right.":
        use(exercise, None)
        return f"the package's ({path.as_posix()}: {found})"
    use(exercise, function)
    return YOURS
