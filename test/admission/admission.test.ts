import { describe, expect, it } from 'vitest';
import { admit, deadlineUs } from '../../src/admission/index.js';
import { OUTCOME } from '../../src/contract/index.js';

const BUDGET = { tmaxMsDefault: 150, tmaxMsMax: 500, networkAllowanceMs: 10, replyReserveUs: 6_000 };

describe('deadline', () => {
  it.each([
    { name: 'arrival + tmax − network − reserve', tmaxMs: 100, expected: 1_000 + 84_000 },
    { name: 'the default when absent', tmaxMs: 0, expected: 1_000 + 134_000 },
    { name: 'never longer than the maximum', tmaxMs: 60_000, expected: 1_000 + 484_000 },
    { name: 'may lie in the past', tmaxMs: 5, expected: 1_000 - 11_000 },
  ])('$name', ({ tmaxMs, expected }) => expect(deadlineUs(1_000, tmaxMs, BUDGET)).toBe(expected));
});

describe('admission', () => {
  it.each([
    { name: 'in time', nowUs: 0, deadline: 100, estimate: 99, outcome: OUTCOME.bid },
    { name: 'exactly in time', nowUs: 0, deadline: 100, estimate: 100, outcome: OUTCOME.bid },
    { name: 'would be late', nowUs: 1, deadline: 100, estimate: 100, outcome: OUTCOME.insufficient_time },
    { name: 'late already', nowUs: 101, deadline: 100, estimate: 0, outcome: OUTCOME.insufficient_time },
  ])('$name', ({ nowUs, deadline, estimate, outcome }) => expect(admit(nowUs, deadline, estimate)).toBe(outcome));
});
