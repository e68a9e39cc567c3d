/** Message types of the .proto files of this repository, by file. */
import { existsSync, readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

const roots = new Map<string, protobuf.Root>();

/**
 * @param file below `proto/`, such as `onnx/onnx.proto`
 * @param name with its package
 * @returns with the fields named as in the file
 */
export function protoType(file: string, name: string): protobuf.Type {
  let root = roots.get(file);
  if (root === undefined) {
    // proto/ lies beside src/ in the sources, and one level further up from dist/src/.
    const besideSources = new URL(`../../proto/${file}`, import.meta.url);
    const besideDist = new URL(`../../../proto/${file}`, import.meta.url);
    const text = readFileSync(existsSync(besideSources) ? besideSources : besideDist, 'utf8');
    root = protobuf.parse(text, { keepCase: true }).root;
    roots.set(file, root);
  }
  return root.lookupType(name);
}
