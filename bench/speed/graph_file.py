"""The nodes of an ONNX file by name, without the `onnx` package, which the base install does not have.

Only what is asked for is read; everything else in the file is skipped. The format is protocol buffers: a field is a
varint `number << 3 | type`, then a varint (type 0), 8 bytes (1), a length and as many bytes (2), or 4 bytes (5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Field numbers of onnx.proto: ModelProto.graph, GraphProto.node and .output, NodeProto and ValueInfoProto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP = 1, 2, 3, 4
_VALUE_NAME = 1


@dataclass(frozen=True, slots=True)
class Node:
    """An operation with the names of the tensors it reads and writes; an input left out has an empty name."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """nodes: in an order in which they can run. outputs: names of tensors."""

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]


def read_graph(path: Path) -> Graph:
    """Raises ValueError for a file that is no ONNX model."""
    graphs = [value for number, value in _fields(path.read_bytes()) if number == _MODEL_GRAPH]
    if len(graphs) != 1:
        raise ValueError(f"{path} holds {len(graphs)} graphs, expected one: it is no ONNX model")
    nodes, outputs = [], []
    for number, value in _fields(graphs[0]):
        if number == _GRAPH_NODE:
            nodes.append(_node(value))
        elif number == _GRAPH_OUTPUT:
            outputs += [name.decode() for field, name in _fields(value) if field == _VALUE_NAME]
    return Graph(tuple(nodes), tuple(outputs))


def _node(content: bytes) -> Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [], _NODE_OP: []}
    for number, value in _fields(content):
        if number in texts:
            texts[number].append(value.decode())
    return Node(
        name="".join(texts[_NODE_NAME]),
        op="".join(texts[_NODE_OP]),
        inputs=tuple(texts[_NODE_INPUT]),
        outputs=tuple(texts[_NODE_OUTPUT]),
    )


def _fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every field that has a length."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(content, at)
            if at + size > len(content):
                raise ValueError(f"a field of {size} bytes ends beyond its file")
            yield key >> 3, content[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(content, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of type {kind} is not of this format")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 70:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number runs past the end of its file")
