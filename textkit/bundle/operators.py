"""Which operators a model's graph may hold, and what each makes of constants. Knows no protobuf and no runtime.

The list has what exporters make of ordinary networks: arithmetic, reductions, products, convolutions, normalisation, attention,
recurrent layers, look-ups, shapes. It lacks what runs as often as a number in the file says (Loop, Scan, SequenceMap), what
draws random numbers, what holds text, lists and maps, and what resizes images.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_ELEMENTWISE = """
Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil
Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Hardmax Identity IsInf IsNaN
LeakyRelu Less LessOrEqual Log LogSoftmax Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink
Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh ThresholdedRelu Where Xor
"""
_REDUCTIONS = """
ArgMax ArgMin CumProd CumSum NegativeLogLikelihoodLoss ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare SoftmaxCrossEntropyLoss TopK
"""
_NETWORKS = """
Attention AveragePool BatchNormalization CausalConvWithState Conv ConvInteger ConvTranspose Dropout Einsum GRU Gemm
GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization LRN LSTM LayerNormalization
LinearAttention LpNormalization LpPool MatMul MatMulInteger MaxPool MeanVarianceNormalization QLinearConv QLinearMatMul
RMSNormalization RNN RotaryEmbedding SimplifiedLayerNormalization
"""
_SHAPES = """
Compress Concat Constant ConstantOfShape DepthToSpace DequantizeLinear DynamicQuantizeLinear Expand EyeLike Flatten Gather
GatherElements GatherND NonZero OneHot Pad QuantizeLinear Range Reshape ReverseSequence Scatter ScatterElements ScatterND Shape
Size Slice SpaceToDepth Split Squeeze TensorScatter Tile Transpose Trilu Unsqueeze
"""
_CONTROL = "If"
_MICROSOFT = """
Attention BiasGelu BiasSoftmax DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu
FusedConv FusedGemm FusedMatMul GatherBlockQuantized GatedRelativePositionBias Gelu GroupQueryAttention MatMulBnb4
MatMulInteger16 MatMulIntegerToFloat MatMulNBits MultiHeadAttention QAttention QEmbedLayerNormalization QGemm QLinearAdd
QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere
QuantizeLinear QuickGelu RelativePositionBias RotaryEmbedding SkipLayerNormalization SkipSimplifiedLayerNormalization Trilu
"""

_ONNX = frozenset(" ".join((_ELEMENTWISE, _REDUCTIONS, _NETWORKS, _SHAPES, _CONTROL)).encode().split())
# domain -> the names of its operators, as bytes: that is how a file holds them
ALLOWED: Mapping[str, frozenset[bytes]] = MappingProxyType(
    {"": _ONNX, "com.microsoft": frozenset(_MICROSOFT.encode().split())}
)


def _blanks(table: str) -> Mapping[bytes, frozenset[int]]:
    """Reads a table of operators, each followed by its inputs as hexadecimal digits."""
    words = table.encode().split()
    return dict(
        zip(words[::2], (frozenset(int(digit, 16) for digit in places.decode()) for places in words[1::2]), strict=True)
    )


# domain -> operator -> the inputs that a node may leave blank (""). onnxruntime takes all others for granted. The
# schemas allow two more, whose absence crashes onnxruntime: LayerNormalization 2, and Attention 2 of com.microsoft.
BLANKS: Mapping[str, Mapping[bytes, frozenset[int]]] = MappingProxyType(
    {
        "": _blanks("""
            Attention 3456 CausalConvWithState 23 Clip 12 Conv 2 ConvInteger 23 ConvTranspose 2 DequantizeLinear 2 Dropout 12
            GRU 345 Gemm 2 LSTM 34567 LinearAttention 345 MatMulInteger 23 NegativeLogLikelihoodLoss 2 Pad 23 QLinearConv 8
            QuantizeLinear 2 RNN 345 ReduceL1 1 ReduceL2 1 ReduceLogSum 1 ReduceLogSumExp 1 ReduceMax 1 ReduceMean 1 ReduceMin 1
            ReduceProd 1 ReduceSum 1 ReduceSumSquare 1 RotaryEmbedding 3 Slice 34 SoftmaxCrossEntropyLoss 2 Split 1 Squeeze 1
            TensorScatter 2 Trilu 1
        """),
        "com.microsoft": _blanks("""
            Attention 3456 DequantizeLinear 2 DynamicQuantizeLSTM 34567 DynamicQuantizeMatMul 34 EmbedLayerNormalization 1478
            FastGelu 1 FusedConv 23 FusedGemm 2 GatedRelativePositionBias 6 GatherBlockQuantized 3
            GroupQueryAttention 1234789abcdef MatMulIntegerToFloat 456 MatMulNBits 345 MultiHeadAttention 123456789
            QAttention 5678 QEmbedLayerNormalization 147af QGemm 678 QLinearAdd 257 QLinearLeakyRelu 24 QLinearMul 257
            QLinearReduceMean 24 QLinearSigmoid 24 QLinearSoftmax 2 QuantizeLinear 2 SkipLayerNormalization 34
            SkipSimplifiedLayerNormalization 3 Trilu 1
        """),
    }
)  # fmt: skip
NEEDS: Mapping[bytes, int] = MappingProxyType({b"Attention": 3})  # com.microsoft's; its schema allows fewer

# Attributes that onnxruntime divides by or makes sizes of, mostly unchecked. RotaryEmbedding reads 0 heads as unset.
COUNTS = frozenset(
    b"""K N blocksize dilations group hidden_size kernel_shape kv_num_heads num_groups num_heads q_num_heads size
    strides""".split()
)

MOST_AXES = 64  # of a tensor; numpy's bound
MOST_CLAIMED = 1 << 26  # numbers that constants may ask a tensor to have: as many as a mask of 8192 tokens has

# operator -> the inputs that say how large its output is
SIZED: Mapping[bytes, tuple[int, ...]] = MappingProxyType(
    {b"ConstantOfShape": (0,), b"Expand": (1,), b"Tile": (1,), b"OneHot": (1,), b"Pad": (1,), b"Range": (0, 1, 2)}
)
# Operators whose output may be larger than their inputs' sizes tell: attributes, values or axes decide it as well.
UNBOUNDED = frozenset(
    b"""AveragePool CausalConvWithState Conv ConvInteger ConvTranspose FusedConv GatedRelativePositionBias LpPool MaxPool
    NonZero Pad QLinearConv RelativePositionBias""".split()
)
# Operators that return the numbers of their first input in another shape.
SAME = frozenset(b"Flatten Identity Reshape Squeeze Unsqueeze".split())
# Operators that make no more numbers than their largest input has.
_NO_LARGER = SAME | frozenset(
    b"""Abs BitCast Cast Ceil Celu Clip DequantizeLinear Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish IsInf IsNaN
    LeakyRelu Log LogSoftmax Neg Not QuantizeLinear Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Round Selu Sigmoid Sign Slice Softmax Split Sqrt Tanh Transpose Trilu""".split()
)
_BROADCAST = frozenset(_ELEMENTWISE.encode().split())


def claimed(operator: bytes, values: tuple[int, ...]) -> int:
    """How many numbers the constant `values` ask for as the SIZED inputs of an operator; -1 for an impossible size."""
    if operator == b"Range":
        start, limit, step = values if len(values) == 3 else (0, 0, 0)
        return max(0, -((start - limit) // step)) if step else 0
    if operator == b"OneHot":
        return max(map(abs, values), default=0)
    if operator == b"Pad":
        return sum(map(abs, values))
    most = 1
    for value in values:
        if value < -1 or (value == -1 and operator != b"Expand"):
            return -1
        most *= max(value, 1)
    return most


def ranked(operator: bytes, ranks: list[int], counts: list[int]) -> int:
    """The most axes of an output whose inputs have `ranks` and `counts`; MOST_AXES where that is not easily told."""
    if operator in _BROADCAST or operator in (b"Concat", b"Slice"):
        return max(ranks)
    if operator == b"Squeeze":
        return ranks[0]
    if operator == b"Gather" and len(ranks) == 2:
        return ranks[0] + ranks[1] - 1
    if operator == b"Unsqueeze" and len(ranks) == 2:
        return ranks[0] + counts[1]
    return 1 if operator in (b"Range", b"Shape", b"Size") else MOST_AXES


def made(operator: bytes, counts: list[int], flat: bool) -> int:
    """The most numbers of an output, computed while a graph loads, whose inputs have `counts` numbers.

    `flat`: whether all inputs are lists or single numbers.
    """
    if operator in (b"Shape", b"Size"):
        return MOST_AXES
    if operator in _NO_LARGER:
        return max(counts, default=0)
    if operator == b"Concat":
        return sum(counts)
    if flat and operator == b"Gather":
        return counts[-1]
    if flat and operator in _BROADCAST:
        return max(counts, default=0)
    product = 1
    for count in counts:
        product = min(product * max(count, 1), 1 << 62)
    return product
