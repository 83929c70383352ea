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


def seconds(text: str) -> float:
    begin = time.process_time()
    redact_text(text)
    return time.process_time() - begin


def test_a_megabyte_of_console_is_quick():
    line = "step 10 loss 3.21 tokens/s 12345 key=value path=/a/b/c https://x.y/z?a=1\n"
    text = line * (1_000_000 // len(line))
    assert min(seconds(text) for _ in range(2)) < 1


@pytest.mark.parametrize(
    "unit",
    [
        "a_", "aB", "api_key", "api_key ", "token=", "authorization: ", "cookie: ", "://a:", "eyJa.",
        "--a-", " --a_b", 'password="', '\\"', "machine a login b password ", "bearer ", "a,",
        "-----BEGIN PRIV" + "ATE KEY-----", "password=a,", "api_key=<a",
    ],
)  # fmt: skip
def test_hostile_text_takes_linear_time(unit):
    def cost(size: int) -> float:
        text = "wandb login --api_key=" + unit * (size // len(unit)) + " key token"
        return min(seconds(text) for _ in range(2))

    # quadratic would be 64 times; the floor keeps the clock's grain out
    assert cost(160_000) < 24 * max(cost(20_000), 0.004)


def test_flags_before_a_login_do_not_explode():
    assert seconds("wandb login " + "--a " * 10_000) < 1


LEAKS = {
    "escaped json": ('{\\"api_' + 'key\\": \\"', word(30), '\\"}'),
    "escaped quote inside": ('{"api_' + 'key": "ab\\"', word(12), '", "lr": 1}'),
    "comma inside": ("--db_pass" + "word=ab,", word(12), " --lr 1"),
    "at sign inside": ("postgres://u:p@", word(9), "@host/db"),
    "after an escaped line break": ("done\\n", join("h", "f_", word(34)), ""),
    "after a colour": ("\x1b[32m", join("h", "f_", word(34)), "\x1b[0m"),
    "camel case": ("SharedAccess" + "Key=", word(40), ""),
    "database variable": ("PGPASS" + "WORD=", word(12), ""),
    "netrc": ("machine api.wandb.ai\n  login user\n  password ", word(40, HEX), "\n"),
    "printed arguments": ("['train.py', '--api-" + "key', '", word(20), "', '--lr', '1']"),
    "typed default": ("api_" + 'key: str = "', word(20), '"'),
    "python login": ('wandb.login(key="', word(40, HEX), '")'),
    "private key without an end": ("-----BEGIN PRIV" + "ATE KEY-----\n", word(64), "\n"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_secret_in_an_odd_place_goes(name):
    before, secret, after = LEAKS[name]
    clean, _ = redact_text(f"{before}{secret}{after}")
    assert secret not in clean
    assert secret[:8] not in clean
    assert redact_text(clean)[0] == clean


FALSE_ALARMS = [
    "glue-sst2-finetuned-distilbert-v2",
    "glove-twitter-27b-200d-vectors",
    "sk-learn-random-forest-baseline-v2",
    "python t.py --pad-token <pad> --eos-token x --max-token 12",
    "a basic self-supervised-learning-2 setup",
    "TrainingArguments(hub_token=<HUB_TOKEN>, api_key=None, lr=1)",
    "api_key=$OPENAI_API_KEY password=${DB_PASSWORD} secret=*****",
    "password=os.environ['DB']",
    "https://***:***@host/simple",
]


@pytest.mark.parametrize("text", FALSE_ALARMS)
def test_a_placeholder_or_model_name_stays(text):
    assert redact_text(text) == (text, {})


def test_settings_go_by_the_name_of_their_key():
    word_key, secret = "pass" + "word", word(9)
    config = {
        "logger/comet/api_key": secret,
        word_key: 12345678,
        "openaiApiKey": secret,
        "secrets": {"a": {"b": [secret]}},
        "api_key": {"value": secret, "desc": None},
        "env_list": [{"name": "HF_TOKEN", "value": secret}],
        "argv": ["train.py", "--api-key", secret, "--lr", "1"],
        "clone_token": word(24) + "7a",
    }
    clean = redact(make_run(config=config))
    assert secret not in repr(clean.config)
    assert clean.config[word_key] == "[redacted:key-name]"
    assert clean.config["secrets"] == "[redacted:key-name]"
    assert clean.config["argv"] == ["train.py", "--api-key", "[redacted:flag]", "--lr", "1"]
    assert clean.config["env_list"][0]["name"] == "HF_TOKEN"
    assert clean.provenance.redactions == {"flag": 1, "key-name": 7}


def test_settings_without_a_secret_stay():
    config = {
        "hub_token": "<HUB_TOKEN>",
        "api_key": None,
        "use_auth_token": True,
        "password": "",
        "credentials": {"value": None},
        "token": 5,
        "secret": 0.25,
        "environment": {"name": "CartPole-v1", "seed": 1},
    }
    clean = redact(make_run(config=config))
    assert clean.config == config
    assert clean.provenance.redactions == {}


@pytest.mark.parametrize(
    "dump",
    [
        {"PATH": "/bin", "HOME": "/h", "X": "private"},
        ["PATH=/bin", "HOME=/h", "X=private"],
        "environ({'PATH': '/bin', 'HOME': '/h', 'X': 'private'})",
    ],
)
def test_a_dump_of_the_environment_goes_in_any_form(dump):
    clean = redact(make_run(config={"deep": {"environ": dump}}))
    assert "private" not in repr(clean)
    assert clean.provenance.redactions == {"environment": 1}


def test_the_environment_of_the_run_is_no_dump():
    versions = {"python": "3.12", "os": "Linux"}
    assert redact(make_run(environment=versions)).environment == versions
    dump = redact(make_run(environment={"PATH": "/bin", "HOME": "/h"}))
    assert dump.environment == {}
    assert dump.provenance.redactions == {"environment": 1}


def test_a_secret_in_the_identity_is_left_and_said():
    run = make_run()
    run = replace(run, ref=replace(run.ref, run_id=join("h", "f_", word(34))))
    clean = redact(run)
    assert clean.slug == run.slug
    assert clean.provenance.redactions == {"left-in-identity": 1}
    assert any("was left" in warning for warning in clean.provenance.warnings)


def test_redacting_a_run_again_keeps_the_counts():
    run = make_run(console="WANDB_API_" + "KEY=" + word(40, HEX), config={"api_" + "key": "abcd"})
    run = replace(run, ref=replace(run.ref, run_id=join("h", "f_", word(34))))
    once = redact(run)
    assert redact(once).provenance == once.provenance
    assert redact(once).config == once.config
    assert once.provenance.redactions == {"assignment": 1, "key-name": 1, "left-in-identity": 1}


def test_what_lies_too_deep_to_look_at_is_not_kept():
    secret = join("h", "f_", word(34))
    config: dict[str, object] = {"x": secret}
    for _ in range(250):
        config = {"d": [config]}
    clean = redact(make_run(config=config))
    assert secret not in repr(clean.config)
    assert clean.provenance.redactions == {"too-deep": 1}


def second_cases() -> dict[str, tuple[str, str, str]]:
    """Written after the rules were finished, which were not changed for it."""
    key, token, password, secret = "key", "token", "password", "secret"
    return {
        "docker auth": ('{"auths": {"r.io": {"auth": "', word(32), '"}}}'),
        "kubernetes secret": (f"data:\n  {password}: ", word(24), "\n"),
        "curl user": ("curl -u me:", word(14), " https://a.example/"),
        "curl header": (f'curl -H "X-Api-{key}: ', word(32), '" https://a.example/'),
        "azure openai": (f"AZURE_OPENAI_API_{key.upper()}=", word(32, HEX), ""),
        "service account": (
            f'"private_{key}": "-----BEGIN PRIV' + "ATE KEY-----\\n",
            word(64),
            "\\n-----END PRIV" + 'ATE KEY-----\\n"',
        ),
        "google refresh": ("refreshing with ", join("1", "//0", word(60)), ""),
        "shell export": (f"export WANDB_API_{key.upper()}='", word(40, HEX), "'"),
        "namespace": (f"Namespace(lr=0.1, wandb_{key}='", word(40, HEX), "', seed=1)"),
        "hydra": (f"python train.py +logger.comet.api_{key}=", word(25), " lr=1"),
        "aws session": (f'"aws_session_{token}": "', word(200, LETTERS + "/+"), '"'),
        "redis": ("redis://:", word(16), "@cache:6379/0"),
        "mongo": ("mongodb+srv://me:", word(16), "@c0.example.net/?retryWrites=true"),
        "mysql": ("mysql+pymysql://root:", word(10), "@db/optuna"),
        "snowflake": (f"snowflake_{password}: ", word(15), ""),
        "actions": (
            f"ACTIONS_RUNTIME_{token.upper()}=",
            join("ey", "J", word(30), ".ey", "J", word(90), ".", word(60)),
            "",
        ),
        "access log": (f"GET /v1/runs?access_{token}=", word(32), "&page=2 200"),
        "google signed": (
            "https://storage.googleapis.com/b/o?X-Goog-Signature=",
            word(80, HEX),
            "",
        ),
        "error text": ("Incorrect API key provided: ", join("s", "k-", word(48)), ". See"),
        "docker login": ("docker login -u me -p ", word(20), " r.io"),
        "mysql short flag": ("mysql -u root -p", word(12), " -h db"),
        "kaggle": (f'{{"username": "me", "{key}": "', word(32, HEX), '"}'),
        "folded yaml": (f"api_{key}: >-\n  ", word(30), "\n"),
        "clearml": (f'access_{key}: "', word(20).upper(), '"'),
        "sshpass": ("sshpass -p '", word(11), "' ssh host"),
        "age": ("", join("AGE-", "SECRET-", "KEY-1", word(58, "QPZRY9X8GF2TVDW0")), ""),
        "discord": ("https://discord.com/api/web" + "hooks/123456789012345678/", word(68), ""),
        "s3 userinfo": (f"s3://{word(20).upper()}:", word(40), "@bucket/x"),
        "hub in url": ("https://me:", join("h", "f_", word(34)), "@huggingface.co/me/m"),
        "jupyter": (f"http://localhost:8888/?{token}=", word(48, HEX), ""),
        "modal": (f"MODAL_{token.upper()}_{secret.upper()}=", join("as-", word(22)), ""),
        "prefect": (f"PREFECT_API_{key.upper()}=", join("pnu_", word(36)), ""),
        "hex key in prose": ("my wandb key is ", word(40, HEX), ", use it"),
        "dataclass": (f"Settings(api_{key}=SecretStr('", word(30), "'))"),
    }


SECOND_CASES = second_cases()
SECOND_HARMLESS = [
    "max_new_tokens: 512",
    "tokenizer_name=EleutherAI/gpt-neox-20b",
    "keypoints: 17, hotkeys: disabled",
    "dataset: rockyou-password-strength",
    "torch 2.4.1+cu121",
    "device GPU-3f2b8c1e-9f0a-4c3e-8d1a-0b1c2d3e4f50",
    "partition_key=date primary_key: run_id",
    "data:image/png;base64," + word(60),
    "etag: " + word(32, HEX),
    "wandb: View run at https://wandb.ai/me/p/runs/2kd61az8",
    "numpy==2.1.0 --hash=sha256:" + word(64, HEX),
    "remote git@github.com:owner/repo.git",
    "init_method=tcp://10.0.0.1:29500",
    "image_token_id: 151655, end_of_text_token: '<|end|>'",
    "auth_type: none",
    "ssh-rsa AAAAB3NzaC1yc2E" + word(80),
    "s3://bucket/checkpoints/step_00012000/model-00001-of-00004.safetensors",
    "secretary_problem_acc: 0.91, passed=12, passage=the cat sat",
    "sort_key=lambda x: x.length, cache_key: v3",
    "Epoch 3: key=value pairs, tokens per second 120k",
]
# what the rules missed at the first and only measurement: 23 of 34 found, 0 of 20 false alarms
SECOND_MISSED = {
    "docker auth", "curl user", "google refresh", "docker login", "mysql short flag", "kaggle",
    "folded yaml", "sshpass", "age", "hex key in prose", "dataclass",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.xfail(strict=True, reason="the rules miss it"))
        if n in SECOND_MISSED
        else n
        for n in SECOND_CASES
    ],
)
def test_a_secret_not_known_when_the_rules_were_written_goes(name):
    before, secret, after = SECOND_CASES[name]
    clean, _ = redact_text(f"{before}{secret}{after}")
    assert secret not in clean
    assert secret[:8] not in clean


@pytest.mark.parametrize("text", SECOND_HARMLESS)
def test_a_look_alike_not_known_when_the_rules_were_written_stays(text):
    assert redact_text(text) == (text, {})
