"""sonde every day, from Airflow 3: on a worker, in a pod of Kubernetes, or by Argo Workflows.

Copy this file into the folder of DAGs and keep the one of the three that suits. Each does the same
work; a day that was missed is made up for by the next run, so there is no catching up.

What the exit codes of `sonde` mean is in the operators: 75 is tried again; a wrong configuration
(2) or a failed analysis (3) fails at once, since trying again would give the same.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

PROJECT = os.environ.get("SONDE_PROJECT", "/srv/sonde")  # the folder of sonde.toml
IMAGE = os.environ.get("SONDE_IMAGE", "registry.example.org/team/sonde:latest")
YESTERDAY = "{{ macros.ds_add(ds, -1) }}"  # the last day whose data are complete
STAYS_WRONG = (2, 3)


class ByExitCode:
    """An operator that knows exit codes after which a retry is of no use.

    Both operators can tell some exit codes from others, but only to skip: so they are told to skip,
    and that is made a failure without retries.
    """

    def execute(self, context: Any) -> Any:
        """Do it, and fail for good where that is how it is."""
        try:
            return super().execute(context)  # type: ignore[misc]
        except AirflowSkipException as stopped:
            raise AirflowFailException(str(stopped)) from stopped


class SondeOnWorker(ByExitCode, BashOperator):
    """A command of sonde where the task runs."""


class SondeInPod(ByExitCode, KubernetesPodOperator):
    """A command of sonde in a pod."""


def daily(name: str) -> DAG:
    """Every morning, when yesterday's data are there; never two runs at once."""
    return DAG(
        name,
        schedule=CronTriggerTimetable("0 5 * * *", timezone="UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={
            "retries": 3,
            "retry_delay": timedelta(minutes=5),
            "retry_exponential_backoff": True,
            "execution_timeout": timedelta(hours=12),
            "skip_on_exit_code": STAYS_WRONG,
        },
        tags=["sonde"],
    )


with daily("sonde_daily"):
    SondeOnWorker(
        task_id="run",
        bash_command=f'sonde run --project "$SONDE_PROJECT" --date {YESTERDAY}',
        env={"SONDE_PROJECT": PROJECT},
        append_env=True,
    )

with daily("sonde_daily_in_a_pod"):
    SondeInPod(
        task_id="run",
        image=IMAGE,
        cmds=["sonde"],
        arguments=["run", "--project=/project", f"--date={YESTERDAY}"],
        secrets=[Secret("env", None, "sonde-lake")],  # its values become the pod's environment
        on_finish_action="delete_succeeded_pod",
    )

with daily("sonde_daily_on_argo"):
    SondeOnWorker(
        task_id="submit",
        bash_command=f'sonde submit --wait --project "$SONDE_PROJECT" --date {YESTERDAY}',
        env={"SONDE_PROJECT": PROJECT},  # SONDE_ARGO_TOKEN is in the worker's environment
        append_env=True,
    )
