"""CREPE and the encoder of voices: frames, names of published weights, passes; on the real weights in test_bundled."""

import numpy as np
import pytest
import torch

from isomorph.datasets import Audio
from isomorph.encoders._check import check_encoder
from isomorph.encoders._provider import Options
from isomorph.encoders._recordings import (
    PitchFrames,
    RecordingEncoder,
    VoiceFrames,
    crepe,
    from_resemblyzer,
    from_torchcrepe,
    voice_encoder,
)
from isomorph.encoders._torch import seeded
from isomorph.errors import InputError

RNG = np.random.default_rng(0)
SMALL = (4, 3, 3, 3, 2, 5)


def noise(count, loudness=0.1):
    return RNG.normal(0, loudness, count).astype(np.float32)


def test_frames_of_pitch_are_whole_and_standardized():
    wave = noise(2 * 1024 + 500) + 0.3
    frames = PitchFrames()(wave)
    assert frames.shape == (2, 1024)
    second = wave[1024:2048]
    np.testing.assert_allclose(frames[1], (second - second.mean()) / second.std(ddof=1), rtol=1e-4, atol=1e-5)
    assert PitchFrames()(wave[:300]).shape == (1, 1024)
    assert np.isfinite(PitchFrames()(np.zeros(2048, dtype=np.float32))).all()


@pytest.mark.parametrize(
    ("seconds", "partials"), [(0.3, 1), (1.6, 1), (1.9, 1), (2.0, 2), (2.4, 2), (3.2, 3), (5.0, 5)]
)
def test_partial_utterances_are_those_of_the_published_code(seconds, partials):
    # counted with Resemblyzer 0.1.4: VoiceEncoder.compute_partial_slices(n, rate=1.3, min_coverage=0.75)
    assert VoiceFrames()(noise(int(seconds * 16000))).shape == (160 * partials, 40)


def test_mel_powers_are_those_of_a_tone():
    t = np.arange(32000) / 16000
    mels = VoiceFrames()((0.1 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32))[20:140]
    bands = mels.argmax(axis=1)
    assert (bands == bands[0]).all()
    assert mels[:, bands[0]].min() > 100 * mels[:, 30:].max()
    # 40 bands up to 8 kHz in Slaney's scale are 1.25 mel apart, and 1 kHz is 15 mel: the band of centre 12 × 1.24
    assert bands[0] in (12, 13)


def test_quiet_recordings_are_made_louder_and_loud_ones_stay():
    quiet, silence = noise(16000, 1e-3), np.zeros(16000, dtype=np.float32)
    rms = float(np.sqrt(np.mean(np.square(quiet, dtype=np.float64))))
    gain = np.float32(10 ** (-1.5) / rms)
    np.testing.assert_allclose(VoiceFrames()(quiet), VoiceFrames()(quiet * gain), rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(
        VoiceFrames()(10 * noise(16000)).mean(), 100 * VoiceFrames()(noise(16000)).mean(), rtol=0.2
    )
    assert not VoiceFrames()(silence).any()


def torchcrepe(state):
    """The inverse of the renaming under test, written from the other side."""
    names = {}
    for name, value in state.items():
        block, place, leaf = name.rsplit(".", 2)
        if block == "pitch":
            names[f"classifier.{leaf}"] = value
        else:
            number = int(block[-2:])
            names[f"conv{number}{'_BN' if place == '3' else ''}.{leaf}"] = value
    return names


def test_names_of_torchcrepe_are_understood_and_frames_do_not_mix():
    with seeded(0):
        network = crepe(SMALL).eval()
    state = network.state_dict()
    assert {k: v.data_ptr() for k, v in from_torchcrepe(torchcrepe(state)).items()} == {
        k: v.data_ptr() for k, v in state.items()
    }
    frames = torch.from_numpy(PitchFrames()(noise(3 * 1024)))
    with torch.no_grad():
        together, alone = network(frames[None])[0], [network(f[None, None])[0, 0] for f in frames]
    torch.testing.assert_close(together, torch.stack(alone))


def test_names_of_resemblyzer_give_the_same_states_as_its_stacked_lstm():
    with seeded(1):
        stacked, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    state = {f"lstm.{k}": v for k, v in stacked.state_dict().items()}
    state |= {f"linear.{k}": v for k, v in linear.state_dict().items()}
    network = voice_encoder().eval()
    network.load_state_dict(from_resemblyzer(state | {"similarity_weight": torch.ones(1)}), strict=True)
    mels = torch.rand(1, 2 * 160, 40)
    with torch.no_grad():
        _, (hidden, _) = stacked(mels.reshape(2, 160, 40))
        embedded = torch.relu(linear(hidden[-1]))
        torch.testing.assert_close(network(mels)[0], embedded / embedded.norm(dim=1, keepdim=True))


@pytest.fixture
def encoder():
    with seeded(0):
        network = crepe(SMALL)
    return RecordingEncoder(network, Options(init="random"), PitchFrames(), "small")


def test_recordings_of_unlike_length_come_back_in_order(encoder):
    check_encoder(encoder)
    items = [Audio(noise(n), 16000) for n in (3000, 40000, 3000, 9000, 40000)]
    together = encoder.encode(items)
    for i, item in enumerate(items):
        alone = encoder.encode([item])
        for layer in encoder.layers:
            np.testing.assert_allclose(together[layer][i], alone[layer][0], rtol=1e-4, atol=1e-5, err_msg=layer)


def test_a_pass_holds_a_bounded_number_of_frames(encoder):
    parts = encoder.prepare([Audio(noise(16000 * 4), 16000)] * 5)  # 62 frames each; 128 go into one pass
    assert [list(p.positions) for p in parts] == [[0, 1], [2, 3], [4]]


def test_a_recording_that_takes_too_much_memory_is_refused(encoder):
    with pytest.raises(InputError, match=r"Item 1 of the batch lasts 61\.0 s but .* takes at most 60 s.*Cut it"):
        encoder.encode([Audio(noise(1600), 16000), Audio(np.zeros(61 * 16000, dtype=np.float32), 16000)])
