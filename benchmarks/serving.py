"""What the server answers a second, with the load generator beside it: requests/s, p50, p99.

python -m benchmarks.serving [SECONDS]

The server runs in a process of its own, as `sonde serve`; this process asks, over raw sockets
kept open, for pages of 20 KB (gzip) of 200 experiments, and now and then for the API's answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from sonde.lake import Lake
from sonde.site import SITE, SITE_COLUMNS, Audience

EXPERIMENTS = 200
PAGE = 20_000
CONNECTIONS = 16


def publish(lake: Lake) -> list[str]:
    """A site of incompressible pages; the addresses to ask for."""
    rng = random.Random(1)
    owners = {"all": ["index.html", "api/experiments.json"]}
    for number in range(EXPERIMENTS):
        folder = f"experiment-{number}"
        owners[f"experiment {folder}"] = [
            f"experiments/{folder}.html",
            f"api/experiments/{folder}/statistics.json",
        ]
    filled = [
        lake.write(SITE.partition(Audience.PUBLIC, owner), _rows(paths, rng), owner)
        for owner, paths in owners.items()
    ]
    lake.commit(SITE, filled)
    return ["/" + path.removesuffix(".json") for paths in owners.values() for path in paths]


def _rows(paths: list[str], rng: random.Random) -> pa.Table:
    bodies = [gzip.compress(rng.randbytes(PAGE), mtime=0) for _ in paths]
    return pa.table(
        {
            "path": paths,
            "media_type": [
                "text/html" if p.endswith("html") else "application/json" for p in paths
            ],
            "body": bodies,
            "etag": [hashlib.sha256(body).hexdigest()[:16] for body in bodies],
        },
        schema=SITE_COLUMNS,
    )


@contextlib.contextmanager
def serving(project: Path) -> Iterator[tuple[int, int]]:
    """`sonde serve` in a process; its port and the process."""
    command = [sys.executable, "-m", "sonde", "serve", "--port", "0", "--project", str(project)]
    log = (project / "log").open("w")
    with log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split("/")[2].rpartition(":")[2])
        try:
            yield port, server.pid
        finally:
            server.send_signal(signal.SIGINT)


def cpu_seconds(process: int) -> float:
    """What a process has used so far; on Linux."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _ask(port: int, addresses: Iterator[str], until: float, took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    host = f"Host: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n\r\n"
    while (started := time.perf_counter()) < until:
        writer.write(f"GET {next(addresses)} HTTP/1.1\r\n{host}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - started)
    writer.close()


async def load(port: int, addresses: list[str], seconds: float) -> list[float]:
    """Seconds that each request took."""
    took: list[float] = []
    shuffled = itertools.cycle(random.Random(2).sample(addresses, len(addresses)))
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(_ask(port, shuffled, until, took))
    return took


def main(seconds: float = 10.0) -> None:
    with tempfile.TemporaryDirectory(prefix="sonde-bench-") as folder:
        project = Path(folder)
        (project / "sonde.toml").write_text('[lake]\nurl = "lake"\n')
        addresses = publish(Lake.open(project / "lake"))
        with serving(project) as (port, server):
            for what, each in (("cold", 1.0), ("warm", seconds)):
                before = cpu_seconds(server)
                took = sorted(asyncio.run(load(port, addresses, each)))
                p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
                cpu = (cpu_seconds(server) - before) / len(took) * 1000
                print(
                    f"{what:<6} {len(took) / each:8.0f} requests/s   p50 {p50:6.1f} ms   "
                    f"p99 {p99:6.1f} ms   largest {took[-1] * 1000:6.1f} ms   "
                    f"server CPU {cpu:.2f} ms a request"
                )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"server: {peak:.0f} MB peak, {CONNECTIONS} connections, {len(addresses)} addresses")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
