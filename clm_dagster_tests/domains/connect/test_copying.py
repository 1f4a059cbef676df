"""Files of a bucket and of a folder, copied into the inbox: new ones, changed ones, nothing else."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from clm_dagster_tests.domains.connect.conftest import Puller

SECRET = "secret-of-the-bucket"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket `exports` on a server of S3's API; the server's address is in BUCKET_URL."""
    monkeypatch.setenv("BUCKET_SECRET", SECRET)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("BUCKET_URL", f"http://{host}:{port}")
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="key",
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="exports")
    yield client
    client.close()
    server.stop()


def connector(**given: Any) -> dict[str, Any]:
    options = {
        "key": "access",
        "secret": "${BUCKET_SECRET}",
        "client_kwargs": {"endpoint_url": "${BUCKET_URL}"},
    }
    entry = {"type": "files", "url": "s3://exports/shop", "pattern": "**/*.csv", "options": options}
    return {"bucket": entry | given}


def test_new_and_changed_files_of_a_bucket(bucket: Any, puller: Callable[..., Puller]) -> None:
    def put(key: str, content: str) -> None:
        bucket.put_object(Bucket="exports", Key=key, Body=content.encode())

    put("shop/orders.csv", "a\n1\n")
    put("shop/2024/orders.csv", "a\n2\n")
    put("shop/_unfinished.csv", "a\n3\n")
    put("shop/readme.txt", "not asked for")
    put("other/orders.csv", "not asked for")
    shop = puller(connector())
    assert shop.pull() == {"bucket.files": 2}
    assert (shop.inbox / "2024" / "orders.csv").read_text() == "a\n2\n"
    assert shop.files("**/*.csv") == ["orders.csv", "orders.csv"]
    assert shop.pull() == {"bucket.files": 0}
    put("shop/orders.csv", "a\n1\n4\n")
    put("shop/new.csv", "a\n5\n")
    assert shop.pull() == {"bucket.files": 2}
    assert (shop.inbox / "orders.csv").read_text() == "a\n1\n4\n"
    for path in shop.settings.data_dir.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_a_bucket_that_is_not_there_is_an_error_without_secrets(
    bucket: Any, puller: Callable[..., Puller]
) -> None:
    message = str(puller(connector(url="s3://nothing/here")).failure())
    assert "the pull of bucket.files failed" in message or "no file at the address matches" in message
    assert SECRET not in message


def test_files_of_a_folder_and_a_file_of_another_time(tmp_path: Path, puller: Callable[..., Puller]) -> None:
    source = tmp_path / "exports"
    source.mkdir()
    (source / "orders.csv").write_text("a\n1\n")
    shop = puller(
        {"disk": {"type": "files", "url": f"file://{source}", "pattern": "*.csv", "folder": "disk"}}
    )
    assert [shop.pull(), shop.pull()] == [{"disk.files": 1}, {"disk.files": 0}]
    (source / "orders.csv").write_text("a\n2\n")  # of the same size
    os.utime(source / "orders.csv", (2_000_000_000, 2_000_000_000))
    assert shop.pull() == {"disk.files": 1}
    assert (shop.inbox / "disk" / "orders.csv").read_text() == "a\n2\n"
