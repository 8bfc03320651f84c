"""Names that warn when scripts use them, from which generation on, and what to use instead."""

from __future__ import annotations

from collections.abc import Mapping

#: Class → member → (first generation that warns, replacement or "").
DEPRECATED: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Builder": {
        "max_batch_size": (8, ""),
        "build_engine": (8, "build_serialized_network"),
    },
    "IAlgorithmIOInfo": {
        "tensor_format": (8, ""),
    },
    "IBuilderConfig": {
        "min_timing_iterations": (8, "avg_timing_iterations"),
        "int8_calibrator": (10, ""),
        "max_workspace_size": (8, "set_memory_pool_limit"),
        "set_calibration_profile": (10, ""),
        "get_calibration_profile": (10, ""),
        "algorithm_selector": (10, ""),
    },
    "IConvolutionLayer": {
        "kernel_size": (8, "kernel_size_nd"),
        "stride": (8, "stride_nd"),
        "padding": (8, "padding_nd"),
        "dilation": (8, "dilation_nd"),
    },
    "ICudaEngine": {
        "get_binding_name": (8, "get_tensor_name"),
        "get_binding_index": (8, "get_tensor_name"),
        "binding_is_input": (8, "get_tensor_mode"),
        "get_binding_shape": (8, "get_tensor_shape"),
        "get_binding_dtype": (8, "get_tensor_dtype"),
        "has_implicit_batch_dimension": (10, ""),
        "max_batch_size": (8, ""),
        "get_location": (8, "get_tensor_location"),
        "create_execution_context_without_device_memory": (10, "create_execution_context"),
        "device_memory_size": (10, ""),
        "get_profile_shape": (8, "get_tensor_profile_shape"),
        "get_profile_shape_input": (8, "get_tensor_profile_shape"),
        "is_shape_binding": (8, "is_shape_inference_io"),
        "is_execution_binding": (8, "get_tensor_location"),
        "get_binding_bytes_per_component": (8, "get_tensor_bytes_per_component"),
        "get_binding_components_per_element": (8, "get_tensor_components_per_element"),
        "get_binding_format": (8, "get_tensor_format"),
        "get_binding_format_desc": (8, "get_tensor_format_desc"),
        "get_binding_vectorized_dim": (8, "get_tensor_vectorized_dim"),
        "get_device_memory_size_for_profile": (10, ""),
        "weight_streaming_budget": (10, ""),
        "minimum_weight_streaming_budget": (10, ""),
    },
    "IDeconvolutionLayer": {
        "kernel_size": (8, "kernel_size_nd"),
        "stride": (8, "stride_nd"),
        "padding": (8, "padding_nd"),
    },
    "IExecutionContext": {
        "execute": (8, "execute_v2"),
        "execute_async": (8, "execute_async_v2"),
        "get_strides": (8, "get_tensor_strides"),
        "set_binding_shape": (8, "set_input_shape"),
        "get_binding_shape": (8, "get_tensor_shape"),
        "set_shape_input": (8, "set_tensor_address"),
        "get_shape": (8, "get_tensor_address"),
    },
    "ILayer": {
        "precision_is_set": (10, ""),
        "reset_precision": (10, ""),
        "set_output_type": (10, ""),
        "output_type_is_set": (10, ""),
        "reset_output_type": (10, ""),
    },
    "INetworkDefinition": {
        "has_implicit_batch_dimension": (10, ""),
        "add_convolution": (8, "add_convolution_nd"),
        "add_fully_connected": (8, "add_matrix_multiply"),
        "add_pooling": (8, "add_pooling_nd"),
        "add_deconvolution": (8, "add_deconvolution_nd"),
        "add_padding": (8, "add_padding_nd"),
        "add_rnn_v2": (8, "add_loop"),
    },
    "IPaddingLayer": {
        "pre_padding": (8, "pre_padding_nd"),
        "post_padding": (8, "post_padding_nd"),
    },
    "IPoolingLayer": {
        "window_size": (8, "window_size_nd"),
        "stride": (8, "stride_nd"),
        "padding": (8, "padding_nd"),
    },
    "ITensor": {
        "broadcast_across_batch": (10, ""),
        "dynamic_range": (10, ""),
        "set_dynamic_range": (10, ""),
        "reset_dynamic_range": (10, ""),
    },
    "Refitter": {
        "get_dynamic_range": (10, ""),
        "set_dynamic_range": (10, ""),
        "get_tensors_with_dynamic_range": (10, ""),
    },
}
