from __future__ import annotations

import random
import string
import time
from dataclasses import replace

import pytest

from runpages.model import Checkpoint, Code, Link, LoggedEvent, Run, RunRef, Sample, SeriesSet
from runpages.redact import RULES_VERSION, redact, redact_text

CHANCE = random.Random(5)
LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def word(size: int, alphabet: str = LETTERS) -> str:
    return "".join(CHANCE.choice(alphabet) for _ in range(size))


def join(*parts: str) -> str:
    """No literal credential stands in this file."""
    return "".join(parts)


def cases() -> dict[str, tuple[str, str]]:
    """name -> (text, the secret in it)."""
    out = {}

    def add(name: str, before: str, secret: str, after: str = "") -> None:
        out[name] = (f"{before}{secret}{after}", secret)

    add("wandb env", "WANDB_API_" + "KEY=", word(40, HEX))
    add("wandb login", "wandb login ", word(40, HEX))
    add("wandb v1", "key ", join("wandb", "_v1_", word(70)))
    add("hf", "use ", join("h", "f_", word(34)))
    add("openai", "", join("s", "k-proj-", word(40)))
    add("anthropic", "", join("s", "k-ant-api03-", word(93)))
    add("aws id", "id ", join("AK", "IA", word(16, string.ascii_uppercase + "234567")))
    add("aws secret", "AWS_SECRET_ACCESS_" + "KEY=", word(40))
    add("github", "", join("gh", "p_", word(36)))
    add("github fine", "", join("github", "_pat_", word(82)))
    add("gitlab", "", join("gl", "pat-", word(20)))
    add("slack", "", join("xo", "xb-", word(12, string.digits), "-", word(24)))
    add(
        "slack hook",
        "",
        join("https://hooks.slack.com/serv", "ices/T", word(8), "/B", word(8), "/", word(24)),
    )
    add("google", "", join("AI", "za", word(35)))
    add("jwt", "", join("ey", "J", word(20), ".ey", "J", word(40), ".", word(43)))
    add(
        "pem",
        "-----BEGIN RSA PRIV" + "ATE KEY-----\n",
        word(64),
        "\n-----END RSA PRIV" + "ATE KEY-----",
    )
    add("url userinfo", "git+https://user:", word(16), "@github.com/o/r.git")
    add("s3 presigned", "https://b.s3.amazonaws.com/k?X-Amz-Signature=", word(64, HEX))
    add("azure sas", "https://a.blob.core.windows.net/c/b?sv=2022-11-02&sig=", word(43))
    add("azure account", "DefaultEndpointsProtocol=https;Account" + "Key=", word(86))
    add("postgres", "postgres://mlflow:", word(12), "@db.internal/mlflow")
    add("mlflow", "MLFLOW_TRACKING_PASS" + "WORD=", word(14))
    add("flag", "python train.py --api-" + "key ", word(32), " --lr 3e-4")
    add("flag equals", "--db_pass" + "word=", word(12))
    add("json", '{"logger": {"comet": {"api_' + 'key": "', word(25), '"}}}')
    add("yaml", "hub_" + "token: ", word(30))
    add("bearer", "Authorization: Bearer ", word(40))
    add("npm", "", join("np", "m_", word(36)))
    add("pypi", "", join("py", "pi-AgEIcHlwaS5vcmc", word(60)))
    add("clearml", "CLEARML_API_SECRET_" + "KEY=", word(50))
    add("neptune", "NEPTUNE_API_" + "TOKEN=", join("ey", "JhcGlfYWRkcmVzcyI6", word(60)))
    add("comet", "COMET_API_" + "KEY=", word(25))
    add("nvidia", "", join("nv", "api-", word(64)))
    add(
        "ssh",
        "-----BEGIN OPENSSH PRIV" + "ATE KEY-----\n",
        word(70),
        "\n-----END OPENSSH PRIV" + "ATE KEY-----",
    )
    return out


CASES = cases()
HARMLESS = {
    "git sha": "commit: " + word(40, HEX),
    "sha256": "dataset sha256:" + word(64, HEX),
    "uuid": "run: 3f2b8c1e-9f0a-4c3e-8d1a-0b1c2d3e4f50",
    "run id": "2kd61az8",
    "tokenizer": "tokenizer: gpt2-bpe-50257",
    "tokens": "tokens_seen: 300000000000",
    "max_tokens": "max_tokens=4096",
    "pad_token": "pad_token: <|endoftext|>",
    "bos": "bos_token_id: 50256",
    "lr": "learning_rate: 3e-4",
    "model": "model_name_or_path: meta-llama/Llama-3-8B",
    "path": "data/tokens/shard_00012.bin",
    "docker": "image@sha256:" + word(64, HEX),
    "monitor": "monitor_key: val/loss",
    "heads": "num_key_value_heads: 8",
    "key_dim": "key_dim=128",
    "url": "https://wandb.ai/team/proj/runs/2kd61az8",
    "secretary": "prompt: the secretary wrote a password policy",
    "mask": "mask_token=[MASK]",
    "passkey": "passkey_retrieval_acc: 0.93",
    "command": "torchrun --nproc_per_node 8 train.py --lr 3e-4 --max-tokens 8192",
    "prose": "the model counts tokens: a basic sort of key",
}


@pytest.mark.parametrize("name", CASES)
def test_a_secret_goes_without_a_trace(name):
    text, secret = CASES[name]
    clean, counts = redact_text(text)
    assert secret not in clean
    assert secret[:8] not in clean
    assert "[redacted:" in clean
    assert sum(counts.values()) >= 1


@pytest.mark.parametrize("name", HARMLESS)
def test_a_look_alike_stays(name):
    assert redact_text(HARMLESS[name])[0] == HARMLESS[name]


def make_run(**changes) -> Run:
    ref = RunRef(source="s", project="p", run_id="r", name="n", state="ended", location="x")
    return replace(Run(ref=ref, name="n", series=SeriesSet.of({})), **changes)


def test_every_text_of_a_run_is_walked():
    secret = join("h", "f_", word(34))
    run = make_run(
        name=f"n {secret}",
        config={"deep": [{"note": secret}], secret: 1, "api_" + "key": "short"},
        summary={"s": secret},
        tags=(secret,),
        description=secret,
        command=f"python x.py --tok {secret}",
        environment={"python": secret},
        samples=(Sample(kind="text", name="s", prompt=secret, text=secret, rows=((secret,),)),),
        logged_events=(LoggedEvent(kind="alert", text=secret),),
        checkpoints=(Checkpoint(step=1, path=f"s3://x/{secret}"),),
        code=Code(remote=f"https://{secret}@github.com/a/b"),
        links=(Link(label="l", url=f"https://x/?token={secret}"),),
        console=f"loading {secret}\n",
    )
    clean = redact(run)
    assert secret not in repr(clean)
    assert "short" not in repr(clean.config)
    assert clean.slug == run.slug
    assert clean.provenance.redaction_rules == RULES_VERSION
    assert sum(clean.provenance.redactions.values()) >= 13


def test_an_environment_dump_is_dropped_whole():
    clean = redact(make_run(config={"env": {"PATH": "/bin", "HOME": "/h", "X": "private"}}))
    assert "private" not in repr(clean.config)
    assert clean.provenance.redactions == {"environment": 1}


def test_numbers_and_harmless_settings_are_untouched():
    config = {
        "lr": 3e-4,
        "max_tokens": 5,
        "num_key_value_heads": 8,
        "pad_token": "<pad>",
        "tokenizer": "x",
    }
    clean = redact(make_run(config=config))
    assert clean.config == config
    assert clean.provenance.redactions == {}


def test_redacting_twice_changes_nothing():
    text = " ".join(text for text, _ in CASES.values())
    once, _ = redact_text(text)
    twice, counts = redact_text(once)
    assert twice == once
    assert not counts


def test_a_long_console_takes_no_quadratic_time():
    line = "step 10 loss 3.21 tokens/s 12345 key=value path=/a/b/c https://x.y/z?a=1\n"

    def seconds(copies: int) -> float:
        begin = time.process_time()
        redact_text(line * copies)
        return time.process_time() - begin

    seconds(100)
    assert seconds(8000) < 16 * max(seconds(1000), 0.005)
