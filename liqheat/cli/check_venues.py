"""`liqheat check-venues`: the real venues looked at for a minute, with a report that can be attached to an issue."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from liqheat.domain.market import Venue

if TYPE_CHECKING:
    from ingest.check import VenueReport


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="check-venues")(check_venues)


def check_venues(
    venue: list[Venue] = typer.Option(
        [], help="A venue to look at, more than once for several; default: LIQHEAT_VENUES.", case_sensitive=False
    ),
    seconds: float = typer.Option(60.0, min=1, max=3_600, help="How long to listen."),
    symbols: str = typer.Option("", help="Symbols separated by commas, or `all`; default: LIQHEAT_INGEST__SYMBOLS."),
    out: Path = typer.Option(Path("check-venues.json"), help="File of the report."),
) -> None:
    """Connect to each real venue for a minute and report what it sends and what of it cannot be read.

    Nothing is published and no broker is needed. Your addresses and accounts are taken out of the report, so that it
    can be attached to an issue. Exit status 1 where anything was wrong.
    """
    import asyncio

    import msgspec

    from ingest.check import check_venue
    from liqheat.cli.ingest import with_symbols
    from liqheat.cli.output_files import check_output
    from liqheat.platform import logging, settings
    from liqheat.platform.clock import SystemClock

    check_output(out)
    loaded = with_symbols(settings.load(), symbols)
    # The report says what is wrong; the lines of sockets and polls would say it again.
    logging.configure("error", loaded.service.log_style)
    chosen = tuple(venue) or loaded.venues
    print(f"Listening to {', '.join(name.value for name in chosen)} for {seconds:g} s ...")

    async def run() -> "list[VenueReport]":
        clock = SystemClock()
        return list(await asyncio.gather(*(check_venue(loaded, name, seconds, clock) for name in chosen)))

    reports = asyncio.run(run())
    out.write_bytes(msgspec.json.format(msgspec.json.encode(reports), indent=2) + b"\n")
    for report in reports:
        print(_summary(report))
    print(f"Report: {out}")
    if not all(report.is_well for report in reports):
        raise typer.Exit(1)


def _summary(report: "VenueReport") -> str:
    """Say a report in a few lines."""
    if report.banned_seconds:
        state = f"banned for another {report.banned_seconds:,.0f} s"
    else:
        state = "reachable" if report.reachable else "not reachable"
    lines = [f"{report.venue}: {state}"]
    if report.listed:
        lines.append(
            f"  {report.listed} contracts listed, {len(report.instruments)} read, margin tiers of {report.margin_tiers}"
        )
    if report.frames:
        events = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.events.items()))
        lines.append(f"  {sum(report.frames.values()):,} frames: {events or 'no events'}")
        lines.append(
            f"  lag {report.lag_ms} ms; the venue's clock is at least {report.clock_ahead_ms} ms ahead of ours"
        )
    lines += [f"  {symbol} {reason}" for symbol, reason in report.missing.items()]
    lines += [f"  listing: {name}: {reason}" for name, reason in report.listing_refused.items()]
    lines += [f"  not read ({unread.count}): {reason}" for reason, unread in report.refused.items()]
    lines += [f"  notice ({count}): {kind}" for kind, count in report.notices.items()]
    if report.new_fields:
        lines.append(f"  fields never seen before: {', '.join(report.new_fields)}")
    lines += [f"  {problem}" for problem in report.problems]
    return "\n".join(lines)
