import { combine32, mix32 } from '../base/index.js';

/** Written in place by `runAuction`. */
export class AuctionResult {
  /** Position of the winner among the candidates given; -1 = nobody reached the reserve. */
  winner = -1;
  /** The winner's own value, micros per mille. */
  valueMicros = 0;
  /** max(reserve, best value of another bidder): reserve ≤ clearing ≤ value. */
  clearingMicros = 0;
}

/**
 * One sealed-bid second-price auction with a reserve (Vickrey 1961; Myerson 1981) among `values[from … from + count)`.
 *
 * The highest value at or above the reserve wins. Ties go to the higher hash of (seed, ad), so that equal bidders win
 * equally often over many requests and a replay of one request gives the same winner.
 *
 * @param values integer micros per mille; 0 = takes no part
 * A bidder with several candidates never sets its own price: the runner-up is the best candidate of somebody else.
 *
 * @param ads the ad of each candidate, parallel to `values`; breaks ties
 * @param bidders whose each ad is, indexed by ad
 * @param reserveMicros inclusive; 0 = any positive value may win
 */
export function runAuction(
  values: Float64Array,
  ads: Int32Array,
  bidders: Uint32Array,
  from: number,
  count: number,
  reserveMicros: number,
  seed: number,
  result: AuctionResult,
): void {
  let winner = -1;
  let best = 0;
  let second = 0;
  for (let i = from; i < from + count; i++) {
    const value = values[i];
    if (value <= 0 || value < reserveMicros || value < second) continue;
    if (value > best || (value === best && tieRank(seed, ads[i]) > tieRank(seed, ads[winner]))) {
      if (winner >= 0 && bidders[ads[i]] !== bidders[ads[winner]]) second = best;
      best = value;
      winner = i;
    } else if (bidders[ads[i]] !== bidders[ads[winner]]) {
      second = value;
    }
  }
  result.winner = winner;
  result.valueMicros = best;
  result.clearingMicros = winner < 0 ? 0 : Math.max(second, reserveMicros);
}

function tieRank(seed: number, ad: number): number {
  return combine32(mix32(seed) | 1, ad + 1);
}
