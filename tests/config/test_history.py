"""Configuration as it was: commits are chosen by time, and read without a checkout."""

import resource
import warnings
from datetime import datetime

import pytest

from sonde.config import Change, Configuration, Revision
from sonde.errors import BackendError, ConfigError

from .history import at, git, make_history
from .public import ConfigCollection, dummy_record

RECORD = dummy_record("bloom", "firefox_desktop")
OWN = "jetstream/bloom.toml"
OTHER = "jetstream/other.toml"
OUTCOME = "jetstream/outcomes/firefox_desktop/networking.toml"


def days(number):
    return f"[experiment]\nenrollment_period = {number}\n"


def period(configuration):
    return configuration.resolve(RECORD).experiment.enrollment_period


@pytest.fixture
def garden(tmp_path):
    """Five commits an hour apart; in those of hours 2 and 3 another file is broken."""
    commits = [
        (0, {OWN: days(0)}),
        (1, {OWN: days(1), OTHER: ""}),
        (2, {OWN: days(2), OTHER: "broken ="}),
        (3, {OWN: days(3), OTHER: "[metrics]\nweekly = 1"}),
        (4, {OWN: days(4), OTHER: "[metrics]"}),
    ]
    return tmp_path / "garden", make_history(tmp_path / "garden", commits)


@pytest.mark.parametrize(
    ("hour", "chosen"),
    [(-5, 0), (0, 0), (0.5, 0), (1, 1), (1.9, 1), (2, 4), (3.5, 4), (4, 4), (99, 4)],
)
def test_the_last_commit_until_then_or_the_next_that_loads(garden, hour, chosen):
    folder, commits = garden
    then = Configuration.load([folder]).as_of(at(hour))
    assert then.commits == (commits[chosen],)
    assert period(then) == chosen


@pytest.mark.parametrize("hour", [-5, 0, 0.5, 1, 1.9, 2, 3.5, 4, 99])
def test_the_public_parser_chooses_the_same_commits(garden, hour):
    folder, _ = garden
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # git processes it leaves open
        public = ConfigCollection.from_github_repo(str(folder), path="jetstream").as_of(at(hour))
    assert Configuration.load([folder]).as_of(at(hour)).commits == (public.repos[0].commit_hash,)


def test_where_no_commit_loads_the_first_chosen_one_counts(tmp_path):
    commits = make_history(tmp_path, [(h, {OWN: days(h), OTHER: "broken ="}) for h in range(3)])
    then = Configuration.load([tmp_path]).as_of(at(1))
    assert then.commits == (commits[1],)
    assert period(then) == 1


def test_the_work_tree_is_not_touched(garden):
    folder, commits = garden
    (folder / OWN).write_text(days(9))
    (folder / "notes.txt").write_text("mine")
    configuration = Configuration.load([folder])
    assert period(configuration.as_of(at(0))) == 0
    assert period(configuration) == period(Configuration.load([folder])) == 9
    assert git(folder, "status", "--porcelain").split() == ["M", OWN, "??", "notes.txt"]
    assert git(folder, "rev-parse", "HEAD").strip() == commits[-1]


def test_the_commit_is_in_every_origin(garden):
    folder, commits = garden
    then = Configuration.load([folder]).as_of(at(1))
    origin = then.resolve(RECORD).origins["enrollment_period"]
    assert origin.commit == commits[1]
    assert str(origin) == f"{folder}/{OWN}:2 @ {commits[1][:10]}"
    assert origin.published == f"{folder.name}/{OWN}:2 @ {commits[1][:10]}"


def test_a_folder_without_history_is_used_as_it_is(write):
    folder = write({OWN: days(3)})
    then = Configuration.load([folder]).as_of(at(0))
    assert then.commits == (None,)
    assert period(then) == 3
    assert then.change("bloom") is None


def test_the_outcome_of_a_past_day(tmp_path):
    early = 'friendly_name = "N"\ndescription = "N"\n[metrics.dns_lookup_time]\n'
    late = early + "[metrics.time_to_response_start_ms]\n"
    metric = 'data_source = "d"\nselect_expression = "1"\nstatistics = { sum = {} }\n'
    source = '[data_sources.d]\nfrom_expression = "a.b"\n'
    commits = make_history(
        tmp_path,
        [
            (0, {OUTCOME: early + metric + source}),
            (1, {OWN: days(1)}),
            (2, {OUTCOME: late.replace("]\n[", f"]\n{metric}[") + metric + source}),
        ],
    )
    record = dummy_record("bloom", "firefox_desktop", ("networking",))
    configuration = Configuration.load([tmp_path])
    (then,) = configuration.as_of(at(1)).resolve(record).experiment.outcomes
    (now,) = configuration.resolve(record).experiment.outcomes
    assert (then.metrics, then.commit_hash) == (("dns_lookup_time",), commits[0])
    assert now.metrics == ("dns_lookup_time", "time_to_response_start_ms")
    assert now.commit_hash == commits[2]


def test_what_each_repository_was_read_at(garden, write):
    folder, commits = garden
    plain = write({"plain/x.toml": ""}) / "plain"
    then = Configuration.load([folder, plain]).as_of(at(1.5))
    assert then.revisions == (
        Revision(str(folder), commits[1], at(1)),
        Revision(str(plain), None, None),
    )
    assert [each.name for each in then.revisions] == [folder.name, "plain"]


def test_when_an_experiments_file_last_changed(garden):
    folder, commits = garden
    configuration = Configuration.load([folder])
    assert configuration.change("bloom") == Change(commits[4], at(4))
    assert configuration.as_of(at(1)).change("bloom") == Change(commits[1], at(1))
    assert configuration.change("unknown") is None
    (folder / "jetstream" / "new.toml").write_text("")
    assert Configuration.load([folder]).change("new") is None


@pytest.mark.parametrize("form", ["bare", "url", "tree", "inner", "inner tree"])
def test_every_way_to_name_a_repository(garden, tmp_path, form):
    folder, commits = garden
    make_history(folder, [(5, {OWN: days(50)})], branch="side")
    git(folder, "checkout", "--quiet", "main")
    source, now = {
        "bare": (tmp_path / "bare.git", 4),
        "url": (f"file://{folder}", 4),
        "tree": (f"file://{folder}/tree/side", 50),
        "inner": (folder / "jetstream", 4),
        "inner tree": (f"file://{folder}/tree/main/jetstream", 4),
    }[form]
    git(tmp_path, "clone", "--quiet", "--bare", str(folder), str(tmp_path / "bare.git"))
    configuration = Configuration.load([source])
    assert period(configuration) == now
    own = "bloom.toml" if form.startswith("inner") else OWN
    assert own in {file.path for file in configuration.files.all}
    if form != "tree":
        then = configuration.as_of(at(1))
        assert (then.commits, period(then)) == ((commits[1],), 1)
        assert then.change("bloom") == Change(commits[1], at(1))


def test_several_repositories_go_back_together(garden, tmp_path):
    folder, commits = garden
    text = "[experiment]\nsample_size = 3"
    others = make_history(tmp_path / "private", [(3, {"bloom.toml": text})])
    configuration = Configuration.load([folder, tmp_path / "private"]).as_of(at(1))
    assert configuration.commits == (commits[1], others[0])
    experiment = configuration.resolve(RECORD).experiment
    assert (experiment.enrollment_period, experiment.sample_size) == (1, 3)


def test_a_copy_of_a_repository_goes_with_the_configuration(garden):
    folder, _ = garden
    configuration = Configuration.load([f"file://{folder}"])
    (repository,) = configuration.repositories
    copy = repository.git.folder
    assert copy.is_dir()
    del configuration, repository
    assert not copy.exists()


def test_a_hooks_environment_does_not_lead_elsewhere(garden, tmp_path, monkeypatch):
    folder, commits = garden
    make_history(tmp_path / "elsewhere", [(0, {"a": ""})])
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere" / ".git"))
    assert Configuration.load([folder]).commits == (commits[-1],)


def test_a_moment_needs_a_time_zone(garden):
    with pytest.raises(ValueError, match="needs a time zone"):
        Configuration.load([garden[0]]).as_of(datetime(2023, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("empty", [True, False])
def test_a_repository_without_commits(tmp_path, empty):
    git(tmp_path, "init", "--quiet", *(["--bare"] if empty else []))
    if empty:
        with pytest.raises(BackendError):
            Configuration.load([tmp_path])
    else:
        (tmp_path / "bloom.toml").write_text(days(2))
        assert period(Configuration.load([tmp_path]).as_of(at(0))) == 2


@pytest.mark.parametrize("source", ["no/such/folder", "--upload-pack=touch x"])
def test_a_source_that_is_nothing(source):
    with pytest.raises(ConfigError, match="not the URL of a git repository"):
        Configuration.load([source])


def test_a_repository_that_cannot_be_reached(tmp_path):
    with pytest.raises(BackendError, match="git clone"):
        Configuration.load([f"file://{tmp_path}/none"])


def test_git_that_is_not_there(garden, write, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackendError, match="git is needed"):
        Configuration.load([garden[0]])


def test_a_plain_folder_needs_no_git(write, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert period(Configuration.load([write({OWN: days(3)})])) == 3


def cpu_seconds():
    """Of this process and of the git processes it has waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def test_a_long_history_costs_little(tmp_path):
    others = {f"jetstream/x{n}.toml": METRICS.replace("m0", f"x{n}") for n in range(300)}
    commits = [(0, others), *((hour, {OWN: days(hour)}) for hour in range(1, 1200))]
    hashes = make_history(tmp_path, commits)
    configuration = Configuration.load([tmp_path])
    before = cpu_seconds()
    then = configuration.as_of(at(600))
    spent = cpu_seconds() - before
    assert then.commits == (hashes[600],)
    assert len(then.slugs) == 301
    assert period(then) == 600
    assert spent < 1


def test_a_file_that_was_broken_for_long_costs_little(tmp_path):
    others = {f"jetstream/x{n}.toml": METRICS.replace("m0", f"x{n}") for n in range(100)}
    commits = [(0, {**others, OTHER: "broken ="}), *((h, {OWN: days(h)}) for h in range(1, 50))]
    hashes = make_history(tmp_path, [*commits, (50, {OTHER: ""})])
    before = cpu_seconds()
    assert Configuration.load([tmp_path]).as_of(at(0)).commits == (hashes[50],)
    assert cpu_seconds() - before < 2


METRICS = "[metrics]\nweekly = ['m0']\n" + "".join(
    f"[metrics.m{n}]\ndata_source = 'd'\nselect_expression = 'SUM(x)'\n"
    f"[metrics.m{n}.statistics.sum]\n"
    for n in range(5)
)
