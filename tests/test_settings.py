from __future__ import annotations

import pickle

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.account import Account
from sonde.config.platforms import PLATFORMS, Platform
from sonde.errors import ConfigError, ConfigErrors
from sonde.experiment import EnrollmentsQueryType
from sonde.settings import load_settings
from sonde.window import WindowsFrom

FULL = """\
[experiments]
source = "experiments.json"

[config]
repos = ["metric-hub", "https://github.com/mozilla/metric-hub/tree/main/jetstream"]
url = "https://example.org/hub"

[lake]
url = "s3://bucket/lake"

[tables]
"moz-fx-data-shared-prod.telemetry.*" = "lake/{dataset}/{table}"
telemetry.main = "/exports/main/*.parquet"

[run]
workers = 2
memory = "1GB"
windows = "incremental"

[platforms.my_app]
app_id = "org.example.app"
enrollments_query_type = "cirrus"

[platforms.fenix]
enrollments_query_type = "fenix-fallback"
"""


@pytest.fixture
def project(tmp_path):
    """Writes sonde.toml and reads the settings."""

    def settings(text="", **environment):
        (tmp_path / "sonde.toml").write_text(text)
        return load_settings(tmp_path, environment)

    return settings


@pytest.fixture
def refusal(project, tmp_path):
    """The messages for a file or an environment that is wrong, without the folder."""

    def messages(text="", **environment):
        with pytest.raises(ConfigError) as raised:
            project(text, **environment)
        return str(raised.value).replace(f"{tmp_path}/", "")

    return messages


class TestReading:
    def test_everything(self, project, tmp_path):
        settings = project(FULL)
        assert settings.folder == tmp_path
        assert settings.experiments_source == f"{tmp_path}/experiments.json"
        assert settings.config_repos == (
            f"{tmp_path}/metric-hub",
            "https://github.com/mozilla/metric-hub/tree/main/jetstream",
        )
        assert settings.config_url == "https://example.org/hub"
        assert settings.lake_url == "s3://bucket/lake"
        assert settings.tables == {
            "moz-fx-data-shared-prod.telemetry.*": f"{tmp_path}/lake/{{dataset}}/{{table}}",
            "telemetry.main": "/exports/main/*.parquet",
        }
        assert (settings.workers, settings.memory) == (2, "1GB")
        assert settings.windows is WindowsFrom.UNIT_DAYS
        assert settings.platforms == {
            **PLATFORMS,
            "my_app": Platform("org.example.app", EnrollmentsQueryType.CIRRUS),
            "fenix": Platform("fenix", EnrollmentsQueryType.FENIX_FALLBACK),
        }

    def test_an_empty_file_means_what_init_writes(self, project, tmp_path):
        settings = project()
        assert settings.experiments_source == f"{tmp_path}/experiments.json"
        assert settings.config_repos == (f"{tmp_path}/metric-hub",)
        assert settings.lake_url == f"{tmp_path}/lake"
        assert settings.tables == {}
        assert settings.workers is settings.memory is None
        assert settings.windows is WindowsFrom.ROWS
        assert settings.platforms == dict(PLATFORMS)

    def test_paths_are_relative_to_the_file_not_to_the_process(self, tmp_path, monkeypatch):
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "sonde.toml").write_text('[lake]\nurl = "here/lake"')
        monkeypatch.chdir(tmp_path)
        settings = load_settings((tmp_path / "project").relative_to(tmp_path), {})
        assert settings.lake_url == f"{tmp_path}/project/here/lake"

    @pytest.mark.parametrize(
        "url", ["gs://b/l", "file:///srv/lake", "https://e.org/x.json", "git@github.com:o/r.git"]
    )
    def test_urls_stay_as_they_are(self, project, url):
        assert project(f'[experiments]\nsource = "{url}"').experiments_source == url

    def test_the_home_folder(self, project, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert project('[lake]\nurl = "~/lake"').lake_url == f"{tmp_path}/home/lake"

    def test_the_order_of_tables_is_that_of_the_file(self, project):
        settings = project('[tables]\n"z.z" = "1"\n"a.*" = "2"\n"*.b" = "3"')
        assert list(settings.tables) == ["z.z", "a.*", "*.b"]

    def test_travels_to_another_process(self, project):
        settings = project(FULL)
        assert pickle.loads(pickle.dumps(settings)) == settings


class TestEnvironment:
    def test_goes_before_the_file(self, project, tmp_path):
        settings = project(
            FULL,
            SONDE_EXPERIMENTS_SOURCE="https://e.org/api",
            SONDE_CONFIG_REPOS="one, https://e.org/two",
            SONDE_CONFIG_URL="http://e.org",
            SONDE_LAKE_URL="other",
            SONDE_RUN_WORKERS="8",
            SONDE_RUN_MEMORY="512MiB",
        )
        assert settings.experiments_source == "https://e.org/api"
        assert settings.config_repos == (f"{tmp_path}/one", "https://e.org/two")
        assert settings.config_url == "http://e.org"
        assert settings.lake_url == f"{tmp_path}/other"
        assert (settings.workers, settings.memory) == (8, "512MiB")

    def test_an_empty_variable_says_nothing(self, project):
        assert project(FULL, SONDE_LAKE_URL="").lake_url == "s3://bucket/lake"

    def test_a_secret_may_stand_there(self, project):
        url = "postgres://me:secret@host/lake"
        assert project(SONDE_LAKE_URL=url).lake_url == url

    def test_a_wrong_value_names_the_variable(self, refusal):
        assert refusal(SONDE_RUN_WORKERS="many").startswith("environment [SONDE_RUN_WORKERS]: ")

    def test_a_typing_error(self, refusal):
        assert refusal(SONDE_LAKE_ULR="x") == (
            'environment [SONDE_LAKE_ULR]: unknown variable; did you mean "SONDE_LAKE_URL"?'
        )

    def test_variables_of_others(self, project):
        """Kubernetes sets these for a service that is called sonde."""
        project(SONDE_SERVICE_HOST="10.0.0.1", SONDE_PORT="tcp://10.0.0.1:80", PATH="/bin")


class TestRefusal:
    def test_no_file(self, tmp_path):
        with pytest.raises(ConfigError, match=r"no sonde\.toml in .*`sonde init`.*--project"):
            load_settings(tmp_path, {})

    def test_no_folder(self, tmp_path):
        (tmp_path / "file").touch()
        for missing in (tmp_path / "absent", tmp_path / "file"):
            with pytest.raises(ConfigError, match="--project"):
                load_settings(missing, {})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("\n[lake\n", "sonde.toml:2: not valid TOML"),
            ("[lakes]", 'sonde.toml:1 [lakes]: unknown key "lakes"; did you mean "lake"?'),
            (
                '[lake]\n\nulr = "x"',
                'sonde.toml:3 [lake.ulr]: unknown key "ulr"; did you mean "url"?',
            ),
            (
                '[platforms.fenix]\napp = "x"',
                'sonde.toml:2 [platforms.fenix.app]: unknown key "app"; did you mean "app_id"?',
            ),
            ('lake = "x"', "sonde.toml:1 [lake]: expected a table; write [lake]"),
            ('tables = "x"', "sonde.toml:1 [tables]: expected a table; write [tables]"),
            (
                '[platforms]\nfenix = "x"',
                "sonde.toml:2 [platforms.fenix]: expected a table; write [platforms.fenix]",
            ),
            ("[lake]\nurl = true", "sonde.toml:2 [lake.url]: expected text"),
            ("[lake]\nurl = 3", 'sonde.toml:2 [lake.url]: expected text; write "3"'),
            ("[lake]\nurl = ''", "sonde.toml:2 [lake.url]: is empty"),
            (
                '[config]\nrepos = "hub"',
                'sonde.toml:2 [config.repos]: expected a list; write ["hub"]',
            ),
            ("[config]\nrepos = []", "sonde.toml:2 [config.repos]: expected at least one"),
            ("[config]\nrepos = [1]", "sonde.toml:2 [config.repos]: expected a list of names"),
            ('[config]\nurl = "hub"', "sonde.toml:2 [config.url]: expected an address"),
            ("[run]\nworkers = 0", "sonde.toml:2 [run.workers]: expected 1 or more, not 0"),
            ("[run]\nworkers = true", "sonde.toml:2 [run.workers]: expected a whole number"),
            (
                "[run]\nworkers = 2.0",
                "sonde.toml:2 [run.workers]: expected a whole number; write 2",
            ),
            ("[run]\nmemory = 4", "sonde.toml:2 [run.memory]: expected an amount of memory"),
            ('[run]\nmemory = "4G"', "sonde.toml:2 [run.memory]: expected an amount of memory"),
            ("[run]\nrunner = ''", "sonde.toml:2 [run.runner]: is empty"),
            (
                '[run]\nscheduler = "host:8786"',
                'sonde.toml:2 [run.scheduler]: expected an address such as "tcp://scheduler:8786"',
            ),
            ('[run]\nmemory = "0GB"', "sonde.toml:2 [run.memory]: expected an amount of memory"),
            ('[tables]\n"a b" = "x"', 'sonde.toml:2 [tables.a b]: "a b" is not a table'),
            ('[tables]\n"a.b" = 1', "sonde.toml:2 [tables.a.b]: expected text"),
            (
                '[platforms.x]\nenrollments_query_type = "glean"',
                "sonde.toml:2 [platforms.x.enrollments_query_type]: unknown word",
            ),
        ],
    )
    def test_says_where_and_what_to_write(self, refusal, text, message):
        assert refusal(text).startswith(message)

    def test_everything_at_once_in_the_order_of_the_file(self, project):
        with pytest.raises(ConfigErrors) as raised:
            project('[run]\nworkers = 0\nspeed = 1\n[lake]\nurl = ""', SONDE_RUN_MEMORY="much")
        places = [error.place for error in raised.value.errors]
        assert [(place.key, place.line) for place in places] == [
            ("run.workers", 2),
            ("run.speed", 3),
            ("lake.url", 5),
            ("SONDE_RUN_MEMORY", None),
        ]

    @pytest.mark.parametrize(
        "text",
        [
            'token = "hunter2"',
            '[lake]\npassword = "hunter2"',
            '[lake]\naws_secret_access_key = "hunter2"',
            '[experiments]\napi_key = "hunter2"',
            '[platforms.fenix]\ncredentials = "hunter2"',
            '[lake]\nurl = "postgres://me:hunter2@host/lake"',
            '[experiments]\nsource = "https://e.org/x.json?access_token=hunter2"',
            '[config]\nrepos = ["hub", "https://me:hunter2@e.org/hub"]',
            '[config]\nrepos = ["https://ghp_hunter2hunter2hunter2@e.org/hub"]',
            '[tables]\n"a.b" = "https://e.org/x.parquet?X-Amz-Signature=hunter2"',
        ],
    )
    def test_secrets_belong_in_the_environment_and_are_not_repeated(self, refusal, text):
        message = refusal(text)
        assert "set it in the environment" in message
        assert message.count("set it in") == 1
        assert "hunter2" not in message

    def test_a_table_may_be_called_like_a_secret(self, project):
        assert list(project('[tables]\n"auth.tokens" = "x"').tables) == ["auth.tokens"]

    @hypothesis.settings(deadline=None)  # writes files
    @given(
        st.dictionaries(
            st.sampled_from(["experiments", "config", "lake", "run", "tables", "platforms", "x"]),
            st.dictionaries(
                st.sampled_from(["source", "repos", "url", "workers", "memory", "a.b", "fenix"]),
                st.sampled_from(
                    ['"x"', "1", "true", "[]", '["x"]', "{}", "{ a = 1 }", "2020-01-01"]
                ),
            ),
        )
    )
    def test_any_file_is_read_or_refused_with_a_line(self, tmp_path_factory, tables):
        folder = tmp_path_factory.mktemp("project")
        lines = []
        for section, keys in tables.items():
            lines += [f"[{section}]", *(f'"{key}" = {value}' for key, value in keys.items())]
        (folder / "sonde.toml").write_text("\n".join(lines))
        try:
            settings = load_settings(folder, {})
        except ConfigError as error:
            errors = error.errors if isinstance(error, ConfigErrors) else (error,)
            settings = None
        if settings is None:
            assert all(error.place.line for error in errors)
        else:
            assert "x" not in tables
            assert settings.folder == folder


def test_bigquery(project):
    text = '[warehouse]\nkind = "bigquery"\nproject = "p"\ndataset = "d"\nmax_cost = 20'
    account = project(text, SONDE_WAREHOUSE_PRICE_PER_TIB="5").bigquery
    assert account == Account("p", "d", price_per_tib=5.0, max_cost=20)
    assert account.max_bytes == 4 * 2**40
    assert project().bigquery is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "bigquery"\ndataset = "d"', 'BigQuery needs it: write project = "my-project"'),
        ('kind = "bigquery"\nproject = "p"', 'BigQuery needs it: write dataset = "experiments"'),
        ('kind = "bigqery"', 'did you mean "bigquery"?'),
        ("max_cost = 5", 'means something with kind = "bigquery" only'),
        ("max_cost = -5", "expected an amount of money, 0 or more, not -5"),
        ('dataset = "p.d"', '"p.d" is no dataset: letters, digits and _ only'),
    ],
)
def test_a_warehouse_that_is_wrong(refusal, text, said):
    assert said in refusal(f"[warehouse]\n{text}")
