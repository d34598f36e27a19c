"""PolyGRAD as a course you can run: world models via policy-guided trajectory diffusion (arXiv 2312.08533).

The concepts, one module each, with the lessons that build them:

- :mod:`~polygrad_edu.environments` (1): tasks, and a simulator state that can be read and set
- :mod:`~polygrad_edu.noise_schedule` (2): the way into noise, and the walk back
- :mod:`~polygrad_edu.denoiser` (3): networks that predict the clean trajectory
- :mod:`~polygrad_edu.replay` (4): episodes in, normalised windows out
- :mod:`~polygrad_edu.trajectory_diffusion` (4): the loss, and one plain reverse step
- :mod:`~polygrad_edu.score_guidance` (5): the policy's score, and the rules that move actions along it
- :mod:`~polygrad_edu.guidance_theory` (5): the effect of guidance, where it can be worked out
- :mod:`~polygrad_edu.guided_sampler` (6): Algorithm 1, from noise to an on-policy trajectory
- :mod:`~polygrad_edu.imagined_trajectories` (6): the result, joined, cut, and without the exploded ones
- :mod:`~polygrad_edu.actor_critic` (7): policy, value, lambda-returns, losses
- :mod:`~polygrad_edu.policy_update` (7): one step of a chosen size
- :mod:`~polygrad_edu.world_model` (8): the interface of all world models, and PolyGRAD
- :mod:`~polygrad_edu.collector` (8): real steps, in one environment or several
- :mod:`~polygrad_edu.imagination_loop` (8): Algorithm 2
- :mod:`~polygrad_edu.settings` (8): a group of settings for each concept
- :mod:`~polygrad_edu.world_model_error` (9): imagined against simulated
- :mod:`~polygrad_edu.presets` (10): a set of settings for each task
- :mod:`~polygrad_edu.acceleration` (11): the same in less time

The wings beside them:

- ``baselines`` holds the world models that PolyGRAD is compared with.
- ``variants`` holds ablations and successors of the paper.
- ``tasks`` adds tasks that Gymnasium lacks, and published returns.
- ``drawing`` draws any task, without OpenGL.
- ``runs`` trains from the first step to the last and keeps the results.
- ``files`` reads and writes data safely.
- ``studies`` runs many seeds and settings and reports on them.
- ``measuring`` compares world models and times the machine.
- ``interop`` speaks to Minari, Stable-Baselines3, Gymnasium and the Hugging Face hub.
- ``cli`` is the command ``polygrad-edu``.
- ``widgets`` are the interactive pieces of the lessons.
- ``course`` helps the lessons: guesses, pace, shared data.
- ``checks`` judges the answers to exercises and assignments.
- ``grading`` grades the assignments.
"""

__version__ = "0.2.0"
