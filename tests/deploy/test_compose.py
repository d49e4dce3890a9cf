"""`docker-compose.yml` and the image: linted, hardened, pinned, and configured by the same settings as everywhere."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import BadSettings
from watchkeeper import sources
from watchkeeper.app import app

ROOT = Path(__file__).parent.parent.parent
COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("watchkeeper:")}
ROLES = ("collect", "process", "sink", "notify")
CHOSEN = {"WATCHKEEPER_CLICKHOUSE_PASSWORD": "a password"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<rule>[-?])(?P<rest>[^}]*))?\}")


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """As Compose does it: `${NAME:-default}` and `${NAME:?message}`."""

    def one(match: re.Match[str]) -> str:
        value = values.get(match["name"], "")
        if not value and match["rule"] == "?":
            raise LookupError(match["rest"])
        return value or (match["rest"] if match["rule"] == "-" else "")

    return VARIABLE.sub(one, text)


def environment(service: str, values: Mapping[str, str] = CHOSEN) -> dict[str, str]:
    return {name: interpolated(text, values) for name, text in OURS[service]["environment"].items()}


def loaded(monkeypatch: pytest.MonkeyPatch, service: str) -> sources.Loaded:
    for name in [name for name in os.environ if name.startswith("WATCHKEEPER_")]:
        monkeypatch.delenv(name)
    for name, value in environment(service).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WATCHKEEPER_CONFIG", "none")
    return sources.load()


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "yamllint", "--strict", "docker-compose.yml"],
        ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
    ],
    ids=["yamllint", "compose-spec"],
)
def test_linters_find_nothing_in_the_compose_file(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "deploy/Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", OURS)
def test_each_services_environment_is_accepted_by_the_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = loaded(monkeypatch, service)

    assert result.notes == ()
    assert {sources.variable(name) for name in result.origins} == set(environment(service))
    assert result.settings.kafka.bootstrap == "kafka:9092"
    assert result.settings.clickhouse.address == "clickhouse:8123"
    assert result.settings.clickhouse.password.get_secret_value() == "a password"


def test_a_misspelt_variable_of_a_service_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OURS["sink"]["environment"], "WATCHKEEPER_KAFKA_BOOTSTRAPS", "kafka:9092")

    with pytest.raises(BadSettings, match=r"kafka\.bootstraps"):
        loaded(monkeypatch, "sink")


def test_the_password_has_no_default() -> None:
    with pytest.raises(LookupError, match=r"example\.env"):
        environment("sink", {})


def test_the_example_names_exactly_what_the_compose_file_asks_for() -> None:
    asked = {match["name"] for match in VARIABLE.finditer(COMPOSE_FILE.read_text())}
    example = (ROOT / "deploy" / "example.env").read_text()

    assert {line.partition("=")[0] for line in example.splitlines() if "=" in line} == asked


@pytest.mark.parametrize("role", ROLES)
def test_each_roles_health_is_asked_at_the_port_its_settings_give(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = loaded(monkeypatch, role).settings.metrics_port(role)

    assert f"http://127.0.0.1:{port}/status" in OURS[role]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("service", OURS)
def test_our_services_run_without_rights(service: str) -> None:
    asked = OURS[service]

    assert asked["user"] == "10001:10001"
    assert asked["read_only"] is True
    assert asked["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in asked["security_opt"]
    assert {"mem_limit", "pids_limit"} <= set(asked)
    assert "ports" not in asked


def test_every_published_port_is_bound_to_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_image_is_pinned_to_a_version() -> None:
    images = [service["image"] for service in COMPOSE["services"].values()]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)

    assert all(re.search(r":\d+\.\d+", image) for image in images), images
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {service["image"] for service in OURS.values()} == {f"watchkeeper:{project['version']}"}


def test_the_image_holds_every_package_of_the_wheel_and_runs_as_nobody() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, flags=re.MULTILINE))
    allowed = {line.lstrip("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert copied == set(built["packages"])
    assert copied <= allowed
    assert re.findall(r"^USER (\S+)", DOCKERFILE, flags=re.MULTILINE) == ["10001:10001"]


def test_services_wait_for_what_they_need() -> None:
    ready = {"condition": "service_healthy"}

    assert OURS["prepare"]["depends_on"] == {"kafka": ready, "clickhouse": ready}
    for role in ROLES:
        assert OURS[role]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}


def test_every_command_is_one_of_the_program() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}

    assert {service["command"][0] for service in OURS.values()} <= commands
    assert {*ROLES, "prepare"} == set(OURS)
