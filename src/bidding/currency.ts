/**
 * What one unit of each currency is worth in the account currency, which the catalog's bids are in. A currency without a
 * rate cannot be bid in: no rate never means 1:1.
 */
export class CurrencyRates {
  private readonly rates: ReadonlyMap<string, number>;

  constructor(
    readonly account: string,
    rates: Readonly<Record<string, number>>,
  ) {
    this.rates = new Map([...Object.entries(rates), [account, 1]]);
  }

  /** Value of one unit in the account currency; 0 = no rate. */
  rateOf(currency: string): number {
    return this.rates.get(currency) ?? 0;
  }

  /**
   * A floor in micros of the account currency, rounded up. The slack takes back what the product of a decimal rate is too
   * high by in binary (50 000 × 1.1 is 55 000.000000000007), so that a value equal to the floor still reaches it.
   */
  floorInAccount(floorMicros: number, currency: string): number {
    const product = floorMicros * this.rateOf(currency);
    return Math.ceil(product - product * 1e-12);
  }

  /**
   * The currency to answer in: the account currency where it is allowed, else the first allowed one with a rate.
   * @param allowed OpenRTB `cur`; empty means USD
   * @returns '' where none is possible
   */
  choose(allowed: readonly string[]): string {
    if (allowed.length === 0) return this.rateOf('USD') > 0 ? 'USD' : '';
    let chosen = '';
    for (let i = 0; i < allowed.length; i++) {
      if (allowed[i] === this.account) return this.account;
      if (chosen === '' && this.rateOf(allowed[i]) > 0) chosen = allowed[i];
    }
    return chosen;
  }
}
