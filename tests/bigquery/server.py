"""bqemulator, with what it lacks of BigQuery and the tests need. Runs in an environment of its own.

    python server.py PORT [FOLDER]

Its tables are kept in FOLDER, else in memory. Each table that a query names counts as 1 GiB read.
A table called `forbidden` may be read by nobody.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from bqemulator import cli
from bqemulator.api.routes import jobs, tables, upload
from bqemulator.domain.errors import DomainError, PermissionDeniedError
from bqemulator.jobs import executor
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.storage.sql_identifiers import quoted_table_ref
from bqemulator.storage.type_map import bq_schema_to_duckdb_columns

GIB = 2**30
NAMED = re.compile(r"([\w-]+)[`.]+(\w+)[`.]+(\w+)")
# Its own functions become subqueries, which DuckDB does not take in the condition of a LEFT JOIN.
GET_KEY = "(m, k) AS list_filter(m, lambda pair: pair.key = k)[1].value"


class TooManyBytesError(DomainError):
    """As BigQuery refuses a query that would cost more than its job allows."""

    http_status = 400
    bq_reason = "bytesBilledLimitExceeded"


def give_functions() -> None:
    start = DuckDBEngine.start

    async def started(self: DuckDBEngine) -> None:
        await start(self)
        if self._settings.persistence_mode.value == "persistent":
            self.connection.execute("FORCE CHECKPOINT")
        quoted_whole, in_parts = "mozfun__map__get_key", "mozfun.map.get_key"
        self.connection.execute(f"CREATE OR REPLACE MACRO {quoted_whole}{GET_KEY}")
        self.connection.execute("ATTACH IF NOT EXISTS ':memory:' AS mozfun")
        self.connection.execute("CREATE SCHEMA IF NOT EXISTS mozfun.map")
        self.connection.execute(f"CREATE OR REPLACE MACRO {in_parts}{GET_KEY}")

    DuckDBEngine.start = started
    DuckDBEngine._load_spatial = lambda self: None  # no test has a place on earth


def tell_of_tables() -> None:
    """Their labels when they are listed, the query of a view when it is asked for."""
    listed, told = tables._table_to_list_item, tables._table_to_rest
    tables._table_to_list_item = lambda t: {**listed(t), "labels": t.labels}
    tables._table_to_rest = lambda t: {
        **told(t),
        **({"view": {"query": t.view_query, "useLegacySql": False}} if t.view_query else {}),
    }


def load_into_new_tables() -> None:
    """A load job makes its table, with the schema that it brings; its own does not."""
    upload._is_permitted_media_type = lambda _: True
    apply = executor._apply_load_write_disposition

    def make(job: Any, ctx: Any) -> None:
        if ctx.catalog.get_table(job.project_id, job.dataset_id, job.table_id) is None:
            body = {"tableReference": {"tableId": job.table_id}, "schema": job.raw_config["schema"]}
            meta = tables._rest_to_table_meta(job.project_id, job.dataset_id, body, ctx.clock)
            named = bq_schema_to_duckdb_columns(job.raw_config["schema"]["fields"])
            columns = ", ".join(f'"{name}" {kind}' for name, kind in named)
            reference = quoted_table_ref(job.project_id, job.dataset_id, job.table_id)
            ctx.engine.execute(f"CREATE TABLE {reference} ({columns})")
            ctx.catalog.create_table(meta)
        apply(job, ctx)

    executor._apply_load_write_disposition = make


def count_bytes() -> None:
    handle = jobs._handle_query_job

    async def counted(
        project_id: str,
        job_id: str,
        config: dict[str, Any],
        *,
        dry_run: bool,
        ctx: Any,
        **more: Any,
    ) -> Any:
        query = config["query"]
        named = {match.groups() for match in NAMED.finditer(query["query"])}
        if any(table == "forbidden" for _, _, table in named):
            raise PermissionDeniedError("Access Denied: Table forbidden: User does not have it")
        size = GIB * sum(ctx.catalog.get_table(*each) is not None for each in named)
        if not dry_run and size > int(query.get("maximumBytesBilled") or size):
            raise TooManyBytesError("Query exceeded limit for bytes billed")
        if dry_run and not query["query"].lstrip().upper().startswith("CREATE"):
            # A dry run looks at no value; the emulator's own runs the query.
            query["query"] = f"SELECT * FROM (\n{query['query']}\n) LIMIT 0"
        made = await handle(project_id, job_id, config, dry_run=dry_run, ctx=ctx, **more)
        statistics = made["statistics"] if isinstance(made, dict) else made.statistics
        statistics["totalBytesProcessed"] = str(size)
        statistics.setdefault("query", {})["totalBytesProcessed"] = str(size)
        return made

    jobs._handle_query_job = counted


if __name__ == "__main__":
    give_functions()
    tell_of_tables()
    load_into_new_tables()
    count_bytes()
    kept = ["--persistent", "--data-dir", sys.argv[2]] if len(sys.argv) > 2 else ["--ephemeral"]
    ports = ["--rest-port", sys.argv[1], "--grpc-port", "0"]
    sys.argv = ["bqemulator", "start", *ports, *kept, "--log-level", "error"]
    cli.main()
