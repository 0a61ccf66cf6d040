"""`make chaos`: a grid under random faults, compared with one that nothing disturbed.

Two commands work on the same results at a time. Faults come at random moments from a seeded generator: a training process, the
process that training processes are forked from, or a command is killed (SIGKILL), a command with all its processes is killed, or
interrupted (SIGINT, SIGTERM); a finished record, or the checkpoint of a run in flight, is cut short, emptied, or one of its bits
is changed. Whatever died is started again. When the faults are over the command is repeated until it succeeds; then every
collected metric and prediction must equal those of the undisturbed grid, bit by bit, each cell there once. Last, the grid is run
on a file system that fills up, if this process may mount one: the command must say so, and go on from where it was once there is
room.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd

from stableft.storage.store import Store

COMMANDS = 2
DAMAGE = {"cut": "cut short", "empty": "emptied", "bit": "one bit changed"}
LONGEST_WAIT = 3.0  # seconds between faults
CHECKPOINTS = ("--checkpoint-minutes", "0.01")  # far more often than anybody would
ROOM = 2**20  # bytes of the file system that fills up: less than the grid takes


def command(results: Path, seeds: int, epochs: int) -> list[str]:
    """The grid: two arms of a tiny encoder on a toy task."""
    settings = ("--protocol", "smoke", "--seeds", f"0-{seeds - 1}", "--set", f"schedule.num_epochs={epochs}")
    return [sys.executable, "-m", "stableft", "run", "adam", *settings, "--results", str(results), "--jobs", "2", *CHECKPOINTS]


def start(grid: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(grid, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def processes(group: int) -> list[int]:
    """All processes of a command but itself: the training processes and those that serve them."""
    found = subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found if int(pid) != group]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def damage(path: Path, how: str, rng: random.Random) -> bool:
    """In place, as a disk would: another process may have the file open. One that was emptied before can't be damaged again."""
    content = bytearray(path.read_bytes())
    if not content:
        return False
    if how == "bit":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    with open(path, "r+b") as file:
        file.truncate({"cut": len(content) // 2, "empty": 0, "bit": len(content)}[how])
        if how == "bit":
            file.write(content)
    return True


def disturb(rng: random.Random, running: "list[subprocess.Popen[bytes]]", results: Path) -> str | None:
    """One fault; its name, or None where there was nothing to disturb."""
    victim = rng.choice(running)
    if victim.poll() is not None:
        return None
    files = [*sorted((results / "runs").glob("*.parquet")), *sorted((results / "checkpoints").glob("*.safetensors"))]
    fault = rng.choice(["process", "process", "command", "group", "SIGINT", "SIGTERM", "cut", "empty", "bit"])
    if fault in ("cut", "empty", "bit"):
        if not files:
            return None
        path = rng.choice(files)
        with suppress(FileNotFoundError):  # a checkpoint whose run was done a moment ago
            if damage(path, fault, rng):
                return f"{'record' if path.suffix == '.parquet' else 'checkpoint'}: {DAMAGE[fault]}"
        return None
    if fault == "process":
        if not (others := processes(victim.pid)):
            return None
        kill(rng.choice(others))
        return "SIGKILL of a training or serving process"
    if fault == "command":
        kill(victim.pid)
        return "SIGKILL of a command"
    number = {"group": signal.SIGKILL, "SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}[fault]
    with suppress(ProcessLookupError):
        os.killpg(victim.pid, number)
    return "SIGKILL of a command and all its processes" if fault == "group" else f"{fault} to a command and all its processes"


def torment(results: Path, grid: list[str], faults: int, rng: random.Random) -> Counter[str]:
    """Disturbs commands that work on the same results until there were that many faults; what each was, and how often."""
    done: Counter[str] = Counter()
    running: list[subprocess.Popen[bytes]] = []
    while done.total() < faults:
        running = [process for process in running if process.poll() is None]
        running += [start(grid) for _ in range(COMMANDS - len(running))]
        time.sleep(rng.uniform(0.2, LONGEST_WAIT))
        if fault := disturb(rng, running, results):
            done[fault] += 1
            print(f"{done.total()}/{faults} {fault}", flush=True)
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return done


def finish(grid: list[str], tries: int = 5) -> None:
    """Repeats the command until it succeeds; records that are damaged inside are noticed when they are collected."""
    for _ in range(tries):
        done = subprocess.run(grid, capture_output=True, text=True)
        if done.returncode == 0:
            return
        print(f"exit code {done.returncode}", done.stderr[-2000:])
    raise SystemExit(f"the grid does not end after {tries} tries")


def compare(undisturbed: Path, disturbed: Path) -> None:
    """Both hold the same rows, bit by bit; no run is lost, none is there twice."""
    a, b = (Store(path).load("smoke", "adam") for path in (undisturbed, disturbed))
    assert not b.runs.duplicated(["arm", "task", "seed"]).any(), "a run is there twice"
    identity = ["arm", "task", "seed", "run_id", "outcome", "trajectory_sha256"]
    pd.testing.assert_frame_equal(a.runs[identity], b.runs[identity])
    pd.testing.assert_frame_equal(a.metrics, b.metrics, check_exact=True)
    pd.testing.assert_frame_equal(a.predictions, b.predictions, check_exact=True)


def fill(folder: Path, seeds: int, epochs: int, undisturbed: Path) -> str:
    """Runs the grid where there is too little room, makes room, and runs it again."""
    place = folder / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)], capture_output=True).returncode:
        return "not done: mounting a file system needs root"
    try:
        ballast = place / "ballast"
        ballast.write_bytes(bytes(ROOM - 2**17))
        grid = command(place / "results", seeds, epochs)
        full = subprocess.run(grid, capture_output=True, text=True)
        assert full.returncode == 74, f"a full disk: exit code {full.returncode}\n{full.stderr}"
        assert "Traceback" not in full.stderr
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        finish(grid)
        compare(undisturbed, place / "results")
    finally:
        subprocess.run(["umount", str(place)], check=True)
    return "said so with exit code 74, went on when there was room, and nothing differed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=30, help="of each of the two arms")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    asked = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        finish(command(folder / "a", asked.seeds, asked.epochs))
        grid = command(folder / "b", asked.seeds, asked.epochs)
        faults = torment(folder / "b", grid, asked.faults, random.Random(asked.seed))
        finish(grid)
        compare(folder / "a", folder / "b")
        disk = fill(folder, asked.seeds, asked.epochs, folder / "a")
        set_aside = len(list((folder / "b" / "damaged").glob("*")))
    print(json.dumps(dict(faults.most_common()), indent=1))
    print(f"{faults.total()} faults, {2 * asked.seeds} runs: none lost, none twice, every row equal.")
    print(f"{set_aside} damaged files were set aside.")
    print(f"A full file system: {disk}. {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
