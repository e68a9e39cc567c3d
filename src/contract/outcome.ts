/**
 * What became of a bid request. One table: the integer travels through the hot path, the label names the metric series,
 * `nbr` is the OpenRTB 2.6 no-bid reason (List: No-Bid Reason Codes, 500+ vendor specific), the sentence is for people.
 */
const TABLE = [
  { label: 'bid', nbr: 0, sentence: 'At least one imp got a bid.' },
  { label: 'malformed', nbr: 2, sentence: 'The body is not an OpenRTB bid request; answered 400.' },
  { label: 'unbiddable_imps', nbr: 2, sentence: 'No imp has a format object that can be bid on.' },
  { label: 'insufficient_time', nbr: 15, sentence: 'The answer could not have been in time, so nothing was computed.' },
  { label: 'overloaded', nbr: 500, sentence: 'A bounded queue was full; refused at once.' },
  { label: 'no_candidate', nbr: 501, sentence: 'No ad in the catalog may enter any imp.' },
  { label: 'below_floor', nbr: 502, sentence: 'Every candidate was worth less than the floor.' },
  { label: 'currency', nbr: 503, sentence: 'No rate for the floor currency, or our currency is not allowed.' },
  { label: 'private_auction', nbr: 504, sentence: 'Only deals may bid, and none of ours applies.' },
  { label: 'inference_failed', nbr: 1, sentence: 'The batch failed in its worker.' },
  { label: 'deadline_missed', nbr: 15, sentence: 'The deadline passed while the request was waiting for scores.' },
  { label: 'draining', nbr: 1, sentence: 'The server is shutting down.' },
  { label: 'internal_error', nbr: 1, sentence: 'A bug: logged with its stack, answered as a no-bid.' },
] as const;

export type OutcomeLabel = (typeof TABLE)[number]['label'];
export type Outcome = number;

/** `OUTCOME.below_floor` is the integer of that row. */
export const OUTCOME = Object.fromEntries(TABLE.map((row, code) => [row.label, code])) as Readonly<
  Record<OutcomeLabel, Outcome>
>;

/** The row of an outcome code. */
export const OUTCOMES: readonly { readonly label: OutcomeLabel; readonly nbr: number; readonly sentence: string }[] =
  TABLE;
