"""One network graph under ONNX Runtime's profiler: time and work of every module.

ONNX Runtime rewrites a graph before it runs it. What is read here is the rewritten one: its convolutions still have the
biases of the weights file by name, which says what module they are of. An operation without weights counts with the
module whose output it works on; one that works on none (the picture, the state), and one that only reorders for what
follows, with the module it feeds.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench.speed.graph_file import Graph, Node, read_graph
from bench.speed.roofline import OUTSIDE, Frame, Work, module_of

Feed = Mapping[str, NDArray[Any]]

LOOKUPS = ("Gather", "GatherND")
"""Read the row of a table, not the table."""

WEIGHT_PREFIXES = ("nano.inter.", "nano.intra.")
"""Of the names of parameters in the exported graphs."""

CONVOLUTIONS = ("Conv", "FusedConv")

REORDER_INPUT = "ReorderInput"
"""Puts a tensor in the order that a convolution wants, and so is part of what follows."""

REORDERINGS = (REORDER_INPUT, "ReorderOutput")

_ITEM_BYTES = {"float": 4, "float16": 2, "uint8": 1, "int8": 1, "bool": 1, "int32": 4, "int64": 8}
_Shape = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What the profiler says of one node. ms: of each run; its clock has whole microseconds only."""

    ms: tuple[float, ...]
    inputs: tuple[_Shape, ...]
    outputs: tuple[_Shape, ...]
    parameter_bytes: int
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class GraphProfile:
    """ms: of the whole network, each run. feed_shapes: of the graph's inputs."""

    graph: Graph
    runs: Mapping[str, NodeRun]
    ms: tuple[float, ...]
    feed_shapes: Mapping[str, _Shape]

    def frames(self) -> list[Frame]:
        """Every run, its modules in the order of their first convolutions."""
        modules = modules_of(self.graph)
        frames = []
        for number, whole in enumerate(self.ms):
            times = {modules[node.name]: 0.0 for node in self.graph.nodes if node.op in CONVOLUTIONS}
            for node in self.graph.nodes:
                if run := self.runs.get(node.name):
                    times[modules[node.name]] = times.get(modules[node.name], 0.0) + run.ms[number]
            frames.append(Frame(whole, times))
        return frames

    def work(self, *, float_bytes: int = 4) -> dict[str, Work]:
        """By module. float_bytes: of a number of another engine for the same network; the least bytes follow it."""
        modules = modules_of(self.graph)
        sizes = self._tensor_bytes(float_bytes)
        work: dict[str, Work] = defaultdict(Work)
        for node in self.graph.nodes:
            if run := self.runs.get(node.name):
                weights = run.parameter_bytes * float_bytes // 4
                work[modules[node.name]] += Work(convolution_macs(node, run), weights, run.moved_bytes)
        for module, names in boundaries(self.graph, modules).items():
            work[module] += Work(least_bytes=sum(sizes.get(name, 0) for name in names))
        return dict(work)

    def _tensor_bytes(self, float_bytes: int) -> dict[str, int]:
        shapes = dict(self.feed_shapes)
        for node in self.graph.nodes:
            if run := self.runs.get(node.name):
                shapes.update(zip(node.outputs, run.outputs, strict=False))
        items = _ITEM_BYTES | {"float": float_bytes}
        return {name: items.get(kind, 0) * prod(shape) for name, (kind, shape) in shapes.items()}


def profile_graph(path: Path, feeds: Sequence[Feed], *, warm_up: int, threads: int = 1) -> GraphProfile:
    """Run a graph once with each feed, the first `warm_up` uncounted. Options are those of the engine."""
    with TemporaryDirectory(prefix="latentcast-speed-") as name:
        folder = Path(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # 4: ONNX Runtime warns that a graph rewritten for this machine is not for another.
        options.log_severity_level = 4
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        options.optimized_model_filepath = str(folder / "rewritten.onnx")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for feed in feeds:
            session.run(None, dict(feed))
        events = json.loads(Path(session.end_profiling()).read_text())
        graph = read_graph(folder / "rewritten.onnx")
    kinds = {np.dtype(np.float32): "float", np.dtype(np.uint8): "uint8", np.dtype(np.int8): "int8"}
    shapes = {name: (kinds.get(array.dtype, "int64"), array.shape) for name, array in feeds[0].items()}
    totals = [event["dur"] / 1e3 for event in events if event.get("name") == "model_run"]
    return GraphProfile(graph, _node_runs(events, warm_up), tuple(totals[warm_up:]), shapes)


def _node_runs(events: Sequence[dict[str, Any]], warm_up: int) -> dict[str, NodeRun]:
    suffix = "_kernel_time"
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(suffix):
            found[event["name"].removesuffix(suffix)].append(event)
    runs = {}
    for name, each in found.items():
        facts = each[-1]["args"]
        output_bytes, parameter_bytes = int(facts["output_size"]), int(facts["parameter_size"])
        if facts["op_name"] in LOOKUPS:
            parameter_bytes = min(parameter_bytes, output_bytes)
        runs[name] = NodeRun(
            ms=tuple(event["dur"] / 1e3 for event in each[warm_up:]),
            inputs=_shapes(facts["input_type_shape"]),
            outputs=_shapes(facts["output_type_shape"]),
            parameter_bytes=parameter_bytes,
            moved_bytes=parameter_bytes + int(facts["activation_size"]) + output_bytes,
        )
    return runs


def _shapes(listed: list[dict[str, list[int]]]) -> tuple[_Shape, ...]:
    return tuple((kind, tuple(shape)) for entry in listed for kind, shape in entry.items())


def convolution_macs(node: Node, run: NodeRun) -> int:
    """Multiply-adds of a node; 0 for all but convolutions."""
    if node.op not in CONVOLUTIONS:
        return 0
    _, weight_shape = run.inputs[1]
    return prod(run.outputs[0][1]) * prod(weight_shape[1:])


def modules_of(graph: Graph) -> dict[str, str]:
    """The module of every node, by the node's name; `OUTSIDE` for what hangs together with none."""
    found: dict[str, str] = {}
    made_in: dict[str, str] = {}
    for node in graph.nodes:
        own = [name for name in node.inputs if name.startswith(WEIGHT_PREFIXES)]
        before = [made_in[name] for name in node.inputs if name in made_in]
        if own:
            found[node.name] = module_of(own[0].split(".", 2)[2])
        elif before and node.op != REORDER_INPUT:
            # The newest of them: what is joined belongs to where it is joined.
            order = list(dict.fromkeys(found.values()))
            found[node.name] = max(before, key=order.index)
        else:
            continue
        made_in.update(dict.fromkeys(node.outputs, found[node.name]))
    feeds: dict[str, str] = {}
    for node in reversed(graph.nodes):
        if node.name not in found:
            after = [feeds[name] for name in node.outputs if name in feeds]
            found[node.name] = after[0] if after else OUTSIDE
        feeds.update(dict.fromkeys(node.inputs, found[node.name]))
    return found


def boundaries(graph: Graph, modules: Mapping[str, str]) -> dict[str, set[str]]:
    """By module, the tensors that cross its border: what comes in from elsewhere, what goes out.

    A tensor in another order is the same tensor: reordering is the engine's affair, not the network's.
    """
    same: dict[str, str] = {}
    made_in: dict[str, str] = {}
    for node in graph.nodes:
        if node.op in REORDERINGS:
            same[node.outputs[0]] = same.get(node.inputs[0], node.inputs[0])
        else:
            made_in.update(dict.fromkeys(node.outputs, modules[node.name]))
    crossing: dict[str, set[str]] = defaultdict(set)
    for node in graph.nodes:
        if node.op in REORDERINGS:
            continue
        module = modules[node.name]
        for name in (same.get(name, name) for name in node.inputs):
            source = made_in.get(name)
            if source != module:
                crossing[module].add(name)
                if source is not None:
                    crossing[source].add(name)
    for name in (same.get(name, name) for name in graph.outputs):
        if name in made_in:
            crossing[made_in[name]].add(name)
    return crossing
