/**
 * bidding/: probability to price.
 *
 * Takes: what an advertiser pays for, how much, the probabilities; rates. Gives: the value of an impression in integer
 * micros per mille; the currency to answer in. Owns: nothing. Never: sees a socket, a clock or another candidate. Fails: never.
 */
export { CurrencyRates } from './currency.js';
export { impressionValueMicros } from './value.js';
