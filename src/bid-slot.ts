import type { CatalogView } from './catalog-view.js';
import { AuctionRequest, type BidOffer, CANDIDATES_PER_IMP_MAX, IMPS_MAX, type Outcome } from './contract/index.js';

/** Candidates of all imps of one request: 8 × 64. */
export const CANDIDATES_MAX = IMPS_MAX * CANDIDATES_PER_IMP_MAX;

/** Takes the answer of one request, exactly once. The ingress owns the socket behind it. */
export interface AnswerSink {
  answer(outcome: Outcome, body: string): void;
}

/**
 * Everything one request needs between its bytes and its answer: allocated at boot, lent to one request at a time.
 *
 * Candidates of all imps lie behind one another; imp `i` owns [impStart[i], impStart[i + 1]). A slot goes back to the
 * pool when it is answered *and* the engine holds no ticket of it, since a batch still writes scores into it.
 */
export class BidSlot {
  readonly request = new AuctionRequest();
  /** Undefined between requests. */
  sink: AnswerSink | undefined;
  /** The catalog this request started with; a reload does not change it. */
  view: CatalogView | undefined;
  answered = false;
  /** Tickets the engine still holds. */
  ticketsOut = 0;
  inferenceFailed = false;

  arrivalUs = 0;
  deadlineUs = 0;
  /** In the user's local time. */
  hourOfWeek = 0;
  /** When the last row was written: the start of the inference stage. */
  seatedUs = 0;
  /** Rate from account currency to `responseCurrency`. */
  responseRate = 1;
  responseCurrency = '';

  readonly impStart = new Int32Array(IMPS_MAX + 1);
  /** Per imp, in micros of the account currency: the higher of its floor and the configured reserve. */
  readonly reserveMicros = new Float64Array(IMPS_MAX);
  candidateCount = 0;
  readonly candidates = new Int32Array(CANDIDATES_MAX);
  readonly pctr = new Float64Array(CANDIDATES_MAX);
  readonly pcvr = new Float64Array(CANDIDATES_MAX);
  readonly valueMicros = new Float64Array(CANDIDATES_MAX);

  /** The cost-per-action candidates, which need a conversion score too: their ads, and where each came from. */
  actionCount = 0;
  readonly actionAds = new Int32Array(CANDIDATES_MAX);
  readonly actionPosition = new Int32Array(CANDIDATES_MAX);
  readonly actionImpStart = new Int32Array(IMPS_MAX + 1);

  offerCount = 0;
  readonly offers: BidOffer[] = Array.from({ length: IMPS_MAX }, () => ({
    impIndex: 0,
    ad: 0,
    priceMicros: 0,
    format: 0,
    width: 0,
    height: 0,
    durationSeconds: 0,
  }));

  constructor(readonly index: number) {}

  open(sink: AnswerSink, view: CatalogView, nowUs: number): void {
    this.sink = sink;
    this.view = view;
    this.answered = false;
    this.ticketsOut = 0;
    this.inferenceFailed = false;
    this.arrivalUs = nowUs;
    this.deadlineUs = Number.POSITIVE_INFINITY;
    this.candidateCount = 0;
    this.actionCount = 0;
    this.offerCount = 0;
  }

  close(): void {
    this.request.reset();
    this.sink = undefined;
    this.view = undefined;
  }
}

/** A fixed number of slots: what bounds the requests in flight. */
export class SlotPool {
  readonly slots: readonly BidSlot[];
  private readonly free: Int32Array;
  private freeCount: number;

  constructor(count: number) {
    this.slots = Array.from({ length: count }, (_, index) => new BidSlot(index));
    // The last slot freed is the next one taken: its memory is warm.
    this.free = Int32Array.from({ length: count }, (_, i) => count - 1 - i);
    this.freeCount = count;
  }

  get inFlight(): number {
    return this.slots.length - this.freeCount;
  }

  /** The caller owns the slot until it gives it back; undefined when all are out. */
  take(): BidSlot | undefined {
    return this.freeCount === 0 ? undefined : this.slots[this.free[--this.freeCount]];
  }

  giveBack(slot: BidSlot): void {
    slot.close();
    this.free[this.freeCount++] = slot.index;
  }
}
