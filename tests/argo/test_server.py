"""Submission and status, over HTTPS, with a server as strict as Argo's."""

from __future__ import annotations

from datetime import date

import pytest

from sonde.argo.server import ARGO_SERVER, Server, watch
from sonde.argo.settings import Argo as Settings
from sonde.argo.status import Failure, raise_worst
from sonde.argo.workflow import Publication, Task, workflows
from sonde.errors import BackendError, ConfigError, DataError
from tests.argo.argo import NAMESPACE, TOKEN, Argo, handler, node
from tests.argo.tls import Authority, serving

DAY = date(2026, 1, 2)
IMAGE = f"registry.example.org/team/sonde@sha256:{'0' * 64}"
PUBLICATION = Publication(DAY, IMAGE)


def manifest(*slugs, namespace=NAMESPACE):
    tasks = [Task(slug, DAY, IMAGE) for slug in slugs or ("a", "b")]
    (made,) = workflows(tasks, PUBLICATION, Settings(namespace=namespace, secrets=("lake",)))
    return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def argo(authority):
    """A server, and how to speak to it: `connect(..)`."""
    known = Argo({"phase": "Succeeded"})
    with serving(handler(known), authority.context("127.0.0.1")) as port:

        def connect(token=TOKEN, namespace=NAMESPACE, ca_file=authority.file):
            file = None if ca_file is None else str(ca_file)
            return Server(ARGO_SERVER, f"https://127.0.0.1:{port}", namespace, token, file)

        known.connect = connect
        yield known


class TestSubmission:
    def test_the_workflow_arrives_as_it_was_made(self, argo):
        made = manifest()
        name = argo.connect().submit(made)
        assert name == "sonde-2026-01-02-00000"
        assert argo.manifests == {name: made}
        assert argo.asked == [("POST", f"/api/v1/workflows/{NAMESPACE}")]

    def test_five_hundred_tasks(self, argo):
        made = manifest(*(f"experiment-{number}" for number in range(500)))
        assert argo.manifests[argo.connect().submit(made)] == made

    def test_a_token_that_says_bearer_itself(self, argo):
        """As `argo auth token` prints it."""
        assert argo.connect(token=f"Bearer {TOKEN}").submit(manifest())

    def test_the_token_counts_and_not_what_netrc_says(self, argo, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password hunter2")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert argo.connect().submit(manifest())


class TestRefusals:
    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"token": "old"}, r"does not know the token in SONDE_ARGO_TOKEN.*argo auth token"),
            ({"namespace": "forbidden"}, r'may not create .* in the namespace "forbidden"; give'),
            ({"namespace": "absent"}, r'no namespace "absent"; correct `namespace`.*not found'),
            ({"ca_file": None}, r"certificate of https://.* is not trusted.*SONDE_ARGO_CA_FILE"),
        ],
    )
    def test_what_a_person_can_mend(self, argo, how, message):
        made = manifest(namespace=how.get("namespace", NAMESPACE))
        with pytest.raises(ConfigError, match=message) as raised:
            argo.connect(**how).submit(made)
        assert "\n" not in str(raised.value)
        assert TOKEN not in str(raised.value)
        assert argo.manifests == {}

    def test_another_authority(self, argo, tmp_path):
        other = Authority(tmp_path, "other")
        with pytest.raises(ConfigError, match=r"not trusted; name the file of its authority"):
            argo.connect(ca_file=other.file).submit(manifest())
        assert argo.asked == []

    @pytest.mark.parametrize("content", [None, "no certificate"])
    def test_no_certificates(self, argo, tmp_path, content):
        path = tmp_path / "ca.pem"
        if content:
            path.write_text(content)
        with pytest.raises(ConfigError, match=r"read from .*ca\.pem; correct `ca_file`"):
            argo.connect(ca_file=path).submit(manifest())

    def test_a_certificate_for_another_name(self, authority):
        known = Argo({})
        with serving(handler(known), authority.context("argo.example.org")) as port:
            address, file = f"https://127.0.0.1:{port}", str(authority.file)
            server = Server(ARGO_SERVER, address, NAMESPACE, TOKEN, file)
            with pytest.raises(ConfigError, match="is for another name; write the name"):
                server.submit(manifest())

    def test_nobody_there(self, authority):
        with serving(handler(Argo({}))) as port:
            pass
        server = Server(ARGO_SERVER, f"https://127.0.0.1:{port}", NAMESPACE, TOKEN)
        with pytest.raises(BackendError, match=r"cannot be reached; is the address under \[argo\]"):
            server.submit(manifest())

    @pytest.mark.parametrize(
        ("trouble", "message"),
        [
            ((500, {"message": "etcdserver: request is too large"}), "in trouble.*too large"),
            ((502, "<html>Bad Gateway</html>"), r"in trouble \(502\); try later: no reason"),
            ((503, {}), "no reason given"),
            ((200, "<html>Log in</html>"), "does not answer as the Argo server does; is `server`"),
            ((200, {"items": []}), "does not answer as the Argo server does"),
        ],
    )
    def test_what_may_pass(self, argo, trouble, message):
        argo.trouble = [trouble]
        with pytest.raises(BackendError, match=message):
            argo.connect().submit(manifest())

    def test_a_workflow_that_argo_does_not_take(self, argo):
        argo.trouble = [(400, {"message": "templates.main: tasks must be unique"})]
        with pytest.raises(ConfigError, match=r"does not take the workflow: templates\.main"):
            argo.connect().submit(manifest())


def states(argo, pauses=None):
    server = argo.connect()
    name = server.submit(manifest())
    pauses = [] if pauses is None else pauses
    return [(s.phase, s.done, s.total) for (s,) in watch(server, [name], pauses.append)]


class TestStatus:
    def test_until_it_is_over(self, argo):
        argo.statuses = [
            {},  # the controller has not looked at it yet
            {"phase": "Pending"},
            {"phase": "Running", "progress": "1/3"},
            {"phase": "Succeeded", "progress": "3/3"},
        ]
        pauses = []
        assert states(argo, pauses) == [
            ("", 0, 0),
            ("Pending", 0, 0),
            ("Running", 1, 3),
            ("Succeeded", 3, 3),
        ]
        assert pauses == [10.0] * 3

    def test_only_what_is_shown_is_asked_for(self, argo):
        states(argo)
        method, path = argo.asked[-1]
        assert method == "GET"
        assert path.startswith(f"/api/v1/workflows/{NAMESPACE}/sonde-2026-01-02-00000?fields=")
        assert "nodes" not in path

    def test_a_server_that_starts_anew_is_waited_for(self, argo):
        server = argo.connect()
        name = server.submit(manifest())
        argo.trouble = [(503, "<html>")] * 5
        assert [s.phase for (s,) in watch(server, [name], lambda _: None)] == ["Succeeded"]
        argo.trouble = [(503, "<html>")] * 6
        with pytest.raises(BackendError):
            list(watch(server, [name], lambda _: None))

    def test_a_workflow_that_somebody_removed(self, argo):
        server = argo.connect()
        with pytest.raises(ConfigError, match="finds no such workflow"):
            list(watch(server, ["gone"], lambda _: None))


class TestFailures:
    def failures(self, argo, status):
        server = argo.connect()
        name = server.submit(manifest())
        argo.statuses = [status]
        return server.failures(name)

    def test_those_that_failed_for_good_with_the_exit_code_of_the_last_try(self, argo):
        tried = [
            node(f"w.analyse(1:b)({n})", "Failed", "b", code, message=f"exit {code}")
            for n, code in [(2, "3"), (0, "75"), (1, "75"), (10, "137")]
        ]
        again = node(
            "w.analyse(1:b)", "Failed", "b", type="Retry", children=[n["id"] for n in tried]
        )
        well = node("w.analyse(0:a)(1)", "Succeeded", "a", "0")
        mended = node("w.analyse(0:a)", "Succeeded", "a", type="Retry", children=[well["id"]])
        first = node("w.analyse(0:a)(0)", "Failed", "a", "75")
        nodes = {each["id"]: each for each in (*tried, again, well, mended, first)}
        found = self.failures(argo, {"phase": "Failed", "nodes": nodes})
        assert found == [Failure("b", "exit 137", 137)]

    def test_a_pod_that_was_lost_and_a_publication(self, argo):
        lost = node("w.analyse(0:a)(0)", "Error", "a", message="pod deleted")
        group = node("w.analyse(0:a)", "Error", "a", type="Retry", children=[lost["id"], "gone"])
        tried = node("w.publish(0)", "Failed", None, "3", message="Error (exit code 3)")
        publish = node("w.publish", "Failed", type="Retry", children=[tried["id"]])
        nodes = {each["id"]: each for each in (lost, group, tried, publish)}
        assert self.failures(argo, {"phase": "Failed", "nodes": nodes}) == [
            Failure("a", "pod deleted", None),
            Failure("publication", "Error (exit code 3)", 3),
        ]

    def test_a_workflow_that_never_came_to_its_tasks(self, argo):
        found = self.failures(argo, {"phase": "Error", "message": "no service account"})
        assert found == [Failure("sonde-2026-01-02-00000", "no service account")]

    def test_none(self, argo):
        assert self.failures(argo, {"phase": "Succeeded"}) == []

    @pytest.mark.parametrize(
        ("codes", "exit_code"),
        [((3, 2, 75), 3), ((2, 75, None), 2), ((75,), 75), ((137, None), 75), ((None,), 75)],
    )
    def test_the_exit_code_says_who_can_act(self, codes, exit_code):
        with pytest.raises((BackendError, ConfigError, DataError), match=r"a: it failed") as raised:
            raise_worst([Failure("a", "it failed", code) for code in codes])
        assert raised.value.exit_code == exit_code

    def test_nothing_failed(self):
        raise_worst([])
