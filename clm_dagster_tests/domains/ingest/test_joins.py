"""Feeds that join seeds of the adapter and other files of a delivery."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.inbox import file_rows
from clm_dagster_tests.domains.ingest.shop import LATER, LATEST, Shop
from clm_dagster_tests.domains.ingest.test_feeds import adapter, ledger

YAML = """
lookups:
  campaigns: {files: ["*campaigns*"], columns: [campaign_id, channel, title]}
tables:
  events:
    files: ["orders*"]
    time: "{{ instant('at') }}"
    columns: {order: varchar, at: timestamp, campaign_id: varchar, price: varchar}
    rejects: {no_campaign: the campaign is not in the file of campaigns}
    skips: {internal: the channel is internal}
"""
SQL = """
select
    {{ provenance() }},
    "order" as event_id,
    {{ time() }} as event_at,
    'purchase' as event_type,
    "order" as order_id,
    coalesce(channels.name, campaigns.channel) as product_id,
    1 as quantity,
    price as unit_price,
    case when campaigns.title is null then 'no_campaign' end as reject_reason,
    case when channels.name = 'internal' then 'internal' end as skip_reason
from {{ landed() }}
left join {{ delivery('campaigns') }} as campaigns using (campaign_id)
left join {{ seed('channel_names') }} as channels on channels.code = campaigns.channel
"""
CHANNELS = "code,name\nm,mail\np,\nx,internal\n"
CAMPAIGNS = "Campaign ID,channel,title\n1,m,Spring\n2,p,Summer\n3,x,Test\n"
ORDERS = "order,at,campaign_id,price\no1,2024-01-05,1,10\no2,2024-01-05,2,11\no3,2024-01-06,3,12\no4,2024-01-07,9,13\n"
Joining = Callable[..., Shop]


@pytest.fixture
def joining(tmp_path: Path, make_shop: Callable[..., Shop]) -> Joining:
    """Make a shop whose orders join campaigns and channels; its files are there."""

    def make(sql: str = SQL, yaml: str = YAML, channels: str = CHANNELS) -> Shop:
        folder = adapter(tmp_path, yaml, {"events": sql})
        seeds = folder / "adapters" / "mine" / "seeds"
        seeds.mkdir()
        (seeds / "channel_names.csv").write_text(channels)
        shop = make_shop(source="mine", sql_dir=folder)
        shop.write("orders.csv", ORDERS)
        shop.write("campaigns.csv", CAMPAIGNS)
        return shop

    return make


def products(shop: Shop) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = shop.query(
        "select event_id, product_id from raw.events where superseded_at is null order by all"
    )
    return found


def test_a_feed_joins_a_file_and_a_seed_and_the_ledger_balances(joining: Joining) -> None:
    shop = joining()
    shop.ingest()
    assert products(shop) == [("o1", "mail"), ("o2", "p")]
    assert ledger(shop) == {"events": (4, 2, 1, 0, 1)}
    assert shop.reasons() == {"no_campaign": 1}
    files = {row.source_file: (row.status, row.reason) for row in file_rows(shop.source.landing)}
    assert files == {
        "campaigns.csv": ("read", "joined as delivery('campaigns')"),
        "orders.csv": ("read", None),
    }


def test_nothing_is_landed_or_loaded_again_without_a_change(joining: Joining) -> None:
    shop = joining()
    shop.ingest()
    adapter_of = shop.source.adapter
    assert shop.source.landing.new_files(shop.settings.input, adapter_of) == []
    before = sorted(path for path in shop.source.landing.folder.rglob("*.parquet"))
    assert shop.land(LATER).new == []
    assert sorted(path for path in shop.source.landing.folder.rglob("*.parquet")) == before
    assert shop.pending() == []


def test_a_changed_file_makes_the_rows_that_join_it_stale_and_lands_them_not_again(joining: Joining) -> None:
    shop = joining()
    shop.ingest()
    path = shop.write("campaigns.csv", CAMPAIGNS.replace("1,m,", "1,shop,") + "9,m,Autumn\n")
    assert shop.source.landing.new_files(shop.settings.input, shop.source.adapter) == [path]
    assert shop.land(LATER).new == []
    assert shop.pending() == ["2024-01-05", "2024-01-06", "2024-01-07"]
    shop.load()
    assert products(shop) == [("o1", "shop"), ("o2", "p"), ("o4", "mail")]
    assert ledger(shop) == {"events": (4, 3, 0, 0, 1)}
    # The rows of the file before may be read by a load that runs; the next landing run removes them.
    stored = list((shop.source.landing.folder / "lookups").iterdir())
    shop.land(LATEST)
    assert len(stored) == 2 and len(list((shop.source.landing.folder / "lookups").iterdir())) == 1


def test_a_second_file_adds_rows_and_one_that_is_gone_is_kept(joining: Joining) -> None:
    shop = joining()
    shop.ingest()
    shop.write("more/campaigns_2.csv", "campaign_id,channel,title\n9,m,Autumn\n")
    shop.ingest(LATER)
    assert products(shop) == [("o1", "mail"), ("o2", "p"), ("o4", "mail")]
    for path in ("campaigns.csv", "more/campaigns_2.csv"):
        (shop.inbox / path).unlink()
    shop.ingest(LATEST)
    assert products(shop) == [("o1", "mail"), ("o2", "p"), ("o4", "mail")]


def test_an_edited_seed_makes_rows_stale_and_lands_nothing(joining: Joining) -> None:
    shop = joining()
    shop.ingest()
    (shop.source.adapter.path / "seeds" / "channel_names.csv").write_text(CHANNELS.replace("p,", "p,paper"))
    assert shop.source.landing.new_files(shop.settings.input, shop.source.adapter) == []
    assert shop.land(LATER).new == []
    assert set(shop.pending()) == set(shop.all_keys())
    shop.load()
    assert products(shop) == [("o1", "mail"), ("o2", "paper")]


def test_a_missing_file_is_named_unless_it_is_optional(joining: Joining) -> None:
    shop = joining()
    (shop.inbox / "campaigns.csv").unlink()
    with pytest.raises(InputError, match=r"the feed events joins the file campaigns.*\*campaigns\*.*title"):
        shop.land()
    optional = joining(yaml=YAML.replace("title]", "title], optional: true"))
    (optional.inbox / "campaigns.csv").unlink()
    optional.ingest()
    assert optional.reasons() == {"no_campaign": 4}
    optional.write("campaigns.csv", CAMPAIGNS)
    optional.ingest(LATER)
    assert products(optional) == [("o1", "mail"), ("o2", "p")]


def test_a_file_without_a_column_is_refused_and_nothing_is_landed(joining: Joining) -> None:
    shop = joining()
    shop.write("campaigns.csv", "campaign_id,channel\n1,m\n")
    with pytest.raises(InputError, match=r"campaigns\.csv: 'title' is missing"):
        shop.land()
    assert shop.source.landing.deliveries() == []


@pytest.mark.parametrize(
    ("campaigns", "channels", "message"),
    [
        (
            CAMPAIGNS + "7,m,A\n7,m,B\n7,m,C\n2,p,Again\n",
            CHANNELS,
            r"the feed events returned 5 rows for 4 landed rows: it returned row 2 of .*orders\.csv 2 times. It joins "
            r"delivery\('campaigns'\) by campaign_id, in which the key of the form '9' is there 2 times",
        ),
        (
            CAMPAIGNS,
            CHANNELS + "m,post\n",
            r"returned row 1 of .*orders\.csv 2 times. It joins seed\('channel_names'\) by code, in which code 'm'",
        ),
    ],
)
def test_a_join_that_multiplies_rows_names_the_file_and_a_key(
    joining: Joining, campaigns: str, channels: str, message: str
) -> None:
    shop = joining(channels=channels)
    shop.write("campaigns.csv", campaigns)
    shop.land()
    with pytest.raises(InputError, match=message):
        shop.load()
    assert shop.query("select count(*) from raw.events") == [(0,)]


def test_a_join_that_loses_rows_names_the_file_and_a_key(joining: Joining) -> None:
    shop = joining(SQL.replace("left join {{ delivery", "inner join {{ delivery"))
    shop.land()
    with pytest.raises(
        InputError, match=r"no row for row 4 of .*delivery\('campaigns'\).*no row for its key. Use a left"
    ):
        shop.load()


def test_a_key_is_also_found_in_a_condition(joining: Joining) -> None:
    using, condition = "using (campaign_id)", 'on landed.campaign_id = c."campaign_id"'
    plain = SQL.replace("{{ landed() }}", "{{ landed() }} as landed").replace("campaigns.", "c.")
    sql = plain.replace("as campaigns using", "as c using").replace(using, condition)
    shop = joining(sql)
    shop.write("campaigns.csv", CAMPAIGNS + "7,m,A\n7,m,B\n7,m,C\n2,p,Again\n")
    shop.land()
    with pytest.raises(InputError, match="by campaign_id, in which the key of the form '9' is there 2 times"):
        shop.load()
    lost = joining(sql.replace("left join {{ delivery", "join {{ delivery"))
    lost.write("campaigns.csv", CAMPAIGNS)
    lost.land(LATER)
    with pytest.raises(
        InputError, match=r"delivery\('campaigns'\) by campaign_id, which has no row for its key"
    ):
        lost.load()


@pytest.mark.parametrize(
    ("sql", "yaml", "message"),
    [
        (
            SQL.replace("delivery('campaigns')", "delivery('campaign')"),
            YAML,
            r"events\.sql:14: delivery\('campaign'\).*Did you mean 'campaigns'",
        ),
        (
            SQL.replace("'channel_names'", "'chanel_name'"),
            YAML,
            r"events\.sql:15: .*'chanel_name'.*chanel_name\.csv does not exist. Did you mean 'channel_names'",
        ),
        (
            SQL,
            YAML.replace("columns: [campaign_id, channel, title]", ""),
            r"adapter\.yml:3: .*requires `files`",
        ),
        (SQL, YAML.replace("title]", "title], colums: 1"), "unknown key 'colums'"),
    ],
)
def test_bad_references_are_named_when_the_adapter_is_read(
    joining: Joining, sql: str, yaml: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        joining(sql, yaml)


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ("code,name\nm,mail,post\n", r"channel_names\.csv:2: found 3 values; expected 2"),
        ("code,name\n", "at least one row"),
        ("code,Code\na,b\n", "a different name for each column"),
    ],
)
def test_a_seed_that_cannot_be_read_is_named(joining: Joining, seed: str, message: str) -> None:
    shop = joining(channels=seed)
    with pytest.raises(InputError, match=message):
        shop.land()


def test_an_included_adapter_and_shared_sql_bring_their_own_joins(
    tmp_path: Path, make_shop: Callable[..., Shop]
) -> None:
    """The feed of another adapter reads its own file and seed, from SQL that it shares with others."""
    yaml = YAML.replace("orders*", "events*").replace(
        'lookups:\n  campaigns: {files: ["*campaigns*"]', 'lookups:\n  mails: {files: ["mails*"]'
    )
    main = adapter(tmp_path, "include: [other]\n" + yaml, {"events": SQL.replace("'campaigns'", "'mails'")})
    folders = main / "adapters"
    (folders / "mine" / "seeds").mkdir()
    (folders / "mine" / "seeds" / "channel_names.csv").write_text(CHANNELS)
    other = folders / "other"
    (other / "seeds").mkdir(parents=True)
    (other / "seeds" / "channel_names.csv").write_text("code,name\nm,other mail\n")
    feeds = YAML.replace('    files: ["orders*"]', '    feeds:\n      orders:\n        files: ["orders*"]')
    head, tail = feeds.split('        files: ["orders*"]\n')
    indented = "".join(f"    {line}\n" for line in tail.splitlines())
    (other / "adapter.yml").write_text(head + '        files: ["orders*"]\n' + indented)
    start, joined = SQL.split("left join", 1)
    (other / "orders.sql").write_text(start + "{{ shared('joined') }}")
    (other / "_joined.sql").write_text("left join" + joined)
    shop = make_shop(source="mine", sql_dir=main)
    shop.write("events.csv", ORDERS.replace("o", "e").replace("erder", "order"))
    shop.write("mails.csv", CAMPAIGNS)
    shop.write("orders.csv", ORDERS)
    shop.write("campaigns.csv", CAMPAIGNS)
    shop.ingest()
    assert products(shop) == [("e1", "mail"), ("e2", "p"), ("o1", "other mail"), ("o2", "p"), ("o3", "x")]
