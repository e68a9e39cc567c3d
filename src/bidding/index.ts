/**
 * bidding/: probability to price.
 *
 * Takes: what an advertiser pays for, how much, and the probabilities. Gives: the value of an impression in integer
 * micros per mille. Owns: nothing. Never: sees a socket, a clock or another candidate. Fails: never.
 */
export { impressionValueMicros } from './value.js';
