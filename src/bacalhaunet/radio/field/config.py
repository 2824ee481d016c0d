"""Every parameter of the ``field`` profile, with its evidence; all can be overridden.

Ranges are (low, high) and drawn uniformly unless the text says log-uniform. Shares are probabilities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES, SNRS_DB

Range = tuple[float, float]


@dataclass(frozen=True)
class DigitalConfig:
    """Digital classes: pulse, symbol rate and timing.

    Attributes:
        samples_per_symbol: Nominal samples a symbol after the front end's resampler.
        locked_share: Share of frames whose symbol rate the front end estimated well. Assumed.
        rate_error: Standard deviation of the relative rate error of those frames; 0.5 % keeps 95 % within the 1 %
            asked of the project's front end. Includes the sample-clock offset of both ends (tens of 1e-6).
        samples_per_symbol_range: Samples a symbol of the other frames, log-uniform; the rate was set by hand or
            estimated wrongly.
        rolloff: Roll-off of the transmitter's root-raised cosine. DVB-S2X (EN 302 307-2) has 0.05 to 0.35, WCDMA
            (TS 25.104) 0.22, TETRA (EN 300 392-2) and DVB-S 0.35, CCSDS 401 0.2 to 0.5.
        gmsk_bt: Bandwidth-time product of the Gaussian filter: GSM (TS 45.004) 0.3, AIS (ITU-R M.1371) 0.4,
            Bluetooth and CCSDS 413 0.5, 0.25 in CCSDS; 0.2 as the lower end of use.
        symbol_rate_hz: Symbol rate, log-uniform; only the scale between the channel's delays and the samples.
    """

    samples_per_symbol: float = 8.0
    locked_share: float = 0.8
    rate_error: float = 0.005
    samples_per_symbol_range: Range = (4.0, 16.0)
    rolloff: Range = (0.1, 0.5)
    gmsk_bt: Range = (0.2, 0.5)
    symbol_rate_hz: Range = (2e4, 5e5)


@dataclass(frozen=True)
class AudioConfig:
    """Messages of the analog classes: speech-like and music-like audio.

    Attributes:
        speech_share: Share of frames with speech where the service carries both.
        pitch_hz: Fundamental of speech, log-uniform; means of men, women and children lie at 130 to 270 Hz
            (Peterson and Barney, JASA 24, 1952, table II).
        pitch_slope: Relative change of pitch per second, both signs. Assumed.
        voiced_share: Share of voiced segments among speech segments. Assumed (English is 70 to 80 % voiced).
        formant_1_hz: First formant of vowels (Peterson and Barney, table II, men).
        formant_2_hz: Second formant, same source.
        formant_3_hz: Third formant, same source.
        formant_2_level_db: Level of the second formant below the first (same table, amplitudes).
        formant_3_level_db: Level of the third formant below the first (same table).
        formant_bandwidths_hz: Bandwidths of the three formants (Klatt, JASA 67, 1980, table I).
        syllable_hz: Rate of the syllabic envelope; the modulation spectrum of speech peaks at 4 Hz (Houtgast and
            Steeneken, JASA 77, 1985).
        pause_share: Share of frames with a carrier whose message pauses. Speech is silent for more than half of a
            conversation (ITU-T P.59), but receivers that trigger on activity keep few pauses; assumed.
        note_range: Notes of music as MIDI numbers, equal temperament at A4 = 440 Hz (ISO 16): E2 to C6.
        chord_share: Share of music frames in which the second and the third voice sound, each.
        brightness: Decay of the harmonics of a note in nepers over the audio band. Assumed.
        note_decay_s: Time constant of a note's decay, log-uniform. Assumed.
    """

    speech_share: float = 0.5
    pitch_hz: Range = (80.0, 300.0)
    pitch_slope: float = 1.0
    voiced_share: float = 0.75
    formant_1_hz: Range = (270.0, 730.0)
    formant_2_hz: Range = (840.0, 2290.0)
    formant_3_hz: Range = (1690.0, 3010.0)
    formant_2_level_db: Range = (4.0, 24.0)
    formant_3_level_db: Range = (18.0, 32.0)
    formant_bandwidths_hz: tuple[float, float, float] = (60.0, 90.0, 150.0)
    syllable_hz: Range = (3.0, 7.0)
    pause_share: float = 0.05
    note_range: Range = (40.0, 84.0)
    chord_share: float = 0.6
    brightness: Range = (3.0, 10.0)
    note_decay_s: Range = (0.1, 1.0)


@dataclass(frozen=True)
class Service:
    """One use of an analog class: its audio band and, for FM, its deviation.

    Attributes:
        name: What it is.
        audio_hz: Lowest and highest audio frequency.
        music: Whether it carries music as well as speech.
        deviation_hz: Rated peak deviation of FM; 0 for amplitude modulation.
        emphasis_s: Time constant of the pre-emphasis 1 + j 2 pi f tau; 0 for none.
        stereo: Whether the pilot-tone multiplex is sent (ITU-R BS.450).
    """

    name: str
    audio_hz: Range
    music: bool = False
    deviation_hz: float = 0.0
    emphasis_s: float = 0.0
    stereo: bool = False


AM_SERVICES = (
    Service("airband, ETSI EN 300 676", (350.0, 2500.0)),
    Service("broadcast, ITU-R BS.639", (50.0, 4500.0), music=True),
    Service("broadcast, NRSC-1", (50.0, 10000.0), music=True),
)
SSB_SERVICES = (
    Service("HF maritime, ITU-R M.1173", (350.0, 2700.0)),
    Service("telephony, ITU-R SM.1138", (300.0, 3000.0)),
)
FM_SERVICES = (
    Service(
        "12.5 kHz land mobile, ETSI EN 300 086", (300.0, 2550.0), deviation_hz=2500.0, emphasis_s=1 / (600 * math.pi)
    ),
    Service(
        "25 kHz land mobile, ETSI EN 300 086", (300.0, 3000.0), deviation_hz=5000.0, emphasis_s=1 / (600 * math.pi)
    ),
    Service("broadcast mono, ITU-R BS.450", (50.0, 15000.0), True, 75000.0, 50e-6),
    Service("broadcast stereo, ITU-R BS.450", (50.0, 15000.0), True, 75000.0, 75e-6, stereo=True),
)


@dataclass(frozen=True)
class AnalogConfig:
    """AM, SSB and FM.

    Attributes:
        samples_per_bandwidth: Median of sample rate / bandwidth; a front end has no symbol clock here and goes by
            the width of the band.
        bandwidth_spread: Standard deviation of the logarithm of that ratio. Assumed.
        samples_per_bandwidth_range: The ratio is clipped to this range.
        modulation: Depth of AM, share of the rated deviation of FM, level of the sideband of SSB with a carrier.
        am_services: Uses of AM-DSB-WC and AM-DSB-SC, equally likely.
        ssb_services: Uses of AM-SSB-WC and AM-SSB-SC.
        fm_services: Uses of FM.
        full_carrier_share: Share of full-carrier emissions (H3E) in AM-SSB-WC; the others have a reduced one (R3E).
        full_carrier_db: Carrier of H3E relative to peak envelope power (47 CFR 80.207: 3 to 6 dB below).
        reduced_carrier_db: The same for R3E (47 CFR 80.207: 18 +- 2 dB below; ITU-R M.1173).
        suppressed_carrier_db: The same for J3E (47 CFR 80.207 and ITU-R M.1173: at least 40 dB below).
        upper_share: Share of upper sidebands.
        carrier_tuned_share: Share of SSB frames with the carrier at zero frequency, as a radio tuned by hand leaves
            it; in the others the middle of the sideband is there, as a detector of occupied bands leaves it.
        stereo_difference: Level of the difference signal L - R in the multiplex, relative to L + R. Assumed.
    """

    samples_per_bandwidth: float = 8.0
    bandwidth_spread: float = 0.3
    samples_per_bandwidth_range: Range = (4.0, 16.0)
    modulation: Range = (0.3, 1.0)
    am_services: tuple[Service, ...] = AM_SERVICES
    ssb_services: tuple[Service, ...] = SSB_SERVICES
    fm_services: tuple[Service, ...] = FM_SERVICES
    full_carrier_share: float = 0.5
    full_carrier_db: Range = (-6.0, -3.0)
    reduced_carrier_db: Range = (-20.0, -16.0)
    suppressed_carrier_db: Range = (-60.0, -40.0)
    upper_share: float = 0.5
    carrier_tuned_share: float = 0.5
    stereo_difference: Range = (0.0, 0.6)


@dataclass(frozen=True)
class FadingConfig:
    """Multipath, constant over a frame.

    Attributes:
        rician_share: Share of frames with a line of sight and scattered paths.
        rayleigh_share: Share of frames with scattered paths only; the rest have a single path.
        rician_k_db: Power of the line of sight over that of the scattered paths (ITU-R P.1411 reports 0 to 15 dB;
            land-mobile suburban 3 to 10 dB).
        profiles: Names of power delay profiles, equally likely: EPA, EVA, ETU (3GPP TS 36.101, annex B.2),
            COST207-RA, COST207-TU (COST 207 final report, 1989; TS 45.005, annex C.3), ITU-PA, ITU-VA
            (ITU-R M.1225).
    """

    rician_share: float = 0.35
    rayleigh_share: float = 0.25
    rician_k_db: Range = (3.0, 15.0)
    profiles: tuple[str, ...] = ("EPA", "EVA", "ETU", "COST207-RA", "COST207-TU", "ITU-PA", "ITU-VA")


@dataclass(frozen=True)
class ReceiverConfig:
    """Oscillator, direct-conversion tuner, converter and channel filter of the receiver.

    Attributes:
        carrier_offset: Largest carrier offset left, as a share of the bandwidth; 2 % is what is asked of the
            project's front end.
        phase_noise_db: Phase noise of both oscillators together at 10 kHz from the carrier in dBc/Hz, from an
            integrated synthesiser to a good one; the Wiener linewidth is 2 pi (10 kHz)^2 10^(L/10)
            (Demir, Mehrotra and Roychowdhury, IEEE Trans. Circuits Syst. I 47, 2000).
        gain_imbalance_db: Largest gain imbalance between I and Q, both signs.
        phase_imbalance_deg: Largest phase imbalance, both signs. With 0.5 dB and 3 degrees the worst image is 28 dB
            down; uncorrected analog front ends reach 20 to 40 dB (Valkama, Renfors and Koivunen, IEEE Trans. Signal
            Process. 49, 2001).
        dc_offset_db: Power of the DC offset relative to that of signal and noise.
        headroom_db: Full scale of the converter over the rms value of a component; a Gaussian component passes 6 dB
            4.6 % of the time, 12 dB 0.007 %.
        bits: Resolutions of the converter, equally likely: RTL-SDR 8, HackRF 8, AirSpy and AD9361 12, X310 14,
            WAV and SigMF ci16 16; 6 for low levels on the smallest.
        channel_filter_share: Share of frames that passed a channel filter after the converter.
        channel_filter_width: Its width as a multiple of the occupied bandwidth.
        matched_filter_share: Share of linear digital frames that passed the matched root-raised cosine instead.
    """

    carrier_offset: float = 0.02
    phase_noise_db: Range = (-110.0, -85.0)
    gain_imbalance_db: float = 0.5
    phase_imbalance_deg: float = 3.0
    dc_offset_db: Range = (-60.0, -25.0)
    headroom_db: Range = (6.0, 18.0)
    bits: tuple[int, ...] = (6, 8, 8, 12, 12, 14, 16)
    channel_filter_share: float = 0.5
    channel_filter_width: Range = (1.2, 3.0)
    matched_filter_share: float = 0.15


@dataclass(frozen=True)
class FieldConfig:
    """Signals as a receiver meets them.

    Attributes:
        classes: Names of the classes by label, from those on offer; RadioML's 24 if nothing is said.
        digital: Pulses, symbol rates and timing.
        audio: Speech and music.
        analog: AM, SSB and FM.
        fading: Multipath.
        receiver: Oscillator, tuner, converter, filter.
        noise_class: Whether a class "noise", the last label, is added: receiver noise without a signal.
        snrs_db: In-band SNR labels on offer; any other value works too.
    """

    digital: DigitalConfig = field(default_factory=DigitalConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    analog: AnalogConfig = field(default_factory=AnalogConfig)
    fading: FadingConfig = field(default_factory=FadingConfig)
    receiver: ReceiverConfig = field(default_factory=ReceiverConfig)
    noise_class: bool = False
    snrs_db: tuple[int, ...] = SNRS_DB
    classes: tuple[str, ...] = NAMES

    @classmethod
    def clean(cls) -> FieldConfig:
        """The transmitters alone: exact 8 samples a symbol, one path, no receiver defects; noise as the label says."""
        receiver = ReceiverConfig(
            carrier_offset=0.0,
            phase_noise_db=(-300.0, -300.0),
            gain_imbalance_db=0.0,
            phase_imbalance_deg=0.0,
            dc_offset_db=(-200.0, -200.0),
            headroom_db=(30.0, 30.0),
            bits=(24,),
            channel_filter_share=0.0,
            matched_filter_share=0.0,
        )
        return cls(
            digital=DigitalConfig(locked_share=1.0, rate_error=0.0),
            fading=FadingConfig(rician_share=0.0, rayleigh_share=0.0),
            receiver=receiver,
        )


def check_field_config(config: FieldConfig) -> None:
    """Raise ``ConfigError`` for the first setting of ``config`` that cannot be used."""
    for part_name in ("digital", "audio", "analog", "fading", "receiver"):
        part = getattr(config, part_name)
        for item in fields(part):
            _check_value(f"{part_name}.{item.name}", getattr(part, item.name))
    fading = config.fading.rician_share + config.fading.rayleigh_share
    if fading > 1:
        raise ConfigError(f"fading.rician_share + fading.rayleigh_share is {fading}", allowed="at most 1 together")
    _check_within("digital.samples_per_symbol_range", config.digital.samples_per_symbol_range, 4.0, 16.0)
    _check_within("analog.samples_per_bandwidth_range", config.analog.samples_per_bandwidth_range, 4.0, 16.0)
    _check_within("digital.samples_per_symbol", (config.digital.samples_per_symbol,), 4.0, 16.0)
    _check_within("digital.rolloff", config.digital.rolloff, 0.01, 0.5)
    _check_within("digital.gmsk_bt", config.digital.gmsk_bt, 0.1, 0.5)
    _check_within("digital.symbol_rate_hz", config.digital.symbol_rate_hz, 1.0, 5e5)


def _check_value(name: str, value: object) -> None:
    """Shares lie in 0..1, ranges ascend, nothing is NaN, no choice is empty."""
    if isinstance(value, tuple) and not value:
        raise ConfigError(f"{name} is empty", allowed="at least one entry")
    numbers = [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, int | float)]
    if any(not math.isfinite(number) for number in numbers):
        raise ConfigError(f"{name} is {value}", allowed="finite numbers")
    if name.endswith("_share") and not 0 <= numbers[0] <= 1:
        raise ConfigError(f"{name} is {value}", allowed="a probability from 0 to 1")
    if len(numbers) == 2 and not name.endswith("bits") and numbers[0] > numbers[1]:
        raise ConfigError(f"{name} is {value}", allowed="(low, high) with low not above high")


def _check_within(name: str, values: tuple[float, ...], low: float, high: float) -> None:
    if not (min(values) >= low and max(values) <= high):
        raise ConfigError(f"{name} is {values}", allowed=f"{low} to {high}", action="choose values in that range")
