"""`candor demo`: the whole path once, through the real service, shown and checked.

It trains what is not live, starts the service, posts an example, prints the decision, verifies its
receipt offline and replays it; then it sends one order through admission, risk and split, and shows
the plan and the plans not taken. With `--keep-running` it then shows where everything is, with
MLflow's pages beside it, until Ctrl-C.
"""

import signal
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final
from urllib.parse import quote

import orjson
import typer

from audit.receipt import verify_receipt
from models.domain import Json
from service.answers import JsonObject
from service.auth import Role
from service.cli.child import Child, find_free_port, running, wait_until
from service.cli.client import Client
from service.cli.decide import print_decision, print_reasons
from service.cli.options import ACTOR, VarOption, load_settings
from service.cli.output import reported_errors, say, warn, working
from service.errors import DemoFailedError
from service.live import SPLIT
from service.settings import Settings
from service.usecases.chain import CHAIN
from service.usecases.keys import create_key
from service.usecases.records import read_object
from service.wiring import Platform, open_platform

TRAINED_KINDS: Final = CHAIN
EXAMPLE_KIND: Final = "admission"
EXAMPLE: Final = "cross-border-rejected"
CHAIN_EXAMPLE: Final = "shipped-in-two-parcels"
_READY_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 0.5
_PRIVATE: Final = 0o600


def demo(
    keep_running: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--keep-running", help="Serve on, with MLflow beside it, until Ctrl-C.")
    ] = False,
    host: Annotated[str, typer.Option(help="Where the service listens.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Default: 8000 with --keep-running, else a free one.")
    ] = None,
    orders: Annotated[int, typer.Option(min=1, help="Simulated orders to train on.")] = 120_000,
    var: VarOption = None,
) -> None:
    """Show the whole path once: decide, explain, record, prove, replay."""
    # Ctrl-C is set too: a shell that starts this in the background has it ignored.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _interrupt)
    with reported_errors(), ExitStack() as stack:
        settings = load_settings(var)
        # 1. A live model of each kind, and keys to ask with.
        _train_missing(settings, orders)
        with open_platform(settings) as platform:
            keys = _demo_keys(platform)
        # 2. The service, as anybody would run it.
        if port is None:
            port = settings.port if keep_running else find_free_port(host)
        client = Client(host, port)
        service = stack.enter_context(_service(settings, client))
        # 3. One decision, and one order from admission to split, shown and checked.
        _show(client, keys)
        _show_chain(client, keys)
        if keep_running:
            # 4. More decisions to look at, and MLflow's pages.
            _send_examples(client, keys)
            pages = stack.enter_context(_mlflow(settings))
            _print_addresses(settings, client, keys)
            _watch(service, pages)


def _train_missing(settings: Settings, orders: int) -> None:
    with open_platform(settings) as platform:
        live = platform.live.publications()
    missing = [kind for kind in TRAINED_KINDS if kind not in live]
    if not missing:
        return
    warn(f"training {' and '.join(missing)} on {orders} simulated orders each, about a minute")
    with ExitStack() as stack:
        # Processes of their own: side by side, and this one stays small.
        trainings = {kind: _start_training(stack, settings, kind, orders) for kind in missing}
        for kind, training in trainings.items():
            with working(f"training {kind}"):
                ended = training.wait()
            said = _training_log(settings, kind).read_text(encoding="utf-8", errors="replace")
            warn(said.strip())
            if ended:
                raise DemoFailedError(f"candor train {kind} failed")


def _start_training(stack: ExitStack, settings: Settings, kind: str, orders: int) -> Child:
    command = [*_candor("train", settings), kind, "--orders", str(orders)]
    return stack.enter_context(running(command, _training_log(settings, kind)))


def _training_log(settings: Settings, kind: str) -> Path:
    return settings.var / f"train-{kind}.log"


def _candor(command: str, settings: Settings) -> list[str]:
    return [sys.executable, "-m", "service.cli", command, "--var", str(settings.var)]


def _demo_keys(platform: Platform) -> dict[Role, str]:
    """Return a key for each role; those of the last demonstration when they still work."""
    path = platform.settings.var / "demo-keys.json"
    kept = read_object(orjson.loads(path.read_bytes())) if path.is_file() else {}
    keys: dict[Role, str] = {}
    for role in Role:
        known = kept.get(role.value)
        if isinstance(known, str) and platform.api_keys.find_principal(known) is not None:
            keys[role] = known
        else:
            keys[role] = create_key(platform, f"demo {role}", role, ACTOR)[1]
    path.touch(mode=_PRIVATE)
    path.chmod(_PRIVATE)
    path.write_bytes(orjson.dumps({role.value: key for role, key in keys.items()}))
    return keys


@contextmanager
def _service(settings: Settings, client: Client) -> Iterator[Child]:
    log = settings.var / "service.log"
    command = [*_candor("serve", settings), "--host", client.host, "--port", str(client.port)]
    with running(command, log) as child:
        wait_until(client.is_ready, child, log, _READY_SECONDS)
        # Another process may listen there already; then ours has ended.
        if child.poll() is not None:
            raise DemoFailedError(f"port {client.port} is taken")
        yield child


@contextmanager
def _mlflow(settings: Settings) -> Iterator[Child]:
    folder = settings.mlflow.absolute()
    command = [
        "env",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false",
        "MLFLOW_DISABLE_TELEMETRY=true",
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
        *("--host", settings.mlflow_host, "--port", str(settings.mlflow_port)),
    ]
    with running(command, settings.var / "mlflow.log") as child:
        yield child


def _show(client: Client, keys: dict[Role, str]) -> None:
    kind = client.get(f"/v1/kinds/{EXAMPLE_KIND}", keys[Role.OMS])
    order = _example(kind["examples"], EXAMPLE)
    decision = client.post(f"/v1/decisions/{EXAMPLE_KIND}", keys[Role.OMS], order)
    path = _path(decision)
    print_decision(decision)
    say()
    print_reasons(client.get(path, keys[Role.OMS], "en"))
    say()
    _check(client, keys, decision)


def _show_chain(client: Client, keys: dict[Role, str]) -> None:
    known = read_object(client.get("/v1/kinds", keys[Role.OMS])["chain"])
    order = _example(known["examples"], CHAIN_EXAMPLE)
    chain = client.post("/v1/orders/decide", keys[Role.OMS], order)
    say()
    stopped = "" if chain["stopped_at"] is None else f", stopped at {chain['stopped_at']}"
    say(f"one order through {', '.join(CHAIN)}: {chain['outcome']}{stopped}")
    decisions = chain["decisions"]
    for decision in map(read_object, decisions if isinstance(decisions, list) else []):
        say()
        say(f"kind        {decision['kind']}")
        if decision["kind"] == SPLIT:
            print_decision(decision)
            _print_not_taken(decision)
        else:
            say(f"outcome     {decision['outcome']}")
            say(f"summary     {decision['summary']}")
        _check(client, keys, decision)


def _print_not_taken(decision: JsonObject) -> None:
    for title, name in (("not taken", "alternatives"), ("why not", "why_not")):
        found = decision[name]
        for one in map(read_object, found if isinstance(found, list) else []):
            # Candidates are many; the warehouses' reasons and the other plans are what people ask.
            if one.get("line_id") is None:
                say(f"{title:<11} {one['text']}")


def _path(decision: JsonObject) -> str:
    return f"/v1/decisions/{quote(str(decision['decision_id']))}"


def _check(client: Client, keys: dict[Role, str], decision: JsonObject) -> None:
    receipt = read_object(decision["receipt"])
    vkey = client.get_text("/v1/log/key").strip()
    checkpoint = verify_receipt(str(receipt["proof"]), b64decode(str(receipt["leaf"])), vkey)
    say(f"proof verified: leaf {receipt['leaf_index']} of {checkpoint.tree_size}, signed by {vkey}")
    replayed = client.post(f"{_path(decision)}/replay", keys[Role.AUDITOR])
    if replayed["match"] is not True:
        raise DemoFailedError(f"the replay differs: {replayed['differences']}")
    say("replay identical")


def _example(examples: Json, name: str) -> Json:
    for example in map(read_object, examples if isinstance(examples, list) else []):
        if example["name"] == name:
            return example["order"]
    raise DemoFailedError(f"there is no example {name}")


def _send_examples(client: Client, keys: dict[Role, str]) -> None:
    kinds = client.get("/v1/kinds", keys[Role.OMS])["kinds"]
    for kind in map(read_object, kinds if isinstance(kinds, list) else []):
        examples = kind["examples"]
        if kind["model"] is None or not isinstance(examples, list):
            continue
        say()
        for example in map(read_object, examples):
            answer = client.post(f"/v1/decisions/{kind['name']}", keys[Role.OMS], example["order"])
            say(f"{kind['name']} {example['name']}: {answer['outcome']}, {answer['summary']}")


def _print_addresses(settings: Settings, client: Client, keys: dict[Role, str]) -> None:
    mlflow = settings.mlflow_public_url or f"http://{settings.mlflow_host}:{settings.mlflow_port}"
    say()
    say(f"service  http://{client.host}:{client.port}  (API pages: /docs)")
    say(f"mlflow   {mlflow}  (takes some seconds to start)")
    for role, key in keys.items():
        say(f"key      {role:<11}  {key}")
    say("Ctrl-C ends both.")
    sys.stdout.flush()


def _watch(service: Child, pages: Child) -> None:
    told = False
    try:
        while service.poll() is None:
            if pages.poll() is not None and not told:
                warn("MLflow ended; mlflow.log says why. The service goes on.")
                told = True
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        warn("ending")
        return
    raise DemoFailedError("the service ended; service.log says why")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
