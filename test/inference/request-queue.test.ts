/** Triton's batching rules as tables: who waits, what time it is, what leaves. */
import { describe, expect, it } from 'vitest';
import type { QueuePolicy, QueueSettings } from '../../src/contract/index.js';
import { type QueueBounds, type QueueEntry, RequestQueue } from '../../src/inference/request-queue.js';

type Entry = QueueEntry & { name: string };
type EntryPart = Partial<Omit<QueueEntry, 'deadlineUs'>>;

const NO_TIMEOUT: QueuePolicy = {
  timeoutAction: 'REJECT',
  defaultTimeoutUs: 0,
  allowTimeoutOverride: false,
  maxQueueSize: 0,
};
const SETTINGS: QueueSettings = {
  dynamicBatching: true,
  maxBatchSize: 8,
  preferredBatchSizes: [],
  maxQueueDelayUs: 0,
  preserveOrdering: false,
  priorityLevels: 1,
  defaultPriorityLevel: 1,
  policies: [NO_TIMEOUT],
  order: 'fifo',
};
const BOUNDS: QueueBounds = { lengthMax: 100, mergeRowsMax: 0 };
/** 100 µs a batch and 10 µs a row. */
const predictUs = (rows: number) => 100 + 10 * rows;

function queueOf(settings: Partial<QueueSettings>, bounds: Partial<QueueBounds> = {}) {
  return new RequestQueue<Entry>({ ...SETTINGS, ...settings }, { ...BOUNDS, ...bounds });
}

/** Names are letters in the order given. All arrive at 0 unless said otherwise. */
function entriesOf(parts: readonly (number | EntryPart)[]): Entry[] {
  return parts.map((part, i) => ({
    name: String.fromCharCode(97 + i),
    rows: 1,
    priority: 0,
    timeoutUs: 0,
    shapeKey: '',
    arrivalUs: 0,
    deadlineUs: 0,
    ...(typeof part === 'number' ? { rows: part } : part),
  }));
}

function names(entries: readonly Entry[]): string {
  return entries.map((entry) => entry.name).join('');
}

/** Every batch that leaves at this moment; timeouts are applied before each. */
function batchesAt(queue: RequestQueue<Entry>, nowUs: number): string[] {
  const batches: string[] = [];
  const out: Entry[] = [];
  for (;;) {
    queue.expire(nowUs, predictUs, []);
    const rows = queue.take(nowUs, predictUs, out);
    if (rows === 0) return batches;
    expect(rows).toBe(out.reduce((sum, entry) => sum + entry.rows, 0));
    batches.push(names(out));
  }
}

describe('the batches that leave', () => {
  const policy = (part: Partial<QueuePolicy>) => ({ ...NO_TIMEOUT, ...part });
  const cases: {
    it: string;
    settings?: Partial<QueueSettings>;
    bounds?: Partial<QueueBounds>;
    waiting: (number | EntryPart)[];
    atUs?: number;
    leave: string[];
  }[] = [
    { it: 'take everything that fits, in order', waiting: [1, 2, 3], leave: ['abc'] },
    { it: 'never split a request and never skip one', waiting: [5, 5, 1], leave: ['a', 'bc'] },
    { it: 'close on max_batch_size', waiting: [4, 4, 1], leave: ['ab', 'c'] },
    {
      it: 'close where the shape differs',
      waiting: [1, { shapeKey: 'x' }, { shapeKey: 'x' }, 1],
      leave: ['a', 'bc', 'd'],
    },
    {
      it: 'hold one request without dynamic batching',
      settings: { dynamicBatching: false, maxQueueDelayUs: 50, preferredBatchSizes: [4] },
      waiting: [2, 2],
      leave: ['a', 'b'],
    },
    {
      it: 'hold one request when the model does not batch',
      settings: { maxBatchSize: 0 },
      waiting: [1, 1],
      leave: ['a', 'b'],
    },
    {
      it: 'merge candidate rows of two-scope models up to their own bound',
      settings: { maxBatchSize: 0, dynamicBatching: false },
      bounds: { mergeRowsMax: 100 },
      waiting: [40, 60, 1],
      leave: ['ab', 'c'],
    },
    {
      it: 'bound the request rows of two-scope models',
      settings: { maxBatchSize: 0 },
      bounds: { mergeRowsMax: 100, requestRowsMax: 3 },
      waiting: [{ requestRows: 2 }, { requestRows: 1 }, { requestRows: 1 }],
      leave: ['ab', 'c'],
    },
    {
      it: 'bound the bytes of a batch, and let what is larger go alone',
      settings: { maxBatchSize: 8 },
      bounds: { bytesMax: 10 },
      waiting: [{ bytes: 6 }, { bytes: 4 }, { bytes: 1 }, { bytes: 11 }, { bytes: 1 }],
      leave: ['ab', 'c', 'd', 'e'],
    },
    { it: 'wait for the delay', settings: { maxQueueDelayUs: 50 }, waiting: [1, 1], atUs: 49, leave: [] },
    {
      it: 'leave when the oldest has waited for the delay',
      settings: { maxQueueDelayUs: 50 },
      waiting: [1, { arrivalUs: 49 }],
      atUs: 50,
      leave: ['ab'],
    },
    { it: 'leave before the delay when full', settings: { maxQueueDelayUs: 50 }, waiting: [4, 4, 1], leave: ['ab'] },
    {
      it: 'leave before the delay when the next one does not fit',
      settings: { maxQueueDelayUs: 50 },
      waiting: [4, 5],
      leave: ['a'],
    },
    {
      it: 'leave before the delay when the next shape differs',
      settings: { maxQueueDelayUs: 50 },
      waiting: [4, { shapeKey: 'x' }],
      leave: ['a'],
    },
    {
      it: 'have the largest preferred size',
      settings: { preferredBatchSizes: [2, 4] },
      waiting: [1, 1, 1, 1, 1],
      leave: ['abcd', 'e'],
    },
    {
      it: 'leave a rest that has no preferred size waiting for the delay',
      settings: { preferredBatchSizes: [2, 4], maxQueueDelayUs: 50 },
      waiting: [1, 1, 1, 1, 1],
      leave: ['abcd'],
    },
    {
      it: 'do not wait for a preferred size that the next request would jump over',
      settings: { preferredBatchSizes: [4], maxQueueDelayUs: 50 },
      waiting: [3, 3],
      leave: ['a'],
    },
    {
      it: 'take all that fits once the delay is over, preferred or not',
      settings: { preferredBatchSizes: [4], maxQueueDelayUs: 50 },
      waiting: [1, 1, 1, 1, 1],
      atUs: 50,
      leave: ['abcde'],
    },
    {
      it: 'go by priority, strictly, and put what names no level on the default one',
      settings: { priorityLevels: 3, defaultPriorityLevel: 2, policies: [NO_TIMEOUT, NO_TIMEOUT, NO_TIMEOUT] },
      waiting: [{ priority: 3 }, { priority: 0 }, { priority: 1 }, { priority: 9 }, { priority: 1 }],
      leave: ['cebda'],
    },
    {
      it: 'have delayed requests behind the unexpired of their level, before the next level',
      settings: {
        priorityLevels: 2,
        policies: [policy({ timeoutAction: 'DELAY', defaultTimeoutUs: 100, allowTimeoutOverride: true }), NO_TIMEOUT],
      },
      waiting: [{ timeoutUs: 10 }, { priority: 2 }, { timeoutUs: 0 }],
      atUs: 10,
      leave: ['cab'],
    },
    {
      it: 'go by deadline where the model asks for it, those without one last',
      settings: {
        order: 'earliest_deadline_first',
        policies: [policy({ defaultTimeoutUs: 5000, allowTimeoutOverride: true })],
      },
      waiting: [{ timeoutUs: 0 }, { timeoutUs: 3000 }, { timeoutUs: 1000 }, { timeoutUs: 3000 }],
      leave: ['cbda'],
    },
    {
      it: 'stop growing where that would make the most urgent late',
      settings: {
        order: 'earliest_deadline_first',
        policies: [policy({ defaultTimeoutUs: 5000, allowTimeoutOverride: true })],
      },
      waiting: [{ timeoutUs: 120 }, 1, 1],
      leave: ['ab', 'c'],
    },
    {
      it: 'cut the delay short for a deadline, with the time of one run in hand',
      settings: {
        order: 'earliest_deadline_first',
        maxQueueDelayUs: 1000,
        policies: [policy({ defaultTimeoutUs: 400 })],
      },
      waiting: [1],
      atUs: 400 - 2 * 110,
      leave: ['a'],
    },
  ];
  it.each(cases)('$it', ({ settings = {}, bounds = {}, waiting, atUs = 0, leave }) => {
    const queue = queueOf(settings, bounds);
    for (const entry of entriesOf(waiting)) expect(queue.push(entry, 0)).toBe('queued');
    expect(batchesAt(queue, atUs)).toEqual(leave);
  });
});

describe('timeouts', () => {
  const policy: QueuePolicy = {
    timeoutAction: 'REJECT',
    defaultTimeoutUs: 100,
    allowTimeoutOverride: true,
    maxQueueSize: 0,
  };
  const deadlines: { it: string; policy: Partial<QueuePolicy>; timeoutUs: number; deadlineUs: number }[] = [
    { it: 'the default', policy: {}, timeoutUs: 0, deadlineUs: 107 },
    { it: 'a shorter one of the request', policy: {}, timeoutUs: 30, deadlineUs: 37 },
    { it: 'not a longer one', policy: {}, timeoutUs: 300, deadlineUs: 107 },
    {
      it: 'not where overriding is not allowed',
      policy: { allowTimeoutOverride: false },
      timeoutUs: 30,
      deadlineUs: 107,
    },
    {
      it: 'none where there is no default',
      policy: { defaultTimeoutUs: 0 },
      timeoutUs: 30,
      deadlineUs: Number.POSITIVE_INFINITY,
    },
  ];
  it.each(deadlines)('$it', ({ policy: part, timeoutUs, deadlineUs }) => {
    const queue = queueOf({ policies: [{ ...policy, ...part }] });
    const [entry] = entriesOf([{ timeoutUs }]);
    queue.push(entry, 7);
    expect(entry.deadlineUs).toBe(deadlineUs);
    expect(queue.earliestDeadlineUs()).toBe(deadlineUs);
  });

  it('reject exactly what has timed out', () => {
    const queue = queueOf({ policies: [policy] });
    for (const entry of entriesOf([{ timeoutUs: 50 }, 1, { timeoutUs: 20 }])) queue.push(entry, 0);
    const rejected: Entry[] = [];
    queue.expire(19, predictUs, rejected);
    expect(names(rejected)).toBe('');
    queue.expire(50, predictUs, rejected);
    expect(names(rejected)).toBe('ca');
    expect([queue.length, queue.rows, queue.earliestDeadlineUs()]).toEqual([1, 1, 100]);
  });

  it('with DELAY leave no deadline behind', () => {
    const queue = queueOf({ policies: [{ ...policy, timeoutAction: 'DELAY' }] });
    const [entry] = entriesOf([1]);
    queue.push(entry, 0);
    queue.expire(100, predictUs, []);
    expect([queue.length, entry.deadlineUs, queue.earliestDeadlineUs()]).toEqual([
      1,
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ]);
  });

  it('with DELAY say nothing about the requests that come after', () => {
    const delay: QueuePolicy = { ...policy, timeoutAction: 'DELAY' };
    const queue = queueOf({ policies: [delay] }, { lengthMax: 2 });
    const [a, b, c, d] = entriesOf([1, 1, 1, 1]);
    queue.push(a, 0);
    queue.push(b, 0);
    queue.expire(100, predictUs, []);
    expect(batchesAt(queue, 100)).toEqual(['ab']);
    queue.push(c, 100);
    queue.push(d, 100);
    expect(queue.remove(c)).toBe(true);
    expect(batchesAt(queue, 100)).toEqual(['d']);
  });

  it('by deadline, refuse what would be late if it started now, and only that', () => {
    const queue = queueOf({ policies: [{ ...policy, defaultTimeoutUs: 1000 }], order: 'earliest_deadline_first' });
    const parts = [{ timeoutUs: 109 }, { timeoutUs: 110 }, { timeoutUs: 115, rows: 2 }, { timeoutUs: 120, rows: 2 }];
    for (const entry of entriesOf(parts)) queue.push(entry, 0);
    const rejected: Entry[] = [];
    queue.expire(0, predictUs, rejected);
    expect(names(rejected)).toBe('ac');
  });
});

describe('bounds', () => {
  it('of a level count its requests, the delayed among them, and leave other levels alone', () => {
    const level: QueuePolicy = {
      timeoutAction: 'DELAY',
      defaultTimeoutUs: 10,
      allowTimeoutOverride: false,
      maxQueueSize: 2,
    };
    const queue = queueOf({ priorityLevels: 2, policies: [level, NO_TIMEOUT] });
    const [a, b, c, d] = entriesOf([5, 1, 1, { priority: 2 }]);
    queue.push(a, 0);
    queue.expire(10, predictUs, []);
    expect(queue.push(b, 10)).toBe('queued');
    expect(queue.push(c, 10)).toBe('full');
    expect(queue.push(d, 10)).toBe('queued');
    expect(queue.remove(a)).toBe(true);
    expect(queue.push(c, 10)).toBe('queued');
  });

  it('of the server hold for all levels', () => {
    const queue = queueOf({ priorityLevels: 2, policies: [NO_TIMEOUT, NO_TIMEOUT] }, { lengthMax: 2 });
    const parts = [{ priority: 1 }, { priority: 2 }, { priority: 1 }];
    expect(entriesOf(parts).map((entry) => queue.push(entry, 0))).toEqual(['queued', 'queued', 'full']);
  });

  it('of a batch are the caller’s to check before', () => {
    const queue = queueOf({});
    const [tooMany, none, twice] = entriesOf([9, 0, 1]);
    expect(() => queue.push(tooMany, 0)).toThrow('9 rows');
    expect(() => queue.push(none, 0)).toThrow('0 rows');
    queue.push(twice, 0);
    expect(() => queue.push(twice, 0)).toThrow('already queued');
    expect(queue.length).toBe(1);
  });
});

it('says when a batch will be due by itself', () => {
  const queue = queueOf({ maxQueueDelayUs: 50 });
  expect(queue.dueAtUs(0)).toBe(Number.POSITIVE_INFINITY);
  const [a, b] = entriesOf([{ arrivalUs: 5 }, { arrivalUs: 20 }]);
  queue.push(a, 5);
  queue.push(b, 20);
  expect(queue.dueAtUs(20)).toBe(55);
  expect([queue.due(54), queue.due(55)]).toEqual([false, true]);
  expect(queue.dueAtUs(55)).toBe(Number.POSITIVE_INFINITY);
});

it('knows its oldest arrival whatever the order, and drains by it', () => {
  const policies = [{ ...NO_TIMEOUT, defaultTimeoutUs: 900, allowTimeoutOverride: true }];
  const queue = queueOf({ order: 'earliest_deadline_first', policies });
  const entries = entriesOf([{ arrivalUs: 3 }, { arrivalUs: 7, timeoutUs: 300 }, { arrivalUs: 2, timeoutUs: 500 }]);
  for (const entry of entries) queue.push(entry, 10);
  expect(queue.oldestArrivalUs()).toBe(2);
  const out: Entry[] = [];
  queue.drain(out);
  expect(names(out)).toBe('cab');
  expect([queue.length, queue.rows, queue.oldestArrivalUs(), queue.earliestDeadlineUs()]).toEqual([
    0,
    0,
    Number.POSITIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  ]);
  expect(queue.remove(entries[0])).toBe(false);
});
