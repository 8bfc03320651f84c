"""The classes that may appear in a plan, by name."""

from __future__ import annotations

from ..ir import Layer, OpaqueType, TensorType
from .assertion import Assertion
from .attention import Attention
from .chain import Chain
from .control import Body, Branch, Choice, Loop, Scanned, Stacked
from .convolution import Convolution, ConvTranspose
from .create import Fill, Iota, ShapeVector
from .dynamic_quantize import DynamicQuantize
from .expr import Apply, Const, In
from .fused import Fused
from .gather import Gather, GatherElements, GatherND
from .host import Host
from .late import Late
from .matmul import MatMul
from .movement import Concat, Expand, Reshape, Slice, Transpose
from .normalize import Normalize
from .pad import Pad
from .pointwise import Pointwise
from .pool import Pool
from .recurrent import Recurrent
from .reduce import ArgReduce, Reduce
from .resize import Resize
from .scan import CumProd, CumSum, TopK
from .scatter import ScatterElements, ScatterND
from .softmax import Softmax

#: name → class: what ir.codec may write and read.
REGISTRY: dict[str, type] = {cls.__name__: cls for cls in (
    TensorType, OpaqueType, In, Const, Apply, Layer, Body, Scanned, Stacked,
    ArgReduce, Assertion, Attention, Branch, Chain, Choice, Concat, ConvTranspose, Convolution, CumProd, CumSum,
    DynamicQuantize, Expand, Fill, Fused, Gather, GatherElements, GatherND, Host, Iota, Late, Loop, MatMul,
    Normalize, Pad, Pointwise, Pool, Recurrent, Reduce, Reshape, Resize, ScatterElements, ScatterND, ShapeVector,
    Slice, Softmax, TopK, Transpose)}
