"""Every flag of trtexec, generations 8 to 11, in the view of generation 10: section, values, default, support."""

from __future__ import annotations

from pathlib import Path

from .flags import Flag, State
from .older import uff_input
from .syntax import (
    budget,
    debug_forms,
    files,
    formats,
    layer_types,
    names,
    number,
    one_of,
    percentiles,
    pools,
    shapes,
    signed,
    size,
    whole,
)

PERMISSION, SATISFIED, SILENT, UNSUPPORTED = State.PERMISSION, State.SATISFIED, State.SILENT, State.UNSUPPORTED


def later(name: str, section: str, way_out: str, *, value: bool = True, others: tuple[str, ...] = ()) -> Flag:
    """A flag that is refused, and what to do instead."""
    return Flag(name, section, way_out, str if value else None, state=UNSUPPORTED, others=others)


MODEL = (
    Flag("onnx", "Model", "the ONNX model to build an engine from", Path, metavar="FILE"),
    Flag("deploy", "Model", "a Caffe model's prototxt", Path, metavar="FILE"),
    Flag("model", "Model", "the weights of --deploy, a caffemodel; without it they are random", Path, metavar="FILE"),
    Flag("uff", "Model", "a UFF model", Path, metavar="FILE"),
    Flag("uffInput", "Model", "an input of --uff and its shape; repeated for each", uff_input, metavar="NAME,C,H,W"),
    Flag("uffNHWC", "Model", "shapes of --uffInput have the channels last"),
    Flag("output", "Model", "what a network of --deploy or --uff gives; repeated for each", str, metavar="NAME"),
)

SHAPES = "NAME:1x3x224x224,... of inputs with run-time dimensions"
BUILD = (
    Flag("minShapes", "Build", f"smallest shapes: {SHAPES}", shapes, metavar="SHAPES"),
    Flag("optShapes", "Build", "usual shapes, which the engine is tuned for; alone they are also the smallest and "
         "largest", shapes, metavar="SHAPES"),
    Flag("maxShapes", "Build", "largest shapes", shapes, metavar="SHAPES"),
    Flag("profile", "Build", "the min, opt and max shapes that follow are those of profile N", whole(0), metavar="N"),
    Flag("inputIOFormats", "Build", "TYPE:LAYOUT[+LAYOUT] of the inputs, one for all or one for each: fp32:chw; "
         "chw is the only layout in this version", formats, metavar="FORMATS"),
    Flag("outputIOFormats", "Build", "the same of the outputs", formats, metavar="FORMATS"),
    *(Flag(name, "Build", f"{what} may be used", state=PERMISSION) for name, what in (
        ("fp16", "half precision"), ("bf16", "bfloat16"), ("int8", "8-bit integers"), ("fp8", "8-bit floats"),
        ("int4", "4-bit integers"), ("best", "every type"))),
    Flag("calib", "Build", "with --int8: take ranges of tensors from this calibration cache; the plan keeps them, and "
         "computes in float32", Path, metavar="FILE"),
    Flag("precisionConstraints", "Build", "what --layerPrecisions means: obey makes one that cannot be kept an error",
         one_of("none", "prefer", "obey"), "none", metavar="none|prefer|obey"),
    Flag("layerPrecisions", "Build", "NAME:TYPE,... the types that layers compute in; * ends a name that begins so",
         layer_types, metavar="TYPES"),
    Flag("layerOutputTypes", "Build", "NAME:TYPE[+TYPE],... the types that layers' outputs are converted to",
         layer_types, metavar="TYPES"),
    Flag("stronglyTyped", "Build", "types are those of the model"),
    Flag("noTF32", "Build", "no TF32", state=SATISFIED),
    Flag("sparsity", "Build", "enable: structured sparsity may be used; force is not supported",
         one_of("disable", "enable", "force"), "disable", metavar="disable|enable|force"),
    Flag("saveEngine", "Build", "write the engine there", Path, metavar="FILE"),
    Flag("loadEngine", "Build", "take the engine from there instead of building it", Path, metavar="FILE"),
    Flag("skipInference", "Build", "stop after building or loading", others=("buildOnly",)),
    Flag("getPlanVersionOnly", "Build", "print which kernel generators made the plan of --loadEngine, and stop"),
    Flag("useRuntime", "Build", "full; lean and dispatch are not supported", one_of("full", "lean", "dispatch"), "full",
         metavar="full|lean|dispatch"),
    Flag("tempdir", "Build", "folder for temporary files while an engine is loaded", Path, metavar="DIR"),
    Flag("memPoolSize", "Build", "workspace:SIZE,... in MiB, or with B, K, M or G; the workspace bounds a kernel's "
         "scratch memory; other pools belong to GPUs", pools, metavar="POOLS"),
    Flag("workspace", "Build", "size of the workspace in MiB: see --memPoolSize", size, metavar="MIB"),
    Flag("timingCacheFile", "Build", "read timings of kernels there, and add those made", Path, metavar="FILE"),
    Flag("builderOptimizationLevel", "Build", "0 no timing, 1 and 2 at most 5 and 20 seconds of it, 3 to 5 all",
         whole(-1, 5), -1, metavar="0..5"),
    Flag("profilingVerbosity", "Build", "how much the engine tells about its layers",
         one_of("layer_names_only", "detailed", "none", "default", "verbose"), "layer_names_only",
         metavar="layer_names_only|detailed|none", others=("nvtxMode",)),
    Flag("noBuilderCache", "Build", "neither use nor keep timings"),
    Flag("noCompilationCache", "Build", "compiled kernels are not kept", state=SATISFIED),
    Flag("asyncFileReader", "Build", "the engine's file is read in pieces, not as a whole"),
    Flag("refit", "Build", "the engine's weights can be replaced later"),
    Flag("stripWeights", "Build", "the engine is written without weights, and takes the same ones later; with --refit "
         "any others", others=("weightless",)),
    Flag("stripAllWeights", "Build", "--refit and --stripWeights in one"),
    Flag("refitFromOnnx", "Build", "give the engine the weights of the model of --onnx, which may be beside "
         "--loadEngine"),
    Flag("allowWeightStreaming", "Build", "not all of the engine's weights need to be in memory: see "
         "--weightStreamingBudget"),
    Flag("avgTiming", "Build", "launches to time a kernel by, at least", whole(1), 1, metavar="N"),
    Flag("minTiming", "Build", "the same", whole(1), 1, metavar="N"),
    Flag("maxTactics", "Build", "kernels to time for one layer, at most; the most promising ones", whole(1),
         metavar="N"),
    Flag("errorOnTimingCacheMiss", "Build", "fail when a kernel's time is not in the timing cache"),
    Flag("monitorMemory", "Build", "say after each phase of the build how much memory the process took"),
    Flag("setBuildRoute", "Build", "-knob=N ... steers the build; --helpBuildRoute lists the knobs", str,
         metavar="ROUTE"),
    Flag("helpBuildRoute", "Build", "print the knobs of --setBuildRoute as JSON, and stop"),
    Flag("markDebug", "Build", "NAME,... of tensors that --saveDebugTensors may write", names, metavar="NAMES"),
    Flag("markUnfusedTensorsAsDebugTensors", "Build", "so may all tensors that fusions leave"),
    Flag("hardwareCompatibilityLevel", "Build", "on other machines a plan's kernels are compiled again, whatever this "
         "says", one_of("none", "ampere+", "sameComputeCapability"), metavar="LEVEL", state=SATISFIED),
    Flag("runtimePlatform", "Build", "likewise", one_of("SameAsBuild", "WindowsAMD64"), metavar="PLATFORM",
         state=SATISFIED),
    Flag("versionCompatible", "Build", "a plan of another version is compiled again when it is loaded",
         state=SATISFIED, others=("vc",)),
    Flag("excludeLeanRuntime", "Build", "there is no runtime in a plan", state=SATISFIED),
    Flag("heuristic", "Build", "tactics may be guessed", state=PERMISSION),
    Flag("tacticSources", "Build", "libraries that may be used; kernels for a CPU come from none",
         signed("TacticSource"), metavar="+NAME,-NAME", state=PERMISSION),
    Flag("tilingOptimizationLevel", "Build", "effort for tiling", one_of("none", "fast", "moderate", "full"),
         metavar="LEVEL", state=PERMISSION),
    Flag("l2LimitForTiling", "Build", "L2 cache that tiling may take", size, metavar="SIZE", state=PERMISSION),
    Flag("maxAuxStreams", "Build", "streams besides the main one; work runs when it is submitted", whole(0),
         metavar="N", state=PERMISSION),
    Flag("preview", "Build", "features to try, or not to", signed("PreviewFeature"), metavar="+NAME,-NAME"),
    Flag("directIO", "Build", "no reformatting at inputs and outputs", state=SATISFIED),
    Flag("pluginInstanceNorm", "Build", "instance normalisation may be a plugin", state=PERMISSION, others=("pi",)),
    Flag("allowGPUFallback", "Build", "layers that DLA lacks may run elsewhere", state=PERMISSION),
    *(Flag(name, "Build", "explicit dimensions are the only ones", state=SILENT)
      for name in ("explicitBatch", "explicitPrecision")),
    Flag("batch", "Build", "batch size of a model of --deploy or --uff; without it that of --maxBatch, or 1", whole(1),
         metavar="N"),
    Flag("maxBatch", "Build", "largest batch size: the engine is made for --batch", whole(1), metavar="N"),
    *(later(name, "Build", "leave it out: ranges are those that --calib gives, no batches are run")
      for name in ("calibProfile", "minShapesCalib", "optShapesCalib", "maxShapesCalib")),
    later("leanDLLPath", "Build", "leave it out: there is one runtime"),
    later("tempfileControls", "Build", "leave it out, and say with --tempdir where temporary files may lie"),
    later("decomposableAttentions", "Build", "leave it out: attention is decomposed where that is faster"),
    Flag("enablePluginOverride", "Build", "plugins take the place of standard operators of their name"),
    later("layerDeviceTypes", "Build", "leave it out: there is one device"),
    *(later(name, "Build", "leave it out: this machine has no DLA", value=value) for name, value in (
        ("useDLACore", True), ("buildDLAStandalone", False), ("uint8AsymmetricQuantizationDLA", False),
        ("reportCapabilityDLA", False), ("adjustForDLA", False))),
    *(later(name, "Build", "leave it out: there is no safety runtime", value=value) for name, value in (
        ("safe", False), ("restricted", False), ("consistency", False), ("safetyPlugins", True))),
    *(later(name, "Build", "leave it out", value=value) for name, value in (
        ("dumpKernelText", False), ("remoteAutoTuningConfig", True), ("cpuOnly", False),
        ("distributiveIndependence", False))),
)

SYSTEM = (
    Flag("device", "System", "number of the device; there is 0 only", whole(0), 0, metavar="N"),
    *(Flag(name, "System", "load plugins from a Python file or module; compiled libraries are refused", str,
           metavar="FILE.py|MODULE", others=others)
      for name, others in (("staticPlugins", ("plugins",)), ("dynamicPlugins", ()))),
    later("setPluginsToSerialize", "System", "leave it out: plans name their plugins and never contain code of them; "
          "give --staticPlugins where the plan is loaded"),
    Flag("ignoreParsedPluginLibs", "System", "plugin libraries that a model names are not loaded", state=SATISFIED),
)

INFERENCE = (
    Flag("shapes", "Inference", f"shapes to run at: {SHAPES}; without --optShapes also those to build for", shapes,
         metavar="SHAPES"),
    Flag("loadInputs", "Inference", "NAME:FILE,... raw little-endian elements of inputs; the others are random", files,
         metavar="FILES"),
    Flag("iterations", "Inference", "queries at least, per stream", whole(0), 10, metavar="N"),
    Flag("duration", "Inference", "seconds at least; -1: until it is interrupted", number(-1), 3.0, metavar="SECONDS"),
    Flag("warmUp", "Inference", "milliseconds before measuring", number(0), 200.0, metavar="MS"),
    Flag("sleepTime", "Inference", "milliseconds to wait between readiness and the first query", number(0), 0.0,
         metavar="MS"),
    Flag("idleTime", "Inference", "milliseconds to wait between queries", number(0), 0.0, metavar="MS"),
    Flag("infStreams", "Inference", "queries at once: as many contexts, each on a thread of its own", whole(1), 1,
         metavar="N", others=("streams",)),
    Flag("threads", "Inference", "a thread per stream", state=SATISFIED),
    *(Flag(name, "Inference", "there are no CUDA graphs: a query is one call", state=PERMISSION)
      for name in ("useCudaGraph", "noCudaGraph")),
    Flag("useSpinWait", "Inference", "spinning is allowed while waiting", state=PERMISSION),
    Flag("noSpinWait", "Inference", "no spinning while waiting for a query: it is over when its call returns",
         state=SATISFIED),
    Flag("noDataTransfers", "Inference", "no copies to and from a device", state=SATISFIED),
    Flag("includeDataTransfers", "Inference", "copies to and from the device count: there are none, they take 0 ms",
         state=SATISFIED),
    Flag("separateProfileRun", "Inference", "layers are timed in a run of their own", state=SATISFIED),
    Flag("exposeDMA", "Inference", "transfers and queries take turns: there are no transfers", state=SATISFIED),
    Flag("useManagedMemory", "Inference", "one memory for both sides", state=SATISFIED),
    Flag("useProfile", "Inference", "the profile to run in", whole(0), 0, metavar="N"),
    Flag("saveDebugTensors", "Inference", "NAME:FILE,... write the raw elements of debug tensors", files,
         metavar="FILES"),
    Flag("saveAllDebugTensors", "Inference", "write all debug tensors as NAME.npy, NAME.txt or NAME.raw into the "
         "current folder; summary prints their range", debug_forms, metavar="summary|numpy|string|raw,..."),
    Flag("allocationStrategy", "Inference", "working memory for all profiles, for the one used, or as much as the "
         "shapes need",
         one_of("static", "profile", "runtime"), "static", metavar="static|profile|runtime"),
    Flag("persistentCacheRatio", "Inference", "share of the L2 cache to keep", number(0), metavar="R",
         state=PERMISSION),
    Flag("timeDeserialize", "Inference", "time the loading of the engine, and stop"),
    Flag("timeRefit", "Inference", "time the replacement of all weights, by those of --onnx where it is given"),
    Flag("weightStreamingBudget", "Inference", "weights that stay in memory: bytes (or with B, K, M, G), a share like "
         "40%, -1 automatic, -2 all", budget, metavar="SIZE"),
)

ACCURACY = (
    Flag("loadRefOutputs", "Accuracy", "NAME:FILE,... raw little-endian elements that outputs must have", files,
         metavar="FILES"),
    Flag("refPair", "Accuracy", "the --loadInputs and --loadRefOutputs that follow belong together, as pair N",
         whole(0), metavar="N"),
    Flag("accuracyAlgorithm", "Accuracy", "l0 share of elements out of tolerance; l1, l2, lInf mean, root mean square "
         "and largest difference; cos 1 - cosine", one_of("l0", "l1", "l2", "lInf", "cos"), "l0",
         metavar="l0|l1|l2|lInf|cos"),
    Flag("atol", "Accuracy", "absolute tolerance of l0", number(0), 1e-5, metavar="X"),
    Flag("rtol", "Accuracy", "relative tolerance of l0", number(0), 1e-5, metavar="X"),
    Flag("accuracyThreshold", "Accuracy", "largest value that passes; default 0 for l0, else 1e-5", number(0),
         metavar="X"),
)

TUNING = (
    Flag("tuneBuildRoutes", "Tuning", "-knob=[a|b] -knob=c ...: build and measure an engine for each choice, and "
         "report the best; --saveEngine gets it", str, metavar="ROUTES"),
    Flag("tuneBuildRouteFile", "Tuning", "the same, in a file", Path, metavar="FILE"),
    Flag("tuningSearch", "Tuning", "full: every choice; fast: one knob after the other; mixed: fast, then all of the "
         "two best of each knob", one_of("fast", "full", "mixed"), "full", metavar="fast|full|mixed"),
    Flag("tuningCacheFile", "Tuning", "write what was measured there, as JSON lines", Path, metavar="FILE"),
    Flag("continue", "Tuning", "do not measure again what --tuningCacheFile has of the same search"),
    Flag("tuningResultFile", "Tuning", "write the best choice there, as JSON", Path, metavar="FILE"),
    Flag("tuningTimeOut", "Tuning", "seconds after which no further engine is built", number(0), metavar="SECONDS"),
    Flag("dryRun", "Tuning", "print the choices, and stop"),
    Flag("saveAllEngines", "Tuning", "write each engine into this folder", Path, metavar="DIR"),
)

REPORTING = (
    Flag("verbose", "Reporting", "say more, and what the figures mean", others=("-v",)),
    Flag("avgRuns", "Reporting", "queries per line of the trace", whole(1), 10, metavar="N"),
    Flag("percentile", "Reporting", "percentiles to report", percentiles, (90.0, 95.0, 99.0), metavar="P,..."),
    Flag("dumpProfile", "Reporting", "print the time of each layer"),
    Flag("dumpLayerInfo", "Reporting", "print the layers"),
    Flag("dumpOutput", "Reporting", "print the outputs of the last query"),
    Flag("dumpOptimizationProfile", "Reporting", "print the shapes of each profile"),
    Flag("dumpRawBindingsToFile", "Reporting", "write inputs and outputs as raw files NAME.input.SHAPE.TYPE.raw into "
         "the current folder"),
    Flag("exportTimes", "Reporting", "write the times of all queries as JSON", Path, metavar="FILE"),
    Flag("exportProfile", "Reporting", "write the time of each layer as JSON", Path, metavar="FILE"),
    Flag("exportLayerInfo", "Reporting", "write the layers as JSON", Path, metavar="FILE"),
    Flag("exportOutput", "Reporting", "write the outputs of the last query as JSON", Path, metavar="FILE"),
    Flag("dumpRefit", "Reporting", "print the layers and roles of weights that can be replaced"),
)

FLAGS = (*MODEL, *BUILD, *SYSTEM, *INFERENCE, *ACCURACY, *TUNING, *REPORTING)
