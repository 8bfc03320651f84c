"""IVersionedInterface: which interface an object implements, in which version, and in what language."""

from __future__ import annotations

from .enums import APILanguage
from .foundation import Closed


class InterfaceInfo(Closed):
    """Which interface an object implements: its kind and version."""

    kind = ""
    major = 1
    minor = 0

    def __init__(self, kind: str = "", major: int = 1, minor: int = 0) -> None:
        self.kind, self.major, self.minor = kind, major, minor
        self._closed = True


class IVersionedInterface(Closed):
    """The base of interfaces that say what they are. Users' classes may carry attributes of their own."""

    _kind = ""

    @property
    def api_language(self) -> APILanguage:
        return self._class(APILanguage).PYTHON

    @property
    def interface_info(self) -> InterfaceInfo:
        return self._class(InterfaceInfo)(self._kind)
