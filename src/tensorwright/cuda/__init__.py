"""A CUDA device that is not there: memory, contexts, streams and events for scripts on machines without a GPU.

Scripts that drive TensorRT allocate device memory, copy and synchronise through pycuda, cuda-python or libcudart. The
packages under `shim/` answer those calls with this one. Device addresses are numbers of an address space of our own:
every use is checked against its allocation, and the engine translates them (`memory.host`).
"""
