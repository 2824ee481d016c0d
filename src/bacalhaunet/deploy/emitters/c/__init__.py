"""Portable C99 from an integer program: integers only, a few KB of memory, samples streamed one by one."""

from bacalhaunet.deploy.emitters.c.emitter import emit

__all__ = ["emit"]
