"""Messages of failed runs, and the webhook that receives them."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import pytest

from clm_dagster.platform.failures import failure_sensor
from clm_dagster.platform.job_names import DAILY, range_tags
from clm_dagster.settings import Settings


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """A local server that stores the posted messages."""
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", posted
    server.shutdown()
    server.server_close()
    thread.join()


def failed_run(instance: dg.DagsterInstance) -> dg.RunFailureSensorContext:
    @dg.op
    def load() -> None:
        raise ValueError("the file has no column event_id")

    @dg.job(name=DAILY)
    def daily() -> None:
        load()

    result = daily.execute_in_process(
        instance=instance, raise_on_error=False, tags=range_tags("2024-01-02", "2024-01-05")
    )
    return dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.filter_events(lambda event: event.is_run_failure)[0],
    ).for_run_failure()


def test_a_failed_run_is_posted(
    settings_for: Callable[..., Settings], webhook: tuple[str, list[Any]], instance: dg.DagsterInstance
) -> None:
    url, posted = webhook
    post_failures = failure_sensor(settings_for(webhook_url=url))
    context = failed_run(instance)
    assert post_failures(context) is None
    ((kind, message),) = posted
    assert kind == "application/json"
    assert (message["job"], message["partition"]) == (DAILY, "2024-01-02")
    assert message["run_id"] == context.dagster_run.run_id
    assert "the file has no column event_id" in message["error"]
    assert message["text"].startswith("clm_dagster: daily 2024-01-02 failed: load: ")


def test_without_a_webhook_the_tick_is_skipped_with_a_reason(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    result = failure_sensor(settings)(failed_run(instance))
    assert isinstance(result, dg.SkipReason)
    assert "CLM_WEBHOOK_URL" in str(result.skip_message)


def test_an_unreachable_webhook_fails_the_tick(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    nowhere = failure_sensor(settings_for(webhook_url="http://127.0.0.1:9/"))
    with pytest.raises(OSError):
        nowhere(failed_run(instance))
