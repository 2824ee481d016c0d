"""The ``field`` profile: signals as a receiver meets them.

A modulation more is one module here, with a class that follows ``transmitter.Transmitter``, and one row in
``registry.TRANSMITTERS``.
"""
