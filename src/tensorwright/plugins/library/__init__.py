"""The plugins that published models use, as built-ins: imported by the registry when a name is looked up.

One module per family; each registers its plugins under the names, versions and attributes of the originals.
docs/plugin_library.md lists them.
"""

from . import (
    anchors,
    classic_nms,
    deformable,
    detections,
    efficient_nms,
    mmdeploy,
    movement,
    normalization,
    point_clouds,
    proposals,
    roi_align,
    transformer,
    yolo,
)

#: The families.
FAMILIES = (efficient_nms, classic_nms, proposals, detections, roi_align, anchors, yolo, normalization, transformer,
            deformable, point_clouds, movement, mmdeploy)
