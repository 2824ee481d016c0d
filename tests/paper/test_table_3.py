"""Table 3: trained with bits beside rounded after training."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from bacalhaunet.report import published
from bacalhaunet_paper.quantization import quantized_bacalhaunet, six_bit_job, table_3


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


def test_the_trainings_go_on_from_one_float_network_and_differ_in_bits_alone(made_up):
    jobs = made_up(accuracy)
    result, _ = table_3(jobs)
    first, *others = jobs.trained
    assert (first.spec.is_float, first.start, first.kind) == (True, None, "float")
    start = f"stages/{first.name}/model.safetensors"
    assert {(job.weight_decay, job.kind, job.start) for job in others} == {(1e-4, "bits", start)}
    assert [job.spec.is_float for job in others] == [True, False, False, False, False]
    assert result.protocol["frames of each training"].startswith("576, ")
    assert six_bit_job() not in jobs.trained


def test_where_each_is_trained_from_scratch_the_six_bit_network_is_the_one_figure_5_starts_from(made_up):
    jobs = made_up(accuracy)
    jobs.setting = replace(jobs.setting, budget=replace(jobs.setting.budget, float_frames=0, bits_frames=0))
    result, _ = table_3(jobs)
    assert six_bit_job() in jobs.trained
    assert {(job.weight_decay, job.kind, job.start) for job in jobs.trained} == {(1e-4, "scratch", None)}
    assert result.rows[3].note == "the network figure 5 starts from"
