"""Run by an interpreter that has Airflow: load the DAGs of a folder, and do one of them.

usage: run_dags.py FOLDER DAG. Prints what there is and how it ended, as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
dags = {
    name: {task.task_id: [type(task).__name__, task.retries] for task in dag.tasks}
    for name, dag in bag.dags.items()
}
state = None
if len(sys.argv) > 2:
    dag = bag.dags[sys.argv[2]]
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        task.retry_exponential_backoff = 0
    state = str(dag.test(logical_date=datetime(2026, 1, 5, 5, tzinfo=UTC)).state)
sys.stdout.write("\n" + json.dumps({"errors": bag.import_errors, "dags": dags, "state": state}))
