/**
 * The URL of the compiled JavaScript of a module, for worker threads: Node 20 cannot start a thread from TypeScript.
 * Called from `dist/` it is the neighbour itself; called from the sources (tests) it is the same place under `dist/`.
 *
 * @param from the caller's `import.meta.url`
 * @param relative such as `./worker.js`
 */
export function builtFile(from: string, relative: string): URL {
  const url = new URL(relative, from);
  if (!from.endsWith('.ts')) return url;
  const root = new URL('../../', import.meta.url).href;
  return new URL(`dist/${url.href.slice(root.length)}`, root);
}
