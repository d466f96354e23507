"""Keys, tokens and passwords. Owns how each is written; never checks one by itself.

Prefixes and lengths are those their issuers publish; each is bounded, so that a long text takes no time.
"""

from __future__ import annotations

import re

from lora_chat.training.choosing.private import proofs
from lora_chat.training.choosing.private.rule import AFTER, BEFORE, Rule, beginning, compiled, nothing

_WRITTEN = r"[\"'`]?[ \t]{0,3}[:=][ \t]{0,3}[\"'`]?"
"""Between a name and its value."""


def _key(name: str, proof: str, pattern: str, *needs: str) -> Rule:
    return Rule(name, "secret", "[KEY]", proof, compiled(pattern), needs=needs, hint=beginning)


SECRETS = (
    Rule(
        "private-key",
        "secret",
        "[PRIVATE KEY]",
        "between the BEGIN and END lines of a PEM or PGP private key",
        re.compile(
            r"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[^\udc00]){1,20000}"
            r"-----END (?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        ),
        needs=("-----begin",),
        hint=nothing,
    ),
    Rule(
        "jwt",
        "secret",
        "[TOKEN]",
        "three parts of base64, the first of which is JSON that names its algorithm (RFC 7519)",
        re.compile(rf"(?<!-){BEFORE}eyJ[A-Za-z0-9_-]{{8,2000}}\.eyJ[A-Za-z0-9_-]{{8,8000}}\.[A-Za-z0-9_-]{{8,2000}}"),
        proofs.token,
        needs=("eyj",),
        hint=beginning,
    ),
    _key(
        "aws",
        "AKIA, ASIA, ABIA or ACCA and 16 characters of base32",
        r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}",
        "akia",
        "asia",
        "abia",
        "acca",
    ),
    Rule(
        "aws-secret",
        "secret",
        "[KEY]",
        "written as an AWS secret access key, with 40 characters of base64",
        re.compile(
            rf"(?i){BEFORE}(?:aws_?)?secret_?access_?key{_WRITTEN}(?P<private>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+=])"
        ),
        needs=("access",),
        hint=beginning,
    ),
    _key(
        "github",
        "ghp_, gho_, ghu_, ghs_, ghr_ or github_pat_ and at least 36 characters",
        r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255}",
        "gh",
        "github",
    ),
    _key(
        "gitlab",
        "glpat- or another of GitLab's prefixes and at least 20 characters",
        r"gl(?:pat|dt|rt|ptt|cbt|soat|ft|imt|agent)-[A-Za-z0-9_-]{20,255}",
        "gl",
    ),
    _key(
        "slack",
        "xoxb-, another of Slack's prefixes, or the address of a web hook",
        r"xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{20,255}"
        r"|https://hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30}",
        "xox",
        "xapp-",
        "hooks.slack",
    ),
    _key(
        "stripe",
        "sk_live_, rk_test_, whsec_ and the like, and at least 16 characters",
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9+/]{24,64}",
        "k_live_",
        "k_test_",
        "whsec_",
    ),
    _key("anthropic", "sk-ant- and at least 20 characters", r"sk-ant-[A-Za-z0-9_-]{20,255}", "sk-ant-"),
    Rule(
        "openai",
        "secret",
        "[KEY]",
        "sk- and at least 20 characters with digits, capitals and small letters",
        compiled(r"sk-(?!ant-)[A-Za-z0-9_-]{20,255}"),
        proofs.random_like,
        needs=("sk-",),
        hint=beginning,
    ),
    _key("hugging-face", "hf_ and at least 30 characters", r"hf_[A-Za-z0-9]{30,64}", "hf_"),
    _key(
        "google",
        "AIza and 35 characters, GOCSPX- and 28, or ya29. and more",
        r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{40,400}",
        "aiza",
        "gocspx-",
        "ya29.",
    ),
    _key("npm", "npm_ and 36 characters", r"npm_[A-Za-z0-9]{36}", "npm_"),
    _key(
        "pypi",
        "pypi- and a macaroon of pypi.org or test.pypi.org",
        r"pypi-(?:AgEIcHlwaS5vcmc|AgENdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{50,500}",
        "pypi-",
    ),
    _key("sendgrid", "SG. and parts of 22 and 43 characters", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", "sg."),
    _key("twilio", "SK or AC and 32 hexadecimal digits", r"(?:SK|AC)[0-9a-f]{32}", "sk", "ac"),
    _key("telegram", "a bot's number, a colon, AA and 33 characters", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}", ":aa"),
    _key(
        "discord-hook",
        "the address of a Discord web hook",
        r"https://discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,80}",
        "/api/webhooks/",
    ),
    Rule(
        "discord",
        "secret",
        "[KEY]",
        "three parts, the first of which decodes to a bot's number",
        compiled(r"[MNO][A-Za-z0-9]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}"),
        proofs.discord,
        needs=(".",),
        hint=beginning,
        digits=1,
    ),
    Rule(
        "azure",
        "secret",
        "[KEY]",
        "AccountKey= or SharedAccessKey= and a key of base64 with its padding",
        re.compile(r"(?:AccountKey|SharedAccessKey)=(?P<private>[A-Za-z0-9+/]{42,86}={1,2})"),
        needs=("key=",),
        hint=beginning,
    ),
    Rule(
        "database-url",
        "secret",
        "[DATABASE URL]",
        "the address of a database with a user and a password in it",
        re.compile(
            rf"{BEFORE}(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|oracle|clickhouse)(?:\+[a-z0-9]{{1,16}})?"
            r"://[^\s:/@\udc00]{0,100}:[^\s/@\udc00]{1,200}@[^\s\"'`<>\udc00]{1,300}"
        ),
        needs=("://",),
        hint=beginning,
    ),
    Rule(
        "url-password",
        "secret",
        "[PASSWORD]",
        "between user: and @ in an address",
        re.compile(
            rf"{BEFORE}[A-Za-z][A-Za-z0-9+.-]{{1,20}}://[^\s:/@\udc00]{{0,100}}:(?P<private>[^\s/@\udc00]{{1,200}})@(?=\w)"
        ),
        needs=("://",),
        hint=nothing,
    ),
    Rule(
        "bearer",
        "secret",
        "[TOKEN]",
        "written after Bearer, with letters and digits (RFC 6750)",
        re.compile(rf"(?i){BEFORE}bearer[ \t]{{1,3}}(?P<private>[A-Za-z0-9._~+/-]{{16,2000}}={{0,2}}){AFTER}"),
        proofs.mixed,
        needs=("bearer",),
        hint=beginning,
    ),
    Rule(
        "basic-auth",
        "secret",
        "[PASSWORD]",
        "written after Basic, and decodes to user:password (RFC 7617)",
        re.compile(rf"(?i){BEFORE}basic[ \t]{{1,3}}(?P<private>[A-Za-z0-9+/]{{4,400}}={{0,2}})(?![A-Za-z0-9+/=])"),
        proofs.basic,
        needs=("basic",),
        hint=nothing,
    ),
    Rule(
        "api-key",
        "secret",
        "[KEY]",
        "written as api_key: …, client_secret = … or the like, with letters and digits",
        re.compile(
            rf"(?i)(?:api[_ -]?key|secret[_ -]?key|access[_ -]?token|auth[_ -]?token"
            rf"|client[_ -]?secret){_WRITTEN}(?P<private>[A-Za-z0-9._/+=-]{{16,200}}){AFTER}"
        ),
        proofs.mixed,
        needs=(
            "key",
            "token",
            "secret",
        ),
        hint=beginning,
    ),
    Rule(
        "password",
        "secret",
        "[PASSWORD]",
        "written as password: … with a digit or a sign in it, or with nothing behind it on its line",
        re.compile(
            rf"(?im){BEFORE}(?:password|passwd|passphrase|passcode|pwd|passwort|kennwort|contraseña|mot de passe|senha)"
            r"[\"'`]?[ \t]{0,2}(?:(?:is|ist|es)[ \t]{0,2})?[:=][ \t]{0,3}[\"'`]?"
            r"(?P<private>(?=[^\s\"'`\udc00]{0,100}[0-9!#$%&*+@^_~])[^\s\"'`,;\udc00]{4,100}|[^\s\"'`,;.\udc00]{4,100}"
            r"(?=[\"'`.]{0,2}[ \t]{0,3}$))"
        ),
        proofs.written_password,
        needs=(
            "pass",
            "pwd",
            "kennwort",
            "contraseña",
            "senha",
        ),
        hint=nothing,
    ),
    Rule(
        "seed-phrase",
        "secret",
        "[SEED PHRASE]",
        "written as seed phrase: … or the like, with the 12 to 24 words of a wallet (BIP-39)",
        re.compile(
            rf"(?i){BEFORE}(?:seed|recovery|mnemonic|backup)(?: (?:phrase|words?))?{_WRITTEN}\s?"
            rf"(?P<private>[a-z]{{3,8}}(?:[ ,]{{1,2}}[a-z]{{3,8}}){{11,23}}){AFTER}"
        ),
        proofs.seed_words,
        needs=(
            "seed",
            "recovery",
            "mnemonic",
            "backup",
        ),
        hint=nothing,
    ),
)
