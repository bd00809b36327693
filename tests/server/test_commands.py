"""A command that can't do what it was asked says why in one line on stderr, and ends with a non-zero code."""

from pathlib import Path

import pytest

from server.commands import main
from server.settings import ServerSettings

CODE_OF_ERROR = 1
CODE_OF_USAGE = 2


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def exit_code(*arguments: str) -> object:
    # pytest.raises would keep the traceback alive to the interpreter's end, which extension modules report as leaks.
    try:
        main(arguments)
    except SystemExit as ended:
        return ended.code
    return None


def problem(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """Run a command that must fail with the code; return its one line."""
    found = exit_code(*arguments)
    output = capsys.readouterr()
    assert (found, output.out) == (code, "")
    assert output.err.startswith("fallom-server: ")
    assert output.err.count("\n") == 1, output.err
    return output.err.removeprefix("fallom-server: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nope"], "unrecognized arguments: --nope"),
        (["extra"], "unrecognized arguments: extra"),
        (["--flush-interval-s"], "argument --flush-interval-s: expected one argument"),
        (["--flush-interval-s", "soon"], "flush_interval_s: Input should be a valid number"),
        (["--flush-interval-s", "0"], "flush_interval_s: Input should be greater than 0, got '0'"),
        (["--log-level", "loud"], "log_level: one of debug, info, warning, error expected, got 'loud'"),
        (["--http", "4318"], "http: HOST:PORT expected, such as 127.0.0.1:4318, got '4318'"),
        (["--http", "127.0.0.1:70000"], "http: HOST:PORT expected"),
        (["--body-bytes-max", "1.5"], "body_bytes_max: "),
        (["--retention-days", "-1"], "retention_days: Input should be greater than or equal to 0, got '-1'"),
        (["--content-retention-days", "soon"], "content_retention_days: "),
    ],
)
def test_a_wrong_flag_is_named(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert problem(capsys, CODE_OF_USAGE, "serve", *arguments).startswith(words)
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("sql_rows_max", "many"), ("http", "nowhere"), ("flush_interval_s", ""), ("log_level", "loud")]
)
def test_a_wrong_environment_variable_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"FALLOM_{name.upper()}", value)

    line = problem(capsys, CODE_OF_USAGE, "serve")

    assert line.startswith(f"{name}: ")
    assert repr(value) in line


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, CODE_OF_ERROR, "config: no file fallom.toml"),
        (b"flush_interval_s = ", CODE_OF_ERROR, "config: fallom.toml is not valid TOML: "),
        (b"\xff\xfe\x00", CODE_OF_ERROR, "config: fallom.toml is not valid TOML: "),
        (b"flush_interval = 5", CODE_OF_ERROR, "config: fallom.toml: unknown setting 'flush_interval'; there are: "),
        (b'flush_interval_s = "soon"', CODE_OF_USAGE, "flush_interval_s: "),
        (b"[flush_interval_s]\nvalue = 5", CODE_OF_USAGE, "flush_interval_s: "),
    ],
)
@pytest.mark.parametrize("is_flag", [True, False], ids=["flag", "environment"])
def test_a_wrong_settings_file_is_named(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    code: int,
    words: str,
    is_flag: bool,
) -> None:
    if content is not None:
        Path("fallom.toml").write_bytes(content)
    if not is_flag:
        monkeypatch.setenv("FALLOM_CONFIG", "fallom.toml")

    assert problem(capsys, code, "serve", *(["--config", "fallom.toml"] if is_flag else [])).startswith(words)


def test_a_flag_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[ServerSettings] = []
    monkeypatch.setattr("server.serve_command.serve", started.append)
    Path("fallom.toml").write_text("sql_rows_max = 3\nbody_bytes_max = 3000\nin_flight_bytes_max = 3000\n")
    monkeypatch.setenv("FALLOM_SQL_ROWS_MAX", "2")
    monkeypatch.setenv("FALLOM_BODY_BYTES_MAX", "2000")

    main(["serve", "--config", "fallom.toml", "--sql-rows-max", "1"])

    settings = started[0]
    assert (settings.sql_rows_max, settings.body_bytes_max, settings.in_flight_bytes_max) == (1, 2000, 3000)
    assert settings.flush_interval_s == ServerSettings.model_fields["flush_interval_s"].default


@pytest.mark.parametrize("transport", ["http", "grpc"])
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "example.com"])
def test_an_address_that_others_can_reach_is_refused_without_a_key(
    capsys: pytest.CaptureFixture[str], transport: str, host: str
) -> None:
    line = problem(capsys, CODE_OF_ERROR, "serve", f"--{transport}", f"{host}:0")

    assert line.startswith(f"{transport}: {host}:0 can be reached from other machines, but no API key is defined")
    assert not Path("data").exists()


@pytest.mark.parametrize("in_the_way", ["data", "data/log", "data/lake"])
def test_a_data_directory_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], in_the_way: str) -> None:
    path = Path(in_the_way)
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way")

    for arguments in (["serve"], ["serve", "--data-dir", f"{in_the_way}/below"]):
        line = problem(capsys, CODE_OF_ERROR, *arguments)
        assert line.startswith(f"data directory {Path.cwd()}")
        assert "can't be written: " in line
    assert path.read_text() == "in the way"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], CODE_OF_USAGE, "argument {serve,apply,"),
        (["apply"], CODE_OF_USAGE, "the following arguments are required: FILE"),
        (["sql", "SELECT 1", "--rows-max", "0"], CODE_OF_USAGE, "rows_max: "),
        (["sql", "SELECT 1", "--data-dir", "nowhere"], CODE_OF_ERROR, "CWD/nowhere is no data directory: start a "),
        (["sql", "SELECT 1", "--url", "http://127.0.0.1:9"], CODE_OF_ERROR, "http://127.0.0.1:9 can't be reached: "),
        (["sql", "SELECT 1", "--url", "nonsense"], CODE_OF_ERROR, "nonsense can't be reached: "),
        (["forget"], CODE_OF_USAGE, "customer: Field required"),
        (["forget", "--customer", ""], CODE_OF_USAGE, "customer: "),
        (["forget", "--customer", "a", "--data-dir", "nowhere"], CODE_OF_ERROR, "CWD/nowhere is no data directory: "),
        (["forget", "--customer", "a", "--url", "http://127.0.0.1:9"], CODE_OF_ERROR, "http://127.0.0.1:9 can't be "),
        (
            ["forget", "--customer", "a", "--url", "http://127.0.0.1:9", "--project", "p"],
            CODE_OF_ERROR,
            "project: with --url the project is that of the key; leave --project out",
        ),
        (["apply", "nowhere.yaml"], CODE_OF_ERROR, "nowhere.yaml: cannot be read: No such file or directory"),
        (["apply", "."], CODE_OF_ERROR, ".: cannot be read: Is a directory"),
    ],
)
def test_a_wrong_command_line_is_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert problem(capsys, code, *arguments).startswith(words.replace("CWD", str(Path.cwd())))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("configs: [\n", "line 2, column 1: is not valid YAML"),
        ("configs:\n\t- key: a", "line 2, column 1: is not valid YAML"),
        ("", "is empty: a mapping with configs, prompts, prompt_ab_tests, prices, experiments, alerts expected"),
        ("configs: 5", "configs: must be a list, got 5"),
        ("experimentz: []", "experimentz: unknown key"),
        ("configs: [{key: a, variants: [{model: m, weight: half}]}]", "configs[0].variants[0].weight: "),
        ("configs: [{key: a, variants: []}]", "configs[0].variants: must not be empty"),
    ],
)
def test_a_broken_document_is_refused_with_its_place(capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    Path("broken.yaml").write_text(text)

    assert problem(capsys, CODE_OF_ERROR, "apply", "broken.yaml").startswith(f"broken.yaml: {words}")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--smtp-url", "smtp://ann:hunter2@mail.example.com"], "smtp_from: needed too for smtp_url"),
        (
            ["--smtp-url", "smtp://ann:hunter2@mail.example.com", "--smtp-from", "a@b.c"],
            "smtp_url: a password would be sent unencrypted: write smtps://, or ?starttls behind the port",
        ),
        (
            ["--smtp-url", "http://ann:hunter2@mail.example.com", "--smtp-from", "a@b.c"],
            "smtp_url: smtp:// or smtps:// and a host expected",
        ),
    ],
)
def test_a_mail_server_that_can_t_be_is_told_without_its_password(
    capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    told = problem(capsys, 2, "serve", *flags)

    assert words in told
    assert "hunter2" not in told
