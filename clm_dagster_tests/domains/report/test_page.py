"""The page in HTML: its numbers, hostile texts, odd shops, and that it loads nothing."""

import base64
import hmac
import re
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

import pytest

from clm_dagster.domains.report.page import FOLDER, LIBRARIES
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.report.page_reader import ReadPage
from clm_dagster_tests.domains.report.page_shop import KEY, PageShop, empty_shop, first_tables, model_tables

LANGUAGES = ("en", "zh")
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\u202eرجوع\u202c مرحبا",
    "🛒🔥 {{ 7 * 7 }} {% raw %}",
    "x" * 300,
    "$accent",
    "a.b[0]'\"\\",
    "=cmd|' /C calc'!A0",
)


@pytest.fixture
def shop() -> PageShop:
    """A shop with everything that the page shows."""
    made = empty_shop()
    first_tables(made)
    model_tables(made)
    return made


def number_in(text: str) -> float:
    """Return the number of a text as English and Chinese write it."""
    found = re.search(r"-?\d[\d,]*(\.\d+)?", text.replace("\u2212", "-"))
    assert found is not None, text
    return float(found[0].replace(",", ""))


def test_every_number_shows_the_value_of_its_cell(shop: PageShop) -> None:
    """The text is the value, rounded to the digits that the text has."""
    page = ReadPage.of(shop.page())
    cells = [cell for rows in page.tables.values() for row in rows for cell in row.values() if cell.is_number]
    assert len(cells) > 500
    for cell in cells:
        if not cell.value:
            assert cell.text == "\u2013"
            continue
        scale = 100 if "%" in cell.text or "points" in cell.text or "百分点" in cell.text else 1
        digits = len(cell.text.partition(".")[2].rstrip("% points百分点"))
        assert number_in(cell.text) == pytest.approx(float(cell.value) * scale, abs=0.5001 * 10**-digits), (
            cell
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_have_the_numbers_of_the_published_tables(shop: PageShop, language: str) -> None:
    page = ReadPage.of(shop.page())
    segments = page.tables[language, "segment_map"]
    expected = shop.rows(
        "select segment, count(*), sum(monetary)::double from core.rfm_scores where as_of = '2024-06-03' group by 1"
    )
    assert {(row["segment"].content, row["customers"].content) for row in segments} == {
        (name, str(count)) for name, count, _ in expected
    }
    revenue = {str(name): float(str(money)) for name, _, money in expected}
    assert {row["segment"].content: float(row["net_revenue"].content) for row in segments} == pytest.approx(
        revenue
    )
    planned = sum(int(row["customers"].content) for row in page.tables[language, "planned_actions"])
    assert shop.rows(
        "select count(*) from marts.next_best_actions where arm = 'treated' and play is not null"
    ) == [(planned,)]
    week = shop.rows(
        "select sum(net_revenue)::double, sum(orders), sum(new_buyers) from marts.shop_daily "
        "where sales_date between '2024-05-27' and '2024-06-02'"
    )[0]
    tiles = [float(page.tiles[language, name][0]) for name in ("net_revenue", "orders", "new_buyers")]
    assert tiles == pytest.approx([float(str(value)) for value in week])
    assert [number_in(page.tiles[language, name][1]) for name in ("orders", "new_buyers")] == tiles[1:]


def test_charts_have_the_data_of_their_tables(shop: PageShop) -> None:
    page = ReadPage.of(shop.page())
    charts = page.data["en"]["charts"]
    assert set(charts) == set(page.data["zh"]["charts"]) and len(charts) >= 11
    sales = charts["sales"]["spec"]["data"]["values"]
    table = [row["sales"].content for row in reversed(page.tables["en", "sales"])]
    assert [row["sales"] for row in sales] == [float(text) if text else None for text in table]
    areas = {
        row["label"]: (row["x2"] - row["x"]) * (row["y2"] - row["y"])
        for row in charts["segment_map"]["spec"]["data"]["values"]
    }
    shares = {
        row["segment"].text: float(row["revenue_share"].content) for row in page.tables["en", "segment_map"]
    }
    assert areas == pytest.approx(shares)


def test_the_languages_show_the_same(shop: PageShop) -> None:
    page = ReadPage.of(shop.page("zh"))
    assert len(page.ids) == len(set(page.ids))
    anchors = {code: {name[3:] for name in page.ids if name.startswith(f"{code}-")} for code in LANGUAGES}
    assert anchors["en"] == anchors["zh"]
    for (language, name), rows in page.tables.items():
        other = page.tables["zh" if language == "en" else "en", name]
        assert [[cell.content for cell in row.values()] for row in rows] == [
            [cell.content for cell in row.values()] for row in other
        ], name
    assert all(link.removeprefix("#") in page.ids for link in page.links)


def test_customers_are_pseudonyms_unless_the_shop_wants_its_own_ids(shop: PageShop) -> None:
    shop.run("update marts.churn_scores set customer_id = 'anna@shop.example' where customer_id = 'k29'")
    for table in (
        "core.customer_features",
        "core.rfm_scores",
        "marts.customer_value",
        "marts.next_best_actions",
    ):
        shop.run(f"update {table} set customer_id = 'anna@shop.example' where customer_id = 'k29'")
    assert "anna@shop.example" not in shop.page()
    own = ReadPage.of(shop.page(ids="shop")).tables["en", "to_call"]
    assert own[0]["customer"].content == "anna@shop.example"
    hidden = ReadPage.of(shop.page()).tables["en", "to_call"]
    digits = hmac.digest(KEY, b"anna@shop.example", "sha256").hex()[:10]
    assert hidden[0]["customer"].content == f"c{digits}"
    assert sha256(b"anna@shop.example").hexdigest()[:10] not in shop.page()


def test_nobody_in_a_control_group_is_to_be_called(shop: PageShop) -> None:
    rows = ReadPage.of(shop.page(ids="shop")).tables["en", "to_call"]
    held_out = {
        name
        for (name,) in shop.rows("select customer_id from marts.next_best_actions where arm <> 'treated'")
    }
    assert rows and not {row["customer"].content for row in rows} & held_out
    assert {row["reason"].content for row in rows} == {"returns: 3"}


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_shop_stay_texts(shop: PageShop, text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    clean = ReadPage.of(shop.page())
    shop.run(
        f"update marts.persona_profiles set persona = {quoted} where persona_id = 'p1'",
        f"update marts.persona_profiles set measure = 'category: ' || {quoted} where measure = 'category: toys'",
        f"update marts.campaign_results set campaign_id = {quoted} where campaign_id = 'c1'",
        f"update marts.campaign_results set arm = {quoted} where campaign_id = 'c2'",
        f"update marts.next_best_actions set play = {quoted}, channel = {quoted} where play is not null",
        f"update raw.rejects set reason = {quoted}",
        f"update core.rfm_scores set segment = {quoted} where segment = 'loyal'",
        f"update models.serving set reason = {quoted}",
        f"update staging.stg_products set name = {quoted}",
        f"update marts.basket_rules set antecedent_names = {quoted}, consequent_name = {quoted}",
        f"update marts.funnel_daily set channel = {quoted} where channel = 'web'",
    )
    html = shop.page(shop=text)
    page = ReadPage.of(html)
    assert page.tags.count("script") == clean.tags.count("script") == 4
    assert page.tags.count("img") == 0
    assert text in {row["reason"].content for row in page.tables["en", "rejects"]}
    assert text in {row["persona"].content for row in page.tables["zh", "persona_measures"]}
    assert {row["product"].content for row in page.tables["en", "reorder_points"]} == {text}
    values = page.data["en"]["charts"]["planned_actions"]["spec"]["data"]["values"]
    assert text in {row["segment"] for row in values}


def test_the_page_loads_nothing_and_runs_its_own_scripts_only(shop: PageShop) -> None:
    html = shop.page()
    page = ReadPage.of(html)
    assert all(link.startswith("#") for link in page.links) and page.sources == []
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert page.policy.startswith("default-src 'none'; script-src 'sha256-")
    for script in page.scripts[1:]:
        assert f"'sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}'" in page.policy
    assert "unsafe-inline" not in page.policy.split("style-src")[0]
    assert len(html.encode()) < 3_000_000


def one_day(shop: PageShop) -> None:
    first_tables(shop, customers=3, days=1)


def three_customers(shop: PageShop) -> None:
    first_tables(shop, customers=3)
    model_tables(shop)


def negative_revenue(shop: PageShop) -> None:
    first_tables(shop, sign=-1)
    model_tables(shop)
    shop.run("update marts.demand_forecasts set mean = -5, q10 = -9, q90 = 2")


def without_models(shop: PageShop) -> None:
    first_tables(shop)
    shop.run("drop table raw.currencies", "drop table core.stage_states", "drop table raw.rejects")


def snapshots_alone(shop: PageShop) -> None:
    first_tables(shop)
    for schema, table in shop.rows("select schema_name, table_name from duckdb_tables()"):
        if table not in ("rfm_scores", "rfm_segment_names"):
            shop.run(f"drop table {schema}.{table}")


def no_rows(shop: PageShop) -> None:
    first_tables(shop)
    model_tables(shop)
    for schema, table in shop.rows("select schema_name, table_name from duckdb_tables()"):
        if table != "rfm_scores":
            shop.run(f"delete from {schema}.{table}")


def nulls_and_no_numbers(shop: PageShop) -> None:
    first_tables(shop)
    model_tables(shop)
    shop.run(
        "update marts.churn_scores set expected_loss = 'nan'::double where customer_id = 'k1'",
        "update marts.customer_value set value_tier = null, expected_revenue = null",
        "update marts.persona_profiles set persona_mean = null, z = null, revenue_share = null",
        "update core.rfm_scores set monetary = 0",
    )


@pytest.mark.parametrize(
    "make",
    [
        one_day,
        three_customers,
        negative_revenue,
        without_models,
        snapshots_alone,
        no_rows,
        nulls_and_no_numbers,
    ],
)
def test_odd_shops_have_a_page_that_says_nothing_wrong(make: Callable[[PageShop], None]) -> None:
    shop = empty_shop()
    make(shop)
    page = ReadPage.of(shop.page())
    for language in LANGUAGES:
        said = " ".join(page.texts[language])
        assert not re.search(r"\b(nan|None|inf|NaN|Infinity|null)\b", said), said
    assert page.data.keys() == {"en", "zh"}
    assert all(row for rows in page.tables.values() for row in rows)


def test_a_segment_without_revenue_is_in_the_table_only(shop: PageShop) -> None:
    shop.run("update core.rfm_scores set monetary = -1 where segment = 'loyal'")
    page = ReadPage.of(shop.page())
    shown = page.data["en"]["charts"]["segment_map"]["spec"]["data"]["values"]
    assert {row["segment"] for row in shown} == {"champions", "hibernating"}
    assert {row["segment"].content for row in page.tables["en", "segment_map"]} == {
        "champions",
        "hibernating",
        "loyal",
    }
    assert any("1 segment without positive revenue" in text for text in page.texts["en"])


def test_a_month_that_is_not_over_is_marked(shop: PageShop) -> None:
    page = ReadPage.of(shop.page())
    over = {(row["cohort_month"].content, row["months_since"].content): row["is_over"].content
            for row in page.tables["en", "cohorts_map"]}  # fmt: skip
    assert len(over) > 6
    for (cohort, since), is_over in over.items():
        year, month = (int(part) for part in cohort.split("-")[:2])
        later = 12 * year + month + int(since)
        assert later <= 12 * 2024 + 6
        assert is_over == ("no" if later == 12 * 2024 + 6 else "yes")


def test_an_older_page_knows_nothing_of_later_days(shop: PageShop) -> None:
    older = datetime(2024, 5, 27)
    now = ReadPage.of(shop.page(as_of=older))
    for table, day in (
        ("core.customer_daily", "activity_date"),
        ("marts.shop_daily", "sales_date"),
        ("marts.funnel_daily", "activity_date"),
        ("raw.deliveries", "event_date"),
        ("raw.rejects", "event_date"),
        ("raw.currencies", "event_date"),
        ("staging.stg_reviews", "written_at"),
    ):
        shop.run(f"delete from {table} where {day} >= '2024-05-27'")
    then = ReadPage.of(shop.page(as_of=older))
    assert now.texts == then.texts and now.tables == then.tables and now.data == then.data
    assert ("en", "cohorts_map") in then.tables and ("en", "ledger") not in then.tables


def test_what_may_not_be_trusted_is_said(shop: PageShop) -> None:
    said = " ".join(ReadPage.of(shop.page()).texts["en"])
    assert "The newest data is of 30 May 2024: 3 days of the week are missing." in said
    assert "6.0% of the delivered rows of Events were rejected (6)." in said
    assert "Churn: no model has passed its test, so a simple rule is used." in said


def test_a_model_that_serves_nothing_uses_no_simple_rule() -> None:
    shop = empty_shop()
    first_tables(shop)
    model_tables(shop)
    shop.run(
        "insert into models.serving by name select 'models.' || name || '_model' as model, as_of, part, is_champion, "
        "reason from models.serving, (values ('value'), ('uplift')) as n(name)"
    )
    said = " ".join(ReadPage.of(shop.page()).texts["en"])
    assert "Churn: no model has passed its test, so a simple rule is used." in said
    assert "Value: there is no model yet, so nothing is predicted." in said
    assert "Effects of contacts: " not in said  # Most shops have no campaigns to learn them from.
    assert "1 of 3 parts uses a simple rule" in said


def test_effects_of_one_name_have_a_line_each(shop: PageShop) -> None:
    long = "a name of more than twenty-eight characters, number "
    shop.run(
        "insert into marts.campaign_results by name select * replace ('plan' as basis) from marts.campaign_results "
        "where campaign_id = 'c1'",
        *(
            f"insert into marts.campaign_results by name select * replace ('{long}{n}' as campaign_id) "
            "from marts.campaign_results where campaign_id = 'c2'"
            for n in (1, 2)
        ),
    )
    page = ReadPage.of(shop.page())
    spec = page.data["en"]["charts"]["campaign_conversion"]["spec"]
    labels = [row["label"] for row in spec["data"]["values"]]
    assert len(labels) == 5 == len(set(labels))
    assert "c1 · discount" in labels and "c1 · discount · the plan" in labels


def test_scorecards_are_said_in_plain_words(shop: PageShop) -> None:
    said = " ".join(ReadPage.of(shop.page()).texts["en"])
    assert "Churn ranks 78 of 100 pairs of customers right; recency alone 72 (in its test)." in said


def test_the_chart_library_is_the_one_of_the_decision() -> None:
    decision = (PROJECT_DIR / "docs" / "decisions" / "report-charts.md").read_text(encoding="utf-8")
    for name in LIBRARIES:
        digest = sha256((FOLDER / "vega" / name).read_bytes()).hexdigest()
        assert f"| `{name}` | `{digest}` |" in decision
        assert (
            "University of Washington"
            in (FOLDER / "vega" / name.replace(".min.js", ".LICENSE.txt")).read_text()
        )


def test_recommendations_have_their_hit_rate_beside_the_simple_rule(shop: PageShop) -> None:
    page = ReadPage.of(shop.page())
    hits = page.tables["en", "hits"]
    assert [(row["list"].content, row["hit"].content, row["baseline_hit"].content) for row in hits] == [
        ("next_best", "0.5", "0.25"),
        ("discover", "0.5", "0.25"),
    ]
    counted = {
        (row["list"].content, row["product"].content): int(row["customers"].content)
        for row in page.tables["zh", "recommended"]
    }
    assert counted == {
        (name, product): count
        for name, product, count in shop.rows(
            "select list, 'Product ' || substr(product_id, 2), count(*) from marts.recommendations group by 1, 2"
        )
    }
    assert any(text.startswith("30 customers have recommendations") for text in page.texts["en"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_segment_has_its_own_sentences(shop: PageShop, language: str) -> None:
    page = ReadPage.of(shop.page())
    said = page.data[language]["segments"]
    assert said.keys() == {"segment_map", "churn_grid", "to_call", "planned_actions"}
    for segment, customers, money in shop.rows(
        "select segment, count(*), sum(monetary)::double from core.rfm_scores where as_of = '2024-06-03' group by 1"
    ):
        sentence = said["segment_map"][segment]
        assert number_in(sentence) == customers and f"{float(str(money)):,.0f}" in sentence
    for segment, sentence in said["planned_actions"].items():
        rows = [row for row in page.tables[language, "planned_actions"] if row["segment"].content == segment]
        assert f"{sum(int(row['customers'].content) for row in rows)} " in sentence


def test_a_plan_is_said_once(shop: PageShop) -> None:
    shop.run(
        """
        create table marts.report_facts as
        select timestamp '2024-06-03' as as_of, section, fact, subject, value, rank::bigint as rank, 'churn' as chart,
            true as is_trusted, false as is_change_week, false as is_change_4_weeks, null::double as low,
            null::double as high, said as sentence_en, said as sentence_zh
        from (values
            ('revenue', 'revenue', null, 5.0, 1, 'Revenue is 5.'),
            ('actions', 'planned', null, 9.0, 6, 'To do: 9. Start with A.'),
            ('actions', 'expected_gain_of_play', 'a', 7.0, 12, 'A: 7.'),
            ('actions', 'expected_gain_of_play', 'c', 1.0, 13, 'C: 1.'),
            ('actions', 'expected_gain_of_play', 'b', 2.0, 14, 'B: 2.')
        ) as facts(section, fact, subject, value, rank, said)
        """
    )
    texts = ReadPage.of(shop.page()).texts["en"]
    begin = texts.index("What to do")
    assert texts[begin + 1 : begin + 4] == ["To do: 9. Start with A.", "B: 2.", "C: 1."]
    assert "A: 7." not in texts
