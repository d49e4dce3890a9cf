"""Settings: precedence, origins, every fault at once, secrets hidden."""

import os
from pathlib import Path

import pytest

from schemas.errors import BadSettings
from watchkeeper import sources
from watchkeeper.commands.config import as_toml
from watchkeeper.sources import environment, fields, load, value_of, variable


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No settings from outside: an empty environment, an empty folder."""
    for name in [name for name in os.environ if name.startswith("WATCHKEEPER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "watchkeeper.toml"
    path.write_text(text)
    return path


def faults(arguments: sources.Nested | None = None) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load(arguments)
    return [line.strip() for line in str(caught.value).splitlines()]


def test_arguments_win_over_environment_over_file_over_defaults(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    path = write(clean, "port_base = 3000\nsource = 'file'\n[process]\nlateness_ms = 3\n[collect]\ninterval_ms = 300\n")
    monkeypatch.setenv("WATCHKEEPER_SOURCE", "environment")
    monkeypatch.setenv("WATCHKEEPER_PROCESS_LATENESS_MS", "2")

    loaded = load({"source": "argument", "data_dir": None, "process": {"lateness_ms": None}})

    settings = loaded.settings
    assert (settings.source, settings.process.lateness_ms, settings.collect.interval_ms) == ("argument", 2, 300)
    assert (settings.port_base, settings.process.segment_ms) == (3000, 30_000)
    assert loaded.origins == {
        ("source",): "argument",
        ("process", "lateness_ms"): "environment WATCHKEEPER_PROCESS_LATENESS_MS",
        ("collect", "interval_ms"): f"file {path.name}",
        ("port_base",): f"file {path.name}",
    }


def test_the_file_of_the_data_folder_is_read_where_no_other_is_named(clean: Path) -> None:
    write(clean / "data", "port_base = 4000\n")

    assert load({"data_dir": clean / "data"}).settings.port_base == 4000

    write(clean, "port_base = 5000\n")
    assert load({"data_dir": clean / "data"}).settings.port_base == 5000

    other = write(clean / "other", "port_base = 6000\n")
    assert load({"data_dir": clean / "data"}, config=other).settings.port_base == 6000


def test_every_fault_is_told_at_once_with_its_origin(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    write(clean, "port_bas = 1\n[kafka]\nsecurity_protocol = 'TLS'\n[sink]\nfoo = 1\n")
    monkeypatch.setenv("WATCHKEEPER_PORT_BASE", "many")
    monkeypatch.setenv("WATCHKEEPER_KAFKA_PARTITIONS", '{"metrics.sample": 8}')

    told = faults({"clickhouse": {"address": "nowhere"}})

    assert told[0] == "6 faults in the settings:"
    assert sorted(line.partition(":")[0] for line in told[1:]) == [
        "clickhouse.address (argument)",
        "kafka.partitions (environment WATCHKEEPER_KAFKA_PARTITIONS)",
        "kafka.security_protocol (file watchkeeper.toml)",
        "port_bas (file watchkeeper.toml)",
        "port_base (environment WATCHKEEPER_PORT_BASE)",
        "sink.foo (file watchkeeper.toml)",
    ]
    assert any("did you mean port_base?" in line for line in told)


def test_a_mapping_that_is_no_json_is_one_fault_among_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_KAFKA_PARTITIONS", "{8")
    monkeypatch.setenv("WATCHKEEPER_PORT_BASE", "1")

    assert faults()[0] == "2 faults in the settings:"


@pytest.mark.parametrize(
    ("kafka", "accepted"),
    [
        ({"bootstrap": "broker.example:9092"}, False),
        ({"bootstrap": "127.0.0.1:9092,broker.example:9092"}, False),
        ({"bootstrap": "broker.example:9092", "security_protocol": "SASL_PLAINTEXT"}, False),
        ({"bootstrap": "broker.example:9092", "security_protocol": "SASL_SSL"}, True),
        ({"bootstrap": "broker.example:9092", "allow_insecure": True}, True),
        ({"bootstrap": "localhost:9092,127.0.0.5:9092,[::1]:9092"}, True),
    ],
)
def test_plain_text_to_another_machine_needs_a_clear_word(kafka: sources.Nested, accepted: bool) -> None:
    if accepted:
        assert load({"kafka": kafka}).settings.kafka.bootstrap == kafka["bootstrap"]
    else:
        assert "is another machine" in faults({"kafka": kafka})[1]


def test_http_without_encryption_to_another_machine_needs_a_clear_word() -> None:
    assert "HTTP is not encrypted" in faults({"clickhouse": {"address": "db.example:8123"}})[1]
    assert load({"clickhouse": {"address": "db.example:8443", "secure": True}}).settings.clickhouse.secure


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("WATCHKEEPER_CLICKHOUSE_PASSWORD", "hunter2")
    loaded = load()

    assert "hunter2" not in as_toml(loaded) + repr(loaded) + str(loaded.settings.model_dump_json())
    assert environment(loaded.settings)["WATCHKEEPER_KAFKA_SASL_PASSWORD"] == "hunter2"


def test_a_bad_secret_is_not_shown_in_its_fault(clean: Path) -> None:
    write(clean, "[kafka]\nsasl_password = 12345678\n")

    assert "12345678" not in "".join(faults())


def test_what_config_show_prints_can_be_read_again(clean: Path) -> None:
    shown = as_toml(load({"source": 'a "name"', "kafka": {"partitions": {"logs": 3}}}))
    assert 'source = "a \\"name\\""  # argument' in shown
    write(clean, shown)

    again = load()

    assert (again.settings.source, again.settings.kafka.partitions) == ('a "name"', {"logs": 3})


def test_children_get_exactly_these_settings_whatever_a_file_says(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    settings = load(
        {"source": "here", "kafka": {"partitions": {"logs": 3}, "idempotent": False}, "data_dir": clean / "data"}
    ).settings
    for name, text in environment(settings).items():
        monkeypatch.setenv(name, text)
    write(clean, "port_base = 9999\n")

    child = load().settings

    assert [value_of(child, name) for name, _ in fields()] == [value_of(settings, name) for name, _ in fields()]


def test_every_setting_has_a_variable_of_its_own_and_a_description() -> None:
    names = [variable(name) for name, _ in fields()]

    assert len(set(names)) == len(names)
    assert all(field.description for _, field in fields())


def test_a_variable_that_names_nothing_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_PORTBASE", "1")

    assert load().notes == ("WATCHKEEPER_PORTBASE is set in the environment and names no setting: it is ignored",)


def test_a_file_that_is_not_toml_or_not_there_is_told_by_name(clean: Path) -> None:
    with pytest.raises(BadSettings, match=r"there is no settings file .*missing\.toml"):
        load(config=clean / "missing.toml")
    write(clean, "port_base = \n")

    with pytest.raises(BadSettings, match=r"watchkeeper\.toml is not TOML: .*line 1"):
        load()


@pytest.mark.parametrize("folder", ["", " ", "."])
def test_a_data_folder_that_is_no_folder_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    assert (
        "must name a folder of its own"
        in faults({"data_dir": Path(folder)} if folder != " " else {"data_dir": folder})[1]
    )
    monkeypatch.setenv("WATCHKEEPER_DATA_DIR", folder)
    assert "must name a folder of its own" in faults()[1]


def test_a_data_folder_is_the_same_wherever_a_command_is_called(clean: Path) -> None:
    assert load({"data_dir": Path("data")}).settings.data_dir == clean / "data"


def test_names_that_are_too_long_for_the_system_hold_no_settings_file(clean: Path) -> None:
    long = clean / ("x" * 5_000)
    assert load({"data_dir": long}).settings.data_dir == long
    with pytest.raises(BadSettings, match="there is no settings file"):
        load(config=long)
