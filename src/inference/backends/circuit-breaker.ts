/**
 * Keeps batches from waiting for a remote that is known to be sick.
 *
 *     closed ── failuresMax failures in a row ──▶ open ── openUs later, one probe ──▶ half_open
 *       ▲                                           ▲                                  │    │
 *       │                                           └───────────── it fails ───────────┘    │
 *       └──────────────────────────────── it succeeds ──────────────────────────────────────┘
 *
 * A call holds a ticket of the period in which it was admitted. What it reports after the state has changed says
 * nothing about the new period and is ignored: a slow call of yesterday neither closes an open breaker nor fails a probe.
 */
export const BREAKER_STATES = ['closed', 'open', 'half_open'] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** In place of a ticket: do not call. */
export const REFUSED = -1;

export class CircuitBreaker {
  state: BreakerState = 'closed';
  /** Times it went from another state to open. */
  openedCount = 0;

  private period = 0;
  private failuresInARow = 0;
  private openedAtUs = 0;
  private probing = false;

  constructor(private readonly limits: { readonly failuresMax: number; readonly openUs: number }) {}

  /** @returns a ticket to be given back once, to `succeeded`, `failed` or `abandoned`; or REFUSED */
  admit(nowUs: number): number {
    if (this.state === 'open' && nowUs - this.openedAtUs >= this.limits.openUs) this.enter('half_open');
    if (this.state === 'closed') return this.period;
    if (this.state === 'open' || this.probing) return REFUSED;
    this.probing = true;
    return this.period;
  }

  succeeded(ticket: number): void {
    if (ticket !== this.period) return;
    if (this.state === 'half_open') this.enter('closed');
    else this.failuresInARow = 0;
  }

  failed(ticket: number, nowUs: number): void {
    if (ticket !== this.period) return;
    this.failuresInARow++;
    if (this.state === 'closed' && this.failuresInARow < this.limits.failuresMax) return;
    this.openedAtUs = nowUs;
    this.openedCount++;
    this.enter('open');
  }

  /** The call ended without a word about the remote's health; the next one may be the probe. */
  abandoned(ticket: number): void {
    if (ticket === this.period) this.probing = false;
  }

  private enter(state: BreakerState): void {
    this.state = state;
    this.period++;
    this.failuresInARow = 0;
    this.probing = false;
  }
}
