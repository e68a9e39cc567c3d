/**
 * The inference worker: the one long-lived Piscina task of its thread. Waits for the doorbell, runs the slab it names,
 * posts the slab's id, waits again. Sessions cannot cross threads, so each worker loads its own.
 */
import { OperatingError } from '../contract/index.js';
import { ModelSession } from './model-session.js';
import type { Slab } from './slab.js';
import {
  CONTROL,
  type WorkerMessage,
  type WorkerReady,
  type WorkerResult,
  type WorkerTask,
} from './worker-protocol.js';

/** Returns when told to stop, or at once when a model is refused. Any other error is a crash. */
export default async function work(task: WorkerTask): Promise<WorkerResult> {
  const post = (message: WorkerMessage): void => task.port.postMessage(message);
  const sessions: ModelSession[] = [];
  const warmUps: { model: number; candidateRows: number; runUs: number }[] = [];
  let readsSharedMemory = false;
  try {
    for (const model of task.models) sessions.push(await ModelSession.load(model));
    readsSharedMemory = sessions.length > 0 && (await sessions[0].readsSharedMemory());
    for (const [model, session] of sessions.entries()) {
      for (const run of await session.warmUp(readsSharedMemory)) warmUps.push({ model, ...run });
    }
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    return { code: error.code, fixedBy: error.fixedBy, message: error.message };
  }
  const slabs: { session: ModelSession; slab: Slab }[] = [];
  task.models.forEach(({ firstSlab }, model) => {
    sessions[model].slabs.forEach((slab, i) => {
      slabs[firstSlab + i] = { session: sessions[model], slab };
    });
  });

  const control = new Int32Array(task.control);
  const ready: WorkerReady = { kind: 'ready', readsSharedMemory, warmUps };
  post(ready);

  let rung = 0;
  for (;;) {
    // Blocks the thread, which has nothing else to do: woken in 6–20 µs, where a message would take 30. Woken is not
    // rung: where the event loop is preempted between its add and its notify, the batch may be done already, and the
    // late notify wakes the wait after it. Only a changed doorbell names a batch.
    while (Atomics.load(control, CONTROL.doorbell) === rung) Atomics.wait(control, CONTROL.doorbell, rung);
    rung = Atomics.load(control, CONTROL.doorbell);
    if (Atomics.load(control, CONTROL.stop) === 1) break;
    const id = Atomics.load(control, CONTROL.slab);
    try {
      await slabs[id].session.run(slabs[id].slab, readsSharedMemory);
      post(id);
    } catch (error) {
      post({ kind: 'failed', slab: id, message: (error as Error).message });
    }
  }
  for (const session of sessions) await session.release();
  return null;
}
