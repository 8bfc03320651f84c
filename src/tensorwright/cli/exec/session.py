"""One run of `wright exec`, from its command line to `&&&& PASSED` or `&&&& FAILED`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ... import __version__
from ...device.cpu import describe
from ...errors import TensorwrightError, UnsupportedError
from ...trt import Builder, ICudaEngine, IExecutionContext, LayerInformationFormat, TensorIOMode
from ..console import FAILED, OK, Console, UsageError
from ..values import folder_for
from . import files, report
from .accuracy import check_accuracy
from .build import plan_of
from .data import Stream, inputs_of, shapes_of, tensors
from .debugging import save_debug_tensors
from .flags import Asked, Given, State
from .inventory import FLAGS
from .loading import engine_of, time_loading, version_of
from .log import Log
from .older import check_older, is_older
from .profile import profiled
from .syntax import shown
from .timing import Pace, measure
from .tuning import tune
from .weights import lacks_weights, prepare

#: Build flags that mean something for an engine that is loaded.
LOADING = ("saveEngine", "loadEngine", "skipInference", "getPlanVersionOnly", "useRuntime", "tempdir",
           "asyncFileReader", "refitFromOnnx")
#: The generation whose flags and report these are.
GENERATION = "v101600"
WRITTEN = ("saveEngine", "timingCacheFile", "exportTimes", "exportProfile", "exportLayerInfo", "exportOutput",
           "tuningCacheFile", "tuningResultFile")


def run(given: Sequence[Given], console: Console) -> int:
    """OK or FAILED. Errors are logged; those that are not ours are left to `main`."""
    asked = Asked(FLAGS, given)
    log = Log(console, asked["verbose"])
    title = f"TensorRT.trtexec [TensorRT {GENERATION}] [tensorwright {__version__}] # wright exec {asked}"
    log.plain(f"&&&& RUNNING {title}")
    try:
        check(asked)
        announce(asked, log)
        execute(asked, log, console)
    except (TensorwrightError, UsageError, OSError) as error:
        for line in str(error).splitlines():
            log.error(line)
        console.result(passed=False, error=str(error))
        log.plain(f"&&&& FAILED {title}")
        return FAILED
    except BaseException:
        log.plain(f"&&&& FAILED {title}")
        raise
    console.result(passed=True)
    log.plain(f"&&&& PASSED {title}")
    return OK


def check(asked: Asked) -> None:
    """What can be known to be wrong before anything is done."""
    for one in asked.given:
        if one.flag.state is State.UNSUPPORTED:
            raise UnsupportedError(f"{one.spelling} is not supported", try_=one.flag.note)
    if asked["helpBuildRoute"]:
        return
    both = asked["onnx"] is not None and asked["loadEngine"] is not None
    check_older(asked)
    if is_older(asked):
        if asked["onnx"] is not None or asked["loadEngine"] is not None:
            raise UsageError("give one model: --onnx, --deploy, --uff or --loadEngine")
    elif (both and not (asked["refitFromOnnx"] or asked["timeRefit"])) or asked["onnx"] is asked["loadEngine"]:
        raise UsageError("give a model with --onnx=FILE, or an engine with --loadEngine=FILE, and not both (but for "
                         "--refitFromOnnx and --timeRefit)")
    if asked["refitFromOnnx"] and asked["onnx"] is None:
        raise UsageError("--refitFromOnnx needs --onnx=FILE")
    if asked["loadEngine"] is not None:
        building = [g.spelling for g in asked.given if g.flag.name in ("minShapes", "optShapes", "maxShapes", "profile",
                    "layerPrecisions", "layerOutputTypes", "inputIOFormats", "outputIOFormats")]
        if building:
            raise UsageError(f"{building[0]} is for building, and --loadEngine gives an engine that is built")
    if tuning(asked):
        for name in ("loadEngine", "setBuildRoute", "skipInference", "getPlanVersionOnly", "timeDeserialize"):
            if asked[name]:
                raise UsageError(f"--{name} and --tuneBuildRoutes contradict each other")
    elif used := [g.spelling for g in asked.given if g.flag.section == "Tuning"]:
        raise UsageError(f"{used[0]} is for tuning: say what to try with --tuneBuildRoutes")
    if asked["device"] != 0:
        raise UnsupportedError(f"--device={asked['device']}: there is device 0 only, the CPU", try_="leave it out")
    if asked["duration"] < 0 and asked["duration"] != -1:
        raise UsageError(f"--duration={asked['duration']:g}: -1 means endlessly, other times are at least 0")
    if asked["getPlanVersionOnly"] and asked["loadEngine"] is None:
        raise UsageError("--getPlanVersionOnly needs --loadEngine=FILE")
    for name in WRITTEN:
        if asked[name] is not None:
            folder_for(Path(asked[name]).absolute().parent, f"give another place with --{name}")
    if asked["skipInference"] or asked["timeDeserialize"]:
        for name in ("exportTimes", "exportProfile", "exportOutput", "dumpProfile", "dumpOutput",
                     "dumpRawBindingsToFile", "saveDebugTensors", "saveAllDebugTensors", "loadRefOutputs"):
            if asked[name]:
                raise UsageError(f"--{name} needs the inference that --skipInference or --timeDeserialize leaves out")


def tuning(asked: Asked) -> bool:
    return asked["tuneBuildRoutes"] is not None or asked["tuneBuildRouteFile"] is not None


def announce(asked: Asked, log: Log) -> None:
    """The options, the device, and which flags were taken without being made use of."""
    for section in ("Model", "Build", "System", "Inference", "Reporting"):
        log.section(f"{section} Options")
        for name, kind in (("onnx", "ONNX"), ("deploy", "Caffe"), ("uff", "UFF")):
            if section == "Model" and asked[name] is not None:
                log.info(f"Format: {kind}")
                log.info(f"Model: {asked[name]}")
        for flag in FLAGS:
            if flag.section == section != "Model" and flag.state is State.WORKS:
                texts = [g.text or "Enabled" for g in asked.given if g.flag is flag]
                value = " ".join(texts) or ("Disabled" if flag.read is None else flag.usual)
                log.info(f"{flag.name}: {value}")
        log.info()
    spec = describe()
    log.section("Device Information")
    for line in (f"Selected Device: {platform.processor() or platform.machine()} ({spec.name})", "Device ID: 0",
                 f"Cores: {spec.cores}", f"Vector Registers: {spec.vector_bits} bits",
                 f"Device Global Memory: {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20} MiB",
                 "Transfers: none, the device computes in the host's memory"):
        log.info(line)
    log.info()
    for one in {g.flag.name: g for g in asked.given}.values():
        if one.flag.state is State.PERMISSION and one.flag.name not in ("fp16", "bf16", "int8", "fp8", "best"):
            log.info(f"{one.spelling} is a permission that is not made use of: {one.flag.note}")
        elif one.flag.state is State.SATISFIED:
            log.info(f"{one.spelling} changes nothing on a CPU: {one.flag.note}")
        elif one.flag.section == "Build" and asked["loadEngine"] is not None and one.flag.state is State.WORKS \
                and one.flag.name not in LOADING:
            log.warning(f"{one.spelling} is for building: the engine that --loadEngine gives stays as it is")


def execute(asked: Asked, log: Log, console: Console) -> None:
    if asked["helpBuildRoute"]:
        console.say(Builder(log).create_builder_config().all_build_routes)
        return
    if asked["getPlanVersionOnly"]:
        version = version_of(asked["loadEngine"])
        log.info(f"Plan was created with: {version}")
        console.result(plan_version=version)
        return
    if tuning(asked):
        tune(asked, log, console)
        return
    plan = plan_of(asked, log)
    console.result(engine_bytes=len(plan))
    if asked["timeDeserialize"]:
        time_loading(plan, asked, log)
        return
    engine = engine_of(plan, asked, log)
    del plan
    prepare(engine, asked, log)
    if asked["dumpOptimizationProfile"]:
        dump_profiles(engine, log)
    if lacks_weights(engine) and not asked["skipInference"]:
        show_layers(engine, None, asked, log)
        log.warning("Skipped inference phase: the engine has no weights; --refitFromOnnx gives it those of --onnx")
        return
    if asked["skipInference"]:
        show_layers(engine, None, asked, log)
        log.info("Skipped inference phase since --skipInference is added.")
        return
    infer(engine, asked, log, console)


def infer(engine: ICudaEngine, asked: Asked, log: Log, console: Console) -> None:
    inputs = inputs_of(engine, shapes_of(engine, asked), asked, log)
    streams = [Stream(engine, inputs, asked["useProfile"], asked["allocationStrategy"])
               for _ in range(asked["infStreams"])]
    memory = engine.get_device_memory_size_for_profile(asked["useProfile"])
    log.info(f"Created execution context with device memory size: {memory / (1 << 20):g} MiB")
    show_layers(engine, streams[0].context, asked, log)
    streams[0].query()                                   # the shapes of outputs that the data decide
    for name, array in streams[0].outputs().items():
        log.info(f"Output binding for {name} with dimensions {shown(array.shape)} is created.")
    save_debug_tensors(streams[0], asked, log)
    check_accuracy(engine, streams[0], inputs, asked, log)
    log.info("Starting inference")
    pace = Pace(asked["iterations"], asked["duration"], asked["warmUp"] / 1e3, asked["sleepTime"] / 1e3,
                asked["idleTime"] / 1e3)
    trace = measure([stream.query for stream in streams], pace)
    report.details(trace, asked["avgRuns"], log)
    console.result(**report.summary(trace, len(streams), asked["percentile"], log))
    if asked["exportTimes"] is not None:
        files.write_json(asked["exportTimes"], files.times(trace))
    if asked["dumpProfile"] or asked["exportProfile"] is not None:
        layers = profiled(streams[0], replace(pace, duration=max(0.0, pace.duration)))
        if asked["dumpProfile"]:
            report.layer_table(layers, log)
        if asked["exportProfile"] is not None:
            files.write_json(asked["exportProfile"], files.profile(layers))
    results = streams[0].outputs()
    if asked["dumpOutput"]:
        for name, array in results.items():
            log.info(f"Output Tensors: {name}: ({shown(array.shape)})")
            log.info(" ".join(map(str, files.numbers(array))))
    if asked["exportOutput"] is not None:
        files.write_json(asked["exportOutput"], files.outputs(results))
    if asked["dumpRawBindingsToFile"]:
        for side, arrays in (("input", inputs), ("output", results)):
            for name, array in arrays.items():
                path = Path(files.raw_name(name, side, array))
                files.write(path, array.tobytes())
                log.info(f"Writing file for {side} binding {name} to {path}")


def show_layers(engine: ICudaEngine, context: IExecutionContext | None, asked: Asked, log: Log) -> None:
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    if asked["dumpLayerInfo"]:
        log.info("Layer Information:")
        for line in inspector.get_engine_information(LayerInformationFormat.ONELINE).splitlines():
            log.info(line)
    if asked["exportLayerInfo"] is not None:
        files.write_json(asked["exportLayerInfo"],
                         json.loads(inspector.get_engine_information(LayerInformationFormat.JSON)))


def dump_profiles(engine: ICudaEngine, log: Log) -> None:
    log.info("Optimization Profile Information:")
    for index in range(engine.num_optimization_profiles):
        for name in tensors(engine, TensorIOMode.INPUT):
            low, usual, high = (tuple(d) for d in engine.get_tensor_profile_shape(name, index))
            log.info(f"Optimization Profile {index}: {name}: min={shown(low)}, opt={shown(usual)}, max={shown(high)}")
