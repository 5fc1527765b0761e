"""vqa report GROUP [--dry-run] [--json]"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.formatting import one_line

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

    from vqa.ablation.members import Member
    from vqa.ablation.study import Study
    from vqa.ablation.wandb_report import Address

EPILOG = """
The report shows what W&B has of the group: `vqa sync GROUP` sends what was trained offline. It needs a network, a key
(`wandb login`) and wandb-workspaces (pip install 'vqa-service[report]'); --dry-run needs the last alone.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("group", metavar="GROUP", help="a group of jobs, or a folder of runs that share a group")
    add("--project", help="W&B's project (default: as the runs say)")
    add("--entity", help="user or team in W&B (default: as the runs say, else the key's own)")
    add("--baseline", metavar="VARIANT", help="the variant that all others are tested against")
    add("--split", default="", help="which predictions of the run directories")
    add("--resamples", type=int, default=10_000, help="of intervals and permutations")
    add("--dry-run", action="store_true", help="print what would be made; send nothing")
    add("--json", action="store_true", help="print addresses, or with --dry-run the whole spec")


def run(args: argparse.Namespace) -> int:
    """Compare the group, and make its report and its view."""
    from vqa.ablation.gather import gather
    from vqa.ablation.study import Options, make_study
    from vqa.ablation.wandb_report import check_installed, make_report, make_workspace, spec
    from vqa.evaluation.bootstrap import check_resamples
    from vqa.jobs.home import Home

    check_resamples(args.resamples)
    check_installed()
    found = gather([args.group], {}, Home.here())
    address = _address(found.members, args)
    if not args.dry_run:
        _check_online()
    study = make_study(
        address.group,  # W&B is told no path of this machine
        found.members,
        found.places,
        Options(args.baseline, args.split, resamples=args.resamples),
    )
    if args.dry_run:
        report, workspace = make_report(study, address), make_workspace(study, address)
        made = spec(report, workspace)
        print(json.dumps(made, ensure_ascii=False) if args.json else _outline(study, address, made))
        return 0
    urls = _publish(study, address)
    print(
        json.dumps(urls) if args.json else "\n".join(f"{what}  {url}" for what, url in urls.items())
    )
    return 0


def _check_online() -> None:
    """Refuse where W&B cannot be reached.

    Raises:
        ConfigError: it is switched off, no server answers, or there is no key.
    """
    from vqa.errors import ConfigError
    from vqa.tracking.mirrors import allowed_mode
    from vqa.tracking.sender import NoService, check_key, check_reachable, server_address

    fix = "`wandb login` stores a key; --dry-run shows the report without sending it"
    if allowed_mode("online") != "online":
        raise ConfigError("a report is made online", where="WANDB_MODE", fix=f"unset it; {fix}")
    try:
        check_reachable(server_address())
        check_key()
    except NoService as error:
        raise ConfigError(
            f"a report is made online, and {error}", where="vqa report", fix=fix
        ) from None


def _address(members: Sequence[Member], args: argparse.Namespace) -> Address:
    """Where the group's runs are in W&B.

    Raises:
        ConfigError: they are in several projects, or have no group in common.
    """
    from vqa.ablation.wandb_report import Address

    said = [dict(member.experiment.get("tracking") or {}) for member in members]
    group = _only([one.get("group") for one in said], "tracking.group")
    return Address(
        entity=args.entity or _only([one.get("entity") or "" for one in said], "tracking.entity"),
        project=args.project
        or _only([one.get("project", "vqa") for one in said], "tracking.project"),
        group=group,
        by_variant=all(member.place is not None for member in members),
    )


def _only(values: Sequence[str | None], where: str) -> str:
    from vqa.errors import ConfigError

    found = sorted({str(value) for value in values if value is not None})
    if len(found) == 1:
        return found[0]
    said = f"the runs say {', '.join(map(repr, found[:3]))}" if found else "the runs name none"
    raise ConfigError(
        f"W&B finds runs by one group in one project, and {said}",
        where=where,
        fix="report a group of `vqa ablate`, or train with tracking.group=NAME",
    )


def _publish(study: Study, address: Address) -> dict[str, str | None]:
    """Send comparison, report and view; their addresses."""
    from dataclasses import replace

    from vqa.ablation.wandb_figures import log_comparison
    from vqa.ablation.wandb_report import make_report, make_workspace
    from vqa.errors import VQAError
    from vqa.tracking.listener import reason_of

    try:
        import wandb

        address = replace(address, entity=address.entity or str(wandb.Api().default_entity))
        with tempfile.TemporaryDirectory() as folder:
            url = log_comparison(study, address, Path(folder))
        report: Report = make_report(study, address).save()
        workspace: Workspace = make_workspace(study, address).save()
    except Exception as error:  # whatever W&B raises: it is its answer
        raise VQAError(
            f"W&B made no report ({reason_of(error)})",
            where=f"{address.entity}/{address.project}",
            fix="see that the runs are there: `vqa sync GROUP`",
        ) from error
    return {"comparison": url, "report": report.url, "workspace": workspace.url}


def _outline(study: Study, address: Address, made: dict[str, Any]) -> str:
    """The report in lines: headings, sentences, and what each grid shows."""
    place = f"{address.entity or '(your own entity)'}/{address.project}, group {address.group}"
    lines = [one_line(f"report on {place}: {study.title}")]
    for block in made["report"]["spec"]["blocks"]:
        lines += [f"  {one_line(line)}" for line in _block_lines(block)]
    sections = made["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    lines.append("view")
    lines += [f"  {one['name']}: {len(one['panels'])} panels" for one in sections]
    return "\n".join(lines)


def _block_lines(block: dict[str, Any]) -> list[str]:
    kind = block["type"]
    if kind == "panel-grid":
        panels = block["metadata"]["panelBankSectionConfig"]["panels"]
        return [f"[{_panel_title(panel)}]" for panel in panels]
    if kind == "markdown-block":
        return str(block["content"]).splitlines()
    if kind == "list":
        return [f"- {_text(item)}" for item in block["children"]]
    text = _text(block)
    return ["", text] if kind == "heading" else [text] if text else []


def _panel_title(panel: dict[str, Any]) -> str:
    title = panel["config"].get("chartTitle")
    return str(title) if title else "table"


def _text(node: dict[str, Any]) -> str:
    return str(node.get("text", "")) + "".join(_text(child) for child in node.get("children", []))
