"""Model files come back as they were written, and anything else gives one clear error."""

import codecs
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
import torch

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.grids.labels import LabelScheme, parse_roles
from MgImplantSegLib.model.file import ModelCard, load_model, read_card, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

NETWORK = {"name": "unet", "depth": 1, "width": 2, "classes": 4, "in_channels": 1}
CARD = ModelCard(
    "tiny",
    NETWORK,
    Preprocessing(20.0, 1.0, 99.0),
    metrics={"IoU": {"bone": 0.9, "unknown": float("nan")}},
    training={"seeds": [1, 2]},
    licence="Apache-2.0",
    created="2024-05-01",
)


@pytest.fixture
def weights():
    torch.manual_seed(3)
    return build_network(NETWORK).state_dict()


@pytest.fixture
def model_path(tmp_path, weights):
    save_model(tmp_path / "tiny.mgmodel", CARD, weights)
    return tmp_path / "tiny.mgmodel"


def _rewritten(path, card=None, weights=None, compression=zipfile.ZIP_STORED, **more):
    """The model file with another card (a dict or bytes), other weights (bytes) or more entries."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    if card is not None:
        entries["card.json"] = card if isinstance(card, bytes) else json.dumps(card).encode()
    entries["weights.pt"] = entries["weights.pt"] if weights is None else weights
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in (entries | more).items():
            archive.writestr(name, data)
    return path


def _saved(state_dict) -> bytes:
    stream = io.BytesIO()
    torch.save(state_dict, stream)
    return stream.getvalue()


def test_card_and_weights_come_back_as_they_were(model_path, weights):
    card, loaded = load_model(model_path)
    assert card == replace(CARD, metrics={"IoU": {"bone": 0.9, "unknown": None}})
    assert set(loaded) == set(weights)
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)
    build_network(card.network).load_state_dict(loaded)


def test_scheme_with_other_numbering_comes_back(tmp_path, weights):
    scheme = parse_roles("0=background,5=bone,7=degradation_layer,9=residual_material,255=ignore")
    save_model(tmp_path / "m.mgmodel", replace(CARD, label_scheme=scheme), weights)
    assert read_card(tmp_path / "m.mgmodel").label_scheme == scheme


def test_half_precision_halves_the_convolutions_and_keeps_the_statistics(tmp_path, weights):
    weights["encoder.0.1.running_var"].fill_(1e6)  # more than a 16-bit float can hold
    save_model(tmp_path / "half.mgmodel", replace(CARD, weights_dtype="float16"), weights)
    _, loaded = load_model(tmp_path / "half.mgmodel")
    assert torch.equal(loaded["encoder.0.1.running_var"], weights["encoder.0.1.running_var"])
    kernel = weights["encoder.0.0.weight"]
    assert torch.equal(loaded["encoder.0.0.weight"], kernel.half().float())
    assert loaded["encoder.0.0.weight"].dtype == torch.float32


def test_the_same_model_gives_the_same_bytes(tmp_path, model_path, weights):
    save_model(tmp_path / "other_name.mgmodel", CARD, dict(reversed(weights.items())))
    assert (tmp_path / "other_name.mgmodel").read_bytes() == model_path.read_bytes()


def test_a_view_of_a_large_tensor_is_saved_alone(tmp_path, weights, model_path):
    weights["head.bias"] = torch.cat((weights["head.bias"], torch.zeros(100_000)))[:4]
    save_model(tmp_path / "view.mgmodel", CARD, weights)
    assert (tmp_path / "view.mgmodel").stat().st_size == model_path.stat().st_size


def test_card_is_read_without_torch(model_path):
    code = f"import sys; from MgImplantSegLib.model.file import read_card; card = read_card({str(model_path)!r}); "
    code += "sys.exit('torch' in sys.modules or card.name != 'tiny')"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_card_hash_changes_with_the_card_alone(model_path):
    assert read_card(model_path).hash == CARD.hash != replace(CARD, licence="MIT").hash


def _error(path, read=load_model) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in caught.value.message, "the error names the file"
    assert caught.value.remedy
    return caught.value.message


def test_names_a_missing_file_a_folder_and_other_kinds_of_files(tmp_path):
    assert "but there is none" in _error(tmp_path / "none.mgmodel")
    assert "another kind" in _error(tmp_path)
    for content in (b"", b"PK", b"not a zip" * 100):
        (tmp_path / "text.mgmodel").write_bytes(content)
        assert "another kind" in _error(tmp_path / "text.mgmodel", read_card)


@pytest.mark.parametrize("part", [0.3, 0.7, 0.99])
def test_finds_a_file_that_was_cut_off(model_path, part):
    data = model_path.read_bytes()
    model_path.write_bytes(data[: int(part * len(data))])
    _error(model_path)


def test_finds_a_flipped_bit_in_the_weights(model_path):
    data = bytearray(model_path.read_bytes())
    data[len(data) // 2] ^= 1
    model_path.write_bytes(data)
    assert "damaged" in _error(model_path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "extra.txt"])
def test_refuses_entries_that_do_not_belong(model_path, name):
    assert "card.json and weights.pt" in _error(_rewritten(model_path, **{name: b"x"}))


def test_refuses_an_archive_that_unpacks_to_far_too_much(model_path):
    bomb = _rewritten(model_path, weights=bytes(50_000_000), compression=zipfile.ZIP_DEFLATED)
    assert "uncompressed bytes" in _error(bomb)
    assert "card.json" in _error(_rewritten(bomb, card=b" " * (2 << 20)), read_card)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 2}, "format version 1, got 2"),
        ({"format_version": None}, "format version 1"),
        ({"colour": "red"}, "colour"),
        ({"network": NETWORK | {"attention": True}}, "attention"),
        ({"network": NETWORK | {"depth": 99}}, "depth"),
        ({"network": NETWORK | {"classes": 3}}, "labels"),
        ({"network": None}, "network"),
        ({"name": 5}, "name"),
        ({"preprocessing": {"spacing_um": -1}}, "spacing"),
        ({"preprocessing": {"spacing_um": "5"}}, "spacing"),
        ({"preprocessing": {"blur": 1}}, "blur"),
        ({"preprocessing": 3}, "card"),
        ({"label_scheme": {"labels": [{"value": 1}]}}, "label scheme"),
        ({"label_scheme": LabelScheme().to_dict() | {"labels": 3}}, "label scheme"),
        ({"training_planes": 3}, "card"),
        ({"default_planes": "7"}, "default_planes"),
        ({"default_fusion": "loud"}, "default_fusion"),
        ({"default_postprocessing": "polish"}, "default_postprocessing"),
        ({"weights_dtype": "int8"}, "weights_dtype"),
        ({"metrics": []}, "metrics"),
    ],
)
def test_says_what_is_wrong_in_a_card(model_path, change, words):
    assert words in _error(_rewritten(model_path, card=CARD.to_dict() | change), read_card)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_refuses_a_card_that_is_no_table_in_json(model_path, content):
    _error(_rewritten(model_path, card=content), read_card)


def test_says_which_weights_do_not_fit_the_card(model_path, weights):
    wide = build_network(NETWORK | {"width": 4}).state_dict()
    assert "of shape (2, 1, 3, 3)" in _error(_rewritten(model_path, weights=_saved(wide)))
    assert "head.bias" in _error(
        _rewritten(model_path, weights=_saved({k: v for k, v in weights.items() if k != "head.bias"}))
    )
    assert "got others: ['more']" in _error(_rewritten(model_path, weights=_saved(weights | {"more": torch.ones(1)})))
    whole = weights | {"head.bias": weights["head.bias"].int()}
    assert "int32" in _error(_rewritten(model_path, weights=_saved(whole)))
    bad = weights | {"head.bias": weights["head.bias"] * torch.nan}
    assert "NaN" in _error(_rewritten(model_path, weights=_saved(bad)))


class _Hostile:
    def __reduce__(self):
        return (print, ("code in a model file ran",))


@pytest.mark.parametrize("content", [b"", b"garbage" * 50, _saved([1, 2]), _saved({"head.bias": 3})])
def test_refuses_weights_of_another_kind(model_path, content):
    _error(_rewritten(model_path, weights=content))


def test_never_runs_code_from_a_model_file(model_path, capsys):
    _error(_rewritten(model_path, weights=_saved(_Hostile())))
    assert "ran" not in capsys.readouterr().out


def test_refuses_to_write_weights_that_do_not_fit_and_leaves_nothing(tmp_path, weights):
    with pytest.raises(InputError, match="of shape"):
        save_model(tmp_path / "m.mgmodel", replace(CARD, network=NETWORK | {"width": 4}), weights)
    with pytest.raises(InputError, match="infinity"):
        large = weights | {"head.weight": weights["head.weight"] + 1e6}
        save_model(tmp_path / "m.mgmodel", replace(CARD, weights_dtype="float16"), large)
    with pytest.raises(InputError, match=r"\.mgmodel"):
        save_model(tmp_path / "m.pt", CARD, weights)
    with pytest.raises(OutputError):
        save_model(tmp_path / "missing" / "m.mgmodel", CARD, weights)
    assert list(tmp_path.iterdir()) == []


def _sparse(tensor):
    return tensor.to_sparse()


ODD_TENSORS = {
    "sparse": _sparse,
    "sparse rows": lambda tensor: tensor.reshape(2, -1).to_sparse_csr(),
    "complex": lambda tensor: tensor.to(torch.complex64),
    "without data": lambda tensor: tensor.to("meta"),
    "quantised": lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
    "nested": lambda tensor: torch.nested.nested_tensor([tensor, tensor]),
    "a number": lambda tensor: 3.0,
    "a list": lambda tensor: [tensor],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD_TENSORS)
def test_refuses_a_tensor_that_is(kind, model_path, weights):
    odd = weights | {"encoder.0.0.weight": ODD_TENSORS[kind](weights["encoder.0.0.weight"])}
    _error(_rewritten(model_path, weights=_saved(odd)))


def test_refuses_weights_with_names_that_are_no_text(model_path, weights):
    _error(_rewritten(model_path, weights=_saved({**weights, 5: torch.zeros(1)})))


def test_refuses_a_small_file_whose_card_claims_a_huge_network(model_path, weights):
    huge = CARD.to_dict() | {"network": NETWORK | {"depth": 8, "width": 512}}
    assert "bytes for weights.pt" in _error(_rewritten(model_path, card=huge))
    wide = NETWORK | {"width": 256}
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in build_network(wide).state_dict().items()}
    one_number = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    small = _rewritten(model_path, card=CARD.to_dict() | {"network": wide}, weights=_saved(one_number))
    assert "at least" in _error(small) and small.stat().st_size < 100_000


def test_refuses_weights_that_unpack_to_far_too_much(model_path, weights):
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_saved(weights))) as plain, zipfile.ZipFile(stream, "w", 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
        packed.writestr("archive/data/99", bytes(50_000_000))
    assert "unpacks to more" in _error(_rewritten(model_path, weights=stream.getvalue()))


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e999", "9" * 5000, "-1e999"])
@pytest.mark.parametrize("place", ['"spacing_um": 20.0', '"depth": 1', '"value": 3', '"format_version": 1'])
def test_refuses_a_card_with_a_huge_number(model_path, place, number):
    text = json.dumps(CARD.to_dict())
    assert place in text
    key = place.split(":")[0]
    _error(_rewritten(model_path, card=text.replace(place, f"{key}: {number}", 1).encode()), read_card)


def test_a_card_with_half_a_character_is_read_and_written_with_its_number(model_path):
    text = json.dumps(CARD.to_dict() | {"metrics": {"m": "HERE"}}).replace("HERE", "\\udcff")
    assert '"m": "%FF"' in read_card(_rewritten(model_path, card=text.encode())).to_json()


def test_refuses_a_card_that_could_not_be_written_again(model_path):
    text = json.dumps(CARD.to_dict() | {"metrics": {"m": "HERE"}}).replace('"HERE"', "[" * 900 + "]" * 900)
    _error(_rewritten(model_path, card=text.encode()), read_card)


def test_reads_a_card_with_a_byte_order_mark(model_path):
    card = read_card(_rewritten(model_path, card=codecs.BOM_UTF8 + json.dumps(CARD.to_dict()).encode()))
    assert card.name == "tiny"


def test_a_name_in_the_archive_that_is_no_text_is_a_damaged_file(model_path):
    with zipfile.ZipFile(model_path, "a") as archive:
        archive.writestr("kärte.json", b"x")
    model_path.write_bytes(model_path.read_bytes().replace("ä".encode(), b"\xff\xff"))
    assert "damaged or of another kind" in _error(model_path)
    assert "damaged or of another kind" in _error(model_path, read_card)
