"""Tasks and settings -> manifests for Argo Workflows. Pure: no clock, no files, no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hera.workflows import models

from sonde.argo.settings import Argo
from sonde.memory import Memory

MOST_TASKS = 500  # of a workflow: Argo keeps the state of each task in the workflow's own object,
MOST_BYTES = 400_000  # and Kubernetes takes objects of up to 1.5 MB
ANALYSE, PUBLISH = "analyse", "publish"
RETRIED = (75, 137)  # exit codes: trying again can help; killed, for want of memory most often

# A task whose pod was lost has the status Error and no exit code. Wrong configuration (2) and
# wrong data (3) stay wrong: they are not tried again.
RETRY_IF = (
    f"lastRetry.status == 'Error' || asInt(lastRetry.exitCode) in [{', '.join(map(str, RETRIED))}]"
)
WORKERS = 0.75  # of a container's memory
_TASKS = "tasks"
_PROJECT = "project"


@dataclass(frozen=True)
class Task:
    """One experiment as of one date, in an image that never changes."""

    slug: str
    as_of: date
    image: str

    def plain(self) -> dict[str, str]:
        """As the workflow's parameter has it."""
        return {"slug": self.slug, "date": self.as_of.isoformat(), "image": self.image}


@dataclass(frozen=True)
class Publication:
    """What is done when all tasks are over, whether they went well or not."""

    as_of: date
    image: str


def workflows(tasks: Sequence[Task], publication: Publication, argo: Argo) -> list[dict[str, Any]]:
    """The manifests that do all tasks; each publishes at its end what there is by then."""
    parts = list(_parts(tasks)) or [[]]
    return [
        _workflow(part, publication, argo, f"{number}-of-{len(parts)}")
        for number, part in enumerate(parts, 1)
    ]


def _parts(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks in groups that a workflow can hold."""
    part: list[Task] = []
    size = 0
    for task in tasks:
        length = len(json.dumps(json.dumps(task.plain()))) + 2
        if part and (len(part) == MOST_TASKS or size + length > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(task)
        size += length
    if part:
        yield part


def _workflow(
    tasks: Sequence[Task], publication: Publication, argo: Argo, part: str
) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": "sonde",
        "sonde/date": publication.as_of.isoformat(),
        "sonde/part": part,
    }
    listed = json.dumps([task.plain() for task in tasks])
    manifest = models.Workflow(
        api_version="argoproj.io/v1alpha1",
        kind="Workflow",
        metadata=models.ObjectMeta(
            generate_name=f"sonde-{publication.as_of}-", namespace=argo.namespace, labels=labels
        ),
        spec=models.WorkflowSpec(
            entrypoint="main",
            arguments=models.Arguments(parameters=[models.Parameter(name=_TASKS, value=listed)]),
            parallelism=argo.parallelism,
            service_account_name=argo.service_account,
            image_pull_secrets=[
                models.LocalObjectReference(name=name) for name in argo.image_pull_secrets
            ]
            or None,
            pod_metadata=models.Metadata(labels=labels),
            pod_gc=models.PodGC(strategy="OnPodSuccess"),
            ttl_strategy=models.TTLStrategy(seconds_after_completion=argo.keep_days * 86_400),
            volumes=_volumes(argo) or None,
            templates=[
                _main(publication, with_tasks=bool(tasks)),
                _template(ANALYSE, _analyse(argo), ("slug", "date", "image"), argo),
                _template(PUBLISH, _publish(argo), ("date", "image"), argo),
            ],
        ),
    )
    dumped: dict[str, Any] = manifest.model_dump(by_alias=True, exclude_none=True, mode="json")
    return dumped


def _main(publication: Publication, *, with_tasks: bool) -> models.Template:
    """Analyse, then publish. Both are targets: what failed in either fails the workflow."""
    publish = models.DAGTask(
        name=PUBLISH,
        template=PUBLISH,
        arguments=_arguments(date=publication.as_of.isoformat(), image=publication.image),
    )
    if not with_tasks:
        return models.Template(name="main", dag=models.DAGTemplate(tasks=[publish]))
    items = {name: f"{{{{item.{name}}}}}" for name in ("slug", "date", "image")}
    analyse = models.DAGTask(
        name=ANALYSE,
        template=ANALYSE,
        with_param=f"{{{{workflow.parameters.{_TASKS}}}}}",
        arguments=_arguments(**items),
    )
    publish.depends = " || ".join(
        f"{ANALYSE}.{state}" for state in ("Succeeded", "Failed", "Errored", "Skipped")
    )
    dag = models.DAGTemplate(
        fail_fast=False, target=f"{ANALYSE} {PUBLISH}", tasks=[analyse, publish]
    )
    return models.Template(name="main", dag=dag)


def _template(
    name: str, arguments: list[str], inputs: Sequence[str], argo: Argo
) -> models.Template:
    """One container, tried again when that can help."""
    about = {f"sonde/{each}": f"{{{{inputs.parameters.{each}}}}}" for each in inputs}
    return models.Template(
        name=name,
        inputs=models.Inputs(parameters=[models.Parameter(name=each) for each in inputs]),
        metadata=models.Metadata(annotations=about),
        container=_container(arguments, argo),
        active_deadline_seconds=models.IntOrString(root=argo.hours * 3600),
        retry_strategy=models.RetryStrategy(
            limit=models.IntOrString(root=argo.retries),
            retry_policy="Always",
            expression=RETRY_IF,
            # No maxDuration: it counts from the first start, and would end retries of long tasks.
            backoff=models.Backoff(duration="1m", factor=models.IntOrString(root=2)),
        ),
    )


def _container(arguments: list[str], argo: Argo) -> models.Container:
    resources = {
        "cpu": models.Quantity(root=str(argo.cpu)),
        "memory": models.Quantity(root=Memory.of(argo.memory).quantity),
    }
    return models.Container(
        image="{{inputs.parameters.image}}",
        command=["sonde"],
        args=arguments,
        env=[
            models.EnvVar(name="SONDE_RUN_WORKERS", value=str(argo.cpu)),
            models.EnvVar(name="SONDE_RUN_MEMORY", value=f"{of_workers(argo.memory)}MB"),
        ],
        env_from=[
            models.EnvFromSource(secret_ref=models.SecretEnvSource(name=name))
            for name in argo.secrets
        ]
        or None,
        resources=models.ResourceRequirements(requests=resources, limits=resources),
        volume_mounts=_mounts(argo) or None,
    )


def _analyse(argo: Argo) -> list[str]:
    return [
        "run",
        f"--project={argo.project}",
        "--experiment={{inputs.parameters.slug}}",
        "--date={{inputs.parameters.date}}",
    ]


def _publish(argo: Argo) -> list[str]:
    return ["publish", f"--project={argo.project}", "--date={{inputs.parameters.date}}"]


def _arguments(**values: str) -> models.Arguments:
    return models.Arguments(
        parameters=[models.Parameter(name=name, value=value) for name, value in values.items()]
    )


def _volumes(argo: Argo) -> list[models.Volume]:
    claims = [
        models.Volume(
            name=f"volume-{number}",
            persistent_volume_claim=models.PersistentVolumeClaimVolumeSource(
                claim_name=volume.partition(":")[0]
            ),
        )
        for number, volume in enumerate(argo.volumes)
    ]
    if argo.config_map is None:
        return claims
    source = models.ConfigMapVolumeSource(name=argo.config_map)
    return [models.Volume(name=_PROJECT, config_map=source), *claims]


def _mounts(argo: Argo) -> list[models.VolumeMount]:
    claims = [
        models.VolumeMount(name=f"volume-{number}", mount_path=volume.partition(":")[2])
        for number, volume in enumerate(argo.volumes)
    ]
    if argo.config_map is None:
        return claims
    project = models.VolumeMount(name=_PROJECT, mount_path=argo.project, read_only=True)
    return [project, *claims]


def of_workers(memory: str) -> int:
    """MB that a container's workers may hold: one is stopped a quarter above its share, and the
    process that starts them needs some, too. The container's own limit would end them all."""
    return int(Memory.of(memory).megabytes * WORKERS)
