import { promisify } from 'node:util';
import { deflate, gunzip, gzip, inflate } from 'node:zlib';
import { InferError } from '../contract/index.js';
import { invalid } from './http-errors.js';

export type Coding = 'gzip' | 'deflate';

// On the thread pool: a small body can inflate to many megabytes, and the event loop serves bids.
const decoders = { gzip: promisify(gunzip), deflate: promisify(inflate) };
const encoders = { gzip: promisify(gzip), deflate: promisify(deflate) };

/** Replies below it are mostly headers anyway. */
const ENCODE_BYTES_MIN = 1_024;
/** A client that asks for compression has slow lines, not time: the first level gives most of the gain. */
const LEVEL = 1;
const HEADER_CHARS_MAX = 256;

/** @returns null for a body as it is. @throws InferError UNSUPPORTED */
export function codingOf(header: string): Coding | null {
  const coding = header.trim().toLowerCase();
  if (coding === '' || coding === 'identity') return null;
  if (coding === 'gzip' || coding === 'deflate') return coding;
  throw new InferError('UNSUPPORTED', 'Unsupported compression type: the request body may be plain, gzip or deflate');
}

/** @throws InferError INVALID_ARG where it is damaged or becomes larger than `bytesMax` */
export async function decoded(body: Uint8Array, coding: Coding, bytesMax: number): Promise<Uint8Array> {
  try {
    return await decoders[coding](body, { maxOutputLength: bytesMax });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw invalid(`the decompressed request body must be <= ${bytesMax} bytes`);
    }
    throw invalid(`the request body is not valid ${coding} data`);
  }
}

export function encoded(parts: readonly Uint8Array[], coding: Coding): Promise<Uint8Array> {
  return encoders[coding](Buffer.concat(parts), { level: LEVEL });
}

/** The coding for a reply of this size: of gzip and deflate the one with the larger `q`, gzip when equal. */
export function codingFor(acceptEncoding: string, parts: readonly Uint8Array[]): Coding | null {
  if (acceptEncoding === '' || acceptEncoding.length > HEADER_CHARS_MAX) return null;
  let best: Coding | null = null;
  let bestQuality = 0;
  for (const item of acceptEncoding.toLowerCase().split(',')) {
    const [coding, ...parameters] = item.split(';').map((part) => part.trim());
    if (coding !== 'gzip' && coding !== 'deflate') continue;
    const stated = parameters.find((part) => part.startsWith('q='));
    const quality = stated === undefined ? 1 : Number(stated.slice(2));
    if (quality > bestQuality || (quality === bestQuality && quality > 0 && coding === 'gzip')) {
      best = coding;
      bestQuality = quality;
    }
  }
  if (best === null) return null;
  const size = parts.reduce((sum, part) => sum + part.byteLength, 0);
  return size < ENCODE_BYTES_MIN ? null : best;
}
