"""``bacalhaunet twin show``: every class in one picture."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.twin_make import add_profile_settings, profile_settings

_EPILOG = (
    "example: 'bacalhaunet twin show twin.png' draws the 24 classes at +30 dB; '--snr-db 0 --profile field' as a "
    "receiver meets them at 0 dB. The ending chooses PNG, SVG or PDF."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("output", type=str, help="the picture to write: .png, .svg or .pdf")
    parser.add_argument("--snr-db", type=float, default=30.0, help="SNR label in dB")
    parser.add_argument("--seed", type=int, default=0, help="names the frames")
    add_profile_settings(parser)


def run(arguments: Namespace) -> None:
    """Draw and write."""
    from bacalhaunet.radio.profiles import make_source
    from bacalhaunet.report.source_picture import draw_source

    source = make_source(arguments.profile, **profile_settings(arguments))
    draw_source(arguments.output, source, snr_db=arguments.snr_db, seed=arguments.seed, title=arguments.profile)
