"""The page in a real browser, with the network cut."""

import base64
import io
import json
import re
import shutil
import subprocess
from csv import DictReader
from pathlib import Path
from typing import Any

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


def acted(path: Path, script: str, query: str = "", size: str = "1280,900") -> Any:
    """Return what a script returns that acts on the page after it was drawn, as JSON.

    The script is an addition to a copy of the page, whose policy would not let it run.
    """
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text(encoding="utf-8"))
    driver = f"""
    const wait = (ms) => new Promise((done) => setTimeout(done, ms));
    const all = (selector) => [...document.querySelectorAll(selector)];
    const part = () => document.querySelector("[data-language]:not([hidden])");
    addEventListener("load", async () => {{
      await wait(3000);
      let result;
      try {{
        result = await (async () => {{ {script} }})();
      }} catch (error) {{
        result = {{ error: String(error.stack) }};
      }}
      const place = document.createElement("template");
      place.id = "result";
      place.setAttribute("data-result", btoa(unescape(encodeURIComponent(JSON.stringify(result)))));
      document.body.append(place);
    }});
    """
    copy = path.with_name("acted.html")
    copy.write_text(html.replace("</body>", f"<script>{driver}</script></body>"), encoding="utf-8")
    found, log = opened(copy, query, size)
    answer = re.search(r'data-result="([^"]*)"', found)
    assert answer is not None, log
    result = json.loads(base64.b64decode(answer[1]))
    assert not (isinstance(result, dict) and "error" in result), result["error"]
    return result


SHOWN = """
    const language = part().dataset.language;
    const of = (name) => document.getElementById(`${language}-${name}`);
    const visible = (name) => [...of(name).querySelectorAll("tbody tr")].filter((row) => !row.hidden);
    const state = () => ({
      segments: [...new Set(visible("planned_actions").map((row) => row.dataset.segment))],
      rows: visible("to_call").length,
      sentences: ["segment_map", "churn_grid", "to_call", "planned_actions"].map(
        (name) => of(name).querySelector(".sentence").textContent),
      label: of("churn_grid").querySelector("[data-chart]").getAttribute("aria-label"),
      notes: [...part().querySelectorAll("[data-chosen]")].map((note) => note.hidden),
      bars: of("planned_actions").querySelector("svg").outerHTML.length,
      customers: [...of("churn_grid").querySelectorAll("svg text")].map((text) => text.textContent),
    });
    const choose = async (code) => {
      const select = part().querySelector("[data-choose-segment]");
      select.value = code;
      select.dispatchEvent(new Event("change", { bubbles: true }));
      await wait(500);
    };
"""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_chosen_segment_filters_tables_charts_and_sentences(tmp_path: Path, language: str) -> None:
    path = page_with(tmp_path / "page.html", [])
    said = ReadPage.of(path.read_text(encoding="utf-8")).data[language]["segments"]
    before, chosen, after = acted(
        path,
        SHOWN + "const first = state(); await choose('loyal'); const second = state(); await choose('all');"
        "return [first, second, state()];",
        f"?language={language}",
    )
    assert before["segments"] == after["segments"] and len(before["segments"]) > 1
    assert chosen["segments"] == ["loyal"] and 0 < chosen["rows"] <= 10 < before["rows"]
    figures = ("segment_map", "churn_grid", "to_call", "planned_actions")
    assert chosen["sentences"] == [said[name]["loyal"] for name in figures]
    assert before["sentences"] == after["sentences"] != chosen["sentences"]
    assert chosen["label"].endswith(said["churn_grid"]["loyal"])
    assert not any(chosen["notes"]) and all(before["notes"]) and all(after["notes"])
    assert before["customers"] == after["customers"] != chosen["customers"]


def test_the_csv_of_a_table_has_its_rows_and_no_formulas(tmp_path: Path) -> None:
    texts = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@sum", 'a "b", c', "\t=1", "fine"]
    path = page_with(tmp_path / "page.html", texts)
    csv = acted(
        path,
        """
        const blobs = [];
        URL.createObjectURL = (blob) => { blobs.push(blob); return "#"; };
        URL.revokeObjectURL = () => {};
        HTMLAnchorElement.prototype.click = function () {};
        const save = (name) => document.getElementById(`en-${name}`).querySelector("[data-csv]").click();
        save("rejects");
        save("segment_map");
        return Promise.all(blobs.map(async (blob) => [...new Uint8Array(await blob.arrayBuffer())]));
        """,
    )
    rejects, segments = (bytes(each) for each in csv)
    assert rejects.startswith(b"\xef\xbb\xbf")
    rows = list(DictReader(io.StringIO(rejects.decode("utf-8-sig"), newline="")))
    reasons = {row["reason"] for row in rows}
    assert {f"'{text}" for text in texts[:4]} <= reasons and {'a "b", c', "fine"} <= reasons
    assert not any(re.match(r"\s*[=+@-]", reason) for reason in reasons)
    # Numbers are numbers, also negative ones.
    assert all(row["rejected"].isdecimal() for row in rows)
    shown = ReadPage.of(path.read_text(encoding="utf-8")).tables["en", "segment_map"]
    written = list(DictReader(io.StringIO(segments.decode("utf-8-sig"), newline="")))
    assert [row["net_revenue"] for row in written] == [row["net_revenue"].content for row in shown]


def test_the_language_is_switched_on_the_page(tmp_path: Path) -> None:
    path = page_with(tmp_path / "page.html", [])
    charts = ReadPage.of(path.read_text(encoding="utf-8")).data["zh"]["charts"]
    found = acted(
        path,
        """
        location.hash = "#en-churn";
        part().querySelector('[data-set-language="zh"]').click();
        await wait(3000);
        return {
          language: document.documentElement.lang,
          parts: all("[data-language]").map((each) => [each.dataset.language, each.hidden]),
          hash: location.hash,
          title: document.title,
          focus: document.activeElement.dataset.setLanguage,
          drawn: all('[data-language="zh"] [data-chart] svg').length,
          left: all('[data-language="en"] [data-chart] svg').length,
        };
        """,
    )
    assert found["language"] == "zh" and sorted(found["parts"]) == [["en", True], ["zh", False]]
    assert found["hash"] == "#zh-churn" and found["focus"] == "zh" and not found["title"].isascii()
    assert found["drawn"] == len(charts) and found["left"] == 0


def test_no_chart_is_cut_on_a_page_of_a4(tmp_path: Path) -> None:
    """The rules of print hold for all media in the copy, whose window is as wide as A4 without its margins."""
    path = page_with(tmp_path / "page.html", [])
    printed = path.read_text(encoding="utf-8").replace("@media print {", "@media all {", 1)
    assert printed.count("@media all {") == 1
    path.write_text(printed, encoding="utf-8")
    figures = acted(
        path,
        """
        dispatchEvent(new Event("beforeprint"));
        await wait(500);
        return [...part().querySelectorAll(".chart-figure")].map((figure) => {
          const chart = figure.querySelector("[data-chart]");
          const size = (each) => { const box = each.getBoundingClientRect(); return [box.width, box.height]; };
          return { id: figure.id, inside: getComputedStyle(figure).breakInside, figure: size(figure),
                   place: chart && size(chart), svg: chart && size(chart.querySelector("svg")) };
        });
        """,
        size="703,1017",
    )
    drawn = [figure for figure in figures if figure["svg"]]
    assert len(drawn) > 8
    for figure in drawn:
        assert figure["inside"] == "avoid"
        # 297 mm less twice 14 mm of margin, at 96 pixels for 25.4 mm.
        assert figure["figure"][1] < (297 - 28) / 25.4 * 96, figure
        assert figure["svg"][0] <= figure["place"][0] + 1 and figure["svg"][1] <= figure["place"][1] + 1, (
            figure
        )
        assert figure["svg"][1] > 40


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
    pdf = (tmp_path / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    boxes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert len(boxes) > 3
    # A4 is 595 by 842 points.
    assert {(round(float(width)), round(float(height))) for width, height in boxes} <= {
        (595, 842),
        (594, 842),
    }
