import { describe, expect, it } from 'vitest';
import { CurrencyRates } from '../../src/bidding/index.js';

describe('the currency to answer in', () => {
  it.each([
    { name: 'nothing said means USD', account: 'USD', allowed: [], chosen: 'USD' },
    { name: 'nothing said, and USD has no rate', account: 'JPY', allowed: [], chosen: '' },
    { name: 'the account currency wherever it is allowed', account: 'USD', allowed: ['EUR', 'USD'], chosen: 'USD' },
    { name: 'else the first with a rate', account: 'USD', allowed: ['CHF', 'EUR'], chosen: 'EUR' },
    { name: 'none with a rate', account: 'USD', allowed: ['CHF'], chosen: '' },
  ])('$name', ({ account, allowed, chosen }) => {
    expect(new CurrencyRates(account, { EUR: 1.1 }).choose(allowed)).toBe(chosen);
  });

  it.each([
    [50_000, 55_000],
    [1, 2],
    [0, 0],
    [1_000_001, 1_100_002],
  ])('a floor of %i micros at 1.1 is %i, rounded up and not more', (floor, expected) => {
    expect(new CurrencyRates('USD', { EUR: 1.1 }).floorInAccount(floor, 'EUR')).toBe(expected);
  });

  it('has no rate but those it was given and the account currency at 1', () => {
    const rates = new CurrencyRates('USD', { EUR: 1.1 });
    expect(['USD', 'EUR', 'CHF', 'toString'].map((currency) => rates.rateOf(currency))).toEqual([1, 1.1, 0, 0]);
  });
});
