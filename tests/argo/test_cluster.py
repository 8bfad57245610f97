"""Submission straight to a cluster, by its address and certificate: no Argo server is asked."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from sonde.argo.server import CLUSTER, Server, watch
from sonde.argo.status import Failure
from sonde.errors import BackendError, ConfigError
from tests.argo.argo import NAMESPACE, TOKEN, Kubernetes, handler, node
from tests.argo.test_server import manifest
from tests.argo.tls import Authority, serving

PATH = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows"
NAME = "sonde-2026-01-02-00000"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def cluster(authority):
    """A cluster that is known by its address and its authority; `connect(..)` speaks to it."""
    known = Kubernetes({"phase": "Succeeded"})
    with serving(handler(known), authority.context("127.0.0.1")) as port:

        def connect(token=TOKEN, namespace=NAMESPACE, ca_file=authority.file):
            file = None if ca_file is None else str(ca_file)
            return Server(CLUSTER, f"https://127.0.0.1:{port}", namespace, token, file)

        known.connect = connect
        yield known


class TestSubmission:
    def test_the_workflow_arrives_as_it_was_made(self, cluster):
        made = manifest()
        assert cluster.connect().submit(made) == NAME
        assert cluster.manifests == {NAME: made}
        assert cluster.asked == [("POST", PATH)]

    def test_five_hundred_tasks(self, cluster):
        made = manifest(*(f"experiment-{number}" for number in range(500)))
        assert cluster.manifests[cluster.connect().submit(made)] == made

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"token": "old"}, r"the cluster does not know the token.*\(`kubectl create token`\)$"),
            ({"namespace": "forbidden"}, r'may not create .* in the namespace "forbidden"; give'),
            ({"namespace": "absent"}, r'no namespace "absent", or Argo Workflows is not installed'),
            ({"ca_file": None}, r"certificate of https://.* is not trusted.*SONDE_ARGO_CA_FILE"),
        ],
    )
    def test_what_a_person_can_mend(self, cluster, how, message):
        made = manifest(namespace=how.get("namespace", NAMESPACE))
        with pytest.raises(ConfigError, match=message) as raised:
            cluster.connect(**how).submit(made)
        assert "\n" not in str(raised.value)
        assert TOKEN not in str(raised.value)
        assert cluster.manifests == {}

    def test_a_cluster_without_argo(self, cluster):
        cluster.is_installed = False
        with pytest.raises(ConfigError, match="or Argo Workflows is not installed; correct"):
            cluster.connect().submit(manifest())

    def test_a_certificate_for_another_address(self, authority):
        known = Kubernetes({})
        with serving(handler(known), authority.context("203.0.113.10")) as port:
            address, file = f"https://127.0.0.1:{port}", str(authority.file)
            with pytest.raises(ConfigError, match=r"is for another name.*as `cluster` under"):
                Server(CLUSTER, address, NAMESPACE, TOKEN, file).submit(manifest())
        assert known.asked == []

    @pytest.mark.parametrize(
        ("trouble", "message"),
        [
            ((409, {"message": "workflows.argoproj.io already exists"}), r"in trouble \(409\)"),
            ((429, {"message": "too many requests"}), "try later: too many requests"),
            ((500, {"message": "etcdserver: request is too large"}), "in trouble.*too large"),
            ((200, {"paths": []}), "does not answer as the cluster does; is `cluster` under"),
        ],
    )
    def test_what_may_pass(self, cluster, trouble, message):
        cluster.trouble = [trouble]
        with pytest.raises(BackendError, match=message):
            cluster.connect().submit(manifest())


class TestStatus:
    def test_until_it_is_over(self, cluster):
        cluster.statuses = [
            {},
            {"phase": "Running", "progress": "1/3"},
            {"phase": "Succeeded", "progress": "3/3"},
        ]
        server = cluster.connect()
        name = server.submit(manifest())
        seen = [(s.phase, s.done, s.total) for (s,) in watch(server, [name], lambda _: None)]
        assert seen == [("", 0, 0), ("Running", 1, 3), ("Succeeded", 3, 3)]
        assert cluster.asked[1:] == [("GET", f"{PATH}/{NAME}")] * 3

    def failures(self, cluster, **status):
        server = cluster.connect()
        name = server.submit(manifest())
        cluster.statuses = [{"phase": "Failed", **status}]
        return server.failures(name)

    def nodes(self):
        tried = node("w.analyse(0:a)(0)", "Failed", "a", "3", message="exit code 3")
        retried = node("w.analyse(0:a)", "Failed", "a", type="Retry", children=[tried["id"]])
        return {each["id"]: each for each in (tried, retried)}

    def test_tasks_that_failed(self, cluster):
        found = self.failures(cluster, nodes=self.nodes())
        assert found == [Failure("a", "exit code 3", 3)]

    def test_tasks_of_a_large_workflow_are_packed(self, cluster):
        """As Argo's controller does above a megabyte: JSON, gzip, base64."""
        packed = base64.b64encode(gzip.compress(json.dumps(self.nodes()).encode())).decode()
        found = self.failures(cluster, compressedNodes=packed)
        assert found == [Failure("a", "exit code 3", 3)]

    @pytest.mark.parametrize("packed", ["KLUv/SA=", "not base 64", "H4sIAAAA"])
    def test_packed_in_a_way_that_nobody_knows(self, cluster, packed):
        found = self.failures(cluster, compressedNodes=packed, message="child failed")
        assert found == [Failure(NAME, "child failed")]
