"""cuda.bindings.runtime and cuda.bindings.driver."""
