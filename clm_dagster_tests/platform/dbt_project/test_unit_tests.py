"""Unit tests of models: failures, invalid tests, nulls, given rows and compared columns."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.platform.dbt_project.project import load_project
from clm_dagster.platform.dbt_project.unit_tests import UnitTestResult, run_unit_test
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.warehouse import Connection

Folder = Callable[[dict[str, str]], Path]
SUMS = """\
select customer, sum(amount) as total, count(paid) as paid, max(f.factor) as factor
from {{ ref('orders') }} cross join {{ ref('factors') }} as f
{% if var('as_of') %}where day < cast('{{ var("as_of") }}' as date){% endif %}
group by customer
"""
DOCS = """\
models:
  - name: orders
    columns:
      - {name: customer, data_type: VARCHAR}
      - {name: day, data_type: DATE}
      - {name: amount, data_type: "DECIMAL(18,4)"}
      - {name: paid, data_type: BOOLEAN}
  - name: sums
    columns:
      - {name: customer, data_type: VARCHAR}
      - {name: total, data_type: "DECIMAL(18,4)"}
      - {name: paid, data_type: BIGINT}
      - {name: factor, data_type: BIGINT}
"""
# Line 1 of it is line 14 of the file.
TEST = """\
unit_tests:
  - name: adds_up
    model: sums
    given:
      - input: ref('orders')
        rows:
          - {customer: anna, amount: 2, paid: true, day: "2024-01-01"}
          - {customer: anna, amount: 3.5, day: "2024-01-02"}
      - input: ref('factors')
    expect:
      rows:
        - {customer: anna, total: 5.5, paid: 1}
"""


@pytest.fixture
def files(folder: Folder) -> Callable[[str], Path]:
    """Write a folder with a model that reads another model and a seed, and one unit test."""

    def write(test: str) -> Path:
        return folder(
            {
                "models/orders.sql": "select 1 as nothing",
                "models/sums.sql": SUMS,
                "models/sums.yml": DOCS + test,
                "seeds/factors.csv": "factor\n7\n",
                "seeds/factors.yml": "seeds: [{name: factors, columns: [{name: factor, data_type: BIGINT}]}]",
            }
        )

    return write


@pytest.fixture
def run(files: Callable[[str], Path], connection: Connection) -> Callable[[str], UnitTestResult]:
    """Run the one unit test of a folder."""

    def outcome(test: str) -> UnitTestResult:
        project = load_project(files(test))
        (found,) = project.unit_tests.values()
        return run_unit_test(connection, project, found)

    return outcome


def test_unnamed_columns_are_null_and_only_expected_columns_are_compared(
    run: Callable[[str], UnitTestResult], connection: Connection
) -> None:
    assert run(TEST).passed
    assert (
        connection.scalar("select count(*) from information_schema.schemata where schema_name = 'unit_test'")
        == 0
    )


def test_csv_rows_are_equivalent_and_empty_fields_are_null(run: Callable[[str], UnitTestResult]) -> None:
    rows = TEST[TEST.index("        rows:") : TEST.index("      - input: ref('factors')")]
    lines = ("customer,amount,paid", "anna,2,true", "anna,3.5,")
    block = "        format: csv\n        rows: |\n" + "".join(f"          {line}\n" for line in lines)
    assert run(TEST.replace(rows, block)).passed


def test_a_seed_without_rows_is_read_from_its_file(run: Callable[[str], UnitTestResult]) -> None:
    assert run(TEST.replace("paid: 1}", "factor: 7}")).passed
    rows = "ref('factors')\n        rows: [{factor: 9}]"
    outcome = run(TEST.replace("paid: 1}", "factor: 7}").replace("ref('factors')", rows))
    assert (outcome.expected, outcome.actual) == ([("anna", "5.5000", "7")], [("anna", "5.5000", "9")])


def test_variables_are_overridden(run: Callable[[str], UnitTestResult]) -> None:
    test = TEST.replace("    given:", '    overrides: {vars: {as_of: "2024-01-02"}}\n    given:', 1)
    assert run(test.replace("5.5", "2")).passed


def test_a_failing_test_shows_its_place_and_both_sides(run: Callable[[str], UnitTestResult]) -> None:
    outcome = run(TEST.replace("5.5", "6") + "        - {customer: bob, total: null, paid: 0}\n")
    assert not outcome.passed
    title, *lines = outcome.explain().splitlines()
    assert title.startswith("sums: unit test adds_up (") and title.endswith("models/sums.yml:15)")
    assert lines == [
        "2 rows expected, 1 found; - missing, + unexpected",
        "  customer total  paid",
        "+ anna     5.5000 1",
        "- anna     6.0000 1",
        "- bob      null   0",
    ]


def test_equal_rows_are_counted(run: Callable[[str], UnitTestResult]) -> None:
    row = "        - {customer: anna, total: 5.5, paid: 1}\n"
    assert not run(TEST + row).passed


def test_a_test_can_expect_no_rows(run: Callable[[str], UnitTestResult]) -> None:
    nothing = TEST[: TEST.index("    expect")] + "    expect: {rows: []}\n"
    assert not run(nothing).passed
    assert run(
        nothing.replace("    given:", '    overrides: {vars: {as_of: "2024-01-01"}}\n    given:', 1)
    ).passed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "amount: 3.5",
            "amuont: 3.5",
            r"sums\.yml:21: orders has no documented column 'amuont'; it has customer",
        ),
        ("paid: 1}", "piad: 1}", r"sums\.yml:25: sums has no documented column 'piad'"),
        (
            "ref('orders')",
            "ref('sums')",
            r"sums\.yml:18: sums does not read 'sums'; it reads orders, factors",
        ),
        ("ref('orders')", "orders", r"sums\.yml:18: input is 'orders'; expected ref\('model'\) or source"),
        (
            "\n      - input: ref('factors')",
            "",
            r"sums\.yml:15: sums reads 'factors', which is missing in `given`",
        ),
        (
            "        rows:",
            "        nothing:",
            r"sums\.yml:19: unknown key 'nothing'; known keys: format, input, rows",
        ),
        ("model: sums", "model: smus", r"sums\.yml:15: unknown model 'smus'"),
        ("    expect:", "    expects:", r"sums\.yml:23: unknown key 'expects'; known keys: .*expect"),
        ("    expect:", "    then: 1\n    expect:", r"sums\.yml:23: unknown key 'then'"),
        (
            "        rows:",
            "        format: sql\n        rows:",
            r"sums\.yml:19: format is 'sql'; expected one of dict",
        ),
        ("        rows:", "        format: csv\n        rows:", r"sums\.yml:20: format: csv expects text"),
        ('"2024-01-02"', "2024-01-02", r"sums\.yml:21: day: write 2024-01-02 in quotes"),
        ("3.5", "[3]", r"sums\.yml:21: amount: expected text or a number"),
        (
            "    given:",
            "    overrides: {vars: {horizon: 3}}\n    given:",
            r"sums\.yml:17: unknown variable 'horizon'; known variables: as_of, start_date",
        ),
        (
            "    given:",
            "    overrides: {macros: {is_incremental: true}}\n    given:",
            r"sums\.yml:17: is_incremental is True; expected false: a unit test builds its model from",
        ),
        (
            "        - {customer: anna, total",
            "        - {customer: bob}\n        - {customer: anna, total",
            r"sums\.yml:23: all expected rows must have the same columns: customer, total, paid",
        ),
        (
            "    given:",
            "    given:\n      - {input: ref('orders'), rows: []}",
            r"sums\.yml:19: 'orders' is given twice; the first is at \S*sums\.yml:18",
        ),
    ],
)
def test_an_unknown_name_is_an_error_with_its_line(
    old: str, new: str, message: str, files: Callable[[str], Path]
) -> None:
    assert old in TEST
    with pytest.raises(ProjectError, match=message):
        load_project(files(TEST.replace(old, new, 1)))


def test_a_missing_input_is_an_error(files: Callable[[str], Path]) -> None:
    test = TEST[: TEST.index("    given")] + "    given: []\n" + TEST[TEST.index("    expect") :]
    with pytest.raises(ProjectError, match=r"sums\.yml:15: sums reads 'orders', which is missing in `given`"):
        load_project(files(test))


def test_only_a_seed_can_be_given_without_rows(files: Callable[[str], Path]) -> None:
    rows = TEST[TEST.index("        rows:") : TEST.index("      - input: ref('factors')")]
    with pytest.raises(ProjectError, match=r"sums\.yml:18: 'rows' is missing: orders is not a seed"):
        load_project(files(TEST.replace(rows, "")))


def test_a_duplicate_test_name_is_an_error(files: Callable[[str], Path]) -> None:
    with pytest.raises(
        ProjectError, match=r"sums\.yml:26: 'adds_up' is defined twice; the first definition is at \S*yml:15"
    ):
        load_project(files(TEST + TEST[TEST.index("  - name") :]))


def test_a_csv_line_with_too_few_fields_is_an_error(files: Callable[[str], Path]) -> None:
    rows = TEST[TEST.index("        rows:") : TEST.index("      - input: ref('factors')")]
    block = "        format: csv\n        rows: |\n          customer,amount\n          anna\n"
    with pytest.raises(ProjectError, match=r"sums\.yml:22: expected 2 fields \(customer, amount\), found 1"):
        load_project(files(TEST.replace(rows, block)))


def test_a_snapshot_needs_an_as_of(folder: Folder) -> None:
    state = (
        "{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='as_of') }}\n"
    )
    test = (
        "models: [{name: state, columns: [{name: as_of}]}]\n"
        "unit_tests:\n  - {name: t, model: state, given: [], expect: {rows: []}}\n"
    )
    with pytest.raises(
        ProjectError, match=r"state\.yml:3: state is a snapshot model: overrides\.vars\.as_of is"
    ):
        load_project(folder({"models/state.sql": state + "select 1 as as_of", "models/state.yml": test}))


def test_a_value_of_the_wrong_type_is_an_error_that_names_the_table(
    run: Callable[[str], UnitTestResult],
) -> None:
    with pytest.raises(ProjectError, match=r"sums\.yml:18: .*'amount': 'much'.*Could not convert string"):
        run(TEST.replace("3.5", "much"))
