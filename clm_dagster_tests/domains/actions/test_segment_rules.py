"""Custom segments: what is a condition, and what is refused before anything runs."""

from pathlib import Path

import pytest

from clm_dagster.domains.actions.segment_rules import SegmentRule, read_rules
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError

COLUMNS = {"orders": "BIGINT", "segment": "VARCHAR", "net_revenue": "DECIMAL(18,4)", "consents": "BOOLEAN"}


def rules(folder: Path, *conditions: str) -> tuple[SegmentRule, ...]:
    listed = "".join(
        f"  - name: s{number}\n    description: text\n    condition: |\n      {condition}\n"
        for number, condition in enumerate(conditions)
    )
    (folder / "seeds").mkdir(exist_ok=True)
    (folder / "seeds" / "segments.yml").write_text(f"segments:\n{listed}")
    return read_rules(folder, COLUMNS)


@pytest.mark.parametrize(
    "condition",
    [
        "orders >= 2",
        "orders >= 2 and segment in ('champions', 'loyal')",
        "consents",
        "net_revenue / orders > 10.5 or lower(segment) like 'a%'",
        "case when orders > 1 then segment = 'loyal' else false end",
        "ORDERS between 1 and 3",
        "orders > 1 -- more than one",
    ],
)
def test_a_condition_over_the_columns_is_taken_as_it_is(tmp_path: Path, condition: str) -> None:
    (found,) = rules(tmp_path, condition)
    assert (found.name, found.condition) == ("s0", condition)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("ordres >= 2", "no column 'ordres'; did you mean orders?"),
        ("xyz >= 2", "no column 'xyz'; known columns: orders, segment"),
        ("orders > (select 1)", "subquery"),
        ("exists (from range(3))", "subquery"),
        ("orders in (select 1)", "subquery"),
        ("true) or (select true", "subquery"),
        ("true) from (select 1", "more than a condition"),
        ("true), (true", "more than a condition"),
        ("1 = 1; drop table x", "not SQL"),
        ("orders >", "not SQL"),
        ("true /* and", "not SQL"),
        ("orders", "is a BIGINT; expected a condition that is true or false"),
        ("count(*) > 1", "aggregates"),
        ("row_number() over () > 1", "window"),
        ("now() > timestamp '2024-01-01'", "another result at another time"),
        ("random() > 0.5", "another result at another time"),
        ("nextval('s') > 1", "another result at another time"),
        ("current_setting('threads') = '1'", "another result at another time"),
        ("orders > 'many'", "cannot be evaluated"),
        ("orders > 1 and no_such_function(orders)", "cannot be evaluated"),
        ("read_text('x') is not null", "cannot be evaluated"),
    ],
)
def test_anything_else_is_refused_with_its_line(tmp_path: Path, condition: str, message: str) -> None:
    with pytest.raises(ProjectError) as refused:
        rules(tmp_path, "orders >= 2", condition)
    assert message in str(refused.value)
    assert f"{tmp_path}/seeds/segments.yml:8: segment s1: " in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "segments:\n  - {name: A b, description: x, condition: 'true'}\n",
            ":2: segment 'A b' is not a name",
        ),
        (
            "segments:\n" + 2 * "  - {name: a, description: x, condition: 'true'}\n",
            ":3: segment 'a' is defined twice",
        ),
        ("segments:\n  - {name: a, condition: 'true'}\n", ":2: 'description' is missing"),
        ("segments:\n  - {name: a, description: x, rule: 'true'}\n", "unknown key 'rule'"),
        ("other: 1\n", "unknown key 'other'"),
    ],
)
def test_the_form_of_the_file_is_checked(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "segments.yml").write_text(text)
    with pytest.raises(ProjectError) as refused:
        read_rules(tmp_path, COLUMNS)
    assert message in str(refused.value)


def test_a_shop_without_the_file_has_no_segments(tmp_path: Path) -> None:
    assert read_rules(tmp_path, COLUMNS) == ()


def test_the_version_is_that_of_the_condition_and_not_of_its_layout() -> None:
    one = SegmentRule("a", "text", "orders >= 2\n  and consents")
    assert one.version == SegmentRule("b", "other", "orders >= 2 and consents").version
    assert one.version != SegmentRule("a", "text", "orders >= 3 and consents").version
