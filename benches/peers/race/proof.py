"""Whether a contender brought the right bytes."""

from .cases import MIB
from .clock import Wrong
from .contenders import name_of


def ensure_files_are_right(task, origin):
    """Every file is there with its name and its bytes, and nothing else is but what begins with a dot."""
    names = {path.name for path in task.folder.iterdir() if not path.name.startswith(".")}
    wanted = [name_of(url) for url in task.urls]
    if names != set(wanted):
        raise Wrong(f"saved {len(names)} files, not the {len(wanted)} of the list")
    for number, name in enumerate(wanted):
        if not same(task.folder / name, origin.page(task.case.pages, number)):
            raise Wrong(f"{name} has other bytes than the server's")


def ensure_count_is_right(task, contender, said):
    """As many bytes were counted as the pages have."""
    counted = sum(map(int, contender.counted.findall(said)))
    if counted != task.bytes:
        raise Wrong(f"read {counted} bytes of {task.bytes}")


def same(one, other):
    with open(one, "rb") as one, open(other, "rb") as other:
        while True:
            here, there = one.read(MIB), other.read(MIB)
            if here != there:
                return False
            if not here:
                return True
