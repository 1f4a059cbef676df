"""The page in a real browser, with the network cut."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clm_dagster_tests.domains.report.page_reader import ReadPage
from clm_dagster_tests.domains.report.page_shop import empty_shop, first_tables, model_tables
from clm_dagster_tests.domains.report.test_page import HOSTILE

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium, `apt-get install chromium`"),
]


def opened(path: Path, query: str = "", size: str = "1280,900") -> tuple[str, str]:
    """Return the document after its scripts have run, and what the browser logged."""
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={path.parent / 'profile'}",
            f"--window-size={size}",
            # Nothing outside can be reached.
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--proxy-server=127.0.0.1:9",
            "--enable-logging=stderr",
            "--virtual-time-budget=20000",
            "--dump-dom",
            f"{path.as_uri()}{query}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout, done.stderr


def page_with(path: Path, texts: list[str]) -> Path:
    """Write the page of a shop with these texts in it."""
    shop = empty_shop()
    first_tables(shop)
    model_tables(shop)
    for number, text in enumerate(texts):
        quoted = "'" + text.replace("'", "''") + "'"
        customer = f"'k{number + 1}'"
        shop.run(
            f"update core.rfm_scores set segment = {quoted} where customer_id = {customer}",
            f"update marts.next_best_actions set play = {quoted} where customer_id = {customer}",
            f"insert into raw.rejects values ({quoted}, 'events', null)",
        )
    path.write_text(shop.page(shop=texts[0] if texts else "shop"), encoding="utf-8")
    return path


@pytest.mark.parametrize(("query", "language"), [("", "en"), ("?language=zh&theme=dark", "zh")])
@pytest.mark.parametrize("texts", [[], list(HOSTILE)], ids=["plain", "hostile"])
def test_every_chart_is_drawn_without_an_error(
    tmp_path: Path, texts: list[str], query: str, language: str
) -> None:
    path = page_with(tmp_path / "page.html", texts)
    wanted = ReadPage.of(path.read_text(encoding="utf-8")).data[language]["charts"]
    html, log = opened(path, query)
    assert not re.findall(r".*CONSOLE.*", log), log
    # A drawn chart has an SVG of its own; those of the other language are drawn when it is chosen.
    assert len(re.findall(r'<svg[^>]*class="marks"', html)) == len(wanted)
    assert "<script>alert" not in html.split('id="data"')[0]


def test_a_phone_and_the_print_have_the_page(tmp_path: Path) -> None:
    path = page_with(tmp_path / "page.html", [])
    html, log = opened(path, size="390,844")
    assert not re.findall(r".*CONSOLE.*", log), log
    assert len(re.findall(r'<svg[^>]*class="marks"', html)) > 8
    assert BROWSER is not None
    subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--print-to-pdf={tmp_path / 'page.pdf'}",
            path.as_uri(),
        ],
        capture_output=True,
        timeout=300,
        check=True,
    )
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
