/**
 * Any sequence of events against an oracle that keeps plain arrays and forms each batch by trying every prefix.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { QueuePolicy, QueueSettings } from '../../src/contract/index.js';
import { type QueueBounds, type QueueEntry, RequestQueue } from '../../src/inference/request-queue.js';

type Entry = { -readonly [Key in keyof QueueEntry]: QueueEntry[Key] } & { id: number };

const predictUs = (rows: number) => 40 + 5 * rows;

class Oracle {
  /** By level: [unexpired, delayed]. */
  readonly levels: [Entry[], Entry[]][];
  readonly merges: boolean;
  readonly rowsMax: number;
  readonly edf: boolean;

  constructor(
    readonly settings: QueueSettings,
    readonly bounds: QueueBounds,
  ) {
    this.levels = settings.policies.map(() => [[], []]);
    this.merges = bounds.mergeRowsMax > 0 || (settings.dynamicBatching && settings.maxBatchSize > 0);
    this.rowsMax = bounds.mergeRowsMax || settings.maxBatchSize || Number.POSITIVE_INFINITY;
    this.edf = settings.order === 'earliest_deadline_first';
  }

  all(): Entry[] {
    return this.levels.flat(2);
  }

  push(entry: Entry, nowUs: number): 'queued' | 'full' {
    const { priorityLevels, defaultPriorityLevel, policies } = this.settings;
    const wanted = entry.priority === 0 || entry.priority > priorityLevels ? defaultPriorityLevel : entry.priority;
    const [unexpired, delayed] = this.levels[wanted - 1];
    const policy = policies[wanted - 1];
    if (this.all().length >= this.bounds.lengthMax) return 'full';
    if (policy.maxQueueSize > 0 && unexpired.length + delayed.length >= policy.maxQueueSize) return 'full';
    let timeoutUs = policy.defaultTimeoutUs;
    if (policy.allowTimeoutOverride && entry.timeoutUs > 0 && entry.timeoutUs < timeoutUs) timeoutUs = entry.timeoutUs;
    entry.deadlineUs = timeoutUs === 0 ? Number.POSITIVE_INFINITY : nowUs + timeoutUs;
    unexpired.push(entry);
    // Array sorting is stable, so equal deadlines stay in order of arrival.
    if (this.edf) unexpired.sort((a, b) => (a.deadlineUs === b.deadlineUs ? 0 : a.deadlineUs - b.deadlineUs));
    return 'queued';
  }

  expire(nowUs: number): Entry[] {
    const rejected: Entry[] = [];
    const move = (isOver: (entry: Entry) => boolean) => {
      for (const [i, level] of this.levels.entries()) {
        const over = level[0].filter(isOver).sort((a, b) => a.deadlineUs - b.deadlineUs || a.id - b.id);
        level[0] = level[0].filter((entry) => !over.includes(entry));
        if (this.settings.policies[i].timeoutAction === 'REJECT') rejected.push(...over);
        else level[1].push(...over);
        if (this.settings.policies[i].timeoutAction === 'DELAY') {
          for (const entry of over) entry.deadlineUs = Number.POSITIVE_INFINITY;
        }
      }
    };
    move((entry) => entry.deadlineUs <= nowUs);
    if (this.edf) move((entry) => nowUs + predictUs(entry.rows) > entry.deadlineUs);
    return rejected;
  }

  remove(entry: Entry): boolean {
    for (const list of this.levels.flat()) {
      const at = list.indexOf(entry);
      if (at >= 0) list.splice(at, 1);
      if (at >= 0) return true;
    }
    return false;
  }

  /** Empty = nothing is due. */
  take(nowUs: number): Entry[] {
    const batch = this.batch(nowUs);
    for (const entry of batch) this.remove(entry);
    return batch;
  }

  private batch(nowUs: number): Entry[] {
    const queue = this.all();
    if (queue.length === 0 || !this.merges) return queue.slice(0, 1);
    const { preferredBatchSizes, maxQueueDelayUs } = this.settings;
    const prefixes = queue.map((_, i) => queue.slice(0, i + 1));
    let fitting = prefixes.findIndex((prefix) => !this.fits(prefix, nowUs));
    if (fitting < 0) fitting = prefixes.length;
    const all = queue.slice(0, fitting);
    const oldestUs = Math.min(...all.map((entry) => entry.arrivalUs));
    if (maxQueueDelayUs > 0 && nowUs - oldestUs >= maxQueueDelayUs) return all;

    const largest = Math.max(...preferredBatchSizes, preferredBatchSizes.length === 0 ? this.rowsMax : 0);
    const ofPreferredSize = prefixes.slice(0, fitting).filter((prefix) => preferredBatchSizes.includes(rowsOf(prefix)));
    if (ofPreferredSize.length > 0) return ofPreferredSize[ofPreferredSize.length - 1];
    const past = prefixes.findIndex((prefix, i) => i > 0 && rowsOf(prefix) > largest);
    if (past >= 0 && past <= fitting) return queue.slice(0, past);
    if (fitting < queue.length || rowsOf(all) >= largest || maxQueueDelayUs === 0) return all;
    const urgentUs = Math.min(...all.map((entry) => entry.deadlineUs));
    return this.edf && nowUs >= urgentUs - 2 * predictUs(rowsOf(all)) ? all : [];
  }

  private fits(prefix: Entry[], nowUs: number): boolean {
    if (prefix.length === 1) return true;
    const before = prefix.slice(0, -1);
    const urgentUs = Math.min(...before.map((entry) => entry.deadlineUs));
    const wasInTime = nowUs + predictUs(rowsOf(before)) <= urgentUs;
    const isInTime = nowUs + predictUs(rowsOf(prefix)) <= urgentUs;
    return (
      rowsOf(prefix) <= this.rowsMax &&
      prefix.reduce((sum, entry) => sum + (entry.requestRows ?? 0), 0) <= (this.bounds.requestRowsMax ?? 1e9) &&
      new Set(prefix.map((entry) => entry.shapeKey)).size === 1 &&
      !(this.edf && wasInTime && !isInTime)
    );
  }
}

function rowsOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.rows, 0);
}

function ids(entries: readonly Entry[]): number[] {
  return entries.map((entry) => entry.id);
}

const policyArbitrary: fc.Arbitrary<QueuePolicy> = fc.record({
  timeoutAction: fc.constantFrom('REJECT', 'DELAY'),
  defaultTimeoutUs: fc.constantFrom(0, 60, 300),
  allowTimeoutOverride: fc.boolean(),
  maxQueueSize: fc.constantFrom(0, 0, 3),
});

const worldArbitrary = fc.integer({ min: 1, max: 3 }).chain((priorityLevels) =>
  fc.record({
    settings: fc.record<QueueSettings>({
      dynamicBatching: fc.constantFrom(true, true, true, false),
      maxBatchSize: fc.constantFrom(8, 8, 4, 0),
      preferredBatchSizes: fc.constantFrom<number[]>([], [], [4], [2, 3]),
      maxQueueDelayUs: fc.constantFrom(0, 100),
      preserveOrdering: fc.constant(false),
      priorityLevels: fc.constant(priorityLevels),
      defaultPriorityLevel: fc.integer({ min: 1, max: priorityLevels }),
      policies: fc.array(policyArbitrary, { minLength: priorityLevels, maxLength: priorityLevels }),
      order: fc.constantFrom('fifo', 'earliest_deadline_first'),
    }),
    bounds: fc.record<QueueBounds>({
      lengthMax: fc.constantFrom(5, 50),
      mergeRowsMax: fc.constantFrom(0, 0, 6),
      requestRowsMax: fc.constantFrom(3, 100),
    }),
  }),
);

type Action =
  | { do: 'push'; rows: number; requestRows: number; priority: number; timeoutUs: number; shapeKey: string }
  | { do: 'remove'; pick: number }
  | { do: 'expire' | 'take' };

const actionArbitrary: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('push' as const),
      rows: fc.integer({ min: 1, max: 4 }),
      requestRows: fc.integer({ min: 0, max: 2 }),
      priority: fc.integer({ min: 0, max: 4 }),
      timeoutUs: fc.constantFrom(0, 20, 90, 1000),
      shapeKey: fc.constantFrom('x', 'x', 'x', 'y'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), pick: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
);

it('does what the oracle does, and every entry leaves exactly once', () => {
  const steps = fc.array(fc.tuple(fc.constantFrom(0, 0, 1, 10, 60), actionArbitrary), { maxLength: 60 });
  const property = fc.property(worldArbitrary, steps, ({ settings, bounds }, sequence) => {
    const oracle = new Oracle(settings, bounds);
    const queue = new RequestQueue<Entry>(settings, bounds);
    const pushed: Entry[] = [];
    const left: number[] = [];
    const out: Entry[] = [];
    let nowUs = 0;
    for (const [passUs, action] of sequence) {
      nowUs += passUs;
      out.length = 0;
      if (action.do === 'push') {
        const { do: _, ...fields } = action;
        const own: Entry = { ...fields, id: pushed.length, arrivalUs: nowUs, deadlineUs: 0 };
        const result = queue.push(own, nowUs);
        const twinDeadline = own.deadlineUs;
        expect(result).toBe(oracle.push(own, nowUs));
        if (result === 'queued') expect(twinDeadline).toBe(own.deadlineUs);
        if (result === 'queued') pushed.push(own);
      } else if (action.do === 'remove' && pushed.length > 0) {
        const entry = pushed[action.pick % pushed.length];
        const removed = queue.remove(entry);
        expect(removed).toBe(oracle.remove(entry));
        if (removed) left.push(entry.id);
      } else if (action.do === 'expire') {
        // The oracle reads deadlines that the queue would clear, so it goes first, on the same entries.
        const saved = oracle.all().map((entry) => [entry, entry.deadlineUs] as const);
        const expected = oracle.expire(nowUs);
        const cleared = oracle.all().filter((entry) => entry.deadlineUs === Number.POSITIVE_INFINITY);
        for (const [entry, deadlineUs] of saved) entry.deadlineUs = deadlineUs;
        queue.expire(nowUs, predictUs, out);
        expect(ids(out).sort()).toEqual(ids(expected).sort());
        for (const entry of cleared) expect(entry.deadlineUs).toBe(Number.POSITIVE_INFINITY);
        left.push(...ids(out));
      } else if (action.do === 'take') {
        const due = queue.due(nowUs, predictUs);
        const dueAtUs = queue.dueAtUs(nowUs, predictUs);
        const rows = queue.take(nowUs, predictUs, out);
        const expected = oracle.take(nowUs);
        expect(ids(out)).toEqual(ids(expected));
        expect(rows).toBe(rowsOf(expected));
        expect(due).toBe(rows > 0);
        if (due || queue.length === 0) expect(dueAtUs).toBe(Number.POSITIVE_INFINITY);
        else {
          expect(dueAtUs).toBeGreaterThan(nowUs);
          expect(queue.due(dueAtUs - 1, predictUs)).toBe(false);
          expect(queue.due(dueAtUs, predictUs)).toBe(true);
        }
        left.push(...ids(out));
      }
      const waiting = oracle.all();
      expect(queue.length).toBe(waiting.length);
      expect(queue.rows).toBe(rowsOf(waiting));
      expect(queue.oldestArrivalUs()).toBe(Math.min(...waiting.map((entry) => entry.arrivalUs)));
      expect(queue.earliestDeadlineUs()).toBe(Math.min(...waiting.map((entry) => entry.deadlineUs)));
    }
    out.length = 0;
    queue.drain(out);
    expect(ids(out)).toEqual(ids(oracle.all()).sort((a, b) => a - b));
    left.push(...ids(out));
    expect(left.sort((a, b) => a - b)).toEqual(ids(pushed));
  });
  fc.assert(property, { seed: 3, numRuns: 2000 });
});

const PLAIN: QueueSettings = {
  dynamicBatching: true,
  maxBatchSize: 8,
  preferredBatchSizes: [],
  maxQueueDelayUs: 0,
  preserveOrdering: false,
  priorityLevels: 1,
  defaultPriorityLevel: 1,
  policies: [],
  order: 'fifo',
};

it('lets the waiting time out by deadline, whatever was cancelled in between', () => {
  const policy = {
    timeoutAction: 'REJECT',
    defaultTimeoutUs: 1e6,
    allowTimeoutOverride: true,
    maxQueueSize: 0,
  } as const;
  const settings: QueueSettings = { ...PLAIN, policies: [policy] };
  const timeouts = fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.boolean()), {
    minLength: 50,
    maxLength: 150,
  });
  const property = fc.property(timeouts, (parts) => {
    const queue = new RequestQueue<Entry>(settings, { lengthMax: 150, mergeRowsMax: 0 });
    const entries = parts.map(([timeoutUs], id) => {
      return { id, rows: 1, priority: 0, timeoutUs, shapeKey: '', arrivalUs: 0, deadlineUs: 0 };
    });
    for (const entry of entries) queue.push(entry, 0);
    for (const [id, [, stays]] of parts.entries()) if (!stays) queue.remove(entries[id]);
    const staying = entries.filter((_, id) => parts[id][1]);
    const rejected: Entry[] = [];
    while (queue.length > 0) queue.expire(queue.earliestDeadlineUs(), predictUs, rejected);
    expect(ids(rejected)).toEqual(ids(staying.sort((a, b) => a.timeoutUs - b.timeoutUs || a.id - b.id)));
  });
  fc.assert(property, { seed: 5, numRuns: 100 });
});

it('takes by deadline, whatever came and went in between', () => {
  const policy = {
    timeoutAction: 'REJECT',
    defaultTimeoutUs: 5000,
    allowTimeoutOverride: true,
    maxQueueSize: 0,
  } as const;
  const settings: QueueSettings = { ...PLAIN, policies: [policy], order: 'earliest_deadline_first' };
  const steps = fc.array(fc.option(fc.tuple(fc.integer({ min: 1000, max: 5000 }), fc.nat(3))), {
    minLength: 100,
    maxLength: 400,
  });
  const property = fc.property(steps, (sequence) => {
    const queue = new RequestQueue<Entry>(settings, { lengthMax: 30, mergeRowsMax: 0 });
    let waiting: Entry[] = [];
    const out: Entry[] = [];
    for (const [id, step] of sequence.entries()) {
      if (step === null) {
        queue.take(0, () => 0, out);
        waiting.sort((a, b) => a.timeoutUs - b.timeoutUs || a.id - b.id);
        expect(ids(out)).toEqual(ids(waiting.splice(0, settings.maxBatchSize)));
        continue;
      }
      const [timeoutUs, cancels] = step;
      const entry: Entry = { id, rows: 1, priority: 0, timeoutUs, shapeKey: '', arrivalUs: 0, deadlineUs: 0 };
      if (queue.push(entry, 0) === 'queued') waiting.push(entry);
      if (cancels > 0 || waiting.length === 0) continue;
      const cancelled = waiting[timeoutUs % waiting.length];
      expect(queue.remove(cancelled)).toBe(true);
      waiting = waiting.filter((other) => other !== cancelled);
    }
    expect(queue.length).toBe(waiting.length);
  });
  fc.assert(property, { seed: 6, numRuns: 200 });
});
