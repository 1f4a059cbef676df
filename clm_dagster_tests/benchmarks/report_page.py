"""The report's page at a shop of a million customers: writing it, its size, and loading it until all charts are drawn.

Belongs here: the shop, seconds, megabytes. Does not: output (`report_actions`).

The shop is the published copy of `clm demo` with copies of its customers, so that all tables have the columns and
shares of real ones. The page is drawn in headless Chromium, from a disk.
"""

import shutil
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb

from clm_dagster_tests.benchmarks import children

# Tables by customer that grow; the page reads no other ones of a customer. Of wide ones it reads the newest snapshot.
GROWN = (
    "core.customer_daily",
    "core.rfm_scores",
    "core.stage_states",
    "marts.churn_scores",
    "marts.customer_value",
)
NEWEST = ("core.customer_features", "marts.next_best_actions", "marts.recommendations")
_ROUNDS = 5
_PATIENCE = 120


def measure(work: str, customers: int = 1_000_000) -> dict[str, Any]:
    """Make the shop, write its page and load it."""
    folder = f"{work}/report"
    children.run("whole_run:command", arguments=["demo"], folder=folder)
    published = f"{folder}/demo/published/clm.duckdb"
    found = children.run("report_page:grow", path=published, customers=customers)
    found |= children.run("report_page:write", path=published, page=f"{work}/page.html")
    return found | {"loads": loads(Path(work) / "page.html")}


def grow(path: str, customers: int) -> dict[str, Any]:
    """Copy the customers of a published copy until there are as many as asked for."""
    with duckdb.connect(path) as connection:
        ((known,),) = connection.execute(
            "select count(*) from core.customer_features "
            "where as_of = (select max(as_of) from core.customer_features)"
        ).fetchall()
        copies = max(1, round(customers / known))
        for table in (*GROWN, *NEWEST):
            names = [name for name, *_ in connection.execute(f"describe {table}").fetchall()]
            # As they are stored: by snapshot or day, so that one of them is not read with all others.
            order = "as_of" if "as_of" in names else "activity_date"
            kept = f"where as_of = (select max(as_of) from {table})" if table in NEWEST else ""
            connection.execute(
                f"create or replace table {table} as select known.* replace (case when copy > 0 "
                f"then known.customer_id || '-' || copy else known.customer_id end as customer_id) "
                f"from (select * from {table} {kept}) as known, range({copies}) as copies(copy) order by {order}"
            )
    return {"customers": known * copies}


def write(path: str, page: str) -> dict[str, Any]:
    """Write the page of a published copy."""
    from clm_dagster.domains.report.page import render_page
    from clm_dagster.domains.report.pseudonyms import Pseudonyms
    from clm_dagster.domains.report.reading import PageReading, page_as_of
    from clm_dagster.platform.warehouse import Connection

    with duckdb.connect(path, read_only=True) as raw:
        connection = Connection(raw)
        start = time.perf_counter()
        reading = PageReading(connection, page_as_of(connection, None), "benchmark", Pseudonyms(bytes(32)))
        text = render_page(reading, "en")
        seconds = time.perf_counter() - start
    Path(page).write_text(text, encoding="utf-8")
    return {"write_seconds": seconds, "size_mb": len(text.encode()) / 1e6}


def loads(page: Path) -> list[float]:
    """Return the seconds from opening the page until all charts are drawn; none without Chromium."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return [] if browser is None else [_load(browser, page) for _ in range(_ROUNDS)]


def _load(browser: str, page: Path) -> float:
    """Load a copy of the page, without its policy, which tells a server here when it is drawn."""
    told: list[float] = []
    done = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(float(self.rfile.read(int(self.headers["Content-Length"]))) / 1000)
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script = f"""<script>(() => {{
      const look = () => [...document.querySelectorAll("[data-language]:not([hidden]) [data-chart]")]
        .every((place) => place.querySelector("svg"))
        ? fetch("http://127.0.0.1:{server.server_port}", {{ method: "POST", mode: "no-cors", body: performance.now() }})
        : setTimeout(look, 5);
      look();
    }})();</script></body>"""
    html = page.read_text(encoding="utf-8").replace('http-equiv="Content-Security-Policy"', 'name="policy"')
    copy = page.with_name("measured.html")
    copy.write_text(html.replace("</body>", script), encoding="utf-8")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        window = subprocess.Popen(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={profile}",
                "--window-size=1440,900",
                "--remote-debugging-port=0",
                copy.as_uri(),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            done.wait(_PATIENCE)
        finally:
            window.terminate()
            window.wait()
            server.shutdown()
            server.server_close()
    if not told:
        raise TimeoutError(f"the charts of {page} were not drawn within {_PATIENCE} s")
    return told[0]
