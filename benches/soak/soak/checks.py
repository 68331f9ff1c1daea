"""What has to be true of a folder that a run has saved to."""

import json
import os
from collections import Counter


class Wrong(Exception):
    """Something that must not be."""


def ensure(condition, words):
    if not condition:
        raise Wrong(words)


def files_in(folder):
    """The paths of all files in a folder, without its bookkeeping."""
    for where, folders, names in os.walk(folder):
        if ".fetch" in folders:
            folders.remove(".fetch")
        for name in names:
            yield os.path.relpath(os.path.join(where, name), folder)


def is_unfinished(path):
    return path.endswith(".part")


def manifest_of(folder):
    """The entries of the manifest; a last line that is torn is passed over."""
    try:
        with open(folder / ".fetch/manifest.jsonl", "rb") as lines:
            return [json.loads(line) for line in lines if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def ensure_whole(folder, pages):
    """Every file under its final name is whole and right; returns their paths. `pages` are the expected ones by path."""
    whole = set()
    for path in files_in(folder):
        if is_unfinished(path):
            continue
        ensure(path in pages, f"{path} is not a file of the list")
        ensure((folder / path).read_bytes() == pages[path].body, f"{path} is not {pages[path].url}")
        whole.add(path)
    return whole


def ensure_complete(folder, pages, entries_each=1, may_be_begun=()):
    """All of these files are there and right, the manifest has as many entries of each, and nothing else is there.

    `entries_each` is 0 if a file may have been saved more often. The files `may_be_begun` fail in every run, and what of them
    has arrived is kept for the next one.
    """
    whole = ensure_whole(folder, pages)
    ensure(whole == set(pages), f"missing: {sorted(set(pages) - whole)[:5]}")
    kept = {name + ".part" for name in may_be_begun}
    left = [path for path in files_in(folder) if is_unfinished(path) and path not in kept]
    ensure(not left, f"left behind: {left[:5]}")
    left = set(os.listdir(folder / ".fetch")) - {"lock", "manifest.jsonl"}
    ensure(not left, f"left behind in .fetch: {sorted(left)[:5]}")
    saved = Counter(entry["path"] for entry in manifest_of(folder) if entry["type"] == "saved")
    ensure(set(saved) == set(pages), f"the manifest names other files: {sorted(set(saved) ^ set(pages))[:5]}")
    if entries_each:
        twice = [path for path, count in saved.items() if count != entries_each]
        ensure(not twice, f"entered more than once: {twice[:5]}")
