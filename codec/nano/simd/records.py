"""One operation of a network as a record of integers and addresses, which the compiled interpreter reads.

A network is an array of records, (operations, RECORD_FIELDS) int64; the first field is the number of the operation in
OPERATIONS, the others are named here. Steps and rows are distances in bytes: `x_step` from one position to the next,
`x_row` from one row to the next.
"""

_OUTPUTS = (
    *("wide", "wide_row", "wide_step"),
    *("narrow", "narrow_row", "narrow_step"),
    *("scaled", "scaled_row", "scaled_step"),
    *("scaled_wide", "scaled_wide_row", "scaled_wide_step", "scale"),
)

CONVOLUTION = (
    *("rows", "columns", "a", "a_row", "a_step", "segments", "segment_step", "pairs"),
    *("weights", "bias", "blocks", "relu"),
    *_OUTPUTS,
)
BLOCK = (
    *("rows", "columns", "x", "x_row", "x_step", "base", "base_row", "base_step", "shortcut"),
    *("channels", "blocks", "dc0", "dc0_bias", "dc2", "dc2_bias", "dc3", "dc3_bias"),
    *("ffn0", "ffn0_bias", "ffn2", "ffn2_bias"),
    *("ring", "ring_row", "mixed", "middle", "middle_narrow", "hidden"),
    *_OUTPUTS,
)
PATCHES = ("rows", "columns", "picture", "picture_row", "picture_plane", "out", "out_row")
HEAD = (
    *("rows", "columns", "a", "a_row", "a_step", "pairs", "weights", "bias", "blocks"),
    *("scratch", "picture", "picture_row", "picture_plane", "patches", "patches_row"),
)
QUANTISE = (
    *("rows", "columns", "parity", "y", "y_row", "y_step", "params", "params_row", "params_step"),
    *("mean", "mean_row", "mean_step", "symbols", "symbols_row"),
)
DEQUANTISE_FIRST = (
    *("rows", "columns", "symbols", "symbols_row", "params", "params_row", "params_step", "out", "out_row", "out_step"),
)
DEQUANTISE = (
    *("rows", "columns", "symbols", "symbols_row", "params", "params_row", "params_step"),
    *("mean", "mean_row", "mean_step", "out", "out_row", "out_step"),
)
ROUND = ("count", "x", "narrow")
NARROW = ("count", "x", "narrow")
PAD = ("rows", "columns", "padded_rows", "padded_columns", "x", "x_row", "x_step")

OPERATIONS: dict[str, tuple[str, ...]] = {
    "convolution2": CONVOLUTION,
    "convolution3": CONVOLUTION,
    "convolution4": CONVOLUTION,
    "block2": BLOCK,
    "block3": BLOCK,
    "block4": BLOCK,
    "head": HEAD,
    "patches": PATCHES,
    "quantise": QUANTISE,
    "dequantise_first": DEQUANTISE_FIRST,
    "dequantise": DEQUANTISE,
    "round": ROUND,
    "narrow": NARROW,
    "pad": PAD,
}
RECORD_FIELDS = 48
FIELD_BYTES = 8


def field(operation: str, name: str) -> int:
    """The index of a field in a record. Raises ValueError for a name that the operation does not have."""
    return 1 + OPERATIONS[operation].index(name)
