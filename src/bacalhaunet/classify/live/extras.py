"""Packages of the ``live`` extra, imported when a source needs them."""

from __future__ import annotations

import importlib
from typing import Any

from bacalhaunet.errors import MissingExtraError, how_to_install


def zmq_module() -> Any:
    """Return ``zmq``.

    Raises:
        MissingExtraError: If pyzmq is not installed.
    """
    try:
        return importlib.import_module("zmq")
    except ModuleNotFoundError as error:
        raise MissingExtraError("listening to ZMQ needs the package pyzmq", action=how_to_install("live")) from error


def soapy_module() -> Any:
    """Return ``SoapySDR``.

    Raises:
        MissingExtraError: If its Python module is not installed.
    """
    try:
        return importlib.import_module("SoapySDR")
    except ImportError as error:
        raise MissingExtraError(
            "listening to a receiver needs the Python module SoapySDR, which no Python package brings",
            action="install it with the system's packages (Debian: apt install python3-soapysdr and the receiver's "
            "soapysdr-module-NAME; conda: conda install -c conda-forge soapysdr) and make the virtual environment "
            "with --system-site-packages",
        ) from error
