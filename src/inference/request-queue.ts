/**
 * The requests of one model version that wait for an instance, and which of them leave together: Triton's dynamic
 * batcher. Pure: no clock, no timer; time is handed in, and must not run backwards. Hot: everything is allocated by the
 * constructor, but for one map entry per request.
 *
 *     level 1:  [unexpired, by arrival or by deadline] [delayed, by when they timed out]
 *     level 2:  [unexpired …                         ] [delayed …                      ]     a batch is a prefix of this
 *
 * A request is never split, and a batch never skips one: what does not fit closes it.
 */
import type { QueuePolicy, QueueSettings } from '../contract/index.js';
import { DeadlineHeap } from './deadline-heap.js';
import { DeadlineIndex } from './deadline-index.js';
import { NO_SLOT, SlotLinks, SlotList } from './slot-list.js';

/** An entry belongs to the queue from `push` until it comes out by `take`, `expire`, `remove` or `drain`. */
export interface QueueEntry {
  /** ≥ 1 and at most the queue's row bound; 1 for a model that does not batch. */
  readonly rows: number;
  /** Two-scope models: the rows of its request inputs. Absent = none. */
  readonly requestRows?: number;
  /** Of its tensors. Absent = not counted. */
  readonly bytes?: number;
  /** 1 = the most urgent; 0, and what the model has no level for, = the model's default. */
  readonly priority: number;
  /** The request's own; 0 = none. */
  readonly timeoutUs: number;
  /** Entries with different keys never share a batch. */
  readonly shapeKey: string;
  readonly arrivalUs: number;
  /** Set by `push`: when its timeout passes; Infinity = none, also once the timeout of a DELAY level has passed. */
  deadlineUs: number;
}

export interface QueueBounds {
  /** Requests; the server's own bound over all levels. */
  readonly lengthMax: number;
  /** Rows of a batch in place of `maxBatchSize`, for two-scope models, which merge even so; 0 = as the settings say. */
  readonly mergeRowsMax: number;
  /** Sum of `requestRows` of a batch; absent = not bounded. */
  readonly requestRowsMax?: number;
  /** Sum of `bytes` of a batch; absent = not bounded. A request that is larger goes alone. */
  readonly bytesMax?: number;
}

/** How long a batch of so many rows is expected to run; must not fall as rows grow. */
export type PredictUs = (rows: number) => number;

interface Level {
  readonly policy: QueuePolicy;
  readonly unexpired: SlotList;
  readonly delayed: SlotList;
  /** Of `unexpired` where it goes by deadline; null where it goes by arrival. */
  readonly index: DeadlineIndex | null;
}

export class RequestQueue<T extends QueueEntry> {
  /** Sum over the entries. */
  rows = 0;

  private readonly levels: readonly Level[];
  private readonly merges: boolean;
  private readonly rowsMax: number;
  private readonly requestRowsMax: number;
  private readonly bytesMax: number;
  private readonly preferred: ReadonlySet<number>;
  private readonly preferredMax: number;
  private readonly edf: boolean;

  /** By slot. */
  private readonly entries: (T | null)[];
  private readonly levelOf: Int32Array;
  private readonly isDelayed: Uint8Array;
  /** Stack of free slots; the first `freeCount` count. */
  private readonly free: Int32Array;
  private freeCount: number;
  private readonly slots = new Map<T, number>();
  private readonly orderLinks: SlotLinks;
  private readonly arrivalLinks: SlotLinks;
  /** All entries by `arrivalUs`, the oldest first. */
  private readonly arrivals: SlotList;
  /** The unexpired that have a deadline. */
  private readonly deadlines: DeadlineHeap;
  private pushed = 0;
  /** The most rows any entry had so far. */
  private rowsLargest = 1;

  /** What `plan` found: the first so many entries, their rows, and from when on they may leave. */
  private plannedEntries = 0;
  private plannedRows = 0;
  private plannedDueUs = Number.POSITIVE_INFINITY;

  constructor(
    private readonly settings: QueueSettings,
    bounds: QueueBounds,
  ) {
    const { lengthMax, mergeRowsMax } = bounds;
    this.merges = mergeRowsMax > 0 || (settings.dynamicBatching && settings.maxBatchSize > 0);
    this.rowsMax = mergeRowsMax || settings.maxBatchSize || Number.POSITIVE_INFINITY;
    this.requestRowsMax = bounds.requestRowsMax ?? Number.POSITIVE_INFINITY;
    this.bytesMax = bounds.bytesMax ?? Number.POSITIVE_INFINITY;
    this.preferred = new Set(settings.preferredBatchSizes);
    // Triton takes max_batch_size for the preferred size of a model that names none.
    this.preferredMax = this.preferred.size === 0 ? this.rowsMax : Math.max(...this.preferred);
    this.edf = settings.order === 'earliest_deadline_first';

    this.orderLinks = new SlotLinks(lengthMax);
    this.arrivalLinks = new SlotLinks(lengthMax);
    this.levels = settings.policies.slice(0, settings.priorityLevels).map((policy) => ({
      policy,
      unexpired: new SlotList(this.orderLinks),
      delayed: new SlotList(this.orderLinks),
      index: this.edf ? new DeadlineIndex(lengthMax) : null,
    }));
    if (this.levels.length < settings.priorityLevels) throw new Error('request queue: a level has no policy');
    this.arrivals = new SlotList(this.arrivalLinks);
    this.deadlines = new DeadlineHeap(lengthMax);
    this.entries = new Array<T | null>(lengthMax).fill(null);
    this.levelOf = new Int32Array(lengthMax);
    this.isDelayed = new Uint8Array(lengthMax);
    this.free = Int32Array.from({ length: lengthMax }, (_, i) => lengthMax - 1 - i);
    this.freeCount = lengthMax;
  }

  /** Requests. */
  get length(): number {
    return this.arrivals.length;
  }

  /**
   * O(1) in FIFO order without timeouts, O(log n) with, plus a short copy earliest-deadline-first.
   *
   * @returns `full` when the level's max_queue_size or `lengthMax` is reached; the entry is then still the caller's
   */
  push(entry: T, nowUs: number): 'queued' | 'full' {
    if (entry.rows < 1 || entry.rows > this.rowsMax) throw new Error(`push: ${entry.rows} rows`);
    if (this.slots.has(entry)) throw new Error('push: the entry is already queued');
    const levels = this.levels.length;
    const named = entry.priority >= 1 && entry.priority <= levels;
    const levelIndex = (named ? entry.priority : this.settings.defaultPriorityLevel || 1) - 1;
    const level = this.levels[levelIndex];
    const { maxQueueSize } = level.policy;
    if (this.freeCount === 0) return 'full';
    if (maxQueueSize > 0 && level.unexpired.length + level.delayed.length >= maxQueueSize) return 'full';

    const slot = this.free[--this.freeCount];
    this.slots.set(entry, slot);
    this.entries[slot] = entry;
    this.levelOf[slot] = levelIndex;
    this.isDelayed[slot] = 0;
    entry.deadlineUs = nowUs + timeoutUsOf(level.policy, entry.timeoutUs);
    if (entry.deadlineUs < Number.POSITIVE_INFINITY) this.deadlines.push(slot, entry.deadlineUs, this.pushed);
    const before = level.index?.insert(slot, entry.deadlineUs, this.pushed) ?? level.unexpired.tail;
    level.unexpired.insertAfter(slot, before);
    this.arrivals.insertAfter(slot, this.notYoungerThan(entry.arrivalUs));
    this.pushed++;
    this.rows += entry.rows;
    this.rowsLargest = Math.max(this.rowsLargest, entry.rows);
    return 'queued';
  }

  /** The request was cancelled. @returns false when it does not wait here (any more) */
  remove(entry: T): boolean {
    const slot = this.slots.get(entry);
    if (slot === undefined) return false;
    this.release(slot);
    return true;
  }

  /**
   * Applies the timeouts: appends to `rejected` what leaves by REJECT, and moves DELAY entries behind the unexpired of
   * their level. Earliest-deadline-first treats as timed out what would be late if it started now, alone.
   * Call it before `take`, which looks at no timeout.
   */
  expire(nowUs: number, predictUs: PredictUs, rejected: T[]): void {
    while (this.deadlines.earliestUs() <= nowUs) this.timeOut(this.deadlines.top(), rejected);
    if (!this.edf || this.deadlines.size === 0) return;
    // No entry needs longer than the largest; the lists are by deadline, so nothing past this moment is at risk.
    const safeUs = nowUs + predictUs(this.rowsLargest);
    for (const level of this.levels) {
      let slot = level.unexpired.head;
      while (slot !== NO_SLOT) {
        const following = this.orderLinks.next[slot];
        const entry = this.at(slot);
        if (entry.deadlineUs >= safeUs) break;
        if (nowUs + predictUs(entry.rows) > entry.deadlineUs) this.timeOut(slot, rejected);
        slot = following;
      }
    }
  }

  /**
   * Whether a batch should leave now, given a free instance.
   *
   * @param predictUs earliest-deadline-first needs it to cut the queue delay short for the sake of a deadline
   */
  due(nowUs: number, predictUs?: PredictUs): boolean {
    if (this.length === 0) return false;
    if (!this.merges || this.settings.maxQueueDelayUs === 0) return true;
    // A batch that leaves the rest of the queue behind cannot grow; one that does not holds the oldest.
    if (this.rows > this.rowsMax || nowUs - this.oldestArrivalUs() >= this.settings.maxQueueDelayUs) return true;
    this.plan(nowUs, predictUs);
    return this.plannedDueUs <= nowUs;
  }

  /** When `due` turns true by itself; Infinity when it is already, or when nothing waits. */
  dueAtUs(nowUs: number, predictUs?: PredictUs): number {
    if (this.length === 0 || this.due(nowUs, predictUs)) return Number.POSITIVE_INFINITY;
    return this.plannedDueUs;
  }

  /**
   * Moves the next batch into `out`, which is cleared first.
   *
   * @returns its rows; 0 = nothing is due
   */
  take(nowUs: number, predictUs: PredictUs, out: T[]): number {
    out.length = 0;
    if (!this.due(nowUs, predictUs)) return 0;
    this.plan(nowUs, predictUs);
    let slot = this.first();
    for (let i = 0; i < this.plannedEntries; i++) {
      const following = this.successor(slot);
      out.push(this.at(slot));
      this.release(slot);
      slot = following;
    }
    return this.plannedRows;
  }

  /** Infinity when empty. */
  oldestArrivalUs(): number {
    const { head } = this.arrivals;
    return head === NO_SLOT ? Number.POSITIVE_INFINITY : this.at(head).arrivalUs;
  }

  /** When `expire` will next find a timeout that has passed; Infinity when there is none. */
  earliestDeadlineUs(): number {
    return this.deadlines.earliestUs();
  }

  /** Appends everything to `out`, the oldest first, and is empty then. */
  drain(out: T[]): void {
    while (this.arrivals.head !== NO_SLOT) {
      out.push(this.at(this.arrivals.head));
      this.release(this.arrivals.head);
    }
  }

  /**
   * The batch that the queue's first entries make, and when it is due: at once when it cannot grow or has a preferred
   * size, else when its oldest request has waited for the delay.
   */
  private plan(nowUs: number, predictUs: PredictUs | undefined): void {
    let slot = this.first();
    let count = 0;
    let rows = 0;
    let requestRows = 0;
    let bytes = 0;
    let markedCount = 0;
    let markedRows = 0;
    let closed = !this.merges;
    let oldestUs = Number.POSITIVE_INFINITY;
    let urgentUs = Number.POSITIVE_INFINITY;
    let shapeKey = '';
    for (; slot !== NO_SLOT; slot = this.successor(slot)) {
      const entry = this.at(slot);
      const grownRows = rows + entry.rows;
      if (count === 0) {
        shapeKey = entry.shapeKey;
      } else {
        // Past the largest preferred size there is none left to wait for, so this one counts as preferred.
        if (markedCount === 0 && grownRows > this.preferredMax) {
          markedCount = count;
          markedRows = rows;
        }
        closed =
          !this.merges ||
          grownRows > this.rowsMax ||
          requestRows + (entry.requestRows ?? 0) > this.requestRowsMax ||
          bytes + (entry.bytes ?? 0) > this.bytesMax ||
          entry.shapeKey !== shapeKey ||
          (this.edf && predictUs !== undefined && growthMakesLate(rows, grownRows, urgentUs - nowUs, predictUs));
        if (closed) break;
      }
      count++;
      rows = grownRows;
      requestRows += entry.requestRows ?? 0;
      bytes += entry.bytes ?? 0;
      oldestUs = Math.min(oldestUs, entry.arrivalUs);
      urgentUs = Math.min(urgentUs, entry.deadlineUs);
      if (this.preferred.has(rows)) {
        markedCount = count;
        markedRows = rows;
      }
    }
    const delayUs = this.settings.maxQueueDelayUs;
    const waitedEnough = delayUs > 0 && nowUs - oldestUs >= delayUs;
    // Triton's order: after the delay everything that fits leaves, preferred size or not.
    const marked = this.merges && markedCount > 0 && !waitedEnough;
    this.plannedEntries = marked ? markedCount : count;
    this.plannedRows = marked ? markedRows : rows;
    if (marked || closed || rows >= this.preferredMax || delayUs === 0) {
      this.plannedDueUs = nowUs;
      return;
    }
    this.plannedDueUs = oldestUs + delayUs;
    if (!this.edf || predictUs === undefined) return;
    // One run's time is kept in hand: timers wake late, and `expire` would then refuse what had waited to the last moment.
    this.plannedDueUs = Math.min(this.plannedDueUs, urgentUs - 2 * predictUs(rows));
  }

  /** The queue's first entry; NO_SLOT when empty. */
  private first(): number {
    return this.headFrom(0);
  }

  private successor(slot: number): number {
    const following = this.orderLinks.next[slot];
    if (following !== NO_SLOT) return following;
    const level = this.levelOf[slot];
    if (this.isDelayed[slot] === 0 && this.levels[level].delayed.head !== NO_SLOT) {
      return this.levels[level].delayed.head;
    }
    return this.headFrom(level + 1);
  }

  private headFrom(levelIndex: number): number {
    for (let i = levelIndex; i < this.levels.length; i++) {
      const { unexpired, delayed } = this.levels[i];
      if (unexpired.head !== NO_SLOT) return unexpired.head;
      if (delayed.head !== NO_SLOT) return delayed.head;
    }
    return NO_SLOT;
  }

  private timeOut(slot: number, rejected: T[]): void {
    const level = this.levels[this.levelOf[slot]];
    const entry = this.at(slot);
    if (level.policy.timeoutAction === 'REJECT') {
      rejected.push(entry);
      this.release(slot);
      return;
    }
    this.deadlines.remove(slot);
    this.removeUnexpired(level, slot);
    level.delayed.insertAfter(slot, level.delayed.tail);
    this.isDelayed[slot] = 1;
    entry.deadlineUs = Number.POSITIVE_INFINITY;
  }

  private release(slot: number): void {
    const entry = this.at(slot);
    const level = this.levels[this.levelOf[slot]];
    if (this.isDelayed[slot] === 1) level.delayed.remove(slot);
    else this.removeUnexpired(level, slot);
    this.arrivals.remove(slot);
    this.deadlines.remove(slot);
    this.slots.delete(entry);
    this.entries[slot] = null;
    this.free[this.freeCount++] = slot;
    this.rows -= entry.rows;
  }

  private removeUnexpired(level: Level, slot: number): void {
    level.unexpired.remove(slot);
    level.index?.remove(slot);
  }

  /** Where a new arrival belongs: the end, but for an entry that comes back or was decoded for long. */
  private notYoungerThan(arrivalUs: number): number {
    let slot = this.arrivals.tail;
    while (slot !== NO_SLOT && this.at(slot).arrivalUs > arrivalUs) slot = this.arrivalLinks.previous[slot];
    return slot;
  }

  private at(slot: number): T {
    return this.entries[slot] as T;
  }
}

/** A request's own timeout only ever shortens the level's, so a level without one has none. Infinity = none. */
function timeoutUsOf(policy: QueuePolicy, ownUs: number): number {
  const { defaultTimeoutUs } = policy;
  if (defaultTimeoutUs === 0) return Number.POSITIVE_INFINITY;
  return policy.allowTimeoutOverride && ownUs > 0 ? Math.min(ownUs, defaultTimeoutUs) : defaultTimeoutUs;
}

/** True when a batch that started now would be in time as it is and late when grown. Infinite slack is never late. */
function growthMakesLate(rows: number, grownRows: number, slackUs: number, predictUs: PredictUs): boolean {
  return predictUs(grownRows) > slackUs && predictUs(rows) <= slackUs;
}
