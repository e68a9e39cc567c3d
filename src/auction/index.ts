/**
 * auction/: ranks candidates, applies the floor, finds the second price.
 *
 * Takes: integer values and a reserve. Gives: a winner and a clearing price. Owns: nothing.
 * Never: sees a float price, a socket, a clock or an unseeded random number. Fails: never; nobody wins instead.
 */
export { AuctionResult, runAuction } from './second-price.js';
