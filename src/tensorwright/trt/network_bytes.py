"""INetworkDefinition.serialize: a network before it is built, as a ZIP archive of JSON and NumPy arrays."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np

from ..ir import Network
from ..ir.network_codec import encode_network
from .foundation import IHostMemory

#: When an archive says its members were written: the same network gives the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


def network_bytes(network: Network) -> IHostMemory:
    """network.json, and constants/<number>.npy in the order of its "constants"; bits of types that NumPy lacks."""
    data, constants = encode_network(network)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("network.json", EPOCH), json.dumps(data))
        for i, array in enumerate(constants.values()):
            plain = array if array.dtype.kind in "biufc" else array.view(f"u{array.dtype.itemsize}")
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(plain), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"constants/{i}.npy", EPOCH), member.getvalue())
    return IHostMemory(stream.getvalue())
