"""A model's card as a clinician reads it: bundled, taught, and from anywhere."""

import json
import re
import zipfile

import pytest

from MgImplantSegLib.base.resources import bundled_models
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

SPEC = {"name": "unet", "depth": 5, "width": 12, "classes": 4}
LINEAGE = [
    {
        "parent": "mgimplantseg-sim20",
        "scans": [{"name": "rat 3", "slice_count": 4}, {"name": "rat 5", "slice_count": 2}],
        "held_out": {"before": {"mean": 0.6123}, "after": {"mean": 0.8349}},
    }
]


def card(**facts):
    return ModelCard("mine", SPEC, Preprocessing(20.0), **facts)


def html_of(model_card):
    from MgImplantSegSections.work import cardDetails

    return cardDetails.cardHtml(model_card), cardDetails.historyHtml(model_card)


def words_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>|&nbsp;", " ", html))


def test_the_bundled_model_is_told_in_words_with_two_digits_and_its_history_is_apart(module):
    path = bundled_models()["mgimplantseg-sim20"]
    shown, history = html_of(ModelCard.from_dict(json.loads(zipfile.ZipFile(path).read("card.json"))))
    text = words_of(shown)
    for said in (
        "Do not report BIC from it.",
        "Research use only.",
        "Kinds of explants not trained on, 20 µm, average 0.86 0.93 0.68 0.87",
        "worst kind (projected 10 µm) 0.59",
        "warns below 0.83",
        "108 scans (172 million voxels).",
        "12 further scans",
        "U-Net, 5 levels, 12 channels in the first",
        "20 µm; other scans are resampled",
        "Apache-2.0",
    ):
        assert said in text, said
    assert not re.search(r"[a-z]_[a-z]|'\d{5}'|\d\.\d{5}", text)
    assert "from random weights" in history and "from random weights" not in text
    assert re.findall(r"<h4>(.*?)</h4>", shown) == [
        "What to report, and what not",
        "How good it is",
        "What it was trained on",
        "What it is",
    ]


def test_a_taught_model_says_from_what_and_how_much_better_it_became(module):
    metrics = {
        "held_out": {"slices": ["rat 3 z:40"], "before": {"mean": 0.6123}, "after": {"mean": 0.8349, "bone": 0.9}}
    }
    shown, history = html_of(card(metrics=metrics, training={"lineage": LINEAGE, "description": "Taught from it."}))
    text = words_of(shown)
    assert "Taught from mgimplantseg-sim20: 6 labelled slices of rat 3, rat 5." in text
    assert "On slices kept apart its mean IoU went from 0.61 to 0.83." in text
    assert "Slices kept apart, after teaching 0.83 0.90" in text
    assert "<li>Taught from mgimplantseg-sim20" in history


def test_a_card_that_says_nothing_says_so(module):
    shown, history = html_of(card())
    text = words_of(shown)
    assert text.count("Not documented.") == 2 and "no expected IoU" in text and history == ""


HOSTILE = {
    "markup": {
        "metrics": {"<img src=x>": {"mean_iou": 0.5, "family": "<b>x</b>"}},
        "training": {"history": ["<script>"]},
    },
    "no tables": {"metrics": {"held_out": [1, 2], "worst": "x"}, "training": {"data": 3, "lineage": {"a": 1}}},
    "no numbers": {
        "metrics": {"a": {"mean_iou": "0.9", "bone": True, "x": 10**400}},
        "training": {"elapsed_minutes": []},
    },
    "huge": {"metrics": {"mean_iou": 10**400, "held_out": {"after": {"mean": True}}}, "training": {"description": [1]}},
    "rounds": {"training": {"lineage": [3, {"scans": [None, {"name": 7, "slice_count": "x"}], "parent": ["p"]}]}},
    "long": {"metrics": {"k" * 5000: {"mean_iou": 1e300}}, "training": {"description": "d" * 10**5}},
    "deep": {"metrics": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"mean_iou": 0.5}}}}}}}}}},
    "many": {"metrics": {f"set {n}": {"mean_iou": 0.5} for n in range(5000)}},
    "name": {"training": {"description": "<p>a</p><h1>b"}, "licence": "<i>", "created": "&lt;"},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_stands_in_a_card_it_is_shown_as_text_and_not_at_length(module, kind):
    from MgImplantSegSections.work.cardText import cardText

    lines = cardText(card(**HOSTILE[kind])).splitlines()
    assert len(lines) == 2 and len(lines[0]) < 300
    shown, history = html_of(card(**HOSTILE[kind]))
    tags = set(re.findall(r"</?(\w+)", shown + history))
    assert tags <= {"h3", "h4", "p", "table", "tr", "th", "td", "ol", "li"}
    assert len(shown + history) < 20_000


def test_numbers_that_are_no_iou_are_told_under_how_it_was_made(module):
    shown, history = html_of(card(metrics={"real": {"iou_bone": 0.8, "BVTV_deviation": 3.59512}}))
    assert "Real 0.80" in words_of(shown) and "BVTV" not in shown
    assert "Real: BVTV deviation 3.60" in words_of(history)
