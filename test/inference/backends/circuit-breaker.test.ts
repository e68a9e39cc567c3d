import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, REFUSED } from '../../../src/inference/backends/circuit-breaker.js';

const LIMITS = { failuresMax: 3, openUs: 1000 };

/** Words of a story: `f`/`s`/`a` admit a call and fail, succeed or abandon it; `x` expects a refusal; `+n` waits n µs. */
const STORIES: readonly [sentence: string, story: string, endsIn: string, opened: number][] = [
  ['stays closed below the limit', 'f f', 'closed', 0],
  ['opens at the limit', 'f f f x', 'open', 1],
  ['counts failures in a row only', 'f f s f f', 'closed', 0],
  ['refuses until the pause is over', 'f f f +999 x', 'open', 1],
  ['closes after a probe that succeeds', 'f f f +1000 s s', 'closed', 1],
  ['opens again after a probe that fails', 'f f f +1000 f x', 'open', 2],
  ['counts the pause from the probe that failed', 'f f f +1000 f +999 x +1 s', 'closed', 2],
  ['starts counting anew after it has closed', 'f f f +1000 s f f', 'closed', 1],
  ['probes again after a probe without a verdict', 'f f f +1000 a a s', 'closed', 1],
];

describe('circuit breaker', () => {
  it.each(STORIES)('%s: %s', (_sentence, story, endsIn, opened) => {
    const breaker = new CircuitBreaker(LIMITS);
    let nowUs = 0;
    for (const word of story.split(' ')) {
      if (word.startsWith('+')) {
        nowUs += Number(word.slice(1));
        continue;
      }
      const ticket = breaker.admit(nowUs);
      expect(ticket === REFUSED, word).toBe(word === 'x');
      if (word === 'f') breaker.failed(ticket, nowUs);
      if (word === 's') breaker.succeeded(ticket);
      if (word === 'a') breaker.abandoned(ticket);
    }
    expect(breaker.state).toBe(endsIn);
    expect(breaker.openedCount).toBe(opened);
  });

  it('lets one probe through at a time', () => {
    const breaker = new CircuitBreaker({ failuresMax: 1, openUs: 10 });
    breaker.failed(breaker.admit(0), 0);
    expect(breaker.admit(10)).not.toBe(REFUSED);
    expect(breaker.admit(10)).toBe(REFUSED);
    expect(breaker.admit(1e9)).toBe(REFUSED);
  });

  it('ignores what calls of an earlier period report', () => {
    const breaker = new CircuitBreaker({ failuresMax: 1, openUs: 10 });
    const [slow, slower, slowest] = [breaker.admit(0), breaker.admit(0), breaker.admit(0)];
    breaker.failed(breaker.admit(0), 0);
    breaker.succeeded(slow);
    expect(breaker.state).toBe('open');
    const probe = breaker.admit(10);
    breaker.failed(slower, 11);
    expect(breaker.state).toBe('half_open');
    breaker.succeeded(slowest);
    expect(breaker.state).toBe('half_open');
    breaker.succeeded(probe);
    expect(breaker.state).toBe('closed');
  });

  it('whatever happens: no call while open, one probe at a time, never stuck', () => {
    const step = fc.record({
      waitUs: fc.nat({ max: 1500 }),
      action: fc.constantFrom('admit', 'succeed', 'fail', 'abandon'),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 3 }), (steps, failuresMax) => {
        const breaker = new CircuitBreaker({ ...LIMITS, failuresMax });
        let calls: { ticket: number; probe: boolean }[] = [];
        let nowUs = 0;
        let openedAtUs = Number.NEGATIVE_INFINITY;
        for (const { waitUs, action, which } of steps) {
          nowUs += waitUs;
          const before = breaker.state;
          const opened = breaker.openedCount;
          if (action === 'admit' || calls.length === 0) {
            const ticket = breaker.admit(nowUs);
            if (before === 'open') expect(ticket !== REFUSED).toBe(nowUs - openedAtUs >= LIMITS.openUs);
            if (before === 'closed') expect(ticket).not.toBe(REFUSED);
            if (ticket !== REFUSED) calls.push({ ticket, probe: breaker.state === 'half_open' });
          } else {
            const [call] = calls.splice(which % calls.length, 1);
            if (action === 'succeed') breaker.succeeded(call.ticket);
            else if (action === 'fail') breaker.failed(call.ticket, nowUs);
            else breaker.abandoned(call.ticket);
            if (before !== 'closed' && !call.probe) expect(breaker.state).toBe(before);
          }
          if (breaker.openedCount > opened) openedAtUs = nowUs;
          if (breaker.state !== 'half_open') calls = calls.map(({ ticket }) => ({ ticket, probe: false }));
          expect(calls.filter(({ probe }) => probe).length).toBeLessThanOrEqual(1);
        }
        // Once every call has ended, a remote that is well again is used again.
        for (const { ticket } of calls) breaker.abandoned(ticket);
        const ticket = breaker.admit(nowUs + LIMITS.openUs);
        expect(ticket).not.toBe(REFUSED);
        breaker.succeeded(ticket);
        expect(breaker.state).toBe('closed');
      }),
    );
  });
});
