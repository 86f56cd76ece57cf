"""The report opens offline in a real browser: its menu works, a figure opens, and nothing is asked of the network."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from workflow_runs import SMALL, run_snakemake

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# What a visitor does: open an experiment, a dataset in it, and the first of its figures.
VISIT = """
<script>
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
async function found(select) {
  for (let attempt = 0; attempt < 50; attempt++) {
    const element = select();
    if (element) return element;
    await pause(100);
  }
  throw new Error("not found: " + select);
}
const all = (selector) => [...document.querySelectorAll("#app " + selector)];
const named = (text) => () => all("*").filter((e) => e.textContent.trim() === text).pop();
async function visit() {
  const seen = {};
  try {
    seen.menu = [...document.querySelectorAll("#app li")].map((e) => e.textContent.trim());
    (await found(named("small"))).click();
    (await found(named("unseen"))).click();
    const rows = () => all("tr").find((e) => e.textContent.includes("image"));
    (await found(rows)).querySelector("a").click();
    const shown = () => document.querySelector("#app img[alt], #app img:not([src*='logo.svg'])");
    const image = await found(shown);
    await pause(500);
    seen.width = image.naturalWidth;
    seen.asked = performance.getEntriesByType("resource").map((e) => e.name).filter((name) => name.startsWith("http"));
  } catch (error) {
    seen.error = String(error);
  }
  document.body.setAttribute("data-seen", JSON.stringify(seen));
}
window.addEventListener("load", () => setTimeout(visit, 500));
</script>
"""


@pytest.fixture(scope="module")
def report(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("report") / "w", copy_function=shutil.copy2))
    result = run_snakemake(folder, SMALL, "results/report.html")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "results/report.html"


def test_the_report_holds_what_was_found_and_what_made_it(report: Path):
    log = (report.parent / "logs/report.log").read_text()
    for name in ("reconstruction.png", "correlation.png", "probe.png", "scan.png", "training.png"):
        assert f"Adding {name}" in log
    for name in ("config.yaml", "provenance.json", "runs.html", "warnings.html", "view.html"):
        assert f"Adding {name}" in log
    text = report.read_text(encoding="utf-8")
    assert "turned the diffraction patterns" in text
    assert '"category": "small"' in text or "small" in text


def test_pages_that_are_large_together_are_linked_and_not_held(report: Path, tmp_path: Path):
    folder = Path(shutil.copytree(report.parents[1], tmp_path / "w", copy_function=shutil.copy2))
    page = folder / "results/small/seed3/unseen/view.html"
    with open(page, "a") as file:
        file.write(" " * 20_000_000)
    result = run_snakemake(folder, SMALL, "--report", "results/large.html")
    assert result.returncode == 0, result.stderr
    assert "Adding reconstruction.png" in result.stderr
    assert "Adding view.html" not in result.stderr
    text = (folder / "results/large.html").read_text(encoding="utf-8")
    assert len(text) < report.stat().st_size
    (link,) = set(re.findall(r'href=[\\"]+([^"\\]*view\.html)', text))
    assert folder / "results" / link == page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the report with")
def test_a_visitor_opens_a_figure_offline(report: Path, tmp_path: Path):
    page = tmp_path / "visited.html"
    text = report.read_text(encoding="utf-8")
    end = text.rindex("</body>") if "</body>" in text else len(text)
    page.write_text(text[:end] + VISIT + text[end:], encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", "--window-size=1400,900"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"]
    result = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=180
    )
    seen = json.loads(re.search(r'data-seen="([^"]*)"', result.stdout)[1].replace("&quot;", '"'))
    assert "error" not in seen, seen
    assert {"Workflow", "Statistics", "All results", "small"} <= set(seen["menu"])
    assert seen["width"] > 500
    assert not [line for line in result.stderr.splitlines() if "CONSOLE" in line and "rror" in line]
    assert seen["asked"] == []
