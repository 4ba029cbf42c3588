"""The one home of the version: setup.py and the extension read it here."""

__version__ = "0.1.0"
