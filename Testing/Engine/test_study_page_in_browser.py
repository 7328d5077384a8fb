"""The page of a report in a real browser: Debian's Chromium without a window."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from study_cases import place, write_study

from MgImplantSegLib.cli import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = '"><script>document.title="taken"</script><img src=x onerror=document.title="taken">'
WIDTH = 800
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
LOOK = """
<script>
addEventListener("load", () => {
  const pictures = [...document.images].map(image => image.complete && image.naturalWidth > 0);
  const root = document.documentElement;
  const wide = [...document.querySelectorAll(".wide")].filter(part => part.scrollWidth > part.clientWidth).length;
  const found = {pictures: pictures.length, loaded: pictures.filter(Boolean).length, wide,
                 overflow: root.scrollWidth - root.clientWidth, anchors: [...document.querySelectorAll("nav a")]
                 .filter(link => document.getElementById(link.hash.slice(1)) === null).length};
  root.dataset.seen = JSON.stringify(found);
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """The page of two groups at two time points, with hostile names."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("browser")
    samples = [
        {
            "name": f"s{group}{days}{index}",
            "study": place(f"{group}{days}{index}", f"group {group}", days) | {"remark": HOSTILE},
            "values": {"DR": 1 + index / 10 + group, "BIC": 50 - index, "BV/TV": 30.0 + index, "V_r": 2.0},
            "profile": [10.0, 20.0 + index],
            "warnings": [HOSTILE],
        }
        for group in (1, 2)
        for days in (28, 84)
        for index in range(3)
    ]
    write_study(folder / "out", samples, command=HOSTILE)
    for name in ("view_3d.png", "slices.png"):
        Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / "out" / "s1280" / name)
    assert main(["report", str(folder / "out"), "--out", str(folder / "report.html"), "--title", HOSTILE]) == 0
    return folder / "report.html"


def chromium(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What Chromium does without a window."""
    fixed = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--v=0",
    ]
    profile = f"--user-data-dir={folder / 'profile'}"
    return subprocess.run(
        [str(CHROMIUM), *fixed, profile, f"--window-size={WIDTH},2000", *words],
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )


def test_the_page_opens_from_disk_without_an_error_and_hostile_names_stay_text(page, tmp_path):
    done = chromium(tmp_path, "--dump-dom", page.as_uri())
    assert "CONSOLE" not in done.stderr, done.stderr
    assert "<script" not in done.stdout and "<title>taken" not in done.stdout
    assert done.stdout.count("&lt;script&gt;") >= 4


def test_pictures_load_links_lead_somewhere_and_nothing_is_wider_than_the_window(page, tmp_path):
    looked = page.with_name("looked.html")
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text("utf-8"))  # the page itself lets no script run
    looked.write_text(text.replace("</head>", f"{LOOK}</head>"), "utf-8")
    done = chromium(tmp_path, "--dump-dom", looked.as_uri())
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found is not None
    seen = dict(re.findall(r"&quot;(\w+)&quot;:(-?\d+)", found[1]))
    assert int(seen["pictures"]) >= 10 and seen["loaded"] == seen["pictures"]
    assert (seen["overflow"], seen["anchors"]) == ("0", "0")
    assert seen["wide"] == "0", "tables fit into 800 pixels"


def test_the_page_prints_to_pdf(page, tmp_path):
    chromium(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer", page.as_uri())
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF") and len(content) > 20_000
