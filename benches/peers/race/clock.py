"""One lap of one contender: started, timed, and believed only if what it brought is right."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass, replace

# A contender that takes longer than this, in seconds, is given up.
PATIENCE = 900


class Wrong(Exception):
    """A contender did not do what it was to do."""


@dataclass(frozen=True)
class Lap:
    """What a run took: seconds, processor seconds of all its processes, the peak of its largest one in bytes, and their
    context switches."""

    wall: float
    cpu: float
    peak: int
    switches: int


def time(stopwatch, command, scratch, environment, input=subprocess.DEVNULL):
    """Runs a command; gives back its lap and what it said."""
    told, said = scratch / "lap", scratch / "said"
    with open(said, "wb") as out, open(scratch / "words", "wb") as words:
        process = subprocess.Popen(
            [str(stopwatch), str(told), *map(str, command)], stdin=input, stdout=out, stderr=words,
            cwd=scratch, env=environment, start_new_session=True,
        )
        try:
            process.wait(PATIENCE)
        except BaseException as end:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(end, subprocess.TimeoutExpired):
                raise Wrong(f"took longer than {PATIENCE} s") from end
            raise
    lap = json.loads(told.read_text()) if process.returncode == 0 else {"code": "no"}
    if lap.pop("code") != 0:
        words = (scratch / "words").read_text(errors="replace")
        raise Wrong(f"{command[0]} failed: {words[-500:].strip() or 'it does not say why'}")
    return Lap(**lap), said.read_text(errors="replace")


def shared(laps):
    """One lap of several in a row."""
    number = len(laps)
    return replace(
        laps[0], wall=sum(lap.wall for lap in laps) / number,
        cpu=sum(lap.cpu for lap in laps) / number, peak=max(lap.peak for lap in laps),
        switches=sum(lap.switches for lap in laps) / number,
    )
