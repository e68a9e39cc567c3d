/** The bookkeeping of one slab: whose rows it holds and when they are due. The rows themselves live in the slab. */
import type { InferEntry } from './infer-entry.js';

/** Where a batch is in its life; the arrows are the only moves there are. */
export const BATCH = {
  /** No rows; → open. */
  free: 0,
  /** Takes rows; → queued (full, or growing would make it late), → running, → settling (expired). */
  open: 1,
  /** Closed, waits for a worker; → running, → settling (expired). */
  queued: 2,
  /** A worker has it; → settling. */
  running: 3,
  /** Its tickets are being answered; → free, or → lost. */
  settling: 4,
  /** A worker that was given up may still touch the slab; → free once its thread is gone. */
  lost: 5,
} as const;

export class Batch {
  state: number = BATCH.free;
  requestRows = 0;
  candidateRows = 0;
  ticketCount = 0;
  /** Ticket i owns the candidate rows [offsets[i], offsets[i + 1]). */
  readonly tickets: Float64Array;
  readonly offsets: Int32Array;
  /** The most and the least urgent deadline of its tickets. */
  earliestDeadlineUs = Number.POSITIVE_INFINITY;
  latestDeadlineUs = Number.NEGATIVE_INFINITY;
  /** Order of opening over all models: breaks ties between equal deadlines, so that no model starves. */
  sequence = 0;
  startedUs = 0;
  /** What the cost model said when it started. */
  predictedUs = 0;
  /** Of a batch of queued requests: what merging their tensors took. */
  gatherUs = 0;
  /** Of a batch of queued requests: who shares it, in row order. */
  readonly entries: InferEntry[] = [];

  constructor(
    readonly model: number,
    candidateRowsMax: number,
    /** False: rows that were written as they came. True: requests that waited in the model's queue with their tensors. */
    readonly isQueued = false,
  ) {
    // Every ticket has at least one candidate row.
    this.tickets = new Float64Array(candidateRowsMax);
    this.offsets = new Int32Array(candidateRowsMax + 1);
  }

  append(requestRows: number, candidateRows: number, ticket: number, deadlineUs: number): void {
    this.tickets[this.ticketCount] = ticket;
    this.ticketCount++;
    this.requestRows += requestRows;
    this.candidateRows += candidateRows;
    this.offsets[this.ticketCount] = this.candidateRows;
    if (deadlineUs < this.earliestDeadlineUs) this.earliestDeadlineUs = deadlineUs;
    if (deadlineUs > this.latestDeadlineUs) this.latestDeadlineUs = deadlineUs;
  }

  clear(): void {
    this.state = BATCH.free;
    this.requestRows = 0;
    this.candidateRows = 0;
    this.ticketCount = 0;
    this.entries.length = 0;
    this.earliestDeadlineUs = Number.POSITIVE_INFINITY;
    this.latestDeadlineUs = Number.NEGATIVE_INFINITY;
  }
}
