"""Which operators a model's graph may hold, and what each makes of constants. Knows no protobuf and no runtime.

The list is what exporters make of ordinary networks: arithmetic, reductions, products, convolutions, normalisation, attention,
recurrent layers, looking up, shapes. It lacks what runs as often as a number in the file says (Loop, Scan, SequenceMap), what
draws numbers of its own, what holds text, lists and maps, and what resizes images.
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
    {"": _ONNX, "ai.onnx": _ONNX, "com.microsoft": frozenset(_MICROSOFT.encode().split())}
)

# What may lack an input that stands before others; onnxruntime does not look whether the rest has theirs.
LEAVES_OUT = frozenset(
    b"""Attention CausalConvWithState Clip Conv ConvInteger ConvTranspose DequantizeLinear Dropout GRU Gemm LSTM
    LayerNormalization LinearAttention MatMulInteger Pad QLinearConv QuantizeLinear RNN RotaryEmbedding Slice Split""".split()
)

MOST_CLAIMED = 1 << 24  # numbers that constants of a graph may ask a tensor to have

# operator -> its input that says how large the output is
SIZED: Mapping[bytes, int] = MappingProxyType(
    {b"ConstantOfShape": 0, b"Expand": 1, b"Tile": 1, b"OneHot": 1, b"Pad": 1, b"Range": 1}
)
# What makes no more numbers than the largest of its inputs has.
_NO_LARGER = frozenset(
    b"""Abs BitCast Cast Ceil Celu Clip DequantizeLinear Dropout Elu Erf Exp Flatten Floor Gelu HardSigmoid HardSwish Identity
    IsInf IsNaN LeakyRelu Log LogSoftmax Neg Not QuantizeLinear Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape Sigmoid Sign Size Slice Softmax Split Sqrt Squeeze Tanh
    Transpose Trilu Unsqueeze""".split()
)


def claimed(operator: bytes, values: tuple[int, ...]) -> int:
    """How many numbers the constant `values` ask for, where they are the input SIZED of an operator. -1: none can."""
    if operator in (b"Range", b"OneHot"):
        return max(map(abs, values), default=0)
    if operator == b"Pad":
        return sum(map(abs, values))
    most = 1
    for value in values:
        if value < -1 or (value == -1 and operator != b"Expand"):
            return -1
        most *= max(value, 1)
    return most


def made(operator: bytes, counts: list[int]) -> int:
    """At most how many numbers an output has whose inputs have `counts`: for what is computed when a graph is loaded."""
    if operator in _NO_LARGER:
        return max(counts, default=0)
    if operator == b"Concat":
        return sum(counts)
    product = 1
    for count in counts:
        product = min(product * max(count, 1), 1 << 62)
    return product
