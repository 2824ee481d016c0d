"""Table 3: trained with bits beside rounded after training."""

import xml.etree.ElementTree as ElementTree

from bacalhaunet.report import published
from bacalhaunet.report.reproduction.table_3 import quantized_bacalhaunet, six_bit_job, table_3


def accuracy(job):
    return 0.55 if job.spec.is_float else 0.54


def test_every_width_is_trained_and_rounded_and_stands_beside_the_paper_s(made_up):
    result, svg = table_3(made_up(accuracy))
    labels = [row.label for row in result.rows]
    assert labels[:5] == ["float32", "8 bits", "7 bits", "6 bits", "5 bits"]
    assert labels[5:] == [f"{bits} bits, rounded" for bits in (8, 7, 6, 5)]
    assert [row.paper_accuracy for row in result.rows[:5]] == [point.accuracy for point in published.table_3()]
    assert all(row.paper_accuracy is None for row in result.rows[5:])
    assert round(result.rows[0].score, 4) == result.rows[0].paper_score == 1.4155
    assert "8 bits: trained -1.00 points from float, rounded -10.00." in result.findings
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_scores_fall_with_the_bits_and_residual_sums_are_quantized():
    specs = [quantized_bacalhaunet(bits) for bits in (8, 7, 6, 5)]
    assert all(block.sum_bits is not None for spec in specs for block in (spec.blocks[1], spec.blocks[3]))
    assert [spec.input.bits for spec in specs] == [8] * 4


def test_the_six_bit_network_is_the_one_figure_5_starts_from(made_up):
    jobs = made_up(accuracy)
    table_3(jobs)
    assert six_bit_job() in jobs.trained


def test_the_trainings_differ_in_bits_alone(made_up):
    jobs = made_up(accuracy)
    table_3(jobs)
    assert {(job.weight_decay, job.tune, job.start) for job in jobs.trained} == {(1e-4, False, None)}
