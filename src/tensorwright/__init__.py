"""tensorwright: trained networks become engines tuned for this machine."""

__version__ = "0.1.0"
