"""The official metric on an ONNX graph: qonnx's ``inference_cost`` with zeros discounted, as a report by layer."""

from __future__ import annotations

import ast
import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhaunet.cost.findings import find_waste
from bacalhaunet.cost.graph import LAYER_OPERATORS, Graph, label_layers, layer_name
from bacalhaunet.cost.prepare import prepare, preprocess, quantizers_from_linear
from bacalhaunet.cost.report import CostReport, LayerCost
from bacalhaunet.errors import MissingExtraError, ModelFileError, UnsupportedOperationError, how_to_install

if TYPE_CHECKING:
    from onnx import ModelProto


def metric_cost(model: ModelProto, source: str = "the network") -> CostReport:
    """Return the official cost of an ONNX model with Quant nodes.

    Args:
        model: A model whose quantizer nodes carry qonnx's domain (``models.onnx_files.read_onnx`` sees to it).
        source: What to call it in messages.

    Raises:
        ModelFileError: If it has nothing the metric charges for, or qonnx cannot read it.
        UnsupportedOperationError: If an unknown operation hides the shapes of what follows it.
        MissingExtraError: If qonnx is not installed.
    """
    prepared = quantizers_from_linear(prepare(model))
    label_layers(prepared.graph)
    result, graph = _run_qonnx(prepared, source)
    if not result.get("node_cost"):
        raise ModelFileError(
            "the network has no convolution and no dense layer, so there is nothing to charge for",
            where=source,
            allowed=f"an ONNX graph with {', '.join(LAYER_OPERATORS)}",
        )
    layers = tuple(
        _layer(graph, node, result["node_cost"][node.name])
        for node in graph.model.graph.node
        if node.name in result["node_cost"]
    )
    unsupported = tuple(sorted(_as_set(result["total_cost"]["unsupported"])))
    report = CostReport(layers, unsupported)
    _check_totals(report, result["total_cost"], source)
    return CostReport(layers, unsupported, find_waste(graph, report))


def _as_set(text: str) -> set[str]:
    """Read the set that qonnx gives as text."""
    return set() if text == "set()" else set(ast.literal_eval(text))


def _check_totals(report: CostReport, total: Mapping[str, Any], source: str) -> None:
    """The layers must add up to what qonnx says: its total is the official figure."""
    official = round(total["total_bops"]), round(total["total_mem_w_bits"])
    if (report.bit_ops, report.bit_mem) != official:
        raise ModelFileError(
            f"the layers add up to {report.bit_ops} bit operations and {report.bit_mem} bits of weights, "
            f"qonnx counts {official[0]} and {official[1]}",
            where=source,
            action="report this network: its layers are read differently from the metric",
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep qonnx's warnings and prints off the terminal; standard output may carry a JSON document."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _run_qonnx(model: ModelProto, source: str) -> tuple[dict[str, Any], Graph]:
    """Return qonnx's result and the graph it was computed on, with data types and shapes."""
    try:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.util.inference_cost import inference_cost
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"scoring an ONNX file needs the package {error.name}: {how_to_install('train')}"
        ) from error
    with tempfile.TemporaryDirectory() as folder, _quiet():
        final = str(Path(folder) / "costed.onnx")
        try:
            result = inference_cost(
                preprocess(ModelWrapper(model, fix_float64=True)),
                output_onnx=final,
                preprocess=False,
                discount_sparsity=True,
                cost_breakdown=True,
            )
        except Exception as error:  # qonnx raises assertion, key, index, attribute and bare errors alike
            raise _explain(model, error, source) from error
        return result, Graph(ModelWrapper(final))


def _explain(model: ModelProto, error: Exception, source: str) -> ModelFileError:
    """Turn one of qonnx's exceptions into an error that names the operation to blame, where there is one."""
    unknown = sorted(unknown_operators(model))
    text = " ".join(str(error).split())[:300] or type(error).__name__
    if unknown:
        return UnsupportedOperationError(
            f"the metric cannot see past the unknown operations {', '.join(unknown)}: {text}",
            where=source,
            allowed="standard ONNX operators and QONNX quantizers",
            action="export the network without them, or with the shapes of all tensors stored in the file",
        )
    return ModelFileError(
        f"qonnx cannot cost the network: {text}", where=source, action="check the file: onnx.checker.check_model"
    )


def unknown_operators(model: ModelProto) -> set[str]:
    """Return the operators that neither ONNX nor qonnx defines, as domain and name."""
    from onnx import defs

    known = {(schema.domain, schema.name) for schema in defs.get_all_schemas_with_history()}
    return {
        f"{node.domain + '.' if node.domain else ''}{node.op_type}"
        for node in model.graph.node
        if (node.domain.replace("ai.onnx", "", 1) if node.domain == "ai.onnx" else node.domain, node.op_type)
        not in known
        and not node.domain.startswith("qonnx.")
    }


def _layer(graph: Graph, node: Any, cost: Mapping[str, Any]) -> LayerCost:
    """Read one layer from the counts of a node."""
    weight = graph.weight(node)
    input_bits, weight_bits = graph.mac_bits(node)
    return LayerCost(
        name=layer_name(node),
        kind=graph.kind(node),
        macs=graph.dense_macs(node) if weight else round(cost["total_macs"]),
        weights=graph.size(weight) if weight else 0,
        nonzero_weights=round(cost["total_mem_w_elems"]),
        input_bits=input_bits,
        weight_bits=weight_bits,
    )
