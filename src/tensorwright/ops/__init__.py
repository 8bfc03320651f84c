"""The operators of the intermediate representation: one file per family."""

from . import expr
from .assertion import Assertion, unasserted
from .attention import Attention
from .chain import Chain
from .control import Body, Branch, Choice, Loop, Scanned, Stacked, layers_inside
from .convolution import Convolution, ConvTranspose
from .create import Fill, Iota, ShapeVector
from .dynamic_quantize import DynamicQuantize
from .fused import Fused
from .gather import Gather, GatherElements, GatherND
from .host import Host, host_node
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

__all__ = ["ArgReduce", "Assertion", "Attention", "Body", "Branch", "Chain", "Choice", "Concat", "ConvTranspose",
           "Convolution", "CumProd", "CumSum", "DynamicQuantize", "Expand", "Fill", "Fused", "Gather",
           "GatherElements", "GatherND", "Host", "Iota", "Late", "Loop", "MatMul", "Normalize", "Pad", "Pointwise",
           "Pool", "Recurrent", "Reduce", "Reshape", "Resize", "Scanned", "ScatterElements", "ScatterND",
           "ShapeVector", "Slice", "Softmax", "Stacked", "TopK", "Transpose", "expr", "host_node", "layers_inside",
           "unasserted"]
