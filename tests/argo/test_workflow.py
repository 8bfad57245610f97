"""Manifests: that Argo takes them, and what it would make of them."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.argo.settings import Argo
from sonde.argo.workflow import (
    ANALYSE,
    MOST_TASKS,
    PUBLISH,
    Publication,
    Task,
    workflows,
)
from tests.argo import cluster
from tests.argo.schema import complaints

DAY = date(2026, 1, 2)
IMAGE = f"registry.example.org/team/sonde@sha256:{'0' * 64}"
OTHER = f"registry.example.org/team/sonde@sha256:{'1' * 64}"
FULL = Argo(
    server="https://argo.example.org",
    namespace="experiments",
    parallelism=7,
    cpu=3,
    memory="6GB",
    retries=4,
    hours=5,
    keep_days=9,
    service_account="runner",
    project="/etc/sonde",
    config_map="sonde-project",
    secrets=("lake-key", "api-key"),
    image_pull_secrets=("pull",),
    volumes=("lake:/lake", "exports:/data/exports"),
)


def rendered(*slugs, argo=FULL, image=IMAGE):
    tasks = [Task(slug, DAY, image) for slug in slugs]
    return workflows(tasks, Publication(DAY, OTHER), argo)


@pytest.fixture(scope="module")
def manifest():
    (made,) = rendered("a", "b")
    return made


class TestArgoTakesIt:
    @pytest.mark.parametrize("argo", [Argo(), FULL], ids=["least", "full"])
    @pytest.mark.parametrize("slugs", [(), ("a",), ("a", "b")], ids=len)
    def test_every_manifest(self, argo, slugs):
        for manifest in rendered(*slugs, argo=argo):
            assert complaints(manifest) == []

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            (("spec", "paralelism"), 3),
            (("spec", "parallelism"), "many"),
            (("spec", "podGC", "strategy"), "OnPodSucces"),
            (("spec", "templates", 1, "retryStrategy", "exprssion"), "x"),
            (("spec", "templates", 1, "retryStrategy", "retryPolicy"), "Sometimes"),
            (("spec", "templates", 1, "container", "arguments"), []),
            (("kind",), "Job"),
        ],
    )
    def test_the_check_finds_mistakes(self, manifest, place, value):
        """As otherwise it would say nothing of manifests without any."""
        wrong = deepcopy(manifest)
        *path, last = place
        owner = wrong
        for each in path:
            owner = owner[each]
        owner[last] = value
        assert complaints(wrong)


class TestTasks:
    def test_one_for_each_experiment_in_its_image(self):
        tasks = [Task("a", DAY, IMAGE), Task("b", date(2025, 12, 31), OTHER)]
        (manifest,) = workflows(tasks, Publication(DAY, IMAGE), FULL)
        first, second = cluster.pods(manifest, ANALYSE)
        assert (first.command, first.image) == (["sonde"], IMAGE)
        assert first.args == [
            "run",
            "--project=/etc/sonde",
            "--experiment=a",
            "--date=2026-01-02",
        ]
        assert second.image == OTHER
        assert second.args[-2:] == ["--experiment=b", "--date=2025-12-31"]

    @given(st.text(min_size=1, max_size=40).filter(lambda text: "{{" not in text))
    def test_any_slug_arrives_as_it_is(self, slug):
        """Also one that begins with a dash, or holds quotes."""
        (manifest,) = rendered(slug)
        (pod,) = cluster.pods(manifest, ANALYSE)
        assert pod.args[2] == f"--experiment={slug}"

    def test_publication_in_its_own_image(self, manifest):
        (pod,) = cluster.pods(manifest, PUBLISH)
        assert pod.image == OTHER
        assert pod.args == ["publish", "--project=/etc/sonde", "--date=2026-01-02"]

    def test_publication_alone(self):
        (manifest,) = rendered()
        assert list(cluster.tasks(manifest)) == [PUBLISH]


class TestHowItEnds:
    @pytest.mark.parametrize("state", ["Succeeded", "Failed", "Errored", "Skipped"])
    def test_publication_comes_after_however_analysis_ended(self, manifest, state):
        assert cluster.runs_after(manifest, PUBLISH, {ANALYSE: state})

    def test_not_before(self, manifest):
        assert not cluster.runs_after(manifest, PUBLISH, {ANALYSE: "Running"})

    def test_one_failure_stops_no_other_and_is_not_forgotten(self, manifest):
        """Argo forgets what is not a target, once something that depends on it went well."""
        dag = cluster.template(manifest, "main")["dag"]
        assert dag["failFast"] is False
        assert dag["target"].split() == [ANALYSE, PUBLISH]

    @pytest.mark.parametrize("name", [ANALYSE, PUBLISH])
    @pytest.mark.parametrize(
        ("status", "exit_code", "again"),
        [
            ("Failed", "75", True),  # EX_TEMPFAIL
            ("Failed", "137", True),  # SIGKILL, as by the kernel for want of memory
            ("Error", "-1", True),  # the node or the pod is gone
            ("Failed", "1", False),
            ("Failed", "2", False),
            ("Failed", "3", False),
        ],
    )
    def test_tried_again_where_that_can_help(self, manifest, name, status, exit_code, again):
        assert cluster.tried_again(manifest, name, status, exit_code) is again

    def test_pauses_grow_and_retries_of_long_tasks_are_not_cut_off(self, manifest):
        """maxDuration counts from the first start: five minutes mean none for an hour's work."""
        retry = cluster.template(manifest, ANALYSE)["retryStrategy"]
        assert retry["limit"] == 4
        assert retry["retryPolicy"] == "Always"
        assert retry["backoff"] == {"duration": "1m", "factor": 2}


class TestSettings:
    def test_of_the_workflow(self, manifest):
        spec = manifest["spec"]
        assert manifest["metadata"]["namespace"] == "experiments"
        assert manifest["metadata"]["generateName"] == "sonde-2026-01-02-"
        assert spec["parallelism"] == 7
        assert spec["serviceAccountName"] == "runner"
        assert spec["imagePullSecrets"] == [{"name": "pull"}]
        assert spec["podGC"] == {"strategy": "OnPodSuccess"}
        assert spec["ttlStrategy"] == {"secondsAfterCompletion": 9 * 24 * 3600}
        labels = {
            "app.kubernetes.io/name": "sonde",
            "sonde/date": "2026-01-02",
            "sonde/part": "1-of-1",
        }
        assert manifest["metadata"]["labels"] == spec["podMetadata"]["labels"] == labels

    @pytest.mark.parametrize("name", [ANALYSE, PUBLISH])
    def test_of_a_container(self, manifest, name):
        template = cluster.template(manifest, name)
        container = template["container"]
        wanted = {"cpu": "3", "memory": "6G"}
        assert template["activeDeadlineSeconds"] == 5 * 3600
        assert container["resources"] == {"requests": wanted, "limits": wanted}
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert mounts == {
            "project": "/etc/sonde",
            "volume-0": "/lake",
            "volume-1": "/data/exports",
        }
        assert {each["name"] for each in manifest["spec"]["volumes"]} == set(mounts)

    def test_sonde_takes_what_the_container_has(self, manifest):
        """It would count the cores of the node; the rest is for what starts the workers."""
        container = cluster.template(manifest, ANALYSE)["container"]
        env = {each["name"]: each["value"] for each in container["env"]}
        assert env == {"SONDE_RUN_WORKERS": "3", "SONDE_RUN_MEMORY": "4500MB"}

    def test_credentials_are_named_only(self, manifest):
        container = cluster.template(manifest, ANALYSE)["container"]
        assert container["envFrom"] == [
            {"secretRef": {"name": "lake-key"}},
            {"secretRef": {"name": "api-key"}},
        ]


class TestSize:
    @pytest.mark.parametrize(("count", "parts"), [(500, 1), (501, 2), (1200, 3)])
    def test_large_work_is_several_workflows(self, count, parts):
        slugs = [f"an-experiment-with-a-name-{number}" for number in range(count)]
        made = rendered(*slugs)
        assert len(made) == parts
        assert [m["metadata"]["labels"]["sonde/part"] for m in made] == [
            f"{number}-of-{parts}" for number in range(1, parts + 1)
        ]
        done = [pod.slug for manifest in made for pod in cluster.pods(manifest, ANALYSE)]
        assert done == slugs
        for manifest in made:
            assert len(list(cluster.pods(manifest, ANALYSE))) <= MOST_TASKS
            assert len(json.dumps(manifest)) < 500_000

    def test_long_names_as_well(self):
        """A slug of 5,000 quotes is 20,000 bytes by the time it is JSON in JSON."""
        slugs = [f"{number}" + '"' * 5000 for number in range(60)]
        made = rendered(*slugs)
        assert [pod.slug for m in made for pod in cluster.pods(m, ANALYSE)] == slugs
        assert max(len(json.dumps(manifest)) for manifest in made) < 500_000

    def test_each_part_publishes(self):
        for manifest in rendered(*map(str, range(1200))):
            assert len(list(cluster.pods(manifest, PUBLISH))) == 1
