"""`warpgauge generate`: the committed files, byte for byte, from any folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from warpgauge.cli.main import main

ROOT = Path(__file__).parents[2]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", ["alerts", "dashboards"])
def test_it_reproduces_the_committed_files(target: str, tmp_path: Path):
    assert main(["generate", target, "--out", str(tmp_path)], {}) == 0
    assert tree(tmp_path) == tree(ROOT / target / "generated")


@pytest.mark.parametrize(("target", "folder"), [("alerts", "rules"), ("dashboards", "dashboards")])
def test_it_reproduces_the_committed_manifests(target: str, folder: str, tmp_path: Path):
    assert main(["generate", target, "--format", "kubernetes", "--out", str(tmp_path)], {}) == 0
    assert tree(tmp_path) == tree(ROOT / "deploy/kubernetes/monitoring" / folder)


def test_a_format_that_a_target_has_not_is_one_sentence(capsys: pytest.CaptureFixture[str]):
    assert main(["generate", "docs", "--format", "kubernetes"], {}) == 2
    assert capsys.readouterr().err == "warpgauge: there are no docs for kubernetes: leave --format out\n"


@pytest.mark.parametrize("target", ["alerts", "dashboards"])
def test_a_second_run_changes_nothing(target: str, tmp_path: Path):
    main(["generate", target, "--out", str(tmp_path)], {})
    before = tree(tmp_path)
    main(["generate", target, "--out", str(tmp_path)], {})
    assert tree(tmp_path) == before


def test_it_names_every_file_that_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["generate", "alerts", "--out", str(tmp_path)], {})
    assert {Path(line) for line in capsys.readouterr().out.split()} == {tmp_path / name for name in tree(tmp_path)}


def test_addresses_of_the_site_reach_the_files(tmp_path: Path):
    main(["generate", "alerts", "--out", str(tmp_path), "--runbooks-url", "https://gauge.test/"], {})
    assert b"runbook_url: https://gauge.test/runbooks/DeviceLost\n" in (tmp_path / "device.yml").read_bytes()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert main(["generate", "alerts", "--out", str(tmp_path / "file/below")], {}) == 2
    said = capsys.readouterr().err
    assert (
        said == f"warpgauge: cannot make the folder {tmp_path}/file/below: Not a directory; name another with --out\n"
    )


def test_an_unknown_target_is_wrong_use(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["generate", "gauges"], {})
    assert ended.value.code == 2
    assert "invalid choice: 'gauges'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "module", "package"), [("alerts", "yaml", "PyYAML"), ("dashboards", "grafanalib", "grafanalib")]
)
def test_without_its_extra_the_message_names_the_mend(target: str, module: str, package: str, tmp_path: Path):
    code = f"import sys; sys.modules[{module!r}] = None; from warpgauge.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "generate", target, "--out", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert (
        done.stderr == f"warpgauge: warpgauge generate needs {package}: pip install '.[dashboards]' in the checkout\n"
    )
    assert list(tmp_path.iterdir()) == []
