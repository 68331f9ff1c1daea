"""The lesson with requests: threads that take URLs from a queue, each with a session of its own.

    lesson_requests.py THREADS LIST [FOLDER]
"""

import queue
import sys
import threading
import time
from pathlib import Path

import requests


def work(urls, folder, read):
    with requests.Session() as session:
        while True:
            try:
                url = urls.get_nowait()
            except queue.Empty:
                return
            response = session.get(url)
            response.raise_for_status()
            if folder:
                (folder / url.rsplit("/", 1)[1]).write_bytes(response.content)
            print(f"Read {len(response.content)} from {url}")
            read.append(len(response.content))


def main(threads, listed, folder=None):
    urls = queue.Queue()
    for url in Path(listed).read_text().split():
        urls.put(url)
    folder = folder and Path(folder)
    read = []
    start = time.perf_counter()
    workers = [threading.Thread(target=work, args=(urls, folder, read)) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"Downloaded {len(read)} sites in {time.perf_counter() - start:.2f} seconds")


main(*sys.argv[1:])
