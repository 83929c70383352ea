from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import AnalysisOptions, analyze
from runpages.analysis.architecture import read_architecture
from runpages.analysis.devices import find_accelerator, shipped_accelerators
from runpages.model import Accelerator, ModelFacts

# PaLM, arXiv 2204.02311: section 4.1 and appendix B. 540.35 B parameters, 118 layers, 48 heads of
# width 256, sequences of 2,048 tokens, 238.3 k tokens/s on 6,144 TPU v4 of 275 TFLOP/s:
# "The MFU of PaLM 540B is 45.7% without self-attention or 46.2% with it."
# Megatron-Turing NLG 530B there: "29.7% without self-attention or 30.2% with it based on a training
# throughput of 65.43K tokens/sec", 2,240 A100; 105 layers, 128 heads, width 20,480 (arXiv 2201.11990).
PALM = {"num_layers": 118, "num_heads": 48, "head_dim": 256, "seq_len": 2048}
MT_NLG = {"num_layers": 105, "num_attention_heads": 128, "hidden_size": 20480, "seq_length": 2048}

# mosaicml/llm-foundry scripts/train/benchmarking/README.md (commit 061f2c7): tables of throughput,
# MFU and HFU on H100 80 GB, amp_bf16. (tokens/s, devices, parameters, layers, width, context,
# checkpointing, MFU, HFU)
FOUNDRY = [
    (66523, 64, 64862437376, 80, 8192, 2048, True, 42.57, 56.76),
    (14419, 8, 29989894144, 48, 7168, 4096, True, 35.86, 47.81),
    (307209, 64, 12853954560, 40, 5120, 2048, False, 39.86, 39.86),
    (85144, 8, 6658859008, 32, 4096, 2048, False, 46.44, 46.44),
    (15654, 8, 6918905856, 32, 4096, 65536, True, 28.59, 38.13),
    (363645, 8, 1315950592, 24, 2048, 2048, False, 41.82, 41.82),
]
# pytorch/torchtitan docs/performance.md (commit 0413364): tokens a second of one A100 80 GB and MFU.
# Sizes: Llama 3 8B 8,030,261,248 and 70B 70,553,706,496, Llama 2 13B 13,015,864,320 parameters.
TITAN = [
    (2904, 8030261248, 32, 4096, 8192, 56.8),
    (331, 70553706496, 80, 8192, 8192, 51.7),
    (2162, 13015864320, 40, 5120, 4096, 61.1),
]


def trained(rate, config, *, parameters, device, devices, metric="tokens_per_second", **facts):
    steps = np.arange(1, 50)
    return make_run(
        {1: {"loss": (steps, falling(steps)), metric: (steps, np.full(49, float(rate)))}},
        config=config,
        device=device,
        devices=devices,
        model=ModelFacts(parameters=parameters),
        **facts,
    )


def utilization(run, **options):
    return analyze(run, AnalysisOptions(**options)).utilization


def test_palm_540b_as_its_paper_reckons():
    config = {**PALM, "dtype": "bfloat16"}
    run = trained(238.3e3, config, parameters=540_350_000_000, device="TPU v4", devices=6144)
    found = utilization(run)
    assert found.mfu.value == pytest.approx(46.2, rel=0.01)
    assert found.formula == (
        "6 N + 12 L H Q T = 3,278 GFLOP a token (N = 540.4 B, L = 118, H Q = 12,288, T = 2,048)"
    )
    assert found.denominator == "6144 × 275 TFLOP/s, dense, of TPU v4"
    without = {"dtype": "bfloat16"}
    run = trained(238.3e3, without, parameters=540_350_000_000, device="TPU v4", devices=6144)
    assert utilization(run).mfu.value == pytest.approx(45.7, rel=0.01)
    assert "attention is not counted" in utilization(run).formula


def test_megatron_turing_530b_as_the_palm_paper_reckons():
    config = {**MT_NLG, "bf16": True}
    run = trained(
        65.43e3, config, parameters=530_000_000_000, device="A100-SXM4-80GB", devices=2240
    )
    assert utilization(run).mfu.value == pytest.approx(30.2, rel=0.01)


@pytest.mark.parametrize("row", FOUNDRY)
def test_mfu_and_hfu_of_llm_foundrys_table(row):
    rate, devices, parameters, layers, width, context, checkpointing, mfu, hfu = row
    config = {
        "model": {"n_layers": layers, "d_model": width},
        "max_seq_len": context,
        "precision": "amp_bf16",
        "fsdp_config": {"activation_checkpointing": checkpointing},
    }
    run = trained(
        rate, config, parameters=parameters, device="NVIDIA H100 80GB HBM3", devices=devices
    )
    found = utilization(run)
    assert found.mfu.value == pytest.approx(mfu, rel=0.01)
    assert found.hfu.value == pytest.approx(hfu, rel=0.01)


@pytest.mark.parametrize("row", TITAN)
def test_mfu_of_torchtitans_table(row):
    """Its rate is of one device, so the number of devices need not be known."""
    rate, parameters, layers, width, context, mfu = row
    config = {
        "model": {"n_layers": layers, "dim": width},
        "training": {"seq_len": context, "mixed_precision_param": "bfloat16"},
    }
    run = trained(
        rate,
        config,
        parameters=parameters,
        device="NVIDIA A100-SXM4-80GB",
        devices=None,
        metric="throughput(tps)",
    )
    assert utilization(run).mfu.value == pytest.approx(mfu, rel=0.01)
    timing = analyze(run).timing
    assert "only the rate of one device was logged" in timing.tokens_per_second.why


def seven(config=None, device="NVIDIA H100 80GB HBM3", **changes):
    config = {
        "n_layers": 32,
        "d_model": 4096,
        "max_seq_len": 2048,
        "dtype": "bf16",
        **(config or {}),
    }
    rate = changes.pop("rate", 85144)
    facts = {"parameters": 6658859008, "devices": 8, **changes}
    return trained(rate, config, device=device, **facts)


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (seven(device=""), "accelerator not recorded"),
        (seven(device="NVIDIA H100"), "no peak is known of NVIDIA H100"),
        (seven(device="NVIDIA GeForce RTX 4090"), "no peak is known of NVIDIA GeForce RTX 4090"),
        (seven(devices=None), "number of accelerators not recorded"),
        (seven(parameters=None), "number of parameters not logged"),
        (seven({"dtype": "auto"}), "data type of the computation not logged"),
        (seven({"fp8": True}), "computed in fp8 in part: no single peak applies"),
        (seven({"dtype": "float32"}), "computed in fp32: its peak is not in the table"),
        (seven({"lora_r": 16}), "low-rank fine-tuning: most weights get no gradient, 6 N does not hold"),
        (seven({"num_experts": 8}), "mixture of experts: active parameters not logged"),
        (seven({"is_encoder_decoder": True}), "encoder and decoder see different tokens: 6 N does not hold"),
        (seven(metric="elsewhere"), "no metric counts tokens"),
    ],
)  # fmt: skip
def test_nothing_is_guessed(run, why):
    found = utilization(run)
    assert found.mfu.value is None
    assert found.mfu.why == why
    assert found.hfu.why == why


def test_active_parameters_count_in_a_mixture_of_experts():
    dense = utilization(seven()).mfu.value
    moe = seven({"num_experts": 8, "active_params": 6658859008}, parameters=40_000_000_000)
    assert utilization(moe).mfu.value == pytest.approx(dense)


def test_more_than_three_quarters_of_the_peak_is_called_an_error():
    assert utilization(seven()).doubt == ""
    found = utilization(seven(rate=2 * 85144))
    assert found.mfu.value > 75
    assert "is more than training reaches" in found.doubt


def test_what_is_recomputed_in_part_gives_no_hfu():
    assert (
        "how much is not logged"
        in utilization(seven({"recompute_granularity": "selective"})).hfu.why
    )
    assert "not logged whether" in utilization(seven()).hfu.why


def test_the_teams_own_device_comes_first():
    own = Accelerator(name="RTX 4090", names=("NVIDIA GeForce RTX 4090",), bf16_tflops=165.2)
    run = seven(device="NVIDIA GeForce RTX 4090")
    expected = utilization(seven()).mfu.value * 989 / 165.2
    assert utilization(run, accelerators=(own,)).mfu.value == pytest.approx(expected)


def test_the_runs_own_figure_stands_beside_without_its_sentinel():
    """nanoGPT logs -100 at its first iterations (real-logs.md, 1)."""
    steps = np.arange(10)
    values = np.where(steps < 2, -100.0, 38.0)
    run = make_run({1: {"loss": (steps, falling(steps)), "mfu": (steps, values)}})
    assert utilization(run).logged.value == 38.0
    assert utilization(run).mfu.value is None


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100 SXM 80 GB"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe 80 GB"),
        ("NVIDIA A100-PCIE-40GB", "A100 PCIe 40 GB"),
        ("A100-SXM4-40GB", "A100 SXM 40 GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA L40S", "L40S"),
        ("AMD Instinct MI300X", "MI300X"),
        ("TPU v5 lite", "TPU v5e"),
        ("TPU v4", "TPU v4"),
    ],
)
def test_devices_by_the_names_drivers_give_them(device, name):
    found = find_accelerator(device)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("device", ["H100", "L40", "NVIDIA A10", "A1000", "GPU", "", "TPU", "cpu"])
def test_what_is_not_named_whole_has_no_peak(device):
    assert find_accelerator(device) is None


def test_each_shipped_device_has_source_and_date_and_a_dense_peak():
    names = [name.casefold() for row in shipped_accelerators() for name in row.names]
    assert len(names) == len(set(names))
    for row in shipped_accelerators():
        assert row.source_url.startswith("https://")
        dt.date.fromisoformat(row.as_of)
        assert 100 < row.bf16_tflops < 5000
        # twice the rate of bf16 and rounding; four times would be a sparse figure
        assert row.fp8_tflops is None or 1 <= row.fp8_tflops / row.bf16_tflops < 2.05


@pytest.mark.parametrize(
    ("config", "dtype", "recomputed"),
    [
        ({"bf16": True, "fp16": False, "torch_dtype": "float32"}, "bf16", ""),
        ({"bf16": False, "fp16": True}, "fp16", ""),
        ({"dtype": "float16", "autocast_dtype": "bfloat16"}, "", ""),
        ({"trainer": {"precision": "bf16-mixed"}, "gradient_checkpointing": True}, "bf16", "full"),
        ({"precision": 16, "gradient_checkpointing": False}, "fp16", "none"),
        ({"activation_checkpoint": {"mode": "selective"}}, "", "part"),
        ({"recompute_granularity": "full", "recompute_method": "uniform"}, "", "full"),
        ({"recompute_granularity": "full", "recompute_method": "block"}, "", "part"),
        ({"recompute_activations": True, "bf16": {"enabled": True}}, "bf16", "part"),
        ({"enable_fp8_linear": True, "dtype": "bfloat16"}, "fp8", ""),
    ],
)  # fmt: skip
def test_the_words_of_frameworks(config, dtype, recomputed):
    facts = read_architecture(make_run({}, config=config))
    assert (facts.dtype, facts.recomputed) == (dtype, recomputed)


def test_two_answers_are_none():
    config = {"encoder": {"num_layers": 12}, "decoder": {"num_layers": 6}, "n_embd": 768}
    facts = read_architecture(make_run({}, config=config))
    assert (facts.layers, facts.attention_width) == (None, 768)
