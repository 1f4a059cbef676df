"""The difference to the last export, who is in it, and what a killed export leaves."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from clm_dagster.domains.actions.exports import exporting, files
from clm_dagster.domains.actions.exports.addresses import sha256_address
from clm_dagster.domains.actions.exports.errors import ExportError, NotAllowedError
from clm_dagster.domains.actions.exports.exporting import Export, Request
from clm_dagster_tests.domains.actions.exports.conftest import MONDAY, PlannedShop, texts

NEXT = date(2024, 6, 10)


def test_add_changed_remove_and_then_nothing(shop: PlannedShop) -> None:
    shop.plan("a", "b", "c")
    shop.consents(a=True, b=True, c=True, d=True)
    first = shop.export()
    assert first.counts == {"add": 3, "changed": 0, "remove": 0}
    again = shop.export()
    assert (again.counts, again.files, again.batches) == ({"add": 0, "changed": 0, "remove": 0}, [], 0)
    shop.plan("a", {"customer_id": "c", "play": "call", "channel": "phone"}, "d", day=NEXT)
    second = shop.export()
    assert second.counts == {"add": 1, "changed": 1, "remove": 1}
    (text,) = texts(second).values()
    assert [line.split(",")[:5] for line in text.splitlines()[1:]] == [
        ['"remove"', '"2024-06-10"', '"b"', '"reminder"', '"remind"'],
        ['"changed"', '"2024-06-10"', '"c"', '"reminder"', '"call"'],
        ['"add"', '"2024-06-10"', '"d"', '"reminder"', '"remind"'],
    ]
    assert not any(shop.export().counts.values())
    back = shop.export(as_of=MONDAY)
    assert back.counts == {"add": 1, "changed": 1, "remove": 1}


def test_the_held_out_and_those_who_refuse_are_not_in_it_and_withdrawals_are_removed(
    shop: PlannedShop,
) -> None:
    shop.plan(
        "a",
        "b",
        "person",
        {"customer_id": "held", "arm": "holdout"},
        {"customer_id": "never", "arm": "global_holdout"},
        {"customer_id": "idle", "action": "nothing", "play": None},
    )
    shop.persons(person="person", second="person")
    shop.consents(a=True, b=True, person=True, second=True, held=True, never=True, idle=True)
    assert shop.export().counts["add"] == 3
    shop.consents(a=True, b=False, person=True, second=False, held=True, never=True, idle=True)
    done = shop.export()
    assert done.counts == {"add": 0, "changed": 0, "remove": 2}
    assert [row[2:4] for row in shop.ledger()] == [
        ("a", "add"),
        ("b", "add"),
        ("person", "add"),
        ("b", "remove"),
        ("person", "remove"),
    ]


def test_the_check_does_not_trust_the_view(shop: PlannedShop) -> None:
    shop.plan("a", "b", "erased", {"customer_id": "held", "arm": "holdout"})
    shop.consents(a=True, b=False, held=True)
    with shop.warehouse.connect("test") as connection:
        columns = "as_of, customer_id, action, play, channel, expected_cost, expected_gain, products, reason"
        connection.execute(
            f"create or replace view marts.actions_to_send as select {columns} from marts.next_best_actions"
        )
    with pytest.raises(
        NotAllowedError, match=r"1 held out, .*, 1 who refuse .*, 1 of whom no consent is known"
    ):
        shop.export()
    assert not (shop.settings.data_dir / "exports" / "csv").exists()
    found = "select count(*) from duckdb_tables() where table_name = 'action_exports'"
    assert shop.rows(found) == [(0,)]


def test_who_does_not_state_consent_any_more_is_left_out_unless_it_is_assumed(shop: PlannedShop) -> None:
    shop.plan("a", "erased", "silent")
    shop.consents(a=True, silent=None)
    assert shop.export().counts["add"] == 1
    shop.assume_consent()
    assert shop.export().counts["add"] == 2


def test_no_plan_and_unknown_as_ofs_say_what_to_do(shop: PlannedShop) -> None:
    with pytest.raises(ExportError, match="no action is planned yet"):
        shop.export()
    shop.plan("a")
    shop.consents(a=True)
    with pytest.raises(
        ExportError, match="no actions are planned at 2024-06-10; the newest plans are of 2024-06-03"
    ):
        shop.export(as_of=NEXT)
    with pytest.raises(ExportError, match="'fax' is unknown; expected one of klaviyo"):
        shop.export("fax")


def test_a_plan_for_nobody_removes_everybody(shop: PlannedShop) -> None:
    shop.plan("a", "b")
    shop.consents(a=True, b=True)
    shop.export()
    shop.plan({"customer_id": "a", "action": "nothing", "play": None}, day=NEXT)
    assert shop.export().counts == {"add": 0, "changed": 0, "remove": 2}


def test_destinations_have_differences_of_their_own(shop: PlannedShop, emails: Path) -> None:
    shop.plan("a")
    shop.consents(a=True)
    assert shop.export().counts["add"] == shop.export("parquet").counts["add"] == 1
    # What Klaviyo gets does not have the expected gain.
    assert shop.export("klaviyo", emails=emails).counts["add"] == 1
    shop.plan({"customer_id": "a", "expected_gain": 2.0}, day=NEXT)
    assert shop.export("klaviyo", emails=emails).counts["changed"] == 0
    assert shop.export().counts["changed"] == 1


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["before the files", "after the files"])
@pytest.mark.parametrize("is_changed", [False, True])
def test_an_export_that_is_killed_is_made_whole_by_the_next_one(
    shop: PlannedShop, monkeypatch: pytest.MonkeyPatch, step: str, is_changed: bool
) -> None:
    shop.plan("a", "b")
    shop.consents(a=True, b=True)
    written: list[str] = []
    with monkeypatch.context() as patch:
        original = files.write_files

        def killed(*given: object) -> list[str]:
            if step == "after the files":
                written.extend(original(*given))  # type: ignore[arg-type]
            raise Killed

        patch.setattr(exporting, "write_files", killed)
        with pytest.raises(Killed):
            shop.export()
    assert [row[4] for row in shop.ledger()] == ["planned", "planned"]
    if is_changed:
        shop.consents(a=True, b=False)
    done = shop.export()
    assert done.counts["add"] == (1 if is_changed else 2)
    # Nobody can upload the file of a batch that was not sent.
    assert [path.name for path in Path(done.folder).glob("*.csv")] == done.files
    assert not is_changed or written != done.files
    assert not any(shop.export().counts.values())


def test_a_preview_changes_nothing(shop: PlannedShop) -> None:
    shop.plan("a")
    shop.consents(a=True)
    for destination in ("csv", "meta"):
        export = Export(shop.settings, shop.warehouse, Request(destination), lambda _: None)
        found = export.preview()
        assert (found.counts["add"], found.without_address) == ((1, 0) if destination == "csv" else (0, 1))
    assert not (shop.settings.data_dir / "exports").exists()
    assert shop.export().counts["add"] == 1
    assert not any(
        Export(shop.settings, shop.warehouse, Request("csv"), lambda _: None).preview().counts.values()
    )


# ---------------------------------------------------------------------------------- formats


@pytest.fixture
def emails(tmp_path: Path) -> Path:
    path = tmp_path / "emails.csv"
    path.write_text("customer_id,email\na,A.nn+x@gmail.com\nb,bob@x.example\n")
    return path


def test_klaviyo_by_address(shop: PlannedShop, emails: Path) -> None:
    shop.plan("a", "b", {"customer_id": "c", "play": '=cmd|"x"'})
    shop.consents(a=True, b=True, c=True)
    done = shop.export("klaviyo", emails=emails)
    assert (done.counts["add"], done.without_address) == (2, 1)
    assert texts(done) == {
        "add.csv": '"Email","External ID","clm_play","clm_action","clm_channel","clm_products"\n'
        '"A.nn+x@gmail.com","a","remind","reminder","email","mug|plate"\n'
        '"bob@x.example","b","remind","reminder","email","mug|plate"\n'
    }
    shop.consents(a=True, b=False, c=True)
    # Whoever is known by now is added; who is taken off is known to Klaviyo by the shop's id as well.
    emails.write_text("customer_id,email\na,A.nn+x@gmail.com\nc,cy@x.example\n")
    assert texts(shop.export("klaviyo", emails=emails)) == {
        "add.csv": '"Email","External ID","clm_play","clm_action","clm_channel","clm_products"\n'
        '"cy@x.example","c","\'=cmd|""x""","reminder","email","mug|plate"\n',
        "remove.csv": '"Email","External ID"\n"","b"\n',
    }
    with pytest.raises(ExportError, match="give --emails FILE"):
        shop.export("klaviyo")


def test_mailchimp_tags_and_what_it_needs(shop: PlannedShop, emails: Path) -> None:
    shop.plan("a", {"customer_id": "b", "play": "call, then mail", "products": ["x" * 200, "y" * 60]})
    shop.consents(a=True, b=True)
    with pytest.raises(
        ExportError, match="give --emails FILE, a CSV file of the shop with the columns customer_id"
    ):
        shop.export("mailchimp")
    assert texts(shop.export("mailchimp", emails=emails)) == {
        "add.csv": '"Email Address","Tags","Products"\n'
        '"A.nn+x@gmail.com","remind","mug|plate"\n'
        f'"bob@x.example","""call, then mail""","{"x" * 200}"\n'
    }
    shop.plan({"customer_id": "a", "play": "call"}, day=NEXT)
    found = texts(shop.export("mailchimp", emails=emails))
    assert found["remove.csv"] == (
        '"Email Address","Tags"\n"A.nn+x@gmail.com","remind"\n"bob@x.example","""call, then mail"""\n'
    )


@pytest.mark.parametrize("destination", ["meta", "google"])
def test_audiences_get_hashes_and_a_file_for_each_play(
    shop: PlannedShop, emails: Path, destination: str
) -> None:
    shop.hashes = {"c": "AB" * 32, "d": "not a hash"}
    shop.plan("a", "b", {"customer_id": "c", "play": "a/b"}, "d")
    shop.consents(a=True, b=True, c=True, d=True)
    done = shop.export(destination, emails=emails)
    assert (done.counts["add"], done.without_address) == (3, 1)
    gmail = sha256_address("ann@gmail.com" if destination == "google" else "a.nn+x@gmail.com")
    bob = sha256_address("bob@x.example")

    def ids(customer: str) -> str:
        return f',"{customer}"' if destination == "meta" else ""

    header = '"email","extern_id"' if destination == "meta" else '"Email"'
    odd = "add-a_b-c14cddc0.csv"
    assert texts(done) == {
        odd: f'{header}\n"{"ab" * 32}"{ids("c")}\n',
        "add-remind.csv": f'{header}\n"{gmail}"{ids("a")}\n"{bob}"{ids("b")}\n',
    }
    shop.plan({"customer_id": "a", "play": "call"}, day=NEXT)
    found = texts(shop.export(destination, emails=emails))
    assert set(found) == {"add-call.csv", "remove-remind.csv", odd.replace("add", "remove")}
    assert found["remove-remind.csv"] == f'{header}\n"{gmail}"{ids("a")}\n"{bob}"{ids("b")}\n'


def test_the_generic_files_have_every_column(shop: PlannedShop, tmp_path: Path) -> None:
    shop.plan({"customer_id": "=a", "products": ["=mug", "pl|ate"], "reason": '-"x"\nnew line'})
    shop.consents(**{"=a": True})
    assert list(texts(shop.export("csv", out=tmp_path / "o")).values()) == [
        '"operation","as_of","customer_id","action","play","channel","expected_cost","expected_gain","products",'
        '"reason"\n"add","2024-06-03","\'=a","reminder","remind","email","0.05","1.5","\'=mug|pl|ate",'
        '"\'-""x"" new line"\n'
    ]
    done = shop.export("parquet", out=tmp_path / "o")
    found = duckdb.execute("select * from read_parquet(?)", [str(tmp_path / "o" / done.files[0])]).fetchall()
    assert found[0][2:] == (
        "=a", "reminder", "remind", "email", 0.05, 1.5, ["=mug", "pl|ate"], '-"x"\nnew line',
    )  # fmt: skip
    assert [path.name for path in (tmp_path / "o").iterdir() if path.name.startswith(".")] == []


def test_addresses_are_nowhere_in_the_warehouse(shop: PlannedShop, emails: Path) -> None:
    shop.plan("a", "b")
    shop.consents(a=True, b=True)
    for destination in ("klaviyo", "mailchimp", "meta", "google"):
        shop.export(destination, emails=emails)
    for path in shop.settings.data_dir.rglob("*"):
        if path.is_file() and "exports" not in path.parts:
            assert b"x.example" not in path.read_bytes()
    kept = shop.rows("select * from raw.action_exports")
    assert "example" not in str(kept) and sha256_address("bob@x.example") not in str(kept)
