"""The found network as one ONNX file, with preprocessing inside, a dynamic batch, and where it can any image size."""

import logging
import warnings

import onnx
import torch

from models.network import Network


def export(network: Network, metadata: dict[str, str]) -> bytes:
    """The ONNX model of `network`: input `input`, output `output`, float32, shapes inferred.

    The batch is dynamic, and height and width too where the network takes images of any size.
    The bytes depend on the network and `metadata` alone: what the exporter records of this machine is removed.
    """
    # The exporter says once a process that torchvision is missing; nothing here needs it.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    network = network.eval()
    example = torch.zeros(2, *network.graph.input_shape)
    free = {0: "batch"} | ({2: "height", 3: "width"} if network.graph.takes_any_size else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter itself, which a user cannot act on
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({axis: torch.export.Dim(name) for axis, name in free.items()},),
            input_names=["input"],
            output_names=["output"],
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_machine(model)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _forget_machine(model: onnx.ModelProto) -> None:
    """Remove stack traces and paths that the exporter attaches to nodes and values."""
    graph = model.graph
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""
