"""Experiments as the platform publishes them, from files and over HTTP."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sonde.config import load_experiments, parse_record, parse_records
from sonde.errors import BackendError, ConfigError
from sonde.experiment import (
    AnalysisUnit,
    Branch,
    EnrollmentsQueryType,
    Experiment,
    ExperimentRecord,
    Status,
)

V8 = {
    "schemaVersion": "1.12.0",
    "slug": "bloom-in-spring",
    "id": "bloom-in-spring",
    "appName": "firefox_desktop",
    "appId": "firefox-desktop",
    "channel": "release",
    "userFacingName": "Bloom in spring",
    "userFacingDescription": "Flowers earlier",
    "isEnrollmentPaused": True,
    "isRollout": False,
    "doRerun": True,
    "doRerunTimestamp": "2026-02-03T04:05:06.789Z",
    "bucketConfig": {
        "randomizationUnit": "group_id",
        "namespace": "bloom-1",
        "start": 100,
        "count": 2500,
        "total": 10000,
    },
    "outcomes": [{"slug": "harvest", "priority": "primary"}, {"slug": "beds"}],
    "segments": [{"slug": "keen"}],
    "featureIds": ["gate"],
    "branches": [
        {"slug": "control", "ratio": 3, "features": [{"featureId": "gate", "value": {}}]},
        {"slug": "early", "ratio": 1},
    ],
    "referenceBranch": "control",
    "startDate": "2026-01-05",
    "enrollmentEndDate": "2026-01-12",
    "endDate": None,
    "proposedDuration": 28,
    "proposedEnrollment": 7,
}


def test_a_record_of_version_8():
    assert parse_record(V8) == ExperimentRecord(
        slug="bloom-in-spring",
        branches=(Branch("control", 3), Branch("early", 1)),
        reference_branch="control",
        start_date=date(2026, 1, 5),
        enrollment_end_date=date(2026, 1, 12),
        proposed_enrollment=7,
        proposed_duration=28,
        outcomes=("harvest", "beds"),
        primary_outcomes=("harvest",),
        segments=("keen",),
        randomization_unit="group_id",
        bucket_namespace="bloom-1",
        bucket_start=100,
        bucket_count=2500,
        is_enrollment_paused=True,
        do_rerun=True,
        do_rerun_timestamp=datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC),
        name="Bloom in spring",
        description="Flowers earlier",
    )


def test_a_record_of_version_6():
    v6 = {key: V8[key] for key in ("slug", "branches", "referenceBranch", "startDate")}
    record = parse_record({**v6, "outcomes": None, "endDate": "2026-03-01T08:00:00Z"})
    assert (record.type, record.is_high_population, record.is_rollout) == ("v6", False, False)
    assert (record.outcomes, record.segments) == ((), ())
    assert (record.app_name, record.app_id) == ("firefox_desktop", "firefox-desktop")
    assert (record.start_date, record.end_date) == (date(2026, 1, 5), date(2026, 3, 1))
    assert record.randomization_unit == "normandy_id"


def test_a_record_of_version_1():
    v1 = {
        "slug": "pref-bloom",
        "normandy_slug": "pref-bloom-bug-1",
        "type": "pref",
        "status": "Complete",
        "start_date": 1585699200000,
        "end_date": 1588291200000,
        "proposed_enrollment": 9,
        "is_high_population": True,
        "variants": [
            {"slug": "on", "ratio": 20, "is_control": False},
            {"slug": "off", "ratio": 80, "is_control": True},
        ],
    }
    assert parse_record(v1) == ExperimentRecord(
        slug="pref-bloom-bug-1",
        branches=(Branch("on", 20), Branch("off", 80)),
        reference_branch="off",
        start_date=date(2020, 4, 1),
        end_date=date(2020, 5, 1),
        proposed_enrollment=9,
        type="pref",
        is_high_population=True,
    )


def test_status():
    now = datetime(2019, 6, 1, 12, tzinfo=UTC)
    for ago, status in ((timedelta(minutes=-1), Status.COMPLETE), (timedelta(days=1), Status.LIVE)):
        record = parse_record(
            {"slug": "a", "startDate": "2019-01-01", "endDate": str((now + ago).date())}
        )
        assert record.status(now) is status


@pytest.mark.parametrize(
    ("app_name", "app_id", "dataset"),
    [
        ("fenix", "org.mozilla.fenix", "org_mozilla_fenix"),
        ("firefox_ios", "org.mozilla.ios.FirefoxBeta", "org_mozilla_ios_firefoxbeta"),
        ("focus_android", "org.mozilla.focus", "org_mozilla_focus"),
        ("klar_ios", "org.mozilla.ios.Klar", "org_mozilla_ios_klar"),
        (None, None, None),
    ],
)
def test_the_application_is_the_records(app_name, app_id, dataset):
    record = parse_record({"slug": "a", "appName": app_name, "appId": app_id})
    assert (record.app_name, record.app_id) == (app_name, app_id)
    experiment = Experiment(record, 7, AnalysisUnit.CLIENT, EnrollmentsQueryType.GLEAN_EVENT, {})
    assert experiment.dataset == dataset


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"slug": None}, "slug", '"slug" is missing'),
        ({"startDate": "5 January"}, "startDate", '"5 January" is not a date; write YYYY-MM-DD'),
        ({"endDate": "2026-13-01T00:00:00Z"}, "endDate", "is not a time; expected"),
        ({"proposedEnrollment": "a week"}, "proposedEnrollment", "expected a whole number"),
        ({"branches": [{"ratio": 1}]}, "branches[0].slug", '"slug" is missing'),
        ({"branches": {}}, "branches", "expected a list of tables"),
        (
            {"branches": [{"slug": "a"}, {"slug": "b", "ratio": -1}]},
            "branches[1].ratio",
            "0 or more",
        ),
        ({"outcomes": [{"name": "x"}]}, "outcomes", "expected a list of objects with a slug"),
        ({"bucketConfig": {"start": "x"}}, "bucketConfig.start", "expected a whole number"),
        ({"isRollout": "false"}, "isRollout", "expected true or false"),
        ({"doRerunTimestamp": 5}, "doRerunTimestamp", "5 is not a time"),
    ],
)
def test_a_bad_field_is_named(change, key, message):
    with pytest.raises(ConfigError) as refusal:
        parse_record({**V8, **change})
    assert refusal.value.place.key == key
    assert message in refusal.value.message


def test_one_bad_record_never_breaks_a_list():
    written = [
        V8,
        {**V8, "slug": "bad", "startDate": "soon"},
        "not a record",
        {"detail": "No NimbusExperiment matches the given query."},
        {**V8, "slug": "good"},
        {"variants": [], "normandy_slug": "old", "start_date": 10**30},
    ]
    records, errors = parse_records(written, "list.json")
    assert [record.slug for record in records] == ["bloom-in-spring", "good"]
    assert list(map(str, errors)) == [
        'list.json [bad.startDate]: "soon" is not a date; write YYYY-MM-DD',
        "list.json [[2]]: expected an experiment: an object with a slug",
        "list.json [[3]]: the platform says: No NimbusExperiment matches the given query.",
        f"list.json [[5].start_date]: {10**30} milliseconds are no date",
    ]


@pytest.mark.parametrize("content", [[V8], V8])
def test_a_file(tmp_path, content):
    file = tmp_path / "experiments.json"
    file.write_text(json.dumps(content))
    assert [record.slug for record in load_experiments(file).records] == ["bloom-in-spring"]
    assert load_experiments(str(file)).errors == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[\n{]", ":2: not valid JSON: "),
        (b"\xff\xfe\xff", ": not UTF-8 text"),
        (None, ": cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_none(tmp_path, content, message):
    file = tmp_path / "experiments.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        load_experiments(file)
    assert str(refusal.value).startswith(f"{file}{message}")


@contextmanager
def answering(*answers: tuple[int, bytes] | None) -> Iterator[tuple[str, list]]:
    """A server that gives one answer after the other; None: it hangs up. The requests it saw."""
    left, seen = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["user-agent"]))
            answer = left.pop(0)
            if answer is None:
                self.connection.close()
                return
            status, body = answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v8/experiments/", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


GOOD = (200, json.dumps([V8]).encode())


@pytest.mark.parametrize(
    ("failures", "pauses"),
    [
        ([], []),
        ([(500, b"sorry")], [1]),
        ([(200, b'[{"slug": "cut')], [1]),
        ([None, (503, b"")], [1, 10]),
    ],
)
def test_an_address_is_asked_up_to_three_times(failures, pauses):
    slept = []
    with answering(*failures, GOOD) as (url, seen):
        records, errors = load_experiments(url, slept.append)
    assert [record.slug for record in records] == ["bloom-in-spring"]
    assert errors == ()
    assert slept == pauses
    assert seen == [("/api/v8/experiments/", "sonde")] * (len(failures) + 1)


def test_after_three_failures_the_operator_is_told():
    slept = []
    with (
        answering((500, b""), (200, b"<html>"), (502, b"")) as (url, seen),
        pytest.raises(BackendError) as failure,
    ):
        load_experiments(url, slept.append)
    assert len(seen) == 3
    assert slept == [1, 10]
    assert str(failure.value).startswith(f"{url}: ")
    assert "(asked 3 times)" in str(failure.value)
    assert failure.value.exit_code == 75


def test_nobody_answers():
    with answering() as (url, _):
        pass
    with pytest.raises(BackendError):
        load_experiments(url, lambda _: None)


def test_an_unknown_experiment_is_an_answer():
    body = json.dumps({"detail": "Not found."}).encode()
    with answering((404, body)) as (url, seen):
        records, errors = load_experiments(url, lambda _: None)
    assert records == ()
    assert [error.message for error in errors] == ["the platform says: Not found."]
    assert len(seen) == 1
