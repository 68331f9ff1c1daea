"""What was measured: the laps of each case, kept between runs as long as the program is the same."""

import json
import statistics
from dataclasses import asdict

from .clock import Lap


class Figures:
    """Results by case: laps by contender and round, figures of trials, and who was left out and why."""

    def __init__(self, folder, binary, keeps=True):
        self.folder = folder
        # Whether what is measured now is kept; a part of a race must not take the place of a whole one.
        self.keeps = keeps
        # What was measured of another build says nothing of this one.
        self.binary = binary
        self.cases = {}
        for file in folder.glob("*.json"):
            kept = json.loads(file.read_text())
            if kept["binary"] == binary:
                self.cases[file.stem] = kept

    def keep_race(self, name, laps, out):
        told = {who: {round: asdict(lap) for round, lap in runs.items()} for who, runs in laps.items()}
        self.keep(name, {"laps": told, "out": out})

    def keep_trial(self, name, values, out):
        self.keep(name, {"values": values, "out": out})

    def keep(self, name, result):
        self.cases[name] = json.loads(json.dumps({"binary": self.binary, **result}))
        if self.keeps:
            (self.folder / f"{name}.json").write_text(json.dumps(self.cases[name], indent=1) + "\n")

    def laps(self, case, who):
        """The laps of a contender by round; none if it has none."""
        laps = self.cases.get(case, {}).get("laps", {}).get(who, {})
        return {round: Lap(**lap) for round, lap in laps.items()}

    def who(self, case):
        return list(self.cases.get(case, {}).get("laps", {}))

    def out(self, case):
        return self.cases.get(case, {}).get("out", {})

    def values(self, case):
        return self.cases.get(case, {}).get("values", {})

    def median(self, case, who, field="wall"):
        laps = self.laps(case, who).values()
        return statistics.median(getattr(lap, field) for lap in laps) if laps else None

    def ratio(self, case, one, other, field="wall"):
        """The median over rounds of what one took, of what the other took in the same round."""
        ones, others = self.laps(case, one), self.laps(case, other)
        rounds = ones.keys() & others.keys()
        if not rounds:
            return None
        return statistics.median(
            getattr(ones[round], field) / getattr(others[round], field) for round in rounds
        )

    def spread(self, case, who):
        """The distance of the quartiles of a contender's wall times, of their median."""
        walls = [lap.wall for lap in self.laps(case, who).values()]
        if len(walls) < 4:
            return None
        low, middle, high = statistics.quantiles(walls, n=4)
        return (high - low) / middle
