"use strict";
// Operators by family, and the colours of families. Text on a family's colour is white: all are dark enough for it.
const Families = (() => {
  const families = {
    linear: ["convolution, product", "#2f63b3", "Conv ConvTranspose ConvInteger QLinearConv DeformConv Gemm MatMul MatMulInteger QLinearMatMul Einsum"],
    attention: ["attention, recurrence", "#5b47a8", "Attention MultiHeadAttention RotaryEmbedding LSTM GRU RNN"],
    activation: ["activation", "#a8433c", "Relu LeakyRelu PRelu Sigmoid HardSigmoid Tanh Softmax LogSoftmax Gelu Elu Selu Celu Swish HardSwish Mish Softplus Softsign ThresholdedRelu Clip Erf Hardmax"],
    normal: ["normalisation", "#2d7d5a", "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization LRN LpNormalization MeanVarianceNormalization Dropout"],
    pool: ["pooling, reduction", "#4b7a1f", "MaxPool AveragePool GlobalAveragePool GlobalMaxPool LpPool GlobalLpPool MaxRoiPool RoiAlign ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare ArgMax ArgMin TopK CumSum"],
    move: ["shape and movement", "#8a6410", "Reshape Transpose Concat Split Slice Gather GatherElements GatherND Scatter ScatterElements ScatterND Squeeze Unsqueeze Flatten Expand Tile Pad DepthToSpace SpaceToDepth Resize Upsample Identity Shape Size Range ConstantOfShape Constant"],
    control: ["control flow", "#8f3a86", "If Loop Scan SequenceMap SequenceAt SequenceConstruct SequenceInsert SplitToSequence ConcatFromSequence"],
    quantize: ["quantisation, cast", "#a35200", "QuantizeLinear DequantizeLinear DynamicQuantizeLinear Cast CastLike"],
  };
  const other = { title: "element-wise and others", colour: "#5a6572" }, custom = { title: "not of the standard", colour: "#23272d" };
  const of = new Map(), all = [];
  for (const [title, colour, names] of Object.values(families)) {
    const family = { title, colour };
    all.push(family);
    for (const name of names.split(" ")) of.set(name, family);
  }
  const known = (op) => of.get(op) || (op.includes("::") ? custom : other);
  // Neighbouring numbers get colours far apart.
  const numbered = (n, dark) => `hsl(${(n * 137.508) % 360 | 0} 52% ${dark ? 42 : 38}%)`;
  return { of: known, numbered, all: [...all, other, custom] };
})();
