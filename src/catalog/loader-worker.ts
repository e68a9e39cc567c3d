import { type LoadOutcome, loadDirectory } from './loader.js';

export interface LoadTask {
  readonly directory: string;
  readonly nowMs: number;
}

/** Runs in the loader thread. The arrays of the outcome are shared memory: nothing is copied on the way back. */
export default function loadInThread(task: LoadTask): LoadOutcome {
  return loadDirectory(task.directory, task.nowMs);
}
