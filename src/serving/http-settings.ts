import type { ModelServer } from '../contract/index.js';
import type { ServingLog } from './http-errors.js';

export interface V2HttpSettings {
  readonly models: ModelServer;
  /** What `GET /v2` tells; some client examples insist on `triton`. */
  readonly serverName: string;
  readonly serverVersion: string;
  readonly extensions: readonly string[];
  /** Bytes of a body after gzip or deflate. */
  readonly bodyDecompressedBytesMax: number;
  readonly log: ServingLog;
}
