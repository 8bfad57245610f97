"""The tables tell of the same activity, under Mozilla's names, with what real ones suffer from."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from deltalake import DeltaTable

from sonde.datasets import FIRST_DAY, LAST_DAY, generate
from sonde.datasets.tables import CLIENTS_DAILY, TABLES
from sonde.datasets.trials import DAYS, trials

CD = '"telemetry.clients_daily"'
EVENTS = '"telemetry.events"'
USERS = '"telemetry.desktop_active_users"'
SEARCHES = '"search.search_clients_engines_sources_daily"'
ONCE = f"(SELECT DISTINCT * FROM {CD})"


def paths(folder):
    return {path.relative_to(folder): path for path in folder.rglob("*.parquet")}


def test_the_same_seed_and_scale_make_the_same_files(demo, tmp_path):
    fractions: list[float] = []
    again = generate(tmp_path, scale=demo.truth.scale, progress=fractions.append)
    assert again == demo.truth
    first, second = paths(demo.folder / "lake"), paths(tmp_path)
    assert first.keys() == second.keys()
    assert len(first) == DAYS * len(TABLES)
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (1 / DAYS, 1.0)


def test_another_seed_makes_other_rows(demo, tmp_path):
    other = generate(tmp_path, seed=99, scale=0.002)
    assert other.effects != demo.truth.effects
    name = f"{CLIENTS_DAILY.path}/submission_date={FIRST_DAY}/part-00000.parquet"
    ours, theirs = demo.folder / "lake" / name, tmp_path / name
    common = demo.value(f"SELECT count(*) FROM '{ours}' JOIN '{theirs}' USING (client_id)")
    assert common == 0


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.path)
def test_each_table_is_a_delta_table_with_a_partition_for_each_day(demo, table):
    delta = DeltaTable(demo.folder / "lake" / table.path)
    assert delta.metadata().partition_columns == ["submission_date"]
    days = {date.fromisoformat(each["submission_date"]) for each in delta.partitions()}
    assert days == {FIRST_DAY + timedelta(days=n) for n in range(DAYS)}
    assert max(days) == LAST_DAY
    name = table.path.replace("/", ".")
    assert demo.value(f'SELECT count(*) FROM "{name}"') == demo.truth.rows[table.path]
    of_sql = {name: kind for name, kind, *_ in demo.rows(f'DESCRIBE "{name}"')}
    assert list(of_sql) == [field.name for field in delta.schema().fields]


def test_columns_have_the_types_of_mozilla_s(demo):
    kinds = {name: kind for name, kind, *_ in demo.rows(f"DESCRIBE {CD}")}
    assert kinds["active_hours_sum"] == "DOUBLE"
    assert kinds["sample_id"] == "BIGINT"
    assert kinds["is_default_browser"] == "BOOLEAN"
    assert kinds["submission_date"] == "DATE"
    assert kinds["experiments"] == 'STRUCT("key" VARCHAR, "value" VARCHAR)[]'
    assert "INTEGER" not in kinds.values()
    kinds = {name: kind for name, kind, *_ in demo.rows(f"DESCRIBE {EVENTS}")}
    native = 'STRUCT("key" VARCHAR, "value" STRUCT(branch VARCHAR, "type" VARCHAR))[]'
    assert kinds["experiments"] == native


def test_three_rows_in_a_thousand_come_twice(demo):
    rows, distinct = (
        demo.value(f"SELECT count(*) FROM {CD}"),
        demo.value(f"SELECT count(*) FROM {ONCE}"),
    )
    assert (rows - distinct) / distinct == pytest.approx(0.003, abs=0.0006)


def test_two_rows_in_a_hundred_are_late_by_one_to_three_days(demo):
    by_days = dict(
        demo.rows(f"SELECT client_submission_latency_mean / 86400, count(*) FROM {ONCE} GROUP BY 1")
    )
    total = sum(by_days.values())
    assert set(by_days) == {0, 1, 2, 3}
    assert 1 - by_days[0] / total == pytest.approx(0.02, abs=0.002)


def test_a_client_is_on_one_row_per_day_of_activity(demo):
    """The activity day is the submission date, less the delay."""
    most = demo.value(f"""
        SELECT max(n) FROM (
            SELECT count(*) AS n FROM {ONCE}
            GROUP BY client_id, submission_date - (client_submission_latency_mean / 86400)::INTEGER
        )""")
    assert most == 1
    wrong = demo.value(f"""
        SELECT count(*) FROM {ONCE} WHERE profile_age_in_days != submission_date
            - (client_submission_latency_mean / 86400)::INTEGER - first_seen_date""")
    assert wrong == 0


def test_properties_of_a_client_do_not_change(demo):
    stable = ("sample_id", "profile_group_id", "os", "country", "channel", "first_seen_date")
    for column in stable:
        assert (
            demo.value(f"""
            SELECT max(n) FROM (
                SELECT count(DISTINCT {column}) AS n FROM {CD} GROUP BY client_id)""")
            == 1
        )
    assert demo.rows(f"SELECT min(sample_id), max(sample_id) FROM {CD}") == [(0, 99)]
    shared = demo.value(f"""
        SELECT 1 - count(DISTINCT profile_group_id) / count(DISTINCT client_id) FROM {CD}""")
    assert shared == pytest.approx(0.03, abs=0.01)


def test_versions_only_rise(demo):
    assert (
        demo.value(f"""
        SELECT count(*) FROM (
            SELECT app_build_id < lag(app_build_id) OVER (
                PARTITION BY client_id ORDER BY first_seen_date + profile_age_in_days::INTEGER
            ) AS fell FROM {ONCE})
        WHERE fell""")
        == 0
    )
    assert demo.value(f"SELECT count(DISTINCT app_build_id) FROM {CD}") == 4


def test_search_tables_count_the_same_searches(demo):
    """Late rows of a client and the day's own may share a submission date."""
    different = demo.value(f"""
        SELECT count(*) FROM (
            SELECT client_id, submission_date, sum(search_count_all) AS daily
            FROM {ONCE} GROUP BY ALL
        ) FULL JOIN (
            SELECT client_id, submission_date, sum(sap) AS by_engine FROM {SEARCHES} GROUP BY ALL
        ) USING (client_id, submission_date)
        WHERE coalesce(daily, 0) != coalesce(by_engine, 0)""")
    assert different == 0


def test_counts_of_searches_are_within_each_other(demo):
    assert (
        demo.value(f"""
        SELECT count(*) FROM {SEARCHES}
        WHERE tagged_sap > sap OR least(sap, organic, ad_click, tagged_follow_on) < 0""")
        == 0
    )
    zeros, searches = demo.rows(f"""
        SELECT avg((search_count_all = 0)::INTEGER), avg(search_count_all) FROM {CD}""")[0]
    assert 0.3 < zeros < 0.6
    assert 1.5 < searches < 3.5


def test_use_has_zeros_and_a_heavy_tail(demo):
    zeros, mean, high, highest = demo.rows(f"""
        SELECT avg((active_hours_sum = 0)::INTEGER), avg(active_hours_sum),
            quantile_cont(active_hours_sum, 0.99), max(active_hours_sum) FROM {CD}""")[0]
    assert zeros == pytest.approx(0.05, abs=0.005)
    assert high > 4 * mean
    assert highest <= 20 * 1.0
    ticks = demo.value(
        f"SELECT count(*) FROM {CD} WHERE active_hours_sum * 720 % 1 > 1e-6"
        " AND active_hours_sum * 720 % 1 < 1 - 1e-6"
    )
    assert ticks == 0


def test_bits_of_active_users_are_those_of_the_daily_rows(demo):
    """As far as there are rows: bits of the days before the first partition are left out."""
    different = demo.value(f"""
        WITH days AS (
            SELECT client_id, submission_date, max(active_hours_sum > 0
                AND scalar_parent_browser_engagement_total_uri_count_sum > 0) AS active
            FROM {CD} GROUP BY ALL
        ), bits AS (
            SELECT client_id, u.submission_date, bit_or(1::BIGINT << back) AS seen,
                bit_or(if(active, 1::BIGINT << back, 0)) AS active
            FROM {USERS} AS u JOIN days AS d USING (client_id),
                LATERAL (SELECT u.submission_date - d.submission_date AS back)
            WHERE back BETWEEN 0 AND 27
            GROUP BY ALL
        ), users AS (
            SELECT *, (1::BIGINT << (1 + submission_date - DATE '{FIRST_DAY}')) - 1 AS known
            FROM {USERS}
        )
        SELECT count(*) FROM users FULL JOIN bits USING (client_id, submission_date)
        WHERE days_seen_bits & known IS DISTINCT FROM coalesce(seen, 0)
            OR days_active_bits & known IS DISTINCT FROM coalesce(active, 0)""")
    assert different == 0


def test_flags_of_active_users_are_those_of_their_bits(demo):
    assert (
        demo.value(f"""
        SELECT count(*) FROM {USERS} WHERE is_dau != (days_active_bits & 1 = 1)
            OR is_wau != (days_active_bits & 127 > 0) OR is_mau != (days_active_bits > 0)
            OR days_seen_bits NOT BETWEEN 1 AND (1 << 28) - 1
            OR days_active_bits & ~days_seen_bits != 0
            OR is_regular_user_v3 != (bit_count(days_active_bits & ~1) >= 14)
            OR is_new_or_resurrected_v3 != (days_active_bits & ~1 = 0)
            OR is_regular_user_v3 != (is_weekday_regular_v1 OR is_allweek_regular_v1)""")
        == 0
    )


def test_users_of_28_days_are_all_there_and_once(demo):
    rows, keys = demo.rows(f"""
        SELECT count(*), count(DISTINCT (client_id, submission_date)) FROM {USERS}""")[0]
    assert rows == keys
    seen = demo.value(f"""
        SELECT count(DISTINCT client_id) FROM {CD}
        WHERE submission_date BETWEEN DATE '{LAST_DAY}' - 27 AND DATE '{LAST_DAY}'""")
    assert demo.value(f"SELECT count(*) FROM {USERS} WHERE submission_date = '{LAST_DAY}'") == seen


def test_what_is_known_of_the_days_before_is_of_clients_who_were_there(demo):
    new, old = demo.rows(f"""
        SELECT count(*) FILTER (first_seen_date > submission_date AND client_id NOT IN (
                SELECT client_id FROM {CD} WHERE submission_date = '{FIRST_DAY}')),
            count(*) FILTER (first_seen_date < submission_date)
        FROM {USERS} WHERE submission_date = '{FIRST_DAY}'""")[0]
    assert new == 0
    assert old > 0.9 * 0.85 * demo.truth.clients


def test_clients_last_seen_is_the_same_table(demo):
    one, other = (
        demo.rows(f'SELECT count(*), bit_xor(hash(t)) FROM "telemetry.{name}" AS t')
        for name in ("desktop_active_users", "clients_last_seen")
    )
    assert one == other


@pytest.mark.parametrize("trial", trials(), ids=lambda trial: trial.slug)
def test_rows_name_the_experiment_from_enrollment_until_the_unit_leaves(demo, trial):
    """Events, not the generator's own knowledge, say when units come and go."""
    lost = trial.lesson.loss
    wrong = demo.rows(f"""
        WITH unit AS (
            SELECT client_id, min(submission_date) FILTER (event_method = 'enroll') AS enrolled,
                coalesce(min(submission_date) FILTER (event_method = 'unenroll'),
                    DATE '{FIRST_DAY}' + {trial.stop}) AS gone,
                any_value(list_filter(event_map_values, lambda e: e.key = 'branch')[1].value)
                    FILTER (event_method = 'enroll') AS branch,
            FROM {EVENTS} WHERE event_string_value = '{trial.slug}' GROUP BY client_id
        ), named AS (
            SELECT client_id, submission_date - (client_submission_latency_mean / 86400)::INTEGER
                    AS day,
                list_filter(experiments, lambda e: e.key = '{trial.slug}')[1].value AS branch
            FROM {CD}
        )
        SELECT count(*) FILTER (
                WHERE (named.branch IS NOT NULL) != (day >= enrolled AND day < gone)),
            count(*) FILTER (WHERE named.branch != unit.branch),
            count(*) FILTER (WHERE named.branch IS NOT NULL)
        FROM named JOIN unit USING (client_id)""")
    ((misnamed, contradictory, rows),) = wrong
    assert (misnamed, contradictory) == (0, 0)
    assert rows > 100
    unknown = demo.value(f"""
        SELECT count(DISTINCT client_id) FROM {CD}
        WHERE len(list_filter(experiments, lambda e: e.key = '{trial.slug}')) > 0
            AND client_id NOT IN (SELECT client_id FROM {EVENTS}
                WHERE event_string_value = '{trial.slug}' AND event_method = 'enroll')""")
    assert (unknown > 0) == (lost is not None)


@pytest.mark.parametrize("trial", trials(), ids=lambda trial: trial.slug)
def test_events_come_in_order_and_of_one_branch(demo, trial):
    methods = dict(
        demo.rows(f"""
        SELECT event_method, count(DISTINCT client_id) FROM {EVENTS}
        WHERE event_string_value = '{trial.slug}' GROUP BY 1""")
    )
    assert methods["enroll"] > methods["expose"] > 0.8 * methods["enroll"] > methods["unenroll"] > 0
    branches, early = demo.rows(f"""
        SELECT max(branches), count(*) FILTER (exposed < enrolled OR gone <= enrolled) FROM (
            SELECT count(DISTINCT list_filter(event_map_values,
                    lambda e: e.key IN ('branch', 'branchSlug'))[1].value) AS branches,
                min(submission_date) FILTER (event_method = 'enroll') AS enrolled,
                min(submission_date) FILTER (event_method = 'expose') AS exposed,
                min(submission_date) FILTER (event_method = 'unenroll') AS gone
            FROM {EVENTS} WHERE event_string_value = '{trial.slug}' GROUP BY client_id)""")[0]
    assert (branches, early) == (1, 0)


def test_an_enrolled_client_has_a_daily_row_on_that_date(demo):
    assert (
        demo.value(f"""
        SELECT count(*) FROM {EVENTS} AS e WHERE event_method = 'enroll' AND NOT EXISTS (
            FROM {CD} AS c
            WHERE c.client_id = e.client_id AND c.submission_date = e.submission_date)""")
        == 0
    )
