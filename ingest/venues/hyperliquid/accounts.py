"""What a clearinghouse state says of its positions, and our own liquidation prices beside the venue's. Pure."""

from collections.abc import Iterator, Mapping
from math import inf, isnan

import msgspec

from ingest.sanity import check
from ingest.venues.hyperliquid.messages import (
    AccountUpdate,
    AssetPosition,
    ClearinghouseAnswer,
    ClearinghouseState,
    Frame,
    MarginSummary,
    PositionDetail,
)
from ingest.venues.hyperliquid.wallets import Holding
from ingest.venues.wire import Report, RowReader, decoder_of, fields_in, number_or_nan, price_or_nan, read, text_of
from liqheat.domain.events import NAN, Position
from liqheat.domain.instruments import Instrument
from liqheat.domain.liquidation_models import Terms, liquidation_price_at_tier
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import ModelName, Side, Venue
from liqheat.platform.errors import PoisonMessage

_ANSWER = decoder_of(ClearinghouseAnswer)
_UPDATE = decoder_of(AccountUpdate)
_POSITIONS = RowReader(AssetPosition, "a Hyperliquid position")
_MOST_USD = 1e15


def state_of(body: bytes | msgspec.Raw, report: Report) -> ClearinghouseState:
    """Read a `clearinghouseState` position by position; those that cannot be read go to `report`.

    Raises:
        PoisonMessage: it is none.
    """
    answer = read(_ANSWER, body, "a Hyperliquid account")
    return ClearinghouseState(
        _POSITIONS.read(answer.asset_positions, report),
        answer.time,
        answer.margin_summary,
        answer.cross_margin_summary,
        answer.cross_maintenance_margin_used,
    )


def account_of(message: Frame) -> tuple[str, msgspec.Raw] | None:
    """Return whose state a frame holds, in lower case, and the state; None for one of a builder-deployed exchange.

    The answer to a request does not name its account, so the feed puts it beside; the venue's channel does.

    Raises:
        PoisonMessage: the account is not named.
    """
    if message.user:
        return message.user.lower(), message.data
    if "clearinghouseState" not in fields_in(message.data):
        raise PoisonMessage("Expected the user of a clearinghouse state beside it")
    update = read(_UPDATE, message.data, "a Hyperliquid account")
    return None if text_of(update.dex) else (update.user.lower(), update.state)


def position_of(
    instrument: Instrument, side: int, position: PositionDetail, state: ClearinghouseState, user: str
) -> Position:
    """Return a position of an account as an event.

    Raises:
        PoisonMessage: a number of it is none.
    """
    coins = instrument.coins_per_unit
    if not abs(position.szi) < 1e18:
        raise PoisonMessage(f"Expected a size, was {position.szi!r}")
    account_value = _value_in(state.margin_summary)
    if isnan(account_value):
        account_value = _value_in(state.cross_margin_summary)
    return Position(
        Venue.HYPERLIQUID,
        instrument.symbol,
        instrument.name,
        state.time,
        user,
        side,
        abs(position.szi) * coins,
        price_or_nan(position.entry_price) / coins,
        number_or_nan(position.leverage.value),
        (position.leverage.type or "cross") == "cross",
        price_or_nan(position.liquidation_price) / coins,
        number_or_nan(position.margin_used),
        account_value,
    )


def holdings_of(
    state: ClearinghouseState, instruments: Mapping[str, Instrument], unread: set[str] | None = None
) -> Iterator[Holding]:
    """Yield the positions in wanted instruments (by the venue's name) that the mapper takes too.

    The symbols of others, of which nothing is known now, go to `unread`.
    """
    for position in _open_positions(state):
        instrument = instruments.get(position.coin)
        if instrument is None:
            continue
        try:
            check(position_of(instrument, 1, position, state, ""))
        except PoisonMessage:
            if unread is not None:
                unread.add(instrument.symbol)
            continue
        value = _value_of(position)
        mark_price = value / abs(position.szi)
        liquidation_price = _price_of(position)
        quantity = position.szi * instrument.coins_per_unit
        if liquidation_price > 0 and 0 < mark_price < inf:
            distance = abs(mark_price - liquidation_price) / mark_price
            yield Holding(instrument.symbol, quantity, value, distance)
        else:
            yield Holding(instrument.symbol, quantity, value)


def price_differences(state: ClearinghouseState, tables: Mapping[str, MarginTiers]) -> Iterator[float]:
    """Yield the relative difference of our liquidation price from the venue's, where both have one.

    `tables` holds margin tiers by coin; a coin without is passed over, and a position of which a number is none.
    """
    for position in _open_positions(state):
        theirs = _price_of(position)
        tiers = tables.get(position.coin)
        if tiers is None or not theirs > 0 or not _value_of(position) > 0:
            continue
        try:
            ours = own_liquidation_price(position, state, tiers)
        except PoisonMessage:
            # A number of the account that the mapper refuses, or does not need.
            continue
        if 0 < ours < inf:
            yield abs(ours - theirs) / theirs


def own_liquidation_price(position: PositionDetail, state: ClearinghouseState, tiers: MarginTiers) -> float:
    """Return our liquidation price in USD a quoted unit, NaN where there is none.

    Isolated by the position's margin, which includes its unrealised profit; cross by the account's value and
    the maintenance margin of all its cross positions.
    """
    quantity = abs(position.szi)
    mark_price = _value_of(position) / quantity
    is_cross = (position.leverage.type or "cross") == "cross"
    terms = Terms(
        side=int(Side.LONG if position.szi > 0 else Side.SHORT),
        entry_price=mark_price,
        quantity=quantity,
        wallet_balance=None if is_cross else number_or_nan(position.margin_used),
        account_value=_value_in(state.cross_margin_summary) if is_cross else None,
        maintenance_margin_required=number_or_nan(state.cross_maintenance_margin_used) if is_cross else None,
    )
    return float(liquidation_price_at_tier(ModelName.HYPERLIQUID, terms, tiers).price)


def _value_in(summary: MarginSummary | None) -> float:
    """Return the account's value (USD), NaN where the venue does not say."""
    return NAN if summary is None else number_or_nan(summary.account_value)


def _open_positions(state: ClearinghouseState) -> Iterator[PositionDetail]:
    for item in state.asset_positions:
        if item.position.szi != 0:
            yield item.position


def _value_of(position: PositionDetail) -> float:
    """Return the position's notional (USD), 0 where the venue does not say, or says what no position is worth."""
    try:
        value = number_or_nan(position.position_value)
    except PoisonMessage:
        return 0.0
    return value if 0 < value <= _MOST_USD else 0.0


def _price_of(position: PositionDetail) -> float:
    """Return the venue's liquidation price, NaN where there is none."""
    try:
        return price_or_nan(position.liquidation_price)
    except PoisonMessage:
        return NAN
