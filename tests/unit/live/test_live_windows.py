"""Windows of a growing object hold what frames reach, and their light is that of the frames, near ones included."""

import torch

from ptychoflow.live.windows import light_of, window_of


def test_light_of_a_window_is_a_cut_of_that_of_the_whole():
    generator = torch.Generator().manual_seed(0)
    intensity = torch.rand(8, 8, generator=generator)
    places = torch.randint(6, 50, (40, 2), generator=generator).float()
    expected = torch.zeros(60, 60)
    for row, column in places.int().tolist():
        expected[row - 4 : row + 4, column - 4 : column + 4] += intensity
    whole = light_of(places, intensity, (slice(0, 60), slice(0, 60)))
    torch.testing.assert_close(whole, expected, atol=1e-4, rtol=0)
    window = window_of(places[:3], 8, (60, 60))
    torch.testing.assert_close(light_of(places, intensity, window), expected[window], atol=1e-4, rtol=0)


def test_no_frame_reaches_the_corner_of_its_window():
    places = torch.tensor([[20.4, 30.6], [25.5, 12.0]])
    window = window_of(places, 8, (100, 100))
    light = light_of(places, torch.ones(8, 8), window)
    assert (light[0] < 1e-5).all()
    assert (light[:, -1] < 1e-5).all()
    assert light.sum().round() == 2 * 64
    # It ends with the object.
    assert window_of(places, 8, (28, 33)) == (slice(12, 28), slice(4, 33))
