/**
 * The corridor: one bid request, room by room.
 *
 *     bytes ─▶ openrtb ─▶ admission ─▶ catalog ─▶ features ─▶ inference        first half: `receive`
 *     scores ─▶ calibration ─▶ bidding ─▶ auction ─▶ reply                     second half: `onScores` … `complete`
 *
 * Between the halves the request is a slot and a number of tickets in the engine's batches. Every request is answered
 * exactly once: by `complete`, by `refuse`, or by `tick` when its deadline passes first.
 */
import { admit, deadlineUs, type TimeBudget } from './admission/index.js';
import { AuctionResult, runAuction } from './auction/index.js';
import { type Clock, hashString } from './base/index.js';
import { type AnswerSink, type BidSlot, SlotPool } from './bid-slot.js';
import { type CurrencyRates, impressionValueMicros } from './bidding/index.js';
import type { CatalogView, RoleModel } from './catalog-view.js';
import {
  type BatchRows,
  type BidOffer,
  GOAL,
  hourOfWeek,
  type Imp,
  OUTCOME,
  type Outcome,
  type PricingMode,
  STAGE,
} from './contract/index.js';
import { type AdRows, type FeatureProgram, SourceRow } from './features/index.js';
import type { Engine, EngineListener } from './inference/index.js';
import { type BidResponseEncoder, decodeJson } from './openrtb/index.js';
import type { BidPathMetrics } from './telemetry/index.js';

export interface BidPathSettings {
  readonly mode: PricingMode;
  /** Least price of any bid, micros per mille of the account currency, > 0. */
  readonly reserveMicros: number;
  readonly cpmMicrosMax: number;
  readonly rates: CurrencyRates;
  readonly candidatesPerImpMax: number;
  readonly requestsInFlightMax: number;
  readonly time: TimeBudget;
}

export interface BidPathParts {
  readonly clock: Clock;
  readonly metrics: BidPathMetrics;
  readonly encoder: BidResponseEncoder;
  /** The catalog and the models that requests arriving now start with; null while a model of a role is not loaded. */
  readonly currentView: () => CatalogView | null;
  /** Runs the callback once, when all sockets that are readable now have been read. */
  readonly atEndOfTick: (callback: () => void) => void;
  /** A bug in the path: the request was answered as a no-bid. */
  readonly onBug: (error: unknown) => void;
}

export class BidPath implements EngineListener {
  private readonly pool: SlotPool;
  private readonly row = new SourceRow();
  private readonly pctrSeat = new Seat();
  private readonly pcvrSeat = new Seat();
  private readonly result = new AuctionResult();
  private readonly flush = () => {
    this.flushScheduled = false;
    this.engine.flush();
  };
  private flushScheduled = false;
  private draining = false;
  // Set by `connect`: the engine needs its listener before it can start.
  private engine!: Engine;

  constructor(
    private readonly settings: BidPathSettings,
    private readonly parts: BidPathParts,
  ) {
    this.pool = new SlotPool(settings.requestsInFlightMax);
  }

  /** Hands over the started engine; before this no request may come. */
  connect(engine: Engine): void {
    this.engine = engine;
  }

  get requestsInFlight(): number {
    return this.pool.inFlight;
  }

  /** From now on every new request is a no-bid; those in flight are finished. */
  startDraining(): void {
    this.draining = true;
  }

  /** Takes a complete body, valid during the call only, and answers through `sink`, now or later. */
  receive(body: Uint8Array, sink: AnswerSink): void {
    const nowUs = this.parts.clock.nowUs();
    const view = this.parts.currentView();
    const slot = this.draining || view === null ? undefined : this.pool.take();
    if (slot === undefined || view === null) {
      let outcome: Outcome = OUTCOME.overloaded;
      if (this.draining) outcome = OUTCOME.draining;
      else if (view === null) outcome = OUTCOME.inference_failed;
      this.parts.metrics.recordAnswer(outcome, 0);
      sink.answer(outcome, '');
      return;
    }
    slot.open(sink, view, nowUs);
    let outcome: Outcome;
    try {
      outcome = this.seat(slot, body);
    } catch (bug) {
      this.parts.onBug(bug);
      outcome = OUTCOME.internal_error;
    }
    if (outcome !== OUTCOME.bid) this.refuse(slot, outcome);
  }

  /** First half: bytes to a seat in a batch. `OUTCOME.bid` = seated, the scores will come. */
  private seat(slot: BidSlot, body: Uint8Array): Outcome {
    const { clock, metrics } = this.parts;
    const { request } = slot;

    if (!decodeJson(body, request)) return OUTCOME.malformed;
    const decodedUs = clock.nowUs();
    metrics.stages[STAGE.openrtb].record(decodedUs - slot.arrivalUs);
    metrics.imps += request.impCount;

    slot.deadlineUs = deadlineUs(slot.arrivalUs, request.tmaxMs, this.settings.time);
    const rowsMax = request.impCount * this.settings.candidatesPerImpMax;
    // An idle engine takes a request whatever its cost model says: only a batch that runs can correct the model, and
    // after a slow phase (a throttled processor) an estimate that nobody corrects would refuse everything for good.
    const estimateUs = this.engine.idle ? 0 : this.engine.estimateUs(slot.view!.pctr.model, rowsMax);
    const admitted = admit(decodedUs, slot.deadlineUs, estimateUs);
    const admittedUs = clock.nowUs();
    metrics.stages[STAGE.admission].record(admittedUs - decodedUs);
    if (admitted !== OUTCOME.bid) return admitted;

    const found = this.findCandidates(slot);
    const foundUs = clock.nowUs();
    metrics.stages[STAGE.catalog].record(foundUs - admittedUs);
    if (found !== OUTCOME.bid) return found;
    metrics.candidates += slot.candidateCount;

    const seated = this.writeRows(slot);
    slot.seatedUs = clock.nowUs();
    metrics.stages[STAGE.features].record(slot.seatedUs - foundUs);
    return seated;
  }

  private findCandidates(slot: BidSlot): Outcome {
    const { request } = slot;
    const view = slot.view!;
    const { rates } = this.settings;
    slot.responseCurrency = rates.choose(request.currencies);
    if (slot.responseCurrency === '') return OUTCOME.currency;
    slot.responseRate = 1 / rates.rateOf(slot.responseCurrency);
    const epochMs = this.parts.clock.epochMs();
    slot.hourOfWeek = hourOfWeek(epochMs, request.utcOffsetMinutes);
    const { goal } = view.snapshot.ads;
    // The reason a request without candidates gets: the last obstacle that any imp met.
    let why: Outcome = OUTCOME.unbiddable_imps;
    let end = 0;
    let actions = 0;
    for (let i = 0; i < request.impCount; i++) {
      const imp = request.imps[i];
      slot.impStart[i] = end;
      slot.actionImpStart[i] = actions;
      const obstacle = this.obstacleOf(imp);
      if (obstacle !== OUTCOME.bid) {
        if (imp.formatMask !== 0) why = obstacle;
        continue;
      }
      slot.reserveMicros[i] = Math.max(
        rates.floorInAccount(imp.floorMicros, imp.floorCurrency),
        this.settings.reserveMicros,
      );
      const limit = this.settings.candidatesPerImpMax;
      const count = view.snapshot.find(request, imp, slot.hourOfWeek, epochMs, slot.candidates, end, limit);
      if (count === 0) why = OUTCOME.no_candidate;
      for (let c = end; c < end + count; c++) {
        if (goal[slot.candidates[c]] !== GOAL.cpa) continue;
        slot.actionAds[actions] = slot.candidates[c];
        slot.actionPosition[actions++] = c;
      }
      end += count;
    }
    slot.impStart[request.impCount] = end;
    slot.actionImpStart[request.impCount] = actions;
    slot.candidateCount = end;
    slot.actionCount = actions;
    return end === 0 ? why : OUTCOME.bid;
  }

  /** Why an imp cannot be bid on at all; `OUTCOME.bid` = it can. */
  private obstacleOf(imp: Imp): Outcome {
    if (imp.formatMask === 0) return OUTCOME.unbiddable_imps;
    if (imp.privateAuction) return OUTCOME.private_auction;
    if (imp.floorMicros > 0 && this.settings.rates.rateOf(imp.floorCurrency) === 0) return OUTCOME.currency;
    return OUTCOME.bid;
  }

  /**
   * Takes seats in the open batches, then writes one request row per imp and its candidate rows into each. A seat that
   * was taken is written even where the other was refused: unwritten rows could spoil the batch for its neighbours.
   */
  private writeRows(slot: BidSlot): Outcome {
    const { request } = slot;
    const view = slot.view!;
    const { pctr, pcvr } = view;
    const { row, pctrSeat, pcvrSeat } = this;
    const scoresActions = slot.actionCount > 0;
    if (!this.takeSeat(slot, pctr, slot.candidateCount, pctrSeat)) return OUTCOME.overloaded;
    const actionsSeated = scoresActions && this.takeSeat(slot, pcvr, slot.actionCount, pcvrSeat);
    for (let i = 0; i < request.impCount; i++) {
      row.fill(request, request.imps[i], slot.hourOfWeek);
      writeImp(pctr.program, view.pctrRows, row, pctrSeat, slot.candidates, slot.impStart, i);
      if (actionsSeated) writeImp(pcvr.program, view.pcvrRows, row, pcvrSeat, slot.actionAds, slot.actionImpStart, i);
    }
    return actionsSeated === scoresActions ? OUTCOME.bid : OUTCOME.overloaded;
  }

  private takeSeat(slot: BidSlot, role: RoleModel, candidateRows: number, seat: Seat): boolean {
    const { engine } = this;
    const batch = engine.reserve(role.model, slot.request.impCount, candidateRows, slot.index, slot.deadlineUs);
    if (batch === null) return false;
    slot.ticketsOut++;
    seat.batch = batch;
    seat.requestRow = engine.requestRow;
    seat.candidateRow = engine.candidateRow;
    if (!this.flushScheduled) {
      this.flushScheduled = true;
      this.parts.atEndOfTick(this.flush);
    }
    return true;
  }

  /** Second half: scores to an answer. Called by the engine, once per ticket. */
  onScores(ticket: number, model: number, scores: Float32Array, offset: number, count: number): void {
    const slot = this.pool.slots[ticket];
    const nowUs = this.parts.clock.nowUs();
    slot.ticketsOut--;
    if (!slot.answered) {
      this.parts.metrics.stages[STAGE.inference].record(nowUs - slot.seatedUs);
      const { pctr, pcvr } = slot.view!;
      if (model === pctr.model) {
        for (let i = 0; i < count; i++) slot.pctr[i] = pctr.calibrator.probability(scores[offset + i]);
      } else {
        for (let i = 0; i < count; i++) {
          slot.pcvr[slot.actionPosition[i]] = pcvr.calibrator.probability(scores[offset + i]);
        }
      }
      this.parts.metrics.stages[STAGE.calibration].record(this.parts.clock.nowUs() - nowUs);
    }
    this.afterTicket(slot);
  }

  onFailed(ticket: number): void {
    const slot = this.pool.slots[ticket];
    slot.ticketsOut--;
    slot.inferenceFailed = true;
    this.afterTicket(slot);
  }

  private afterTicket(slot: BidSlot): void {
    if (slot.ticketsOut > 0) return;
    if (slot.answered) this.pool.giveBack(slot);
    // Before the outcome of the batch: the engine also gives up batches whose deadlines have all passed.
    else if (this.parts.clock.nowUs() >= slot.deadlineUs) this.refuse(slot, OUTCOME.deadline_missed);
    else if (slot.inferenceFailed) this.refuse(slot, OUTCOME.inference_failed);
    else this.complete(slot);
  }

  private complete(slot: BidSlot): void {
    let outcome: Outcome;
    let body = '';
    try {
      this.priceAndAuction(slot);
      outcome = slot.offerCount > 0 ? OUTCOME.bid : OUTCOME.below_floor;
      if (outcome === OUTCOME.bid) {
        body = this.parts.encoder.encode(
          slot.request,
          slot.offers,
          slot.offerCount,
          slot.view!.snapshot,
          slot.responseCurrency,
        );
      }
    } catch (bug) {
      this.parts.onBug(bug);
      outcome = OUTCOME.internal_error;
    }
    this.answer(slot, outcome, body);
  }

  private priceAndAuction(slot: BidSlot): void {
    const { clock, metrics } = this.parts;
    const { request, candidates, valueMicros, pctr, pcvr } = slot;
    const { ads } = slot.view!.snapshot;
    const startUs = clock.nowUs();
    for (let i = 0; i < slot.candidateCount; i++) {
      const ad = candidates[i];
      const { goal, bidMicros } = ads;
      valueMicros[i] = impressionValueMicros(goal[ad], bidMicros[ad], pctr[i], pcvr[i], this.settings.cpmMicrosMax);
    }
    const pricedUs = clock.nowUs();
    metrics.stages[STAGE.bidding].record(pricedUs - startUs);

    const seed = hashString(request.id);
    for (let i = 0; i < request.impCount; i++) {
      const from = slot.impStart[i];
      const count = slot.impStart[i + 1] - from;
      runAuction(
        valueMicros,
        candidates,
        ads.advertiserCode,
        from,
        count,
        slot.reserveMicros[i],
        seed + i,
        this.result,
      );
      if (this.result.winner >= 0) this.offer(slot, i, candidates[this.result.winner]);
    }
    metrics.stages[STAGE.auction].record(clock.nowUs() - pricedUs);
  }

  private offer(slot: BidSlot, impIndex: number, ad: number): void {
    const { ads } = slot.view!.snapshot;
    const { result } = this;
    const micros = this.settings.mode === 'second_price' ? result.clearingMicros : result.valueMicros;
    const offer: BidOffer = slot.offers[slot.offerCount];
    offer.priceMicros = Math.floor(micros * slot.responseRate);
    const imp = slot.request.imps[impIndex];
    // Converting the reserve up and the price down may cost a micro that the floor does not allow.
    if (imp.floorCurrency === slot.responseCurrency) offer.priceMicros = Math.max(offer.priceMicros, imp.floorMicros);
    if (offer.priceMicros <= 0) return;
    offer.impIndex = impIndex;
    offer.ad = ad;
    offer.format = ads.format[ad];
    offer.width = ads.width[ad];
    offer.height = ads.height[ad];
    offer.durationSeconds = ads.durationSeconds[ad];
    slot.offerCount++;
    this.parts.metrics.bids++;
    this.parts.metrics.offeredMicros += micros;
  }

  private refuse(slot: BidSlot, outcome: Outcome): void {
    this.answer(slot, outcome, '');
  }

  /** The only place that answers a slot, so that it happens once; frees it unless the engine still holds a ticket. */
  private answer(slot: BidSlot, outcome: Outcome, body: string): void {
    const { clock, metrics } = this.parts;
    const startUs = clock.nowUs();
    slot.answered = true;
    try {
      slot.sink!.answer(outcome, body);
    } catch (bug) {
      this.parts.onBug(bug);
    }
    const endUs = clock.nowUs();
    metrics.stages[STAGE.reply].record(endUs - startUs);
    metrics.recordAnswer(outcome, endUs - slot.arrivalUs);
    if (slot.ticketsOut === 0) this.pool.giveBack(slot);
  }

  /** Answers every request whose deadline has passed. Called every few milliseconds. */
  tick(nowUs: number): void {
    for (const slot of this.pool.slots) {
      if (slot.sink !== undefined && !slot.answered && slot.deadlineUs < nowUs)
        this.refuse(slot, OUTCOME.deadline_missed);
    }
  }
}

/** Where a request sits in an open batch. */
class Seat {
  batch: BatchRows = { inputs: [], requestIndex: new Int32Array(0) };
  requestRow = 0;
  candidateRow = 0;
}

function writeImp(
  program: FeatureProgram,
  adRows: AdRows,
  row: SourceRow,
  seat: Seat,
  ads: Int32Array,
  start: Int32Array,
  imp: number,
): void {
  const requestRow = seat.requestRow + imp;
  const from = start[imp];
  program.writeRequest(row, seat.batch, requestRow);
  program.writeCandidates(
    row,
    adRows,
    ads,
    from,
    start[imp + 1] - from,
    seat.batch,
    requestRow,
    seat.candidateRow + from,
  );
}
