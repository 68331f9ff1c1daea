"""A case run: rounds in which every contender has a lap, in an order that is drawn anew each time."""

import os
import random
import shutil
from collections import defaultdict

from . import clock, proof
from .contenders import Task, environment


def race(case, track, rounds, seed):
    """The laps of each contender by round, and why those who are missing are."""
    starters, out = [], {}
    for contender in track.contenders:
        if not asked_for(contender, case):
            continue
        reason = contender.reason_to_leave_out(case)
        if reason:
            out[contender.name] = reason
        else:
            starters.append(contender)

    track.origin.make(case.pages)
    urls = list(track.origin.urls(case))
    listed = track.scratch / "list"
    listed.write_text("".join(url + "\n" for url in urls))
    laps, chance = defaultdict(dict), random.Random(f"{seed} {case.name}")
    for round in range(rounds):
        order = [one for one in starters if one.takes_part(case, round)]
        chance.shuffle(order)
        for contender in order:
            if contender.name in out:
                continue
            track.say(f"{case.name}: round {round + 1} of {rounds}, {contender.name}")
            try:
                lap = clock.shared([run(contender, case, track, urls, listed) for _ in range(case.repeat)])
                laps[contender.name][round] = lap
            except clock.Wrong as wrong:
                out[contender.name] = f"WRONG: {wrong}"
                laps.pop(contender.name, None)
    return laps, out


def asked_for(contender, case):
    """A case names its contenders, and `fetch` for all modes. Another build goes where this one goes."""
    name = contender.name.replace("other ", "fetch ")
    is_a_mode = name.startswith("fetch ") and name != "fetch split"
    return name in case.contenders or is_a_mode and "fetch" in case.contenders


def run(contender, case, track, urls, listed):
    """One lap, proved."""
    folder = None
    if case.save:
        folder = track.folder(case.save)
        # What others have left to be written would be this one's burden.
        if case.save == "disk":
            os.sync()
    task = Task(case, urls, listed, folder, track.scratch, track.origin.authority)
    try:
        command = contender.command(task)
        lap, said = clock.time(track.stopwatch, command, track.scratch, environment(task))
        if folder:
            proof.ensure_files_are_right(task, track.origin)
        elif contender.name != "wrk":
            proof.ensure_count_is_right(task, contender, said)
        return contender.scale(task, said, lap)
    finally:
        if case.save == "disk":
            empty(folder)
        elif folder:
            shutil.rmtree(folder)


def empty(folder):
    """Gives the space back, and leaves the files until all races are over: ext4 makes new ones slowly for a minute
    after many were removed, and whoever comes next would pay for it."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)
