"""Destinations and selections of tables in the settings."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from clm_dagster.domains.warehouses.destinations import split_destinations
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.running import destinations_of
from clm_dagster.domains.warehouses.settings import WarehouseSettings
from clm_dagster.domains.warehouses.tables import choose, table_of
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import Settings, SettingsError
from clm_dagster_tests.domains.warehouses.conftest import PublishedShop


def split(text: str) -> list[tuple[str, str | None]]:
    return [(found.name, found.kind) for found in split_destinations(SecretStr(text))]


def test_names_and_kinds() -> None:
    assert split("postgresql://u:p@h/db?sslmode=require") == [("postgresql", "postgresql")]
    assert split("postgres://h/db, lake=snowflake://u@a/db,bigquery://project") == [
        ("postgresql", "postgresql"),
        ("lake", "snowflake"),
        ("bigquery", "bigquery"),
    ]
    assert split("dwh=file:/run/secrets/url") == [("dwh", None)]
    assert split("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mysql://u:secret@h/db", "address 1 does not start with postgresql://"),
        ("file:/run/secrets/url", "write a name before it, as in dwh=file:"),
        ("postgresql://h/a,postgresql://h/b", "two addresses are called 'postgresql'"),
        ("warehouse=postgresql://h/a", "'warehouse' is not a name for a destination"),
        ("My=postgresql://h/a", "'My' is not a name for a destination"),
    ],
)
def test_wrong_destinations_are_refused_without_their_address(
    text: str, message: str, settings_for: Callable[..., Settings]
) -> None:
    with pytest.raises(SettingsError, match="CLM_PUBLISH_TO") as error:
        settings_for(publish_to=text)
    assert message in str(error.value)
    assert "secret" not in str(error.value).replace("/run/secrets", "")


def test_values_of_files_and_variables_are_read_when_they_are_needed(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(publish_to="dwh=${NOT_YET}")
    (destination,) = destinations_of(settings, None)
    with pytest.raises(SettingsError, match="NOT_YET is not set"):
        destination.url()
    monkeypatch.setenv("NOT_YET", "mysql://u:hush-hush@h/db")
    with pytest.raises(PublishError, match="is no address of a database") as error:
        destination.url()
    assert "hush-hush" not in str(error.value)
    monkeypatch.setenv("NOT_YET", "postgres://u:word@h/db")
    assert destination.url().drivername == "postgresql"
    with pytest.raises(PublishError, match=r"no destination 'other'; it has dwh"):
        destinations_of(settings, "other")
    with pytest.raises(PublishError, match="CLM_PUBLISH_TO is empty"):
        destinations_of(settings_for(), None)
    with pytest.raises(SettingsError, match="is not a schema"):
        settings_for(publish_schema='x"; drop')


def names(project: Project, text: str) -> set[str]:
    return {node.relation for node in choose(project, text).values()}


def test_the_selection(project: Project) -> None:
    everything = names(project, "")
    assert {node.relation for node in project.nodes.values() if node.schema == "marts"} < everything
    for exposure in project.exposures.values():
        assert {project.nodes[name].relation for name in exposure.reads} <= everything
    assert not [name for name in everything if name.startswith("raw.")]
    assert names(project, "marts.churn_s*,core.orders,-marts.churn_scorecard") == {
        "marts.churn_scores",
        "core.orders",
    }
    assert names(project, "exposure:churn_list") == {"marts.churn_scores", "staging.risk_bands"}
    assert everything - names(project, "-demand_*") >= {"marts.demand_forecasts", "marts.demand_calendar"}
    with pytest.raises(PublishError, match=r"'raw\.events' matches no table"):
        choose(project, "raw.events")
    with pytest.raises(PublishError, match="there is no exposure:nobody; the exposures are"):
        choose(project, "exposure:nobody")


def test_personal_columns_and_hashes_are_left_out_unless_they_are_asked_for(project: Project) -> None:
    node = project.nodes["stg_customers"]
    kinds = {"customer_id": "VARCHAR", "email_hash": "VARCHAR", "birth_year": "INTEGER", "country": "VARCHAR"}
    assert [column.name for column in table_of(node, kinds, False).columns] == ["customer_id", "country"]
    assert [column.name for column in table_of(node, kinds, True).columns] == list(kinds)


def test_ids_of_guests_show_no_hash_of_an_address(make_published: Callable[..., PublishedShop]) -> None:
    shop = make_published()
    shop.sql(
        "create table marts.churn_scores as select timestamp '2024-01-08' as as_of, "
        "unnest(['c1', 'guest:email:abc']) as customer_id"
    )
    shop.publish()
    (guest,) = [row for row in shop.query("select customer_id from {churn_scores}") if row[0] != "c1"]
    assert guest[0].startswith("guest:") and "email" not in guest[0] and len(guest[0]) == 38


def test_nothing_without_destinations(settings_for: Callable[..., Settings]) -> None:
    assert settings_for().of(WarehouseSettings).publish_to.get_secret_value() == ""
