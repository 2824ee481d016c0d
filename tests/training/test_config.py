import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet.training.config import BitsConfig, DataConfig, OptimizerConfig, TrainConfig


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: BitsConfig(weight=1), "1"),
        (lambda: BitsConfig(activation=9), "9"),
        (lambda: BitsConfig(sum=1), "1"),
        (lambda: OptimizerConfig(learning_rate=0.0), "0.0"),
        (lambda: OptimizerConfig(learning_rate=float("nan")), "nan"),
        (lambda: OptimizerConfig(weight_decay=-1.0), "-1.0"),
        (lambda: DataConfig(frames_per_epoch=0), "0"),
        (lambda: DataConfig(snr_min_db=31), "31"),
        (lambda: TrainConfig(epochs=0), "0"),
        (lambda: TrainConfig(seed=-1), "-1"),
    ],
)
def test_a_setting_out_of_range_is_an_error_that_shows_value_and_range(make, value):
    with pytest.raises(ConfigError) as caught:
        make()
    assert value in caught.value.problem
    assert caught.value.allowed


def test_defaults_are_the_reports():
    config = TrainConfig()
    assert (config.optimizer.learning_rate, config.optimizer.period_epochs) == (0.01, 5)
    assert (config.batch_size, config.data.snr_min_db) == (1024, -6)
