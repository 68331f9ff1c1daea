"""The lesson with aiohttp: a task for each of so many URLs at a time, one session for all.

    lesson_aiohttp.py TASKS LIST [FOLDER]
"""

import asyncio
import os
import ssl
import sys
import time
from pathlib import Path

import aiohttp


async def work(session, urls, folder, read):
    for url in urls:
        async with session.get(url) as response:
            response.raise_for_status()
            body = await response.read()
        if folder:
            (folder / url.rsplit("/", 1)[1]).write_bytes(body)
        print(f"Read {len(body)} from {url}")
        read.append(len(body))


async def main(tasks, listed, folder=None):
    tasks = int(tasks)
    # One iterator for all: each URL goes to whoever is free.
    urls = iter(Path(listed).read_text().split())
    folder = folder and Path(folder)
    read = []
    start = time.perf_counter()
    trust = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE"))
    connector = aiohttp.TCPConnector(limit=tasks, ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(work(session, urls, folder, read) for _ in range(tasks)))
    print(f"Downloaded {len(read)} sites in {time.perf_counter() - start:.2f} seconds")


asyncio.run(main(*sys.argv[1:]))
