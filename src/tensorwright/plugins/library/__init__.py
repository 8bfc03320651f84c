"""The plugins that published models use, as built-ins: imported by the registry when a name is looked up.

One module per family; each registers its plugins under the names, versions and attributes of the originals.
docs/plugin_library.md lists them.
"""

from . import classic_nms, deformable, detections, efficient_nms, point_clouds, proposals, roi_align

__all__ = ["classic_nms", "deformable", "detections", "efficient_nms", "point_clouds", "proposals", "roi_align"]
