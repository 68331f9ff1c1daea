"""What was measured, as Markdown."""

from .cases import described
from .targets import TARGETS

BEGIN, END = "<!-- speed: begin -->\n", "<!-- speed: end -->\n"

# What those who choose a tool are shown: these cases, of these programs.
SHORT = ("small", "small-tls", "small-h2", "medium", "big")
PEERS = ("curl", "wget2", "aria2c", "wget")
ALL = (*PEERS, "requests", "aiohttp", "wrk", "reqwest", "floor")


def case_page(case, figures):
    """The table of one race."""
    lines = [f"**{described(case)}** (`{case.name}`)", "",
             "| | wall | relative to fetch | CPU per URL | switches per URL | peak memory | rounds |",
             "|---|--:|--:|--:|--:|--:|--:|"]
    for who in sorted(figures.who(case.name), key=lambda who: figures.median(case.name, who)):
        ratio = figures.ratio(case.name, who, case.reference)
        cpu = figures.median(case.name, who, "cpu") / len(case.lengths)
        switches = figures.median(case.name, who, "switches") / len(case.lengths)
        peak = figures.median(case.name, who, "peak") / (1 << 20)
        lines.append(f"| {who} | {seconds(figures.median(case.name, who))} | {ratio_text(ratio)} | "
                     f"{seconds(cpu)} | {switches:.2f} | {peak:.1f} MiB | {len(figures.laps(case.name, who))} |")
    lines += ["", noise([case], figures)]
    lines += (f"Left out: {who} ({why})." for who, why in figures.out(case.name).items())
    return "\n".join(lines).rstrip() + "\n"


def trial_page(name, figures):
    lines = [f"- {what}: {value:,.1f}" for what, value in figures.values(name).items()]
    lines += [f"- left out: {why}" for why in figures.out(name).values()]
    return "\n".join(lines) + "\n"


def targets_page(figures, measured=None):
    """Each target against its figure; only those of these cases, if any are given."""
    lines = ["| target | bound | dream | figure | |", "|---|--:|--:|--:|---|"]
    for target in TARGETS:
        if measured is not None and target.case not in measured:
            continue
        figure = target.figure(figures)
        shown = "-" if figure is None else f"{figure:.2f}{target.unit}"
        lines.append(f"| {target.what} | {target.shown(target.bound)} | {target.shown(target.dream)} | {shown} | "
                     f"{target.verdict(figure)} |")
    return "\n".join(lines) + "\n"


def short(cases, figures):
    """The table of README.md: the main cases, and only the tools that fetch is an alternative to."""
    return overview([case for case in cases if case.name in SHORT], figures, PEERS)


def overview(cases, figures, contenders=ALL):
    """A row a case, a column a contender: how long each took, of what fetch took."""
    measured = [case for case in cases if figures.median(case.name, case.reference)]
    columns = [who for who in contenders if any(figures.median(case.name, who) for case in measured)]
    lines = ["| | fetch | " + " | ".join(columns) + " |", "|---|--:|" + "--:|" * len(columns)]
    for case in measured:
        cells = [ratio_text(figures.ratio(case.name, who, case.reference)) for who in columns]
        own = seconds(figures.median(case.name, case.reference))
        lines.append(f"| {described(case)} | {own} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def noise(cases, figures):
    """How far apart laps of one program were, at worst."""
    spreads = [figures.spread(case.name, who) for case in cases for who in figures.who(case.name)]
    return f"The quartiles of a program's wall times are at most {max(filter(None, spreads), default=0):.0%} " \
           "of their median apart.\n"


def write_into(file, text):
    """Replaces what is between the marks."""
    before, rest = file.read_text().split(BEGIN)
    _, after = rest.split(END)
    file.write_text(before + BEGIN + "\n" + text + "\n" + END + after)


def seconds(time):
    if time is None:
        return "-"
    if time < 1e-3:
        return f"{time * 1e6:.0f} µs"
    return f"{time * 1e3:.1f} ms" if time < 0.1 else f"{time:.2f} s"


def ratio_text(ratio):
    return "-" if ratio is None else f"{ratio:.2f}"
