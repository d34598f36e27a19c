"""Damaged files: real ones, mutated many times over, each given to what reads it.

Each must be refused in one line that names the file (an InputError), or still be a file of its kind. Nothing may end
otherwise, take long, or take memory that the file does not account for.

``python -m tests.support.fuzz --inputs 10000`` (about four minutes of one core) prints a line for each kind of file;
``python -m tests.support.fuzz --atheris metrics --inputs 20000`` lets libFuzzer look for inputs by the code that they
reach.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from polygrad_edu.files.input_error import InputError
from polygrad_edu.files.metrics_log import read_metrics
from polygrad_edu.interop.outside_policies import MLPPolicy, load_policy, save_policy
from polygrad_edu.runs.checkpoint import _checksum, load_checkpoint, read_config
from polygrad_edu.runs.result_file import read_result
from polygrad_edu.runs.shipped import export_result, load_result
from polygrad_edu.runs.training import start_run
from tests.support.tiny_runs import tiny

MAX_SECONDS = 10.0  # of processor time for one input
MAX_MIB = 128  # of memory beyond what reading good files took
WEIRD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    -0.0,
    1e308,
    2**31,
    2**63,
    -(2**63),
    10**30,
    "",
    "a",
    "../../etc/passwd",
    "\0",
    "é",
    "x" * 5000,
    [],
    {},
    [[]],
    [0] * 1000,
    {"a": {"b": []}},
    "Infinity",
    "1e999",
    "os:Hopper-v5",
    "0" * 64,
    1_000_000,
]
TOKENS = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'"\\ud800"',
    b"\xff\xfe",
    b"null",
    b"-1",
    b"{}",
    b"[]",
    b'"a":1,"a":2',
    b"\0",
    b"1" * 60,
]


class Target(NamedTuple):
    """A kind of file: how it is damaged, and how it is read."""

    path: Path
    content: bytes
    read: Callable[[], Any]
    mutate: Callable[[bytes, random.Random], bytes]
    written: Callable[[bytes], None] | None = None  # where more than the file itself has to fit,
    undo: Callable[[], None] = lambda: None  # and how that is put right again


def mutate_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flip, overwrite, cut out, repeat, insert or cut off."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.choice((1, 2, 8, 100, len(data))))
        kind = draw.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at:to] = draw.randbytes(to - at)
        elif kind == 2:
            del data[at:to]
        elif kind == 3:
            data[at:at] = data[at:to]
        elif kind == 4:
            data[at:at] = draw.choice(TOKENS)
        elif kind == 5:
            data[at:to] = draw.choice(TOKENS)
        else:
            del data[at:]
    return bytes(data)


def mutate_data(data: Any, draw: random.Random) -> Any:
    """A node of JSON data replaced, left out, renamed or put inside another."""
    if isinstance(data, dict | list) and data and draw.random() < 0.85:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        key, kind = draw.choice(keys), draw.random()
        data = data.copy()
        if kind < 0.1:
            del data[key]
        elif kind < 0.15 and isinstance(data, dict):
            data[draw.choice(["", "new", "settings", "é"])] = data.pop(key)
        else:
            data[key] = mutate_data(data[key], draw)
        return data
    if isinstance(data, int | float) and draw.random() < 0.5:
        return draw.choice([data + 1, -data, data * 1e6, data / 3, float("nan"), float("inf"), data + 2**40])
    return [data] if draw.random() < 0.05 else draw.choice(WEIRD)


def mutate_json(content: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.4:
        return mutate_bytes(content, draw)
    return json.dumps(mutate_data(json.loads(content), draw)).encode()


def mutate_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines()
    at = draw.randrange(len(lines))
    lines[at] = mutate_json(lines[at], draw)
    return b"\n".join(lines) + b"\n"


def mutate_tensors(content: bytes, draw: random.Random) -> bytes:
    """A safetensors file: its bytes, its table of contents (with a length that is right), or a number in it."""
    size = struct.unpack("<Q", content[:8])[0]
    kind = draw.random()
    if kind < 0.3:
        return mutate_bytes(content, draw)
    if kind < 0.4:
        at = 8 + size + draw.randrange(max(1, len(content) - size - 8))
        return content[:at] + struct.pack("<f", draw.choice((float("nan"), float("inf"), 1e38))) + content[at + 4 :]
    header = json.dumps(mutate_data(json.loads(content[8 : 8 + size]), draw)).encode()
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def sign(content: bytes) -> bytes:
    """A checkpoint's own file with its checksum made right."""
    state = json.loads(content)
    state.pop("sha256", None)
    return json.dumps(state | {"sha256": _checksum(state)}).encode()


def mutate_signed(content: bytes, draw: random.Random) -> bytes:
    state = json.loads(content)
    name = draw.choice(list(state))
    return sign(json.dumps(state | {name: mutate_data(state[name], draw)}).encode())


def make_targets(folder: Path) -> dict[str, Target]:
    """A small finished run and all that is made from it."""
    run = folder / "run"
    training = start_run(run, "inverted-pendulum", tiny(checkpoint_every=1000, final_episodes=1), 3, "cpu")
    training.run(Console(quiet=True))
    kept = export_result(run, folder / "kept")
    save_policy(MLPPolicy([4, 8, 8, 1], "tanh", True), folder / "policy.safetensors")
    (manifest,) = run.glob("checkpoint/step-*.json")
    shards = run / "checkpoint" / "shards"
    (shard,) = shards.iterdir()

    def write_signed_shard(content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        (shards / f"{digest}.safetensors").write_bytes(content)
        state = json.loads(targets["checkpoint"].content)
        manifest.write_bytes(sign(json.dumps(state | {"shards": [{"sha256": digest, "bytes": len(content)}]}).encode()))

    def remove_signed_shard() -> None:
        manifest.write_bytes(targets["checkpoint"].content)
        for other in set(shards.iterdir()) - {shard}:
            other.unlink()

    def target(path: Path, read: Callable[[], Any], mutate, *others: Callable) -> Target:
        return Target(path, path.read_bytes(), read, mutate, *others)

    def load() -> Any:
        return load_checkpoint(run)

    def config() -> Any:
        read_config(run)
        return load()

    targets = {
        "checkpoint": target(manifest, load, mutate_json),
        "checkpoint, signed": target(manifest, load, mutate_signed),
        "shard": target(shard, load, mutate_tensors),
        "shard, signed": target(shard, load, mutate_tensors, write_signed_shard, remove_signed_shard),
        "config": target(run / "config.json", config, mutate_json),
        "result": target(run / "result.json", lambda: read_result(run / "result.json"), mutate_json),
        "metrics": target(run / "metrics.jsonl", lambda: read_metrics(run / "metrics.jsonl"), mutate_lines),
        "kept weights": target(kept / "model.safetensors", lambda: load_result(kept), mutate_tensors),
        "kept config": target(kept / "config.json", lambda: load_result(kept), mutate_json),
        "policy": target(
            folder / "policy.safetensors", lambda: load_policy(folder / "policy.safetensors"), mutate_tensors
        ),
    }
    with contextlib.suppress(InputError):  # Minari is not installed
        targets["dataset"] = _dataset(folder)
        targets["dataset's texts"] = targets["dataset"]._replace(mutate=mutate_texts)
    return targets


def mutate_texts(content: bytes, draw: random.Random) -> bytes:
    """A dataset's description of its task or of a space, which is JSON in a text of JSON."""
    data = json.loads(content)
    name = draw.choice(("env_spec", "action_space", "observation_space"))
    return json.dumps(data | {name: mutate_json(data[name].encode(), draw).decode("latin1")}).encode()


def _dataset(folder: Path) -> Target:
    from polygrad_edu.interop.datasets import load_dataset
    from polygrad_edu.interop.make_dataset import collect_dataset

    collect_dataset(folder / "data", "InvertedPendulum-v5", 300, 0, 0)
    path = folder / "data" / "data" / "metadata.json"
    return Target(path, path.read_bytes(), lambda: load_dataset(folder / "data"), mutate_json)


def attempt(target: Target, damaged: bytes) -> str:
    """Give a damaged file to its reader: ``refused``, ``still valid``, or an AssertionError that says why not."""
    (target.written or target.path.write_bytes)(damaged)
    begin = time.process_time()
    try:
        read = target.read()
        outcome = "still valid"
        if isinstance(read, tuple) and hasattr(read[0], "collector"):
            read[0].collector.close()
    except InputError as error:
        said = str(error)
        folder = str(target.path.parent.parent)
        assert "\n" not in said, f"more than a line: {said!r}"
        assert len(said) < 1500, f"too long a line: {said[:1500]!r}"
        assert folder in said, f"names no file: {said!r}"
        outcome = "refused"
    finally:
        target.path.write_bytes(target.content)
        target.undo()
    seconds = time.process_time() - begin
    assert seconds < MAX_SECONDS, f"it took {seconds:.0f} s"
    return outcome


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(target: Target, n: int, seed: int) -> dict[str, float]:
    """Give ``n`` damaged inputs to a target; returns how each ended, the time and the memory."""
    draw = random.Random(seed)
    target.read()
    counts = {"refused": 0, "still valid": 0}
    begin, before = time.process_time(), peak_mib()
    while sum(counts.values()) < n:
        damaged = target.mutate(target.content, draw)
        if damaged == target.content:
            continue
        try:
            counts[attempt(target, damaged)] += 1
        except Exception:
            Path("fuzz-failure.bin").write_bytes(damaged)
            print(f"input {sum(counts.values())} of {target.path.name}, seed {seed}, is kept in fuzz-failure.bin")
            raise
        assert peak_mib() - before < MAX_MIB, f"input {sum(counts.values())} took {peak_mib() - before:.0f} MiB"
    return counts | {"seconds": time.process_time() - begin, "MiB": peak_mib() - before}


def with_atheris(target: Target, runs: int) -> None:
    """Let libFuzzer, told which code an input reaches, mutate the file."""
    import atheris

    for module in [name for name in sys.modules if name.startswith("polygrad_edu")]:
        for value in vars(sys.modules[module]).values():
            if callable(value) and getattr(value, "__module__", None) == module and hasattr(value, "__code__"):
                atheris.instrument_func(value)
    corpus = target.path.parent / "corpus"
    corpus.mkdir()
    (corpus / "good").write_bytes(target.content)
    atheris.Setup([sys.argv[0], f"-runs={runs}", "-rss_limit_mb=4096", str(corpus)], lambda data: attempt(target, data))
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="in all, shared evenly between the kinds of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one kind of file")
    parser.add_argument("--atheris", metavar="KIND", help="fuzz one kind of file with atheris instead")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    folder = Path(tempfile.mkdtemp())
    try:
        targets = make_targets(folder)
        if options.atheris:
            with_atheris(targets[options.atheris], options.inputs)
            return
        chosen = {name: target for name, target in targets.items() if options.only in (None, name)}
        for name, target in chosen.items():
            counts = fuzz(target, -(-options.inputs // len(chosen)), options.seed)
            print(name, " ".join(f"{key} {value:.0f}" for key, value in counts.items()), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
