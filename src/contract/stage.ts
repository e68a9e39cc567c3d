/**
 * The stages of a request, in order. A stage has the name of the room that does the work: the same word is the folder,
 * the metric label and the heading in docs/. `inference` is everything between the last row written and the scores read.
 */
export const STAGES = [
  'openrtb',
  'admission',
  'catalog',
  'features',
  'inference',
  'calibration',
  'bidding',
  'auction',
  'reply',
] as const;
export type Stage = (typeof STAGES)[number];
export const STAGE = Object.fromEntries(STAGES.map((name, index) => [name, index])) as Readonly<Record<Stage, number>>;
