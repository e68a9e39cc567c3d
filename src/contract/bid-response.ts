import type { AdTexts } from './ad.js';

/** One bid as the encoders see it. */
export interface BidOffer {
  /** Position of the imp in the request. */
  impIndex: number;
  /** The ad within the snapshot; with the snapshot's generation it identifies `texts` for caching. */
  ad: number;
  /** CPM in micros of the response currency, > 0. */
  priceMicros: number;
  /** One of FORMAT; goes out as `mtype`. */
  format: number;
  width: number;
  height: number;
  durationSeconds: number;
}

/** Gives the encoder the texts of an ad, and a generation that changes when ad numbers change their meaning. */
export interface AdTextSource {
  readonly generation: number;
  texts(ad: number): AdTexts;
}
