"""Every parameter of the twin, with its evidence.

Sureness: [A] measured on real samples or matched to sampling noise, [B] strong evidence from networks trained on the
real data, [C] a plausible fit. ``docs/twin.md`` has the tables behind each letter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from bacalhaunet.errors import ConfigError


@dataclass(frozen=True)
class TwinConfig:
    """How RadioML 2018.01A was made, as far as it is known.

    Attributes:
        block_length: Samples M that share one normalisation; a frame is the first 1024 of them [A-: 1024 and 4096 fail
            the SSB clip curve and the spread of frame powers].
        frequency_offset_std: Carrier offset w in radians a sample, normal with this std [A: 2.0e-4 to 2.4e-4].
        roll_off: Roll-off of each root-raised-cosine filter [A: 0.408 and 0.417 by free fits to the real frames, no
            spread seen].
        cascaded_filters: Root-raised-cosine filters in cascade [A: exponent 2.99 of free fits].
        pulse_half_span: Symbols on either side at which the pulse is cut [A: spans below 10 a filter fit worse].
        timing_fraction: Sampling instant past a whole sample [A: 0.54 by the fit to 1022 real frames; even filter
            lengths give the half].
        rings_16apsk: Ring radii of 16APSK relative to the first [B: 2.4 to 2.85 all fit].
        rings_32apsk: Ring radii of 32APSK [A: DVB-S2X 2/3-L].
        rings_64apsk: Ring radii of 64APSK [B: fit, tolerance 2 to 3 %].
        rings_128apsk: Ring radii of 128APSK [A: DVB-S2X 135/180].
        gmsk_index: Modulation index h of GMSK [B: 0.5 over the root of the pulse's energy, as a unit-energy filter
            makes it; 0.54 to 0.56 fit].
        gmsk_roll_off: Roll-off of GMSK's frequency pulse [C: that of the linear classes].
        gmsk_cascaded_filters: As for the linear classes; 2 fits VGG10 as well, AaronNet32's curve likes 3 [B].
        message_bandwidth: Band of the analog message g in cycles a sample [C: 0.003 to 0.01 all fit].
        fm_frequency: Tone of the FM class in cycles a sample [B: 0.028 to 0.032].
        fm_deviation: Relative deviation of that tone by the message [B: below 0.1].
        dsb_frequency: Carrier of both AM-DSB classes in cycles a sample [B: 0.0300 to 0.0307 by VGG10's confusions of
            the two classes at -4 dB; FM's tone lies at the same place].
        dsb_sc_depth: Median depth k of AM-DSB-SC's message on its carrier [B].
        dsb_sc_depth_spread: Log-normal spread of that depth [B: the published 11 % confused with WC].
        dsb_wc_depth: Depth of AM-DSB-WC [B: 0.045 gives the published confusions at +4 and +30 dB, 0.06 too many].
        ssb_sc_depth: Median depth of AM-SSB-SC on its constant [A: clip shares, std and largest sample].
        ssb_sc_depth_spread: Log-normal spread of that depth [B: small, or the largest samples are too large].
        ssb_wc_depth: Depth of AM-SSB-WC [A: clip shares].
    """

    block_length: int = 2048
    frequency_offset_std: float = 2.3e-4
    roll_off: float = 0.41
    cascaded_filters: float = 3.0
    pulse_half_span: int = 10
    timing_fraction: float = 0.54
    rings_16apsk: tuple[float, ...] = (1.0, 2.57)
    rings_32apsk: tuple[float, ...] = (1.0, 2.85, 5.55)
    rings_64apsk: tuple[float, ...] = (1.0, 2.58, 4.3, 6.22)
    rings_128apsk: tuple[float, ...] = (1.0, 1.715, 2.118, 2.681, 2.75, 3.819)
    gmsk_index: float = 0.543
    gmsk_roll_off: float = 0.41
    gmsk_cascaded_filters: float = 3.0
    message_bandwidth: float = 0.005
    fm_frequency: float = 0.03
    fm_deviation: float = 0.05
    dsb_frequency: float = 0.0302
    dsb_sc_depth: float = 0.125
    dsb_sc_depth_spread: float = 0.37
    dsb_wc_depth: float = 0.045
    ssb_sc_depth: float = 0.09
    ssb_sc_depth_spread: float = 0.1
    ssb_wc_depth: float = 0.03

    def __post_init__(self) -> None:
        """Check ranges; NaN fails every check."""
        for field in fields(self):
            value = getattr(self, field.name)
            smallest = min(value) if isinstance(value, tuple) else value
            if not smallest >= 0:
                raise ConfigError(
                    f"{field.name} is {value}", allowed="numbers of at least 0", where="the twin's config"
                )
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} is {value}", allowed=f"{low} to {high}", where="the twin's config")
        if self.block_length % 64:
            raise ConfigError(f"block_length is {self.block_length}", allowed="a multiple of 64 from 1088 up")
        for name, count in (("rings_16apsk", 2), ("rings_32apsk", 3), ("rings_64apsk", 4), ("rings_128apsk", 6)):
            if len(getattr(self, name)) != count:
                raise ConfigError(f"{name} has {len(getattr(self, name))} radii", allowed=f"{count} radii")


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("block_length", 1088, 1 << 20),
    ("roll_off", 0.01, 1.0),
    ("gmsk_roll_off", 0.01, 1.0),
    ("cascaded_filters", 0.5, 8.0),
    ("gmsk_cascaded_filters", 0.5, 8.0),
    ("pulse_half_span", 2, 64),
    ("timing_fraction", 0.0, 1.0),
    ("message_bandwidth", 1e-4, 0.0075),
)
