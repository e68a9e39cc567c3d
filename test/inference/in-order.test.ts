import fc from 'fast-check';
import { expect, it } from 'vitest';
import { InOrder } from '../../src/inference/in-order.js';

it('releases in order of arrival, as early as it can, whatever completes when', () => {
  const property = fc.property(fc.array(fc.oneof(fc.constant('enter' as const), fc.nat(20))), (steps) => {
    const released: number[] = [];
    const order = new InOrder<number>((reply) => released.push(reply));
    const completed = new Set<number>();
    const open: number[] = [];
    let entered = 0;
    for (const step of steps) {
      if (step === 'enter') {
        open.push(order.enter());
        entered++;
      } else if (open.length > 0) {
        const [position] = open.splice(step % open.length, 1);
        completed.add(position);
        order.complete(position, position);
      }
      let turn = 0;
      while (completed.has(turn)) turn++;
      expect(released).toEqual(Array.from({ length: turn }, (_, i) => i));
      expect(order.waiting).toBe(entered - turn);
    }
  });
  fc.assert(property, { seed: 2, numRuns: 500 });
});

it('keeps the order when a release enters and completes others', () => {
  const released: string[] = [];
  const order: InOrder<string> = new InOrder((reply) => {
    if (reply === 'a') order.complete(1, 'b');
    if (reply === 'b') order.complete(order.enter(), 'd');
    released.push(reply);
  });
  for (let i = 0; i < 3; i++) order.enter();
  order.complete(2, 'c');
  order.complete(0, 'a');
  expect(released).toEqual(['a', 'b', 'c', 'd']);
});

it('goes on after a release that threw', () => {
  const released: string[] = [];
  const order = new InOrder<string>((reply) => {
    if (reply === 'bad') throw new Error('bad');
    released.push(reply);
  });
  for (let i = 0; i < 2; i++) order.enter();
  expect(() => order.complete(0, 'bad')).toThrow('bad');
  order.complete(1, 'good');
  expect(released).toEqual(['good']);
});

it('is completed once per position', () => {
  const order = new InOrder<string>(() => undefined);
  order.enter();
  order.enter();
  order.complete(1, 'x');
  for (const position of [1, 2]) expect(() => order.complete(position, 'y')).toThrow('not in flight');
  order.complete(0, 'x');
  expect(() => order.complete(0, 'y')).toThrow('not in flight');
});
