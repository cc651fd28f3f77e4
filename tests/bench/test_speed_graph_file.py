"""Reading the nodes of an ONNX file without the onnx package."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.speed.graph_file import read_graph
from codec.nano.weights import GRAPH_NAMES, GRAPHS_PATH, GraphName


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_a_graph_is_read_as_the_onnx_package_reads_it(name: GraphName) -> None:
    onnx = pytest.importorskip("onnx")
    path = GRAPHS_PATH / f"{name}.onnx"
    ours, theirs = read_graph(path), onnx.load(str(path)).graph
    assert [(node.name, node.op, node.inputs, node.outputs) for node in ours.nodes] == [
        (node.name, node.op_type, tuple(node.input), tuple(node.output)) for node in theirs.node
    ]
    assert ours.outputs == tuple(value.name for value in theirs.output)


def test_a_graph_of_ours_has_its_nodes_by_name() -> None:
    graph = read_graph(GRAPHS_PATH / "inter_decoder.onnx")
    assert set(graph.outputs) == {"picture", "new_state"}
    assert any(name == "nano.inter.decoder.conv2.bias" for node in graph.nodes for name in node.inputs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(content=st.binary(max_size=200) | st.integers(1, 6000).map(lambda size: _model()[:size]))
def test_what_is_no_model_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"graph|field|number|decode"):
        read_graph(path)


def _model() -> bytes:
    return (GRAPHS_PATH / "inter_decoder.onnx").read_bytes()
