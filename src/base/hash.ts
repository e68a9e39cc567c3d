/**
 * Hashing for features, ties and ids. `native-models/train/encoder.py` has the same functions; the vectors in
 * `native-models/feature-vectors.json` hold both sides to the same bits.
 */
const encoder = new TextEncoder();

/** MurmurHash3's 32-bit finaliser (Appleby, public domain): a bijection on uint32 with full avalanche. */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Code of the pair (a, b), order-sensitive; 0 where either is missing (0). */
export function combine32(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  const h = mix32((Math.imul(a, 0x9e3779b1) ^ b) | 0);
  return h === 0 ? 1 : h;
}

/** Code of an integer, never 0. */
export function hashInteger(value: number): number {
  const h = mix32((value | 0) ^ 0x9e3779b9);
  return h === 0 ? 1 : h;
}

/** MurmurHash3 x86-32 of the UTF-8 bytes, seed 0; 0 is kept for the empty (missing) string. */
export function hashString(text: string): number {
  const length = text.length;
  if (length === 0) return 0;
  let h = 0;
  let block = 0;
  let shift = 0;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return hashBytes(encoder.encode(text));
    block |= unit << shift;
    shift += 8;
    if (shift === 32) {
      h = mixBlock(h, block);
      block = 0;
      shift = 0;
    }
  }
  return finish(h, block, length);
}

function hashBytes(bytes: Uint8Array): number {
  let h = 0;
  let block = 0;
  let shift = 0;
  for (let i = 0; i < bytes.length; i++) {
    block |= bytes[i] << shift;
    shift += 8;
    if (shift === 32) {
      h = mixBlock(h, block);
      block = 0;
      shift = 0;
    }
  }
  return finish(h, block, bytes.length);
}

function scramble(block: number): number {
  const k = Math.imul(block, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}

function mixBlock(h: number, block: number): number {
  const x = h ^ scramble(block);
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(h: number, tail: number, byteLength: number): number {
  const result = mix32(h ^ scramble(tail) ^ byteLength);
  return result === 0 ? 1 : result;
}
