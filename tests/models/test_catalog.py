import pytest

from bacalhaunet.errors import SpecError
from bacalhaunet.models.catalog import CATALOG, find_spec, separable_network
from bacalhaunet.report import published


def score(spec):
    """The challenge's formula, from its text."""
    bit_ops = sum(layer.macs * layer.weight_bits * layer.input_bits for layer in spec.layers())
    bit_mem = sum(layer.weights * layer.weight_bits for layer in spec.layers())
    return 0.5 * bit_ops / 807699904 + 0.5 * bit_mem / 1244936


def test_names_keep_their_order():
    numbered = [f"figure4a-{number:02d}" for number in range(1, 14)]
    from_paper = ["bacalhaunet", "prototype", "first-experiment", *numbered, "vgg10", "mobilenetv3-small-1d"]
    assert list(CATALOG) == [*from_paper, "wide"]
    assert all(CATALOG[name].figures for name in from_paper)
    assert not CATALOG["wide"].figures


@pytest.mark.parametrize("name", [name for name in CATALOG if name not in ("vgg10", "mobilenetv3-small-1d", "wide")])
def test_float_scores_equal_the_papers_to_the_digits_printed(name):
    printed = CATALOG[name].figures[0].score
    digits = len(str(printed).split(".")[1])
    assert round(score(find_spec(name)), digits) == printed


def test_mobilenet_is_near_the_paper_in_float_and_8_bits():
    spec = find_spec("mobilenetv3-small-1d")
    assert round(score(spec), 2) == 30.42
    assert score(spec.quantized(8, 8)) == pytest.approx(7.25, rel=0.03)


def test_a_dense_8_bit_vgg10_is_the_baseline_but_for_the_zeros_among_its_weights():
    layers = find_spec("vgg10").quantized(8, 8).layers()
    assert sum(layer.weights for layer in layers) * 8 == 1_272_832
    assert 1 < score(find_spec("vgg10").quantized(8, 8)) < 1.03


def test_the_catalog_holds_the_published_table():
    for number, row in enumerate(published.figures()["figure_4a"]["points"], start=1):
        entry = CATALOG[f"figure4a-{number:02d}"]
        assert entry.spec == separable_network(tuple(row["kernels"]), tuple(row["strides"]), tuple(row["channels"]))
        assert (entry.figures[0].accuracy, entry.figures[0].score) == (row["accuracy"], row["score"])
    table = [(row["representation"], row["accuracy"], row["score"]) for row in published.figures()["table_3"]["points"]]
    assert [(f.representation, f.accuracy, f.score) for f in CATALOG["bacalhaunet"].figures[:5]] == table


def test_an_unknown_name_gets_the_close_ones():
    with pytest.raises(SpecError, match=r"did you mean .*bacalhaunet"):
        find_spec("bacalhau-net")
    with pytest.raises(SpecError, match="bacalhaunet models"):
        find_spec("zzzz")


def test_lists_of_different_length_are_refused():
    with pytest.raises(SpecError, match="2 kernels, 1 strides"):
        separable_network((3, 5), (1,), (4, 4))
