"""Runs and results on the Hugging Face hub: pushed in one commit with a card, pulled with suspicion.

Anybody can put files on a hub. Only files with a run's own names are taken, of limited number and size; they appear
under the wanted name only after the whole run could be loaded, which runs nobody's code.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.input_error import InputError
from ..files.safe_files import MIB, one_line, read_json, refuse_lfs_pointer
from ..runs.checkpoint import load_checkpoint, read_config
from ..runs.shipped import command_of, load_result
from ..tasks.published_returns import reference_sentence

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Files of a run or of an exported result, and how large each may be. No name here leads out of a directory.
OWN_FILES = {
    r"(config|result)\.json": 1 * MIB,
    r"metrics\.jsonl": 64 * MIB,
    r"model\.safetensors": 1024 * MIB,
    r"video\.mp4": 256 * MIB,
    r"no_video\.txt": 1 * MIB,
    r"checkpoint/[A-Za-z0-9][A-Za-z0-9_-]*\.json": 64 * MIB,
    r"checkpoint/shards/[A-Za-z0-9][A-Za-z0-9_-]*\.safetensors": 4096 * MIB,
}
MAX_FILES = 4096
MAX_BYTES = 16_384 * MIB


def limit_of(name: str) -> int | None:
    """Largest number of bytes that the file ``name`` of a run may have; None if a run has no such file."""
    return next((limit for pattern, limit in OWN_FILES.items() if re.fullmatch(pattern, name)), None)


def push(run: Path, repository: str, private: bool = False) -> str:
    """Put a finished run, or an exported result, on the hub in one commit; returns its address.

    Files of an earlier push that the run no longer has are removed there; what else lies there stays.

    Raises:
        InputError: no finished run, one that Git LFS has not fetched, a wrong name, no token, or a hub that refuses.
    """
    read_config(run)  # a run at all?
    names = [path.relative_to(run).as_posix() for path in sorted(run.rglob("*")) if path.is_file()]
    own = [name for name in names if limit_of(name)]
    for name in own:
        refuse_lfs_pointer(run / name)
    with _as_input_errors(_checked_name(repository)):
        import huggingface_hub as hub

        card = model_card(run, repository)
        if hub.get_token() is None:
            raise InputError("the hub wants to know who you are: run hf auth login, or set HF_TOKEN to a write token")
        api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        api.create_repo(repository, private=private, exist_ok=True)
        stale = [name for name in api.list_repo_files(repository) if limit_of(name) and name not in own]
        api.create_commit(
            repository,
            operations=[
                *(hub.CommitOperationDelete(name) for name in stale),
                *(hub.CommitOperationAdd(name, run / name) for name in own),
                hub.CommitOperationAdd("README.md", card.encode()),
            ],
            commit_message=f"Add the run {run.resolve().name}",
        )
        return f"{api.endpoint}/{repository}"


def pull(repository: str, directory: Path, revision: str = "main") -> list[str]:
    """Fetch a run or result into ``directory``, which must be new; returns the names of its files.

    Raises:
        InputError: no such repository, nothing of a run in it, too much of it, or one that cannot be loaded.
    """
    if directory.exists():
        raise InputError(f"{directory} is there already; name a directory that is not")
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with _as_input_errors(_checked_name(repository)):
            import huggingface_hub as hub

            api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
            commit = api.repo_info(repository, revision=revision).sha  # all files of one moment
            names = _wanted(api, repository, commit)
            for name in names:
                api.hf_hub_download(repository, name, revision=commit, local_dir=partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # the client's own notes
        _load(partial, repository)
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return names


def _wanted(api: HfApi, repository: str, commit: str | None) -> list[str]:
    """The names of a run's files at ``commit``.

    Raises:
        InputError: there is no run, or its files are too many or too large.
    """
    sizes: dict[str, int] = {}
    for entry in api.list_repo_tree(repository, recursive=True, revision=commit):
        limit = limit_of(entry.path)
        size = getattr(entry, "size", None)  # a folder has none
        if limit is None or size is None:
            continue
        if size > limit:
            raise InputError(
                f"{entry.path} of {repository} has {size:,} bytes; such a file of a run has at most {limit:,}"
            )
        sizes[entry.path] = size
        if len(sizes) > MAX_FILES or sum(sizes.values()) > MAX_BYTES:
            raise InputError(f"{repository} is larger than a run: at most {MAX_FILES:,} files, {MAX_BYTES:,} bytes")
    if "config.json" not in sizes:
        raise InputError(f"{repository} holds no run: there is no config.json in it")
    return sorted(sizes)


def _load(run: Path, repository: str) -> None:
    """Load a pulled run once.

    Raises:
        InputError: it cannot be loaded, or holds other files than were listed.
    """
    for path in run.rglob("*"):
        if path.is_symlink() or (
            path.is_file() and path.stat().st_size > (limit_of(path.relative_to(run).as_posix()) or 0)
        ):
            raise InputError(f"{repository} sent other files than it listed: {path.name}")
    try:
        if ":" in read_config(run)[1].task.env_id:
            raise InputError("its env_id names a module to import, which a run from elsewhere may not")
        exported = (run / "model.safetensors").is_file()
        loop = load_result(run).loop if exported else load_checkpoint(run)[0]
    except ValueError as error:  # of any kind: the files are a stranger's
        raise InputError(
            f"{repository} holds no run that can be used: {str(error).replace(str(run), repository)}"
        ) from None
    loop.collector.close()


def _checked_name(repository: str) -> str:
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repository):
        raise InputError(f"{repository!r} is no repository's name; write OWNER/NAME, for example ada/hopper")
    return repository


@contextlib.contextmanager
def _as_input_errors(repository: str) -> Generator[None, None, None]:
    """Turn the errors of the hub's client into bad input that says what to do."""
    try:
        from huggingface_hub import errors
    except ImportError:
        raise InputError(
            'the hub\'s client is not installed; install it with: python -m pip install "polygrad-edu[hub]"'
        ) from None
    address = os.environ.get("HF_ENDPOINT", "the hub")
    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(f"{repository} is no name that the hub allows: {one_line(error)}") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{repository} has no such revision; leave --revision out for its latest state") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"there is no repository {repository} that you may use; check its name, and for a private one "
            "run hf auth login first"
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        why = "your token may not do this" if status in (401, 403) else one_line(error)
        raise InputError(f"{address} refused {repository} (status {status}): {why}") from None
    except (errors.HTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise InputError(
            f"{address} cannot be reached ({type(error).__name__}); is there a network, and HF_HUB_OFFLINE unset?"
        ) from None


def model_card(run: Path, repository: str) -> str:
    """The hub's page of a finished run: its task, its return and how it was measured, the command that repeats it.

    Raises:
        InputError: no run, or one that is not finished.
    """
    name, preset, seed = read_config(run)
    if not (run / "result.json").is_file():
        raise InputError(f"{run} is not finished; go on with: polygrad-edu train --resume {run}")
    result = read_json(run / "result.json")
    try:
        mean, spread, steps = (float(result[key]) for key in ("return_mean", "return_std", "env_steps"))
        minutes = float(result["wall_seconds"]) / 60
        episodes = int(result["episodes"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{run / 'result.json'} is no result of a run: it lacks the return or how it was made"
        ) from None
    task = _plain(preset.task.env_id)
    model = preset.world_model.kind
    command = _plain(command_of(name, preset, seed))
    return f"""---
{_metadata(repository, task, mean, spread)}
---

# {task}, learned in imagination

A policy for `{task}` that learned from the futures that a world model ({model}) imagined, and what it was learned
with. It reaches a return of **{mean:.0f} ± {spread:.0f}** over {episodes} new episodes after {steps:,.0f} real steps
and {minutes:.1f} minutes. {reference_sentence(preset.task.env_id)}

Made with polygrad-edu, a course on world models via policy-guided trajectory diffusion (arXiv 2312.08533):

```bash
{command}
```

To use it:

```bash
polygrad-edu pull {repository} my-run
```
"""


def _metadata(repository: str, task: str, mean: float, spread: float) -> str:
    """The card's head, by which the hub finds it among others."""
    from huggingface_hub import EvalResult, ModelCardData

    reached = EvalResult(
        task_type="reinforcement-learning",
        dataset_type=task,
        dataset_name=task,
        metric_type="mean_reward",
        metric_value=f"{mean:.2f} +/- {spread:.2f}",
    )
    tags = ["reinforcement-learning", "world-model", "polygrad", task]
    data = ModelCardData(
        library_name="polygrad-edu", model_name=repository.split("/")[1], tags=tags, eval_results=[reached]
    )
    return data.to_yaml().strip()


def _plain(text: str) -> str:
    """Text of a run without characters that mean something to Markdown, HTML or YAML."""
    return re.sub(r"[^\w./: +-]", "", text)
