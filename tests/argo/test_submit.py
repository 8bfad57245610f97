"""`sonde submit`, as a user runs it; and the commands of its manifests, run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml
from deltalake import write_deltalake

from sonde.lake import Lake
from sonde.run.runner import LEAST, Resources
from sonde.site import Audience, site_table
from sonde.stored import OWNER
from sonde.table import Table
from tests import browser
from tests.argo import cluster, oci
from tests.argo.argo import NAMESPACE, TOKEN, Argo, Kubernetes, handler, node
from tests.argo.schema import complaints
from tests.argo.tls import Authority, serving
from tests.commands import ended
from tests.kept.hub import OWN, Hub

DATE = ("--date", "2020-04-12")
PINNED = f"registry.example.org/team/sonde@sha256:{'0' * 64}"
OTHER = "other-experiment"


def add_experiment(folder: Path, slug: str, **record: object) -> None:
    """A second experiment, of the same units."""
    path = folder / "experiments.json"
    records = json.loads(path.read_text())
    path.write_text(json.dumps([*records, {**records[0], "slug": slug, **record}]))
    rows = browser.events()
    renamed = pc.replace_substring(rows["event_string_value"], browser.SLUG, slug)
    column = rows.schema.get_field_index("event_string_value")
    more = rows.set_column(column, "event_string_value", renamed)
    write_deltalake(str(folder / "lake/telemetry/events"), more, mode="append")
    own = folder / "metric-hub/jetstream"
    shutil.copy(own / f"{browser.SLUG}.toml", own / f"{slug}.toml")


def set_argo(folder: Path, **keys: object) -> None:
    given = {"image": PINNED, "project": str(folder), **keys}
    with (folder / "sonde.toml").open("a") as file:
        file.write("\n[argo]\n")
        file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in given.items())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two experiments, nothing analysed."""
    folder = browser.write_project(tmp_path / "project")
    add_experiment(folder, OTHER)
    return folder


@pytest.fixture
def sonde(capsys: pytest.CaptureFixture[str]):
    """Runs a command: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return ended(*arguments), *capsys.readouterr()

    return run


def dry_run(sonde, folder, *options):
    code, said, errors = sonde("submit", "--dry-run", "--project", folder, *DATE, *options)
    assert code == 0, errors
    return list(yaml.safe_load_all(said))


class TestDryRun:
    def test_one_task_for_each_experiment(self, sonde, project):
        set_argo(project)
        (manifest,) = dry_run(sonde, project)
        assert complaints(manifest) == []
        pods = list(cluster.pods(manifest, "analyse"))
        assert [pod.slug for pod in pods] == [browser.SLUG, OTHER]
        assert {pod.image for pod in pods} == {PINNED}
        (manifest,) = dry_run(sonde, project, "--experiment", OTHER)
        assert [pod.slug for pod in cluster.pods(manifest, "analyse")] == [OTHER]

    def test_only_where_something_is_to_be_done(self, sonde, project):
        set_argo(project)
        assert sonde("run", "--project", project, *DATE, "--experiment", OTHER)[0] == 0
        (manifest,) = dry_run(sonde, project)
        assert [pod.slug for pod in cluster.pods(manifest, "analyse")] == [browser.SLUG]

    def test_nothing_submitted_when_nothing_is_to_be_done(self, sonde, project, monkeypatch):
        """Nobody listens at the address."""
        set_argo(project, server="https://127.0.0.1:9")
        monkeypatch.setenv("SONDE_ARGO_TOKEN", TOKEN)
        assert sonde("run", "--project", project, *DATE)[0] == 0
        assert sonde("submit", "--project", project, *DATE) == (
            0,
            "nothing to do as of 2020-04-12\n",
            "",
        )
        assert dry_run(sonde, project) == []

    def test_a_fault_is_one_also_then(self, sonde, project, monkeypatch):
        set_argo(project, server="https://127.0.0.1:9")
        monkeypatch.setenv("SONDE_ARGO_TOKEN", TOKEN)
        add_experiment(project, "broken")
        (project / "metric-hub/jetstream/broken.toml").write_text("[metrics]\nweekly = ['absent']")
        assert sonde("run", "--project", project, *DATE, "--workers", 1)[0] == 2
        code, said, errors = sonde("submit", "--project", project, *DATE)
        assert (code, said) == (2, "nothing to do as of 2020-04-12\n")
        assert "error: broken -> " in errors

    def test_pages_alone_are_a_publication(self, sonde, project):
        set_argo(project)
        assert sonde("run", "--project", project, *DATE)[0] == 0
        lake = Lake.open(project / "lake")
        gone = site_table(Audience.PUBLIC).partition("public", f"{OWNER}{OTHER}")
        lake.commit(gone.table, [], [gone])
        (manifest,) = dry_run(sonde, project)
        assert list(cluster.tasks(manifest)) == ["publish"]

    def test_no_secret_of_this_machine(self, sonde, project, monkeypatch):
        set_argo(project, secrets=["lake-key"])
        for name in ("SONDE_ARGO_TOKEN", "AWS_SECRET_ACCESS_KEY", "SONDE_REGISTRY_PASSWORD"):
            monkeypatch.setenv(name, "hunter2")
        _, said, _ = sonde("submit", "--dry-run", "--project", project, *DATE)
        assert "hunter2" not in said
        assert "lake-key" in said

    def test_a_slug_that_argo_would_read_as_a_template(self, sonde, project):
        add_experiment(project, "{{workflow.uid}}")
        set_argo(project)
        code, said, errors = sonde("submit", "--dry-run", "--project", project, *DATE)
        assert code == 0
        assert 'error: {{workflow.uid}} -> left out: Argo would read "{{"' in errors
        (manifest,) = yaml.safe_load_all(said)
        assert [pod.slug for pod in cluster.pods(manifest, "analyse")] == [browser.SLUG, OTHER]


JUNE = {"startDate": "2020-06-01", "enrollmentEndDate": "2020-06-07", "endDate": "2020-08-01"}


@oci.needs_registry
class TestImages:
    @pytest.fixture
    def pushed(self, tmp_path, project):
        """Images of March and May; one experiment began in March, one in June."""
        add_experiment(project, "june", **JUNE)
        with oci.registry(tmp_path) as host:
            push = oci.Pusher(host, "team/sonde")
            march = push.image("v1", "2020-03-15T12:00:00Z")
            may = push.image("v2", "2020-05-15T12:00:00Z")
            set_argo(project, image=f"{host}/team/sonde")
            yield host, march, may

    def images(self, sonde, project, *options):
        named = [f"--experiment={slug}" for slug in (browser.SLUG, OTHER, "june")]
        words = ("submit", "--dry-run", "--project", project, "--date", "2020-06-12", *named)
        code, said, errors = sonde(*words, *options)
        assert code == 0, errors
        (manifest,) = yaml.safe_load_all(said)
        assert complaints(manifest) == []
        pods = [*cluster.pods(manifest, "analyse"), *cluster.pods(manifest, "publish")]
        return {pod.slug: pod.image for pod in pods}

    def test_each_experiment_has_that_of_its_first_day(self, sonde, project, pushed):
        host, march, may = pushed
        name = f"{host}/team/sonde"
        assert self.images(sonde, project) == {
            browser.SLUG: f"{name}@{march}",
            OTHER: f"{name}@{march}",
            "june": f"{name}@{may}",
            None: f"{name}@{may}",  # publication: the newest
        }

    def test_that_of_the_day_on_which_its_own_file_changed(self, sonde, project, pushed):
        host, march, may = pushed
        hub = Hub(project)
        hub.git("init", "--quiet", "--initial-branch", "main")
        hub.commit(date(2020, 3, 1), {})
        hub.commit(date(2020, 5, 20), {OWN: browser.EXPERIMENT + "# changed"})
        chosen = self.images(sonde, project)
        assert chosen[browser.SLUG] == f"{host}/team/sonde@{may}"
        assert chosen[OTHER] == f"{host}/team/sonde@{march}"

    def test_one_for_all(self, sonde, project, pushed):
        host, march, may = pushed
        chosen = self.images(sonde, project, "--image-version", "v2")
        assert set(chosen.values()) == {f"{host}/team/sonde@{may}"}
        chosen = self.images(sonde, project, "--image-version", march)
        assert set(chosen.values()) == {f"{host}/team/sonde@{march}"}

    def test_another_name(self, sonde, project, pushed):
        host, _, _ = pushed
        mine = oci.Pusher(host, "mine").image("try", "2020-06-11T00:00:00Z")
        chosen = self.images(sonde, project, "--image", f"{host}/mine")
        assert set(chosen.values()) == {f"{host}/mine@{mine}"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--image-version", "v9"), 'no image {}/team/sonde with the tag or digest "v9"; push'),
            (("--image", "{}/absent"), "there is no image {}/absent; push it"),
        ],
    )
    def test_one_that_does_not_exist(self, sonde, project, pushed, options, message):
        host, _, _ = pushed
        options = [option.format(host) for option in options]
        words = ("submit", "--dry-run", "--project", project, "--experiment", OTHER, *DATE)
        code, said, errors = sonde(*words, *options)
        assert (code, said) == (2, "")
        assert message.format(host) in errors
        assert len(errors.splitlines()) == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("argo", "options", "message"),
        [
            ({}, (), "no Argo server is set; write its address"),
            ({"server": "https://127.0.0.1:9"}, (), "no token for the Argo server; set SONDE_ARGO"),
            ({"cluster": "https://127.0.0.1:9"}, (), "no token for the cluster; set SONDE_ARGO"),
            (
                {"server": "https://a.example.org", "cluster": "https://127.0.0.1:9"},
                (),
                "are both set under [argo], here or in the environment; leave one of them out",
            ),
            (
                {"cpu": 8, "memory": "4GB"},
                ("--dry-run",),
                '[argo.memory]: "4GB" is too little for 8 workers, one a core',
            ),
            ({"image": ""}, ("--dry-run",), "is empty; leave the key out"),
            ({}, ("--dry-run", "--image-version", "v1"), "names its version already"),
            ({"server": "http://argo.example.org"}, (), "the token would travel in clear text"),
            ({"token": "hunter2"}, ("--dry-run",), "a secret does not belong in a file"),
            ({"volumes": ["lake"]}, ("--dry-run",), 'write "claim:/path/in/the/container"'),
            ({"secrets": ["LAKE_KEY"]}, ("--dry-run",), "is not a name in Kubernetes"),
            ({"project": "project"}, ("--dry-run",), "expected a path in the container"),
        ],
    )
    def test_settings(self, sonde, project, monkeypatch, argo, options, message):
        monkeypatch.delenv("SONDE_ARGO_TOKEN", raising=False)
        set_argo(project, **argo)
        code, said, errors = sonde("submit", "--project", project, *DATE, *options)
        assert (code, said) == (2, "")
        assert message in errors
        assert "hunter2" not in errors
        assert len(errors.splitlines()) == 1

    def test_memory_that_is_just_enough(self, sonde, project):
        """What is advised; a task with it starts its workers."""
        set_argo(project, cpu=8, memory="4266MB")
        code, _, errors = sonde("submit", "--project", project, *DATE, "--dry-run")
        assert code == 2
        assert 'three quarters of it; write "4267MB" or more, or lower `cpu`' in errors
        text = (project / "sonde.toml").read_text()
        (project / "sonde.toml").write_text(text.replace("4266MB", "4267MB"))
        (manifest,) = dry_run(sonde, project)
        (pod, _) = cluster.pods(manifest, "analyse")
        given = Resources(int(pod.env["SONDE_RUN_WORKERS"]), pod.env["SONDE_RUN_MEMORY"])
        assert given.megabytes_of_each == LEAST

    def test_no_image(self, sonde, project):
        code, _, errors = sonde("submit", "--project", project, *DATE, "--dry-run")
        assert code == 2
        assert "no image is set; write one as `image` under [argo]" in errors

    def test_without_the_extra(self, project):
        program = (
            "import sys; sys.modules['hera'] = None; from sonde.cli import main; "
            f"main(['submit', '--dry-run', '--project', {str(project)!r}])"
        )
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "pip install 'sonde[argo]'" in done.stderr

    def test_publish(self, sonde, project):
        for arguments in (("out", *DATE), ("--private",)):
            code, _, errors = sonde("publish", "--project", project, *arguments)
            assert code == 2
            assert "Error: " in errors


class TestSubmission:
    @pytest.fixture
    def argo(self, tmp_path, project, monkeypatch):
        """An Argo server known by its address and certificate, all of it from the environment."""
        authority = Authority(tmp_path)
        known = Argo({"phase": "Succeeded", "progress": "3/3"})
        set_argo(project, namespace=NAMESPACE)
        with serving(handler(known), authority.context("127.0.0.1")) as port:
            monkeypatch.setenv("SONDE_ARGO_SERVER", f"https://127.0.0.1:{port}")
            monkeypatch.setenv("SONDE_ARGO_CA_FILE", str(authority.file))
            monkeypatch.setenv("SONDE_ARGO_TOKEN", TOKEN)
            yield known

    def test_what_is_printed_is_what_is_submitted(self, sonde, project, argo):
        (printed,) = dry_run(sonde, project)
        assert argo.asked == []
        code, said, errors = sonde("submit", "--project", project, *DATE)
        assert (code, errors) == (0, "")
        assert list(argo.manifests.values()) == [printed]
        assert said == (f"submitted sonde-2020-04-12-00000\n{PINNED}: {browser.SLUG}, {OTHER}\n")

    def test_straight_to_the_cluster(self, sonde, project, tmp_path, monkeypatch):
        """By its address, its certificate and a token, all of the environment."""
        authority = Authority(tmp_path)
        known = Kubernetes({"phase": "Running", "progress": "1/3"}, {"phase": "Succeeded"})
        monkeypatch.setattr("time.sleep", lambda _: None)
        set_argo(project, namespace=NAMESPACE)
        (printed,) = dry_run(sonde, project)
        with serving(handler(known), authority.context("127.0.0.1")) as port:
            monkeypatch.setenv("SONDE_ARGO_CLUSTER", f"https://127.0.0.1:{port}")
            monkeypatch.setenv("SONDE_ARGO_CA_FILE", str(authority.file))
            monkeypatch.setenv("SONDE_ARGO_TOKEN", TOKEN)
            code, said, errors = sonde("submit", "--project", project, *DATE, "--wait")
        assert (code, errors.strip()) == (0, "")
        assert list(known.manifests.values()) == [printed]
        assert said.endswith("sonde-2020-04-12-00000: Succeeded\n")

    def test_waiting(self, sonde, project, argo):
        code, said, _ = sonde("submit", "--project", project, *DATE, "--wait")
        assert code == 0
        assert said.endswith("sonde-2020-04-12-00000: Succeeded\n")

    @pytest.mark.parametrize("exit_code", [2, 3, 75])
    def test_waiting_for_what_fails(self, sonde, project, argo, exit_code):
        tried = node("w(0)", "Failed", OTHER, str(exit_code), message=f"exit code {exit_code}")
        retried = node("w", "Failed", OTHER, type="Retry", children=["w(0)"])
        argo.statuses = [{"phase": "Failed", "nodes": {"w(0)": tried, "w": retried}}]
        code, said, errors = sonde("submit", "--project", project, *DATE, "--wait")
        assert code == exit_code
        assert "sonde-2020-04-12-00000: Failed" in said
        assert errors.strip() == f"error: {OTHER}: exit code {exit_code}"

    def test_an_experiment_that_cannot_be_analysed_stops_no_other(self, sonde, project, argo):
        add_experiment(project, "broken")
        (project / "metric-hub/jetstream/broken.toml").write_text("[metrics]\nweekly = ['absent']")
        code, _, errors = sonde("submit", "--project", project, *DATE)
        assert code == 2
        assert "error: broken -> " in errors
        (manifest,) = argo.manifests.values()
        assert [pod.slug for pod in cluster.pods(manifest, "analyse")] == [browser.SLUG, OTHER]

    @pytest.mark.parametrize("key", ["SERVER", "CLUSTER"])
    def test_nobody_there(self, sonde, project, monkeypatch, key):
        set_argo(project)
        monkeypatch.setenv(f"SONDE_ARGO_{key}", "https://127.0.0.1:9")  # discard: nobody listens
        monkeypatch.setenv("SONDE_ARGO_TOKEN", TOKEN)
        code, said, errors = sonde("submit", "--project", project, *DATE)
        assert (code, said) == (75, "")
        assert "127.0.0.1:9 cannot be reached; is the address under [argo] in sonde" in errors
        assert len(errors.splitlines()) == 1

    def test_no_registry_there(self, sonde, project):
        set_argo(project, image="127.0.0.1:9/team/sonde")
        code, said, errors = sonde("submit", "--project", project, *DATE, "--dry-run")
        assert (code, said) == (75, "")
        assert errors == (
            "error: the registry 127.0.0.1:9 cannot be reached; is the name right, and is there a "
            "network?\n"
        )

    def test_a_token_that_has_run_out(self, sonde, project, argo, monkeypatch):
        monkeypatch.setenv("SONDE_ARGO_TOKEN", "old")
        code, said, errors = sonde("submit", "--project", project, *DATE)
        assert (code, said) == (2, "")
        assert errors.startswith("error: the Argo server does not know the token")


TABLES = ("statistics", "errors", "queries", "health", f"enrollments/{browser.SLUG}")
NOT_COMPARED = {"timestamp", "exception"}  # of a run, not of its results


def contents(folder: Path, table: str) -> list[str]:
    """The rows of a table, whatever their order."""
    rows = Lake.open(folder / "lake").read(Table(f"sonde/{table}"))
    kept = rows.drop_columns(sorted(NOT_COMPARED & set(rows.column_names)))
    return sorted(json.dumps(row, default=str) for row in kept.to_pylist())


def published(folder: Path) -> dict[tuple[str, ...], str]:
    """The experiments' pages: a fingerprint of all they show."""
    receipts = Lake.open(folder / "lake").receipts(site_table(Audience.PUBLIC))
    return {key: receipt.fingerprint for key, receipt in receipts.items() if key[1] != "all"}


def start(pod: cluster.Pod) -> subprocess.Popen[bytes]:
    """Do what a container does, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *pod.command, *pod.args],
        env={**os.environ, **pod.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def exit_codes(pods: Iterable[cluster.Pod]) -> list[int]:
    """Do what some containers do, at the same time as a cluster does."""
    return [process.wait(120) for process in [start(pod) for pod in pods]]


class TestTheCommandsRun:
    def test_to_the_tables_of_a_plain_run(self, sonde, project, tmp_path):
        alone = tmp_path / "alone"
        shutil.copytree(project, alone)  # the same files of telemetry: the same fingerprints
        assert sonde("run", "--project", alone, *DATE, "--workers", 1)[0] == 0
        set_argo(project, cpu=1)
        (manifest,) = dry_run(sonde, project)
        assert exit_codes(cluster.pods(manifest, "analyse")) == [0, 0]
        code, said, _ = sonde("publish", "--project", project, *DATE)
        assert (code, said) == (0, "0 experiments published as of 2020-04-12\n")
        assert exit_codes(cluster.pods(manifest, "publish")) == [0]
        for table in (*TABLES, f"enrollments/{OTHER}"):
            assert contents(project, table) == contents(alone, table), table
        assert len(contents(alone, "statistics")) > 100
        assert published(project) == published(alone)
        assert len(published(alone)) == 2
        assert dry_run(sonde, project) == []
        assert sonde("publish", project / "out", "--project", project)[0] == 0
        listed = (project / "out/index.html").read_text()
        assert browser.SLUG in listed
        assert OTHER in listed

    def test_publication_after_a_failure(self, sonde, project):
        """Of a configuration that broke after it was submitted; the other has its pages."""
        set_argo(project, cpu=1)
        (manifest,) = dry_run(sonde, project)
        (project / f"metric-hub/jetstream/{OTHER}.toml").write_text("[metrics]\nweekly = ['none']")
        assert exit_codes(cluster.pods(manifest, "analyse")) == [0, 2]
        assert cluster.runs_after(manifest, "publish", {"analyse": "Failed"})
        assert not cluster.tried_again(manifest, "analyse", "Failed", "2")
        assert exit_codes(cluster.pods(manifest, "publish")) == [0]
        assert [key[1] for key in published(project)] == [f"{OWNER}{browser.SLUG}"]


def test_the_date_is_yesterday(sonde, project):
    """As that of `sonde run`; both experiments are over by then, and never began."""
    set_argo(project)
    code, said, _ = sonde("submit", "--dry-run", "--project", project, "--experiment", OTHER)
    assert code == 0
    (manifest,) = yaml.safe_load_all(said)
    (pod,) = cluster.pods(manifest, "analyse")
    assert date.fromisoformat(pod.args[-1].removeprefix("--date=")) >= date(2026, 1, 1)
