"""The engine: spans of the log in, heatmap rows of closed minutes out, for all markets of a partition at once.

Pure and deterministic: the same log gives the same rows, bit for bit, however it is cut into messages and spans. The
Faust driver, `liqheat map` and `liqheat score` all drive it through the functions below.

A span is cut into rounds (`processors.heatmap.minutes`): in each, the rows of every market up to its next closing
are gathered into the open minutes, then those minutes close together.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Batch, Kind
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.codec import Rows, rows_of
from liqheat.platform.codec_blocks import RowBlock, blocks_of
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.state_codec import pack, unpack
from processors.heatmap import closing, gathering, plausibility
from processors.heatmap.minutes import EMPTY_SLOT, NOT_STARTED, Closing, Plan, plan_of
from processors.heatmap.observing import observe
from processors.heatmap.rows import ClosedMinutes, Output
from processors.heatmap.span import KIND_CODES, TIMED_KINDS, Gathered, gathered_of
from processors.heatmap.state import Before, PartitionState, SavedSymbol
from processors.positions.evidence import LEARNING_MINUTES
from processors.positions.inferred import MODEL_VERSION

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

ACCEPTED_KINDS = frozenset({*TIMED_KINDS, Kind.POSITIONS, Kind.MARGIN_TIERS, Kind.TURNOVER, Kind.CONTRACTS, Kind.DEPTH})
"""Kinds that `apply` takes; any other on its topic is a mistake."""


_LASTING = (Kind.TURNOVER, Kind.DEPTH)
"""Kinds of which the latest row in the log holds until the next."""

Judge = Callable[[Sequence[ClosedMinutes]], list[Batch]]


def new_state(settings: EngineSettings) -> PartitionState:
    """Return the state before the first row of a partition."""
    return PartitionState(settings)


def apply(state: PartitionState, batch: Batch) -> list[Batch]:
    """Apply one batch in log order and return the rows of the minutes that it closed; see `apply_span`."""
    return apply_span(state, [rows_of(batch)])


def apply_span(state: PartitionState, span: Sequence[Rows], judge: Judge | None = None) -> list[Batch]:
    """Apply messages in log order, all together; see `apply_blocks`."""
    return apply_blocks(state, blocks_of(span), judge)


def apply_blocks(state: PartitionState, span: Sequence[RowBlock], judge: Judge | None = None) -> list[Batch]:
    """Apply the messages of blocks in log order, all together.

    Args:
        state: changed in place.
        span: rows of accepted kinds, sane by the codec.
        judge: makes further batches of the minutes that closed; if it fails, the span is not applied.

    Returns:
        Batches of kinds `HEATMAP_LEVELS` and `MARKET_MINUTES` of closed minutes, absolute values, `revision` being the
        number of the symbol's log row that closed the minute; and those of `judge`.

    Raises:
        PoisonMessage: the span cannot be applied, whatever the reason; the state is as before.
    """
    for block in span:
        if block.kind not in ACCEPTED_KINDS:
            raise PoisonMessage(f"Expected position events, was {block.kind.value!r}")
    gathered = gathered_of(state, span)
    before = state.before(gathered.markets, gathered.symbols)
    try:
        with np.errstate(all="ignore"):
            output = _run(state, gathered, before)
            batches = output.batches()
            return batches + judge(output.closed) if judge is not None and output.closed else batches
    except Exception as error:
        state.put_back(before)
        if isinstance(error, PoisonMessage):
            raise
        raise PoisonMessage(f"The engine refuses these rows: {type(error).__name__}: {error}") from error


def snapshot(state: PartitionState, only: Sequence[str] | None = None) -> list[Batch]:
    """Return the rows of open minutes that have changed since they were last returned, provisional.

    A market's minute is returned whenever it changed, its levels only where its range has reached more of them. The
    rows of the same minute, once it closes, carry a higher revision and replace these. Of the state only what was
    shown changes.

    Args:
        state: of one partition.
        only: symbols to return the open minutes of, changed or not, with levels where any was reached.
    """
    if only is None:
        markets = np.flatnonzero(state.stale[: len(state.venues)])
    else:
        numbers = [state.symbol_numbers[symbol] for symbol in only if symbol in state.symbol_numbers]
        markets = np.array([market for number in numbers for market in state.markets_of[number]], np.int64)
    state.stale[markets] = False
    markets = markets[state.table["start"][markets] != NOT_STARTED]
    output = _output(state)
    if markets.size:
        with np.errstate(all="ignore"):
            which = closing.Publish.NEWS if only is None else closing.Publish.REACHED
            closing.add_open_minutes(state, markets, state.revisions[state.symbol_of[markets]], output, which)
    return output.batches()


def open_minutes(state: PartitionState) -> list[Batch]:
    """Return the whole map as it is now: every market's open minute with all its levels; changes nothing."""
    markets = np.flatnonzero(state.table["start"][: len(state.venues)] != NOT_STARTED)
    output = _output(state)
    if markets.size:
        with np.errstate(all="ignore"):
            revisions = state.revisions[state.symbol_of[markets]]
            closing.add_open_minutes(state, markets, revisions, output, closing.Publish.ALL)
    return output.batches()


def dump(state: PartitionState, symbol: str) -> bytes:
    """Return one symbol's state as bytes for its checkpoint."""
    return pack(state.saved(symbol))


def load(state: PartitionState, data: bytes) -> str:
    """Take in a symbol's state that `dump` wrote; return the symbol.

    Raises:
        FatalError: another version, model or grid wrote it, or it is damaged.
    """
    saved = unpack(data, SavedSymbol)
    state.restore(saved)
    return saved.symbol


def _output(state: PartitionState) -> Output:
    return Output(state.venues, state.symbols, state.instruments, state.settings.grid_factor, MODEL_VERSION)


def _run(state: PartitionState, gathered: Gathered, before: Before) -> Output:
    output = _output(state)
    _heal(state, gathered)
    plan = plan_of(
        gathered.market,
        gathered.symbol,
        gathered.rank,
        gathered.times,
        state.table,
        state.lateness,
        LEARNING_MINUTES * MINUTE_MS,
    )
    if plan.closings:
        before.inferred = state.inferred.take(np.unique(np.concatenate([each.market for each in plan.closings])))
    for market, instrument in gathered.instruments.items():
        state.instruments[market] = instrument
    fresh = plan.markets[state.table["start"][plan.markets] == NOT_STARTED]
    if fresh.size:
        state.table["start"][fresh] = plan.begun[np.searchsorted(plan.markets, fresh)]
    for number in range(len(plan.closings) + 1):
        if number:
            close(state, plan.closings[number - 1], output, before)
        places = np.flatnonzero(plan.piece == number) if plan.closings else np.arange(len(plan.order))
        if places.size:
            _gather(state, gathered, plan, places, before)
    state.table["watermark"][plan.markets] = plan.watermark[plan.last]
    state.revisions[gathered.symbols] += gathered.counts
    state.stale[plan.markets] = True
    return output


def _heal(state: PartitionState, gathered: Gathered) -> None:
    """Let markets begin again whose watermark is further ahead of the broker's time than any event may be.

    Only a clock that was wrong, or a state from before the lead was judged, puts it there; everything that comes would
    be late until then. The minutes that were opened too early are written again with what now comes.
    """
    if gathered.written_at is None:
        return
    markets, first = np.unique(gathered.market, return_index=True)
    limit = gathered.written_at[first] + state.settings.maximum_lead_ms
    poisoned = markets[state.table["watermark"][markets] > limit]
    for market in poisoned.tolist():
        for name in ("start", "watermark", "closed"):
            state.table[name][market] = NOT_STARTED
        state.table["open_interest_time"][market] = -1
        state.slots[2 * market : 2 * market + 2] = EMPTY_SLOT
        for slot in (2 * market, 2 * market + 1):
            state.executed.pop(slot, None)
        state.counts["healed"] += 1


def close(state: PartitionState, closings: Closing, output: Output, before: Before) -> None:
    """Close the minutes of one round, each market up to the minute that is open then."""
    markets, until = closings.market, closings.until
    revisions = state.revisions[state.symbol_of[markets]] + closings.rank + 1
    while markets.size:
        skipped = closing.skip_silence(state, markets, until)
        markets, until, revisions = markets[~skipped], until[~skipped], revisions[~skipped]
        if markets.size:
            closing.keep_observed(state, markets, before)
            closing.close_minute(state, markets, revisions, output)
            goes_on = state.table["start"][markets] < until
            markets, until, revisions = markets[goes_on], until[goes_on], revisions[goes_on]


def _gather(state: PartitionState, gathered: Gathered, plan: Plan, places: IntArray, before: Before) -> None:
    """Apply rows between two closings: those ahead of the open minute go into the next one, late ones are counted."""
    rows = plan.order[places]
    market, kinds, sources = plan.market[places], gathered.kind[rows], gathered.source[rows]
    open_start = plan.open_start[places]
    good = _plausible(state, gathered.columns, market, kinds, sources)
    if not good.all():
        gathering.count_held(state.slots, market[~good])
        state.counts["held"] += int((~good).sum())
        market, kinds, sources, open_start = market[good], kinds[good], sources[good], open_start[good]
    observe(state, gathered.columns, market, kinds, sources, open_start, before)
    for kind, columns in gathered.columns.items():
        if kind in TIMED_KINDS or kind in _LASTING:
            own = np.flatnonzero(kinds == KIND_CODES[kind]) if len(gathered.columns) > 1 else slice(None)
            if len(market[own]):
                _gather_kind(state, kind, columns, market[own], sources[own], open_start[own])


def _plausible(
    state: PartitionState, columns: dict[Kind, dict[str, Any]], market: IntArray, kinds: IntArray, sources: IntArray
) -> npt.NDArray[np.bool_]:
    """Return which rows may change anything: no mark, trade or open interest that leaps without confirmation."""
    good = np.ones(len(market), np.bool_)
    settings = state.settings
    for number, (kind, name, step) in enumerate(
        (
            (Kind.MARKS, "mark_price", settings.plausible_price_step),
            (Kind.TRADES, "price", settings.plausible_price_step),
            (Kind.OPEN_INTEREST, "quantity", settings.plausible_interest_step),
        )
    ):
        own = np.flatnonzero(kinds == KIND_CODES[kind]) if kind in columns else np.zeros(0, np.int64)
        if own.size:
            first = np.flatnonzero(np.diff(market[own], prepend=-1))
            markets = market[own][first]
            past = state.table["accepted"][markets, number], state.table["held"][markets, number]
            values = columns[kind][name][sources[own]]
            good[own], accepted, held = plausibility.judge(values, first, *past, step)
            state.table["accepted"][markets, number], state.table["held"][markets, number] = accepted, held
    return good


def _gather_kind(
    state: PartitionState, kind: Kind, columns: dict[str, Any], market: IntArray, source: IntArray, open_start: IntArray
) -> None:
    if kind is Kind.TURNOVER:
        state.table["turnover"][market] = columns["quote_volume"][source]
        return
    if kind is Kind.DEPTH:
        gathering.gather_depth(state.table, market, columns, source)
        return
    times = columns["event_time"][source]
    ahead = times >= open_start + MINUTE_MS
    late = times < open_start
    for slot, chosen in enumerate((~ahead, ahead)):
        if not chosen.any():
            continue
        own = slice(None) if chosen.all() else chosen
        gathering.gather(
            state.slots,
            kind,
            {name: values[source[own]] for name, values in columns.items() if isinstance(values, np.ndarray)},
            2 * market[own] + slot,
            late[own],
            state.table["open_interest_time"][market[own]],
        )
    if kind is Kind.LIQUIDATIONS:
        gathering.gather_executed(state.executed, 2 * market + ahead, columns, source, state.settings.grid_factor)
