/** BYTES tensors, each element behind its 4-byte little-endian length, to and from the strings of ONNX Runtime. */

export function decodeStrings(bytes: Uint8Array): string[] {
  // A copy: a decoder may refuse shared memory.
  const buffer = Buffer.from(bytes);
  const strings: string[] = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const end = at + 4 + buffer.readUInt32LE(at);
    strings.push(buffer.toString('utf8', at + 4, end));
    at = end;
  }
  return strings;
}

export function encodeStrings(strings: readonly string[]): Uint8Array {
  const sizes = strings.map((text) => Buffer.byteLength(text));
  const buffer = Buffer.alloc(sizes.reduce((sum, size) => sum + 4 + size, 0));
  let at = 0;
  strings.forEach((text, i) => {
    at = buffer.writeUInt32LE(sizes[i], at);
    at += buffer.write(text, at);
  });
  return buffer;
}
