"""The server that all fetch from: nginx, one worker, on ports of the loopback that the kernel picks."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from .cases import PAGES, MIB

# Where Debian puts the module that waits.
ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
ISSUE = "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"


class Origin:
    """nginx with the pages that cases ask for; they are made when they are first wanted."""

    def __init__(self, folder):
        self.folder = folder
        self.pages = folder / "pages"
        self.authority = folder / "authority.pem"
        self.http, self.tls, self.h2, self.hosts = free_ports(4)
        self.can_wait = ECHO.exists()

    def __enter__(self):
        self.pages.mkdir()
        for under in ("after50", "after100", "limited"):
            (self.pages / under).symlink_to(".")
        make_certificate(self.folder)
        (self.folder / "nginx.conf").write_text(self.configuration())
        nginx = program()
        command = [nginx, "-p", self.folder, "-c", "nginx.conf", "-e", "error.log"]
        self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        for port in (self.http, self.tls, self.h2):
            self.wait_until_it_listens(port)
        return self

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()

    def wait_until_it_listens(self, port):
        end = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            if self.server.poll() is not None or time.monotonic() > end:
                raise SystemExit("nginx does not start: " + (self.folder / "error.log").read_text())
            time.sleep(0.01)

    def page(self, pages, number):
        """The file of a page."""
        return self.pages / pages / f"{number:05}.bin"

    def make(self, pages):
        """Makes the files of a set, each of other bytes."""
        folder = self.pages / pages
        if folder.exists():
            return
        folder.mkdir()
        for number, length in enumerate(PAGES[pages]):
            noise = random.Random(f"{pages} {number}")
            with open(self.page(pages, number), "wb") as file:
                for start in range(0, length, MIB):
                    file.write(noise.randbytes(min(MIB, length - start)))

    def urls(self, case):
        """The URLs of a case, no two alike."""
        scheme = "http" if case.scheme == "http" else "https"
        path = "/".join(filter(None, (case.under, case.pages)))
        for number in range(len(case.lengths)):
            yield f"{scheme}://{self.host(case, number)}/{path}/{number:05}.bin"

    def host(self, case, number):
        if case.hosts > 1:
            return f"{loopback(number % case.hosts)}:{self.hosts}"
        return f"127.0.0.1:{getattr(self, case.scheme)}"

    def configuration(self):
        spread = " ".join(f"listen {loopback(host)}:{self.hosts};" for host in range(1000))
        load = f"load_module {ECHO};" if self.can_wait else ""
        pages = """
    root pages;
    location /many/ { rewrite ^ /tiny/00000.bin break; }
    location /limited/ { limit_rate 5m; }"""
        for name, seconds in (("after50", 0.05), ("after100", 0.1)) if self.can_wait else ():
            pages += f"""
    location /{name}/ {{ echo_sleep {seconds}; echo_exec @{name}; }}
    location @{name} {{ }}"""
        trust = "ssl_certificate certificate.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.3;"
        return f"""{load}
daemon off;
user {"root" if os.geteuid() == 0 else "nobody"};
worker_processes 1;
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log error.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    # Fewer than there are descriptors, and enough for one set of pages.
    open_file_cache max=11000 inactive=1h;
    open_file_cache_valid 1h;
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    {trust}
    server {{ listen 127.0.0.1:{self.http} backlog=4096; {pages}
    }}
    server {{ listen 127.0.0.1:{self.tls} ssl backlog=4096; {pages}
    }}
    server {{ listen 127.0.0.1:{self.h2} ssl http2 backlog=4096; {pages}
    }}
    server {{ {spread} {pages}
    }}
}}
"""


def program():
    """nginx, which is not in everyone's path."""
    found = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    return found or sys.exit("This needs nginx (Debian: nginx-light, libnginx-mod-http-echo).")


def loopback(host):
    return f"127.0.{1 + host // 250}.{1 + host % 250}"


def free_ports(number):
    """Ports that are free now, held together until all are known, so that they differ."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def make_certificate(folder):
    """An authority for this run alone, and a certificate for 127.0.0.1 from it."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", "-x509", "-newkey", *ISSUE, "-keyout", "authority.key", "-out", "authority.pem",
            "-subj", "/CN=benchmark", "-days", "30")
    openssl("req", "-newkey", *ISSUE, "-keyout", "key.pem", "-out", "request.pem",
            "-subj", "/CN=127.0.0.1")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "authority.pem", "-CAkey", "authority.key",
            "-CAcreateserial", "-days", "30", "-extfile", "names", "-out", "certificate.pem")
