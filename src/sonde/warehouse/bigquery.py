"""BigQuery, through Google's client: statements, tables with labels, and what they cost.

The client is imported when it is first needed: most commands never do. Credentials are found in
Google's usual ways.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sonde.account import Account, CostLimitError
from sonde.errors import BackendError, ConfigError, DataError

FINGERPRINT = "sonde_fingerprint"  # the label that says what a table was made from
_TRIES = 5
_SECONDS = 600.0  # that a request is tried again for
_REQUEST = 60.0  # seconds that one request may take; a query itself takes as long as it takes


@dataclass(frozen=True)
class Read:
    """What a statement would read, and the columns it would give, with their types."""

    size: int
    columns: Mapping[str, str]


class BigQuery:
    """A project, as one batch sees it. bytes_read: by all statements so far."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.bytes_read = 0
        self._emulator = account.emulator
        self._bigquery = _client_library()
        self._made: set[str] = set()
        self._client = self._connected()

    def table(self, name: str, dataset: str | None = None) -> str:
        """A table of the dataset that is written to, as SQL."""
        return f"`{self.account.project}.{dataset or self.account.dataset}.{name}`"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return [row.values() for row in self._done(sql)]

    def execute(self, sql: str) -> None:
        """Run a statement for its effect."""
        self._done(sql)

    def dry_run(self, sql: str) -> Read:
        """What a statement would read. Raises DataError for one that would not run."""
        with _errors(sql, self.account):
            job = self._query(sql, dry_run=True)
            columns = {field.name: field.field_type for field in job.schema or ()}
            return Read(job.total_bytes_processed or 0, columns)

    def labels(self, dataset: str) -> dict[str, dict[str, str]]:
        """The tables and views of a dataset, each with its labels; none without the dataset."""
        with _errors("", self.account):
            try:
                listed = self._client.list_tables(
                    self._path(dataset), retry=self._retry, timeout=_REQUEST
                )
                return {each.table_id: dict(each.labels) for each in listed}
            except self._google.NotFound:
                return {}

    def columns(self, dataset: str, name: str) -> dict[str, str]:
        """Names and types of a table's columns."""
        with _errors("", self.account):
            table = self._get(self._path(dataset, name))
            return {field.name: field.field_type for field in table.schema}

    def get_table(self, path: str) -> Any:
        """What is known of a table; None when it is not there, or may not be seen."""
        with _errors("", self.account):
            try:
                return self._get(path)
            except (self._google.NotFound, self._google.Forbidden):
                return None

    def replace(
        self, dataset: str, name: str, sql: str, description: str, labels: Mapping[str, str]
    ) -> None:
        """Make a table of a query's rows, whatever was there.

        Labels come last: a table without them is not finished, and is made again.
        """
        self._make_dataset(dataset)
        self.execute(f"CREATE OR REPLACE TABLE {self.table(name, dataset)} AS\n{sql}")
        self._describe(dataset, name, description, labels)

    def replace_view(self, dataset: str, name: str, sql: str, labels: Mapping[str, str]) -> None:
        """Make a view, whatever was there."""
        self.execute(f"CREATE OR REPLACE VIEW {self.table(name, dataset)} AS\n{sql}")
        self._describe(dataset, name, None, labels)

    def load(
        self,
        dataset: str,
        name: str,
        columns: Mapping[str, str],
        rows: Sequence[Mapping[str, object]],
        description: str,
        labels: Mapping[str, str],
    ) -> None:
        """Make a table of these rows, whatever was there. columns: with their types."""
        self._make_dataset(dataset)
        bigquery = self._bigquery
        config = bigquery.LoadJobConfig(
            schema=[bigquery.SchemaField(column, kind) for column, kind in columns.items()],
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        )
        with _errors("", self.account):
            path = self._path(dataset, name)
            plain = json.loads(json.dumps(list(rows), default=str))
            job = self._client.load_table_from_json(
                plain, path, job_config=config, timeout=_REQUEST
            )
            job.result(**self._waiting)
        self._describe(dataset, name, description, labels)

    def drop(self, dataset: str, name: str) -> None:
        """Remove a table or view; one that is not there is no error."""
        with _errors("", self.account):
            self._client.delete_table(
                self._path(dataset, name), not_found_ok=True, retry=self._retry, timeout=_REQUEST
            )

    def _describe(
        self, dataset: str, name: str, description: str | None, labels: Mapping[str, str]
    ) -> None:
        fields = ["labels"] if description is None else ["labels", "description"]
        with _errors("", self.account):
            for _ in range(_TRIES):
                table = self._get(self._path(dataset, name))
                table.labels = {**table.labels, "last_updated": str(int(time.time())), **labels}
                table.description = description or table.description
                with suppress(self._google.PreconditionFailed):  # another batch made the same
                    self._client.update_table(table, fields, retry=self._retry, timeout=_REQUEST)
                    return
        raise BackendError(f"{dataset}.{name} kept changing meanwhile; run again")

    def _make_dataset(self, dataset: str) -> None:
        if dataset in self._made:
            return
        path = self._path(dataset)
        with _errors("", self.account):
            try:  # whoever may write into a dataset may not make one
                self._client.get_dataset(path, retry=self._retry, timeout=_REQUEST)
            except self._google.NotFound:
                self._client.create_dataset(
                    path, exists_ok=True, retry=self._retry, timeout=_REQUEST
                )
        self._made.add(dataset)

    def _done(self, sql: str) -> list[Any]:
        with _errors(sql, self.account):
            job = self._query(sql)
            rows = list(job.result(**self._waiting))
            self.bytes_read += job.total_bytes_processed or 0
            return rows

    def _query(self, sql: str, *, dry_run: bool = False) -> Any:
        config = self._bigquery.QueryJobConfig(dry_run=dry_run)
        if not dry_run and self.account.max_bytes is not None:
            config.maximum_bytes_billed = self.account.max_bytes
        again = {} if self._emulator is None else {"job_retry": None}
        return self._client.query(
            sql, job_config=config, retry=self._retry, timeout=_REQUEST, **again
        )

    def _get(self, path: str) -> Any:
        return self._client.get_table(path, retry=self._retry, timeout=_REQUEST)

    def _path(self, *names: str) -> str:
        return ".".join([self.account.project, *names])

    @cached_property
    def _google(self) -> Any:
        return importlib.import_module("google.api_core.exceptions")

    @cached_property
    def _retry(self) -> Any:
        """An emulator's faults are no outages: trying again would only take time."""
        if self._emulator is not None:
            return None
        return importlib.import_module("google.cloud.bigquery.retry").DEFAULT_RETRY.with_timeout(
            _SECONDS
        )

    @property
    def _waiting(self) -> dict[str, Any]:
        """How to wait for a job. An emulator that is not done within a minute has stopped."""
        patience = {} if self._emulator is None else {"timeout": _REQUEST}
        return {"retry": self._retry, **patience}

    def _connected(self) -> Any:
        found: dict[str, Any] = {"project": self.account.project, "location": self.account.location}
        if self._emulator is not None:
            credentials = importlib.import_module("google.auth.credentials")
            found["credentials"] = credentials.AnonymousCredentials()
            found["client_options"] = {"api_endpoint": self._emulator}
        with _errors("", self.account):
            return self._bigquery.Client(**found)


def _client_library() -> Any:
    try:
        return importlib.import_module("google.cloud.bigquery")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'warehouse.kind = "bigquery" needs the package {error.name}, which is not '
            'installed; run `pip install "sonde[bigquery]"`'
        ) from error


@contextmanager
def _errors(sql: str, account: Account) -> Iterator[None]:
    """Google's errors as those of who can act."""
    google = importlib.import_module("google.api_core.exceptions")
    auth = importlib.import_module("google.auth.exceptions")
    requests = importlib.import_module("requests.exceptions")
    try:
        yield
    except auth.DefaultCredentialsError as error:
        raise ConfigError(
            "BigQuery needs Google's credentials, and there are none; run `gcloud auth "
            "application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
    except (
        auth.TransportError,
        requests.ConnectionError,
        requests.Timeout,
        google.RetryError,
        TimeoutError,
    ) as error:
        raise BackendError(
            f"BigQuery cannot be reached: {_reached(error)}; try again when the network is back"
        ) from error
    except auth.GoogleAuthError as error:
        raise ConfigError(f"BigQuery refuses the credentials: {_first_line(error)}") from error
    except google.GoogleAPICallError as error:
        raise _told(error, sql, account) from error


def _told(error: Any, sql: str, account: Account) -> Exception:
    reasons = {str(each.get("reason")) for each in error.errors or () if isinstance(each, dict)}
    message = _first_line(error)
    code = int(error.code or 500)
    if "bytesBilledLimitExceeded" in reasons:
        return CostLimitError(
            f"{message}; warehouse.max_cost = {account.max_cost} pays for no more: raise it in "
            "sonde.toml, or declare less"
        )
    if code == 403 and reasons.isdisjoint({"quotaExceeded", "rateLimitExceeded"}):
        return DataError(
            f"BigQuery refuses access: {message}; ask its owner for the role BigQuery Data Viewer "
            f"on what is read, Data Editor on {account.project}.{account.dataset}, and Job User "
            f"on {account.project}",
            sql or None,
        )
    if code == 404:
        return DataError(f"{message}; check its name, and warehouse.location", sql or None)
    if code in (403, 408, 429) or code >= 500:
        return BackendError(f"BigQuery failed: {message}; run again later")
    return DataError(message, sql or None)


def _first_line(error: Any) -> str:
    text = str(getattr(error, "message", "") or error)
    # The client puts the request before what was answered.
    text = text.split("prettyPrint=false: ", 1)[-1]
    return text.split("\n")[0].split("; reason: ")[0].strip().rstrip(".;")


def _reached(error: Exception) -> str:
    return f"no connection ({type(error).__name__})"
