"""An error in the SQL of an adapter names its file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster_tests.domains.ingest.shop import Shop, csv_of, line

ADAPTER = """\
description: A shop of the test.
tables:
  events:
    files: ["*.csv"]
    time: "{{ instant('event_at') }}"
    columns: {event_id: text, event_at: timestamp, event_type: text}
"""


def adapter(folder: Path, select: str) -> Path:
    mine = folder / "adapters" / "mine"
    mine.mkdir(parents=True)
    (mine / "adapter.yml").write_text(ADAPTER)
    (mine / "events.sql").write_text(
        "-- Events.\nselect\n    event_id,\n    {{ time() }} as event_at,\n"
        f"    event_type,\n    {select},\n    {{{{ provenance() }}}}\nfrom {{{{ landed() }}}}\n"
    )
    return mine.parent


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("custmer as customer_id", "Binder Error"),
        ("concat(event_id as customer_id", "Parser Error"),
        ("cast(order_id as int) as order_id", "Conversion Error"),
    ],
)
def test_an_error_in_an_adapter_names_file_and_line(
    make_shop: Callable[..., Shop], tmp_path: Path, select: str, said: str
) -> None:
    shop = make_shop("mine", source="mine", adapters_dir=adapter(tmp_path, select))
    shop.write("events.csv", csv_of(line("e1", order_id="jane@example.com")))
    with pytest.raises(InputError) as raised:
        shop.ingest()
    text = str(raised.value)
    path = tmp_path / "adapters" / "mine" / "events.sql"
    assert text.startswith(f"{path}:") and said in text, text
    assert int(text.removeprefix(f"{path}:").split(":")[0]) in (6, 7), text
    assert "LINE" not in text and "jane" not in text
