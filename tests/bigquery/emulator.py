"""The emulator as a process, and the tables of a browser in it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests import browser

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-bqemulator" / "bin" / "python"
SERVER = Path(__file__).with_name("server.py")
PROJECT, DATASET = "people", "experiments"
TELEMETRY = {
    "moz-fx-data-shared-prod": ("events",),
    "mozdata": ("clients_daily", "clients_last_seen"),
}


def python() -> Path:
    return Path(os.environ.get("SONDE_TEST_BQEMULATOR", PYTHON))


class Emulator:
    """A server on loopback. folder: where it keeps its tables; None: in memory."""

    def __init__(self, log: Path, folder: Path | None = None) -> None:
        self._log = log
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {"BQEMU_ENABLE_FORMAT_EXTENSIONS": "false", "BQEMU_QUERY_CACHE_TTL_SECONDS": "0"}
        kept = [] if self._folder is None else [str(self._folder)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(python()), str(SERVER), str(self._port), *kept],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": "", **settings},
            )
        for _ in range(600):
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=1)
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the emulator did not start:\n{self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    @contextmanager
    def running(self) -> Iterator[Emulator]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    @property
    def client(self) -> bigquery.Client:
        options = ClientOptions(api_endpoint=self.url)
        return bigquery.Client(PROJECT, credentials=AnonymousCredentials(), client_options=options)

    def rows(self, sql: str) -> list[dict[str, object]]:
        job = self.client.query(sql, retry=None, job_retry=None, timeout=20)
        return [dict(row) for row in job.result(timeout=20, retry=None)]

    def fill(self, path: str, rows: pa.Table) -> None:
        """Make a table of these rows, partitioned by day."""
        client = self.client
        client.create_dataset(path.rpartition(".")[0], exists_ok=True, retry=None, timeout=10)
        columns = ", ".join(f"`{f.name}` {_kind(f.type)}" for f in rows.schema)
        self.rows(f"CREATE OR REPLACE TABLE `{path}` ({columns}) PARTITION BY submission_date")
        config = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
        plain = json.loads(json.dumps(rows.to_pylist(), default=str))
        job = client.load_table_from_json(plain, path, job_config=config, timeout=60)
        job.result(retry=None, timeout=60)


def fill_telemetry(emulator: Emulator, tables: Mapping[str, tuple[str, ...]] = TELEMETRY) -> None:
    """The tables of `tests.browser`, under Mozilla's names."""
    for project, names in tables.items():
        for name in names:
            emulator.fill(f"{project}.telemetry.{name}", getattr(browser, name)())


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return "ARRAY<STRUCT<key STRING, value STRING>>"
    names = {
        "date32[day]": "DATE",
        "string": "STRING",
        "double": "FLOAT64",
        "int64": "INT64",
        "bool": "BOOL",
    }
    return names[str(kind)]
