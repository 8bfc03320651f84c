"""Caffe's protocol buffer messages, as far as inference needs them: class factories, made of a table of field numbers.

Other fields (those for training) are skipped when text is read and kept unread in binary files. Source: the messages of
BVLC Caffe and NVIDIA's fork of it, and those that single-shot detectors added.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

#: Message → fields, `name number type [default]`. A type with * is repeated, with + repeated and packed.
TABLE = {
    "BlobShape": "dim 1 int64+",
    "BlobProto": "shape 7 BlobShape; data 5 float+; double_data 8 double+; raw_data_type 10 int32; raw_data 12 bytes; "
                 "num 1 int32; channels 2 int32; height 3 int32; width 4 int32",
    "NetStateRule": "phase 1 Phase",
    "NetParameter": "name 1 string; input 3 string*; input_shape 8 BlobShape*; input_dim 4 int32*; "
                    "layer 100 LayerParameter*; layers 2 V1LayerParameter*",
    "LayerParameter": "name 1 string; type 2 string; bottom 3 string*; top 4 string*; phase 10 Phase; "
                      "blobs 7 BlobProto*; include 8 NetStateRule*; exclude 9 NetStateRule*; PARAMETERS",
    "V1LayerParameter": "name 4 string; type 5 V1Type; bottom 2 string*; top 3 string*; blobs 6 BlobProto*; "
                        "include 32 NetStateRule*; exclude 33 NetStateRule*; "
                        "concat_param 9 ConcatParameter; convolution_param 10 ConvolutionParameter; "
                        "eltwise_param 24 EltwiseParameter; inner_product_param 17 InnerProductParameter; "
                        "lrn_param 18 LRNParameter; pooling_param 19 PoolingParameter; power_param 21 PowerParameter; "
                        "relu_param 30 ReLUParameter; softmax_param 39 SoftmaxParameter; "
                        "slice_param 31 SliceParameter; crop_param 44 CropParameter",
    "BatchNormParameter": "eps 3 float 1e-5; scale_bias 7 bool",
    "BiasParameter": "axis 1 int32 1",
    "ClipParameter": "min 1 float; max 2 float",
    "ConcatParameter": "axis 2 int32 1; concat_dim 1 uint32 1",
    "ConvolutionParameter": "num_output 1 uint32; bias_term 2 bool true; pad 3 uint32*; kernel_size 4 uint32*; "
                            "stride 6 uint32*; dilation 18 uint32*; pad_h 9 uint32; pad_w 10 uint32; "
                            "kernel_h 11 uint32; kernel_w 12 uint32; stride_h 13 uint32; stride_w 14 uint32; "
                            "group 5 uint32 1; axis 16 int32 1",
    "CropParameter": "axis 1 int32 2; offset 2 uint32*",
    "EltwiseParameter": "operation 1 EltwiseOp SUM; coeff 2 float*",
    "ELUParameter": "alpha 1 float 1",
    "FlattenParameter": "axis 1 int32 1; end_axis 2 int32 -1",
    "InnerProductParameter": "num_output 1 uint32; bias_term 2 bool true; axis 5 int32 1; transpose 6 bool",
    "InputParameter": "shape 1 BlobShape*",
    "LRNParameter": "local_size 1 uint32 5; alpha 2 float 1; beta 3 float 0.75; norm_region 4 NormRegion; k 5 float 1",
    "PermuteParameter": "order 1 uint32*",
    "PoolingParameter": "pool 1 PoolMethod; pad 4 uint32; pad_h 9 uint32; pad_w 10 uint32; kernel_size 2 uint32; "
                        "kernel_h 5 uint32; kernel_w 6 uint32; stride 3 uint32 1; stride_h 7 uint32; "
                        "stride_w 8 uint32; global_pooling 12 bool; round_mode 13 RoundMode; torch_pooling 40 bool",
    "PowerParameter": "power 1 float 1; scale 2 float 1; shift 3 float",
    "PReLUParameter": "channel_shared 2 bool",
    "ReductionParameter": "operation 1 ReductionOp SUM; axis 2 int32; coeff 3 float 1",
    "ReLUParameter": "negative_slope 1 float",
    "ReshapeParameter": "shape 1 BlobShape; axis 2 int32; num_axes 3 int32 -1",
    "ScaleParameter": "axis 1 int32 1; num_axes 2 int32 1; bias_term 4 bool",
    "SliceParameter": "axis 3 int32 1; slice_point 2 uint32*; slice_dim 1 uint32 1",
    "SoftmaxParameter": "axis 2 int32 1",
    "NormalizeParameter": "across_spatial 1 bool true; channel_shared 3 bool true; eps 4 float 1e-10",
    "PriorBoxParameter": "min_size 1 float*; max_size 2 float*; aspect_ratio 3 float*; flip 4 bool true; clip 5 bool; "
                         "variance 6 float*; img_size 7 uint32; img_h 8 uint32; img_w 9 uint32; step 10 float; "
                         "step_h 11 float; step_w 12 float; offset 13 float 0.5",
    "NonMaximumSuppressionParameter": "nms_threshold 1 float 0.3; top_k 2 int32; eta 3 float 1",
    "DetectionOutputParameter": "num_classes 1 uint32; share_location 2 bool true; background_label_id 3 int32; "
                                "nms_param 4 NonMaximumSuppressionParameter; code_type 6 CodeType CORNER; "
                                "variance_encoded_in_target 8 bool; keep_top_k 7 int32 -1; "
                                "confidence_threshold 9 float",
    "ROIPoolingParameter": "pooled_h 1 uint32; pooled_w 2 uint32; spatial_scale 3 float 1",
    "RegionProposalParameter": "prenms_top 1 uint32; nms_max_out 2 uint32; iou_threshold 3 float; "
                               "min_box_size 4 float; feature_stride 5 uint32; anchor_ratio_count 6 uint32 1; "
                               "anchor_scale_count 7 uint32 1; anchor_ratio 8 float*; anchor_scale 9 float*",
}
#: LayerParameter's fields that hold the parameters of one kind of layer.
PARAMETERS = {
    "batch_norm_param": 139, "bias_param": 141, "clip_param": 8787, "concat_param": 104, "convolution_param": 106,
    "crop_param": 144, "eltwise_param": 110, "elu_param": 140, "flatten_param": 135, "inner_product_param": 117,
    "input_param": 143, "lrn_param": 118, "permute_param": 8781, "pooling_param": 121, "power_param": 122,
    "prelu_param": 131, "reduction_param": 136, "relu_param": 123, "reshape_param": 133, "scale_param": 142,
    "slice_param": 126, "softmax_param": 125, "norm_param": 8783, "prior_box_param": 8784,
    "detection_output_param": 8782, "roi_pooling_param": 8785, "region_proposal_param": 8786}
ENUMS = {
    "Phase": "TRAIN 0 TEST 1", "EltwiseOp": "PROD 0 SUM 1 MAX 2", "NormRegion": "ACROSS_CHANNELS 0 WITHIN_CHANNEL 1",
    "PoolMethod": "MAX 0 AVE 1 STOCHASTIC 2", "RoundMode": "CEIL 0 FLOOR 1",
    "ReductionOp": "SUM 1 ASUM 2 SUMSQ 3 MEAN 4", "CodeType": "CORNER 1 CENTER_SIZE 2 CORNER_SIZE 3",
    "V1Type": "NONE 0 ACCURACY 1 BNLL 2 CONCAT 3 CONVOLUTION 4 DATA 5 DROPOUT 6 EUCLIDEAN_LOSS 7 FLATTEN 8 "
              "HDF5_DATA 9 HDF5_OUTPUT 10 IM2COL 11 IMAGE_DATA 12 INFOGAIN_LOSS 13 INNER_PRODUCT 14 LRN 15 "
              "MULTINOMIAL_LOGISTIC_LOSS 16 POOLING 17 RELU 18 SIGMOID 19 SOFTMAX 20 SOFTMAX_LOSS 21 SPLIT 22 TANH 23 "
              "WINDOW_DATA 24 ELTWISE 25 POWER 26 SIGMOID_CROSS_ENTROPY_LOSS 27 HINGE_LOSS 28 MEMORY_DATA 29 ARGMAX 30 "
              "THRESHOLD 31 DUMMY_DATA 32 SLICE 33 MVN 34 ABSVAL 35 SILENCE 36 CONTRASTIVE_LOSS 37 EXP 38 "
              "DECONVOLUTION 39 CROP 44"}
#: What layers of the first format are called in the second.
V1_NAMES = {"ABSVAL": "AbsVal", "BNLL": "BNLL", "CONCAT": "Concat", "CONVOLUTION": "Convolution", "CROP": "Crop",
            "DECONVOLUTION": "Deconvolution", "DROPOUT": "Dropout", "ELTWISE": "Eltwise", "FLATTEN": "Flatten",
            "INNER_PRODUCT": "InnerProduct", "LRN": "LRN", "POOLING": "Pooling", "POWER": "Power", "RELU": "ReLU",
            "SIGMOID": "Sigmoid", "SLICE": "Slice", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss",
            "SPLIT": "Split", "TANH": "TanH"}

_SPECIAL = {"prelu_param": "PReLUParameter", "elu_param": "ELUParameter", "lrn_param": "LRNParameter",
            "relu_param": "ReLUParameter", "norm_param": "NormalizeParameter", "roi_pooling_param":
            "ROIPoolingParameter"}


@functools.cache
def message(name: str) -> Any:
    """The class of a message."""
    layer = "; ".join(f"{f} {n} {_SPECIAL.get(f) or ''.join(w.title() for w in f[:-6].split('_')) + 'Parameter'}"
                      for f, n in PARAMETERS.items())
    return classes("caffe", {k: v.replace("PARAMETERS", layer) for k, v in TABLE.items()}, ENUMS)[name]


@functools.cache
def _made(package: str) -> dict[str, Any]:
    return {}


def classes(package: str, table: Mapping[str, str], enums: Mapping[str, str]) -> dict[str, Any]:
    """The classes of all messages of a table."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    made = _made(package)
    if not made:
        file = descriptor_pb2.FileDescriptorProto(name=f"tensorwright/{package}.proto", syntax="proto2",
                                                  package=f"tensorwright.{package}")
        for name, text in enums.items():                  # each in a message of its own: two have a member MAX
            enum = file.message_type.add(name=name).enum_type.add(name="Value")
            words = text.split()
            for member, number in zip(words[::2], words[1::2], strict=True):
                enum.value.add(name=member, number=int(number))
        for name, text in table.items():
            kind = file.message_type.add(name=name)
            for entry in text.split(";"):
                _field(kind, f".tensorwright.{package}", table, enums, *entry.split())
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        made.update((name, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}")))
                    for name in table)
    return made


def _field(kind: Any, package: str, table: Mapping[str, str], enums: Mapping[str, str], name: str, number: str,
           type_: str, default: str | None = None) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
    bare = type_.rstrip("*+")
    field = kind.field.add(name=name, number=int(number),
                           label=Field.LABEL_OPTIONAL if bare == type_ else Field.LABEL_REPEATED)
    if type_.endswith("+"):
        field.options.packed = True
    if bare in table or bare in enums:
        field.type = Field.TYPE_MESSAGE if bare in table else Field.TYPE_ENUM
        field.type_name = f"{package}.{bare}" + (".Value" if bare in enums else "")
    else:
        field.type = getattr(Field, f"TYPE_{bare.upper()}")
    if default is not None:
        field.default_value = default
