"""report: animals, groups and time points of results, and one page of them."""

from __future__ import annotations

import csv
import json
import math
import re
import xml.etree.ElementTree as ET

import pytest
from scipy import stats
from study_cases import place, write_sample, write_study

from MgImplantSegLib.cli import main
from MgImplantSegLib.study.analysis import BY_GROUP, BY_TIME, comparisons, correlations, summaries
from MgImplantSegLib.study.reading import read_study

HOSTILE = "<img src=x onerror=alert(1)> $\\frac{1}{0}$ \x1b[31m‮"


def sample(name: str, animal: str, group: str, days: float, **values) -> dict:
    return {"name": name, "study": place(animal, group, days), "values": values}


def write_example(folder):
    """Two groups, two time points, unequal numbers, animals with two implants, a value that is undefined, one lost."""
    samples = [
        sample("a1", "1", "Mg", 28, DR=1.0, BIC=60.0),
        sample("a1b", "1", "Mg", 28, DR=2.0, BIC=50.0),
        sample("a2", "2", "Mg", 28, DR=2.0, BIC=55.0),
        sample("a3", "3", "Mg", 28, DR=None, BIC=70.0),
        sample("b1", "4", "Ti", 28, DR=0.5, BIC=80.0),
        sample("b2", "5", "Ti", 28, DR=0.7, BIC=85.0),
        sample("b3", "6", "Ti", 28, DR=0.6, BIC=90.0),
        sample("c1", "7", "Mg", 84, DR=3.0, BIC=40.0),
        sample("c2", "8", "Mg", 84, DR=3.4, BIC=35.0),
        {"name": "lost", "study": place("9", "Ti", 84), "state": "failed", "problem": "No space."},
    ]
    return write_study(folder / "out", samples)


@pytest.fixture
def study(tmp_path):
    """The results of the example."""
    return write_example(tmp_path)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of the example; made once."""
    folder = tmp_path_factory.mktemp("page")
    write_example(folder)
    words = ["--title", "My study", "--json", str(folder / "result.json")]
    assert main(["report", str(folder / "out"), "--out", str(folder / "report.html"), *words]) == 0
    return folder / "report.html"


def rows(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_an_animal_counts_once_whatever_number_of_implants_it_has(study):
    found = {(entry.quantity.symbol, entry.group, entry.time_days): entry for entry in summaries(read_study([study]))}
    early = found["DR", "Mg", 28.0]
    assert (early.animals, early.implants, early.missing) == (2, 3, 1)
    assert early.mean == pytest.approx((1.5 + 2.0) / 2)
    assert early.standard_deviation == pytest.approx(0.5 / math.sqrt(2))
    assert (early.median, early.lowest, early.highest) == pytest.approx((1.75, 1.5, 2.0))
    assert found["BIC", "Mg", 28.0].animals == 3
    assert ("DR", "Ti", 84.0) not in found


def test_groups_are_compared_at_each_time_point_and_time_points_in_each_group(study):
    found = [entry for entry in comparisons(read_study([study])) if entry.quantity.symbol == "BIC"]
    shown = [(entry.kind, entry.within, entry.first, entry.second) for entry in found]
    assert shown == [(BY_GROUP, "28 days", "Mg", "Ti"), (BY_TIME, "Mg", "28 days", "84 days")]
    expected = stats.ttest_ind([80.0, 85.0, 90.0], [55.0, 55.0, 70.0], equal_var=False)
    assert (found[0].found.t, found[0].found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found[0].p_holm == pytest.approx(expected.pvalue)


def test_implants_of_two_groups_in_the_same_animals_are_pairs(tmp_path):
    pairs = [(1.0, 1.3), (2.0, 2.2), (3.0, 3.6)]
    samples = [
        sample(f"{side}{index}", f"rabbit {index}", group, 28, DR=value)
        for index, pair in enumerate(pairs)
        for side, group, value in (("l", "left alloy", pair[0]), ("r", "right alloy", pair[1]))
    ]
    (entry,) = comparisons(read_study([write_study(tmp_path / "out", samples)]))
    expected = stats.ttest_rel([pair[1] for pair in pairs], [pair[0] for pair in pairs])
    assert (entry.found.animals_both, entry.found.t) == (3, pytest.approx(expected.statistic))


def test_over_all_time_points_the_groups_are_compared_within_each(tmp_path):
    values = {
        ("A", 28): [1.0, 1.2, 0.8],
        ("B", 28): [2.0, 2.2, 1.8],
        ("A", 84): [5.0, 5.2, 4.8],
        ("B", 84): [6.0, 6.2, 5.8],
    }
    samples = [
        sample(f"{group}{days}{index}", f"{group}{days}{index}", group, days, DR=value)
        for (group, days), found in values.items()
        for index, value in enumerate(found)
    ]
    found = comparisons(read_study([write_study(tmp_path / "out", samples)]))
    (pooled,) = [entry for entry in found if entry.within == "all time points"]
    assert pooled.found.difference == pytest.approx(1.0) and pooled.found.degrees_of_freedom == pytest.approx(8)
    assert pooled.p_holm == pytest.approx(pooled.found.p * 3), "the smallest of three comparisons of groups"


def test_animals_that_are_seen_twice_are_pairs_over_time_and_not_pooled(tmp_path):
    values = {"A": [(1.0, 2.0), (1.5, 2.6), (0.9, 2.2)], "B": [(2.0, 2.1), (2.5, 2.4), (2.2, 2.6)]}
    samples = [
        sample(f"{group}{index}{days}", f"{group}{index}", group, days, DR=pair[when])
        for group, pairs in values.items()
        for index, pair in enumerate(pairs)
        for when, days in enumerate((28, 84))
    ]
    found = comparisons(read_study([write_study(tmp_path / "out", samples)]))
    (pooled,) = [entry for entry in found if entry.within == "all time points"]
    assert math.isnan(pooled.found.p) and "seen at several time points" in pooled.found.note
    of_a = next(entry for entry in found if entry.kind == BY_TIME and entry.within == "A")
    expected = stats.ttest_rel([pair[1] for pair in values["A"]], [pair[0] for pair in values["A"]])
    assert of_a.found.p == pytest.approx(expected.pvalue)


def test_rate_and_contact_are_correlated_over_animals_with_both(study):
    found = {entry.within: entry.found for entry in correlations(read_study([study]))}
    x, y = [1.5, 2.0, 0.5, 0.7, 0.6, 3.0, 3.4], [55.0, 55.0, 80.0, 85.0, 90.0, 40.0, 35.0]
    assert found["all"].count == 7
    assert found["all"].r == pytest.approx(stats.pearsonr(x, y).statistic)
    assert found["Ti"].count == 3 and found["within groups and time points"].count == 7


@pytest.mark.parametrize(
    "samples",
    [
        [sample("a", "1", "Mg", 28, DR=1.0), sample("b", "2", "Mg", 28, DR=1.0)],
        [sample("a", "1", "Mg", 28, DR=1.0), sample("b", "1", "Mg", 28, DR=2.0)],
        [sample("a", "1", "Mg", 28, DR=None), sample("b", "2", "Ti", 28, DR=None)],
        [sample("a", "1", "Mg", 28, DR=0.0), sample("b", "2", "Ti", 84, DR=0.0)],
        [{"name": "a", "values": {"DR": 1.0}}, {"name": "b", "values": {"DR": 2.0}}],
        [{"name": "a", "state": "failed", "problem": "No space."}, {"name": "b", "state": "waiting"}],
        [sample("a", "1", "Mg", 0, DR=1.0, BIC=2.0), sample("b", "2", "Ti", 0, DR=1.0, BIC=2.0)],
        [{"name": "a", "values": {}}, {"name": "b", "values": {}}],
    ],
    ids=["equal", "one animal", "undefined", "one each", "no manifest", "none done", "day 0", "no measures"],
)
def test_studies_with_little_in_them_have_a_page_too(tmp_path, samples):
    write_study(tmp_path / "out", samples)
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "nan" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text).lower()


def test_the_page_has_groups_comparisons_figures_methods_and_what_is_missing(page):
    result = json.loads((page.parent / "result.json").read_text("utf-8"))
    assert (result["samples"], result["without_results"]) == (10, ["lost"])
    text = page.read_text("utf-8")
    for words in (
        "<h1>My study</h1>",
        "1.750\u00a0±\u00a00.3536",
        "failed. No space.",
        "mgimplantseg batch study.csv out",
        "weights 0123abcd",
        "with MgImplantSeg 0.1.0 (model mine, weights 0123abcd)",
        "DR: No metal was found.",
        "9 implants of 8 animals were evaluated",
    ):
        assert words in text, words
    assert text.index("g* [95 % CI]") < text.index("p (Holm)")


def test_the_page_is_whole_without_anything_beside_it(page):
    text = page.read_text("utf-8")
    sources = re.findall(r'<img src="([^"]*)"', text)
    assert len(sources) >= 4 and all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"(?i)<script|http-equiv=.refresh|https?://", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    links = re.findall(r'href="([^"#]+)"', text)
    assert links and all((page.parent / link).is_file() for link in links)
    anchors = re.findall(r'href="#([^"]+)"', text)
    assert anchors and all(f'id="{anchor}"' in text for anchor in anchors)


def test_figures_are_svg_with_texts_that_can_be_edited_and_png(page):
    folder = page.parent / "report_files"
    figures = sorted(path.stem for path in folder.glob("*.svg"))
    assert figures == [
        "groups_BIC_implant",
        "groups_DR_implant",
        "rate_and_contact",
        "time_BIC_implant",
        "time_DR_implant",
    ]
    assert all((folder / f"{stem}.png").read_bytes().startswith(b"\x89PNG") for stem in figures)
    texts = [node.text for node in ET.parse(folder / "time_DR_implant.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "time [days]" in texts and "DR [mm/year]" in texts


def test_tables_are_tidy_and_every_column_is_explained(page):
    folder = page.parent / "report_files"
    measures = rows(folder / "measures.csv")
    assert [row["value"] for row in measures if row["symbol"] == "DR"][:4] == ["1", "2", "2", ""]
    assert measures[-1]["sample"] == "lost" and measures[-1]["note"] == "No space."
    explained = {(row["file"], row["column"]): row["meaning"] for row in rows(folder / "dictionary.csv")}
    for path in folder.glob("*.csv"):
        if path.name != "dictionary.csv":
            with open(path, newline="", encoding="utf-8") as stream:
                for column in next(csv.reader(stream)):
                    assert explained[path.name, column]
    compared = rows(folder / "comparisons.csv")
    assert {row["within"] for row in compared} == {"28 days", "Mg"}


def test_profiles_of_a_group_are_means_over_animals(tmp_path):
    from MgImplantSegLib.study.profiles import profile_kinds, profile_of

    samples = [
        {**sample("a", "1", "Mg", 28, DR=1.0), "profile": [10.0, 20.0, None]},
        {**sample("b", "1", "Mg", 28, DR=1.0), "profile": [20.0, 20.0]},
        {**sample("c", "2", "Mg", 28, DR=1.0), "profile": [25.0, 40.0]},
    ]
    found = read_study([write_study(tmp_path / "out", samples)])
    (kind,) = profile_kinds(found)
    profile = profile_of(found.samples, kind)
    assert profile is not None and profile.animals == 2
    assert profile.means == pytest.approx((20.0, 30.0))
    assert profile.deviations == pytest.approx((5 * math.sqrt(2), 10 * math.sqrt(2)))


def test_profiles_whose_bins_begin_elsewhere_are_taken_together(tmp_path):
    from MgImplantSegLib.study.profiles import profile_kinds, profile_of

    samples = [{**sample(name, name, "Mg", 28, DR=1.0), "profile": [10.0, 20.0, 30.0]} for name in "ab"]
    write_study(tmp_path / "out", samples)
    path = tmp_path / "out" / "b" / "measures.json"
    data = json.loads(path.read_text("utf-8"))
    for edge in ("x_low", "x_high"):
        data["series"][0][edge] = [round(x + 0.06, 10) for x in data["series"][0][edge]]
    path.write_text(json.dumps(data), "utf-8")
    found = read_study([tmp_path / "out"])
    profile = profile_of(found.samples, profile_kinds(found)[0])
    assert profile is not None and profile.low == pytest.approx((0.0, 0.05, 0.1, 0.15))
    assert profile.high[:-1] == profile.low[1:]
    assert profile.means == pytest.approx((10.0, 15.0, 25.0, 30.0))


def test_hostile_names_stay_text(tmp_path):
    group = HOSTILE * 2
    samples = [
        {**sample("a", HOSTILE, group, 28, DR=1.0, BIC=1.0), "profile": [1.0], "warnings": [HOSTILE]},
        {**sample("b", "x", "other $_", 84, DR=2.0, BIC=3.0), "profile": [1.0]},
    ]
    write_study(tmp_path / "out", samples, command=HOSTILE)
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "r.html"), "--title", HOSTILE]) == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "<img src=x" not in text and "\x1b" not in text and "‮" not in text
    for path in (tmp_path / "r_files").glob("*.svg"):
        ET.parse(path)


def test_a_single_sample_has_a_page_without_statistics(tmp_path):
    write_sample(tmp_path / "one", {"DR": 1.0, "V_r": None}, [1.0, 2.0], time_days=84)
    assert main(["report", str(tmp_path / "one"), "--out", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "<h1>MgImplantSeg: one</h1>" in text and "Comparisons" not in text and "V_r: No metal" in text
    assert (tmp_path / "r_files" / "profile_BV_TV_shells_distance_from_the_implant.svg").is_file()


def test_expected_iou_is_shown_where_it_is_known(tmp_path):
    write_sample(tmp_path / "one", {"DR": 1.0}, None, expected_iou={"bone": 0.81234, "mean": 0.7})
    assert main(["report", str(tmp_path / "one"), "--out", str(tmp_path / "r.html")]) == 0
    assert "expected IoU: bone 0.8123, mean 0.7000" in (tmp_path / "r.html").read_text("utf-8")


def test_a_manifest_can_be_given_afterwards(study, tmp_path):
    (study.parent / "a1.nrrd").touch()
    (study.parent / "study.csv").write_text("image,name,group\na1.nrrd,a1,other\n")
    words = ["report", str(study), "--out", str(study.parent / "r.html"), "--manifest", str(study.parent / "study.csv")]
    assert main(words) == 0
    found = {row["sample"]: row["group"] for row in rows(study.parent / "r_files" / "measures.csv")}
    assert found["a1"] == "other" and found["a2"] == "Mg"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "nothing there"),
        ("", "something else or a damaged file"),
        ("[" * 100_000, "something else or a damaged file"),
        ('{"measures": [{"symbol": "DR"}]}', "something else or a damaged file"),
        ('{"samples": []}', "something else or a damaged file"),
    ],
)
def test_what_is_no_result_is_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "measures.json"
    if content is not None:
        path.write_text(content)
    assert main(["report", str(path), "--out", str(tmp_path / "r.html")]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "r.html").exists()


def test_a_sample_whose_measures_are_damaged_is_shown_as_such(study):
    (study / "a1" / "measures.json").write_text("{ damaged")
    found = {entry.name: entry for entry in read_study([study]).samples}
    assert found["a1"].state == "unreadable" and "damaged" in found["a1"].problem


def test_measures_are_read_from_a_file_of_any_name(tmp_path):
    write_sample(tmp_path / "left", {"DR": 0.3}, None)
    file = (tmp_path / "left" / "measures.json").rename(tmp_path / "left_screw.json")
    (sample,) = read_study([file]).samples
    assert (sample.name, sample.image, sample.measures[0]["value"]) == ("left_screw", "", 0.3)


def test_samples_with_equal_names_of_two_batches_stay_apart(tmp_path):
    for name in ("first", "second"):
        write_study(tmp_path / name, [sample("a", name, "Mg", 28, DR=1.0)])
    found = read_study([tmp_path / "first", tmp_path / "second"])
    assert [entry.name for entry in found.samples] == ["first/a", "second/a"]


def test_a_page_never_replaces_the_results(study, capsys):
    assert main(["report", str(study), "--out", str(study / "batch.json")]) == 2
    assert json.loads((study / "batch.json").read_text("utf-8"))["samples"]
