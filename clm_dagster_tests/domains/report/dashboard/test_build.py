"""The project, installed and built with npm."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from clm_dagster.domains.report.dashboard.data import refresh_data
from clm_dagster.domains.report.dashboard.project import write_project
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.report.dashboard.dashboard_shop import open_data, publish

NPM = shutil.which("npm")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(NPM is None, reason="needs npm, `apt-get install npm`")]


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run npm in a project."""
    assert NPM is not None
    return subprocess.run(
        [NPM, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture
def install(settings_for: Callable[..., Settings], tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes and installs the project of a shop; skip the test where npm has no registry."""
    probe = npm(tmp_path, "view", "@evidence-dev/evidence", "version", "--fetch-retries=0")
    if probe.returncode:
        pytest.skip(f"npm cannot read its registry: {probe.stderr[:200]}")

    def made(kind: str) -> Path:
        settings = settings_for(data_dir=tmp_path / kind)
        publish(settings, kind)
        folder = tmp_path / f"{kind}-dashboard"
        write_project(folder)
        refresh_data(settings, folder)
        installed = npm(folder, "install", "--no-audit", "--no-fund")
        assert installed.returncode == 0, installed.stderr
        return folder

    return made


@pytest.mark.parametrize("kind", ["full", "bare"])
def test_a_site_is_built_and_has_the_numbers(install: Callable[[str], Path], kind: str) -> None:
    folder = install(kind)
    for step in ("sources", "build"):
        done = npm(folder, "run", step)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "✖" not in done.stdout and "Error" not in done.stdout
    pages = {page.stem for page in (folder / "pages").glob("*.md")} - {"index"}
    html = {name: (folder / "build" / name / "index.html").read_text(encoding="utf-8") for name in pages}
    html["index"] = (folder / "build" / "index.html").read_text(encoding="utf-8")
    data = open_data(folder)
    if kind == "bare":
        assert "There is no whole week before this snapshot." in html["index"]
        assert "Nothing was delivered." in html["quality"]
        return
    # Text of the shop is text on the page.
    assert "Sentence 3 with {braces} &amp; &lt;b>." in html["index"]
    ((revenue,),) = data.execute("select net_revenue from clm.weeks order by week desc limit 1").fetchall()
    assert f"{revenue:,.0f}" in html["index"]
    ((customers,),) = data.execute("select sum(customers) from clm.actions").fetchall()
    assert f">{customers:,}" in html["actions"].replace(" ", "")
    if BROWSER is None:
        pytest.skip("what the browser draws needs Chromium, `apt-get install chromium`")
    shown = opened(folder, "quality/")
    (row,) = data.execute(
        "select contract_table, delivered, accepted, rejected, duplicate from clm.deliveries"
    ).fetchall()
    assert " ".join(str(value) for value in row) in shown
    ((customer,),) = data.execute("select customer from clm.to_call limit 1").fetchall()
    assert customer in opened(folder, "churn/")


def opened(folder: Path, page: str) -> str:
    """Return the text of a page of the site after its scripts have run, with the network cut."""
    assert BROWSER is not None
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder / "build"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [
                BROWSER,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={folder / 'profile'}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                "--virtual-time-budget=20000",
                "--dump-dom",
                f"http://127.0.0.1:{server.server_address[1]}/{page}",
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        server.shutdown()
    return " ".join(re.sub(r"<[^>]*>", " ", done.stdout).split())
